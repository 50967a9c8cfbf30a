"""What turns and operators schedule: timers are set and taken away."""

from collections.abc import Collection, Iterable

from dragoman.model import Timer
from dragoman.store.sqlite.statements import Connection, one, run
from dragoman.store.stored import encode, ready_at


def change(
    connection: Connection, timers: Iterable[Timer], cancelled: Iterable[str], resting: Collection[str] = ()
) -> int:
    """Take timers away, then set others, some of them at rest; returns how many were taken away."""
    gone = [one(connection, "cancel_timer", name=name) for name in cancelled]
    for timer in timers:
        run(
            connection,
            "set_timer",
            name=timer.name,
            person=timer.person,
            task=timer.task,
            timer=encode(timer),
            at=timer.at,
            ready_at=None if timer.name in resting else ready_at(timer),
        )
    return sum(one_gone is not None for one_gone in gone)
