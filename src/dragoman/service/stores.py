"""Which store an installation has, and opening it: a database that is not there yet is waited for."""

import asyncio
import contextlib
import random
import secrets
from collections.abc import Callable
from typing import Final

from dragoman import cache, crypto, telemetry
from dragoman.cache import Caches
from dragoman.errors import ConfigError, StoreAway, StoreRefused
from dragoman.service import backup
from dragoman.service.installation import Installation
from dragoman.store.base import OpenStore, Shared
from dragoman.store.disk import Disk
from dragoman.store.sqlite import SqliteStore

SCHEMES: Final = ("postgresql://", "postgres://")
LONGEST_WAIT: Final = 5.0
"""Seconds between two tries to reach the database, at most."""

log = telemetry.logger("store")


async def open_store(
    installation: Installation,
    clock: Callable[[], float],
    disk: Disk | None = None,
    wall: Callable[[], float] | None = None,
) -> OpenStore:
    """Open the store; raises `ConfigError` when it can never be opened so, `StoreError` for the file's troubles.

    `clock` never jumps; timers go by `wall`, or by the database's own clock.
    """
    url = installation.settings.store.reveal()
    if not url:
        return await SqliteStore.open(installation.database, clock, disk, wall, follow=backup.mark(installation))
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


async def open_cache(stack: contextlib.AsyncExitStack, installation: Installation, store: OpenStore) -> Caches:
    """Open the cache, under the installation's own name where a server is shared; it carries the store's hints then."""
    settings, folder = installation.settings, installation.data / "cache"
    if not settings.cache.url:
        return await stack.enter_async_context(cache.opened(settings.cache.url, folder))
    seal = crypto.fingerprint("cache", *settings.encryption_key.candidates()[:1]).encode()
    options = {"installation": await _name(store), "seal": seal if settings.encryption_key else b""}
    caches = await stack.enter_async_context(cache.opened(settings.cache.url, folder, **options))
    if isinstance(store, Shared):
        store.lighten(caches)
    return caches


async def _name(store: OpenStore) -> str:
    """Return the installation's name, the same for all replicas; the first of them makes it."""
    while not await store.lease("installation", store.owner, 5.0):  # noqa: ASYNC110 - another process has it
        await asyncio.sleep(0.1)
    try:
        name = await store.recall("installation")
        if not name:
            name = secrets.token_hex(4)
            await store.keep("installation", name)
        return name
    finally:
        await store.let_go("installation", store.owner)
