"""The first level: values in this process, bounded in number and in bytes; those not used longest go first."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from dragoman.cache.level import FOR_EVER, Found, Tally

ENTRIES: Final = 10_000
"""Values that are kept, at most."""
ROOM: Final = 16 << 20
"""Bytes of values that are kept, at most; one that would take more than an eighth of it is not kept."""


class Memory:
    """Keeps values for their seconds, and never longer than `longest`: other processes may know better by then."""

    def __init__(
        self,
        *,
        entries: int = ENTRIES,
        room: int = ROOM,
        longest: float = FOR_EVER,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Bound it; `clock` gives seconds that never jump."""
        self._entries = entries
        self._room = room
        self._longest = longest
        self._clock = clock
        self._kept: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._used = 0
        self._tally = Tally("memory")

    def get(self, key: str) -> Found | None:
        """Return what is kept under a key."""
        value, until = self._kept.get(key, (b"", 0.0))
        left = until - self._clock()
        if key not in self._kept or left <= 0:
            self.drop(key)
            self._tally("miss")
            return None
        self._kept.move_to_end(key)
        self._tally("hit")
        return Found(value, left)

    def set(self, key: str, value: bytes, seconds: float) -> None:
        """Keep a value for so many seconds, in place of what was there."""
        self.drop(key)
        if seconds <= 0 or len(value) > self._room // 8:
            return
        self._kept[key] = (value, self._clock() + min(seconds, self._longest))
        self._used += len(value)
        while self._used > self._room or len(self._kept) > self._entries:
            self.drop(next(iter(self._kept)))

    def drop(self, key: str) -> None:
        """Forget a key."""
        value, _ = self._kept.pop(key, (b"", 0.0))
        self._used -= len(value)
