"""A copy's side on SQLite: the source is only read; the target is a file under another name until it is done."""

import contextlib
import json
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import apsw

from dragoman.errors import ConfigError, StoreAway, StoreDamaged, StoreLocked
from dragoman.store.copying.place import SAME, Mark, Outdated, Place
from dragoman.store.copying.tables import LANE, OUTBOX, TABLES, Row, Table, shipped
from dragoman.store.sqlite import opening

LANES: Final = """(
    SELECT o.conversation, o.account, o.waiting, o.holder,
        CASE WHEN o.holder IS NULL THEN coalesce(head.ready_at, head.withheld_until) END AS ready_at
    FROM (SELECT conversation, min(account) AS account, count(*) AS waiting, min(id) AS head,
                 max(CASE WHEN state = 'sending' THEN id END) AS holder
          FROM outbox WHERE state IN ('pending', 'sending') GROUP BY conversation) AS o
    JOIN outbox AS head ON head.id = o.head
) AS lane"""
"""The lanes, as PostgreSQL has them in a table."""
WAKE: Final = """
UPDATE outbox SET ready_at = coalesce(:ready_at, withheld_until)
WHERE state = 'pending' AND id = (
    SELECT min(id) FROM outbox WHERE conversation = :conversation AND state IN ('pending', 'sending'))
"""
MARKS: Final = (
    "CREATE TABLE copying (source TEXT NOT NULL, name TEXT PRIMARY KEY, after TEXT NOT NULL, rows INTEGER NOT NULL)"
)


@contextlib.asynccontextmanager
async def source(place: Place) -> AsyncIterator["SqliteSource"]:
    """Open a file for reading, with its lock; raises `ConfigError`, `StoreLocked` or `StoreDamaged`."""
    if not place.path.is_file():
        raise ConfigError(place.name, "", "there is no such file")
    with _told(place.name), _locked(place.path), contextlib.closing(opening.read_only(place.path)) as connection:
        found = connection.pragma("quick_check", 1)
        if found != "ok":
            raise StoreDamaged(f"{place.name} is damaged: {found}; restore it from a backup")
        _check_schema(connection, place.name)
        yield SqliteSource(connection, place.name, _identity(place.path))


def _identity(path: Path) -> str:
    return f"sqlite {path.resolve()} {path.stat().st_ino}"


@contextlib.asynccontextmanager
async def target(place: Place, origin: str) -> AsyncIterator["SqliteTarget"]:
    """Open a file to be filled from `origin`, or go on with one; raises `ConfigError` or `StoreLocked`."""
    if place.path.exists() and _identity(place.path) == origin:
        raise ConfigError("TO", "", SAME)
    partial = place.path.with_name(place.path.name + ".copying")
    try:
        place.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(place.name, "", f"its folder cannot be made: {error.strerror}") from error
    with _told(place.name), _locked(place.path):
        _check_empty(place.path)
        if not _begun(partial):
            _remove(partial)
        with contextlib.closing(opening.connect(partial)) as connection:
            opening.migrate(connection, partial)
            filling = SqliteTarget(connection, place, partial)
            filling.begin(origin)
            yield filling


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    """Word the driver's errors."""
    try:
        yield
    except (apsw.NotADBError, apsw.CorruptError, UnicodeDecodeError) as error:
        raise StoreDamaged(f"{name} is damaged: {error}; restore it from a backup") from error
    except apsw.Error as error:
        raise StoreAway(f"{name}: the database refused: {error}") from error


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        lock = opening.FileLock(path)
    except StoreLocked as error:
        raise StoreLocked(f"a service, or another copy, runs on {path}; stop it first") from error
    try:
        yield
    finally:
        lock.release()


def _check_schema(connection: apsw.Connection, name: str) -> None:
    """Refuse a schema that is not exactly this release's."""
    if not _has(connection, "migration"):
        raise ConfigError(name, "", "is no store of dragoman's")
    known: list[Any] = connection.execute("SELECT number, digest FROM migration").fetchall()
    if dict(known) != shipped("sqlite"):
        raise ConfigError(name, "", "has the schema of another release", "run this release on it once, or upgrade")


def _has(connection: apsw.Connection, table: str) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)).get is not None


def _check_empty(path: Path) -> None:
    """Refuse a file that holds anything."""
    if not path.exists() or not path.stat().st_size:
        return
    with contextlib.closing(opening.connect(path)) as connection:
        _check_schema(connection, str(path))
        full = [table.name for table in TABLES if table is not LANE and connection.execute(_any(table)).get]
    if full:
        raise ConfigError(str(path), "", f"is not empty ({', '.join(full)})", "copy to a place where no store is yet")


def _any(table: Table) -> str:
    return f"SELECT 1 FROM {table.name} LIMIT 1"  # noqa: S608 - names of ours


