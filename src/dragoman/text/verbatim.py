"""The code blocks of a text by their position, and what closes and reopens one that is cut."""

import dataclasses
import re
from itertools import accumulate
from typing import Final

from markdown_it.token import Token

from dragoman.text import syntax


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced or indented code block; all positions are offsets into the text.

    `start` is that of its first line, `content` that of its first line of code, `content_end` that
    of its closing line, `end` the end of its last line. An indented block needs no opening and closing.
    """

    start: int
    content: int
    content_end: int
    end: int
    opening: str = ""
    closing: str = ""


SIGNS: Final = ("```", "~~~", "    ", "\t")
"""Without any of these there is no code block."""


def find(text: str, longest: int) -> list[Block]:
    """Return the code blocks in order; a fence whose two lines are longer than `longest` is left out."""
    if not any(sign in text for sign in SIGNS):
        return []
    lines = list(accumulate((len(line) + 1 for line in text.split("\n")), initial=0))
    blocks = [_READ[token.type](text, lines, token) for token in syntax.blocks(text) if token.type in _READ]
    return [block for block in blocks if len(block.opening) + len(block.closing) <= longest]


def _indented(_: str, lines: list[int], token: Token) -> Block:
    first, after = syntax.lines(token)
    start, end = lines[first], lines[after] - 1
    return Block(start=start, content=start, content_end=end, end=end)


def _fenced(text: str, lines: list[int], token: Token) -> Block:
    first, after = syntax.lines(token)
    start, end = lines[first], lines[after] - 1
    content = min(lines[first + 1], end)
    last = text[lines[after - 1] : end].strip(" \t>")
    closed = after - first > 1 and len(last) >= len(token.markup) and set(last) == {token.markup[0]}
    # Before the fence may stand the marks of the quotes and list items that it is in.
    before = text[start : text.index(token.markup, start)]
    margin = re.sub(r"[^>\s]", " ", before)
    reopened = margin if ">" in margin else " " * min(3, len(margin.expandtabs(4)))
    return Block(
        start=start,
        content=content,
        content_end=lines[after - 1] if closed else end,
        end=end,
        opening=reopened + token.markup + token.info.rstrip(),
        closing=margin + token.markup,
    )


_READ = {"fence": _fenced, "code_block": _indented}
