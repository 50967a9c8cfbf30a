"""The way out: take deliveries in order, perform them at the platform's pace, settle what came of them."""

import asyncio
import contextlib
import random
from collections.abc import Collection, Sequence
from typing import Final

from dragoman import telemetry
from dragoman.errors import CredentialRefused, DragomanError, NoAnswer, StoreError
from dragoman.flow import retry
from dragoman.flow.account import Account
from dragoman.flow.context import Context, Sending, freed
from dragoman.model import Delivery
from dragoman.store.base import Decision, Later, Parked, Pause, Settled
from dragoman.wire import Outcome, Refused, Retry, Unsure

POLL: Final = 0.25
"""Seconds between looks, should no hint come."""
ROOM: Final = 12.0
"""Seconds of its lease that a request must have left when it starts: more than its own deadline."""
STOP: Final = 10.0
"""Seconds that deliveries under way get when the service stops."""
OUTCOMES: Final[dict[type, str]] = {Settled: "sent", Parked: "parked", Pause: "paused"}
"""What a decision is called in metrics and traces; any other is a retry."""

log = telemetry.logger("deliver")


async def deliver(context: Context) -> None:
    """Deliver until told to stop; then let what is under way end."""
    loop = asyncio.get_running_loop()
    running: set[asyncio.Task[None]] = set()
    busy: Collection[str] = ()

    def ended(task: asyncio.Task[None]) -> None:
        running.discard(task)
        if busy:  # one account less, perhaps
            context.store.wake("deliver")

    while not context.stopping.is_set():
        if len(running) >= context.limits.sends:
            await freed(running, context.stopping)
            continue
        room, crowded = _room(context, context.limits.sends - len(running))
        if crowded != busy:
            busy = crowded
            context.store.wake("deliver")
        for delivery in await _take(context, room, busy):
            sending = Sending(account=delivery.address.account, until=delivery.until)
            context.sending[delivery.id] = sending
            task = loop.create_task(_guarded(context, delivery, sending))
            running.add(task)
            task.add_done_callback(ended)
    if running:
        await asyncio.wait(running, timeout=STOP)


def _room(context: Context, free: int) -> tuple[int, Collection[str]]:
    """Return how many may be taken, and of whom none; all that is taken may be one account's.

    A quarter of the places stays free of any one account, should its platform hang.
    """
    most = context.limits.sends - context.limits.sends // 4
    under_way: dict[str, int] = {}
    for sending in context.sending.values():
        under_way[sending.account] = under_way.get(sending.account, 0) + 1
    busy, crowd = [], 0
    for name, count in under_way.items():
        if count >= most:
            busy.append(name)
        else:
            crowd = max(crowd, count)
    return min(free, most - crowd), busy


async def _take(context: Context, limit: int, busy: Collection[str]) -> Sequence[Delivery]:
    """Take what may leave, as soon as there is something."""
    try:
        taken = await context.store.take(limit, busy, POLL)
    except Exception as error:  # noqa: BLE001 - the loop outlives whatever the store meets
        log.error("take.failed", reason=str(error))
        await asyncio.sleep(POLL)
        return ()
    telemetry.crash.passed("c9") if taken else None
    return taken


async def _guarded(context: Context, delivery: Delivery, sending: Sending) -> None:
    """Deliver once and settle; what an adapter breaks is parked where the operator sees it."""
    try:
        account, now = context.accounts.get(delivery.address.account), context.clock()
        if account is None:
            await settle(context, delivery, Parked(reason="its account is not configured any more"))
        elif now > delivery.not_after:
            await settle(context, delivery, Parked(reason="too old to be sent by itself"))
        elif (wait := await context.pacer.wait(delivery, account.rates, now)) > 0:
            pace = Later(after=wait, reason="the platform's pace", attempted=False, paced=True)
            await settle(context, delivery, pace)
        elif not _in_time(sending, began := context.clock()):
            await _hand_back(context, delivery)
        else:
            await _deliver(context, account, delivery, sending, began)
    except StoreError as away:  # before anything was sent: if it cannot be given back, its lease ends by itself
        log.error("delivery.interrupted", delivery=delivery.id, reason=str(away))
        with contextlib.suppress(StoreError):
            await context.store.hand_back([delivery])
    except Exception as error:  # noqa: BLE001 - the outer loop: an adapter's bug must not stop the others
        log.error("delivery.broke", delivery=delivery.id, error=telemetry.where(error))
        await settle(context, delivery, Parked(reason=f"the adapter broke: {type(error).__name__}"))
    finally:
        if context.sending.get(delivery.id) is sending:  # else its lease ended, and we took it anew meanwhile
            del context.sending[delivery.id]


def _in_time(sending: Sending, now: float) -> bool:
    """Tell whether a send that starts now ends within its lease: a platform cannot fence a late one off for us."""
    return now <= sending.until - ROOM


async def _hand_back(context: Context, delivery: Delivery) -> None:
    """Give back what this process held too long without sending it: somebody else may have it by now."""
    log.warning("delivery.late", delivery=delivery.id)
    await context.store.hand_back([delivery])


async def settle(context: Context, delivery: Delivery, decision: Decision) -> bool:
    """Record what came of a delivery, however long the store is away: what was sent must not be sent again."""
    while True:
        try:
            return await context.store.settle(delivery, decision)
        except StoreError as away:
            log.error("settle.failed", delivery=delivery.id, reason=str(away))
            await asyncio.sleep(POLL)


async def _deliver(context: Context, account: Account, delivery: Delivery, sending: Sending, began: float) -> None:
    if context.tracer:
        context.tracer.delivering(delivery)
    outcome = await _perform(context, account, delivery, sending)
    telemetry.crash.passed("c10")
    window = account.adapter.capabilities.idempotent_send
    decision = retry.decide(delivery, outcome, window, context.clock(), random.random)
    mine = await settle(context, delivery, decision)
    telemetry.crash.passed("c11")
    if mine:
        _report(context, account, delivery, decision, began)


async def _perform(context: Context, account: Account, delivery: Delivery, sending: Sending) -> Outcome:
    exchange = account.adapter.send(delivery, context.accounts.known(account))
    try:
        return await context.client.perform(account, exchange, lambda: _in_time(sending, context.clock()))
    except NoAnswer as silence:
        return Unsure(reason=silence.reason) if silence.sent else Retry(reason=silence.reason)
    except CredentialRefused as error:
        if error.workspace:  # the other workspaces go on; this one's deliveries wait for a person
            return Retry(reason=str(error), after=retry.ACCOUNT_PAUSE)
        return Refused(reason=str(error), scope="account")
    except DragomanError as error:
        return Refused(reason=str(error))


def _report(context: Context, account: Account, delivery: Delivery, decision: Decision, began: float) -> None:
    ended = context.clock()
    outcome = OUTCOMES.get(type(decision), "retry")
    platform = account.platform
    telemetry.deliveries.labels(platform, outcome).inc()
    telemetry.stage_seconds.took(ended - began, "deliver", platform)
    if context.tracer:
        context.tracer.delivered(delivery, platform, outcome, began)
    if isinstance(decision, Settled):
        log.info("delivered", delivery=delivery.id, attempt=delivery.attempt)
        if delivery.received_at:
            telemetry.reply_seconds.took(ended - delivery.received_at, platform)
    else:
        log.warning(f"delivery.{outcome}", delivery=delivery.id, attempt=delivery.attempt, reason=decision.reason)
        if isinstance(decision, Pause):
            telemetry.paused.labels(account.name).set(1)
