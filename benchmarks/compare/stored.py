"""A store with as many answered conversations as one likes: one that was really held, copied row by row in SQL."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.compare import workload

_PLACE: Final = f"bench/{workload.TEAM}/D"
PATTERN: Final = _PLACE + "00000000"
"""The conversation that was held."""
CHANGED: Final[Mapping[str, Mapping[str, str]]] = {
    "conversation": {"id": "{place}"},
    "lane": {"conversation": "{place}"},
    "inbox": {"id": "id + n.i * 4", "conversation": "{place}", "key": "key || ':' || n.i"},
    "outbox": {"id": "id + n.i * 4", "inbox": "inbox + n.i * 4", "conversation": "{place}", "key": "key || ':' || n.i"},
}
"""What is different in the n-th copy of a table's row; the rest is the same."""
BUSY: Final[Mapping[str, Mapping[str, str]]] = {
    "inbox": {
        "id": "id + n.i * 4",
        "conversation": "'bench/busy'",
        "key": "key || ':' || n.i",
        "status": "'waiting'",
    },
    "conversation": {
        "id": "'bench/busy'",
        "pending": "(SELECT count(*) FROM inbox WHERE conversation = 'bench/busy')",
        "head": "(SELECT min(id) FROM inbox WHERE conversation = 'bench/busy')",
        "ready_at": "4e9",
        "because": "'error'",
    },
}
"""The same for a backlog: one conversation in which messages wait, and which is not to be worked on now."""


def statement(table: str, columns: Sequence[str], changes: Mapping[str, str], numbers: str) -> str:
    """Return the statement that copies the rows of the held conversation."""
    names = ", ".join(f'"{column}"' for column in columns)
    values = ", ".join(changes.get(column, f't."{column}"') for column in columns)
    key = "id" if table == "conversation" else "conversation"
    copies = f"SELECT {values} FROM {table} t, {numbers} WHERE t.{key} = '{PATTERN}'"  # noqa: S608 - all of it is ours
    return f"INSERT INTO {table} ({names}) {copies}"


def _placed(changes: Mapping[str, str], place: str) -> Mapping[str, str]:
    return {name: text.format(place=place) for name, text in changes.items()}


def fill_file(file: Path, count: int) -> None:
    """Fill a SQLite file that no service has open, so that it holds `count` conversations."""
    place = f"printf('{_PLACE}%08d', n.i)"
    _copy_in_file(file, {table: (_placed(changes, place), count - 1) for table, changes in CHANGED.items()})


def crowd_file(file: Path, count: int) -> None:
    """Let `count` messages wait in one conversation of a SQLite file that no service has open."""
    _copy_in_file(file, {table: (changes, count if table == "inbox" else 1) for table, changes in BUSY.items()})


def _copy_in_file(file: Path, copies: Mapping[str, tuple[Mapping[str, str], int]]) -> None:
    import apsw  # noqa: PLC0415 - the other store needs no SQLite

    with contextlib.closing(apsw.Connection(str(file))) as connection, connection:
        for table, (changes, count) in copies.items():
            before = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) "  # noqa: S608 - ours
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            if columns:
                connection.execute(before + statement(table, columns, changes, "n"))


async def fill_schema(url: str, count: int) -> None:
    """Fill a PostgreSQL schema likewise, and let the server look at what is there."""
    place = f"'{_PLACE}' || lpad(n.i::text, 8, '0')"
    await _copy_in_schema(url, {table: (_placed(changes, place), count - 1) for table, changes in CHANGED.items()})


async def crowd_schema(url: str, count: int) -> None:
    """Let messages wait in a PostgreSQL schema likewise."""
    await _copy_in_schema(url, {table: (changes, count if table == "inbox" else 1) for table, changes in BUSY.items()})


async def _copy_in_schema(url: str, copies: Mapping[str, tuple[Mapping[str, str], int]]) -> None:
    import asyncpg  # noqa: PLC0415 - an extra

    connection: Any = await asyncpg.connect(url)
    try:
        for table, (changes, count) in copies.items():
            found = await connection.fetch(
                "SELECT column_name FROM information_schema.columns "
                "WHERE table_name = $1 AND table_schema = current_schema()",
                table,
            )
            numbers = f"generate_series(1, {count}) AS n(i)"
            await connection.execute(statement(table, [row[0] for row in found], changes, numbers))
            if table in {"inbox", "outbox"}:
                sequence = f"pg_get_serial_sequence('{table}', 'id')"
                await connection.execute(f"SELECT setval({sequence}, max(id)) FROM {table}")  # noqa: S608 - ours
        await connection.execute("ANALYZE")
    finally:
        await connection.close()
