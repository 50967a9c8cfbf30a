"""What the entities of a text say: who is mentioned, which command it is, and the text without our own name.

Offsets and lengths count UTF-16 code units (Bot API, "MessageEntity").
"""

import dataclasses
from collections.abc import Sequence

from dragoman.adapter import Me
from dragoman.adapters.telegram.shapes import Entity, User
from dragoman.model import Mention

Span = tuple[int, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """A text, understood."""

    clean: str = ""
    mentions: tuple[Mention, ...] = ()
    mentions_bot: bool = False
    command: str = ""
    arguments: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """A command at the start of a text that is for us; `named` when it carries our username."""

    name: str
    span: Span
    named: bool


def full_name(user: User) -> str:
    """Return a person's name as clients show it."""
    return f"{user.first_name} {user.last_name}".strip()


def units(text: str) -> int:
    """Count a text in UTF-16 code units, as Telegram does."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def read(text: str, entities: Sequence[Entity], me: Me, *, in_group: bool) -> Reading:
    """Read a text with its entities; in a group a bare command addresses the bot as a mention does."""
    encoded = text.encode("utf-16-le", "surrogatepass")
    found = [(entity, mention) for entity in entities if (mention := _mention(encoded, entity, me))]
    own = [_span(entity) for entity, mention in found if mention.is_bot]
    command = next(filter(None, (_command(encoded, entity, me) for entity in entities)), None)
    mentions_bot = bool(own) or (command is not None and (command.named or in_group))
    if command is not None:
        own.append((command.span[0] + len(command.name), command.span[1]))
    return Reading(
        clean=_without(encoded, own).strip(),
        mentions=tuple(mention for _, mention in found),
        mentions_bot=mentions_bot,
        command=command.name if command else "",
        arguments=_cut(encoded, (command.span[1], len(encoded))).strip() if command else "",
    )


def _span(entity: Entity) -> Span:
    return entity.offset, entity.offset + entity.length


def _cut(encoded: bytes, span: Span) -> str:
    return encoded[2 * span[0] : 2 * span[1]].decode("utf-16-le", "replace")


def _without(encoded: bytes, spans: Sequence[Span]) -> str:
    for start, end in sorted(spans, reverse=True):
        encoded = encoded[: 2 * start] + encoded[2 * end :]
    return encoded.decode("utf-16-le", "replace")


def _mention(encoded: bytes, entity: Entity, me: Me) -> Mention | None:
    """Read a `mention` (by username, in any case) or a `text_mention` (by id, for people without one)."""
    if entity.type == "mention":
        written = _cut(encoded, _span(entity))
        return Mention(id=written, name=written.removeprefix("@"), is_bot=_is_our_name(written[1:], me))
    if entity.type == "text_mention" and entity.user:
        number = str(entity.user.id)
        return Mention(id=number, name=full_name(entity.user), is_bot=number == me.id)
    return None


def _command(encoded: bytes, entity: Entity, me: Me) -> Command | None:
    """Read a command: only at the very start, and not when it carries another bot's username."""
    if entity.type != "bot_command" or entity.offset:
        return None
    name, at, target = _cut(encoded, _span(entity)).partition("@")
    if at and not _is_our_name(target, me):
        return None
    return Command(name=name, span=_span(entity), named=bool(at))


def _is_our_name(username: str, me: Me) -> bool:
    return bool(me.name) and username.casefold() == me.name.casefold()
