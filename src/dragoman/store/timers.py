"""The timers' contract: events to come, each of which comes once, however many replicas race for it.

A timer is read when it is due and fired by who is first: `fire` moves it on from the very time at which it was read and
accepts its events, in one transaction. Who comes second moves nothing and accepts nothing.
"""

from collections.abc import Collection, Sequence
from typing import Final, Protocol

from dragoman.model import Event, Timer, Value

PUNCTUAL: Final = 60.0
"""Seconds within which a fire counts as in time; later it is overdue, and waits behind those that are not."""

ROOM: Final = 2
"""How many times the messages that may wait in a conversation may wait there with timers' events among them.

Who floods a chat does not set its reminders aside.
"""


class Standing(Value):
    """A timer as it stands: when it fires next is in `timer.at`."""

    timer: Timer
    paused: bool = False
    fired: int = 0
    missed: int = 0
    last_at: float | None = None
    """When it fired last, by its rule."""
    last_event: int = 0
    busy: bool = False
    """Whether the turn of its last fire is not over."""


class Due(Value):
    """The timers that are due, and how long it is until the next one (seconds)."""

    now: float
    """The store's time."""
    timers: tuple[Standing, ...]
    until_next: float
    unreadable: tuple[str, ...] = ()
    """Names of timers that are due, and that another release wrote in a way that this one does not know."""


class Firing(Value):
    """What is to become of a timer that is due."""

    name: str
    at: float
    """The time at which it was read: it has moved on when this is not its time any more."""
    events: tuple[Event, ...] = ()
    """What comes now."""
    last_at: float | None = None
    next_at: float | None = None
    """When it fires next by its rule; None: it is over."""
    ready_at: float | None = None
    """The same with its jitter."""
    missed: int = 0
    """Fires that are not made up for."""


class Timers(Protocol):
    """What a store does for timers; every method commits before it returns."""

    def time(self) -> float:
        """Tell the wall clock that timers go by, in epoch seconds."""

    async def due(self, punctual: int, overdue: int) -> Due:
        """Read timers that are due: up to so many that are in time, and so many that are not."""

    async def fire(self, firings: Sequence[Firing]) -> Collection[str]:
        """Move timers on and accept their events; returns the names of those that no other has moved on before."""

    async def set(self, timers: Sequence[Timer], resting: Collection[str] = ()) -> None:
        """Set timers, some at rest, in the place of those with the same names; what they counted stays."""

    async def cancel(self, names: Collection[str]) -> int:
        """Take timers away; returns how many there were."""

    async def put_off(self, names: Collection[str], seconds: float) -> None:
        """Look at timers that are due again so much later; their times by their rules stay."""

    async def pause(self, names: Collection[str]) -> int:
        """Let timers rest until they are set again; returns how many there were."""

    async def of_person(self, person: str, limit: int) -> Sequence[Timer]:
        """List a person's timers, the next one first."""

    async def of_tasks(self, task: str = "") -> Sequence[Standing]:
        """List the timers of the operator's tasks, or of one task, by name."""
