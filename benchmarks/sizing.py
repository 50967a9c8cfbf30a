"""What a message costs: processor time and memory of the service, and bytes of the store, at a rate that it holds.

`sizing.py [--rate 50] [--seconds 20] [--platform slack] [--store postgresql://...]` prints one line. Processor time is
the service's own (and, on PostgreSQL, not the server's); it hardly changes with what else runs on the machine.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

import asyncpg
import psutil

from dragoman.testing import simulators
from dragoman.testing.bench import CHANNELS, UNLIMITED
from dragoman.testing.load import Load
from dragoman.testing.process import Service, configuration
from dragoman.testing.simulator import serve

IDLE = 3.0
"""Seconds after the start in which the service has come to rest."""


async def measure(platform: str, rate: float, seconds: float, store: str) -> str:
    """Run a load on a fresh service, and word what it took."""
    simulator = simulators.load(platform)()
    simulator.unlimited()
    with tempfile.TemporaryDirectory(prefix="dragoman-sizing-") as name:
        folder = Path(name)
        async with serve(simulator) as url:
            account = {"platform": platform, "sends_per_second": UNLIMITED, **simulator.settings(url)}
            where = {"store": store} if store else {}
            service = Service(folder, configuration({"bench": account}, plugins=["echo"], **where))
            await service.start()
            await asyncio.sleep(IDLE)
            process = psutil.Process(service.pid)
            idle, before, held = process.memory_info().rss, used(process), await size(folder, store)
            hook = f"{service.url}/hooks/bench"
            load = Load(simulator, hook, conversations=max(20, round(rate * 2)), channel=CHANNELS[platform])
            await load.run(rate, seconds)
            await load.settle(60.0)
            milliseconds, most = (used(process) - before) * 1000, process.memory_info().rss
            await service.stop()
            grown = await size(folder, store) - held
    verdict, sent = load.judge(), len(load.samples)
    where_it_was = "PostgreSQL" if store else "SQLite"
    return (
        f"{platform} on {where_it_was}, {rate:g}/s: {milliseconds / sent:.2f} ms of a processor and "
        f"{grown / sent:,.0f} bytes a message; {idle / 1e6:.0f} MB idle, {most / 1e6:.0f} MB after {sent} messages; "
        f"p50 {verdict.quantile(0.5) * 1000:.1f} ms, p99 {verdict.quantile(0.99) * 1000:.1f} ms; "
        f"{len(verdict.lost)} lost"
    )


def used(process: psutil.Process) -> float:
    """Return the processor seconds that a process has used."""
    times = process.cpu_times()
    return float(times.user + times.system)


def files(folder: Path) -> list[Path]:
    """Return the store's files."""
    return list(folder.glob("dragoman.db*"))


async def size(folder: Path, store: str) -> int:
    """Return the bytes that the store takes, its log included."""
    if not store:
        return sum(path.stat().st_size for path in files(folder))
    connection = await asyncpg.connect(store)
    tables = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relnamespace = "
    found = await connection.fetchval(tables + "current_schema()::regnamespace")
    await connection.close()
    return int(found or 0)


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--platform", choices=sorted(CHANNELS), default="slack")
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--store", default="", help="an empty PostgreSQL database; without one: SQLite")
    chosen = parser.parse_args()
    sys.stdout.write(asyncio.run(measure(chosen.platform, chosen.rate, chosen.seconds, chosen.store)) + "\n")


if __name__ == "__main__":
    main()
