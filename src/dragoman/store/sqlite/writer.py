"""The one writer: a thread that runs every change, many to a transaction, and answers after the commit.

Who looks for something to do stands at a *desk* (`desk`): the transaction that makes something ready gives it there, so
that what a change brought is taken by the same flush to the disk.
"""

import asyncio
import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Collection
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import apsw
import msgspec

from dragoman.errors import StoreAway
from dragoman.store.base import Wake
from dragoman.store.sqlite.desk import Desk, Found
from dragoman.store.sqlite.statements import Connection

Q = ParamSpec("Q")
R = TypeVar("R")
T = TypeVar("T")

WORK: Final[tuple[Wake, ...]] = ("work",)
DELIVER: Final[tuple[Wake, ...]] = ("deliver",)
BOTH: Final = WORK + DELIVER
"""What a change may make ready."""

BATCH: Final = 512
"""Changes that share one transaction, at most."""
QUEUE: Final = 20_000
"""Changes that may wait for the writer; more are refused as `StoreAway`."""
LOG: Final = 1_000
"""Frames of the write-ahead log, for each change that usually shares a transaction, from which on it is let go."""
LONGEST: Final = 16_000
"""Frames (64 MB) from which on it is let go in any case."""
COMPANY: Final = 0.001
"""Seconds for which a change that nobody hurries waits for others to share their transaction."""


