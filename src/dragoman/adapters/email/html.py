"""HTML to the text that a reader sees: blocks on lines, links with their addresses, quotes behind `>`.

The standard library's `HTMLParser` takes quadratic time for unfinished tags; this one looks at each character
once, and knows no more of HTML than mails need. What is not closed ends with the text.
"""

import html
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

MAX_HTML: Final = 1 << 20
MAX_TAGS: Final = 15_000
MAX_TEXT: Final = 1 << 18
"""Characters and tags that are read, and characters that come out."""
MAX_QUOTES: Final = 8
MAX_TAG: Final = 10_000
MAX_VALUES: Final = 50
"""Characters of a tag, and values of it, in which `>` does not end it because it stands in quotes."""

SILENT: Final = frozenset({"script", "style", "head", "title", "template", "noscript", "svg", "math", "textarea"})
"""Elements whose content nobody reads, or that a mail has no use for."""
BLOCKS: Final = frozenset(
    """
    address article aside blockquote body center dd details div dl dt fieldset figcaption figure footer form h1 h2 h3
    h4 h5 h6 header hr html legend li main nav ol p pre section table tbody tfoot thead tr ul
    """.split()  # noqa: SIM905 - forty names read better as a block
)
PARAGRAPHS: Final = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "table", "pre", "blockquote"})
"""Blocks with an empty line around them."""
OPENED: Final = re.compile(r"<(?=[a-zA-Z/!?])")
NAME: Final = re.compile(r"/?([a-zA-Z][a-zA-Z0-9:-]{0,40})")
HREF: Final = re.compile(r"""\shref\s{0,20}=\s{0,20}(?:"([^"]*)"|'([^']*)'|([^\s>"']+))""", re.IGNORECASE)
ALT: Final = re.compile(r"""\salt\s{0,20}=\s{0,20}(?:"([^"]*)"|'([^']*)'|([^\s>"']+))""", re.IGNORECASE)
FOLLOWED: Final = re.compile(r"(?:https?|mailto|tel|ftp):", re.IGNORECASE)
SCHEME: Final = re.compile(r"(?:https?://(?:www\.)?|mailto:|tel:)")
SPACE: Final = re.compile(r"[ \t\n\f\r]+")


class Tag(NamedTuple):
    """An element's beginning or end; `source` is what stands between the angle brackets."""

    name: str
    closes: bool
    source: str


def to_text(source: str) -> tuple[str, bool]:
    """Return HTML as plain text, and whether there was more of it than is read."""
    writer, tags = _Writer(), 0
    for piece in _pieces(source[:MAX_HTML]):
        if isinstance(piece, Tag):
            writer.tag(piece)
            tags += 1
        else:
            writer.say(html.unescape(piece))
        if writer.size > MAX_TEXT or tags > MAX_TAGS:
            return writer.text(), True
    return writer.text(), len(source) > MAX_HTML


def _pieces(source: str) -> Iterator[Tag | str]:
    """Yield tags, and the text between them, as they stand."""
    at = 0
    while at < len(source):
        opened = OPENED.search(source, at)
        if opened is None or opened.start() > at:
            yield source[at : opened.start() if opened else len(source)]
        if opened is None:
            return
        name = NAME.match(source, opened.end())
        if name is None:
            at = _past(source, "-->" if source.startswith("!--", opened.end()) else ">", opened.end())
        else:
            end = _end(source, name.end())
            tag = Tag(name=name[1].lower(), closes=source[opened.end()] == "/", source=source[name.end() : end])
            yield tag
            at = _after_silence(source, tag, end + 1)


def _end(source: str, at: int) -> int:
    """Return where a tag ends: at the first `>` outside of quotes, or, where quotes do not close, at the first."""
    plain = source.find(">", at)
    if plain < 0:
        return len(source)
    end, start = plain, at
    for _ in range(MAX_VALUES):
        quote = _first_quote(source, start, min(end, at + MAX_TAG))
        if quote < 0:
            return end
        closing = source.find(source[quote], quote + 1, quote + MAX_TAG)
        if closing < 0:
            return plain
        if closing > end:
            end = source.find(">", closing, closing + MAX_TAG)
            if end < 0:
                return plain
        start = closing + 1
    return end


def _first_quote(source: str, start: int, end: int) -> int:
    """Return where the first value in quotes begins."""
    found = [at for at in (source.find('="', start, end), source.find("='", start, end)) if at >= 0]
    return min(found) + 1 if found else -1


def _after_silence(source: str, tag: Tag, at: int) -> int:
    """Return where reading goes on: after an element whose content is none of ours."""
    if tag.closes or tag.name not in {"script", "style", "title", "textarea"} or tag.source.endswith("/"):
        return at
    found = re.compile(f"</{tag.name}", re.IGNORECASE).search(source, at)
    return found.start() if found else len(source)


