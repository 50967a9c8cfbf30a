"""Reading the content of a message, by a table of its types.

Source: open.feishu.cn, "Message content" of received messages.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import Any, Final

from dragoman import wire
from dragoman.adapters.feishu.payloads import Card, Element, File, Location, Message, Post, Shared, Text
from dragoman.errors import Malformed
from dragoman.model import Attachment, AttachmentKind

UNSUPPORTED: Final = {"unsupported": True}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Content:
    """What a message says: its text as sent, what is beside it, and rarer facts."""

    text: str = ""
    attachments: tuple[Attachment, ...] = ()
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)


def read(message: Message) -> Content:
    """Read a message's content; one of a type that we do not know has an empty text."""
    reader = READERS.get(message.message_type)
    return reader(message) if reader else Content(facts=UNSUPPORTED)


def attachment(kind: AttachmentKind, key: str | None, message_id: str, name: str | None = None) -> Attachment:
    """Make an attachment; images are fetched as `image`, all else that can be fetched as `file`."""
    value = {"message_id": message_id, "resource_type": "image" if kind == "image" else "file"}
    return Attachment(kind=kind, id=key or "", name=name or "", value=value if kind != "sticker" else {})


def _text(message: Message) -> Content:
    return Content(text=wire.decode(message.content, Text).text or "")


def _post(message: Message) -> Content:
    post = wire.decode(message.content, Post)
    return _rich(post.title, post.content, message)


def _card(message: Message) -> Content:
    """Read what Feishu leaves of a card; of one that it leaves in another shape, nothing."""
    try:
        card = wire.decode(message.content, Card)
    except Malformed:
        return Content(facts=UNSUPPORTED)
    content = _rich(card.title, card.elements, message)
    return content if content.text or content.attachments else Content(facts=UNSUPPORTED)


def _rich(title: str | None, paragraphs: list[list[Element]] | None, message: Message) -> Content:
    """Join the title and one line per paragraph; pictures and videos become attachments."""
    lines = ["".join(map(_inline, paragraph)) for paragraph in paragraphs or ()]
    elements = itertools.chain.from_iterable(paragraphs or ())
    return Content(
        text="\n".join([title, *lines] if title else lines),
        attachments=tuple(found for each in elements for found in _attached(each, message.message_id)),
    )


def _inline(element: Element) -> str:
    write = INLINE.get(element.tag)
    return write(element) if write else element.text or ""


def _link(element: Element) -> str:
    label, address = element.text or "", element.href or ""
    return f"{label} ({address})" if label and address and label != address else label or address


def _at(element: Element) -> str:
    """Write a mention as its placeholder, where it has one, else by its name."""
    target = element.user_id or ""
    return target if target.startswith("@") else f"@{element.user_name or target}"


INLINE: Final[dict[str, Callable[[Element], str]]] = {
    "a": _link,
    "at": _at,
    "emotion": lambda element: f"[{element.emoji_type or ''}]",
    "hr": lambda _: "---",
    "img": lambda _: "",
    "media": lambda _: "",
}
"""Tags that are more than their text (`text`, `md`, `code_block`)."""


def _attached(element: Element, message_id: str) -> tuple[Attachment, ...]:
    if element.tag == "img" and element.image_key:
        return (attachment("image", element.image_key, message_id),)
    if element.tag == "media" and element.file_key:
        return (attachment("video", element.file_key, message_id),)
    return ()


def _file(kind: AttachmentKind) -> Callable[[Message], Content]:
    """Return the reader of a type whose whole content is one file."""

    def reader(message: Message) -> Content:
        file = wire.decode(message.content, File)
        key = file.image_key if kind == "image" else file.file_key
        if not key:
            raise Malformed(f"a message of type {message.message_type[:40]!r} without its key")
        return Content(attachments=(attachment(kind, key, message.message_id, file.file_name),))

    return reader


def _location(message: Message) -> Content:
    place = wire.decode(message.content, Location)
    latitude, longitude = _degrees(place.latitude, 90), _degrees(place.longitude, 180)
    spot = Attachment(kind="location", name=place.name or "", latitude=latitude, longitude=longitude)
    return Content(attachments=(spot,))


def _degrees(text: str, most: float) -> float:
    try:
        number = float(text)
    except ValueError as error:
        raise Malformed(f"not degrees: {text[:40]!r}") from error
    if not (math.isfinite(number) and abs(number) <= most):
        raise Malformed(f"not degrees: {text[:40]!r}")
    return number


def _shared(message: Message) -> Content:
    """Read a business card: there is nothing to answer to, but a plugin may want to know whose it is."""
    shared = wire.decode(message.content, Shared)
    facts = {"shared_chat_id": shared.chat_id, "shared_user_id": shared.user_id}
    return Content(facts={**{name: value for name, value in facts.items() if value}, **UNSUPPORTED})


def _forwarded(message: Message) -> Content:
    """Read several messages forwarded as one: a fixed text that is no JSON; the messages must be asked for."""
    return Content(text=message.content)


READERS: Final[dict[str, Callable[[Message], Content]]] = {
    "text": _text,
    "post": _post,
    "image": _file("image"),
    "file": _file("file"),
    "audio": _file("audio"),
    "media": _file("video"),
    "sticker": _file("sticker"),
    "interactive": _card,
    "location": _location,
    "share_chat": _shared,
    "share_user": _shared,
    "merge_forward": _forwarded,
}
