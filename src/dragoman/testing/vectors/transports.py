"""Feeds a case's payload to an adapter, by a table of transports, and says what was observed."""

import base64
import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, runtime_checkable
from urllib.parse import parse_qsl, urlsplit

import msgspec

from dragoman.adapter import Adapter, Emit, Known, Payload, Receipt, Redial, Send, Session, Step
from dragoman.errors import Forged, Malformed
from dragoman.model import Address, Delivery, Message, Say
from dragoman.testing.drive import drive
from dragoman.testing.vectors import facts
from dragoman.testing.vectors.case import body_of, headers_of
from dragoman.testing.vectors.facts import Facts
from dragoman.wire import Frame, Http, Moved, Outcome, Refused, Request, Response, Retry, Sent, Unsure


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """An account, what it may know, and the request that it is tried with."""

    adapter: Adapter
    known: Known
    request: dict[str, Any]

    def offers(self, method: str) -> bool:
        """Tell whether the adapter has a method of its own, not only the contract's default."""
        own = getattr(type(self.adapter), method, None)
        return own is not None and own is not getattr(Adapter, method, None)


def http(trial: Trial) -> Facts | None:
    """Take a webhook through `verify` and `parse`.

    A forged request is answered with 401, as at the door. What cannot be parsed counts as refused with 400
    even where the door would park it and say 200: what a platform documents, its adapter understands.
    """
    if not trial.offers("verify"):
        return None
    try:
        payload = trial.adapter.verify(_incoming(trial.request), trial.known)
    except Forged:
        return {"authentic": False, "http_status": 401, "events": ()}
    except Malformed:
        return {"authentic": False, "http_status": 400, "events": ()}
    proved = {"authentic": True, "plaintext": payload.body.decode(errors="replace")}
    try:
        receipt = trial.adapter.parse(payload, trial.known)
    except Malformed:
        return {**proved, "http_status": 400, "events": ()}
    return {**proved, **_response_facts(receipt.response), "events": receipt.events}


def _incoming(request: Mapping[str, Any]) -> Http:
    return Http(
        method=str(request.get("method") or "POST"),
        url=str(request.get("path") or "/"),
        query={name: str(value) for name, value in (request.get("query") or {}).items()},
        headers=headers_of(dict(request)),
        body=body_of(dict(request)),
    )


def _response_facts(response: Response) -> Facts:
    body = response.body.decode(errors="replace")
    try:
        value = json.loads(body)
    except ValueError:
        value = None
    headers = {name.lower(): text for name, text in response.headers.items()}
    return {
        "http_status": response.status,
        "response_body": body,
        "response_json": value,
        "response_json_type": value.get("type") if isinstance(value, dict) else None,
        "response_content_type": headers.get("content-type", "").partition(";")[0].strip().lower(),
    }


def long_poll(trial: Trial) -> Facts | None:
    """Answer one poll with the case's body, then look at what the next poll would ask."""
    if not trial.offers("poll"):
        return None
    first = drive(trial.adapter.poll(trial.known), _answer(trial.request))
    polled = first.result
    later = msgspec.structs.replace(trial.known, cursor=polled.cursor)
    return {
        "authentic": True,
        "events": polled.receipt.events,
        "next_request": {
            "before": _parameters(first.requests[-1]),
            "after": _parameters(next(trial.adapter.poll(later))),
        },
        "next_since": polled.cursor,
    }


def _answer(request: dict[str, Any]) -> Response:
    return Response(status=request.get("status") or 200, headers=headers_of(request), body=body_of(request))


def _parameters(request: Request) -> dict[str, Any]:
    """Return all that a request says by name, wherever it says it."""
    if not isinstance(request, Http):
        return {}
    query = dict(parse_qsl(urlsplit(request.url).query))
    return {**query, **request.query, **(request.form or {}), **(request.json or {})}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Talk:
    """What came of a case's frames: the steps that a session wanted, and the session as they left it."""

    session: Session
    steps: Sequence[Step]
    known: Known

    @property
    def receipts(self) -> list[Receipt]:
        """What it took in."""
        return [step.receipt for step in self.steps if isinstance(step, Emit)]

    @property
    def sent(self) -> list[Any]:
        """What it answered: JSON decoded, bytes as they are."""
        return [_decoded(step.frame.data) for step in self.steps if isinstance(step, Send)]


