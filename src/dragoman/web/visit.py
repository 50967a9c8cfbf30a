"""One request of a hook on its connection, from its headers to its answer."""

import asyncio
import functools
import select
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HEADER_RE, HEADER_VALUE_RE, STATUS_LINE, HttpToolsProtocol

from dragoman.flow.account import Account
from dragoman.web.hooks import Disconnected, unfinished
from dragoman.wire import MAX_BODY, Http, Response

CLOSE: Final = b"connection: close\r\n"
HALF_CLOSED: Final = getattr(select, "POLLRDHUP", 0)
"""Linux tells that the other side has ended its part; a reset is told everywhere."""


class Visit:
    """A request, and the caller who waits for its answer.

    The protocol keeps it where uvicorn keeps its `RequestResponseCycle`, so that requests of both sorts wait for one
    another on a connection: uvicorn reads `response_complete`, and sets `disconnected`, `keep_alive` and
    `message_event`.
    """

    __slots__ = (
        "_body",
        "_door",
        "_headers",
        "_leaving",
        "_method",
        "_path",
        "_query",
        "account",
        "disconnected",
        "keep_alive",
        "refusal",
        "response_complete",
        "whole",
    )
    message_event: ClassVar[asyncio.Event] = asyncio.Event()
    """Of all visits: uvicorn sets it when a connection is lost, and nobody waits for it."""

    def __init__(self, door: HttpToolsProtocol, method: str, target: tuple[str, str], headers: dict[str, str]) -> None:
        """Begin with a request's headers; `target` is its path and its query, `door` the connection's protocol."""
        self._door = door
        self._method = method
        self._path, self._query = target
        self._headers = headers
        self._body: bytes | bytearray = b""
        self._leaving: asyncio.Future[None] | None = None
        self.account: Account | None = None
        self.refusal: Response | None = None
        """What it is answered where it is not served."""
        self.whole = False
        """Whether the whole body has come."""
        self.keep_alive = True
        self.disconnected = False
        self.response_complete = False

    def take(self, piece: bytes) -> bool:
        """Take a piece of the body; tells whether it is still one that we read."""
        if not self._body:
            self._body = piece
        elif isinstance(self._body, bytes):
            self._body = bytearray(self._body)
            self._body += piece
        else:
            self._body += piece
        return len(self._body) <= MAX_BODY

    def request(self) -> Http:
        """Return the request, which is whole, and forget its body."""
        body, self._body = self._body, b""
        query = dict(parse_qsl(self._query, keep_blank_values=True)) if self._query else {}
        return Http(method=self._method, url=self._path, query=query, headers=self._headers, body=bytes(body))

    def leave(self) -> None:
        """Take note that the connection is lost."""
        if not self.response_complete:
            self.disconnected = True
            if self._leaving is not None and not self._leaving.done():
                self._leaving.set_result(None)

    def leaving(self) -> asyncio.Future[None]:
        """Return what is done when the caller goes away without its answer."""
        self._leaving = self._door.loop.create_future()
        if self.disconnected:
            self._leaving.set_result(None)
        return self._leaving

    def ready(self) -> bool:
        """Tell whether an answer can be written now: the caller is there, and has read enough."""
        door = self._door
        return not (self.disconnected or door.flow.write_paused or door.transport.is_closing())

    async def writable(self) -> None:
        """Wait until the caller has read enough of what was written before; raises `Disconnected` when it is gone."""
        flow: FlowControl = self._door.flow
        if flow.write_paused and not self.disconnected:
            await flow.drain()
        if self.disconnected or self._door.transport.is_closing():
            raise Disconnected
        if flow.read_paused and _hung_up(self._door.transport):
            self.disconnected = self.response_complete = True
            self._door.on_response_complete()  # what came behind it has come, too
            raise Disconnected

    def write(self, response: Response) -> bool:
        """Write the answer, and let the next request of the connection begin; tells whether it was open until then."""
        transport = self._door.transport
        transport.write(self._bytes(response))
        was_open = not transport.is_closing()
        self.response_complete = True
        if not self.keep_alive:
            transport.close()
        self._door.on_response_complete()
        return was_open

    def end(self) -> None:
        """Take note that nothing more is done: who is still there without an answer is told to come back."""
        if not (self.response_complete or self.disconnected or self._door.transport.is_closing()):
            self.keep_alive = False
            self.write(unfinished())

    def _bytes(self, response: Response) -> bytes:
        lines = header_lines(tuple(response.headers.items())) if response.headers else b""
        if CLOSE in lines:
            self.keep_alive = False
        elif not self.keep_alive:
            lines += CLOSE
        head = STATUS_LINE[response.status]
        for header in self._door.server_state.default_headers:
            head += b"%s: %s\r\n" % header
        body = response.body if self._method != "HEAD" else b""
        return b"%b%bcontent-length: %d\r\n\r\n%b" % (head, lines, len(response.body), body)


def _hung_up(transport: asyncio.Transport) -> bool:
    """Ask the system whether the caller has ended its side: while a request waits behind, we read nothing of that."""
    asking = select.poll()
    asking.register(transport.get_extra_info("socket"), HALF_CLOSED)
    return bool(asking.poll(0))


@functools.lru_cache(maxsize=256)
def header_lines(headers: tuple[tuple[str, str], ...]) -> bytes:
    """Write headers as lines; raises `ValueError` for what would not be one line each."""
    lines = []
    for name, value in headers:
        line: Any = (name.encode().lower(), value.encode())
        if HEADER_RE.search(line[0]) or HEADER_VALUE_RE.search(line[1]):
            raise ValueError(f"not a header: {name[:40]!r}")
        lines.append(b"%s: %s\r\n" % line)
    return b"".join(lines)
