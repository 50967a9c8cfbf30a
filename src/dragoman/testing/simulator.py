"""The base of the platform simulators: strict, scriptable, and an oracle of what was really accepted.

A façade (one module per platform in `testing.simulators`) answers `Http` with `Response` as the
platform would, refuses what the platform refuses, and calls `accept` for every message that it takes.
`fail` scripts trouble; `sent` is the record that tests and benchmarks judge by.
"""

import abc
import asyncio
import contextlib
import dataclasses
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar

import uvicorn
from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from dragoman.wire import Http, Response


@dataclasses.dataclass(frozen=True, kw_only=True)
class Accepted:
    """One action that the platform took: when, by which method, where, what, under which key and id."""

    at: float
    method: str
    channel: str
    text: str = ""
    key: str = ""
    id: str = ""
    body: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(kw_only=True)
class Fault:
    """Trouble to make: how often, for which method, and whether before or after the action is taken."""

    times: int = 1
    method: str = ""
    status: int = 500
    body: bytes = b"upstream trouble"
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    delay: float = 0.0
    after: bool = False
    drop: bool = False
    """Close the connection without an answer."""


class Dropped(Exception):
    """The connection is to be closed without an answer."""


class Simulator(abc.ABC):
    """A platform's API as an ASGI application; subclasses answer in `handle`."""

    platform: ClassVar[str]

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        """Start empty, with a clock in epoch seconds."""
        self.clock = clock
        self.sent: list[Accepted] = []
        self.refused: list[str] = []
        self.calls: list[str] = []
        self.faults: deque[Fault] = deque()
        self._limited = True
        self._windows: dict[str, deque[float]] = {}
        self._keys: dict[str, tuple[float, Response]] = {}

    @abc.abstractmethod
    def handle(self, request: Http) -> Response:
        """Answer one call as the platform would."""

    @abc.abstractmethod
    def settings(self, url: str) -> dict[str, str]:
        """Return the account settings that fit this simulator, served at `url`."""

    @abc.abstractmethod
    def webhook(self, text: str, *, sender: str = "", channel: str = "") -> Http:
        """Return a new message to the bot in a direct chat, signed as the platform signs, with fresh ids."""

    def method_of(self, request: Http) -> str:
        """Name the API method that a request calls (for faults and the record)."""
        return request.url.rsplit("/", 1)[-1]

    def fail(self, *faults: Fault) -> None:
        """Script trouble, in order; each fault is used up `times` times by calls of its method."""
        self.faults.extend(faults)

    def accept(self, method: str, channel: str, **facts: Any) -> Accepted:
        """Record an action as taken, and return the record."""
        accepted = Accepted(at=self.clock(), method=method, channel=channel, **facts)
        self.sent.append(accepted)
        return accepted

    def refuse(self, reason: str) -> None:
        """Record why something was refused."""
        self.refused.append(reason)

    def unlimited(self) -> None:
        """Switch rate limits off, to measure the service and not the platform."""
        self._limited = False

    def exceeded(self, window: str, count: int, seconds: float) -> float:
        """Count a call against a rate; returns the seconds to wait when it is exceeded, else 0."""
        if not self._limited:
            return 0.0
        now = self.clock()
        times = self._windows.setdefault(window, deque())
        while times and times[0] <= now - seconds:
            times.popleft()
        if len(times) >= count:
            return max(0.001, times[0] + seconds - now)
        times.append(now)
        return 0.0

    def repeated(self, key: str, seconds: float) -> Response | None:
        """Return the earlier answer when this key was used within its idempotency window."""
        kept = self._keys.get(key)
        return kept[1] if kept and kept[0] > self.clock() - seconds else None

    def remember(self, key: str, response: Response) -> Response:
        """Keep the answer for the key's idempotency window, and return it."""
        self._keys[key] = (self.clock(), response)
        return response

    async def answer(self, request: Http) -> Response:
        """Answer a call, with the scripted trouble before or after it takes effect; raises `Dropped`."""
        method = self.method_of(request)
        self.calls.append(method)
        fault = self._next_fault(method)
        if fault is None:
            return self.handle(request)
        if fault.after:
            self.handle(request)
        await asyncio.sleep(fault.delay)
        if fault.drop:
            raise Dropped
        return Response(status=fault.status, headers=fault.headers, body=fault.body)

    def _next_fault(self, method: str) -> Fault | None:
        for fault in self.faults:
            if fault.method in {"", method}:
                fault.times -= 1
                if fault.times <= 0:
                    self.faults.remove(fault)
                return fault
        return None

    async def socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket (ASGI), the handshake included; by default there is none and it is refused (403).

        `peer(scope)` gives its connection, to cut it off or to fall silent.
        """
        await receive()
        await send({"type": "websocket.close", "code": 1008})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request or one WebSocket (ASGI)."""
        if scope["type"] == "websocket":
            await self.socket(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        incoming = Request(scope, receive)
        request = Http(
            method=incoming.method,
            url=incoming.url.path,
            query=dict(incoming.query_params),
            headers={name.lower(): value for name, value in incoming.headers.items()},
            body=await incoming.body(),
        )
        try:
            response = await self.answer(request)
        except Dropped:  # a response that was begun and never ends makes the server close the connection
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
            return
        await respond(send, response)


async def respond(send: Send, response: Response) -> None:
    """Write a response to an ASGI connection."""
    headers = [(name.encode(), value.encode()) for name, value in response.headers.items()]
    headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


class Peer(WebSocketsSansIOProtocol):
    """One WebSocket's connection, below its frames: it may break as a real one does."""

    def handle_connect(self, event: Any) -> None:
        """Take the handshake, and put this connection where `peer` finds it."""
        super().handle_connect(event)
        extensions: Any = getattr(self, "scope", {}).get("extensions", {})
        extensions["peer"] = self

    def cut(self) -> None:
        """Break off at once: no close frame, and nothing that is under way arrives."""
        self.transport.abort()

    def fall_silent(self) -> None:
        """Answer nothing any more, not even a ping, and leave the connection open (a half-open peer)."""
        self.transport.pause_reading()


def peer(scope: Scope) -> Peer:
    """Return the connection of a WebSocket that `serve` serves."""
    found: Peer = scope["extensions"]["peer"]
    return found


@contextlib.asynccontextmanager
async def serve(app: Any, port: int = 0) -> AsyncIterator[str]:
    """Serve an ASGI application on a loopback port while the context is open; yields its base address."""
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port,
        log_level="critical",
        lifespan="off",
        timeout_keep_alive=75,  # longer than any client keeps one: else it may close under a request
        timeout_graceful_shutdown=1,
        ws=Peer,
        ws_ping_interval=None,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:
            if task.done():
                task.result()
            await asyncio.sleep(0.005)
        number = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{number}"
    finally:
        server.should_exit = True
        await task
