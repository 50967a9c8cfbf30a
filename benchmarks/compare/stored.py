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


def statement(table: str, columns: Sequence[str], place: str, numbers: str) -> str:
    """Return the statement that copies the rows of the held conversation."""
    changed = {name: text.format(place=place) for name, text in CHANGED[table].items()}
    names = ", ".join(f'"{column}"' for column in columns)
    values = ", ".join(changed.get(column, f't."{column}"') for column in columns)
    key = "id" if table == "conversation" else "conversation"
    copies = f"SELECT {values} FROM {table} t, {numbers} WHERE t.{key} = '{PATTERN}'"  # noqa: S608 - all of it is ours
    return f"INSERT INTO {table} ({names}) {copies}"


def fill_file(file: Path, count: int) -> None:
    """Fill a SQLite file that no service has open, so that it holds `count` conversations."""
    import apsw  # noqa: PLC0415 - the other store needs no SQLite

    numbers = "n"
    place = f"printf('{_PLACE}%08d', n.i)"
    before = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count - 1}) "  # noqa: S608 - ours
    with contextlib.closing(apsw.Connection(str(file))) as connection, connection:
        for table in CHANGED:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            if columns:
                connection.execute(before + statement(table, columns, place, numbers))


async def fill_schema(url: str, count: int) -> None:
    """Fill a PostgreSQL schema likewise, and let the server look at what is there."""
    import asyncpg  # noqa: PLC0415 - an extra

    connection: Any = await asyncpg.connect(url)
    numbers = f"generate_series(1, {count - 1}) AS n(i)"
    place = f"'{_PLACE}' || lpad(n.i::text, 8, '0')"
    try:
        for table in CHANGED:
            found = await connection.fetch(
                "SELECT column_name FROM information_schema.columns "
                "WHERE table_name = $1 AND table_schema = current_schema()",
                table,
            )
            await connection.execute(statement(table, [row[0] for row in found], place, numbers))
            if "id" in CHANGED[table] and table != "conversation":
                sequence = f"pg_get_serial_sequence('{table}', 'id')"
                await connection.execute(f"SELECT setval({sequence}, max(id)) FROM {table}")  # noqa: S608 - ours
        await connection.execute("ANALYZE")
    finally:
        await connection.close()
