"""Slack's mrkdwn, read: plain text and mentions of what people wrote.

Source: docs.slack.dev, "Formatting message text", section "Retrieving messages".
"""

import re
from collections.abc import Callable
from typing import Final

import msgspec

from dragoman import wire
from dragoman.adapters.slack.payloads import NULL, Block, Element
from dragoman.model import Mention

TOKEN: Final = re.compile(r"<([^<>]+)>( ?)")
USER: Final = re.compile(r"<@([^<>|]+)(?:\|([^<>]*))?>")


def clean(text: str, bot: str) -> str:
    """Return what a person reads: the bot's own mention removed, placeholders by their names, stripped.

    Entities are unescaped after the `<...>` tokens: `&lt;@U1&gt;` is text and no mention.
    """
    if "<" not in text:
        return unescape(text).strip()

    def spoken(token: re.Match[str]) -> str:
        target, _, label = token[1].partition("|")
        if bot and target == f"@{bot}":
            return ""
        speak = PLACEHOLDERS.get(target[:1], _link)
        return speak(target, label) + token[2]

    return unescape(TOKEN.sub(spoken, text)).strip()


def mentions(text: str, bot: str) -> tuple[Mention, ...]:
    """Return who is named in a text, each once, in order; `@here` and groups name nobody."""
    if "<@" not in text:
        return ()
    named: dict[str, str] = {}
    for found in USER.finditer(text):
        named.setdefault(found[1], found[2] or "")
    return tuple(Mention(id=user, name=name, is_bot=user == bot) for user, name in named.items())


def written(text: str | None, blocks: msgspec.Raw) -> str:
    """Return the text of a message; when it has none, that of its rich text blocks, in mrkdwn."""
    if text:
        return text
    raw = bytes(blocks)
    rich = [] if raw == NULL else [each for each in wire.decode(raw, list[Block]) if each.type == "rich_text"]
    elements = [element for each in rich for element in wire.decode(bytes(each.elements), list[Element])]
    return "\n".join(_paragraph(element) for element in elements)


def escape(text: str) -> str:
    """Escape the three characters that mrkdwn gives a meaning."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unescape(text: str) -> str:
    """Undo `escape`."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") if "&" in text else text


def _named(target: str, label: str) -> str:
    return target[0] + (label or target[1:]).removeprefix(target[0])


def _special(target: str, label: str) -> str:
    """Speak `<!here>`, `<!subteam^S1|@group>` and `<!date^...|fallback>`."""
    word, _, rest = target[1:].partition("^")
    if word == "date":
        return label
    if word == "subteam":
        return "@" + (label or rest.partition("^")[0]).removeprefix("@")
    return f"@{word}"


def _link(target: str, label: str) -> str:
    """Speak a link: what was typed when Slack linked that by itself, else the label and the address."""
    address = target.removeprefix("mailto:")
    if not (label and address):
        return label or address
    return label if address.rstrip("/").endswith(label.rstrip("/")) else f"{label} ({address})"


PLACEHOLDERS: Final[dict[str, Callable[[str, str], str]]] = {"@": _named, "#": _named, "!": _special}


def _paragraph(element: Element) -> str:
    if element.type == "rich_text_list":
        return "\n".join(f"• {_line(item)}" for item in element.elements or ())
    return _line(element)


def _line(element: Element) -> str:
    return "".join(_inline(part) for part in element.elements or ())


def _inline(part: Element) -> str:
    write = INLINE.get(part.type)
    return write(part) if write else escape(part.fallback or part.text or "")


def _written_link(part: Element) -> str:
    label = f"|{escape(part.text)}" if part.text else ""
    return f"<{escape(part.url or '')}{label}>"


INLINE: Final[dict[str, Callable[[Element], str]]] = {
    "text": lambda part: escape(part.text or ""),
    "link": _written_link,
    "emoji": lambda part: f":{part.name}:",
    "user": lambda part: f"<@{part.user_id}>",
    "channel": lambda part: f"<#{part.channel_id}>",
    "usergroup": lambda part: f"<!subteam^{part.usergroup_id}>",
    "broadcast": lambda part: f"<!{part.range}>",
}
