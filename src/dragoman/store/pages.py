"""What a store on one file tells of its changes: pages of the file, and a mark up to which they were read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import msgspec


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """Up to where changes were read: within a log, or (without `salts`) a file at rest, of so many bytes since then."""

    salts: str = ""
    frames: int = 0
    checksum: str = ""
    size: int = 0
    changed: int = 0


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """Pages of a file as they are now, by their number from 1 on, and how many pages the file has."""

    pages: Mapping[int, bytes]
    page_size: int
    size: int
    mark: Mark
    missed: bool = False
    """Whether there were others before these that nobody saw."""


class Photo(msgspec.Struct, frozen=True, kw_only=True):
    """A copy of the whole file, whose changes begin after `changes`; the rows of its tables are counted."""

    path: Path
    changes: Changes
    counts: Mapping[str, int]


class PageLog(Protocol):
    """What follows a store's file. One reader takes the changes."""

    continuous: bool
    """Whether the changes follow on those before the mark that it was opened with."""

    async def changes(self) -> Changes:
        """Return what changed since the last time."""

    async def relieve(self) -> None:
        """Let what was logged go into the file, now that it is kept elsewhere; what is new is told the next time."""

    async def photograph(self, target: Path) -> Photo:
        """Copy the whole file, as it is at one moment; raises `StoreAway` when it cannot."""

    def rest(self) -> Changes:
        """After closing: return the last changes, and the mark of the file at rest."""
