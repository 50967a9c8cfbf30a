"""Looking at a file without taking it: whether it is whole, how new its schema is, and how long its log has grown."""

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
        connection = read_only(database)
        try:
            return _look(connection, database, time.monotonic() + seconds)
        finally:
            connection.close()
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise StoreDamaged(f"{database} is damaged: {error}") from error
    except (apsw.Error, OSError) as error:
        raise StoreAway(f"{database} cannot be read: {error}") from error


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
    log = database.with_name(database.name + "-wal")
    return Look(
        whole=found == "ok",
        size=database.stat().st_size,
        log=log.stat().st_size if log.exists() else 0,
        schema=max(done, default=0),
        shipped=max(numbered("sqlite")),
    )
