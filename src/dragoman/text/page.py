"""Portable text as safe HTML for our own chat page: no markup of the author's passes, links open elsewhere."""

import functools
from collections.abc import Sequence
from typing import Any

from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from dragoman.text import syntax
from dragoman.text.styles import OPENABLE


def write(tokens: list[Token]) -> str:
    """Return tokens as HTML."""
    return _renderer().render(tokens, syntax.markdown().options, {}).rstrip("\n")


def paragraphs(text: str) -> str:
    """Return text without markup as HTML, the same as parsing it would give."""
    parts = (part for part in escapeHtml(text).split("\n\n") if part.strip())
    return "\n".join("<p>{}</p>".format(part.replace("\n", "<br>\n")) for part in parts)


class _Renderer(RendererHTML):
    """The parser's own renderer with our rules; a rule is a method named as the token's type."""

    def link_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        url = env["link"] = syntax.destination(tokens[idx])
        if not OPENABLE.match(url):
            return ""
        return f'<a href="{escapeHtml(url)}" rel="nofollow noopener noreferrer" target="_blank">'

    def link_close(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        url = env.pop("link")
        if OPENABLE.match(url):
            return "</a>"
        return f" ({escapeHtml(url)})" if url else ""

    def image(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        token = tokens[idx]
        label = syntax.visible(token.children or [])
        if "link" in env:
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
