"""A cache of levels: what is looked up in the memory, then further away, and made at last, once for all who wait."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable

from dragoman.cache.level import Level
from dragoman.cache.memory import Memory

Make = Callable[[], Awaitable[bytes]]


@dataclasses.dataclass(eq=False)
class _Flight:
    """One lookup under way, and how many wait for it."""

    task: asyncio.Task[bytes]
    waiting: int = 0


class Cache:
    """Bytes under keys, in the memory (if any), then in the level behind it (if any). It never raises by itself."""

    def __init__(self, near: Memory | None = None, far: Level | None = None) -> None:
        """Compose it."""
        self._near = near
        self._far = far
        self._flights: dict[str, _Flight] = {}
        self._changes = 0

    async def get(self, key: str) -> bytes | None:
        """Return what some level has, or None."""
        if self._near is not None and (found := self._near.get(key)) is not None:
            return found.value
        return await self._get_far(key)

    async def set(self, key: str, value: bytes, seconds: float) -> None:
        """Keep a value in all levels; a lookup that is under way will not replace it."""
        self._flights.pop(key, None)
        self._changes += 1
        await self._keep(key, value, seconds)

    async def drop(self, key: str) -> None:
        """Forget a key in all levels; the memories of other processes follow when their seconds are over."""
        self._flights.pop(key, None)
        self._changes += 1
        if self._far is not None:
            await self._far.drop(key)
        self._changes += 1
        if self._near is not None:
            self._near.drop(key)

    async def fetch(self, key: str, make: Make, seconds: float) -> bytes:
        """Return what is kept, or what `make` gives, which is then kept for so many seconds.

        Callers that come while one looks or makes wait for the same result. A failure of `make` reaches all of them
        and is not kept. `make` is cancelled when the last of them has gone.
        """
        if self._near is not None and (found := self._near.get(key)) is not None:
            return found.value
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(asyncio.create_task(self._look(key, make, seconds)))
            flight.task.add_done_callback(_seen)
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting:
                self._land(key, flight)

    async def close(self) -> None:
        """Cancel what is under way."""
        tasks = [flight.task for flight in self._flights.values()]
        self._flights.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _land(self, key: str, flight: _Flight) -> None:
        flight.task.cancel()
        if self._flights.get(key) is flight:
            del self._flights[key]

    async def _look(self, key: str, make: Make, seconds: float) -> bytes:
        try:
            value = await self._get_far(key)
            if value is None:
                value = await make()
                await self._keep_wanted(key, value, seconds)
            return value
        finally:
            if self._wanted(key):
                del self._flights[key]

    async def _keep_wanted(self, key: str, value: bytes, seconds: float) -> None:
        """Keep what was made, unless the key was set or dropped meanwhile: the value may be older than that."""
        if not self._wanted(key):
            return
        await self._keep(key, value, seconds)
        if not self._wanted(key) and self._far is not None:
            await self._far.drop(key)  # the change and ours may have met on the way, in either order

    def _wanted(self, key: str) -> bool:
        """Tell whether this task's lookup still stands; a change of the key ends it."""
        flight = self._flights.get(key)
        return flight is not None and flight.task is asyncio.current_task()

    async def _get_far(self, key: str) -> bytes | None:
        if self._far is None:
            return None
        before = self._changes
        found = await self._far.get(key)
        if found is None:
            return None
        if self._near is not None and before == self._changes:
            self._near.set(key, found.value, found.seconds)
        return found.value

    async def _keep(self, key: str, value: bytes, seconds: float) -> None:
        if self._near is not None:
            self._near.set(key, value, seconds)
        if self._far is not None:
            await self._far.set(key, value, seconds)


def _seen(task: asyncio.Task[bytes]) -> None:
    """Look at a failure that nobody waits for any more, so that asyncio does not complain."""
    if not task.cancelled():
        task.exception()
