"""Feishu's side of the long connection, strict: addresses for one use, and nothing forgotten that is not acknowledged.

Source: open.feishu.cn, "Receive events through persistent connection"; the official SDK's `ws/client.py`.
"""

import asyncio
import base64
import contextlib
import dataclasses
import itertools
import math
import secrets
from typing import Any, Final, Literal
from urllib.parse import parse_qs, urlencode

import msgspec
from starlette.types import Receive, Scope, Send

from dragoman import wire
from dragoman.adapters.feishu import frames
from dragoman.errors import Malformed
from dragoman.testing.simulators.feishu.rules import Refusal, Strict
from dragoman.wire import Http, Response

PATH: Final = "/callback/ws/"
SERVICE: Final = 33554678
MOST: Final = 50
"""Connections that an app may have."""
ATTEMPTS: Final = 5
"""How often an event is sent; Feishu repeats four times."""

BAD_FRAME: Final = 1002
TEXT_FRAME: Final = 1003


class EndpointBody(Strict):
    """What the endpoint is asked with."""

    AppID: str
    AppSecret: str


class Verdict(Strict):
    """The payload of an acknowledgement."""

    code: Literal[200, 500]
    headers: None = None
    data: str | None = None


PING: Final = frames.Frame(service=SERVICE, method=frames.CONTROL, headers=(("type", "ping"),))


class Wrong(Exception):
    """A frame is not what it should be; with a code the socket is closed for it."""

    def __init__(self, problem: str, code: int = 0) -> None:
        """Say what is wrong, and with which code to close."""
        super().__init__(problem)
        self.code = code


@dataclasses.dataclass(kw_only=True)
class Pushed:
    """An event on its way: how often it was sent, and what came back."""

    message_id: str
    kind: str
    payload: bytes
    due: float = 0.0
    sent: int = 0
    acked: bool = False
    answer: bytes = b""
    """What a card's callback was answered with."""
    asked: dict[int, frames.Frame] = dataclasses.field(default_factory=dict)
    """The frames that may be acknowledged, by `SeqID`; they are those of the last attempt."""


