"""One timer for much that is seldom due: what is over in time costs none of its own."""

import asyncio
from typing import Final, Protocol

EARLY: Final = 0.001
"""Seconds by which a timer of the event loop may come early."""


class Due(Protocol):
    """Something to be done at a time; it may set another one when it is."""

    due: float
    """On the event loop's clock, in seconds."""

    def ring(self, now: float) -> None:
        """Do what is due."""


class Alarm:
    """Rings for everything that was added and not dropped, at its time; the timer is set for the first of them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop: Final = loop
        self._expected: set[Due] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0.0

    def add(self, due: Due) -> None:
        """Ring for this at its time, which may have changed."""
        self._expected.add(due)
        if self._timer is None or due.due < self._next:
            self._expect(due.due)

    def drop(self, due: Due) -> None:
        """Ring for this no more."""
        self._expected.discard(due)

    def _expect(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = moment
        self._timer = self.loop.call_at(moment, self._ring)

    def _ring(self) -> None:
        self._timer, now = None, self.loop.time() + EARLY
        for due in sorted((each for each in self._expected if each.due <= now), key=lambda each: each.due):
            due.ring(now)
        if self._expected:
            self._expect(min(each.due for each in self._expected))
