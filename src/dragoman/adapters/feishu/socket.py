"""The long connection: where to open it, and one socket's state machine.

A frame brings an event, or a part of one; it goes back with `biz_rt` and a code once the event is stored. Source:
open.feishu.cn, "Receive events through persistent connection"; the official SDK's `ws/client.py`.
"""

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from dragoman import crypto, wire
from dragoman.adapter import Dial, Emit, Halt, Known, Payload, Receipt, Redial, Send, Session, Step
from dragoman.adapters.feishu import frames
from dragoman.adapters.feishu.api import JSON
from dragoman.adapters.feishu.fragments import Fragments, Whole
from dragoman.errors import Malformed, NoAnswer
from dragoman.model import Secret
from dragoman.wire import Credential, Exchange, Http, Response

ENDPOINT: Final = "/callback/ws/endpoint"

PASSING: Final = frozenset({1, 1000040343})
"""Codes of the endpoint that may be gone at the next attempt: busy, internal error."""
REMEDIES: Final = {
    403: "the app may not use the long connection: it must be a self-built app, set to receive by it",
    514: "check app_id and app_secret (the app's page Credentials & Basic Info)",
    1000040344: "check app_id and app_secret (the app's page Credentials & Basic Info)",
    1000040350: "the app has its 50 connections: find out who else uses it",
}

MARGIN: Final = 10.0
"""Seconds beyond two ping intervals in which a pong, or anything else, must have come."""
SHORTEST: Final = 1.0
LONGEST: Final = 3600.0
"""Seconds between which an interval of Feishu's is believed."""


class Wishes(msgspec.Struct, frozen=True):
    """How Feishu wants its clients to behave (`ClientConfig`), in seconds; what it does not say stays as it was."""

    ReconnectCount: int | None = None
    ReconnectInterval: float | None = None
    ReconnectNonce: float | None = None
    PingInterval: float | None = None


USUAL: Final = 120.0
UNTOLD: Final = Wishes(ReconnectCount=-1, ReconnectInterval=USUAL, ReconnectNonce=30, PingInterval=USUAL)
"""The official SDK's."""


class Place(msgspec.Struct):
    """What the endpoint names: an address with a ticket in it, good for one socket."""

    URL: str = ""
    ClientConfig: Wishes | None = None


class Answer(msgspec.Struct):
    """What the endpoint answers."""

    code: int
    msg: str | None = None
    data: Place | None = None


def dial(base: str, app_id: str) -> Exchange[Dial | Halt]:
    """Ask for the address of a new socket; raises `NoAnswer` for trouble that may pass."""
    body = {"AppID": app_id, "AppSecret": Credential(name="app_secret")}
    url = base.rstrip("/") + ENDPOINT
    response = yield Http(url=url, headers={**JSON, "locale": "zh"}, json=body, lane="ws.endpoint", repeatable=True)
    answer = _answer(response)
    if answer.code:
        reason = f"{answer.code} {(answer.msg or '')[:160]}".strip()
        return Halt(reason=f"{reason}: {REMEDIES.get(answer.code, 'the long connection is refused')}")
    place = answer.data or Place()
    if not place.URL.startswith(("wss://", "ws://") if base.startswith("http://") else "wss://"):
        raise NoAnswer("the endpoint names no address", sent=False)
    return Dial(url=Secret(place.URL), keys=learned(place))


def _answer(response: Response) -> Answer:
    try:
        answer = wire.decode(response.body, Answer)
    except Malformed as error:
        raise NoAnswer(f"status {response.status}, not an answer of the endpoint", sent=False) from error
    if answer.code in PASSING or response.status == 429 or response.status >= 500:
        raise NoAnswer(f"the endpoint is busy: {answer.code} {(answer.msg or '')[:160]}", sent=False)
    return answer


def learned(place: Place) -> dict[str, Any]:
    """Return what a session must know of its socket: which service it is, and how to behave."""
    service = re.search("[?&]service_id=([0-9]+)(?:&|$)", place.URL)
    return {
        "service_id": service[1] if service else "",
        "client_config": msgspec.to_builtins(place.ClientConfig or UNTOLD),
    }


