"""The broadcasts: those that are due start, waiting recipients become deliveries, and what became of them is noted.

Few recipients of an account are under way at a time: what its pace sends in a quarter of a second. So a pause bites at
once, and a live reply never waits behind more than that.
"""

import asyncio
import re
from collections.abc import Mapping
from typing import Final

import msgspec

from dragoman import telemetry
from dragoman.flow.account import Account
from dragoman.flow.context import Context
from dragoman.model import Message, Say, channel_of
from dragoman.store.base import Outgoing
from dragoman.store.broadcasts import Broadcast, Fate, Prepared, Recipient, key

IDLE: Final = 1.0
"""Seconds between looks while nothing is sent."""
BUSY: Final = 0.1
"""Seconds between looks while something is."""
AHEAD: Final = 0.25
"""Seconds of an account's pace that are queued ahead."""
LATE: Final = 3600.0
"""Seconds after its time at which a start is not made up."""
NAME: Final = re.compile(r"\{name(?:\|([^{}]*))?\}")
MARKUP: Final = re.compile(r"([\\`*_\[\]<>&~|#])")

log = telemetry.logger("broadcast")


async def broadcast(context: Context) -> None:
    """Send broadcasts until cancelled."""
    while True:
        try:
            busy = await look(context)
        except Exception as error:  # noqa: BLE001 - the outer loop: the recipients still wait at the next look
            log.error("broadcast.failed", error=telemetry.where(error))
            busy = False
        await asyncio.sleep(BUSY if busy else IDLE)


async def look(context: Context) -> bool:
    """Take every broadcast one step further; tells whether there is more to do soon."""
    broadcasts = context.store.broadcasts
    active = await broadcasts.active()
    outstanding = dict(await broadcasts.outstanding())
    if any(each.state == "scheduled" and each.start_at <= context.store.timers.time() for each in active):
        await _start(context)
        active = await broadcasts.active()
    running = [each for each in active if each.state == "running"]
    telemetry.broadcasts.set(len(running))
    if outstanding:
        _count(await broadcasts.collect())
        outstanding = dict(await broadcasts.outstanding())
    for each in running:
        for account in each.accounts:
            outstanding[account] = outstanding.get(account, 0) + await _feed(context, each, account, outstanding)
    if running:
        for number in await broadcasts.finish():
            log.info("broadcast.done", broadcast=number)
    return bool(running or outstanding)


async def _start(context: Context) -> None:
    """Start what is due; what was missed needs a person, who decides whether it is still worth sending."""
    for missed in await context.store.broadcasts.start(LATE):
        log.error("broadcast.missed", broadcast=missed.id, start_at=missed.start_at, recipients=missed.total)
        telemetry.broadcasts_missed.inc()


async def _feed(context: Context, sending: Broadcast, name: str, outstanding: Mapping[str, int]) -> int:
    """Queue the next recipients of an account, as many as its pace allows; returns how many."""
    account = context.accounts.get(name)
    room = ahead(account, context.limits.sends) - outstanding.get(name, 0)
    if room <= 0:
        return 0
    following = await context.store.broadcasts.next(sending.id, name, room)
    if not following:
        return 0
    prepared = [_prepared(sending, recipient, account) for recipient in following]
    counts = await context.store.broadcasts.queue(sending.id, prepared)
    _count(counts)
    return counts.get("queued", 0)


def ahead(account: Account | None, sends: int) -> int:
    """Return how many recipients of an account may be under way: a quarter of a second of its pace, and no crowd."""
    rates = account.rates if account else ()
    paces = [rate.count / rate.seconds * AHEAD for rate in rates if rate.per == "account"]
    return max(1, int(min([2.0 * sends, *paces])))


def _prepared(sending: Broadcast, recipient: Recipient, account: Account | None) -> Prepared:
    if account is None:
        return Prepared(n=recipient.n, state="failed", reason="its account is not configured any more")
    try:
        pieces = account.adapter.split(personal(sending.message, recipient.name))
    except Exception as error:  # noqa: BLE001 - an adapter's bug costs this recipient only
        log.error("broadcast.broke", broadcast=sending.id, recipient=recipient.n, error=telemetry.where(error))
        return Prepared(n=recipient.n, state="failed", reason=f"the adapter broke: {type(error).__name__}")
    outgoing = tuple(
        Outgoing(
            key=key(sending.id, sending.mark, recipient.n, chunk),
            action=Say(message=piece),
            address=recipient.address,
            cls="broadcast",
            window=account.adapter.capabilities.idempotent_send,
            sure_for=0.0,
        )
        for chunk, piece in enumerate(pieces)
    )
    people = tuple(dict.fromkeys(filter(None, (recipient.person, channel_of(recipient.address)))))
    return Prepared(n=recipient.n, outgoing=outgoing, people=people)


def personal(message: Message, name: str) -> Message:
    """Fill `{name}`, or `{name|there}` with what stands for a name that is not known."""
    if "{name" not in message.text:
        return message
    written = MARKUP.sub(r"\\\1", " ".join(name.split()))
    return msgspec.structs.replace(message, text=NAME.sub(lambda found: written or found[1] or "", message.text))


def _count(counts: Mapping[Fate, int]) -> None:
    for outcome, count in counts.items():
        telemetry.broadcast_recipients.labels(outcome).inc(count)
