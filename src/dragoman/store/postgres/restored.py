"""Holding a restored database: what waits in it is set aside before a service opens it."""

import msgspec

from dragoman.store.postgres import opening
from dragoman.store.postgres.pool import Pool, Session
from dragoman.store.restored import NAME, UNSURE, Held, Restoration, until_of
from dragoman.store.stored import RESTORED


async def until(pool: Pool) -> float:
    """Return until when another may have gone on from the state that was restored; 0 when none was."""
    return until_of(await pool.one("get_kept", name=NAME) or "")


async def hold(url: str, restoration: Restoration) -> Held:
    """Bring a restored database's schema up, and set aside what waits in it; raises `StoreError`."""
    pool = await Pool.open(url, 1, "dragoman restore", None)
    try:
        await opening.migrate(pool)
        return await pool.transact(lambda session: _hold(session, restoration))
    finally:
        await pool.close()


async def _hold(session: Session, restoration: Restoration) -> Held:
    deliveries = await session.one("hold_deliveries", reason=UNSURE)
    await session.rows("hold_lanes")
    events = await session.one("hold_events", reason=RESTORED)
    await session.rows("hold_conversations")
    broadcasts = await session.one("hold_broadcasts", until=restoration.until)
    await session.rows("forget_replicas")
    await session.rows("set_kept", names=[NAME], values=[msgspec.json.encode(restoration).decode()])
    return Held(deliveries=deliveries, events=events, broadcasts=broadcasts)
