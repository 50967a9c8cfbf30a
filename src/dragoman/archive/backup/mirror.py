"""The third copy: what the first bucket has and the second has not is copied, read back, and only then counts."""

from collections.abc import AsyncIterator, Callable
from typing import Final

from dragoman.archive.backup.copies import MANIFEST
from dragoman.archive.bucket import Bucket, Entry
from dragoman.errors import ArchiveDamaged, ArchiveError, ArchiveMissing

WHOLE: Final = 6 * 3600.0
"""Seconds between two comparisons of everything; in between only the running generation is looked at."""


class Mirror:
    """Keeps a second bucket like the first."""

    def __init__(self, first: Bucket, second: Bucket, clock: Callable[[], float]) -> None:
        self.restorable_at = 0.0
        self._first = first
        self._second = second
        self._clock = clock
        self._compared = -WHOLE
        self._generation = ""
        self._last = ""
        """The newest part of the running generation's log that is copied."""
        self._snapshots: set[str] = set()

    async def sync(self, restorable_at: float, generation: str = "") -> int:
        """Copy what is missing; returns how many objects.

        `restorable_at`: what the first copy holds, at least; `generation`: what is written there now (empty: look at
        everything). Raises `ArchiveError`. An object that vanishes from the first meanwhile was too old to be kept.
        """
        begun = self._clock()
        whole = not generation or generation != self._generation or begun - self._compared >= WHOLE
        if whole:
            self._generation, self._last, self._snapshots = generation, "", set()
        try:
            missing = [entry async for entry in (self._all() if whole else self._new())]
            for entry in sorted(missing, key=_last_the_manifests):
                await self._copy(entry)
                self._note(entry)
        except ArchiveError:
            self._generation = ""  # there may be a gap before what was noted: everything is compared again
            raise
        self._compared = begun if whole else self._compared
        self.restorable_at = max(self.restorable_at, restorable_at)
        return len(missing)

    async def _all(self) -> AsyncIterator[Entry]:
        """Compare everything by name and size; what is overwritten as it grows (WAL, on PostgreSQL) is never new."""
        there = {entry.path: entry async for entry in self._second.list("")}
        async for entry in self._first.list(""):
            copied = there.get(entry.path)
            if copied is None or copied.size != entry.size or copied.at < entry.at:
                yield entry
            else:
                self._note(entry)

    async def _new(self) -> AsyncIterator[Entry]:
        """List what the running generation has that is not copied yet."""
        async for entry in self._first.list(f"{self._generation}/log", after=self._last):
            yield entry
        async for entry in self._first.list(f"{self._generation}/snapshot"):
            if entry.path not in self._snapshots:
                yield entry

    def _note(self, entry: Entry) -> None:
        """Note an object that both have."""
        if entry.path.startswith(f"{self._generation}/log/"):
            self._last = max(self._last, entry.path)
        elif entry.path.startswith(f"{self._generation}/snapshot/"):
            self._snapshots.add(entry.path)

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