def _past(source: str, mark: str, at: int) -> int:
    found = source.find(mark, at)
    return found + len(mark) if found >= 0 else len(source)


class _Writer:
    """Lines being written."""

    def __init__(self) -> None:
        self.size = 0
        self._lines: list[str] = []
        self._line: list[str] = []
        self._gap = False  # white space stands before what comes next
        self._apart = False  # an empty line comes first
        self._silent: list[str] = []
        self._quotes = 0
        self._depth = 0  # of the last line that was written
        self._pre = 0
        self._href = ""
        self._label: list[str] = []

    def tag(self, tag: Tag) -> None:
        if tag.name in SILENT and not tag.source.endswith("/"):
            self._silence(tag)
        elif self._silent and tag.name not in {"body", "html"}:
            return
        elif tag.name in BLOCKS:
            self._silent.clear()
            self._block(tag)
        elif tag.name in INLINE:
            INLINE[tag.name](self, tag)

    def say(self, words: str) -> None:
        """Write text; white space is one space, but for preformatted text."""
        if self._silent:
            return
        if self._pre:
            first, *others = words.split("\n")
            self._put(first)
            for other in others:
                self._break()
                self._put(other)
            return
        text = SPACE.sub(" ", words)
        if text.startswith(" "):
            self._gap = True
        if text.strip(" "):
            self._put((" " if self._gap and self._line and not self._line[-1].endswith(" ") else "") + text.strip(" "))
            self._gap = text.endswith(" ")

    def text(self) -> str:
        """Return what was written."""
        self._break()
        return "\n".join(self._lines).strip("\n")[:MAX_TEXT]

    def _silence(self, tag: Tag) -> None:
        if not tag.closes:
            if len(self._silent) < 100:
                self._silent.append(tag.name)
        elif tag.name in self._silent:
            del self._silent[self._silent.index(tag.name) :]

    def _put(self, text: str) -> None:
        if text:
            self._line.append(text)
            self.size += len(text)
            if self._href:
                self._label.append(text)

    def _break(self) -> None:
        """End the line that is being written."""
        line = "".join(self._line).rstrip()
        mark = ">" * self._quotes + " " if self._quotes else ""
        if line:
            if self._apart and self._lines:
                self._lines.append(">" * min(self._depth, self._quotes))
            self._lines.append(mark + line)
            self.size += len(mark) + 1
            self._apart, self._depth = False, self._quotes
        self._line, self._gap = [], False

    def _block(self, tag: Tag) -> None:
        self._break()
        self._apart |= tag.name in PARAGRAPHS
        step = -1 if tag.closes else 1
        if tag.name == "blockquote":
            self._quotes = min(MAX_QUOTES, max(0, self._quotes + step))
        elif tag.name == "pre":
            self._pre = min(MAX_QUOTES, max(0, self._pre + step))
        elif tag.name == "li" and not tag.closes:
            self._put("- ")
        elif tag.name == "hr":
            self._put("---")
            self._break()

    def _new_line(self, _: Tag) -> None:
        blank = not self._line
        self._break()
        if blank:
            self._apart = True

    def _cell(self, tag: Tag) -> None:
        self._gap |= not tag.closes

    def _image(self, tag: Tag) -> None:
        if alt := _attribute(ALT, tag):
            self.say(f"[{alt}]")

    def _link(self, tag: Tag) -> None:
        if self._href:
            self._end_link()
        if not tag.closes:
            href = _attribute(HREF, tag)
            self._href = href if FOLLOWED.match(href) else ""

    def _end_link(self) -> None:
        """Write where a link leads, unless its label says so."""
        href, label = self._href, "".join(self._label).strip()
        self._href, self._label = "", []
        if not label:
            self.say(href)
        elif _bare(label) != _bare(href):
            self._put(f" <{href}>")


def _bare(address: str) -> str:
    """Return a web address as people write it."""
    return SCHEME.sub("", address.lower()).rstrip("/")


def _attribute(pattern: re.Pattern[str], tag: Tag) -> str:
    found = pattern.search(tag.source[:20_000])
    value = next((group for group in found.groups() if group), "") if found else ""
    return SPACE.sub(" ", html.unescape(value[:2000])).strip()


INLINE: Final = {
    "br": _Writer._new_line,  # noqa: SLF001 - a table of its own methods
    "td": _Writer._cell,  # noqa: SLF001 - the same
    "th": _Writer._cell,  # noqa: SLF001 - the same
    "img": _Writer._image,  # noqa: SLF001 - the same
    "a": _Writer._link,  # noqa: SLF001 - the same
}
