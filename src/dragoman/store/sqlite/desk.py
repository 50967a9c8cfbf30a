"""Desks: who looks for something to do is given it by the very change that makes it, in the same transaction.

An asker says at a desk how much it wants, and stands there for a while. A change that makes something ready asks for a
seat: with one it takes the thing at once, as a look would have, and gives it; without one it says that it was missed,
and the desk looks at the end of the transaction. Nothing overtakes: while something older may be ready, there is no
seat.

Each number here is written by one thread only, the loop's or the writer's, so that neither waits for the other.
"""

import asyncio
import time
from collections.abc import Callable, Collection
from typing import Any, Final, Generic, TypeVar

from dragoman.model import Value
from dragoman.store.sqlite.statements import Connection

T = TypeVar("T")

LOOK: Final = 0.25
"""Seconds after which a desk looks by itself: time makes things ready, too."""
STAY: Final = 0.1
"""Seconds for which an asker that has been served is still taken to stand there: it is about to ask again."""


class Found(Value):
    """What a look took, whether there may be more (it saw as many as it was to), and what else is to be told of it."""

    things: list[Any]
    full: bool = False
    note: Any = None


class Desk(Generic[T]):
    """Where one kind of things to do is asked for, by one asker at a time, and given."""

    def __init__(
        self,
        look: Callable[[Connection, int, Collection[str]], Found],
        clock: Callable[[], float],
        refuses: Callable[[Any], bool] = lambda _: False,
        told: Callable[[Any], None] = lambda _: None,
    ) -> None:
        """`look` takes up to so many things, none of busy accounts; `told` learns its notes on the loop.

        `refuses` says which things are left to a look, whoever asks.
        """
        self.look = look
        self.busy: Collection[str] = ()
        self.now = 0.0
        """The time of the transaction that runs."""
        self._clock = clock
        self._refuses = refuses
        self._told = told
        # the loop's
        self._came: list[T] = []
        self._fetched = 0
        self._allowed = 0
        self._until = 0.0
        self._wakes = 1
        self._bell = asyncio.Event()
        # the writer's
        self._given: list[T] = []
        self._notes: list[Any] = []
        self._taken = 0
        self._heard = 0
        self._missed = True
        self._stands = False
        self._gives = False
        self._looked = 0.0

    # On the loop

    def stand(self, limit: int, busy: Collection[str]) -> None:
        """Ask for up to so many things, until `leave`."""
        self.busy = busy
        self._allowed = self._fetched + limit
        self._until = float("inf")

    def leave(self) -> None:
        """Go and do what was fetched; what is given meanwhile, within what was asked, is there at the next time."""
        self._until = time.monotonic() + STAY

    def end(self) -> None:
        """Ask for nothing any more."""
        self._until = 0.0

    def fetch(self, limit: int) -> list[T]:
        """Hand out what came."""
        came, self._came = self._came[:limit], self._came[limit:]
        self._fetched += len(came)
        return came

    @property
    def came(self) -> int:
        """Tell how much is there to be fetched."""
        return len(self._came)

    def wake(self) -> None:
        """Say that there may be something to do."""
        self._wakes += 1
        self._bell.set()

    async def news(self, seconds: float) -> None:
        """Wait until something came, or may be there; at most so many seconds."""
        self._bell.clear()
        if not self._came and not self.behind:
            waiting = asyncio.get_running_loop().call_later(seconds, self._bell.set)
            try:
                await self._bell.wait()
            finally:
                waiting.cancel()

    def arrive(self, given: list[T], notes: list[Any]) -> None:
        """Take in what a committed transaction gave."""
        for note in notes:
            self._told(note)
        self._came += given
        if given or self.behind:
            self._bell.set()

    # In the writer's thread

    @property
    def behind(self) -> bool:
        """Tell whether something may be ready that nobody has looked for."""
        return self._missed or self._heard != self._wakes

    def open(self, *, giving: bool) -> None:
        """Begin a transaction; one that is not `giving` has no seats."""
        moment = time.monotonic()
        self.now, self._stands, self._gives = self._clock(), moment < self._until, giving
        self._given, self._notes = [], []
        self._missed = self._missed or moment - self._looked >= LOOK

    def seat(self, thing: Any) -> bool:
        """Tell whether this thing may be taken and given: there is room, nothing older waits, and it is wanted."""
        return self._stands and self._gives and not self.behind and self._room() > 0 and not self._refuses(thing)

    def give(self, thing: T) -> None:
        """Give what was taken for who stands here."""
        self._given.append(thing)

    def miss(self) -> None:
        """Say that something is ready that was not given."""
        self._missed = True

    def serve(self, connection: Connection) -> None:
        """Look for what was missed, if somebody stands here and has room."""
        room = self._room()
        if not self._stands or not self.behind or room <= 0:
            return
        self._heard = self._wakes  # first: who wakes meanwhile is heard the next time
        found = self.look(connection, room, self.busy)
        self._given += found.things
        self.note(found)
        self._missed, self._looked = found.full, time.monotonic()

    def note(self, found: Found) -> None:
        """Keep what else a look has to tell until its transaction is on the disk."""
        if found.note is not None:
            self._notes.append(found.note)

    def _room(self) -> int:
        return self._allowed - self._taken - len(self._given)

    def done(self) -> tuple[list[T], list[Any]]:
        """End a transaction that is on the disk; returns what it gave, and its notes."""
        self._taken += len(self._given)
        return self._given, self._notes

    def undo(self) -> None:
        """End a transaction of which nothing is kept."""
        self._given, self._notes, self._missed = [], [], True
