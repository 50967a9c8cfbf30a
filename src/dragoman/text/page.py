"""Portable text as safe HTML for our own chat page: no markup of the author's passes, links open elsewhere."""

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import Any, Final

from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from dragoman.text import short, syntax
from dragoman.text.styles import OPENABLE, PLAIN


def write(tokens: list[Token]) -> str:
    """Return block tokens as HTML."""
    for token in tokens:
        if token.type == "inline":
            token.children = _children(token.content)
    return _renderer().render(tokens, syntax.markdown().options, {}).rstrip("\n")


def paragraphs(sources: Iterable[str]) -> str:
    """Return the sources of paragraphs as HTML."""
    written = (_renderer().renderInline(_children(source), syntax.markdown().options, {}) for source in sources)
    return "\n".join(f"<p>{each}</p>" for each in written)


def literal(text: str) -> str:
    """Return text as HTML that shows it as it is."""
    return "\n".join(f"<p>{_escaped(part)}</p>" for part in text.split("\n\n") if part.strip())


def _children(source: str) -> list[Token]:
    text = short.write(source, SHORT)
    return syntax.inline(source) if text is None else [Token("html_inline", "", 0, content=text)]


def _opening(url: str) -> str:
    return f'<a href="{escapeHtml(url)}" rel="nofollow noopener noreferrer" target="_blank">'


def _escaped(text: str) -> str:
    return escapeHtml(text).replace("\n", "<br>\n")


SHORT: Final = dataclasses.replace(
    PLAIN,
    escape=_escaped,
    marks={"strong": ("<strong>", "</strong>"), "em": ("<em>", "</em>")},
    code=lambda code: f"<code>{escapeHtml(code)}</code>",
    link=lambda label, url: f"{_opening(url)}{escapeHtml(label)}</a>",
)
"""How the short way writes HTML."""


class _Renderer(RendererHTML):
    """The parser's own renderer with our rules; a rule is a method named as the token's type."""

    def link_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        # In a link's label may stand an address in angle brackets: it is no link of its own there.
        url = "" if env.get("links") else syntax.destination(tokens[idx])
        env.setdefault("links", []).append(url)
        if not OPENABLE.match(url):
            return ""
        return _opening(url)

    def link_close(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        url = env["links"].pop()
        if OPENABLE.match(url):
            return "</a>"
        return f" ({escapeHtml(url)})" if url else ""

    def image(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        token = tokens[idx]
        label = syntax.visible(token.children or [])
        if env.get("links"):
            return escapeHtml(label)
        url = syntax.destination(token)
        inner = Token("text", "", 0, content=label or url)
        link = Token("link_open", "a", 1, attrs={"href": url})
        return self.renderInline([link, inner, Token("link_close", "a", -1)], options, env)

    def text_special(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return escapeHtml(tokens[idx].content)

    def th_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return "<th>"  # without the alignment: a style attribute is against the page's content policy

    def td_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return "<td>"


@functools.cache
def _renderer() -> _Renderer:
    return _Renderer()
