"""The clockwork beside the line: sweep, prune, count, and watch the loop's lag."""

import asyncio
import dataclasses
from typing import Final

from dragoman import telemetry
from dragoman.errors import DragomanError, StoreError
from dragoman.flow.context import Context
from dragoman.flow.media import MediaStore
from dragoman.store.base import SEND_LEASE

BEAT: Final = 0.5
"""Seconds between two looks at the loop's lag."""
BEAT_AGAIN: Final = 5.0
"""Seconds between two signs of life of this replica."""
SWEEP: Final = 2.0
PRUNE: Final = 3600.0
DAY: Final = 86_400.0

log = telemetry.logger("tick")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Keep:
    """How long things are kept, in seconds."""

    messages: float = 90 * DAY
    raw: float = 7 * DAY
    media: float = 7 * DAY


async def appear(context: Context, roles: str) -> None:
    """Say for the first time that this replica lives, before anybody is told that it has started."""
    try:
        await context.store.beat(roles)
    except StoreError as away:
        log.warning("beat.failed", reason=str(away))  # `beat` says it in a moment


async def beat(context: Context, roles: str) -> None:
    """Say that this replica lives, give the sends under way more time, and watch the loop, until cancelled."""
    loop = asyncio.get_running_loop()
    beaten = prolonged = loop.time() - BEAT_AGAIN
    while True:
        before = loop.time()
        await asyncio.sleep(BEAT)
        now = loop.time()
        telemetry.loop_lag.set(max(0.0, now - before - BEAT))
        try:
            if now - prolonged >= SWEEP:
                prolonged = now
                await _prolong(context)
            if now - beaten >= BEAT_AGAIN:
                beaten = now
                alive = await context.store.beat(roles)
                context.pacer.alone = alive.senders <= 1
                telemetry.replicas.set(alive.replicas)
        except Exception as error:  # noqa: BLE001 - the outer loop: it tries again at the next beat
            log.error("beat.failed", error=telemetry.where(error))


async def _prolong(context: Context) -> None:
    """Give the sends under way more time; one that is not ours any more keeps its old end."""
    if not context.sending:
        return
    until = context.clock() + SEND_LEASE
    for delivery in await context.store.prolong(list(context.sending)):
        if sending := context.sending.get(delivery):
            sending.until = until


async def tick(context: Context, media: MediaStore, keep: Keep) -> None:
    """Keep house until cancelled; of several replicas one prunes."""
    loop = asyncio.get_running_loop()
    pruned = loop.time() - PRUNE + 60
    while True:
        await asyncio.sleep(SWEEP)
        now = loop.time()
        try:
            await _sweep(context)
            if now - pruned >= PRUNE:
                pruned = now
                if await context.store.lease("prune", context.replica, PRUNE / 2):
                    await prune(context, media, keep)
        except Exception as error:  # noqa: BLE001 - the outer loop: housekeeping tries again at the next beat
            log.error("tick.failed", error=telemetry.where(error))


async def _sweep(context: Context) -> None:
    """Take up the sends that nobody finishes (never our own that only took long), and bring the gauges up to date."""
    await _prolong(context)
    await context.store.sweep()
    depths = await context.reader.depths()
    for queue in ("inbox", "outbox", "parked"):
        telemetry.waiting.labels(queue).set(getattr(depths, queue))
    paused = await context.reader.paused()
    for account in context.accounts:
        if account.adapter.mode() not in {"poll", "socket"}:
            telemetry.paused.labels(account.name).set(1 if account.name in paused else 0)


async def prune(context: Context, media: MediaStore, keep: Keep) -> None:
    """Delete what is older than it is kept."""
    now = context.clock()
    try:
        rows = await context.store.prune(now - keep.messages, now - keep.raw)
        files = await media.prune(now - keep.media)
    except (DragomanError, OSError) as error:
        log.error("prune.failed", reason=str(error))
        return
    log.info("pruned", rows=rows, files=files)
