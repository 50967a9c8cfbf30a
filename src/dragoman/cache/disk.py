"""The level for large things that do not change: files, bounded in bytes, that survive a restart.

A file is written beside its place and renamed into it, so it is whole or absent after a crash of the process. It is not
forced to the disk: after a power cut it may be torn, its hash says so, and it is dropped.
"""

import asyncio
import contextlib
import hashlib
import os
import struct
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final

from dragoman import telemetry
from dragoman.cache.level import Found, Outcome, Tally

ROOM: Final = 1 << 30
"""Bytes of files that are kept, at most; one that would take more than a quarter of it is not kept."""
HEAD: Final = struct.Struct(">4s32sd")
"""What stands before the value: a mark with our version, the hash, and when the value grows old (epoch seconds)."""
MARK: Final = b"DC\x00\x01"
UNFINISHED: Final = 3600.0
"""Seconds after which a file that was never renamed is nobody's."""

log = telemetry.logger("cache.disk")


class Disk:
    """A folder of values. Only the event loop touches its index; only threads touch its files."""

    def __init__(self, folder: Path, *, room: int, clock: Callable[[], float]) -> None:
        """`clock` gives epoch seconds; `scan` must run before the first use."""
        self._folder = folder
        self._room = room
        self._clock = clock
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._used = 0
        self._tally = Tally("disk")

    async def scan(self) -> None:
        """Learn what an earlier process has left, in the order of last use."""
        try:
            found = await asyncio.to_thread(_scan, self._folder, self._clock())
        except OSError as error:
            log.warning("cache.unreadable", error=telemetry.where(error))
            return
        for name, size in found:
            self._note(name, size)
        await self._make_room()

    async def get(self, key: str) -> Found | None:
        """Return what is kept under a key; a file that is torn, foreign or too old is deleted."""
        name, now = _name(key), self._clock()
        outcome, found = await asyncio.to_thread(_read, self._folder / name, key, now)
        self._tally(outcome)
        if found is None:
            self._forget(name)
        elif name in self._sizes:
            self._sizes.move_to_end(name)
        return found

    async def set(self, key: str, value: bytes, seconds: float) -> None:
        """Keep a value, and delete those not used longest if there is no room for it."""
        if seconds <= 0 or len(value) > self._room // 4:
            return
        name = _name(key)
        try:
            size = await asyncio.to_thread(_write, self._folder / name, key, value, self._clock() + seconds)
        except OSError as error:
            log.warning("cache.unwritten", error=telemetry.where(error))
            return
        self._note(name, size)
        await self._make_room()

    async def drop(self, key: str) -> None:
        """Forget a key."""
        name = _name(key)
        self._forget(name)
        await asyncio.to_thread(_delete, [self._folder / name])

    @property
    def used(self) -> int:
        """The bytes of all files."""
        return self._used

    def _note(self, name: str, size: int) -> None:
        self._forget(name)
        self._sizes[name] = size
        self._used += size

    def _forget(self, name: str) -> None:
        self._used -= self._sizes.pop(name, 0)

    async def _make_room(self) -> None:
        old: list[Path] = []
        while self._used > self._room:
            name = next(iter(self._sizes))
            self._forget(name)
            old.append(self._folder / name)
        if old:
            await asyncio.to_thread(_delete, old)


def _name(key: str) -> str:
    digest = hashlib.sha256(key.encode()).hexdigest()
    return f"{digest[:2]}/{digest}"


def _hash(key: str, value: bytes, until: float) -> bytes:
    name = key.encode()
    whole = hashlib.blake2b(struct.pack(">dQ", until, len(name)) + name, digest_size=32)
    whole.update(value)
    return whole.digest()


def _read(path: Path, key: str, now: float) -> tuple[Outcome, Found | None]:
    """Read and prove a file, and note its use in its time of change."""
    try:
        whole = path.read_bytes()
    except FileNotFoundError:
        return "miss", None
    except OSError:
        return "away", None
    head, value = whole[: HEAD.size], whole[HEAD.size :]
    mark, digest, until = HEAD.unpack(head) if len(head) == HEAD.size else (b"", b"", 0.0)
    proven = mark == MARK and digest == _hash(key, value, until)
    if not proven or until <= now:
        _delete([path])
        return ("miss" if proven else "wrong"), None
    with contextlib.suppress(OSError):
        os.utime(path)
    return "hit", Found(value, until - now)


def _write(path: Path, key: str, value: bytes, until: float) -> int:
    """Write a file beside its place, rename it, and return its size."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix="new-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(HEAD.pack(MARK, _hash(key, value, until), until))
            file.write(value)
        Path(temporary).replace(path)
    finally:
        _delete([Path(temporary)])
    return HEAD.size + len(value)


def _delete(paths: list[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()


def _scan(folder: Path, now: float) -> list[tuple[str, int]]:
    """Return name and size of each file, least recently used first; what was never finished is deleted."""
    found: list[tuple[float, str, int]] = []
    for path in folder.glob("??/*"):
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            if not path.name.startswith("new-"):
                found.append((status.st_mtime, f"{path.parent.name}/{path.name}", status.st_size))
            elif status.st_mtime < now - UNFINISHED:
                path.unlink()
    return [(name, size) for _, name, size in sorted(found)]