def _begun(partial: Path) -> bool:
    """Tell whether a copy was begun there; without its marks it cannot go on."""
    if not partial.exists():
        return False
    with contextlib.closing(opening.connect(partial)) as connection:
        return _has(connection, "copying")


def _remove(path: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


class SqliteSource:
    """A file that is read."""

    def __init__(self, connection: apsw.Connection, name: str, identity: str) -> None:
        self.name = name
        self.identity = identity
        self._connection = connection

    async def count(self, table: Table) -> int:
        """Count a table's rows."""
        return int(self._connection.execute(f"SELECT count(*) FROM {_from(table)}").get)  # noqa: S608 - names of ours

    async def rows(self, table: Table, after: Sequence[Any] = ()) -> AsyncIterator[Row]:
        """Read a table in the order of its key, after a key."""
        statement = table.select(["?"] * len(table.key), source=_from(table), after=bool(after))
        texts = [number for number, name in enumerate(table.columns) if name != "raw"]
        for row in self._connection.execute(statement, tuple(after)):
            yield _texts(row, texts) if bytes in map(type, row) else row

    async def alone(self) -> None:
        """Nothing to ask: the file's lock is ours."""


def _from(table: Table) -> str:
    return LANES if table is LANE else table.name


def _texts(row: Row, numbers: Sequence[int]) -> Row:
    """Return a row whose texts are texts, however they were written."""
    return tuple(
        value.decode() if isinstance(value, bytes) and number in numbers else value for number, value in enumerate(row)
    )


class SqliteTarget(SqliteSource):
    """A file that is filled under another name, and gets its own when all is there."""

    def __init__(self, connection: apsw.Connection, place: Place, partial: Path) -> None:
        super().__init__(connection, place.name, "")
        self.marks: Mapping[str, Mark] = {}
        self._path = place.path
        self._partial = partial

    def begin(self, origin: str) -> None:
        """Note where the copy comes from, or read how far it came; raises `ConfigError` if that was another's."""
        with self._connection:
            if not _has(self._connection, "copying"):
                self._connection.execute(MARKS)
                marks = [(origin, table.name) for table in TABLES]
                self._connection.executemany("INSERT INTO copying VALUES (?, ?, '[]', 0)", marks)
        found: list[Any] = self._connection.execute("SELECT source, name, after, rows FROM copying").fetchall()
        if {row[0] for row in found} != {origin}:
            remedy = f"remove {self._partial} to begin anew"
            raise ConfigError(self.name, "", "holds the unfinished copy of another store", remedy)
        self.marks = {name: Mark(after=json.loads(after), rows=rows) for _, name, after, rows in found}

    async def add(self, table: Table, rows: Sequence[Row]) -> None:
        """Add rows, and note the last one, in one transaction; raises `Outdated`."""
        try:
            self._add(table, rows)
        except apsw.ConstraintError as error:
            raise Outdated from error

    def _add(self, table: Table, rows: Sequence[Row]) -> None:
        with self._connection:
            if table is LANE:
                lanes = [dict(zip(table.columns, row, strict=True)) for row in rows]
                wakes = [{name: lane[name] for name in ("conversation", "ready_at")} for lane in lanes]
                self._connection.executemany(WAKE, wakes)
            else:
                self._connection.executemany(_insert(table), rows)
            mark = (json.dumps(table.key_of(rows[-1])), len(rows), table.name)
            self._connection.execute("UPDATE copying SET after = ?, rows = rows + ? WHERE name = ?", mark)

    def named(self, table: Table, row: Row) -> Row:
        """Return a row as it is: here a name may be of any length."""
        return row

    async def empty(self, tables: Sequence[Table]) -> None:
        """Forget what was copied of these tables, so that they are copied anew."""
        with self._connection:
            for table in tables:
                still = "UPDATE outbox SET ready_at = NULL WHERE state = 'pending'"
                self._connection.execute(still if table is LANE else f"DELETE FROM {table.name}")  # noqa: S608 - ours
                self._connection.execute("UPDATE copying SET after = '[]', rows = 0 WHERE name = ?", (table.name,))

    async def finish(self) -> None:
        """Give the file its own name, all of it on the disk."""
        self._connection.execute("DROP TABLE copying")
        self._connection.pragma("wal_checkpoint", "TRUNCATE")
        self._connection.close()
        _remove(self._path)
        self._partial.rename(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _insert(table: Table) -> str:
    """Write the statement that adds a row; a send that was under way has ended."""
    names = ", ".join(f'"{name}"' for name in table.columns)
    places = ", ".join(f"?{number}" for number in range(1, len(table.columns) + 1))
    if table is OUTBOX:
        state = table.columns.index("state") + 1
        return (
            f"INSERT INTO outbox ({names}, ready_at) "  # noqa: S608 - names of ours
            f"VALUES ({places}, CASE WHEN ?{state} = 'sending' THEN 0.0 END)"
        )
    return f"INSERT INTO {table.name} ({names}) VALUES ({places})"  # noqa: S608 - names of ours
