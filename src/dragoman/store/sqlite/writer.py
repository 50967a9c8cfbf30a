"""The one writer: a thread that runs every change, many to a transaction, and answers after the commit.

Who looks for something to do leaves an *order*, which stands until there is something: it runs at the end of the
transaction that brings it, so that what a change made ready is taken by the same flush to the disk.
"""

import asyncio
import contextlib
import itertools
import queue
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import apsw

from dragoman.errors import DragomanError, StoreAway
from dragoman.store.base import Wake

Q = ParamSpec("Q")
R = TypeVar("R")

WORK: Final[tuple[Wake, ...]] = ("work",)
DELIVER: Final[tuple[Wake, ...]] = ("deliver",)
BOTH: Final = WORK + DELIVER
"""What a change may bring."""

BATCH: Final = 512
"""Changes that share one transaction, at most."""
QUEUE: Final = 20_000
"""Changes that may wait for the writer; more are refused as `StoreAway`."""


class Change:
    """A function to run on the writer's connection, and the future that learns its result."""

    __slots__ = ("answered", "arguments", "aside", "brings", "failure", "function", "future", "result", "stands")

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        future: asyncio.Future[Any],
        *,
        brings: Collection[Wake] = (),
        aside: bool = False,
        stands: bool = False,
    ) -> None:
        """`brings`: what it may make ready; `aside`: run between two transactions; `stands`: it is an order."""
        self.function = function
        self.arguments = arguments
        self.future = future
        self.brings = brings
        self.aside = aside
        self.stands = stands
        self.answered = False
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
        self._changes: deque[Change] = deque()
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._rung = False
        self._orders: dict[Wake, deque[Change]] = {"work": deque(), "deliver": deque()}
        self._hints: dict[Wake, bool] = {"work": True, "deliver": True}
        self._batch: list[Change] = []
        self._closing = False
        self._ended = False
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    def run(
        self,
        function: Callable[Concatenate[apsw.Connection, Q], R],
        *arguments: Q.args,
        **_: Q.kwargs,
    ) -> "asyncio.Future[R]":
        """Run a change; who awaits it has waited for its commit. Raises what it raised, or `StoreAway`."""
        return self._queued(Change(function, arguments, self._loop.create_future()))

    def change(
        self,
        brings: Collection[Wake],
        function: Callable[Concatenate[apsw.Connection, Q], R],
        *arguments: Q.args,
        **_: Q.kwargs,
    ) -> "asyncio.Future[R]":
        """Run a change that may make something ready, as `run` does; an order that stands for that runs with it."""
        return self._queued(Change(function, arguments, self._loop.create_future(), brings=brings))

    async def order(self, wake: Wake, function: Callable[[apsw.Connection], R], seconds: float) -> R:
        """Run a function as soon as there may be something to do, until its result is not empty; raises as `run` does.

        Waits for that at most so many seconds (0: not at all); then its result is empty.
        """
        if self._hints[wake] or not seconds:
            self._hints[wake] = False
            found = await self.run(function)
            if found or not seconds:
                return found
        if self._closing or self._ended:
            raise StoreAway("the store is closing")
        order = Change(function, (), self._loop.create_future(), stands=True)
        self._orders[wake].append(order)
        if self._hints[wake]:  # since we looked
            self.wake(wake)
        late = self._loop.call_later(seconds, self._look, order)
        try:
            result: R = await order.future
            return result
        finally:
            late.cancel()
            order.stands, order.answered = False, True

    def wake(self, wake: Wake) -> None:
        """Say that there may be something to do: the order that stands looks now, else the next one will."""
        self._hints[wake] = True
        for order in self._standing(wake):
            self._hints[wake] = False
            self._look(order)
            break

    def _look(self, order: Change) -> None:
        """Run an order now, for the last time; what is in the queue for that already must not take twice."""
        if order.stands:
            order.stands = False
            self._put(order)

    async def aside(self, function: Callable[[], R]) -> R:
        """Run a function in the writer's thread, between two transactions; raises what it raised, or `StoreAway`."""
        result: R = await self._queued(Change(function, (), self._loop.create_future(), aside=True))
        return result

    def _queued(self, change: Change) -> asyncio.Future[Any]:
        if self._closing or self._ended or len(self._changes) >= QUEUE:
            raise StoreAway("the store is closing" if self._closing else "too many changes wait for the writer")
        self._put(change)
        return change.future

    def _put(self, change: Change) -> None:
        """Queue a change; the thread is woken once for all of this turn of the loop, for that costs more than one."""
        self._changes.append(change)
        if not self._rung:
            self._rung = True
            self._loop.call_soon(self._ring)

    def _ring(self) -> None:
        self._rung = False
        self._bell.put(None)

    async def close(self, last: Callable[[], None] | None = None) -> None:
        """Finish what is queued, then end the thread; `last` is called before the connection is closed.

        An order that stands is not run any more: what it would take nobody would do.
        """
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
        while self._changes:
            self._work_off([self._changes.popleft() for _ in range(min(BATCH, len(self._changes)))])

    def _abandon(self) -> None:
        """Tell who still waits that the thread has ended."""
        left = [*self._batch, *self._changes, *itertools.chain(*self._orders.values())]
        for change in left:
            change.failure = StoreAway("the store is closed")
        self._answer(left, ())

    def _work_off(self, batch: list[Change]) -> None:
        """Run what waits, with the orders that stand for what it brings, and have it answered."""
        batch = [change for change in batch if not change.answered]
        brought = {wake for change in batch for wake in change.brings}
        orders = [(wake, order) for wake in brought for order in self._standing(wake)]
        self._batch = batch + [order for _, order in orders]
        self._apply([change for change in batch if not change.aside] + [order for _, order in orders])
        for change in batch:
            if change.aside:
                _run_aside(change)
        batch += [order for wake, order in orders if not self._stands_on(wake, order)]
        unserved = brought.difference(wake for wake, _ in orders)
        unserved.update(wake for wake, _ in orders if self._hints[wake])  # it was woken while its order ran
        self._loop.call_soon_threadsafe(self._answer, batch, unserved)

    def _standing(self, wake: Wake) -> Iterator[Change]:
        """Take the orders that stand; one that is to look now is in the queue."""
        orders = self._orders[wake]
        while True:
            try:
                order = orders.popleft()
            except IndexError:  # asked first whether there is one, the other thread may take it meanwhile
                return
            if order.stands:
                yield order

    def _stands_on(self, wake: Wake, order: Change) -> bool:
        """Let an order that found nothing stand, or be looked after by the queue if it is there already."""
        if order.result or order.failure is not None:
            order.answered = True
            return False
        if order.stands:
            self._orders[wake].append(order)
        return True

    def _answer(self, batch: list[Change], unserved: Collection[Wake]) -> None:
        """Give every change its answer (on the event loop), and wake who could not be served with them."""
        for change in batch:
            if change.future.done():
                continue
            if change.failure is not None:
                change.future.set_exception(change.failure)
            else:
                change.future.set_result(change.result)
        for wake in unserved:
            self.wake(wake)

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
