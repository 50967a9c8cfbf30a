"""The timers of the embedded store."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from dragoman.model import Event, Timer
from dragoman.store.base import Claim, Times
from dragoman.store.sqlite import damaged, inbox, schedule
from dragoman.store.sqlite.desk import Desk
from dragoman.store.sqlite.statements import Connection, one, readable_rows, rows, run
from dragoman.store.sqlite.writer import Writer
from dragoman.store.stored import due, read_timer, standings
from dragoman.store.timers import PUNCTUAL, ROOM, Due, Firing, Standing


class SqliteTimers:
    """Timers on one file: the writer's thread is the only one that moves them."""

    def __init__(
        self,
        writer: Writer,
        clocks: tuple[Callable[[], float], Callable[[], float]],
        most_pending: Callable[[], int],
        came: Callable[[int], None],
    ) -> None:
        """`clocks` are the store's steady one and the wall's; `came` is called with how many events came."""
        self._writer = writer
        self._clock, self._wall = clocks
        self._most_pending = most_pending
        self._came = came

    def time(self) -> float:
        """Tell the wall clock that timers go by, in epoch seconds."""
        return self._wall()

    async def due(self, punctual: int, overdue: int) -> Due:
        """Read timers that are due: up to so many that are in time, and so many that are not."""
        return await self._writer.run(_due, punctual, overdue, self.time())

    async def fire(self, firings: Sequence[Firing]) -> Collection[str]:
        """Move timers on and accept their events; returns the names of those that no other has moved on before."""
        bound = inbox.Bound(self._most_pending() * ROOM, "park")
        moved, came = await self._writer.run(_fire, firings, bound, self._writer.desks["work"], self._clock())
        self._came(came)
        return moved

    async def set(self, timers: Sequence[Timer], resting: Collection[str] = ()) -> None:
        """Set timers, some at rest, in the place of those with the same names; what they counted stays."""
        await self._writer.run(schedule.change, timers, (), resting)

    async def cancel(self, names: Collection[str]) -> int:
        """Take timers away; returns how many there were."""
        return await self._writer.run(schedule.change, (), names)

    async def put_off(self, names: Collection[str], seconds: float) -> None:
        """Look at timers that are due again so much later; their times by their rules stay."""
        await self._writer.run(_put_off, names, seconds, self.time())

    async def pause(self, names: Collection[str]) -> int:
        """Let timers rest until they are set again; returns how many there were."""
        return await self._writer.run(_pause, names)

    async def of_person(self, person: str, limit: int) -> Sequence[Timer]:
        """List a person's timers, the next one first."""
        return await self._writer.run(_of_person, person, limit)

    async def of_tasks(self, task: str = "") -> Sequence[Standing]:
        """List the timers of the operator's tasks, or of one task, by name."""
        return await self._writer.run(_of_tasks, task)


def _due(connection: Connection, punctual: int, overdue: int, now: float) -> Due:
    limits = {"punctual": punctual, "overdue": overdue, "punctual_for": PUNCTUAL}
    found, whole = readable_rows(connection, "timers_due", now=now, **limits)
    if not whole:
        damaged.set_timers_aside(connection)
    return due(found, now, one(connection, "next_timer", now=now))


def _fire(
    connection: Connection, firings: Iterable[Firing], bound: inbox.Bound, desk: Desk[Claim], now: float
) -> tuple[list[str], int]:
    """Move timers on; returns which, and how many events came that wait for a turn."""
    moved = [firing for firing in firings if _move(connection, firing)]
    came = sum(_accept(connection, firing.name, event, bound, desk, now) for firing in moved for event in firing.events)
    return [firing.name for firing in moved], came


def _move(connection: Connection, firing: Firing) -> bool:
    """Move a timer on from the time at which it was read; False when it is not there any more."""
    if firing.next_at is None:
        return one(connection, "end_timer", name=firing.name, at=firing.at) is not None
    moved = one(
        connection,
        "move_timer",
        name=firing.name,
        at=firing.at,
        next_at=firing.next_at,
        ready_at=firing.ready_at,
        fired=len(firing.events),
        missed=firing.missed,
        last_at=firing.last_at,
    )
    return moved is not None


def _accept(connection: Connection, name: str, event: Event, bound: inbox.Bound, desk: Desk[Claim], now: float) -> bool:
    """Accept one fire; False when it came before, or is set aside because too much of its conversation waits."""
    times = Times(received=now, authenticated=now, parsed=now)
    accepted = inbox.accept_event(connection, event, 0, times, bound, desk, now)
    if not accepted.duplicate:
        run(connection, "note_fire", name=name, event=accepted.id)
    return not accepted.duplicate and not accepted.surplus


def _pause(connection: Connection, names: Iterable[str]) -> int:
    return sum(one(connection, "pause_timer", name=name) is not None for name in names)


def _put_off(connection: Connection, names: Iterable[str], seconds: float, now: float) -> None:
    for name in names:
        run(connection, "put_off_timer", name=name, until=now + seconds, now=now)


def _of_person(connection: Connection, person: str, limit: int) -> list[Timer]:
    found: list[Any] = rows(connection, "timers_of_person", person=person, limit=limit)
    return [timer for body, at in found if (timer := read_timer(body, at)) is not None]


def _of_tasks(connection: Connection, task: str) -> tuple[Standing, ...]:
    return standings(rows(connection, "timers_of_tasks", task=task))
