"""What is cheaper to keep than to make: memory, then a shared server, and a folder for large things.

    async with opened(settings.cache.url, folder / "cache") as cache:
        token = await cache.lookups.fetch(f"token/{account}", grant, seconds=3000)     # memory -> shared -> grant
        page = await cache.files.fetch(f"media/{digest}", download, seconds=FOR_EVER)  # disk -> download
        wait = await cache.buckets.reserve(f"account/{account}/30 in 1", 30, 1.0)      # None: nobody answers
        await cache.hints.ring("outbox", b"acme")

It is never the truth. Whatever happens to a level (lost, flushed, slow, full, spoilt, written to by others) is a miss,
is counted, and reaches no caller as an error. A secret that is kept here must come encrypted.
"""

import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dragoman.cache.composed import Cache, Make
from dragoman.cache.disk import ROOM, Disk
from dragoman.cache.level import FOR_EVER
from dragoman.cache.memory import Memory
from dragoman.cache.together import MISSED, Alone, Buckets, Hints
from dragoman.errors import ConfigError
from dragoman.model import Secret

if TYPE_CHECKING:
    from dragoman.cache.server import Server

__all__ = ["FOR_EVER", "MISSED", "Buckets", "Cache", "Caches", "Hints", "Make", "open_cache", "opened"]

NEAR: Final = 10.0
"""Seconds for which a value of the shared level may be answered from the memory: what others drop is gone after it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Caches:
    """The cache as a service owns it."""

    lookups: Cache
    """Small values that change: tokens, keys, user names; memory, then the shared server."""
    files: Cache
    """Large values that never change, under a key made of their content or address: the disk."""
    buckets: Buckets
    """Rates that replicas keep together."""
    hints: Hints
    """Wake-up hints between replicas."""
    server: "Server | None"

    @property
    def trouble(self) -> str:
        """Why the shared server is being left alone; empty while all is well, or when there is none."""
        return self.server.trouble if self.server else ""

    async def close(self) -> None:
        """Cancel lookups under way and end the connections."""
        await self.lookups.close()
        await self.files.close()
        if self.server is not None:
            await self.server.close()


async def open_cache(
    url: Secret, folder: Path, *, installation: str = "d", seal: bytes = b"", room: int = ROOM, **deadlines: float
) -> Caches:
    """Open the cache; no server is asked for anything yet, so one that is away does not hinder the start.

    `url` names the shared server (empty: none). Replicas that share it give the same `installation` and `seal`; this is
    a secret of at most 64 bytes without which nobody can write values that we believe. `room` is the bytes in `folder`.
    `deadlines` are those of `Server`: `connect` and `answer`, in seconds. Raises `ConfigError` for a URL that is none,
    or when the extra is not installed.
    """
    disk = Disk(folder, room=room, clock=time.time)
    await disk.scan()
    files = Cache(far=disk)
    if not url:
        alone = Alone()
        return Caches(lookups=Cache(near=Memory()), files=files, buckets=alone, hints=alone, server=None)
    return _together(url, files, f"dragoman:{installation}:", seal, deadlines)


def _together(url: Secret, files: Cache, prefix: str, seal: bytes, deadlines: dict[str, float]) -> Caches:
    try:
        from dragoman.cache import hints, rates, server, shared  # noqa: PLC0415 - the driver is an extra
    except ModuleNotFoundError as error:
        reason = "the shared cache needs redis, which is not installed"
        raise ConfigError("configuration", "cache.url", reason, "pip install 'dragoman[cache]'") from error
    behind = server.Server(url.reveal(), **deadlines)
    return Caches(
        lookups=Cache(near=Memory(longest=NEAR), far=shared.Shared(behind, prefix, seal)),
        files=files,
        buckets=rates.SharedBuckets(behind, prefix),
        hints=hints.SharedHints(behind, prefix, seal),
        server=behind,
    )


@contextlib.asynccontextmanager
async def opened(url: Secret, folder: Path, **options: Any) -> AsyncIterator[Caches]:
    """Open the cache (see `open_cache`) while the context is open."""
    caches = await open_cache(url, folder, **options)
    try:
        yield caches
    finally:
        await caches.close()
