"""The portable text rendered: CommonMark in, a platform's dialect out.

Total: every text renders, in about linear time. What cannot be read whole (nested too deeply), and
what would leave nothing to see, is shown literally.
"""

import functools
import re
from typing import Final, Literal

from dragoman.text import layout, page, spans, styles, syntax
from dragoman.text.styles import Style

Dialect = Literal["plain", "slack", "telegram", "feishu", "html"]

STYLES: Final[dict[Dialect, Style]] = {
    "plain": styles.PLAIN,
    "slack": styles.SLACK,
    "telegram": styles.TELEGRAM,
    "feishu": styles.FEISHU,
}
"""The dialects that are written line by line; `html` is a page of nested elements."""

REMEMBERED: Final = 8192
"""The longest text of those rendered last that are kept, in characters."""

BLANK: Final = re.compile(r"\s*+")
UNSEEN: Final = re.compile(r"(?:\s|<(?!hr>)[^>]*+>)*+")


def render(markdown: str, dialect: Dialect) -> str:
    """Return CommonMark as the dialect writes it; nothing for a blank text, something to see for any other."""
    if not markdown.strip():
        return ""
    if not syntax.marked(markdown):
        return _literal(markdown, dialect)
    return _remembered(markdown, dialect) if len(markdown) <= REMEMBERED else _rendered(markdown, dialect)


def _rendered(markdown: str, dialect: Dialect) -> str:
    rendered = _paragraphs(markdown, dialect) or _blocks(markdown, dialect)
    return rendered if _shows(rendered, dialect) else _literal(markdown, dialect)


_remembered: Final = functools.lru_cache(maxsize=256)(_rendered)
"""A text is rendered to be measured, and again when it is sent, moments later."""


def _paragraphs(markdown: str, dialect: Dialect) -> str:
    """Render a text that is nothing but paragraphs; nothing for another."""
    sources = syntax.paragraphs(markdown) or ()
    if dialect == "html":
        return page.paragraphs(sources)
    return "\n\n".join(spans.write(source, STYLES[dialect]) for source in sources)


def _blocks(markdown: str, dialect: Dialect) -> str:
    """Render any text; nothing for one that is nested too deeply."""
    tokens = syntax.parse(markdown)
    if tokens is None:
        return ""
    return page.write(tokens) if dialect == "html" else layout.write(tokens, STYLES[dialect])


def _literal(text: str, dialect: Dialect) -> str:
    return page.literal(text) if dialect == "html" else STYLES[dialect].escape(text)


def _shows(rendered: str, dialect: Dialect) -> bool:
    """Tell whether there is anything to see: Telegram refuses a message of empty elements."""
    return not (UNSEEN if dialect in {"telegram", "html"} else BLANK).fullmatch(rendered)
