"""The door: verify, parse, accept; only what is committed is acknowledged.

What the caller is told decides what the platform does next. Forged: 401, nothing is stored. Not
understood though genuine: parked and 200, because a 4xx would make a platform retry or switch us off;
our own callers (a passive account) get a 422. Store away: 503, the platform retries.
"""

import asyncio
import re
from collections.abc import Sequence
from typing import Final

import msgspec

from dragoman import telemetry
from dragoman.adapter import Known, Passive, Payload, Receipt
from dragoman.errors import Crowded, Forged, Malformed, Stale, StoreAway, Undecodable
from dragoman.flow import pressure
from dragoman.flow.account import Account
from dragoman.flow.context import Context
from dragoman.flow.deliver import settle
from dragoman.model import Delivery, Event, Message, Say, Value
from dragoman.store.base import Accepted, Parked, Settled, Surplus, Times
from dragoman.wire import Http, Response, json_response

RETRY_AFTER: Final = "5"
"""Seconds after which a platform may come back when the store is away."""
LOOK_AGAIN: Final = 0.1
"""Seconds between two looks at replies that are under way elsewhere."""

log = telemetry.logger("receive")


class Answer(Value):
    """What to write to the caller, and the deliveries that are settled by writing it."""

    response: Response
    deliveries: Sequence[Delivery] = ()
    ready: float = 0.0
    """When the deliveries were taken."""


async def receive(context: Context, account: Account, request: Http) -> Answer:
    """Take a request through the first three stages, and wait for the reply where the platform wants it."""
    known = context.accounts.known(account)
    received = context.clock()  # steady; what adapters know is the wall's
    telemetry.crash.passed("c1")
    try:
        payload = _verify(context, account, request, known, received)
    except Forged as forgery:
        return Answer(response=_refuse(account, 401, "forged", str(forgery)))
    except Malformed as error:  # not even the envelope that holds the proof
        return Answer(response=_refuse(account, 400, "undecodable", str(error)))
    authenticated = context.clock()
    telemetry.crash.passed("c2")
    try:
        receipt = account.adapter.parse(payload, known)
    except Undecodable as error:
        return Answer(response=_refuse(account, 400, "undecodable", str(error)))
    except Malformed as error:
        return Answer(response=await _misunderstood(context, account, payload.body, str(error)))
    times = Times(received=received, authenticated=authenticated, parsed=context.clock())
    try:
        whole = msgspec.structs.replace(receipt, raw=payload.body)
        caller = request.headers.get("traceparent", "") if context.tracer else ""
        accepted = await accept(context, account, whole, times, surplus="refuse", caller=caller)
    except StoreAway as away:
        return Answer(response=_later(account, str(away), crowded=isinstance(away, Crowded)))
    telemetry.stage_seconds.took(context.clock() - received, "receive", account.platform)
    telemetry.crash.passed("c3")
    if receipt.passive is None or not accepted:
        return Answer(response=receipt.response)
    return await _passive_reply(context, account, receipt.events[0], accepted[0], receipt.passive, received)


def _verify(context: Context, account: Account, request: Http, known: Known, received: float) -> Payload:
    """Let the adapter verify a request; a signature of another time than ours is told to the watch."""
    try:
        payload = account.adapter.verify(request, known)
    except Stale as stale:
        context.skew.compare(account.name, stale.skew, received)
        raise
    if payload.signed_at:
        context.skew.compare(account.name, known.now - payload.signed_at, received)
    return payload


