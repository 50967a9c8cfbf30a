"""What a level of the cache is: a place for bytes under a key, for a while, that may lose them at any time."""

import math
from typing import Final, Literal, NamedTuple, Protocol

from dragoman import telemetry

FOR_EVER: Final = math.inf
"""Seconds of a value that does not grow old; it still goes when room is needed."""

Outcome = Literal["hit", "miss", "wrong", "away"]


class Found(NamedTuple):
    """A value, and the seconds for which it is still good."""

    value: bytes
    seconds: float


class Level(Protocol):
    """One level. None of its verbs raises for what is wrong with the level: a loss is a miss, and is counted."""

    async def get(self, key: str) -> Found | None:
        """Return what is kept under a key, if it is there, whole and not too old."""

    async def set(self, key: str, value: bytes, seconds: float) -> None:
        """Keep a value for so many seconds."""

    async def drop(self, key: str) -> None:
        """Forget a key."""


class Tally:
    """Counts what came of looking something up in one level."""

    def __init__(self, level: str) -> None:
        outcomes: tuple[Outcome, ...] = ("hit", "miss", "wrong", "away")
        self._counters = {outcome: telemetry.cache.labels(level, outcome) for outcome in outcomes}

    def __call__(self, outcome: Outcome) -> None:
        """Count one."""
        self._counters[outcome].inc()
