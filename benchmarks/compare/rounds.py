"""The rounds of a comparison: every contestant in turn, each time a new process that plays the same phases."""

import contextlib
import dataclasses
import gc
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Final

from benchmarks.compare import contestants, oracle, processes, stub
from benchmarks.compare.contestants import Setup
from benchmarks.compare.load import Load, Phase

FOLDER: Final = contestants.ROOT / "build" / "bench"
LATENCY_RATES: Final = (200, 1000)

Figures = dict[str, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """How long a comparison is, and of whom."""

    rounds: int = 5
    seconds: float = 5.0
    """Of each phase."""
    warm_up: float = 2.0
    names: Sequence[str] = contestants.NAMES
    setup: Setup = contestants.PLAIN


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bout:
    """A contestant that runs, and the load at its door."""

    load: Load
    pids: Sequence[int]
    port: int


@contextlib.asynccontextmanager
async def started(name: str, setup: Setup = contestants.PLAIN, folder: Path | None = None) -> AsyncIterator[Bout]:
    """Start a contestant beside the stub, on a new data folder unless one is given."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    os.sched_setaffinity(0, processes.LOAD_CORES)
    port, cores = processes.free_port(), processes.SERVER_CORES
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=FOLDER, prefix="run-")))
        load = Load(port)
        async with stub.serving(load.said) as base:
            commands = contestants.commands(name, folder, port, base, setup)
            cores = frozenset(processes.CORES[:2]) if len(commands) > 1 else cores
            async with processes.running(commands, folder, cores) as pids:
                await processes.ready(port, contestants.READY[name], pids, folder / "server.log")
                yield Bout(load=load, pids=pids, port=port)
                load.close()
        if load.wrong:
            _keep(folder, load.wrong)


def _keep(folder: Path, wrong: Sequence[str]) -> None:
    """Keep the store and the log of a contestant that broke a promise, for whoever wants to know why."""
    kept = FOLDER / "evidence"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(folder, kept, ignore=shutil.ignore_patterns("*.sock", "control*"))
    (kept / "wrong.txt").write_text("\n".join(wrong) + "\n", encoding="utf-8")


async def compare(plan: Plan, tell: Callable[[str], None]) -> dict[str, list[Figures]]:
    """Play all rounds, the contestants in turn; returns each one's figures, round by round."""
    found: dict[str, list[Figures]] = {name: [] for name in plan.names}
    for number in range(1, plan.rounds + 1):
        for name in plan.names:
            async with started(name, plan.setup) as bout:
                figures = await play(bout, plan)
            found[name].append(figures)
            tell(f"round {number} of {plan.rounds}: {name} {figures['replies_per_second']:,.0f} replies/s")
    return found


async def play(bout: Bout, plan: Plan) -> Figures:
    """Play one round against one contestant."""
    gc.collect()
    gc.disable()  # the load's own pauses are no latency of the server's
    try:
        await bout.load.play(Phase(name="warm", seconds=plan.warm_up, conversations=1000))
        figures = await throughput(bout, Phase(name="flight", seconds=plan.seconds, conversations=1000))
        for rate in LATENCY_RATES:
            figures |= _sum(figures, await _latency(bout, rate, plan.seconds))
        return figures | _sum(figures, await _crowd(bout, plan.seconds / 2))
    finally:
        gc.enable()


async def throughput(bout: Bout, phase: Phase) -> Figures:
    """Play a phase; returns replies a second, and CPU time per message of the server and of the load."""
    before, own = processes.cpu_seconds(bout.pids), time.process_time()
    lasted = await bout.load.play(phase)
    answered = max(1, len(bout.load.order))
    return {
        "replies_per_second": len(bout.load.order) / max(lasted, 0.001),
        "cpu_us": (processes.cpu_seconds(bout.pids) - before) / answered * 1e6,
        "load_cpu_us": (time.process_time() - own) / answered * 1e6,
        **_promises(bout.load),
    }


async def _latency(bout: Bout, rate: int, seconds: float) -> Figures:
    """A constant rate, each conversation every two seconds."""
    before = processes.cpu_seconds(bout.pids)
    await bout.load.play(Phase(name=f"rate{rate}", seconds=seconds, conversations=rate * 2, rate=rate))
    times = oracle.latencies(bout.load.order)
    return {
        f"p50_ms_{rate}": oracle.quantile(times, 0.5) * 1000,
        f"p99_ms_{rate}": oracle.quantile(times, 0.99) * 1000,
        f"cpu_us_{rate}": (processes.cpu_seconds(bout.pids) - before) / max(1, len(times)) * 1e6,
        **_promises(bout.load),
    }


async def _crowd(bout: Bout, seconds: float) -> Figures:
    """64 in flight, of 16 conversations only: each is spoken to again before it has answered."""
    await bout.load.play(Phase(name="crowd", seconds=seconds, conversations=16))
    return _promises(bout.load)


def _promises(load: Load) -> Figures:
    messages = load.messages.values()
    return {
        "lost": oracle.lost(messages),
        "duplicates": oracle.duplicates(messages),
        "inversions": oracle.inversions(load.order),
        "repeats": sum(message.attempts > 1 for message in messages),
    }


def _sum(before: Figures, more: Figures) -> Figures:
    """Add counts that both have; measures are of one phase each."""
    return {name: before.get(name, 0) + value for name, value in more.items()}
