"""Events that come in several frames, gathered until each is whole: bounded in number, bytes and age.

What does not become whole in time is dropped: it was not acknowledged, so Feishu sends it again.
"""

import dataclasses
from typing import Final

from dragoman.errors import Malformed

LONGEST_GAP: Final = 5.0
"""Seconds after its last part at which an incomplete event is dropped; the official SDK's."""
MOST_PARTS: Final = 1000
MOST_SETS: Final = 100
MOST_BYTES: Final = 8 << 20
"""How many parts one event may have, how many events may be incomplete at a time, and the bytes of all of them."""


@dataclasses.dataclass(kw_only=True)
class Incomplete:
    """The parts of one event that came so far, by their place."""

    total: int
    first: float
    last: float
    parts: dict[int, bytes] = dataclasses.field(default_factory=dict)

    @property
    def size(self) -> int:
        """Its bytes so far."""
        return sum(map(len, self.parts.values()))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Whole:
    """An event with all of its bytes, and when the first of them came (epoch seconds)."""

    payload: bytes
    since: float


class Fragments:
    """What is incomplete on one socket, by the id of the event."""

    def __init__(self) -> None:
        self._sets: dict[str, Incomplete] = {}
        self._size = 0
        self._dropped = 0

    def add(self, name: str, total: int, place: int, part: bytes, now: float) -> Whole | None:
        """Take a part; returns the event when this makes it whole. Raises `Malformed` for an impossible place."""
        if not 0 <= place < total <= MOST_PARTS:
            raise Malformed(f"part {place} of {total}")
        if total == 1:
            return Whole(payload=part, since=now)
        found = self._set(name, total, now)
        self._size += len(part) - len(found.parts.get(place, b""))
        found.parts[place], found.last = part, now
        if len(found.parts) == total:
            self._forget(name)
            return Whole(payload=b"".join(found.parts[number] for number in range(total)), since=found.first)
        while self._size > MOST_BYTES or len(self._sets) > MOST_SETS:
            self._drop(next(iter(self._sets)))
        return None

    def expire(self, now: float) -> int:
        """Drop what waits for its next part too long; returns how many were dropped since the last call."""
        for name, found in list(self._sets.items()):
            if not 0 <= now - found.last <= LONGEST_GAP:
                self._drop(name)
        dropped, self._dropped = self._dropped, 0
        return dropped

    def _set(self, name: str, total: int, now: float) -> Incomplete:
        found = self._sets.get(name)
        if found and (found.total != total or not 0 <= now - found.last <= LONGEST_GAP):
            self._drop(name)
            found = None
        return found or self._sets.setdefault(name, Incomplete(total=total, first=now, last=now))

    def _drop(self, name: str) -> None:
        self._forget(name)
        self._dropped += 1

    def _forget(self, name: str) -> None:
        self._size -= self._sets.pop(name).size
