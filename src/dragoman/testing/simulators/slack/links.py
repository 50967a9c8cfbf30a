"""Socket Mode, simulated: tickets good for one connection, envelopes sent again until they are acknowledged.

It is stricter than Slack in one thing: an acknowledgement that nobody asked for is recorded as refused.
Source: docs.slack.dev, "Using Socket Mode", "apps.connections.open"; slackapi/python-slack-sdk, `socket_mode`.
"""

import asyncio
import dataclasses
import itertools
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl

import msgspec
from starlette.types import Receive, Scope, Send

from dragoman.testing.simulator import Peer, peer
from dragoman.testing.simulators.slack import rules
from dragoman.wire import Http

MOST: Final = 10
"""Sockets that one app may have open."""
TICKET_SECONDS: Final = 30.0
"""How long an address is good for."""
KEYS: Final = frozenset({"envelope_id", "payload"})
"""What an acknowledgement may hold."""


@dataclasses.dataclass(eq=False, kw_only=True)
class Link:
    """One open socket. Frames leave in the order in which they were put into `outgoing`."""

    number: int
    peer: Peer
    outgoing: asyncio.Queue[dict[str, Any]] = dataclasses.field(default_factory=asyncio.Queue)
    silent: bool = False


@dataclasses.dataclass(kw_only=True)
class Envelope:
    """What is to be acknowledged: how often it was sent, and on which sockets."""

    body: dict[str, Any]
    attempt: int = 0
    links: list[int] = dataclasses.field(default_factory=list)
    acknowledged: int = 0
    timer: asyncio.TimerHandle | None = None


