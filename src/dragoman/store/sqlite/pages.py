"""Following the write-ahead log: which pages of the file changed since one looked last.

While it is followed nobody else may empty it: checkpoints are made here only, in the writer's thread, right after
the log was read to its end. The format is https://www.sqlite.org/fileformat2.html#the_write_ahead_log.
"""

import asyncio
import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

import apsw
import msgspec

from dragoman.errors import StoreAway
from dragoman.store.copying.tables import LANE, TABLES
from dragoman.store.disk import room_for
from dragoman.store.pages import Changes, Mark, Photo
from dragoman.store.sqlite.statements import Connection
from dragoman.store.sqlite.writer import Writer

HEADER: Final = 32
FRAME: Final = 24
LONG: Final = 4_000
"""Frames (16 MB) of the log from which on it is let go, when it was read."""
TRIES: Final = 50
"""Times that a copy waits, 0.1 s each, for readers that hold the log back."""


class Followed:
    """The log of one file, in the hands of whoever has the writing connection."""

    def __init__(self, connection: Connection, database: Path, mark: Mark | None) -> None:
        """Begin to follow, before anything but the schema is written; `mark` tells up to where it was read before."""
        self.path = database
        self._log = database.with_name(database.name + "-wal")
        self._connection = connection
        self._page_size = int(connection.pragma("page_size"))
        self._read = 0
        self._salts = ""
        self._checksum = ""
        self._pages: dict[int, bytes] = {}
        self._size = 0
        self._let_go = False
        self._missed = False
        connection.set_wal_hook(self._committed)
        logged, settled = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        self._frames, self._let_go = max(0, logged), logged == settled
        self.continuous = self._go_on(mark)
        self.read()

    def _committed(self, _connection: apsw.Connection, _name: str, frames: int) -> int:
        if frames <= self._frames and self._read < self._frames:
            self._missed = True  # the log began anew, and we had not read it to its end
        self._frames = frames
        return apsw.SQLITE_OK

    def _go_on(self, mark: Mark | None) -> bool:
        """Go on from a mark, if this is still the log, or the file at rest, that it was made on."""
        if mark is None:
            return False
        if not mark.salts:
            return self._frames == 0 and mark == at_rest(self.path)
        with self._opened() as log:
            if not log or mark.frames > self._frames or _salts(log.read(HEADER)) != mark.salts:
                return False
            log.seek(HEADER + (mark.frames - 1) * (FRAME + self._page_size))
            found = log.read(FRAME)[16:24].hex()
        self._salts, self._read, self._checksum = mark.salts, mark.frames, found
        return found == mark.checksum

    @contextlib.contextmanager
    def _opened(self) -> Iterator[IO[bytes] | None]:
        if not self._log.exists() or self._log.stat().st_size < HEADER:
            yield None
            return
        with self._log.open("rb") as file:
            yield file

    def read(self) -> None:
        """Read the log to its end, between two transactions; notice if somebody else emptied it."""
        self._size = int(self._connection.pragma("page_count"))
        with self._opened() as log:
            if log is None or not self._frames:
                return
            salts = _salts(log.read(HEADER))
            if salts != self._salts:
                self._missed = self._missed or bool(self._salts and not self._let_go)
                self._salts, self._read, self._let_go = salts, 0, False
            log.seek(HEADER + self._read * (FRAME + self._page_size))
            while self._read < self._frames:
                head = log.read(FRAME)
                if _salts(head, 8) != salts:
                    self._missed = True
                    return
                self._pages[int.from_bytes(head[:4], "big")] = log.read(self._page_size)
                self._checksum = head[16:24].hex()
                self._read += 1

    def take(self) -> Changes:
        """Return what was read since the last time, in any thread: who is cancelled has taken nothing."""
        pages, self._pages = self._pages, {}
        missed, self._missed = self._missed, False
        mark = Mark(salts=self._salts, frames=self._read, checksum=self._checksum) if self._read else Mark()
        return Changes(pages=pages, page_size=self._page_size, size=self._size, mark=mark, missed=missed)

    def relieve(self) -> None:
        """Let a long log go into the file; what is not taken yet is kept for the next time."""
        self.read()
        if self._frames >= LONG:
            self._checkpoint()

    def _checkpoint(self) -> bool:
        """Let go into the file what was read; tells whether it was all, so that the log may begin anew."""
        logged, settled = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        self._let_go = self._let_go or logged == settled
        return bool(logged == settled)

    def settle(self) -> bool:
        """Bring the file itself up to date; False while a reader holds the log back."""
        self.read()
        return self._checkpoint()

    def close(self) -> Changes:
        """Read the last of it; the connection is closed next."""
        self.read()
        return self.take()


class SqlitePages:
    """A store's changes, for who keeps them elsewhere."""

    def __init__(self, writer: Writer, followed: Followed) -> None:
        self.continuous = followed.continuous
        self._writer = writer
        self._followed = followed
        self._copying = asyncio.Lock()
        self._last: Changes | None = None

    async def changes(self) -> Changes:
        """Return what changed since the last time."""
        await self._writer.aside(self._followed.read)
        return self._followed.take()

    async def relieve(self) -> None:
        """Let a long log go into the file, unless the file is being copied."""
        if not self._copying.locked():
            async with self._copying:
                await self._writer.aside(self._followed.relieve)

    async def photograph(self, target: Path) -> Photo:
        """Copy the file as it is at one moment: up to date, and then left alone while the log takes what is new."""
        async with self._copying:
            await self._settled()
            await asyncio.to_thread(_copy, self._followed.path, target)
            counts = await asyncio.to_thread(count, target)
            return Photo(path=target, changes=self._followed.take(), counts=counts)

    async def _settled(self) -> None:
        for _ in range(TRIES):
            if await self._writer.aside(self._followed.settle):
                return
            await asyncio.sleep(0.1)
        raise StoreAway(f"{self._followed.path} cannot be copied: somebody reads it all the time")

    def close(self) -> None:
        """Read the last changes, after the last transaction."""
        self._last = self._followed.close()

    def rest(self) -> Changes:
        """After closing: return the last changes, and the mark of the file at rest."""
        if self._last is None:
            raise StoreAway("the store is still open")
        last = self._last
        mark = at_rest(self._followed.path)
        return msgspec.structs.replace(last, mark=mark)


def _copy(source: Path, target: Path) -> None:
    if not room_for(target.parent, source.stat().st_size):
        raise StoreAway(f"{target.parent} has no room for a copy of the store beside what has to be free")
    try:
        target.touch(mode=0o600)
        shutil.copyfile(source, target)
    except OSError as error:
        target.unlink(missing_ok=True)
        raise StoreAway(f"{target} cannot be written: {error.strerror}") from error


def at_rest(database: Path) -> Mark:
    """Mark a file that no process has open."""
    found = database.stat()
    return Mark(size=found.st_size, changed=found.st_mtime_ns)


def count(database: Path) -> dict[str, int]:
    """Count the rows of every table of a file that nobody writes."""
    uri = f"{database.absolute().as_uri()}?immutable=1"
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    with contextlib.closing(apsw.Connection(uri, flags=flags)) as connection:
        there = {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        return {
            table.name: int(connection.execute(f"SELECT count(*) FROM {table.name}").get)  # noqa: S608 - names of ours
            for table in TABLES
            if table is not LANE and table.name in there
        }


def _salts(header: bytes, at: int = 16) -> str:
    """Return the salts of a log's header, or of a frame's."""
    return header[at : at + 8].hex()
