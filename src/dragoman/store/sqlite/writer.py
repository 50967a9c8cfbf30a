"""The one writer: a thread that runs every change, many to a transaction, and answers after the commit.

Who looks for something to do leaves an *order*, which stands until there is something: the transaction that brings it
serves the order, so that what a change made ready is taken by the same flush to the disk.
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
from dragoman.store.sqlite.order import Desk, Order

Q = ParamSpec("Q")
R = TypeVar("R")

BATCH: Final = 512
"""Changes that share one transaction, at most."""
QUEUE: Final = 20_000
"""Changes that may wait for the writer; more are refused as `StoreAway`."""
COMPANY: Final = 0.001
"""Seconds for which a change that nobody hurries waits for others to share their transaction."""


class Change:
    """A function to run on the writer's connection, and the future that learns its result."""

    __slots__ = ("answered", "arguments", "aside", "brings", "failure", "function", "future", "gives", "result")

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        future: asyncio.Future[Any],
        *,
        brings: Collection[Wake] = (),
        gives: Collection[Wake] = (),
        aside: bool = False,
    ) -> None:
        """`brings`: what may be ready after it; `gives`: the same, but it asks desks; `aside`: in no transaction."""
        self.function = function
        self.arguments = arguments
        self.future = future
        self.brings = brings
        self.gives = gives
        self.aside = aside
        self.answered = False
        self.result: Any = None
        self.failure: Exception | None = None


