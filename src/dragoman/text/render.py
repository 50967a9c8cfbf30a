"""The portable text rendered: CommonMark in, a platform's dialect out.

Total: every text renders, in about linear time. What cannot be read whole (nested too deeply), and
what would leave nothing to see, is shown literally.
"""

import re
from typing import Final, Literal

from dragoman.text import layout, page, styles, syntax
from dragoman.text.styles import Style

Dialect = Literal["plain", "slack", "telegram", "feishu", "html"]

STYLES: Final[dict[Dialect, Style]] = {
    "plain": styles.PLAIN,
    "slack": styles.SLACK,
    "telegram": styles.TELEGRAM,
    "feishu": styles.FEISHU,
}
"""The dialects that are written line by line; `html` is a page of nested elements."""


def render(markdown: str, dialect: Dialect) -> str:
    """Return CommonMark as the dialect writes it; nothing for a blank text, something to see for any other."""
    if not markdown.strip():
        return ""
    if not syntax.MARKUP.search(markdown):
        return _literal(markdown, dialect)
    tokens = syntax.parse(markdown)
    if tokens is None:
        return _literal(markdown, dialect)
    rendered = page.write(tokens) if dialect == "html" else layout.write(tokens, STYLES[dialect])
    return rendered if _shows(rendered, dialect) else _literal(markdown, dialect)


def _literal(text: str, dialect: Dialect) -> str:
    return page.paragraphs(text) if dialect == "html" else STYLES[dialect].escape(text)


def _shows(rendered: str, dialect: Dialect) -> bool:
    """Tell whether there is anything to see: Telegram refuses a message of empty elements."""
    if dialect in {"telegram", "html"}:
        rendered = re.sub(r"<(?!hr>)[^>]*>", "", rendered)
    return bool(rendered.strip())
