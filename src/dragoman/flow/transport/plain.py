"""Plain HTTP requests as bytes: JSON, a form, raw bytes or nothing, to an address of http or https.

They are written as aiohttp writes them, which carries all others: those with files, with a header that says how the
connection is used, or with an address that is to be judged first.
"""

import functools
import json
import re
import socket
import zlib
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import msgspec
from aiohttp.http import SERVER_SOFTWARE
from yarl import URL

from dragoman.errors import NoAnswer
from dragoman.wire import Http, Response

WITH_BODY: Final = frozenset({"PATCH", "POST", "PUT"})
"""Methods whose body has a type even when it is empty."""
WITHOUT_BODY: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that say nothing of a body when there is none."""
REPEATABLE: Final = WITHOUT_BODY | {"DELETE", "PUT"}
"""Methods that may go once more when the connection ended before an answer began (RFC 9112, 9.3.1)."""
METHODS: Final = WITH_BODY | REPEATABLE
PARTICULAR: Final = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "host",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that make a request anything but plain."""
DEFAULTS: Final = (
    ("accept", "Accept: */*"),
    ("accept-encoding", "Accept-Encoding: gzip, deflate"),
    ("user-agent", f"User-Agent: {SERVER_SOFTWARE}"),
)

PIECES: Final = 100
"""Pieces of gzip that one body may have."""
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Origin(NamedTuple):
    """Where a connection leads."""

    host: str
    port: int
    tls: bool


class Plain(msgspec.Struct, frozen=True, gc=False):
    """A request as it goes out."""

    origin: Origin
    method: str
    content: bytes


class _Place(NamedTuple):
    """What an address says: where to connect, and what to ask there."""

    origin: Origin
    target: str
    host: str


class _Head(NamedTuple):
    """The beginning of a request, and whether it says what its body is."""

    origin: Origin
    method: str
    before: bytes
    typed: bool


def written(request: Http) -> Plain | None:
    """Write a request; None if it is not plain. Raises `ValueError` for a header with control characters."""
    if request.into != "memory" or request.parts or request.upload is not None:
        return None
    head = _head(request.method, request.url, tuple(request.query.items()), tuple(request.headers.items()))
    if head is None:
        return None
    body, kind = _body(request)
    lines = b""
    if kind or head.method not in WITHOUT_BODY:
        lines = b"\r\nContent-Length: %d" % len(body)
    if (kind or head.method in WITH_BODY) and not head.typed:
        lines += b"\r\nContent-Type: " + (kind or "application/octet-stream").encode()
    return Plain(head.origin, head.method, b"%b%b\r\n\r\n%b" % (head.before, lines, body))


@functools.lru_cache(1024)
def _head(
    method: str, url: str, query: tuple[tuple[str, str], ...], given: tuple[tuple[str, str], ...]
) -> _Head | None:
    """Write a request up to what depends on its body; an account's calls have the same again and again."""
    place, method = _place(url, query), method.upper()
    headers = {name.lower(): name + ": " + value for name, value in given}
    if place is None or method not in METHODS or not PARTICULAR.isdisjoint(headers):
        return None
    _check("".join(headers.values()))
    lines = [f"{method} {place.target} HTTP/1.1", "Host: " + place.host, *headers.values()]
    lines += [line for name, line in DEFAULTS if name not in headers]
    return _Head(place.origin, method, "\r\n".join(lines).encode("utf-8", "ignore"), typed="content-type" in headers)


def _check(headers: str) -> None:
    if not headers.isprintable() and _CONTROL.search(headers):
        raise ValueError("a control character in a header, which could be read as another header")


def _body(request: Http) -> tuple[bytes, str]:
    """Return the body and its type; no type where there is no body."""
    if request.json is not None:
        return _json(request.json), "application/json"
    if request.form is not None:
        form = {name: str(value) for name, value in request.form.items()}
        return urlencode(form).encode(), "application/x-www-form-urlencoded"
    return request.body, "application/octet-stream" if request.body else ""


def _json(value: dict[str, Any]) -> bytes:
    """Encode quickly; what only the standard library takes (half a surrogate pair, say) is left to it."""
    try:
        return msgspec.json.encode(value)
    except (UnicodeEncodeError, TypeError):
        return json.dumps(value).encode()


@functools.lru_cache(1024)
def _place(url: str, query: tuple[tuple[str, str], ...]) -> _Place | None:
    """Read an address once; None for one that is not plain, or none at all."""
    try:
        address = URL(url).extend_query(query)
        host, port, scheme = address.raw_host or "", address.port, address.scheme
    except ValueError:
        return None
    shown, target = address.host_port_subcomponent or "", address.raw_path_qs
    if scheme not in {"http", "https"} or not host or not port or address.raw_user or address.raw_password:
        return None
    if host.endswith("..") or _is_number(host) or not (shown + target).isprintable():
        return None
    return _Place(Origin(host, port, scheme == "https"), target, shown)


def _is_number(host: str) -> bool:
    """Tell whether a host is an IPv4 address in another form than four decimal numbers."""
    try:
        return socket.inet_ntoa(socket.inet_aton(host)) != host
    except OSError:
        return False


def unpacked(response: Response, most: int) -> Response:
    """Undo the packing of an answer's body, up to `most` bytes; raises `NoAnswer` if it is broken."""
    coding = response.headers.get("content-encoding", "").lower()
    if not response.body or coding not in {"gzip", "deflate"}:
        return response
    try:
        body = _inflated(response.body, coding, most)
    except zlib.error as error:
        raise NoAnswer("no answer: its body is packed wrongly", sent=True) from error
    return Response(status=response.status, headers=response.headers, body=body)


def _inflated(body: bytes, coding: str, most: int) -> bytes:
    """Inflate; several pieces of gzip may follow one another, and `deflate` may come with its frame or without."""
    bits = 31 if coding == "gzip" else 15 if body[0] & 15 == 8 else -15
    whole = bytearray()
    for _ in range(PIECES):
        piece = zlib.decompressobj(bits)
        whole += piece.decompress(body, most - len(whole))
        if not piece.eof and len(whole) < most:
            raise zlib.error("it ends early")
        body = piece.unused_data
        if not body or len(whole) >= most:
            return bytes(whole)
    raise zlib.error("it has too many pieces")  # each copies all that follow it
