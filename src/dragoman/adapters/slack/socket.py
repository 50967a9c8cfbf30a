"""Socket Mode: events, commands and interactions over a socket that we open, each acknowledged by its envelope's id.

Source: docs.slack.dev, "Using Socket Mode", "apps.connections.open"; slackapi/python-slack-sdk, `socket_mode`.
"""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from dragoman import wire
from dragoman.adapter import Dial, Emit, Halt, Known, Receipt, Redial, Send, Session, Step
from dragoman.adapters.slack import events, forms
from dragoman.adapters.slack.api import Answer, Api, judge
from dragoman.adapters.slack.origin import Origin, ignored
from dragoman.errors import Malformed, NoAnswer
from dragoman.model import Secret
from dragoman.wire import Exchange, Frame, Outcome, Refused, Retry

SILENCE: Final = 30.0
"""Seconds without a sign of life; Slack's own clients give up after 20 to 40."""
GREETING: Final = 30.0
"""Seconds within which Slack says hello on a new socket."""
CROWDED: Final = 60.0
"""Seconds to wait when the app has all its ten sockets open elsewhere."""

REMEDY: Final = "make an app-level token with the scope connections:write on the app's page Basic Information"
SWITCHED_OFF: Final = "link_disabled: switch Socket Mode on, on the app's page of that name"


class Link(msgspec.Struct):
    """One frame: an envelope with its payload, `hello`, or `disconnect` with its reason."""

    type: str
    envelope_id: str = ""
    payload: msgspec.Raw = msgspec.Raw(b"{}")
    reason: str = ""


class SocketMode(Session):
    """One socket: what comes in an envelope is read as from a request, and acknowledged once it is stored."""

    def __init__(self, origin: Callable[[Known], Origin]) -> None:
        self._origin = origin
        self._until = 0.0
        self._greeted = False

    def opened(self, known: Known) -> Iterable[Step]:
        """Wait for the greeting."""
        self._until = known.now + GREETING
        return ()

    def tick(self, known: Known) -> Iterable[Step]:
        """Leave a socket on which nobody greets."""
        if self._greeted or known.now < self._until:
            return ()
        return (Redial(reason="no hello"),)

    def received(self, frame: Frame, known: Known) -> Iterable[Step]:
        """Take one frame."""
        self._greeted = True
        raw = frame.data.encode("utf-8", "surrogatepass") if isinstance(frame.data, str) else frame.data
        if not raw.startswith(b"{"):  # Slack's own clients overlook these too; many are empty
            return (Emit(receipt=ignored("kind:text")),)
        try:
            link = wire.decode(raw, Link)
        except Malformed:
            return (_parked(raw),)
        if link.type == "hello":
            return ()
        if link.type == "disconnect":
            return (DISCONNECTS.get(link.reason, Redial(reason=link.reason[:80])),)
        return (self._read(link, raw, known), *_acknowledged(link))

    def _read(self, link: Link, raw: bytes, known: Known) -> Step:
        reader = ENVELOPES.get(link.type)
        if reader is None:
            return _parked(raw)
        try:
            return Emit(receipt=reader(self._origin(known), bytes(link.payload)))
        except Malformed:
            return _parked(raw)


def _parked(raw: bytes) -> Emit:
    return Emit(receipt=Receipt(malformed=(raw,)))


def _acknowledged(link: Link) -> tuple[Step, ...]:
    if not link.envelope_id:
        return ()
    return (Send(frame=Frame(data=msgspec.json.encode({"envelope_id": link.envelope_id}).decode())),)


def _command(origin: Origin, payload: bytes) -> Receipt:
    """Read a slash command, which comes as the JSON of its form."""
    fields = {name: value for name, value in wire.decode_object(payload).items() if value is not None}
    return ignored("ssl_check") if str(fields.get("ssl_check")) == "1" else forms.command(origin, fields)


ENVELOPES: Final[dict[str, Callable[[Origin, bytes], Receipt]]] = {
    "events_api": events.read,
    "slash_commands": _command,
    "interactive": forms.interaction,
}

DISCONNECTS: Final[dict[str, Step]] = {
    "warning": Redial(reason="warning", overlap=True),
    "refresh_requested": Redial(reason="refresh_requested", overlap=True),
    "too_many_websockets": Redial(reason="too_many_websockets", after=CROWDED),
    "link_disabled": Halt(reason=SWITCHED_OFF),
}
"""What to do when Slack wants this socket closed."""


def dial(api: Api) -> Exchange[Dial | Halt]:
    """Ask for an address to connect to: it is good once, and not for long."""
    answer = judge((yield api.open_connection()))
    if not isinstance(answer, Answer):
        return _halt(answer)
    if not (answer.url or "").startswith(("wss://", "ws://")):
        raise NoAnswer("apps.connections.open: an answer without an address", sent=False)
    return Dial(url=Secret(answer.url or ""), silence=SILENCE)


def _halt(outcome: Outcome) -> Halt:
    """Say what the operator must do; what passes by itself is raised as `NoAnswer`, to be tried again."""
    match outcome:
        case Refused(reason=reason):
            return Halt(reason=f"apps.connections.open: {reason}: {REMEDY}")
        case Retry(reason=reason, after=float(after)):
            return Halt(reason=f"apps.connections.open: {reason}", after=after)
    raise NoAnswer(f"apps.connections.open: {getattr(outcome, 'reason', 'no answer')}", sent=False)