class Gateway:
    """The endpoint, the open sockets and the events; what happened is kept for the tests to judge by."""

    def __init__(self, app: tuple[str, str], refused: list[str]) -> None:
        """Serve one app (its id and secret); what is refused is written down in `refused`."""
        self.config: dict[str, int] = {
            "ReconnectCount": -1,
            "ReconnectInterval": 120,
            "ReconnectNonce": 30,
            "PingInterval": 120,
        }
        """What the endpoint and each pong say."""
        self.deadline = 3.0
        self.retry = 15.0
        """Seconds in which an event must be acknowledged, and after which it is then sent again."""
        self.largest = 4096
        """Bytes of an event that one frame takes."""
        self.silent = False
        """Say nothing any more: no event, no pong."""
        self.open: list[Send] = []
        """What writes to each open socket."""
        self.opened = 0
        self.most_open = 0
        self.pings = 0
        self.late = 0
        """Acknowledgements that came when the event was already to be sent again."""
        self.acks: list[frames.Frame] = []
        self.closed: list[int] = []
        """With which codes our clients closed."""
        self.events: dict[str, Pushed] = {}
        self.pending: dict[str, Pushed] = {}
        """Those that are not acknowledged yet; what was sent five times in vain moves to `lost`."""
        self.lost: list[Pushed] = []
        self._app = app
        self._refused = refused
        self._tickets: set[str] = set()
        self._numbers = itertools.count(1)
        self._news = asyncio.Event()

    # What happens

    def push(self, payload: bytes, kind: str = "event") -> Pushed:
        """Send an event, to one of the connections, until it is acknowledged."""
        pushed = Pushed(message_id=secrets.token_hex(16), kind=kind, payload=payload)
        self.events[pushed.message_id] = self.pending[pushed.message_id] = pushed
        self._news.set()
        return pushed

    async def hang_up(self, code: int = 1001, reason: str = "") -> None:
        """Close all connections."""
        while self.open:
            await self.open.pop()({"type": "websocket.close", "code": code, "reason": reason})

    # The endpoint

    def endpoint(self, request: Http) -> Response:
        """Grant the address of a socket, with a ticket in it that is good once."""
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise Refusal(1, "content-type is not application/json")
        if request.headers.get("locale") != "zh":
            raise Refusal(1, "locale is missing")
        try:
            body = wire.decode(request.body, EndpointBody)
        except Malformed as error:
            raise Refusal(1000040344, str(error), 200) from error
        if not (body.AppID and body.AppSecret):
            raise Refusal(1000040344, "no credential", 200)
        if (body.AppID, body.AppSecret) != self._app:
            raise Refusal(514, "auth failed", 200)
        if len(self.open) >= MOST:
            raise Refusal(1000040350, "the number of connections exceeded the limit", 200)
        ticket = secrets.token_hex(16)
        self._tickets.add(ticket)
        query = {"device_id": secrets.token_hex(8), "service_id": SERVICE, "ticket": ticket}
        address = f"ws://{request.headers['host']}{PATH}?{urlencode(query)}"
        return wire.json_response({"code": 0, "msg": "", "data": {"URL": address, "ClientConfig": self.config}})

    # The sockets

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket until it is closed."""
        await receive()
        if refusal := self._stranger(scope):
            self._refused.append(f"handshake: {refusal['handshake-msg']}")
            await _refuse(send, refusal)
            return
        await send({"type": "websocket.accept"})
        self.opened += 1
        self.open.append(send)
        self.most_open = max(self.most_open, len(self.open))
        pump = asyncio.create_task(self._pump())
        try:
            await self._listen(send, receive)
        finally:
            pump.cancel()
            if send in self.open:
                self.open.remove(send)

    def _stranger(self, scope: Scope) -> dict[str, str]:
        """Say why a handshake is refused, as headers."""
        query = parse_qs(scope["query_string"].decode())
        (ticket,) = query.get("ticket", [""])
        if scope["path"] != PATH or ticket not in self._tickets:
            return {"handshake-status": "514", "handshake-msg": "ticket invalid", "handshake-autherrcode": "1000040341"}
        self._tickets.remove(ticket)
        return {}

    async def _listen(self, send: Send, receive: Receive) -> None:
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                self.closed.append(message.get("code") or 1005)
                return
            try:
                answer = self._take(message.get("bytes"))
            except Wrong as wrong:
                self._refused.append(f"socket: {wrong}")
                if wrong.code:
                    await send({"type": "websocket.close", "code": wrong.code, "reason": str(wrong)})
                continue
            if answer and not self.silent:
                await send({"type": "websocket.send", "bytes": answer})

    def _take(self, raw: bytes | None) -> bytes:
        """Take a frame, and return what it is answered with; raises `Wrong`."""
        if raw is None:
            raise Wrong("a text frame", TEXT_FRAME)
        try:
            frame = frames.read(raw)
        except Malformed as error:
            raise Wrong(str(error), BAD_FRAME) from error
        if frame.service != SERVICE:
            raise Wrong(f"service {frame.service}")
        if frame.method == frames.CONTROL:
            return self._ping(frame)
        self._ack(frame)
        return b""

    def _ping(self, frame: frames.Frame) -> bytes:
        if frame != PING:
            raise Wrong("a ping of another form")
        self.pings += 1
        payload = msgspec.json.encode(self.config)
        return frames.write(frames.Frame(service=SERVICE, headers=(("type", "pong"),), payload=payload))

    def _ack(self, frame: frames.Frame) -> None:
        """Take an acknowledgement: of a frame that was sent, unchanged but for the time and the payload."""
        pushed = self.events.get(frame.header("message_id"))
        asked = pushed.asked.get(frame.SeqID) if pushed else None
        if pushed is None or asked is None:
            raise Wrong("an acknowledgement of nothing")
        if pushed.acked:
            raise Wrong("acknowledged twice")
        try:
            verdict = _verdict(asked, frame)
        except Malformed as error:
            raise Wrong(str(error)) from error
        if asyncio.get_running_loop().time() > pushed.due - self.retry:
            self.late += 1
            return
        self.acks.append(frame)
        if verdict.code == 200:
            pushed.acked = True
            del self.pending[pushed.message_id]
        pushed.answer = base64.b64decode(verdict.data or "")

    # Events

    async def _pump(self) -> None:
        """Send what is due, then wait for the next."""
        while True:
            self._news.clear()
            wait = await self._flush()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._news.wait()

    async def _flush(self) -> float | None:
        """Send what is due, each to one of the connections; returns the seconds until something is (None: never)."""
        now = asyncio.get_running_loop().time()
        for pushed in [each for each in self.pending.values() if each.due <= now]:
            if pushed.sent == ATTEMPTS:
                self.lost.append(self.pending.pop(pushed.message_id))
            elif self.open and not self.silent:
                pushed.sent, pushed.due = pushed.sent + 1, now + self.deadline + self.retry
                await self._send(secrets.choice(self.open), pushed)
        return min((max(0.05, pushed.due - now) for pushed in self.pending.values()), default=None)

    async def _send(self, send: Send, pushed: Pushed) -> None:
        """Send an event, a large one in several frames: the last part comes first, as no order is promised."""
        parts = math.ceil(len(pushed.payload) / self.largest)
        pushed.asked = {}
        for place in reversed(range(parts)):
            part = pushed.payload[place * self.largest : (place + 1) * self.largest]
            frame = self._frame(pushed, parts, place, part)
            pushed.asked[frame.SeqID] = frame
            with contextlib.suppress(RuntimeError):  # it has just been closed: another attempt will follow
                await send({"type": "websocket.send", "bytes": frames.write(frame)})

    def _frame(self, pushed: Pushed, total: int, place: int, part: bytes) -> frames.Frame:
        facts = {
            "type": pushed.kind,
            "message_id": pushed.message_id,
            "sum": str(total),
            "seq": str(place),
            "trace_id": secrets.token_hex(16),
        }
        number = next(self._numbers)
        return frames.Frame(
            SeqID=number,
            LogID=number << 32,
            service=SERVICE,
            method=frames.DATA,
            headers=tuple(facts.items()),
            payload_encoding=b"",
            payload_type=b"",
            payload=part,
            LogIDNew=secrets.token_hex(8).encode(),
        )


def _verdict(asked: frames.Frame, frame: frames.Frame) -> Verdict:
    """Read an acknowledgement; raises `Malformed`."""
    verdict = wire.decode(frame.payload or b"", Verdict)
    kept, added = frame.headers[: len(asked.headers)], dict(frame.headers[len(asked.headers) :])
    if kept != asked.headers or msgspec.structs.replace(frame, headers=kept, payload=asked.payload) != asked:
        raise Malformed("an acknowledgement that changes the frame")
    if added.keys() != ({"biz_rt"} if verdict.code == 200 else set()) or not all(map(str.isdecimal, added.values())):
        raise Malformed(f"an acknowledgement with the headers {sorted(added)}")
    if verdict.data is not None:
        wire.decode_object(_plain(verdict.data))
    return verdict


def _plain(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Malformed("an answer that is not base64") from error


async def _refuse(send: Send, headers: dict[str, str]) -> None:
    fields: list[Any] = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send(
        {"type": "websocket.http.response.start", "status": 403, "headers": [*fields, (b"content-length", b"0")]}
    )
    await send({"type": "websocket.http.response.body", "body": b""})