async def accept(
    context: Context,
    account: Account,
    receipt: Receipt,
    times: Times,
    cursor: str | None = None,
    surplus: Surplus = "park",
    caller: str = "",
) -> tuple[Accepted, ...]:
    """Store what a receipt brought, with the cursor in the same transaction; counts the outcomes.

    What is more of a conversation than may wait is parked, or (`surplus="refuse"`, where it comes again) raises
    `Crowded`, when the rest is stored. `caller`: what an authentic request says of the trace that it belongs to.
    """
    if (receipt.events or receipt.malformed) and (reason := context.store.full()):
        raise StoreAway(reason)
    if receipt.passive is None and context.store.waiting() >= context.limits.crowded:
        receipt = await _shed(context, account, receipt)
    for raw in receipt.malformed:
        parked = await context.store.park(account.name, raw, "not understood")
        _count(account, "parked")
        log.warning("parked", account=account.name, id=parked)
    for ended in receipt.ended:
        await context.installer.end(account, ended)
    keep = {f"cursor:{account.name}": cursor} if cursor is not None else None
    accepted = await context.store.accept(account.name, receipt, times, keep, surplus)
    crowded = _count_all(account, receipt, accepted)
    if context.tracer:
        context.tracer.received(account, receipt.events, accepted, times, caller)
    if accepted:
        _observe(account, times)
        log.info("accepted", account=account.name, events=[item.id for item in accepted if item.id])
    if surplus == "refuse" and crowded:
        raise Crowded("too many messages of this conversation wait already")
    return accepted


def _count_all(account: Account, receipt: Receipt, accepted: Sequence[Accepted]) -> bool:
    """Count what came of a receipt; tells whether there was more of a conversation than may wait."""
    crowded = False
    for item in accepted:
        if not item.surplus:
            _count(account, "duplicate" if item.duplicate else "accepted")
            continue
        crowded = True
        if item.id:
            log.warning("parked", account=account.name, id=f"e{item.id}", reason="too much of its conversation waits")
            _count(account, "parked")
    for reason in receipt.ignored:
        _count(account, f"ignored:{reason.partition(':')[0]}")
    return crowded


async def _shed(context: Context, account: Account, receipt: Receipt) -> Receipt:
    """Lighten a receipt while much waits: trifles go, and chatter is kept without a turn. Nobody's answer is shed."""
    kept: list[Event] = []
    for event in receipt.events:
        before = any(other.wants_turn and other.conversation == event.conversation for other in kept)
        if pressure.trifling(event):
            _count(account, "shed")
        elif not before and await _is_chatter(context, account, event):
            _count(account, "shed")
            kept.append(msgspec.structs.replace(event, wants_turn=False))
        else:
            kept.append(event)
    return msgspec.structs.replace(receipt, events=tuple(kept))


async def _is_chatter(context: Context, account: Account, event: Event) -> bool:
    if not pressure.perhaps_chatter(event, account.policy):
        return False
    return pressure.chatter(event, await context.reader.at_rest(event.conversation), account.policy)


def _count(account: Account, outcome: str) -> None:
    telemetry.events.labels(account.name, account.platform, outcome).inc()


def _observe(account: Account, times: Times) -> None:
    platform = account.platform
    telemetry.stage_seconds.took(times.authenticated - times.received, "authenticate", platform)
    telemetry.stage_seconds.took(times.parsed - times.authenticated, "parse", platform)


def _refuse(account: Account, status: int, kind: str, reason: str) -> Response:
    telemetry.refusals.labels(account.name, kind).inc()
    log.warning("refused", account=account.name, reason=kind, detail=unquoted(reason))
    return problem(status, kind, "the request carries no valid proof" if status == 401 else reason)


def unquoted(reason: str) -> str:
    """Return a decoder's reason without the value that it quotes: that may be somebody's words."""
    return re.sub(r"'.*'", "'…'", reason)


