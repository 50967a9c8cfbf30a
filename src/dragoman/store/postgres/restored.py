"""Holding a restored database: what waits in it is set aside before a service opens it."""

import functools

import msgspec

from dragoman.errors import StoreLocked
from dragoman.store.copying.tables import TABLES, Table
from dragoman.store.postgres import opening
from dragoman.store.postgres.pool import Pool, Session
from dragoman.store.postgres.upkeep import ALIVE
from dragoman.store.restored import NAME, UNSURE, Held, Restoration, until_of
from dragoman.store.stored import RESTORED


async def until(pool: Pool) -> float:
    """Return until when another may have gone on from the state that was restored; 0 when none was."""
    return until_of(await pool.one("get_kept", name=NAME) or "")


async def hold(url: str, restoration: Restoration, *, alone: bool = True) -> Held:
    """Bring a restored database's schema up, and set aside what waits in it; raises `StoreError`.

    `alone`: refuse a database on which a replica was seen lately, as one that lives (`StoreLocked`).
    """
    pool = await Pool.open(url, 1, "dragoman restore", None)
    try:
        await opening.migrate(pool)
        seen = await pool.rows("seen_lately", alive=ALIVE) if alone else ()
        if seen:
            raise StoreLocked(f"a service runs on it ({seen[0][0]}); stop it, and wait {ALIVE:.0f} seconds")
        return await pool.transact(lambda session: _hold(session, restoration))
    finally:
        await pool.close()


async def measure(url: str) -> tuple[int, int]:
    """Read every row of a restored database's tables once; returns how many there are, and its size in bytes."""
    pool = await Pool.open(url, 1, "dragoman restore", None)
    try:
        rows = [await pool.transact(functools.partial(_count, table)) for table in TABLES]
        size = await pool.transact(_size)
        return sum(rows), size
    finally:
        await pool.close()


async def _count(table: Table, session: Session) -> int:
    found = await session.ask(f"SELECT count(*) FROM (SELECT {table.name}::text FROM {table.name}) AS read")  # noqa: S608 - names of ours
    return int(found[0][0])


async def _size(session: Session) -> int:
    return int((await session.ask("SELECT pg_database_size(current_database())"))[0][0])


async def _hold(session: Session, restoration: Restoration) -> Held:
    deliveries = await session.one("hold_deliveries", reason=UNSURE)
    await session.rows("hold_lanes")
    events = await session.one("hold_events", reason=RESTORED)
    await session.rows("hold_conversations")
    broadcasts = await session.one("hold_broadcasts", until=restoration.until)
    await session.rows("forget_replicas")
    await session.rows("set_kept", names=[NAME], values=[msgspec.json.encode(restoration).decode()])
    return Held(deliveries=deliveries, events=events, broadcasts=broadcasts)
