"""What is inside a paragraph, written in a style: marks, code, links, images, line breaks."""

from collections import Counter

from markdown_it.token import Token

from dragoman.text import short, syntax
from dragoman.text.styles import OPENABLE, Style


def write(source: str, style: Style, *, strong: bool = False) -> str:
    """Return a paragraph's source as text, all of it strong when asked (a heading, a table's head)."""
    text = short.write(source, style, strong=strong)
    return _Spans(style).write(syntax.inline(source), strong=strong) if text is None else text


class _Spans:
    """One paragraph being written; knows which marks are open, for no dialect nests a mark in itself."""

    def __init__(self, style: Style) -> None:
        self._style = style
        self._parts: list[str] = []
        self._depth: Counter[str] = Counter()
        self._open: list[str] = []

    def write(self, tokens: list[Token], *, strong: bool) -> str:
        if strong:
            self._enter("strong")
        position = 0
        while position < len(tokens):
            position = self._token(tokens, position)
        if strong:
            self._leave("strong")
        return "".join(self._parts)

    def _token(self, tokens: list[Token], at: int) -> int:
        """Write the token at this position, and return the position of the next."""
        token = tokens[at]
        name, _, side = token.type.partition("_")
        if token.type == "link_open":
            end = next(after for after in range(at, len(tokens)) if tokens[after].type == "link_close")
            self._parts.append(self._reference(tokens[at + 1 : end], token))
            return end + 1
        if name in self._style.marks:
            self._mark(name, side, tokens, at)
        else:
            self._parts.append(self._leaf(token))
        return at + 1

    def _leaf(self, token: Token) -> str:
        style = self._style
        match token.type:
            case "softbreak" | "hardbreak":
                return self._line_break()
            case "code_inline":
                return style.code(token.content)
            case "image":
                return self._reference(token.children or [], token)
            case "text_special":
                return style.special(token.content)
            case _:
                return style.escape(token.content)

    def _reference(self, label: list[Token], token: Token) -> str:
        """Return a link or an image; an address that must not be opened is shown in brackets."""
        words, url, style = syntax.visible(label).strip(), syntax.destination(token), self._style
        if OPENABLE.match(url):
            return style.link(words or url, url)
        return style.escape(f"{words} ({url})" if words and url else words or url)

    def _mark(self, name: str, side: str, tokens: list[Token], at: int) -> None:
        if side == "open":
            if self._depth[name] == 0 and at and tokens[at - 1].content[-1:].isalnum():
                self._parts.append(self._style.gap)
            self._enter(name)
            return
        self._leave(name)
        if self._depth[name] == 0 and at + 1 < len(tokens) and tokens[at + 1].content[:1].isalnum():
            self._parts.append(self._style.gap)

    def _enter(self, name: str) -> None:
        self._depth[name] += 1
        if self._depth[name] == 1:
            self._open.append(name)
            self._parts.append(self._style.marks[name][0])

    def _leave(self, name: str) -> None:
        self._depth[name] -= 1
        if self._depth[name] == 0:
            self._open.remove(name)
            self._parts.append(self._style.marks[name][1])

    def _line_break(self) -> str:
        """End the open marks with the line and open them again: Slack and Feishu see no mark across lines."""
        marks = [self._style.marks[name] for name in self._open]
        closing = "".join(close for _, close in reversed(marks))
        return closing + "\n" + "".join(opening for opening, _ in marks)