class Asked(Change):
    """An order, and the future that learns what came of it. While it `stands` it waits for a change that serves it."""

    __slots__ = ("order", "stands")

    def __init__(self, order: Order[Any], future: asyncio.Future[Any], *, stands: bool = False) -> None:
        super().__init__(order.serve, (), future)
        self.order = order
        self.stands = stands


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
        self._patient: deque[Change] = deque()
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._rung = False
        self._waits = False
        self._alone = False
        self.desks: dict[Wake, Desk] = {"work": Desk(), "deliver": Desk()}
        """Where changes find the orders that their transaction serves."""
        self._orders: dict[Wake, deque[Asked]] = {"work": deque(), "deliver": deque()}
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
        """Run a change that may make something ready, as `run` does; an order that stands for that looks then."""
        return self._queued(Change(function, arguments, self._loop.create_future(), brings=brings))

    def give(
        self,
        gives: Collection[Wake],
        function: Callable[Concatenate[apsw.Connection, Q], R],
        *arguments: Q.args,
        **_: Q.kwargs,
    ) -> "asyncio.Future[R]":
        """Run a change that gives what it makes ready to an order that stands for it, or tells that it was missed."""
        return self._queued(Change(function, arguments, self._loop.create_future(), gives=gives))

    def join(
        self,
        function: Callable[Concatenate[apsw.Connection, Q], R],
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

    async def order(self, order: Order[R], seconds: float) -> R:
        """Have an order served as soon as there may be something to do, until its result is not empty.

        Waits for that at most so many seconds (0: not at all); then its result is empty. Raises as `run` does.
        """
        wake = order.wake
        if self._hints[wake] or not seconds:
            self._hints[wake] = False
            found: R = await self._queued(Asked(order, self._loop.create_future()))
            if found or not seconds:
                return found
        if self._closing or self._ended:
            raise StoreAway("the store is closing")
        asked = Asked(order, self._loop.create_future(), stands=True)
        self._orders[wake].append(asked)
        if self._hints[wake]:  # since we looked
            self.wake(wake)
        late = self._loop.call_later(seconds, self._look, asked)
        try:
            result: R = await asked.future
            return result
        finally:
            late.cancel()
            asked.stands, asked.answered = False, True

    def wake(self, wake: Wake) -> None:
        """Say that there may be something to do: the order that stands looks now, else the next one will."""
        self._hints[wake] = True
        for asked in self._standing(wake):
            self._hints[wake] = False
            self._look(asked)
            break

    def _look(self, asked: Asked) -> None:
        """Have an order look now, for the last time; what is in the queue for that already must not take twice."""
        if asked.stands:
            asked.stands = False
            self._put(asked)

    async def aside(self, function: Callable[[], R]) -> R:
        """Run a function in the writer's thread, between two transactions; raises what it raised, or `StoreAway`."""
        result: R = await self._queued(Change(function, (), self._loop.create_future(), aside=True))
        return result

    def _queued(self, change: Change) -> asyncio.Future[Any]:
        self._check()
        self._put(change)
        return change.future

    def _check(self) -> None:
        if self._closing or self._ended or len(self._changes) >= QUEUE:
            raise StoreAway("the store is closing" if self._closing else "too many changes wait for the writer")

    def _put(self, change: Change) -> None:
        """Queue a change; the thread is woken once for all of this turn of the loop, for that costs more than one."""
        self._changes.append(change)
        if not self._rung:
            self._rung = True
            self._loop.call_soon(self._ring)

    def _ring(self) -> None:
        self._rung = False
        self._bell.put(None)

    def _ring_for_patient(self) -> None:
        self._waits = False
        if self._patient:
            self._alone = True
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
        while batch := self._next():
            self._work_off(batch)

    def _next(self) -> list[Change]:
        """Return what waits; what waits for company comes with it, or by itself when it has waited long enough."""
        batch = [self._changes.popleft() for _ in range(min(BATCH, len(self._changes)))]
        if batch or self._alone or self._closing:
            self._alone = False
            batch += [self._patient.popleft() for _ in range(len(self._patient))]
        return batch

    def _abandon(self) -> None:
        """Tell who still waits that the thread has ended."""
        left = [*self._batch, *self._changes, *self._patient, *itertools.chain(*self._orders.values())]
        for change in left:
            change.failure = StoreAway("the store is closed")
        self._answer(left, ())

    def _work_off(self, batch: list[Change]) -> None:
        """Run what waits, with the orders that stand for what it brings, and have it answered."""
        batch = [change for change in batch if not change.answered]
        brought = {wake for change in batch for wake in (*change.brings, *change.gives)}
        standing = [asked for wake in brought for asked in self._standing(wake)]
        self._batch = [*batch, *standing]
        looking = [change for change in batch if isinstance(change, Asked)]
        self._apply([change for change in batch if type(change) is Change and not change.aside], looking + standing)
        for change in batch:
            if change.aside:
                _run_aside(change)
        batch += [asked for asked in standing if not self._stands_on(asked)]
        unserved = brought.difference(asked.order.wake for asked in standing)
        unserved.update(asked.order.wake for asked in standing if self._hints[asked.order.wake])  # woken meanwhile
        self._loop.call_soon_threadsafe(self._answer, batch, unserved)

    def _standing(self, wake: Wake) -> Iterator[Asked]:
        """Take the orders that stand; one that is to look now is in the queue."""
        orders = self._orders[wake]
        while True:
            try:
                asked = orders.popleft()
            except IndexError:  # asked first whether there is one, the other thread may take it meanwhile
                return
            if asked.stands:
                yield asked

    def _stands_on(self, asked: Asked) -> bool:
        """Let an order that found nothing stand, or be looked after by the queue if it is there already."""
        if asked.result or asked.failure is not None:
            asked.answered = True
            return False
        if asked.stands:
            self._orders[asked.order.wake].append(asked)
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

    def _apply(self, changes: list[Change], orders: list[Asked]) -> None:
        """Run a batch in one transaction; if one change fails, run each in its own, so that it fails alone."""
        if not (changes or orders) or self._transact(changes, orders) or len(changes) + len(orders) == 1:
            return
        for change in changes:
            self._transact([change], [])
        for asked in orders:
            self._transact([], [asked])

    def _open(self, changes: list[Change], orders: list[Asked]) -> None:
        """Put the orders of a transaction on the desks; one that does not stand looks whatever happens."""
        brought = {wake for change in changes for wake in change.brings}
        for desk in self.desks.values():
            desk.orders = []
        for asked in orders:
            order = asked.order
            order.open(missed=not asked.stands or not changes or order.wake in brought)
            self.desks[order.wake].orders.append(order)

    def _transact(self, changes: list[Change], orders: list[Asked]) -> bool:
        """Run changes in one transaction, and serve orders; on failure nothing is kept and each has the failure.

        Returns False when one of the changes failed, and not the database: the others deserve another try.
        """
        connection, changing = self._connection, False
        self._open(changes, orders)
        try:
            connection.execute("BEGIN IMMEDIATE")
            changing = True
            for change in itertools.chain(changes, orders):
                change.failure = None
                change.result = change.function(connection, *change.arguments)
            changing = False
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - this thread's outer loop: the failure goes to who asked
            failure = StoreAway(f"the database refused: {error}") if isinstance(error, apsw.Error) else error
            for change in itertools.chain(changes, orders):
                change.failure = failure
            if connection.in_transaction:
                with contextlib.suppress(apsw.Error):  # a database that cannot even roll back will say so at BEGIN
                    connection.execute("ROLLBACK")
            if isinstance(error, apsw.FullError) and self._relieve():
                return self._transact(changes, orders)
            return not changing
        return True


def _run_aside(change: Change) -> None:
    try:
        change.result = change.function()
    except apsw.Error as error:
        change.failure = StoreAway(f"the database refused: {error}")
    except (DragomanError, OSError) as error:
        change.failure = error
