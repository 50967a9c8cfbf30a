"""A copy's side on PostgreSQL: one connection that holds the schema's lock, so that no service starts meanwhile."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from dragoman.errors import ConfigError, StoreError, StoreLocked
from dragoman.store.copying.place import SAME, Mark, Outdated, Place
from dragoman.store.copying.tables import LANE, OUTBOX, TABLES, Row, Table, plain, shipped
from dragoman.store.postgres import opening
from dragoman.store.postgres.inbox import short
from dragoman.store.postgres.pool import CONNECT, Pool, refused, session_settings, told
from dragoman.store.postgres.upkeep import ALIVE
from dragoman.store.stored import LONGEST

PREFETCH: Final = 500
"""Rows that the server sends at once."""
PREFETCH_RAW: Final = 50
"""The same of payloads, which may be large."""
PATIENCE: Final = 5.0
"""Seconds that a service that is just starting, or the end of a killed copy, is waited for."""
LANES: Final = """(
    SELECT o.conversation, o.account, o.waiting, o.holder,
        CASE WHEN o.holder IS NULL THEN greatest(lane.ready_at, head.withheld_until) END AS ready_at
    FROM (SELECT conversation, min(account) AS account, count(*) AS waiting, min(id) AS head,
                 max(id) FILTER (WHERE state = 'sending') AS holder
          FROM outbox WHERE state IN ('pending', 'sending') GROUP BY conversation) AS o
    JOIN outbox AS head ON head.id = o.head
    LEFT JOIN lane ON lane.conversation = o.conversation
) AS lane"""
"""The lanes of a source, with every send ended; a target has them like this in its table."""
MARKS: Final = (
    "CREATE TABLE copying (source text NOT NULL, name text PRIMARY KEY, after text NOT NULL, rows bigint NOT NULL)"
)
IDENTITY: Final = """
SELECT 'postgresql ' || system_identifier || ' ' || current_database() || ' ' || current_schema()::regnamespace::oid
FROM pg_control_system()
"""
SHORTENED: Final = {
    ("inbox", "key"),
    ("inbox", "conversation"),
    ("conversation", "id"),
    ("outbox", "conversation"),
    ("lane", "conversation"),
    ("memory", "person"),
    ("memory", "key"),
    ("recipient", "conversation"),
    ("recipient", "place"),
}
"""The columns that the line shortens when it writes them."""
NAMES: Final = {
    table.name: [number for number, name in enumerate(table.columns) if (table.name, name) in SHORTENED]
    for table in TABLES
}
"""The same by their place in a row."""
SEQUENCES: Final = {
    "receipt": "SELECT max(greatest(i.receipt, r.id)) FROM inbox i FULL JOIN receipt r ON r.id = i.receipt",
    "inbox": "SELECT max(greatest(o.inbox, i.id)) FROM outbox o FULL JOIN inbox i ON i.id = o.inbox",
    "outbox": "SELECT max(id) FROM outbox",
    "told": "SELECT max(id) FROM told",
    "parked": "SELECT max(id) FROM parked",
    "broadcast": "SELECT max(id) FROM broadcast",
}
"""The largest number that a row has, or that another row names although it is pruned."""
NUMBER_ON: Final = """
SELECT setval(pg_get_serial_sequence('{name}', 'id'), coalesce(number, 1), number IS NOT NULL)
FROM ({largest}) AS largest (number)
"""


@contextlib.asynccontextmanager
async def source(place: Place) -> AsyncIterator["PostgresSource"]:
    """Connect for reading, with the schema's lock; raises `ConfigError`, `StoreLocked` or `StoreAway`."""
    async with _connected(place) as connection:
        await _check_schema(connection, place.name)
        if await _has(connection, "copying"):
            raise ConfigError(place.name, "", "is an unfinished copy itself", "finish that first")
        await _hold(connection, place.name)
        found = PostgresSource(connection, place.name, await connection.fetchval(IDENTITY))
        await found.alone()
        yield found


