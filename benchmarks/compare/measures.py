"""The measures beside the comparison: each starts what it needs, and says what it found in a line or two."""

import asyncio
import dataclasses
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks.compare import contestants, database, oracle, processes, sockets, stored, workload
from benchmarks.compare.contestants import Setup
from benchmarks.compare.load import Phase
from benchmarks.compare.rounds import FOLDER, Bout, Figures, started, throughput

TIMES: Final = 5
ONE: Final = Phase(name="one", seconds=0, conversations=1, in_flight=1, settle=60)
WARM: Final = Phase(name="warm", seconds=2, conversations=1000)
FLIGHT: Final = Phase(name="flight", seconds=5, conversations=1000)
DECOY: Final = """
from dragoman import Plugin, Turn

plugin = Plugin("{name}")


@plugin.command("{name}")
async def command(turn: Turn) -> None:
    turn.say("never")
"""
"""A plugin whose filter is asked about every message, and which takes none of them."""


async def start(_count: int, _postgres: str) -> list[str]:
    """Measure from the start of the process until the first message was answered, beside the others."""
    lines = []
    for name in contestants.NAMES:
        times = []
        for _ in range(TIMES):
            began = time.monotonic()
            async with started(name) as bout:
                await bout.load.play(ONE)
                times.append(bout.load.order[0].answered - began)
        lines.append(f"start to first answer: {name} {_spread(times)}")
    return lines


async def help_time(_count: int, _postgres: str) -> list[str]:
    """Measure `dragoman --help`."""
    return [f"--help: {_spread([await asyncio.to_thread(_help) for _ in range(TIMES)])}"]


def _help() -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "dragoman", "--help"], check=True, capture_output=True)
    return time.monotonic() - began


def _spread(times: list[float]) -> str:
    return f"{statistics.median(times):.2f} s ({min(times):.2f} to {max(times):.2f})"


async def idle(count: int, _postgres: str) -> list[str]:
    """Measure open chats in which nobody writes."""
    return [await sockets.idle(count)]


async def accounts(count: int, _postgres: str) -> list[str]:
    """Measure one process with one account, and with many that all get messages."""
    return [
        await _beside(f"{many} accounts", Setup(accounts=many), dataclasses.replace(WARM, accounts=many))
        for many in (1, count)
    ]


async def long(count: int, _postgres: str) -> list[str]:
    """Measure texts of growing length, to the one given: the cost of a character must not grow."""
    lines = []
    for length in (0, count // 4, count // 2, count):
        warm = dataclasses.replace(WARM, padding=workload.padding(length))
        lines.append(await _beside(f"texts of {length} characters", contestants.PLAIN, warm))
    return lines


async def media(count: int, _postgres: str) -> list[str]:
    """Measure messages that share files, up to so many: the line carries references, and fetches none."""
    return [
        await _beside(f"{files} files in a message", contestants.PLAIN, dataclasses.replace(WARM, files=files))
        for files in (0, 1, count)
    ]


async def route(count: int, _postgres: str) -> list[str]:
    """Measure a route in which so many plugins are asked before the one that answers."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        names = [f"decoy{number}" for number in range(count)]
        tables = ""
        for name in names:
            file = Path(folder) / f"{name}.py"
            file.write_text(DECOY.format(name=name), encoding="utf-8")
            tables += f'[plugin.{name}]\nuse = "{file}"\n'
        many = Setup(plugins=(*names, "echo"), tables=tables)
        return [
            await _beside("1 plugin", contestants.PLAIN),
            await _beside(f"{count + 1} plugins", many),
        ]


async def conversations(count: int, postgres: str) -> list[str]:
    """Measure a store with a thousand answered conversations, and with many, of which any may be spoken to."""
    lines = []
    for many in (1000, count):
        async with database.schema(postgres) as url:
            with tempfile.TemporaryDirectory(dir=FOLDER) as place:
                folder, setup = Path(place), Setup(store=url)
                async with started("dragoman", setup, folder) as bout:
                    await bout.load.play(ONE)
                await _fill(folder, url, many)
                async with started("dragoman", setup, folder) as bout:
                    figures = await _measured(bout, dataclasses.replace(WARM, conversations=many))
                    lines.append(_line(f"{many} stored conversations", bout, figures))
    return lines


async def backlog(count: int, postgres: str) -> list[str]:
    """Measure the other conversations while in one of them no message waits, and while many do."""
    lines = []
    for many in (0, count):
        async with database.schema(postgres) as url:
            with tempfile.TemporaryDirectory(dir=FOLDER) as place:
                folder, setup = Path(place), Setup(store=url, most_waiting=10 * count)
                async with started("dragoman", setup, folder) as bout:
                    await bout.load.play(ONE)
                await _crowd(folder, url, many)
                async with started("dragoman", setup, folder) as bout:
                    lines.append(_line(f"{many} messages wait in one conversation", bout, await _measured(bout)))
    return lines


async def _crowd(folder: Path, url: str, count: int) -> None:
    if count and url:
        await stored.crowd_schema(url, count)
    elif count:
        await asyncio.to_thread(stored.crowd_file, folder / "dragoman.db", count)


async def engines(count: int, postgres: str) -> list[str]:
    """Measure a gateway with one engine on PostgreSQL, and with more; and what the server was busy with."""
    if not postgres:
        return ["engines: needs --postgres"]
    lines = []
    for many in range(1, count + 1):
        async with database.schema(postgres) as url, started("dragoman", Setup(store=url, engines=many)) as bout:
            await bout.load.play(Phase(name="warm", seconds=3, conversations=1000))
            async with database.watched(postgres) as statements:
                figures = await throughput(bout, dataclasses.replace(FLIGHT, in_flight=64 * many))
            figures |= {"p50_ms": oracle.quantile(oracle.latencies(bout.load.order), 0.5) * 1000}
            lines.append(_line(f"{many} engines", bout, figures))
            lines += statements.lines(len(bout.load.order))
    return lines


async def _fill(folder: Path, url: str, count: int) -> None:
    if url:
        await stored.fill_schema(url, count)
    else:
        await asyncio.to_thread(stored.fill_file, folder / "dragoman.db", count)


async def _beside(title: str, setup: Setup, warm: Phase = WARM) -> str:
    async with started("dragoman", setup) as bout:
        return _line(title, bout, await _measured(bout, warm))


async def _measured(bout: Bout, warm: Phase = WARM) -> Figures:
    await bout.load.play(warm)
    figures = await throughput(bout, dataclasses.replace(warm, name="flight", seconds=5))
    return figures | {"p50_ms": oracle.quantile(oracle.latencies(bout.load.order), 0.5) * 1000}


def _line(title: str, bout: Bout, figures: Figures) -> str:
    memory = processes.resident_bytes(bout.pids) / 1e6
    speed = f"{figures['replies_per_second']:,.0f} replies/s, {figures['cpu_us']:.0f} us of CPU each"
    wrong = sum(figures[name] for name in ("lost", "duplicates", "inversions"))
    return f"{title}: {speed}, p50 {figures['p50_ms']:.1f} ms, {memory:.0f} MB" + (f", {wrong:.0f} WRONG" * bool(wrong))
