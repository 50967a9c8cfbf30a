"""The timers on PostgreSQL: every replica looks for those that are due, and whoever locks the row first fires it."""

from collections.abc import Callable, Collection, Sequence

from dragoman.adapter import Receipt
from dragoman.model import Timer
from dragoman.store.base import Times
from dragoman.store.postgres import inbox, schedule
from dragoman.store.postgres.pool import Pool, Session, columns
from dragoman.store.stored import due, read_timer, standings
from dragoman.store.timers import PUNCTUAL, ROOM, Due, Firing, Standing


class PostgresTimers:
    """Timers by the database's clock, shared by all replicas."""

    def __init__(
        self, pool: Pool, clock: Callable[[], float], most_pending: Callable[[], int], came: Callable[[int], None]
    ) -> None:
        """`clock` is this process's steady clock; `came` is called with how many events came."""
        self._pool = pool
        self._clock = clock
        self._most_pending = most_pending
        self._came = came
        self._ahead = 0.0
        """Seconds by which the database's clock is ahead of ours."""

    def time(self) -> float:
        """Tell the database's clock, as it was compared with ours last."""
        return self._clock() + self._ahead

    async def compare(self) -> None:
        """Compare the database's clock with ours."""
        began = self._clock()
        theirs = await self._pool.one("time")
        self._ahead = theirs - (began + self._clock()) / 2

    async def due(self, punctual: int, overdue: int) -> Due:
        """Read timers that are due: up to so many that are in time, and so many that are not."""
        now, following = await self._pool.one("next_timer")
        found = await self._pool.rows("timers_due", punctual=punctual, overdue=overdue, punctual_for=PUNCTUAL)
        return due(found, now, following)

    async def fire(self, firings: Sequence[Firing]) -> Collection[str]:
        """Move timers on and accept their events; returns the names of those that no other has moved on before."""

        async def work(session: Session) -> tuple[list[Firing], int]:
            events = [event for firing in firings for event in firing.events]
            await inbox.lock(session, events)  # conversations before timers, as a turn's commit has it
            ours = await _move(session, firings)
            return ours, await self._accept(session, [firing for firing in ours if firing.events])

        moved, came = await self._pool.transact(work)
        self._came(came)
        return [firing.name for firing in moved]

    async def _accept(self, session: Session, firings: Sequence[Firing]) -> int:
        """Accept the events of timers that are ours and note the last of each; returns how many wait for a turn."""
        if not firings:
            return 0
        now = self._clock()
        times = Times(received=now, authenticated=now, parsed=now)
        arrivals = [inbox.Arrival("", Receipt(events=firing.events), times, {}) for firing in firings]
        accepted = await inbox.accept_in(session, arrivals, self._most_pending() * ROOM)
        last = [events[-1].id for events in accepted]
        await session.rows("note_fires", names=[firing.name for firing in firings], events=last)
        return sum(not event.duplicate and not event.surplus for events in accepted for event in events)

    async def set(self, timers: Sequence[Timer], resting: Collection[str] = ()) -> None:
        """Set timers, some at rest, in the place of those with the same names; what they counted stays."""
        await self._change(timers, (), resting)

    async def cancel(self, names: Collection[str]) -> int:
        """Take timers away; returns how many there were."""
        return await self._change((), names)

    async def _change(self, timers: Sequence[Timer], cancelled: Collection[str], resting: Collection[str] = ()) -> int:
        async def work(session: Session) -> int:
            return await schedule.change(session, timers, cancelled, resting)

        return await self._pool.transact(work)

    async def put_off(self, names: Collection[str], seconds: float) -> None:
        """Look at timers that are due again so much later; their times by their rules stay."""
        await self._pool.rows("put_off_timers", names=list(names), seconds=seconds)

    async def pause(self, names: Collection[str]) -> int:
        """Let timers rest until they are set again; returns how many there were."""
        return len(await self._pool.rows("pause_timers", names=list(names)))

    async def of_person(self, person: str, limit: int) -> Sequence[Timer]:
        """List a person's timers, the next one first."""
        found = await self._pool.rows("timers_of_person", person=person, limit=limit)
        return [timer for body, at in found if (timer := read_timer(body, at)) is not None]

    async def of_tasks(self, task: str = "") -> Sequence[Standing]:
        """List the timers of the operator's tasks, or of one task, by name."""
        return standings(await self._pool.rows("timers_of_tasks", task=task))


async def _move(session: Session, firings: Sequence[Firing]) -> list[Firing]:
    """Move timers on from the times at which they were read; returns those that were still there."""
    names, at = columns([(firing.name, firing.at) for firing in firings], 2)
    mine = {row[0] for row in await session.rows("lock_timers", names=names, at=at)}
    ours = [firing for firing in firings if firing.name in mine]
    over = [firing.name for firing in ours if firing.next_at is None]
    if over:
        await session.rows("end_timers", names=over)
    going = [
        (firing.name, firing.next_at, firing.ready_at, len(firing.events), firing.missed, firing.last_at)
        for firing in ours
        if firing.next_at is not None
    ]
    if going:
        names, next_at, ready_at, fired, missed, last_at = columns(going, 6)
        moved = {"next_at": next_at, "ready_at": ready_at, "fired": fired, "missed": missed, "last_at": last_at}
        await session.rows("move_timers", names=names, **moved)
    return ours
