"""Looking at a file without taking it: whether it is whole, how new its schema is, and how long its log has grown."""

import contextlib
import dataclasses
import time
from pathlib import Path
from typing import Any, Final

import apsw

from dragoman.errors import StoreAway, StoreDamaged
from dragoman.store.named import missing, numbered
from dragoman.store.sqlite.opening import read_only

STEPS: Final = 10_000
"""Steps of SQLite's machine between two looks at the time."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """What a look at a file found."""

    whole: bool
    """False when the time was up before all of it was read."""
    size: int
    log: int
    """Bytes of the write-ahead log."""
    schema: int
    """The newest migration that it has (0: none yet)."""
    shipped: int
    """The newest that this release has."""


def look(database: Path, seconds: float) -> Look:
    """Read all of a file, for so many seconds at most; raises `StoreDamaged` or `StoreAway`."""
    try:
        return _read(database, seconds)
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise StoreDamaged(f"{database} is damaged: {error}") from error
    except (apsw.Error, OSError) as error:
        raise StoreAway(f"{database} cannot be read: {error}") from error


def _read(database: Path, seconds: float) -> Look:
    deadline = time.monotonic() + seconds
    at_rest = not _log(database).exists()
    try:
        with contextlib.closing(_at_rest(database) if at_rest else read_only(database)) as connection:
            return _look(connection, database, deadline)
    except (apsw.NotADBError, apsw.CorruptError, StoreDamaged):
        if not (at_rest and _log(database).exists()):
            raise
    with contextlib.closing(read_only(database)) as connection:  # a service has begun to write under our eyes
        return _look(connection, database, deadline)


def _log(database: Path) -> Path:
    return database.with_name(database.name + "-wal")


def _at_rest(database: Path) -> apsw.Connection:
    """Open a file that nobody writes, so that nothing is made beside it (SQLite, "URI Filenames", immutable)."""
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    return apsw.Connection(f"{database.absolute().as_uri()}?immutable=1", flags=flags)


def _look(connection: apsw.Connection, database: Path, deadline: float) -> Look:
    known: list[Any] = list(connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'migration'"))
    rows: list[Any] = list(connection.execute("SELECT number, name, digest FROM migration")) if known else []
    done = {number: (name, digest) for number, name, digest in rows}
    missing("sqlite", done, str(database))
    connection.set_progress_handler(lambda: time.monotonic() > deadline, STEPS)
    try:
        found = connection.pragma("quick_check", 1)
    except apsw.InterruptError:
        found = None
    if found not in {None, "ok"}:
        raise StoreDamaged(f"{database} is damaged: {found}")
    log = _log(database)
    return Look(
        whole=found == "ok",
        size=database.stat().st_size,
        log=log.stat().st_size if log.exists() else 0,
        schema=max(done, default=0),
        shipped=max(numbered("sqlite")),
    )