@contextlib.asynccontextmanager
async def target(place: Place, origin: str) -> AsyncIterator["PostgresTarget"]:
    """Connect for filling from `origin`, or going on with that; raises `ConfigError`, `StoreLocked`, `StoreAway`."""
    async with _connected(place) as connection:
        identity = await connection.fetchval(IDENTITY)
        if identity is None:
            raise ConfigError(place.name, "", "its schema does not exist", "CREATE SCHEMA makes it")
        if identity == origin:
            raise ConfigError("TO", "", SAME)
        begun = await _has(connection, "copying")
        if not begun:
            await _migrate(place)
        await _hold(connection, place.name)
        await _check_schema(connection, place.name)
        filling = PostgresTarget(connection, place.name, identity)
        await filling.alone()
        if not begun:
            await filling.check_empty()
        await filling.begin(origin)
        yield filling


@contextlib.asynccontextmanager
async def _connected(place: Place) -> AsyncIterator[Any]:
    """Connect, without the deadlines that the line has; what the driver raises is worded, with the place's name."""
    settings = {name: value for name, value in session_settings("dragoman store copy").items() if "timeout" not in name}
    try:
        with told(), refused():
            connection = await asyncpg.connect(
                place.url.reveal(),
                timeout=CONNECT,
                target_session_attrs=SessionAttribute.read_write,
                server_settings=settings,
            )
    except StoreError as error:
        raise type(error)(f"{place.name}: {error}") from error
    try:
        with told():
            yield connection
            await connection.close(timeout=CONNECT)
    finally:
        connection.terminate()


async def _migrate(place: Place) -> None:
    pool = await Pool.open(place.url.reveal(), 1, "dragoman store copy", None)
    try:
        await opening.migrate(pool)
    finally:
        await pool.close()


async def _has(connection: Any, table: str) -> bool:
    found = await connection.fetchval("SELECT to_regclass(quote_ident(current_schema()) || '.' || $1)", table)
    return found is not None


async def _check_schema(connection: Any, name: str) -> None:
    """Refuse a schema that is not exactly this release's."""
    if not await _has(connection, "migration"):
        raise ConfigError(name, "", "holds no store of dragoman's")
    if dict(await connection.fetch("SELECT number, digest FROM migration")) != shipped("postgres"):
        raise ConfigError(name, "", "has the schema of another release", "run this release on it once, or upgrade")


async def _hold(connection: Any, name: str) -> None:
    """Take the lock that a starting service needs; the connection's end lets it go."""
    statement = "SELECT pg_try_advisory_lock($1, hashtext(current_schema()))"
    for _ in range(int(PATIENCE * 10)):
        if await connection.fetchval(statement, opening.LOCK):
            return
        await asyncio.sleep(0.1)
    raise StoreLocked(f"a service is starting on {name}, or another copy is under way there")


class PostgresSource:
    """A database that is read."""

    lanes = LANES

    def __init__(self, connection: Any, name: str, identity: str) -> None:
        self.name = name
        self.identity = identity
        self._connection = connection

    def _from(self, table: Table) -> str:
        return self.lanes if table is LANE else table.name

    async def count(self, table: Table) -> int:
        """Count a table's rows."""
        return int(await self._connection.fetchval(f"SELECT count(*) FROM {self._from(table)}"))  # noqa: S608 - ours

    async def rows(self, table: Table, after: Sequence[Any] = ()) -> AsyncIterator[Row]:
        """Read a table in the order of its key, after a key."""
        placeholders = [f"${number}" for number in range(1, len(table.key) + 1)]
        statement = table.select(placeholders, source=self._from(table), after=bool(after))
        async with self._connection.transaction(readonly=True):
            prefetch = PREFETCH_RAW if "raw" in table.columns else PREFETCH
            async for row in self._connection.cursor(statement, *after, prefetch=prefetch):
                yield tuple(row)

    async def alone(self) -> None:
        """Raise `StoreLocked` when a replica was seen lately."""
        seen = await self._connection.fetch("SELECT name FROM replica WHERE seen_at > moment(NULL) - $1", ALIVE)
        if seen:
            raise StoreLocked(f"a service runs on {self.name} ({seen[0][0]}); stop it, and wait {ALIVE:.0f} seconds")


