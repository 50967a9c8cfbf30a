"""Blocks written in a style: paragraphs, lists, quotes, code and tables, laid out on lines as the author did.

Blocks that follow one another directly in the source do so in the result; one or more blank lines
between them become one.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Final

from markdown_it.token import Token

from dragoman.text import spans, syntax
from dragoman.text.styles import Style


def write(tokens: list[Token], style: Style) -> str:
    """Return block tokens as text."""
    return _Page(style).write(tokens)


@dataclasses.dataclass(kw_only=True)
class _Container:
    """An open quote or list item: what stands before its first line, and before the others; an item's line."""

    first: str
    rest: str
    code_rest: str
    line: int = 0
    closing: str = ""
    used: bool = False


class _Page:
    """One text being written, block after block."""

    def __init__(self, style: Style) -> None:
        self._style = style
        self._out: list[str] = []
        self._open: list[_Container] = []
        self._kept = 0  # how many of the open containers held the last block too
        self._line = 0  # the source line after the last block
        self._apart = False  # a blank line must come next
        self._strong = False
        self._lines: tuple[int, int] | None = None  # the source lines of the heading or table being written
        self._numbers: list[Iterator[int] | None] = []
        self._rows: list[list[str]] = []
        self._quotes = 0

    def write(self, tokens: list[Token]) -> str:
        for token in tokens:
            handler = _HANDLERS.get(token.type)
            if handler:
                handler(self, token)
        return "".join(self._out)

    def inline(self, token: Token) -> None:
        text = spans.write(token.content, self._style, strong=self._strong)
        if self._rows:
            self._rows[-1].append(text)
        elif token.content:
            self._block(text, self._lines or syntax.lines(token))

    def start_heading(self, token: Token) -> None:
        self._lines = syntax.lines(token)
        self._strong = True

    def end_heading(self, _: Token) -> None:
        self._lines = None
        self._strong = False

    def start_head_cell(self, _: Token) -> None:
        self._strong = True

    def end_head_cell(self, _: Token) -> None:
        self._strong = False

    def rule(self, token: Token) -> None:
        self._apart = True  # under a paragraph it would make that a heading
        self._block("---", syntax.lines(token))

    def code(self, token: Token) -> None:
        text = self._style.fence(token.content.removesuffix("\n"), syntax.language(token))
        self._block(text, syntax.lines(token), code=True)

    def start_list(self, token: Token) -> None:
        ordered = token.type == "ordered_list_open"
        self._numbers.append(itertools.count(int(token.attrGet("start") or 1)) if ordered else None)

    def end_list(self, _: Token) -> None:
        self._numbers.pop()
        self._stand_apart()

    def start_item(self, token: Token) -> None:
        numbers = self._numbers[-1]
        marker = self._style.bullet if numbers is None else f"{next(numbers)}{token.markup} "
        indent = " " * max(self._style.indent, len(marker))
        rest = indent if self._style.code_indents else ""
        self._open.append(_Container(first=marker, rest=indent, code_rest=rest, line=syntax.lines(token)[0]))

    def end_item(self, _: Token) -> None:
        if not self._open[-1].used:
            self._block("", (self._open[-1].line, self._open[-1].line + 1))
        self._close()

    def start_quote(self, _: Token) -> None:
        opening, prefix, closing = self._style.quote
        if self._quotes and not self._style.quotes_nest:
            opening = prefix = closing = ""
        self._quotes += 1
        self._open.append(_Container(first=opening + prefix, rest=prefix, code_rest=prefix, closing=closing))

    def end_quote(self, _: Token) -> None:
        self._quotes -= 1
        self._close()
        self._stand_apart()

    def start_table(self, token: Token) -> None:
        self._lines = syntax.lines(token)

    def start_row(self, _: Token) -> None:
        self._rows.append([])

    def end_table(self, _: Token) -> None:
        if self._lines:
            self._block("\n".join(" | ".join(row) for row in self._rows), self._lines)
        self._lines, self._rows = None, []

    def _close(self) -> None:
        container = self._open.pop()
        if container.used:
            self._out.append(container.closing)
        self._kept = min(self._kept, len(self._open))

    def _stand_apart(self) -> None:
        # Else the next line, where it is no paragraph in the source, could be read as the container's last.
        self._apart = self._apart or not self._open

    def _block(self, text: str, lines: tuple[int, int], *, code: bool = False) -> None:
        start, end = lines
        self._separate(start)
        first, *others = text.split("\n")
        self._out.append(_line(self._begin(code=code), first))
        rest = "".join(container.code_rest if code else container.rest for container in self._open)
        self._out.extend("\n" + _line(rest, line) for line in others)
        self._kept, self._line, self._apart = len(self._open), end, False

    def _separate(self, start: int) -> None:
        if not self._out:
            return
        if self._apart or start > self._line:
            self._out.append("\n" + "".join(container.rest for container in self._open[: self._kept]).rstrip())
        self._out.append("\n")

    def _begin(self, *, code: bool) -> str:
        """Return what stands before a block's first line: each marker once, then its indentation."""
        prefix = ""
        for container in self._open:
            rest = container.code_rest if code else container.rest
            prefix += rest if container.used else container.first
            container.used = True
        return prefix


def _line(prefix: str, text: str) -> str:
    return prefix + text if text else prefix.rstrip(" ")


_HANDLERS: Final[dict[str, Callable[[_Page, Token], None]]] = {
    "inline": _Page.inline,
    "heading_open": _Page.start_heading,
    "heading_close": _Page.end_heading,
    "hr": _Page.rule,
    "fence": _Page.code,
    "code_block": _Page.code,
    "bullet_list_open": _Page.start_list,
    "bullet_list_close": _Page.end_list,
    "ordered_list_open": _Page.start_list,
    "ordered_list_close": _Page.end_list,
    "list_item_open": _Page.start_item,
    "list_item_close": _Page.end_item,
    "blockquote_open": _Page.start_quote,
    "blockquote_close": _Page.end_quote,
    "table_open": _Page.start_table,
    "tr_open": _Page.start_row,
    "th_open": _Page.start_head_cell,
    "th_close": _Page.end_head_cell,
    "table_close": _Page.end_table,
}