class LongConnection(Session):
    """One socket: acknowledges what is stored, pings, takes Feishu's wishes, and notices when it is dead."""

    def __init__(self, parse: Callable[[Payload, Known], Receipt], known: Known) -> None:
        """Begin with what dialling learned (`Known.keys`); who it did not tell learns it from the first frame."""
        self._parse = parse
        self._service = _number(known.keys.get("service_id"))
        self._config = UNTOLD
        self._configure(msgspec.convert(known.keys.get("client_config") or {}, Wishes))
        self._fragments = Fragments()
        self._pinged = known.now
        self._heard = known.now
        self._proven = False

    @property
    def client_config(self) -> Mapping[str, Any]:
        """How Feishu wants us to behave by now."""
        return {name: getattr(self._config, name) for name in Wishes.__struct_fields__}

    def opened(self, known: Known) -> Iterable[Step]:
        """Ping at once: the answer proves the socket, and brings Feishu's wishes."""
        self._heard = known.now
        return self._ping(known)

    def received(self, frame: wire.Frame, known: Known) -> Iterable[Step]:
        """Take a frame."""
        if isinstance(frame.data, str):
            return [Emit(receipt=Receipt(malformed=(frame.data.encode(errors="replace"),)))]
        try:
            found = frames.read(frame.data)
        except Malformed:
            return [Emit(receipt=Receipt(malformed=(frame.data,)))]
        self._heard, self._proven, self._service = known.now, True, found.service
        if found.method == frames.DATA:
            return self._event(found, known)
        return self._control(found)

    def tick(self, known: Known) -> Iterable[Step]:
        """Ping when it is time, drop what stays incomplete, and give up a socket on which nothing comes any more."""
        interval = _seconds(self._config.PingInterval)
        self._heard, self._pinged = min(self._heard, known.now), min(self._pinged, known.now)
        silent = known.now - self._heard
        if silent > 2 * interval + MARGIN:
            return [Redial(after=self._spread(known), reason=f"no pong and no frame for {silent:.0f} seconds")]
        steps: list[Step] = []
        if dropped := self._fragments.expire(known.now):
            steps.append(Emit(receipt=Receipt(ignored=("fragments:incomplete",) * dropped)))
        if known.now - self._pinged >= interval:
            steps.extend(self._ping(known))
        return steps

    def closed(self, code: int, reason: str, known: Known) -> Iterable[Step]:
        """Open another: soon, or after the interval when this one never worked."""
        if self._config.ReconnectCount == 0:
            return [Halt(reason="Feishu wishes that its clients do not connect again")]
        pause = 0.0 if self._proven else _seconds(self._config.ReconnectInterval)
        return [Redial(after=pause + self._spread(known), reason=f"closed: {code} {reason[:80]}".strip())]

    def _ping(self, known: Known) -> list[Step]:
        """Return a ping, which names the service that it is for."""
        if not self._service:
            return []
        self._pinged = known.now
        ping = frames.Frame(service=self._service, method=frames.CONTROL, headers=(("type", "ping"),))
        return [Send(frame=wire.Frame(data=frames.write(ping)))]

    def _control(self, frame: frames.Frame) -> Iterable[Step]:
        """Take a pong, with the new wishes in it; anything else is of no consequence."""
        kind = frame.header("type")
        if kind != "pong":
            return [Emit(receipt=Receipt(ignored=(f"control:{kind[:80]}",)))]
        if not frame.payload:
            return []
        try:
            self._configure(wire.decode(frame.payload, Wishes))
        except Malformed:
            return [Emit(receipt=Receipt(ignored=("control:pong not understood",)))]
        return []

    def _configure(self, wishes: Wishes) -> None:
        told = {name: value for name in wishes.__struct_fields__ if (value := getattr(wishes, name)) is not None}
        self._config = msgspec.structs.replace(self._config, **told)

    def _event(self, frame: frames.Frame, known: Known) -> Iterable[Step]:
        """Take an event or a part of one; the frame that makes it whole is the one that is acknowledged."""
        part = frame.payload or b""
        try:
            total, place = _count(frame, "sum", 1), _count(frame, "seq", 0)
            whole = self._fragments.add(frame.header("message_id"), total, place, part, known.now)
        except Malformed:
            return [Emit(receipt=Receipt(malformed=(part,))), _ack(frame, 0.0)]
        return self._whole(frame, whole, known) if whole else []

    def _whole(self, frame: frames.Frame, whole: Whole, known: Known) -> Iterable[Step]:
        receipt = self._read(frame, whole.payload, known)
        called_back = frame.header("type") == "card" or any(event.kind == "action" for event in receipt.events)
        answer = receipt.response.body if called_back else b""
        return [Emit(receipt=receipt), _ack(frame, known.now - whole.since, answer)]

    def _read(self, frame: frames.Frame, payload: bytes, known: Known) -> Receipt:
        if frame.header("type") not in {"event", "card"}:
            return Receipt(malformed=(payload,))
        try:
            return self._parse(Payload(body=payload), known)
        except Malformed:
            return Receipt(malformed=(payload,))

    def _spread(self, known: Known) -> float:
        """Return seconds between 0 and the nonce, so that not all clients come back at the same moment."""
        part = int(crypto.fingerprint(known.nonce)[:8], 16) / 0xFFFFFFFF
        return part * min(max(self._config.ReconnectNonce or 0.0, 0.0), LONGEST)


def _ack(frame: frames.Frame, took: float, answer: bytes = b"") -> Send:
    """Return the frame with the time that it took, and the answer when there is one."""
    told = {"code": 200, **({"data": base64.b64encode(answer).decode()} if answer else {})}
    headers = (*frame.headers, ("biz_rt", str(max(0, round(took * 1000)))))
    acknowledged = msgspec.structs.replace(frame, headers=headers, payload=msgspec.json.encode(told))
    return Send(frame=wire.Frame(data=frames.write(acknowledged)))


def _count(frame: frames.Frame, name: str, absent: int) -> int:
    """Return a header that counts; raises `Malformed`."""
    text = frame.header(name)
    if text and not re.fullmatch("[0-9]{1,9}", text):
        raise Malformed(f"{name} is not a number")
    return int(text) if text else absent


def _number(text: Any) -> int:
    """Return an id of a service, 0 when there is none."""
    found = re.fullmatch("[0-9]{1,10}", str(text))
    return int(found[0]) if found and int(found[0]) < 1 << 31 else 0


def _seconds(wish: float | None) -> float:
    """Return an interval of Feishu's, or the usual one when it makes no sense."""
    return min(max(wish, SHORTEST), LONGEST) if wish and wish > 0 else USUAL