def websocket(trial: Trial) -> Facts | None:
    """Open a session, give it the case's frames, and look at what it wants done about them."""
    if not trial.offers("session"):
        return None
    session = trial.adapter.session(trial.known)
    list(session.opened(trial.known))  # what it sends by itself answers no frame
    steps = [step for frame in _frames(trial.request) for step in session.received(frame, trial.known)]
    talk = Talk(session=session, steps=steps, known=trial.known)
    events = tuple(event for receipt in talk.receipts for event in receipt.events)
    seen = facts.of_socket(trial.adapter, session, steps, trial.known)
    return {**{name: look(talk) for name, look in SOCKET.items()}, **seen, "events": events}


def _frames(request: Mapping[str, Any]) -> list[Frame]:
    """Return a case's frames: text, JSON, or bytes, one or several."""
    if "frame" in request:
        return [Frame(data=json.dumps(request["frame"]))]
    if "body" in request:
        return [Frame(data=str(request["body"]))]
    several = request.get("frames_base64") or [request.get("frame_base64") or request.get("body_base64") or ""]
    return [Frame(data=base64.b64decode(each)) for each in several]


def _decoded(data: str | bytes) -> Any:
    try:
        return json.loads(data) if isinstance(data, str) else data
    except ValueError:
        return data


SOCKET: Final[Mapping[str, Callable[[Talk], Any]]] = {
    "authentic": lambda talk: not any(receipt.malformed for receipt in talk.receipts),
    "ack_frame_json": lambda talk: talk.sent[0] if talk.sent else None,
    "reply_frames_json": lambda talk: talk.sent,
    "client_sends": lambda talk: talk.sent[0] if talk.sent else None,
    "reconnect": lambda talk: any(isinstance(step, Redial) for step in talk.steps),
}
"""What is observed of a session, by the key under which a case lists it.

The socket itself proves that a frame is genuine, by our own login: what was understood counts as authentic.
"""


def email(trial: Trial) -> Facts:
    """Hand the adapter one mail, as its mailbox would give it; one that names no sender brings nothing."""
    try:
        receipt = trial.adapter.parse(Payload(body=body_of(trial.request)), trial.known)
    except Malformed:
        return {"events": ()}
    return {"events": receipt.events}


def api_response(trial: Trial) -> Facts:
    """Let the platform answer every call of one `send` in the case's way; tell what came of it."""
    address = Address(account=trial.adapter.account, channel="1")
    message = Say(message=Message(text="hello"))
    delivery = Delivery(id=1, key="1:0:0", action=message, address=address, conversation=f"{address.account}/1")
    outcome = drive(trial.adapter.send(delivery, trial.known), _answer(trial.request)).result
    return {**_outcome_facts(outcome, trial.adapter), "events": ()}


def _outcome_facts(outcome: Outcome, adapter: Adapter) -> Facts:
    """Word an outcome; what may have arrived is sent again only where the platform drops the repeat."""
    dropped = adapter.capabilities.idempotent_send > 0
    return {
        "retryable": isinstance(outcome, Retry | Moved) or (isinstance(outcome, Unsure) and dropped),
        "retry_after_s": outcome.after if isinstance(outcome, Retry) else None,
        "new_conversation_id": outcome.address.channel if isinstance(outcome, Moved) else None,
        "treat_as": "success" if isinstance(outcome, Sent) else None,
        "fatal": isinstance(outcome, Refused) and outcome.scope == "account",
    }


@runtime_checkable
class Decrypts(Protocol):
    """An adapter whose payloads come encrypted."""

    def decrypt(self, blob: bytes) -> bytes:
        """Return the plain bytes; raises `Forged` when it does not decrypt."""


def crypto(trial: Trial) -> Facts | None:
    """Try a bare primitive, found by the input that the case gives."""
    found = (primitive for given, primitive in PRIMITIVES.items() if given in trial.request)
    primitive = next(found, None)
    try:
        return primitive(trial) if primitive else None
    except Forged:
        return {"authentic": False, "events": ()}


def _decrypt(trial: Trial) -> Facts | None:
    if not isinstance(trial.adapter, Decrypts):
        return None
    plain = trial.adapter.decrypt(base64.b64decode(trial.request["ciphertext_base64"]))
    return {
        "authentic": True,
        "events": (),
        "plaintext": plain.decode(errors="replace"),
        "plaintext_base64": base64.b64encode(plain).decode(),
    }


PRIMITIVES: Final[Mapping[str, Callable[[Trial], Facts | None]]] = {"ciphertext_base64": _decrypt}
"""How a primitive is tried, by the input that gives it away; None: this adapter does not have it."""

TRANSPORTS: Final[Mapping[str, Callable[[Trial], Facts | None]]] = {
    "http": http,
    "long_poll": long_poll,
    "websocket": websocket,
    "gateway": websocket,
    "email": email,
    "api_response": api_response,
    "crypto": crypto,
}
"""How to feed a payload, by its transport; None: this adapter does not have it."""
