"""How exact timers are, what many of them cost, and whether live messages wait for those that are overdue.

`burst`: so many timers of the same second; how long after their time the events were accepted and the messages sent.
`idle`: what the process costs with so many timers in the far future, beside what it costs with none.
`overdue`: so many timers were due an hour before the start; live messages beside them, and beside nothing.

The service is a process of its own, the platform a simulator in this one. `--postgres URL` keeps the line in a schema
that is made and dropped.
"""

import argparse
import asyncio
import contextlib
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import psutil

from dragoman.model import Address, Event, Sender, Timer
from dragoman.store.base import OpenStore
from dragoman.store.sqlite import SqliteStore
from dragoman.testing import simulators
from dragoman.testing.load import Load
from dragoman.testing.process import Service, configuration
from dragoman.testing.simulator import serve

FIRST: Final = 900_000
"""The number of the first timer's conversation."""
WATCHED: Final = 20.0
"""Seconds for which the idle process is watched."""
PLUGIN: Final = """
from dragoman import Plugin, Turn

plugin = Plugin("ring")


@plugin.step
async def ring(turn: Turn, text: str) -> None:
    turn.say(text)
"""


def timer(number: int, at: float) -> Timer:
    """Return a timer in a conversation of its own."""
    channel = f"D{FIRST + number:08}"
    event = Event(
        key="",
        kind="timer",
        account="bench",
        platform="slack",
        conversation=f"bench/T1/{channel}",
        address=Address(account="bench", workspace="T1", channel=channel),
        sender=Sender(id=f"U{number:08}"),
        value={"plugin": "ring", "handler": "ring", "bound": {"text": f"c{FIRST + number} n1"}},
    )
    return Timer(name=f"t{number}", at=at, event=event, person=f"bench/T1/U{number:08}", grace=1e9)


class Bench:
    """A service on a data folder or a schema, which is filled while no service runs."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.simulator = simulators.load("slack")()

    async def opened(self) -> OpenStore:
        """Open the store."""
        if not self.url:
            return await SqliteStore.open(self.folder / "dragoman.db", time.time)
        from dragoman.store.postgres import PostgresStore  # noqa: PLC0415 - an extra

        return await PostgresStore.open(self.url, time.time)

    async def fill(self, count: int, at: float) -> None:
        """Set so many timers."""
        store = await self.opened()
        for start in range(0, count, 2000):
            await store.timers.set([timer(number, at) for number in range(start, min(start + 2000, count))])
        await store.close()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Service]:
        """Run the service."""
        plugin = self.folder / "ring.py"
        plugin.write_text(PLUGIN, encoding="utf-8")
        async with serve(self.simulator) as url:
            account = {"platform": "slack", **self.simulator.settings(url)}
            settings = {
                "plugins": ["echo", "ring"],
                "log_level": "warning",
                **({"store": self.url} if self.url else {}),
            }
            text = configuration({"bench": account}, **settings) + f'[plugin.ring]\nuse = "{plugin}"\n'
            service = Service(self.folder, text)
            await service.start()
            try:
                yield service
            finally:
                await service.stop()


def quantiles(values: Sequence[float]) -> str:
    """Word the median, the 99th percentile and the worst, in milliseconds."""
    ordered = sorted(values)
    middle, high = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, round(len(ordered) * 0.99))]
    return f"p50 {middle * 1000:.0f} ms, p99 {high * 1000:.0f} ms, worst {ordered[-1] * 1000:.0f} ms"


async def burst(bench: Bench, count: int) -> None:
    """Measure timers of the same second."""
    at = time.time() + 6.0 + count / 2000
    await bench.fill(count, at)
    async with bench.running():
        while len(bench.simulator.sent) < count and time.time() < at + 120:  # noqa: ASYNC110 - the simulator rings no bell
            await asyncio.sleep(0.05)
    sent = [accepted.at - at for accepted in bench.simulator.sent]
    accepted = [moment - at for moment in await accepted_at(bench)]
    print(f"burst of {count}: {len(sent)} sent, {len({each.text for each in bench.simulator.sent})} different")
    print(f"  accepted after their time: {quantiles(accepted)}")
    print(f"  at the platform after their time: {quantiles(sent)}")


async def accepted_at(bench: Bench) -> list[float]:
    """Read when the events of timers were accepted."""
    statement = "SELECT accepted_at FROM inbox WHERE kind = 'timer'"
    if bench.url:
        import asyncpg  # noqa: PLC0415 - an extra

        connection = await asyncpg.connect(bench.url)
        found = [row[0] for row in await connection.fetch(statement)]
        await connection.close()
        return found
    import apsw  # noqa: PLC0415 - only here

    with contextlib.closing(apsw.Connection(str(bench.folder / "dragoman.db"))) as file:
        return [row[0] for row in file.execute(statement)]


async def idle(bench: Bench, count: int) -> None:
    """Measure the process with timers in the far future."""
    for many in (0, count):
        await bench.fill(many, time.time() + 30 * 86_400)
        async with bench.running() as service:
            process = psutil.Process(service.pid)
            await asyncio.sleep(3)
            before = process.cpu_times()
            await asyncio.sleep(WATCHED)
            after = process.cpu_times()
            share = (after.user + after.system - before.user - before.system) / WATCHED
            print(f"idle with {many} timers: {share:.2%} of a core, {process.memory_info().rss / 1e6:.0f} MB")


async def overdue(bench: Bench, count: int) -> None:
    """Measure live messages beside overdue timers, and without."""
    for many in (0, count):
        await bench.fill(many, time.time() - 3600)
        bench.simulator.sent.clear()
        async with bench.running() as service:
            load = Load(bench.simulator, f"{service.url}/hooks/bench", conversations=200, channel="D{:08}")
            await load.run(50, 20)
            await load.settle(30)
            rung = sum(accepted.text.startswith("c") for accepted in bench.simulator.sent)  # the others are echoes
        verdict = load.judge()
        live = f"p50 {verdict.quantile(0.5) * 1000:.1f} ms, p99 {verdict.quantile(0.99) * 1000:.1f} ms"
        print(f"live at 50/s beside {many} overdue timers: {live}, {len(verdict.lost)} lost; {rung} timers rang")


MEASURES: Final[dict[str, tuple[Callable[[Bench, int], Any], int]]] = {
    "burst": (burst, 1000),
    "idle": (idle, 1_000_000),
    "overdue": (overdue, 10_000),
}


async def measure(name: str, count: int, postgres: str) -> None:
    """Run one measure on a new store."""
    schema = f"bench{secrets.token_hex(4)}"
    with tempfile.TemporaryDirectory() as folder:
        if not postgres:
            await MEASURES[name][0](Bench(Path(folder), ""), count)
            return
        import asyncpg  # noqa: PLC0415 - an extra

        connection = await asyncpg.connect(postgres)
        await connection.execute(f"CREATE SCHEMA {schema}")
        try:
            await MEASURES[name][0](Bench(Path(folder), f"{postgres}?search_path={schema}"), count)
        finally:
            await connection.execute(f"DROP SCHEMA {schema} CASCADE")
            await connection.close()


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description="Measure timers.")
    parser.add_argument("measure", choices=MEASURES)
    parser.add_argument("--count", type=int, default=0, help="Timers (burst 1,000; idle 1,000,000; overdue 10,000).")
    parser.add_argument("--postgres", default="", metavar="URL", help="Measure PostgreSQL, in a schema of its own.")
    given = parser.parse_args()
    asyncio.run(measure(given.measure, given.count or MEASURES[given.measure][1], given.postgres))


if __name__ == "__main__":
    main()
