"""The third copy: what the first bucket has and the second has not is copied, read back, and only then counts."""

from collections.abc import Callable
from typing import Final

from dragoman import telemetry
from dragoman.archive.backup.copies import MANIFEST
from dragoman.archive.bucket import Bucket, Entry
from dragoman.errors import ArchiveDamaged, ArchiveMissing

WHOLE: Final = 6 * 3600.0
"""Seconds between two comparisons of everything; in between only what is new is looked for."""

log = telemetry.logger("backup")


class Mirror:
    """Keeps a second bucket like the first."""

    def __init__(self, first: Bucket, second: Bucket, clock: Callable[[], float]) -> None:
        self.restorable_at = 0.0
        self._first = first
        self._second = second
        self._clock = clock
        self._compared = -WHOLE
        self._seen: dict[str, tuple[int, float]] = {}

    async def sync(self, restorable_at: float) -> int:
        """Copy what is missing; returns how many objects. `restorable_at`: what the first copy holds, at least.

        Raises `ArchiveAway`. An object that vanishes from the first meanwhile was too old to be kept.
        """
        entries = {entry.path: entry async for entry in self._first.list("")}
        missing = [entry for entry in entries.values() if self._seen.get(entry.path) != (entry.size, entry.at)]
        if self._clock() - self._compared >= WHOLE:
            there = {entry.path: entry.size async for entry in self._second.list("")}
            missing = [entry for entry in entries.values() if there.get(entry.path) != entry.size]
            self._seen = {path: (entry.size, entry.at) for path, entry in entries.items()}
            for entry in missing:
                del self._seen[entry.path]
            self._compared = self._clock()
        for entry in sorted(missing, key=_last_the_manifests):
            await self._copy(entry)
            self._seen[entry.path] = (entry.size, entry.at)
        self._seen = {path: seen for path, seen in self._seen.items() if path in entries}
        self.restorable_at = max(self.restorable_at, restorable_at)
        return len(missing)

    async def _copy(self, entry: Entry) -> None:
        try:
            body = await self._first.get(entry.path)
        except ArchiveMissing:
            return
        await self._second.put(entry.path, body)
        if await self._second.get(entry.path) != body:
            raise ArchiveDamaged(f"{self._second.name}/{entry.path} is not what was written")


def _last_the_manifests(entry: Entry) -> tuple[bool, str]:
    """A snapshot is one when its manifest is there: its parts go first."""
    return MANIFEST in entry.path, entry.path
