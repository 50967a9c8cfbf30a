"""Room on the disk: with too little left nothing more is taken in, and a ballast file goes first when there is none."""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from dragoman import telemetry

MEGABYTE: Final = 1 << 20
LEAST_FREE = 500 * MEGABYTE
"""Bytes below which nothing is taken in."""
LEAST_SHARE = 0.05
"""The part of the disk below which nothing is taken in."""
LARGEST_SHARE: Final = 1 << 30
"""Bytes that the part comes to at most: a large disk with gigabytes left is not full."""
BALLAST = 64 * MEGABYTE
"""Bytes that are kept aside for the turns and replies that are under way when the disk is full."""
CRAMPED: Final = 16 * MEGABYTE
"""Free bytes below which the ballast goes."""

MOMENT: Final = 0.25
"""Seconds in which the disk is looked at so many times at most, however often the door asks:"""
LOOKS: Final = 8

log = telemetry.logger("disk")


class Disk:
    """The disk of a folder. `trouble` is asked at the door, `relieve` by who meets a full disk, `tend` now and then."""

    def __init__(
        self,
        folder: Path,
        *,
        least_free: int | None = None,
        least_share: float | None = None,
        ballast: int | None = None,
        patience: int = 15,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Watch a folder's disk; the ballast is made at the `patience`-th tending, if there is room for it."""
        self._folder = folder
        self._least_free = LEAST_FREE if least_free is None else least_free
        self._least_share = LEAST_SHARE if least_share is None else least_share
        self._size = BALLAST if ballast is None else ballast
        self._ballast = folder / "ballast"
        self._patience = patience
        self._said = ""
        self._clock = clock
        self._answer = ""
        self._looks = 0
        self._until = 0.0

    def _room(self) -> tuple[int, int]:
        """Return the bytes that are free, and those that have to be."""
        disk = os.statvfs(self._folder)
        share = min(int(disk.f_blocks * disk.f_frsize * self._least_share), LARGEST_SHARE)
        return disk.f_bavail * disk.f_frsize, max(self._least_free, share)

    def trouble(self) -> str:
        """Say why nothing may be taken in; empty when there is room. Who asks very often is told what was just seen."""
        now = self._clock()
        if now >= self._until:
            self._looks, self._until = 0, now + MOMENT
        if self._looks < LOOKS:
            self._looks += 1
            self._answer = self._look()
        return self._answer

    def _look(self) -> str:
        try:
            free, least = self._room()
        except OSError as error:
            return f"{self._folder} cannot be looked at: {error.strerror}"
        if free >= least:
            return ""
        return f"the disk of {self._folder} has {_mb(free)} left and needs {_mb(least)}: free some space"

    def relieve(self) -> bool:
        """Throw the ballast out; tells whether there was one."""
        try:
            self._ballast.unlink()
        except OSError:
            return False
        self._patience = max(1, self._patience)
        log.warning("disk.relieved", bytes=self._size)
        return True

    def relieve_if_cramped(self) -> None:
        """Throw the ballast out when hardly anything is free; an unreadable disk is `trouble`'s to tell."""
        with contextlib.suppress(OSError):
            if self._room()[0] < CRAMPED:
                self.relieve()

    def tend(self) -> None:
        """Keep the ballast in order, show what is free, and log when taking in stops and goes on."""
        trouble = self._look()
        if bool(trouble) != bool(self._said):
            log.error("disk.low", reason=trouble) if trouble else log.warning("disk.has_room")
        self._said = trouble
        with contextlib.suppress(OSError):
            telemetry.disk_free.set(self._room()[0])
            self._patience = max(0, self._patience - 1)
            self.relieve_if_cramped()
            self._lay_aside()

    def _lay_aside(self) -> None:
        """Make the ballast, of real blocks, when there is room for it beside what has to be free."""
        free, least = self._room()
        if self._patience or not self._size or self._ballast.exists() or free < least + self._size:
            return
        handle = os.open(self._ballast, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.posix_fallocate(handle, 0, self._size)
        except OSError:
            self._ballast.unlink(missing_ok=True)
            raise
        finally:
            os.close(handle)


def room_for(folder: Path, size: int) -> bool:
    """Tell whether a folder's disk has room for a file of so many bytes, beside what has to be free."""
    free, least = Disk(folder)._room()  # noqa: SLF001 - of this module
    return free - size >= least


def _mb(size: int) -> str:
    return f"{size // MEGABYTE} MB"
