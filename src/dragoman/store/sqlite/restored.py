"""Holding a restored file: what waits in it is set aside before a service opens it."""

import contextlib
from pathlib import Path

import msgspec

from dragoman.errors import StoreDamaged
from dragoman.store.restored import NAME, UNSURE, Held, Restoration, until_of
from dragoman.store.sqlite import opening
from dragoman.store.sqlite.statements import Connection, one, run
from dragoman.store.stored import RESTORED


def until(connection: Connection) -> float:
    """Return until when another may have gone on from the state that was restored; 0 when none was."""
    return until_of(one(connection, "get_kept", name=NAME) or "")


def hold(database: Path, restoration: Restoration) -> Held:
    """Check a restored file, bring its schema up, and set aside what waits in it; raises `StoreError`."""
    lock = opening.FileLock(database)
    try:
        with contextlib.closing(opening.connect(database)) as connection:
            found = connection.pragma("integrity_check", 1)
            if found != "ok":
                raise StoreDamaged(f"{database} is damaged: {found}")
            opening.migrate(connection, database)
            return _hold(connection, restoration)
    finally:
        lock.release()


def _hold(connection: Connection, restoration: Restoration) -> Held:
    with connection:
        run(connection, "hold_deliveries", now=restoration.until, reason=UNSURE)
        deliveries = connection.changes()
        run(connection, "hold_events", reason=RESTORED)
        events = connection.changes()
        run(connection, "hold_conversations")
        run(connection, "hold_broadcasts", until=restoration.until)
        broadcasts = connection.changes()
        run(connection, "set_kept", name=NAME, value=msgspec.json.encode(restoration).decode())
    return Held(deliveries=deliveries, events=events, broadcasts=broadcasts)
