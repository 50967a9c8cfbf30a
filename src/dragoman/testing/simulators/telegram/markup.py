"""HTML as the Bot API reads it (Bot API, "HTML style"): a few tags, balanced, and four named entities."""

import html
import re
from typing import Final

TAG: Final = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)((?:\s[^<>]*)?)>")
ENTITY: Final = re.compile(r"&(?:#x[0-9a-fA-F]+|#[0-9]+|lt|gt|amp|quot);")

TAGS: Final = frozenset(
    ("b", "strong", "i", "em", "u", "ins", "s", "strike", "del", "code", "pre", "a", "blockquote")
) | {"span", "tg-spoiler", "tg-emoji"}


def visible(markup: str) -> str:
    """Return the text as people see it; raises `ValueError` for what Telegram cannot parse."""
    texts, slashes, names, attributes = (TAG.split(markup)[start::4] for start in range(4))
    opened: list[str] = []
    for slash, name, attribute in zip(slashes, names, attributes, strict=True):
        tag = name.lower()
        if slash:
            _close(tag, opened)
        else:
            _open(tag, attribute, opened)
    if any("<" in text for text in texts):
        raise ValueError("Unsupported start tag")
    if opened:
        raise ValueError(f'Can\'t find end tag corresponding to start tag "{opened[-1]}"')
    return ENTITY.sub(lambda found: html.unescape(found.group()), "".join(texts))


def _open(tag: str, attributes: str, opened: list[str]) -> None:
    if tag not in TAGS:
        raise ValueError(f'Unsupported start tag "{tag}"')
    if tag == "span" and "tg-spoiler" not in attributes:
        raise ValueError('Tag "span" must have class "tg-spoiler"')
    opened.append(tag)


def _close(tag: str, opened: list[str]) -> None:
    if not opened:
        raise ValueError(f'Unexpected end tag "{tag}"')
    expected = opened.pop()
    if tag != expected:
        raise ValueError(f'Unmatched end tag, expected "</{expected}>", found "</{tag}>"')


def units(text: str) -> int:
    """Count UTF-16 code units."""
    return len(text.encode("utf-16-le")) // 2


def entities(text: str, username: str) -> list[dict[str, int | str]]:
    """Find the entities that Telegram marks by itself: a command at the start, and mentions of the bot."""
    patterns = (("bot_command", r"\A/[A-Za-z0-9_]+(?:@[A-Za-z0-9_]+)?"), ("mention", rf"(?<!\S)@{username}\b"))
    return [
        {"type": kind, "offset": units(text[: found.start()]), "length": units(found.group())}
        for kind, pattern in patterns
        for found in re.finditer(pattern, text, re.IGNORECASE)
    ]
