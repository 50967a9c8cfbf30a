"""What a hit costs on each level of the cache, and a slot of a shared bucket; beside it, a hit in a plain dict.

The shared level is asked one after the other (the latency that a caller sees) and 16 at once (what a process can do).
Without `--url` a Redis server of its own is started on loopback.
"""

import argparse
import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

from dragoman.cache import FOR_EVER, Caches, opened
from dragoman.cache.composed import Cache
from dragoman.cache.memory import Memory
from dragoman.model import Secret
from dragoman.testing.redis_server import redis_server

ROUNDS: Final = 5
SMALL: Final = bytes(200)
"""A value like a token."""
LARGE: Final = bytes(1 << 20)
"""A value like a picture."""
CALM: Final = {"connect": 5.0, "answer": 5.0}

Work = Callable[[], Awaitable[object]]


async def never() -> bytes:
    """Stand for what the cache saves; it is not to be needed here."""
    raise AssertionError("a miss")


async def microseconds(work: Work, times: int, at_once: int = 1) -> tuple[float, float]:
    """Return what one call costs: the median of the rounds, and the half of their spread."""

    async def worker() -> None:
        for _ in range(times // at_once):
            await work()

    costs = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(at_once)))
        costs.append((time.perf_counter() - began) / times * 1e6)
    return statistics.median(costs), (max(costs) - min(costs)) / 2


async def measure(cache: Caches) -> None:
    """Print a table."""
    plain = {"k": SMALL}
    memory, far = Memory(), cache.lookups._far  # noqa: SLF001 - the level alone, without the memory before it
    assert far is not None  # noqa: S101 - there is a server
    near = Cache(near=memory)
    await cache.lookups.set("k", SMALL, 600)
    await near.set("k", SMALL, 600)
    await cache.files.set("small", SMALL, FOR_EVER)
    await cache.files.set("large", LARGE, FOR_EVER)

    async def from_dict() -> bytes:
        return plain["k"]

    rows: list[tuple[str, Work, int, int]] = [
        ("a dict, behind a coroutine", from_dict, 50_000, 1),
        ("memory, get", lambda: near.get("k"), 50_000, 1),
        ("memory, fetch", lambda: near.fetch("k", never, 600), 50_000, 1),
        ("shared, get", lambda: far.get("k"), 1_600, 1),
        ("shared, get, 16 at once", lambda: far.get("k"), 3_200, 16),
        ("shared, set", lambda: far.set("k", SMALL, 600), 1_600, 1),
        ("bucket, reserve", lambda: cache.buckets.reserve("b", 1_000_000, 1.0), 1_600, 1),
        ("disk, 200 bytes, get", lambda: cache.files.get("small"), 1_600, 1),
        ("disk, 1 MiB, get", lambda: cache.files.get("large"), 320, 1),
    ]
    for name, work, times, at_once in rows:
        cost, spread = await microseconds(work, times, at_once)
        print(f"  {name:<28} {cost:9.2f} us  +- {spread:.2f}")


@contextlib.asynccontextmanager
async def at(url: str) -> AsyncIterator[str]:
    """Give the address of the server to measure with."""
    if url:
        yield url
        return
    async with redis_server() as server:
        yield server.url


async def main(url: str) -> None:
    """Measure all levels."""
    with tempfile.TemporaryDirectory() as folder:
        async with at(url) as address, opened(Secret(address), Path(folder), **CALM) as cache:
            await measure(cache)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="", help="a Redis server to measure with, in place of one of its own")
    asyncio.run(main(parser.parse_args().url))
