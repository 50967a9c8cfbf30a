"""The one writer: a thread that runs every change, many to a transaction, and answers after the commit."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import apsw

from dragoman.errors import DragomanError, StoreAway

Q = ParamSpec("Q")
R = TypeVar("R")

BATCH: Final = 512
"""Changes that share one transaction, at most."""
QUEUE: Final = 20_000
"""Changes that may wait for the writer; more are refused as `StoreAway`."""


class Change:
    """A function to run on the writer's connection, and the future that learns its result."""

    __slots__ = ("arguments", "aside", "failure", "function", "future", "result")

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        future: asyncio.Future[Any],
        *,
        aside: bool = False,
    ) -> None:
        """`aside`: run between two transactions."""
        self.function = function
        self.arguments = arguments
        self.future = future
        self.aside = aside
        self.result: Any = None
        self.failure: Exception | None = None


class Writer:
    """Owns the writing connection; a change is answered only when its transaction is on the disk."""

    def __init__(
        self,
        connection: apsw.Connection,
        loop: asyncio.AbstractEventLoop,
        relieve: Callable[[], bool] | None = None,
    ) -> None:
        """`relieve` makes room on a full disk, if it can: then the transaction is tried once more."""
        self._connection = connection
        self._loop = loop
        self._relieve = relieve or (lambda: False)
        self._queue: queue.SimpleQueue[Change | None] = queue.SimpleQueue()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    async def run(
        self,
        function: Callable[Concatenate[apsw.Connection, Q], R],
        *arguments: Q.args,
        **_: Q.kwargs,
    ) -> R:
        """Run a change and wait for its commit; raises what it raised, or `StoreAway`."""
        result: R = await self._queued(Change(function, arguments, self._loop.create_future()))
        return result

    async def aside(self, function: Callable[[], R]) -> R:
        """Run a function in the writer's thread, between two transactions; raises what it raised, or `StoreAway`."""
        result: R = await self._queued(Change(function, (), self._loop.create_future(), aside=True))
        return result

    def _queued(self, change: Change) -> asyncio.Future[Any]:
        if self._closing or not self._thread.is_alive() or self._queue.qsize() >= QUEUE:
            raise StoreAway("the store is closing" if self._closing else "too many changes wait for the writer")
        self._queue.put(change)
        return change.future

    async def close(self, last: Callable[[], None] | None = None) -> None:
        """Finish what is queued, then end the thread; `last` is called before the connection is closed."""
        self._closing = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        if last is not None:
            last()
        self._connection.close()

    def _work(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first, *self._waiting()]
            self._apply([change for change in batch if not change.aside])
            for change in batch:
                if change.aside:
                    _run_aside(change)
            self._loop.call_soon_threadsafe(_answer, batch)

    def _waiting(self) -> Iterator[Change]:
        """Take what waits already; the end mark goes back, so that `_work` sees it."""
        for _ in range(BATCH - 1):
            try:
                change = self._queue.get_nowait()
            except queue.Empty:
                return
            if change is None:
                self._queue.put(None)
                return
            yield change

    def _apply(self, batch: list[Change]) -> None:
        """Run a batch in one transaction; if one change fails, run each in its own, so that it fails alone."""
        if not batch or self._transact(batch) or len(batch) == 1:
            return
        for change in batch:
            self._transact([change])

    def _transact(self, batch: list[Change]) -> bool:
        """Run changes in one transaction; on failure nothing is kept and every change has the failure.

        Returns False when one of the changes failed, and not the database: the others deserve another try.
        """
        connection, changing = self._connection, False
        try:
            connection.execute("BEGIN IMMEDIATE")
            changing = True
            for change in batch:
                change.failure = None
                change.result = change.function(connection, *change.arguments)
            changing = False
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - this thread's outer loop: the failure goes to who asked
            failure = StoreAway(f"the database refused: {error}") if isinstance(error, apsw.Error) else error
            for change in batch:
                change.failure = failure
            if connection.in_transaction:
                with contextlib.suppress(apsw.Error):  # a database that cannot even roll back will say so at BEGIN
                    connection.execute("ROLLBACK")
            if isinstance(error, apsw.FullError) and self._relieve():
                return self._transact(batch)
            return not changing
        return True


def _run_aside(change: Change) -> None:
    try:
        change.result = change.function()
    except apsw.Error as error:
        change.failure = StoreAway(f"the database refused: {error}")
    except (DragomanError, OSError) as error:
        change.failure = error


def _answer(batch: list[Change]) -> None:
    """Give every change its answer (on the event loop)."""
    for change in batch:
        if change.future.done():
            continue
        if change.failure is not None:
            change.future.set_exception(change.failure)
        else:
            change.future.set_result(change.result)
