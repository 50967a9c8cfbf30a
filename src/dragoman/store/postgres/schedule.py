"""What turns and operators schedule: timers are set and taken away."""

from collections.abc import Collection, Sequence

from dragoman.model import Timer
from dragoman.store.postgres.pool import Session, columns
from dragoman.store.stored import encode, ready_at


async def change(
    session: Session, timers: Sequence[Timer], cancelled: Collection[str], resting: Collection[str] = ()
) -> int:
    """Take timers away, then set others, of the same name the last, some at rest; returns how many were taken away."""
    gone = await session.rows("cancel_timers", names=sorted(cancelled)) if cancelled else []
    newest = {timer.name: timer for timer in timers}
    if newest:
        rows = [
            (timer.name, timer.person, timer.task, encode(timer), timer.at, _ready(timer, resting))
            for timer in newest.values()
        ]
        names, people, tasks, bodies, at, ready = columns(rows, 6)
        await session.rows("set_timers", names=names, people=people, tasks=tasks, timers=bodies, at=at, ready_at=ready)
    return len(gone)


def _ready(timer: Timer, resting: Collection[str]) -> float | None:
    return None if timer.name in resting else ready_at(timer)
