"""The timers: those that are due become events of the line, each fire once; what was missed goes by its rule."""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from dragoman import telemetry
from dragoman.flow.context import Context
from dragoman.model import Event, Timer
from dragoman.store import stored
from dragoman.store.timers import PUNCTUAL, Due, Firing, Standing
from dragoman.when import rhythm

POLL: Final = 0.5
"""Seconds between looks, when no timer is known to be due before."""
SOON: Final = 0.01
"""Seconds until the next look, while there is something to do."""
BATCH: Final = 250
"""Timers that are fired in one transaction, at most."""
OVERDUE_RATE: Final = 50.0
"""Fires a second, on each replica, of timers that are overdue: after an outage, live messages do not wait for them.

So many of all timers while messages are crowded: a few chats that are stuck keep nobody's reminder back.
"""
STRANGE: Final = 60.0
"""Seconds until a timer is looked at again whose rule or zone this process does not know."""
CROWDED: Final = 1000
"""Messages that wait, from which on timers fire at a slow rate: what is due waits too, in its own table."""
MADE_UP: Final = 100
"""Missed fires of one timer that are made up for, at most, where its rule is to make up for all."""

log = telemetry.logger("fire")


class Allowance:
    """How many overdue timers may fire now."""

    def __init__(self, now: float) -> None:
        self._left = 0.0
        self._seen = now

    def look(self, now: float) -> int:
        """Return the allowance, which grows with the time to what a second allows."""
        self._left = min(OVERDUE_RATE, self._left + max(0.0, now - self._seen) * OVERDUE_RATE)
        self._seen = now
        return max(0, int(self._left))

    def use(self, count: int) -> None:
        """Take so many from it."""
        self._left -= count


async def fire(context: Context) -> None:
    """Fire timers until told to stop."""
    allowance = Allowance(context.clock())
    while not context.stopping.is_set():
        try:
            pause = await _look(context, allowance)
        except Exception as error:  # noqa: BLE001 - the outer loop: the timers are still there at the next look
            log.error("fire.failed", error=telemetry.where(error))
            pause = POLL
        if pause > 0:
            await asyncio.sleep(min(pause, POLL))


async def _look(context: Context, allowance: Allowance) -> float:
    """Fire what is due; returns the seconds until there may be more."""
    if context.store.full():
        return POLL / 5
    room, allowed = CROWDED - context.store.waiting(), allowance.look(context.clock())
    due = await context.store.timers.due(min(BATCH, max(room, allowed)), allowed)
    if not due.timers and not due.unreadable:
        return due.until_next if room > 0 else POLL / 5
    decided, strange = _decided(due)
    if strange:
        await context.store.timers.put_off(strange, STRANGE)
    began = context.clock()
    moved = await context.store.timers.fire([firing for _, firing in decided.values()])
    telemetry.crash.passed("c12")
    allowance.use(overdue(due) if room > 0 else len(due.timers))
    for name in moved:
        _report(*decided[name], context.store.timers.time())
        if context.tracer:
            context.tracer.fired(decided[name][1], began)
    if room <= 0:
        return POLL / 5
    return 0.0 if len(due.timers) >= BATCH else SOON


def overdue(due: Due) -> int:
    """Count the timers that are not in time; one that its jitter put off is."""
    return sum(due.now - stored.ready_at(standing.timer) >= PUNCTUAL for standing in due.timers)


def _decided(due: Due) -> tuple[dict[str, tuple[Standing, Firing]], list[str]]:
    """Decide about each timer; returns besides those that this process does not understand.

    It may lack a zone that another replica has, or be older than the one that wrote the rule: they stay due.
    """
    decided: dict[str, tuple[Standing, Firing]] = {}
    strange = list(due.unreadable)
    for name in due.unreadable:
        log.error("timer.unreadable", timer=name, reason="another release wrote it")
    for standing in due.timers:
        name = standing.timer.name
        try:
            decided[name] = standing, decide(standing, due.now)
        except (ValueError, LookupError, OSError, ArithmeticError) as error:  # OSError: a zone that is a folder
            log.error("timer.unreadable", timer=name, reason=str(error))
            strange.append(name)
    return decided, strange


def decide(standing: Standing, now: float) -> Firing:
    """Return what becomes of a timer that is due: which of its fires come now, and when the next one is."""
    timer = standing.timer
    missed = rhythm.missed(timer.every, timer.at, now, timer.zone, timer.anchor, MADE_UP) if timer.every else []
    times = [timer.at, *missed]
    skip = standing.busy and timer.overlap == "skip"
    wanted = [] if skip else _wanted(timer, times, now)
    next_at = rhythm.after(timer.every, max(now, timer.at), timer.zone, timer.anchor) if timer.every else None
    following = msgspec.structs.replace(timer, at=next_at) if next_at is not None else None
    return Firing(
        name=timer.name,
        at=timer.at,
        events=tuple(_event(timer, at) for at in wanted),
        last_at=wanted[-1] if wanted else None,
        next_at=next_at,
        ready_at=stored.ready_at(following) if following else None,
        missed=len(times) - len(wanted),
    )


def _wanted(timer: Timer, times: Sequence[float], now: float) -> list[float]:
    """Choose the fires that come, of those whose time has come."""
    in_time = PUNCTUAL + timer.jitter
    within = in_time if timer.missed == "skip" else max(in_time, timer.grace)
    fresh = [at for at in times if now - at <= within]
    return fresh if timer.missed == "all" else fresh[-1:]


def _event(timer: Timer, at: float) -> Event:
    value = {**timer.event.value, "timer": timer.name, "due": at, "title": timer.title}
    key = timer.event.key or f"{timer.name}@{at:.3f}"
    return msgspec.structs.replace(timer.event, key=key, at=at, value=value)


def _report(standing: Standing, firing: Firing, now: float) -> None:
    """Count what became of a timer that was ours to fire."""
    telemetry.timer_fires.labels("fired").inc(len(firing.events))
    for event in firing.events:
        telemetry.timer_lateness.observe(max(0.0, now - event.at))
    if firing.missed:
        telemetry.timer_fires.labels("skipped" if standing.busy else "missed").inc(firing.missed)
        log.warning("timer.missed", timer=firing.name, fires=firing.missed, busy=standing.busy)
    log.info("timer.fired", timer=firing.name, fires=len(firing.events), late=round(now - firing.at, 3))
