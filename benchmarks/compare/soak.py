"""Minutes at half of what the service holds: memory must stay flat, and no queue may grow."""

import asyncio
import dataclasses
import statistics
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from benchmarks.compare import database, oracle, processes
from benchmarks.compare.contestants import Setup
from benchmarks.compare.load import Phase
from benchmarks.compare.rounds import Bout, started, throughput

EVERY: Final = 5.0
"""Seconds between two looks."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """What was seen at one moment."""

    memory: float
    """Megabytes."""
    stored: float
    """Megabytes of the file and its log; 0 on PostgreSQL."""
    waiting: float
    """Messages and deliveries that waited."""


async def measure(seconds: int, postgres: str) -> list[str]:
    """Find out how much the service holds, and give it half of that for so many seconds."""
    async with database.schema(postgres) as url, started("dragoman", Setup(store=url)) as bout:
        most = await throughput(bout, Phase(name="most", seconds=5, conversations=1000))
        rate = round(most["replies_per_second"] / 2)
        looking = asyncio.create_task(_watch(bout, seconds))
        await bout.load.play(Phase(name="soak", seconds=seconds, conversations=rate * 2, rate=rate))
        return _words(bout, rate, seconds, await looking)


async def _watch(bout: Bout, seconds: float) -> list[Look]:
    looks = []
    for _ in range(int(seconds / EVERY)):
        await asyncio.sleep(EVERY)
        waiting = await asyncio.to_thread(_waiting, bout.port)
        memory, stored = processes.resident_bytes(bout.pids), _stored(bout)
        looks.append(Look(memory=memory / 1e6, stored=stored / 1e6, waiting=waiting))
    return looks


def _stored(bout: Bout) -> int:
    """Return the bytes of the store's files: they grow by what is kept, which is no memory of the process."""
    return sum(file.stat().st_size for file in Path(f"/proc/{bout.pids[0]}/cwd").glob("dragoman.db*"))


def _waiting(port: int) -> float:
    """Read how many messages and deliveries wait, from the service's own metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    depths = [line for line in lines if line.startswith("dragoman_queue_depth{")]
    return sum(float(line.rpartition(" ")[2]) for line in depths if "parked" not in line)


def _words(bout: Bout, rate: int, seconds: int, looks: Sequence[Look]) -> list[str]:
    times = oracle.latencies(bout.load.order)
    messages = bout.load.messages.values()
    return [
        (
            f"{rate} messages a second for {seconds} s, {len(messages)} in all: {oracle.lost(messages)} lost, "
            f"{oracle.duplicates(messages)} twice, {oracle.inversions(bout.load.order)} out of order"
        ),
        f"p50 {oracle.quantile(times, 0.5) * 1000:.1f} ms, p99 {oracle.quantile(times, 0.99) * 1000:.1f} ms",
        "of each tenth of the time:",
        f"  memory, mean: {tenths([look.memory for look in looks], statistics.mean, '.1f')} MB",
        f"  waiting, most: {tenths([look.waiting for look in looks], max, '.0f')}",
        f"  on the disk, where messages are kept, most: {tenths([look.stored for look in looks], max, '.0f')} MB",
    ]


def tenths(values: Sequence[float], of: Callable[[Sequence[float]], float], form: str) -> str:
    """Write a measure of each tenth: what a burst has taken once, and goes no further, is told from what grows."""
    size = max(1, -(-len(values) // 10))
    return ", ".join(f"{of(values[begin : begin + size]):{form}}" for begin in range(0, len(values), size))