class PostgresTarget(PostgresSource):
    """A database that is filled; while it has the table `copying`, no service starts on it."""

    lanes = "lane"

    def __init__(self, connection: Any, name: str, identity: str) -> None:
        super().__init__(connection, name, identity)
        self.marks: Mapping[str, Mark] = {}

    async def check_empty(self) -> None:
        """Refuse a database that holds anything."""
        full = [table.name for table in TABLES if await self._connection.fetch(f"SELECT 1 FROM {table.name} LIMIT 1")]  # noqa: S608 - ours
        if full:
            words = f"is not empty ({', '.join(full)})"
            raise ConfigError(self.name, "", words, "copy to a database or schema where no store is yet")

    async def begin(self, origin: str) -> None:
        """Note where the copy comes from, or read how far it came; raises `ConfigError` if that was another's."""
        if not await _has(self._connection, "copying"):
            async with self._connection.transaction():
                await self._connection.execute(MARKS)
                marks = [(origin, table.name) for table in TABLES]
                await self._connection.executemany("INSERT INTO copying VALUES ($1, $2, '[]', 0)", marks)
        found = await self._connection.fetch("SELECT source, name, after, rows FROM copying")
        if {row[0] for row in found} != {origin}:
            remedy = "drop its tables, or use another schema, to begin anew"
            raise ConfigError(self.name, "", "holds the unfinished copy of another store", remedy)
        self.marks = {name: Mark(after=json.loads(after), rows=rows) for _, name, after, rows in found}

    async def add(self, table: Table, rows: Sequence[Row]) -> None:
        """Add rows, and note the last one, in one transaction; raises `Outdated`."""
        columns = [*table.columns, "until"] if table is OUTBOX else list(table.columns)
        state = table.columns.index("state") if table is OUTBOX else 0
        records = (
            (*map(plain, row), 0.0 if row[state] == "sending" else None) if table is OUTBOX else tuple(map(plain, row))
            for row in (self.named(table, row) for row in rows)
        )
        mark = (json.dumps(table.key_of(rows[-1])), len(rows), table.name)
        try:
            async with self._connection.transaction():
                await self._connection.copy_records_to_table(table.name, records=records, columns=columns)
                await self._connection.execute("UPDATE copying SET after = $1, rows = rows + $2 WHERE name = $3", *mark)
        except asyncpg.UniqueViolationError as error:
            raise Outdated from error

    def named(self, table: Table, row: Row) -> Row:
        """Return a row with its names as the line writes them here: very long ones are shortened."""
        names = NAMES.get(table.name, ())
        if all(len(row[number]) <= LONGEST for number in names):
            return row
        return tuple(short(value) if number in names else value for number, value in enumerate(row))

    async def empty(self, tables: Sequence[Table]) -> None:
        """Forget what was copied of these tables, so that they are copied anew."""
        async with self._connection.transaction():
            for table in tables:
                await self._connection.execute(f"TRUNCATE {table.name}")
                await self._connection.execute("UPDATE copying SET after = '[]', rows = 0 WHERE name = $1", table.name)

    async def finish(self) -> None:
        """Let new rows be numbered after the copied ones, and services start."""
        await self._connection.execute("ANALYZE " + ", ".join(table.name for table in TABLES))
        async with self._connection.transaction():
            for name, largest in SEQUENCES.items():
                await self._connection.execute(NUMBER_ON.format(name=name, largest=largest))
            await self._connection.execute("DROP TABLE copying")