def problem(status: int, title: str, detail: str) -> Response:
    """Return an `application/problem+json` response (RFC 9457)."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return json_response(body, status, {"content-type": "application/problem+json"})


def unavailable(account: Account, reason: str) -> Response:
    """Return the 503 that makes a platform come back."""
    return _later(account, reason)


def _later(account: Account, reason: str, *, crowded: bool = False) -> Response:
    telemetry.refusals.labels(account.name, "conversation_full" if crowded else "store_away").inc()
    if crowded:
        log.warning("conversation.full", account=account.name)
    else:
        log.error("store.away", account=account.name, reason=reason)
    away = problem(503, "unavailable", "nothing can be stored at the moment; try again")
    return msgspec.structs.replace(away, headers={**away.headers, "retry-after": RETRY_AFTER})


async def _misunderstood(context: Context, account: Account, raw: bytes, reason: str) -> Response:
    if account.adapter.explains:
        return _refuse(account, 422, "malformed", reason)
    if full := context.store.full():
        return unavailable(account, full)
    try:
        parked = await context.store.park(account.name, raw, unquoted(reason))
    except StoreAway as away:
        return unavailable(account, str(away))
    _count(account, "parked")
    log.warning("parked", account=account.name, id=parked, reason=unquoted(reason))
    return Response()


async def _passive_reply(
    context: Context, account: Account, event: Event, accepted: Accepted, passive: Passive, received: float
) -> Answer:
    """Hold the request until its turn is over or the time is up; a repeat gets the same answer again."""
    deadline = received + passive.seconds
    if not await _over(context, accepted.id, deadline - context.clock()):
        return Answer(response=account.adapter.defer(event))
    try:
        fresh, deliveries = await _replies(context, accepted.id, deadline)
    except StoreAway as away:
        return Answer(response=_later(account, str(away)))
    messages = [_message(delivery) for delivery in deliveries if isinstance(delivery.action, Say)]
    if not messages and await context.reader.status(accepted.id) == "parked":
        detail = f"the message e{accepted.id} could not be answered; it is set aside for the operator"
        return Answer(response=problem(500, "parked", detail))
    return Answer(response=account.adapter.answer(messages, event), deliveries=fresh, ready=context.clock())


async def _over(context: Context, event: int, seconds: float) -> bool:
    """Wait until an event's turn is over; a service that stops holds no request any longer."""
    finished = asyncio.ensure_future(context.store.finished(event, seconds))
    stopping = asyncio.ensure_future(context.stopping.wait())
    try:
        await asyncio.wait({finished, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return finished.done() and finished.result()
    finally:
        finished.cancel()
        stopping.cancel()


async def _replies(context: Context, event: int, deadline: float) -> tuple[Sequence[Delivery], Sequence[Delivery]]:
    """Take the replies that nobody was given yet; returns them, and what the answer consists of.

    While they are under way elsewhere, nobody knows whether they arrive: they are waited for. To answer nevertheless
    would give them twice, should they be sent again. Another request may give them back between the two looks. When the
    time is up, or the service stops, raises `StoreAway`: the caller asks again.
    """
    while not (fresh := await context.store.reply(event)):
        given = await context.store.replies(event)
        if given is not None:
            return (), given
        if context.stopping.is_set() or context.clock() > deadline:
            raise StoreAway("the replies are under way elsewhere")
        await asyncio.sleep(LOOK_AGAIN)
    return fresh, fresh


def _message(delivery: Delivery) -> Message:
    return delivery.action.message if isinstance(delivery.action, Say) else Message()


async def written(context: Context, account: Account, answer: Answer, *, began: bool, ended: bool) -> None:
    """Settle what went into a response: delivered, given back to the later path, or unsure."""
    if not answer.deliveries:
        return
    if not began:
        await context.store.hand_back(answer.deliveries)
        return
    now = context.clock()
    for delivery in answer.deliveries:
        unsure = Parked(reason="unsure: the connection closed while the response was written")
        await settle(context, delivery, Settled() if ended else unsure)
        outcome = "sent" if ended else "parked"
        telemetry.deliveries.labels(account.platform, outcome).inc()
        if context.tracer:
            context.tracer.delivered(delivery, account.platform, outcome, answer.ready)
        telemetry.reply_seconds.took(now - delivery.received_at, account.platform)
