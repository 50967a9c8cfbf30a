"""Opening the file: the lock, the pragmas, the integrity check, the migrations, and voiding old leases."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import apsw

from dragoman import telemetry
from dragoman.errors import StoreAway, StoreDamaged, StoreLocked
from dragoman.store.named import missing
from dragoman.store.sqlite import damaged, outbox
from dragoman.store.sqlite.statements import Connection, run

log = telemetry.logger("store")

LONGEST_BACKOFF: Final = 300.0
"""Seconds; nothing found in the file waits longer than this from its opening."""
LONGEST_HOLD: Final = 600.0
"""Seconds; the same for replies that wait to be asked for."""

PREPARED: Final = 512
"""Statements that stay prepared, at most: each use takes the next place of a ring, which soon comes round."""


class FileLock:
    """The lock that refuses a second service; the system drops it when the process dies."""

    def __init__(self, database: Path) -> None:
        """Take the lock beside the database; raises `StoreLocked`, or `StoreAway` where nothing can be written."""
        path = database.with_name(database.name + ".lock")
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreAway(f"{path} cannot be made: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._file)
            raise StoreLocked(f"another dragoman runs on {database}; stop it first, or use another --data") from error

    def release(self) -> None:
        """Let the next service in."""
        os.close(self._file)


def connect(database: Path) -> Connection:
    """Open the file for writing, durably; raises `StoreAway` or `StoreDamaged`."""
    with contextlib.ExitStack() as refused:
        try:
            os.close(os.open(database, os.O_RDWR | os.O_CREAT, 0o600))  # what SQLite makes beside it gets the same mode
            connection = Connection(str(database), statementcachesize=PREPARED)
            refused.callback(connection.close)  # it is in a cycle with its cursor: nobody else closes it soon
            connection.set_busy_timeout(5000)
            connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)  # else a bound LIMIT is planned anew at every call
            connection.pragma("journal_mode", "wal")
            connection.pragma("synchronous", "full")
            connection.pragma("secure_delete", 1)  # what is erased leaves no bytes behind in free pages
            found = connection.pragma("quick_check", 1)
        except (apsw.NotADBError, apsw.CorruptError) as error:
            raise StoreDamaged(f"{database} is damaged: {error}; restore it from a backup") from error
        except (apsw.Error, OSError) as error:
            raise StoreAway(f"{database} cannot be opened: {error}") from error
        if found != "ok":
            raise StoreDamaged(f"{database} is damaged: {found}; restore it from a backup")
        refused.pop_all()
    return connection


def empty_log(connection: Connection) -> None:
    """Let the write-ahead log go into the file, and leave nothing of it; who is reading is not waited for."""
    with contextlib.suppress(apsw.BusyError):
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def read_only(database: Path) -> Connection:
    """Open the file for reading beside the writer."""
    connection = Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(5000)
    return connection


@contextlib.contextmanager
def _written(database: Path) -> Iterator[None]:
    try:
        yield
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise StoreDamaged(f"{database} is damaged: {error}; restore it from a backup") from error
    except apsw.Error as error:
        raise StoreAway(f"{database} cannot be written: {error}") from error


def prepare(connection: Connection, database: Path) -> None:
    """Bring the schema of an open file up to date; raises `StoreAway` when it cannot be written, or `StoreDamaged`.

    Who follows the log begins after this: a table that is written anew is as long there as the file.
    """
    with _written(database):
        if migrate(connection, database):
            empty_log(connection)


def migrate(connection: Connection, database: Path) -> bool:
    """Bring the schema up, one numbered file after the other; tells whether there was anything to do.

    Raises `StoreForeign` where it cannot be ours.
    """
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL)"
    )
    known: list[Any] = connection.execute("SELECT number, name, digest FROM migration").fetchall()
    needed = missing("sqlite", {number: (name, digest) for number, name, digest in known}, str(database))
    for migration in needed:
        if known:
            log.info("store.migrating", migration=migration.name)  # on a large file this may take a while
        with connection:
            connection.execute(migration.sql)
            values = (migration.number, migration.name, migration.digest)
            connection.execute("INSERT INTO migration VALUES (?, ?, ?)", values)
    return bool(needed)


def recover(connection: Connection, database: Path, now: float) -> None:
    """End every lease of the process before us, and decide about what it was sending; raises as `prepare` does."""
    with _written(database), connection:
        run(connection, "void_leases", now=now)
        run(connection, "void_named_leases")
        run(connection, "void_sends", now=now)
        run(connection, "bound_backoff", now=now, latest=now + LONGEST_BACKOFF)
        run(connection, "bound_outbox_backoff", now=now, latest=now + LONGEST_BACKOFF, held=now + LONGEST_HOLD)
        run(connection, "bound_pauses", latest=now + LONGEST_BACKOFF)
        outbox.sweep(connection, now)
        if damaged.deliveries(connection):
            damaged.set_deliveries_aside(connection, now)