class Change(msgspec.Struct, eq=False):
    """A function to run on the writer's connection, and the future that learns its result."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    future: asyncio.Future[Any]
    brings: Collection[Wake] = ()
    """What may be ready after it, beside what it gives."""
    aside: bool = False
    """Whether it is run between two transactions, and without the connection."""
    then: Callable[[Any], None] | None = None
    """Called on the loop with the result that is on the disk, whether or not anybody still waits for it."""
    result: Any = None
    failure: Exception | None = None


class Writer:
    """Owns the writing connection; a change is answered only when its transaction is on the disk."""

    def __init__(
        self,
        connection: Connection,
        loop: asyncio.AbstractEventLoop,
        relieve: Callable[[], bool] | None = None,
    ) -> None:
        """`relieve` makes room on a full disk, if it can: then the transaction is tried once more."""
        self.desks: dict[Wake, Desk[Any]] = {}
        """Where what a transaction makes ready is given; set by the store, before the first change."""
        self._connection = connection
        self._loop = loop
        self._relieve = relieve or (lambda: False)
        self._changes: deque[Change] = deque()
        self._patient: deque[Change] = deque()
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._rung = False
        self._waits = False
        self._alone = False
        self._arrivals: list[tuple[Desk[Any], list[Any], list[Any]]] = []
        self._batch: list[Change] = []
        self._shared = 1.0
        self._dismissed = False
        self._closing = False
        self._ended = False
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    def shorten_log(self) -> None:
        """Let the write-ahead log go into the file as it grows long; for who else empties it, this is not called.

        Messages wait meanwhile. Where they come one by one that is kept short; the more share each transaction, the
        more share a longer wait, too, and the fewer pages are written twice.
        """
        self._connection.set_wal_hook(self._committed)

    def _committed(self, connection: apsw.Connection, _name: str, frames: int) -> int:
        if frames >= min(LONGEST, LOG * self._shared):
            with contextlib.suppress(apsw.Error):  # what does not go now stays in the log, and goes another time
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        return apsw.SQLITE_OK

    def run(
        self,
        function: Callable[Concatenate[Connection, Q], R],
        *arguments: Q.args,
        **_: Q.kwargs,
    ) -> "asyncio.Future[R]":
        """Run a change; who awaits it has waited for its commit. Raises what it raised, or `StoreAway`."""
        return self._queued(Change(function, arguments, self._loop.create_future()))

    def change(
        self,
        brings: Collection[Wake],
        function: Callable[Concatenate[Connection, Q], R],
        *arguments: Q.args,
        **_: Q.kwargs,
    ) -> "asyncio.Future[R]":
        """Run a change that may make something ready, as `run` does; the desks look for it then."""
        return self._queued(Change(function, arguments, self._loop.create_future(), brings=brings))

    def tell(
        self,
        then: Callable[[R], None],
        function: Callable[Concatenate[Connection, Q], R],
        *arguments: Q.args,
        **_: Q.kwargs,
    ) -> "asyncio.Future[R]":
        """Run a change, as `run` does; `then` learns its result though who awaits it may have left."""
        return self._queued(Change(function, arguments, self._loop.create_future(), then=then))

    def join(
        self,
        function: Callable[Concatenate[Connection, Q], R],
        *arguments: Q.args,
        **_: Q.kwargs,
    ) -> "asyncio.Future[R]":
        """Run a change, as `run` does, with the next ones that come; alone when none does in a moment."""
        change = Change(function, arguments, self._loop.create_future())
        self._check()
        self._patient.append(change)
        if not self._waits:
            self._waits = True
            self._loop.call_later(COMPANY, self._ring_for_patient)
        return change.future

    async def ask(self, desk: Desk[T], limit: int, busy: Collection[str], seconds: float) -> list[T]:
        """Have up to so many things as soon as there are some, at most so many seconds from now; raises as `run` does.

        Without any time: what is there now.
        """
        if self._dismissed:
            raise StoreAway("the store is closing")
        if not seconds:
            found = await self.run(self._look_once, desk, limit - desk.came, busy)
            return desk.fetch(limit) + found
        desk.stand(limit, busy)
        try:
            await self._served(desk, seconds)
        except BaseException:
            desk.end()
            raise
        desk.leave()
        return desk.fetch(limit)

    async def _served(self, desk: Desk[T], seconds: float) -> None:
        """Wait until something came to who stands at a desk; at last it looks."""
        if not desk.came and desk.behind:
            await self.run(desk.serve)
        if not desk.came and not self._dismissed:
            await desk.news(seconds)
        if not desk.came and not self._dismissed:
            desk.wake()
            await self.run(desk.serve)
        if self._dismissed:
            raise StoreAway("the store is closing")

    async def dismiss(self) -> None:
        """Serve no asker any more; what is under way is given at the desks when this returns."""
        self._dismissed = True
        for desk in self.desks.values():
            desk.end()
            desk.wake()
        await self.run(lambda _: None)

    def _look_once(self, connection: Connection, desk: Desk[T], limit: int, busy: Collection[str]) -> list[T]:
        """Look for who does not stand; whoever does looks once more."""
        found = desk.look(connection, limit, busy) if limit > 0 else Found(things=[])
        desk.note(found)
        desk.miss()
        return found.things

    async def aside(self, function: Callable[[], R]) -> R:
        """Run a function in the writer's thread, between two transactions; raises what it raised, or `StoreAway`."""
        result: R = await self._queued(Change(function, (), self._loop.create_future(), aside=True))
        return result

    def _queued(self, change: Change) -> asyncio.Future[Any]:
        """Queue a change; the thread is woken once for all of this turn of the loop, for that costs more than one."""
        self._check()
        self._changes.append(change)
        if not self._rung:
            self._rung = True
            self._loop.call_soon(self._ring)
        return change.future

    def _check(self) -> None:
        full = len(self._changes) >= QUEUE and not self._dismissed  # what is given back at the end has room in any case
        if self._closing or self._ended or full:
            raise StoreAway("the store is closing" if self._closing else "too many changes wait for the writer")

    def _ring(self) -> None:
        self._rung = False
        self._bell.put(None)

    def _ring_for_patient(self) -> None:
        self._waits = False
        if self._patient:
            self._alone = True
            self._bell.put(None)

    async def close(self, last: Callable[[], None] | None = None) -> None:
        """Finish what is queued, then end the thread; `last` is called before the connection is closed."""
        self._closing = True
        self._bell.put(None)
        await asyncio.to_thread(self._thread.join)
        if last is not None:
            last()
        self._connection.close()

    def _work(self) -> None:
        try:
            while not self._closing:
                self._bell.get()
                self._work_all()
            self._work_all()  # what was queued just before
        finally:
            self._ended = True
            self._loop.call_soon_threadsafe(self._abandon)

    def _work_all(self) -> None:
        while batch := self._next():
            self._work_off(batch)

    def _next(self) -> list[Change]:
        """Return what waits; what waits for company comes with it, or by itself when it has waited long enough."""
        batch: list[Change] = []
        if self._changes or self._alone or self._closing:
            self._alone = False
            batch = [self._patient.popleft() for _ in range(len(self._patient))]  # they were called first
        return batch + [self._changes.popleft() for _ in range(min(BATCH, len(self._changes)))]

    def _abandon(self) -> None:
        """Tell who still waits that the thread has ended."""
        left = [*self._batch, *self._changes, *self._patient]
        for change in left:
            change.failure = StoreAway("the store is closed")
        self._answer(left, [])
        for desk in self.desks.values():
            desk.wake()

    def _work_off(self, batch: list[Change]) -> None:
        """Run what waits, and have it answered with what came of it at the desks."""
        self._batch, self._arrivals = batch, []
        self._shared += (len(batch) - self._shared) / 16  # so that some sixteen transactions count
        self._apply([change for change in batch if not change.aside])
        for change in batch:
            if change.aside:
                _run_aside(change)
        self._loop.call_soon_threadsafe(self._answer, batch, self._arrivals)

    def _answer(self, batch: list[Change], arrivals: list[tuple[Desk[Any], list[Any], list[Any]]]) -> None:
        """Give every change its answer (on the event loop), and the desks what was given there."""
        for change in batch:
            if change.then is not None and change.failure is None:
                change.then(change.result)
            if change.future.done():
                continue
            if change.failure is not None:
                change.future.set_exception(change.failure)
            else:
                change.future.set_result(change.result)
        for desk, given, notes in arrivals:
            desk.arrive(given, notes)

    def _apply(self, batch: list[Change]) -> None:
        """Run a batch in one transaction; if a change or a look fails, run each in its own, so that it fails alone."""
        if not batch or self._transact(batch, serving=True):
            return
        for change in batch:
            self._transact([change])

    def _transact(self, batch: list[Change], *, serving: bool = False) -> bool:
        """Run changes in one transaction; on failure nothing is kept and every change has the failure.

        `serving`: the desks look for what was missed besides. Returns False when one of the changes failed, or a look,
        and not the database: the others deserve another try.
        """
        connection, changing = self._connection, False
        for desk in self.desks.values():
            desk.open(giving=serving)
        try:
            connection.execute("BEGIN IMMEDIATE")
            changing = True
            for change in batch:
                change.failure = None
                change.result = change.function(connection, *change.arguments)
                for wake in change.brings:
                    self.desks[wake].miss()
            for desk in self.desks.values() if serving else ():
                desk.serve(connection)
            changing = False
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - this thread's outer loop: the failure goes to who asked
            self._undo(batch, error)
            if isinstance(error, apsw.FullError) and self._relieve():
                return self._transact(batch, serving=serving)
            return not changing
        self._arrivals += [(desk, *desk.done()) for desk in self.desks.values()]
        return True

    def _undo(self, batch: list[Change], error: Exception) -> None:
        """Leave nothing of a transaction, and tell its changes why."""
        failure = StoreAway(f"the database refused: {error}") if isinstance(error, apsw.Error) else error
        for change in batch:
            change.failure = failure
        for desk in self.desks.values():
            desk.undo()
            self._arrivals.append((desk, [], []))  # who stands there looks for itself
        if self._connection.in_transaction:
            with contextlib.suppress(apsw.Error):  # a database that cannot even roll back will say so at BEGIN
                self._connection.execute("ROLLBACK")


def _run_aside(change: Change) -> None:
    try:
        change.result = change.function()
    except apsw.Error as error:
        change.failure = StoreAway(f"the database refused: {error}")
    except Exception as error:  # noqa: BLE001 - this thread's outer loop: the failure goes to who asked
        change.failure = error
