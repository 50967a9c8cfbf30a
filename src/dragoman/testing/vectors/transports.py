"""Feeds a case's payload to an adapter, by a table of transports, and says what was observed."""

import base64
import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, runtime_checkable
from urllib.parse import parse_qsl, urlsplit

import msgspec

from dragoman.adapter import Adapter, Known
from dragoman.errors import Forged, Malformed
from dragoman.model import Address, Delivery, Message, Say
from dragoman.testing.drive import drive
from dragoman.testing.vectors.case import body_of, headers_of
from dragoman.testing.vectors.facts import Facts
from dragoman.wire import Http, Moved, Outcome, Refused, Request, Response, Retry, Sent, Unsure


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
    "api_response": api_response,
    "crypto": crypto,
}
"""How to feed a payload, by its transport; None: this adapter does not have it."""
