"""The long polls: ask, store what came with the cursor in one transaction, only then ask beyond it."""

import asyncio
import random
from typing import Final

import msgspec

from dragoman import telemetry
from dragoman.adapter import Polled
from dragoman.errors import DragomanError
from dragoman.flow import retry
from dragoman.flow.account import Account
from dragoman.flow.context import Context
from dragoman.flow.receive import accept
from dragoman.store.base import Times

FULL: Final = 1.0
"""Seconds to wait before asking again while no more can be accepted."""

log = telemetry.logger("listen")


async def listen(context: Context, account: Account) -> None:
    """Poll for one account until cancelled; trouble is logged, counted and waited out."""
    failures = 0
    while not context.stopping.is_set():
        try:
            wait = await _poll_once(context, account)
            failures = 0
        except DragomanError as error:
            failures += 1
            wait = retry.backoff(failures, random.random)
            log.warning("poll.failed", account=account.name, reason=str(error), again_in=round(wait, 1))
        except Exception as error:  # noqa: BLE001 - the outer loop: an adapter's bug must not end the listening
            failures += 1
            wait = retry.backoff(failures, random.random)
            log.error("poll.broke", account=account.name, error=telemetry.where(error))
        if wait:
            await asyncio.sleep(wait)


async def _poll_once(context: Context, account: Account) -> float:
    """Ask once and store what came; returns the seconds to wait before the next time."""
    if context.store.full():
        return FULL
    cursor = await context.store.recall(f"cursor:{account.name}")
    known = context.accounts.known(account, cursor)
    polled: Polled = await context.client.perform(account, account.adapter.poll(known))
    now = context.clock()
    telemetry.listening.labels(account.name).set(now)
    telemetry.paused.labels(account.name).set(1 if polled.halt else 0)
    if polled.halt:
        log.error("poll.halted", account=account.name, reason=polled.halt, again_in=polled.after)
        return polled.after
    telemetry.crash.passed("p1") if polled.receipt.events else None
    receipt = msgspec.structs.replace(polled.receipt, raw=b"")
    changed = polled.cursor if polled.cursor != cursor else None
    await accept(context, account, receipt, Times(received=now, authenticated=now, parsed=now), changed)
    telemetry.crash.passed("p2") if polled.receipt.events else None
    return polled.after
