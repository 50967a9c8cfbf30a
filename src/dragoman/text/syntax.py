"""The portable text's syntax: CommonMark with ~~strike~~ and tables, read by markdown-it into tokens.

Three deliberate differences. Raw HTML is text: nobody's markup passes through. Link reference
definitions are text: they would vanish from a message, and be missing in its second piece after a
cut. Every link destination is read as one: whether it may be opened is for the dialect to say.
"""

import functools
import re
from collections.abc import Callable
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

MAX_NESTING: Final = 20
"""Quotes and list levels (a list and its item count as two) that are read; the tail of deeper ones would be lost."""

_CONTROL: Final = r"\x00-\x08\x0b-\x1f"
_LINE: Final = r"[-+=>#~:|\ \t] | [0-9]{1,9}[.)] | \n(?: \n | \Z | (?<=\A\n\n) ) | (?<=[\ \t]\n)"
"""After a line's end: lists, rules, setext lines, quotes, headings, fences, tables, indented code; hard breaks."""

# Both begin with a set of characters: the search for the first of them is ten times faster than for alternatives.
MARKUP: Final = re.compile(
    rf"""
    [*`\[<\\&~_\n{_CONTROL}]
    (?: (?<=\n)(?: {_LINE} )                # first, because two line ends are in every text
      | (?<!\n)
        (?: (?<=[*`\[<\\{_CONTROL}])        # emphasis, code, links and images, autolinks, escapes
          | (?<=&)[#\w]                     # entities
          | (?<=~)~                         # strike and fences
          | (?<=_)(?: (?<!\w_) | (?!\w) )   # emphasis; inside a word it is only a letter
        )
    )
    """,
    re.VERBOSE,
)
"""What the syntax could take for more than words, lines and paragraphs; without it, parsing changes nothing."""

WORDS: Final = re.compile(
    rf"[^-+=>#~:|\ \t0-9*`\[<\\&_\n{_CONTROL}] [^*`\[<\\&~_\n{_CONTROL}]*+ (?<![\ \t])", re.VERBOSE
)
"""One line that has nothing of that: most answers are one, and this takes half the time of the search."""

BLOCKS: Final = re.compile(
    rf"[\n{_CONTROL}] (?: (?<=[{_CONTROL}]) | {_LINE} | \*[ \t] | [*_][*_\ \t]*\n | ``` )", re.VERBOSE
)
"""What could make a block that is no paragraph."""


def marked(text: str) -> bool:
    """Tell whether a text that is not blank may be more than words."""
    return not WORDS.fullmatch(text) and bool(MARKUP.search(f"\n{text}\n"))


def paragraphs(text: str) -> list[str] | None:
    """Return the paragraphs' sources of a text that is not blank, or None when it may have other blocks."""
    if BLOCKS.search(f"\n{text}\n"):
        return None
    parts = text.split("\n\n")
    return parts if all(part == part.strip() for part in parts) else None


class _Parser(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: N802 - the name is markdown-it's
        return True


@functools.cache
def markdown() -> MarkdownIt:
    """Return the parser; it keeps no state between texts."""
    parser = _Parser("commonmark", {"html": False, "breaks": True, "xhtmlOut": False, "maxNesting": MAX_NESTING})
    parser.enable(["table", "strikethrough"]).disable(["html_block", "html_inline", "reference", "inline", "text_join"])
    parser.inline.terminator_re = re.compile(r"[\n!&*<\[\\\]_`~]")  # where something can begin in this syntax
    return parser


def parse(text: str) -> list[Token] | None:
    """Return the text's blocks, or None when it is nested too deeply to be read whole.

    What is inside a paragraph is its source still: `inline` reads it.
    """
    tokens = markdown().parse(text)
    return None if any(token.level >= MAX_NESTING - 1 for token in tokens) else tokens


def inline(source: str) -> list[Token]:
    """Return the tokens of what is inside a paragraph."""
    parser = markdown()
    return parser.inline.parse(source, parser, {}, [])


def blocks(text: str) -> list[Token]:
    """Return the tokens of the blocks alone, with their lines and without what is inside them."""
    tokens: list[Token] = []
    parser = markdown()
    parser.block.parse(text, parser, {}, tokens)
    return tokens


def visible(tokens: list[Token]) -> str:
    """Return what a reader sees of inline tokens, on one line and without marks: a link's or an image's label."""
    return "".join(_VISIBLE.get(token.type, _nothing)(token) for token in tokens)


def destination(token: Token) -> str:
    """Return the address of a link or an image."""
    return str(token.attrGet("src" if token.type == "image" else "href") or "")


def lines(token: Token) -> tuple[int, int]:
    """Return a block's lines in the source: its first, and the one after its last."""
    first, after = token.map or (0, 0)
    return first, after


def language(token: Token) -> str:
    """Return the language that a fence names, as far as it is a name."""
    found = re.match(r"[\w+#.-]+", token.info.strip())
    return found[0] if found else ""


def _nothing(_: Token) -> str:
    return ""


def _content(token: Token) -> str:
    return token.content


def _space(_: Token) -> str:
    return " "


def _image(token: Token) -> str:
    return visible(token.children or [])


_VISIBLE: Final[dict[str, Callable[[Token], str]]] = {
    "text": _content,
    "text_special": _content,
    "code_inline": _content,
    "softbreak": _space,
    "hardbreak": _space,
    "image": _image,
}
