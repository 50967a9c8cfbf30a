"""A text cut into pieces that fit a platform's limit, each of them whole CommonMark again.

Cut where it hurts least: between paragraphs, between lines, inside code, between sentences, between
words, between characters. A code block that is cut is closed in one piece and reopened in the next.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Final

from dragoman.text import graphemes, verbatim
from dragoman.text.verbatim import Block

BLANK_LINES: Final = re.compile(r"(?:[ \t]*+\n)*+")
BLANKS: Final = re.compile(r"[ \t]*")
SENTENCE_ENDS: Final = (". ", "! ", "? ", "。", "！", "？")
CLOSING_QUOTES: Final = frozenset("\"')]”’」』）】》")  # noqa: RUF001 - typographic quotes are meant


def split(markdown: str, limit: int, measure: Callable[[str], int] = len) -> tuple[str, ...]:
    """Cut a text into pieces with `measure(piece) <= limit`; `measure` gives the piece's rendered length.

    A short text comes back as it is. `limit` is at least 16. Nothing is lost but white space at the cuts.
    """
    if (len(markdown) <= 2 * limit and measure(markdown) <= limit) or not markdown.strip():
        return (markdown,)
    text = markdown.replace("\r\n", "\n").replace("\r", "\n").rstrip()
    return tuple(_Cutter(text, limit, measure).pieces())


class _Cutter:
    """One text being cut, from its start to its end."""

    def __init__(self, text: str, limit: int, measure: Callable[[str], int]) -> None:
        self._text = text
        self._limit = limit
        self._measure = measure
        self._blocks = verbatim.find(text, limit // 2)

    def pieces(self) -> Iterator[str]:
        at, inside = self._resume(0)
        while at < len(self._text):
            cut, piece = self._fit(at, inside)
            if self._text[at:cut].strip():
                yield piece
            at, inside = self._resume(cut)

    def _fit(self, at: int, inside: Block | None) -> tuple[int, str]:
        """Return where the piece that starts here ends, and the piece: the longest that its measure allows, about."""
        room, previous = self._limit, len(self._text) + 1
        while True:
            cut = self._choose(at, at + room)
            piece = self._compose(at, cut, inside)
            size = self._measure(piece)
            if size <= self._limit:
                return cut, piece
            if cut < previous:
                room, previous = max(1, min(cut - at - 1, (cut - at) * self._limit // size)), cut
                continue
            # No shorter piece exists. Without the code block's fences it may fit.
            block = inside or self._block_around(cut)
            if block is None:
                return cut, piece
            self._blocks.remove(block)
            room, previous, inside = self._limit, len(self._text) + 1, None

    def _choose(self, at: int, end: int) -> int:
        """Return the best position to cut at, up to `end`, passing over what would leave a very short piece."""
        text = self._text
        if end >= len(text):
            return len(text)
        low = at + (end - at) // 4
        for separator in ("\n\n", "\n"):
            cut = self._outside_code(separator, low, end)
            if cut > low:
                return cut
        block = self._block_around(end)
        low = max(low, block.content) if block else low
        for search in (_line_end, _sentence_end, _word_end):
            cut = search(text, low, end)
            if cut > low:
                return self._aligned(at, cut)
        return self._aligned(at, graphemes.boundary(text, at, end))

    def _outside_code(self, separator: str, low: int, end: int) -> int:
        """Return the last separator that is in no code block, or -1."""
        cut = self._text.rfind(separator, low, end + len(separator))
        while cut >= 0 and (block := self._block_around(cut)):
            cut = self._text.rfind(separator, low, max(low, block.start))
        return cut

    def _aligned(self, at: int, cut: int) -> int:
        """Move a cut out of a fence line: before the block, or to where there is code on this side of it."""
        block = self._block_around(cut)
        if block is None or block.content < cut < block.content_end:
            return cut
        if cut >= block.content_end:
            return block.content_end - 1 if block.content_end - 1 > max(at, block.content) else block.end
        return block.start if block.start > at else min(block.content + 1, block.end)

    def _compose(self, at: int, cut: int, inside: Block | None) -> str:
        """Return the text between two cuts, with the fences that it needs."""
        block = self._block_around(cut)
        head = f"{inside.opening}\n" if inside and inside.opening else ""
        tail = f"\n{block.closing}" if block and block.closing else ""
        return head + self._text[at:cut].rstrip() + tail

    def _resume(self, cut: int) -> tuple[int, Block | None]:
        """Return where the next piece starts after a cut, and the code block that it starts in."""
        text = self._text
        block = self._block_around(cut)
        at = _after(BLANK_LINES, text, cut)
        if block and at < block.content_end:
            return at, block
        if block:
            at = _after(BLANK_LINES, text, block.end)
        return self._unindented(at), None

    def _unindented(self, at: int) -> int:
        """Skip blanks at the start of a piece; a list's indentation stays as far as it would not make code."""
        word = _after(BLANKS, self._text, at)
        if at and self._text[at - 1] != "\n":
            return word
        if word - at < 4 and "\t" not in self._text[at:word]:
            return at
        place = bisect_left(self._blocks, at, key=_start)
        if place < len(self._blocks) and self._blocks[place].start == at:
            return at
        return word if "\t" in self._text[at:word] else word - 3

    def _block_around(self, cut: int) -> Block | None:
        """Return the code block that a cut would go through."""
        place = bisect_left(self._blocks, cut, key=_start) - 1
        return self._blocks[place] if place >= 0 and cut < self._blocks[place].end else None


def _start(block: Block) -> int:
    return block.start


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def _line_end(text: str, low: int, end: int) -> int:
    return text.rfind("\n", low, end + 1)


def _sentence_end(text: str, low: int, end: int) -> int:
    cut = 1 + max(text.rfind(mark, low, end + len(mark) - 1) for mark in SENTENCE_ENDS)
    while cut and cut < end and text[cut] in CLOSING_QUOTES:
        cut += 1
    return cut


def _word_end(text: str, low: int, end: int) -> int:
    return text.rfind(" ", low, end + 1)
