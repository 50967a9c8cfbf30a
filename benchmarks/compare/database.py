"""A PostgreSQL schema of its own for one measure."""

import contextlib
import dataclasses
import re
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Final

TOP: Final = 6
"""Statements that are shown."""
MARKS: Final = {
    "accept_at_once": "SELECT room.fit",
    "accept": "FROM added",
    "commit": "WITH turn AS",
    "settle": "FROM settled LEFT JOIN",
    "claim": "WITH suspect AS",
    "head_events": "AS conversation, e.id",
    "take": "SELECT * FROM marked",
    "reserve": "WITH asked AS",
    "hint": "pg_notify",
}
"""What tells the line's statements, in the order in which they are looked for."""


@contextlib.asynccontextmanager
async def schema(url: str) -> AsyncIterator[str]:
    """Make a schema and drop it at the end; gives the address that leads there. An empty address stays empty."""
    if not url:
        yield ""
        return
    import asyncpg  # noqa: PLC0415 - an extra

    name = f"bench{secrets.token_hex(4)}"
    connection = await asyncpg.connect(url)
    await connection.execute(f"CREATE SCHEMA {name}")
    try:
        yield f"{url}{'&' if '?' in url else '?'}search_path={name}"
    finally:
        await connection.execute(f"DROP SCHEMA {name} CASCADE")
        await connection.close()


@dataclasses.dataclass(kw_only=True)
class Statements:
    """What the server was busy with: microseconds by statement, if it counts them (`pg_stat_statements`)."""

    cost: Counter[str] = dataclasses.field(default_factory=Counter)
    calls: Counter[str] = dataclasses.field(default_factory=Counter)
    counted: bool = False

    def lines(self, messages: int) -> list[str]:
        """Say which statements cost most, for each message."""
        if not self.counted:
            return ["  (the server has no pg_stat_statements)"]
        return [
            f"  {name}: {cost / messages:.0f} us a message, {messages / max(1, self.calls[name]):.1f} messages a call"
            for name, cost in self.cost.most_common(TOP)
        ]


@contextlib.asynccontextmanager
async def watched(url: str) -> AsyncIterator[Statements]:
    """Count what the server is busy with meanwhile, if the database at this address has the extension."""
    import asyncpg  # noqa: PLC0415 - an extra

    statements, connection = Statements(), await asyncpg.connect(url)
    try:
        before = await _counted(connection)
        yield statements
        after = await _counted(connection)
        statements.counted = bool(after)
        for text, (cost, calls) in after.items():
            known = before.get(text, (0.0, 0))
            name = _name(text)
            statements.cost[name] += round((cost - known[0]) * 1000)
            statements.calls[name] += calls - known[1]
    finally:
        await connection.close()


async def _counted(connection: Any) -> dict[str, tuple[float, int]]:
    """Read the counters; none where the server does not count."""
    found = await connection.fetchval("SELECT count(*) FROM pg_extension WHERE extname = 'pg_stat_statements'")
    if not found:
        return {}
    rows = await connection.fetch(
        "SELECT query, sum(total_exec_time) AS cost, sum(calls) AS calls FROM pg_stat_statements "
        "WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) GROUP BY query"
    )
    return {row["query"]: (row["cost"], int(row["calls"])) for row in rows}


def _name(text: str) -> str:
    """Name a statement: the line's by its name, others by their beginning."""
    return next((name for name, mark in MARKS.items() if mark in text), re.sub(r"\s+", " ", text)[:60])
