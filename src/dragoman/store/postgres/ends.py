"""Who waits for the end of a turn: told by a hint at once, else by one look for all of them, four times a second."""

import asyncio
import contextlib
from typing import Final

from dragoman.errors import StoreAway
from dragoman.store.postgres.pool import Pool

LOOK_AGAIN: Final = 0.25
"""Seconds between two looks at the rows themselves, should hints not come."""
APART: Final = 0.02
"""Seconds between two looks, at least, when somebody new waits."""


class Ends:
    """Waits for turns to be over; however many requests are held, they cost one statement at a time."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: dict[int, set[asyncio.Future[None]]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._new = asyncio.Event()

    def over(self, event: int) -> None:
        """Tell those who wait for an event that its turn is over."""
        for future in self._waiting.pop(event, ()):
            if not future.done():
                future.set_result(None)

    async def wait(self, event: int, seconds: float) -> bool:
        """Wait until an event's turn is over; False when the time is up."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(event, set()).add(future)
        self._new.set()
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            return False
        finally:
            waiters = self._waiting.get(event, set())
            waiters.discard(future)
            if not waiters:
                self._waiting.pop(event, None)
        return True

    async def _look(self) -> None:
        while self._waiting:
            self._new.clear()
            looked_at = list(self._waiting)
            with contextlib.suppress(StoreAway):
                waiting = {row[0] for row in await self._pool.rows("still_waiting", ids=looked_at)}
                for event in looked_at:
                    if event not in waiting:
                        self.over(event)
            await asyncio.sleep(APART)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN):
                    await self._new.wait()

    def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
