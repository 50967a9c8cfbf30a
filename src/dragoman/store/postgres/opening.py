"""Opening the database: which schema it has, and bringing it up, one replica at a time."""

import asyncio
import random
from typing import Final

from dragoman.errors import StoreAway, StoreDamaged, StoreRefused
from dragoman.store.named import missing
from dragoman.store.postgres.pool import Pool, Session

LOCK: Final = 0x64726167
"""The advisory lock of migrations ("drag"), within the schema's own number."""
PATIENCE: Final = 30.0
"""Seconds that another replica's migration is waited for."""

TABLE: Final = """
CREATE TABLE IF NOT EXISTS migration (number integer PRIMARY KEY, name text NOT NULL, digest text NOT NULL)
"""

COPYING: Final = "SELECT to_regclass(quote_ident(current_schema()) || '.copying') IS NOT NULL"
"""Whether `dragoman store copy` was begun into it, and did not end."""


async def migrate(pool: Pool) -> None:
    """Bring the schema up under an advisory lock, all of it or nothing.

    Raises `StoreForeign` where it cannot be ours (see `missing`), `StoreRefused` where there is no schema, `StoreAway`.
    """
    for _ in range(int(PATIENCE)):
        if await pool.transact(_locked):
            return
        await asyncio.sleep(0.5 + random.random())  # noqa: S311 - a pause, not a secret
    raise StoreAway("another replica has been changing the schema for too long")


async def _locked(session: Session) -> bool:
    """Migrate if the lock is free; False when another replica has it. The transaction's end lets it go."""
    held = await session.ask("SELECT pg_try_advisory_xact_lock($1, hashtext(current_schema()))", LOCK)
    if held[0][0] is None:
        raise StoreRefused("has no schema of its search_path: create it first")
    if not held[0][0]:
        return False
    if (await session.ask(COPYING))[0][0]:
        raise StoreDamaged("the database holds an unfinished copy: end it by the same `dragoman store copy`")
    await session.script(TABLE)
    known = await session.ask("SELECT number, name, digest FROM migration")
    for migration in missing("postgres", {row[0]: (row[1], row[2]) for row in known}, "the database"):
        await session.script(migration.sql)
        values = (migration.number, migration.name, migration.digest)
        await session.ask("INSERT INTO migration VALUES ($1, $2, $3)", *values)
    return True