class Links:
    """The sockets of one app, and what is on its way to them."""

    def __init__(self, clock: Callable[[], float], refuse: Callable[[str], None], app_id: str) -> None:
        self.open: list[Link] = []
        self.most = 0
        """The most sockets that were open at the same time (those that fell silent do not count)."""
        self.opened = 0
        """How many were opened in all."""
        self.envelopes: dict[str, Envelope] = {}
        self.acknowledge_within = 3.0
        """Seconds after which an envelope without its acknowledgement is sent again."""
        self.disabled = False
        """True while Socket Mode is switched off for the app."""
        self._clock = clock
        self._refuse = refuse
        self._app_id = app_id
        self._tickets: dict[str, float] = {}
        self._numbers = itertools.count(1)
        self._turn = itertools.count()

    def ticket(self) -> str:
        """Make a ticket for one connection."""
        ticket = f"ticket-{next(self._numbers)}-of-the-simulator"
        self._tickets[ticket] = self._clock() + TICKET_SECONDS
        return ticket

    def waiting(self) -> list[str]:
        """Name the envelopes that are not acknowledged yet."""
        return [id_ for id_, envelope in self.envelopes.items() if not envelope.acknowledged]

    # Envelopes

    def push(self, request: Http) -> str:
        """Send what would have come as this webhook request; returns the envelope's id."""
        body = self.envelope(request)
        id_: str = body["envelope_id"]
        self.envelopes[id_] = Envelope(body=body)
        self._send(id_)
        return id_

    def envelope(self, request: Http) -> dict[str, Any]:
        """Put what would have come as this webhook request into an envelope with a fresh id."""
        kind, payload = _payload(request)
        id_ = f"envelope-{next(self._numbers)}"
        return {"envelope_id": id_, "type": kind, "payload": payload, "accepts_response_payload": kind != "events_api"}

    def _send(self, id_: str, reason: str = "") -> None:
        """Send an envelope on the next socket; without one it waits for the first that opens."""
        envelope = self.envelopes[id_]
        others = [link for link in self.open if link.number not in envelope.links[-1:]] or self.open
        if not others or envelope.acknowledged:
            return
        link = others[next(self._turn) % len(others)]
        again = {"retry_attempt": envelope.attempt, "retry_reason": reason}
        link.outgoing.put_nowait({**envelope.body, **(again if envelope.body["type"] == "events_api" else {})})
        envelope.links.append(link.number)
        envelope.attempt += 1
        later = asyncio.get_running_loop().call_later
        envelope.timer = later(self.acknowledge_within, self._send, id_, "timeout")

    def _acknowledged(self, text: str | None) -> None:
        try:
            answer = msgspec.json.decode(text or "", type=dict[str, Any])
        except msgspec.MsgspecError:
            self._refuse("socket: not a JSON object")
            return
        envelope = self.envelopes.get(answer.get("envelope_id", ""))
        if envelope is None or not envelope.attempt:
            self._refuse("socket: acknowledges what was never sent")
        elif answer.keys() - KEYS or ("payload" in answer and not envelope.body["accepts_response_payload"]):
            self._refuse("socket: not an acknowledgement")
        elif envelope.acknowledged == envelope.attempt:
            self._refuse("socket: acknowledges twice")
        else:
            envelope.acknowledged += 1
            if envelope.timer:
                envelope.timer.cancel()

    # Sockets

    def disconnect(self, reason: str) -> None:
        """Tell every socket that it is to be left."""
        for link in self.open:
            link.outgoing.put_nowait(_disconnect(reason))

    def cut(self) -> None:
        """Break every connection off."""
        for link in list(self.open):
            link.peer.cut()

    def fall_silent(self) -> None:
        """Let every socket that is open now fall silent, and leave it open."""
        for link in self.open:
            link.silent = True
            link.peer.fall_silent()

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket from its handshake to its end."""
        await receive()
        ticket = parse_qs(scope["query_string"].decode()).get("ticket", [""])[0]
        if self._tickets.pop(ticket, 0.0) < self._clock():
            self._refuse("socket: spent or unknown ticket")
            await send({"type": "websocket.close", "code": 1008})
            return
        await send({"type": "websocket.accept"})
        if reason := self._unwelcome():
            await send({"type": "websocket.send", "text": _text(_disconnect(reason))})
            await send({"type": "websocket.close", "code": 1000})
            return
        await self._talk(Link(number=next(self._numbers), peer=peer(scope)), receive, send)

    def _unwelcome(self) -> str:
        if self.disabled:
            return "link_disabled"
        return "too_many_websockets" if len(self.open) >= MOST else ""

    async def _talk(self, link: Link, receive: Receive, send: Send) -> None:
        self.open.append(link)
        self.opened += 1
        self.most = max(self.most, sum(not each.silent for each in self.open))
        link.outgoing.put_nowait(self._hello())
        for id_ in self.waiting():
            if not self.envelopes[id_].links:
                self._send(id_)
        writing = asyncio.create_task(_write(link, send))
        try:
            while (message := await receive())["type"] == "websocket.receive":
                self._acknowledged(message.get("text"))
        finally:
            writing.cancel()
            self.open.remove(link)
            for id_ in self.waiting():
                if link.number in self.envelopes[id_].links[-1:]:
                    self._lost(id_)

    def _lost(self, id_: str) -> None:
        """Send what a socket took with it again, at once or when the next one opens."""
        envelope = self.envelopes[id_]
        if envelope.timer:
            envelope.timer.cancel()
        envelope.links.clear()
        self._send(id_, "connection_closed")

    def _hello(self) -> dict[str, Any]:
        return {
            "type": "hello",
            "num_connections": len(self.open),
            "debug_info": {"host": "applink-simulated", "build_number": 1, "approximate_connection_time": 18060},
            "connection_info": {"app_id": self._app_id},
        }


async def _write(link: Link, send: Send) -> None:
    while True:
        await send({"type": "websocket.send", "text": _text(await link.outgoing.get())})


def _disconnect(reason: str) -> dict[str, Any]:
    return {"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-simulated"}}


def _text(frame: dict[str, Any]) -> str:
    return msgspec.json.encode(frame).decode()


def _payload(request: Http) -> tuple[str, Any]:
    """Return the kind of envelope that a webhook request would have been, and its payload."""
    if request.headers.get("content-type") != rules.FORM:
        return "events_api", msgspec.json.decode(request.body)
    fields = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
    if "payload" in fields:
        return "interactive", msgspec.json.decode(fields["payload"])
    return "slash_commands", fields
