"""Which store an installation has, and opening it: a database that is not there yet is waited for."""

import asyncio
import random
from collections.abc import Callable
from typing import Final

from dragoman import telemetry
from dragoman.errors import ConfigError, StoreAway, StoreRefused
from dragoman.service.installation import Installation
from dragoman.store.base import OpenStore
from dragoman.store.sqlite import SqliteStore

SCHEMES: Final = ("postgresql://", "postgres://")
LONGEST_WAIT: Final = 5.0
"""Seconds between two tries to reach the database, at most."""

log = telemetry.logger("store")


async def open_store(installation: Installation, clock: Callable[[], float]) -> OpenStore:
    """Open the store; raises `ConfigError` when it can never be opened so, `StoreError` for the file's troubles."""
    url = installation.settings.store.reveal()
    if not url:
        return await SqliteStore.open(installation.database, clock)
    where = installation.document.where("store")
    check(url, where)
    try:
        from dragoman.store.postgres import PostgresStore  # noqa: PLC0415 - an extra, and one of two stores
    except ModuleNotFoundError as error:
        raise ConfigError(where, "store", f"needs {error.name}", "pip install 'dragoman[postgres]'") from error
    attempt = 0
    while True:
        try:
            return await PostgresStore.open(url, clock, connections=installation.settings.store_connections)
        except StoreRefused as refusal:
            raise ConfigError(where, "store", str(refusal)) from refusal
        except StoreAway as away:
            attempt += 1
            wait = min(LONGEST_WAIT, 0.25 * 2.0 ** min(attempt, 6)) * (0.5 + random.random() / 2)  # noqa: S311 - jitter
            log.warning("store.waiting", reason=str(away), attempt=attempt, again_in=round(wait, 1))
            await asyncio.sleep(wait)


def check(url: str, where: str) -> None:
    """Refuse an address that is none of PostgreSQL's."""
    if not url.startswith(SCHEMES):
        raise ConfigError(where, "store", "must begin with postgresql://", "leave it out for the embedded store")
