"""Group commit over a network: what comes while one transaction is under way shares the next one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

from dragoman.errors import StoreAway

I = TypeVar("I")  # noqa: E741 - the item of a group
R = TypeVar("R")

LARGEST: Final = 256
"""Items that share one transaction, at most."""
QUEUE: Final = 10_000
"""Items that may wait; more are refused as `StoreAway`."""


class Group(Generic[I, R]):
    """Runs items in groups, one group at a time; an item's result or failure is its own."""

    def __init__(self, run: Callable[[Sequence[I]], Awaitable[Sequence[R | Exception]]]) -> None:
        """`run` takes items and gives a result or an error for each, in their order, or raises for all."""
        self._run = run
        self._waiting: list[tuple[I, asyncio.Future[R]]] = []
        self._task: asyncio.Task[None] | None = None

    async def do(self, item: I) -> R:
        """Run an item with others; raises what `run` gave or raised for it."""
        if len(self._waiting) >= QUEUE:
            raise StoreAway("too many changes wait for the database")
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())
        return await future

    async def close(self, seconds: float) -> None:
        """Let what is under way end, for so many seconds; what is not done then fails as `StoreAway`."""
        if self._task is not None:
            _, late = await asyncio.wait({self._task}, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for _, future in self._waiting:
            if not future.done():
                future.set_exception(StoreAway("the store is closed"))
        self._waiting = []

    async def _drain(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:LARGEST], self._waiting[LARGEST:]
            results: Sequence[R | Exception] = [StoreAway("the store is closed")] * len(batch)
            try:
                results = await self._results([item for item, _ in batch])
            finally:
                _answer([future for _, future in batch], results)

    async def _results(self, items: Sequence[I]) -> Sequence[R | Exception]:
        """Run items together; when one of them is unfit, each alone, so that it fails alone."""
        try:
            return await self._run(items)
        except StoreAway as away:
            return [away] * len(items)
        except Exception as error:  # noqa: BLE001 - the group's outer loop: the failure goes to who asked
            if len(items) == 1:
                return [error]
            return [result for item in items for result in await self._results([item])]


def _answer(futures: Sequence["asyncio.Future[R]"], results: Sequence[R | Exception]) -> None:
    for future, result in zip(futures, results, strict=True):
        if future.done():
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
