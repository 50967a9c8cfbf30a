"""A mail as a tree of parts, within bounds: so many bytes of header, so deep, so many parts.

The standard library's parser takes quadratic time for nested boundaries, and ends in recursion for deep ones;
this one looks for boundaries once, for all levels. What is beyond the
bounds stays unread, as one part without a meaning.
"""

import bisect
import dataclasses
import re
from collections.abc import Iterator
from typing import Final

from dragoman.adapters.email import charsets, headers

MAX_DEPTH: Final = 10
MAX_PARTS: Final = 100
MAX_HEADER: Final = 1 << 18
"""Bytes of a header that are read; what follows them is left out."""
MAX_LINES: Final = 4000
MAX_PART_LINES: Final = 200
"""Lines of a header that are read: of the mail, and of a part in it."""
MAX_DASHES: Final = 20_000
"""Lines that may be boundaries; those after them are not."""

MAX_TRAIL: Final = 200
"""Bytes of white space after a boundary."""

FIELD: Final = re.compile(rb"([!-9;-~]{1,100})[ \t]*:(.*)", re.DOTALL)
OPAQUE: Final = "application/octet-stream"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One part: its path as MIME numbers it (empty for a multipart that is the whole mail), its fields, its body."""

    path: str
    fields: tuple[tuple[str, bytes], ...]
    body: bytes
    mime: str
    parts: tuple["Part", ...] = ()

    def get(self, name: str) -> str:
        """Return the first field of a name as text, without decoding its words; empty when there is none."""
        return next((headers.text(raw) for field, raw in self.fields if field == name), "")

    def every(self, name: str) -> list[str]:
        """Return all fields of a name."""
        return [headers.text(raw) for field, raw in self.fields if field == name]

    def has(self, *names: str) -> bool:
        """Tell whether there is a field of one of these names."""
        return any(field in names for field, _ in self.fields)

    def content(self, most: int | None = None) -> bytes:
        """Return the body without its transfer encoding; of so many bytes of it, at most."""
        return charsets.transferred(self.body[:most], self.get("content-transfer-encoding"))

    def walk(self) -> Iterator["Part"]:
        """Yield this part and all that are in it."""
        yield self
        for part in self.parts:
            yield from part.walk()


class _Source:
    """A mail's bytes, where its lines begin with dashes (found once, for all levels), and how many parts are left."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.dashes = list(_dashes(raw))
        self.parts = MAX_PARTS


def parse(raw: bytes) -> Part:
    """Read a mail; every sequence of bytes is one."""
    return _part(_Source(raw), 0, len(raw), "", "text/plain")


def header(raw: bytes) -> Part:
    """Read a mail's header alone."""
    return Part(path="", fields=_fields(raw[: _divided(raw, 0, len(raw))[0]], MAX_PART_LINES), body=b"", mime=OPAQUE)


def _dashes(raw: bytes) -> Iterator[int]:
    at = 0 if raw.startswith(b"--") else raw.find(b"\n--") + 1
    for _ in range(MAX_DASHES):
        if not raw.startswith(b"--", at):
            return
        yield at
        at = raw.find(b"\n--", at) + 1


def _part(source: _Source, start: int, end: int, path: str, default: str) -> Part:
    """Read the part that stands between two places of a mail."""
    head, body = _divided(source.raw, start, end)
    fields = _fields(source.raw[start:head], MAX_PART_LINES if path else MAX_LINES)
    value = next((headers.text(content) for name, content in fields if name == "content-type"), "")
    mime = headers.kind(value, default if not value else "text/plain")
    boundary = headers.parameters(value).get("boundary", "").rstrip() if mime.startswith("multipart/") else ""
    depth = path.count(".") + 1 if path else 0
    if not boundary or depth >= MAX_DEPTH:
        known = mime if not mime.startswith("multipart/") else OPAQUE if path else "text/plain"
        return Part(path=path or "1", fields=fields, body=source.raw[body:end], mime=known)
    inner = "message/rfc822" if mime == "multipart/digest" else "text/plain"
    parts = []
    for number, (first, last) in enumerate(_pieces(source, body, end, boundary.encode("utf-8", "replace")), start=1):
        if source.parts <= 0:
            break
        source.parts -= 1
        parts.append(_part(source, first, last, f"{path}.{number}" if path else str(number), inner))
    rest = b"" if parts else source.raw[body:end]
    return Part(path=path, fields=fields, body=rest, mime=mime, parts=tuple(parts))


def _divided(raw: bytes, start: int, end: int) -> tuple[int, int]:
    """Return where a header ends, and where the body begins: after the first empty line."""
    for empty in (b"\n", b"\r\n"):
        if raw.startswith(empty, start, end):
            return start, start + len(empty)
    short = raw.find(b"\n\n", start, end)
    long = raw.find(b"\n\r\n", start, short if short >= 0 else end)
    if long >= 0:
        return long, long + 3
    return (short, short + 2) if short >= 0 else (end, end)


def _pieces(source: _Source, start: int, end: int, boundary: bytes) -> Iterator[tuple[int, int]]:
    """Yield where the parts of a multipart stand; one that does not end, ends with the body."""
    raw, mark, begun = source.raw, b"--" + boundary, -1
    for at in source.dashes[bisect.bisect_left(source.dashes, start) :]:
        if at >= end:
            break
        if not raw.startswith(mark, at):
            continue
        after = raw.find(b"\n", at + len(mark), at + len(mark) + MAX_TRAIL)
        after = after if after >= 0 else min(end, at + len(mark) + MAX_TRAIL)
        trail = raw[at + len(mark) : after].strip(b" \t\r")
        if trail not in {b"", b"--"}:
            continue
        if begun >= 0:
            yield begun, max(begun, at - (2 if raw.startswith(b"\r\n", at - 2) else 1))
        begun = min(after + 1, end) if not trail else -1
        if trail:
            return
    if begun >= 0:
        yield begun, end


def _fields(head: bytes, most: int) -> tuple[tuple[str, bytes], ...]:
    """Read a header's fields, unfolded; lines that are none are passed over."""
    longest = headers.LONGEST if most == MAX_LINES else headers.LONGEST_FIELD
    found: list[list[bytes]] = []
    for line in head[:MAX_HEADER].split(b"\n", most)[:most]:
        if line[:1] in {b" ", b"\t"} and found:
            found[-1].append(line.rstrip(b"\r"))
        else:
            found.append([line.rstrip(b"\r")])
    fields = (FIELD.fullmatch(b"".join(lines)) for lines in found)
    return tuple((field[1].decode("ascii").lower(), field[2][:longest].strip()) for field in fields if field)
