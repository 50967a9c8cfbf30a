"""What a comparison found: medians, ratios of one run, and the machine, as a table and as JSON."""

import datetime as dt
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import msgspec
from benchmarks.compare import contestants, processes
from benchmarks.compare.rounds import FOLDER, LATENCY_RATES, Figures, Plan

OURS: Final = "dragoman"
COLUMNS: Final[Mapping[str, str]] = {
    "replies_per_second": "replies/s",
    "cpu_us": "CPU us",
    **{f"{share}_ms_{rate}": f"{share} @{rate}" for rate in LATENCY_RATES for share in ("p50", "p99")},
    "lost": "lost",
    "duplicates": "twice",
    "inversions": "order",
}
"""The columns of the table; latencies are in milliseconds."""
COUNTS: Final = ("lost", "duplicates", "inversions", "repeats")
"""Figures that are added up over the rounds; of all others the median counts."""
MORE_IS_BETTER: Final = frozenset({"replies_per_second"})


def summary(rounds: Sequence[Figures]) -> Figures:
    """Return the medians of a contestant's rounds, and the sums of what must not happen."""
    return {
        name: sum(each[name] for each in rounds) if name in COUNTS else statistics.median(each[name] for each in rounds)
        for name in rounds[0]
    }


def ratios(ours: Sequence[Figures], theirs: Sequence[Figures]) -> Figures:
    """Return ours by theirs: of each round, in which both ran one after the other, and of these the median."""
    names = [name for name in ours[0] if name not in COUNTS]
    return {
        name: statistics.median(mine[name] / max(other[name], 1e-9) for mine, other in zip(ours, theirs, strict=True))
        for name in names
    }


def result(plan: Plan, found: Mapping[str, list[Figures]], machine: Mapping[str, Any]) -> dict[str, Any]:
    """Return all of it as plain data."""
    others = [name for name in found if name != OURS]
    return {
        "machine": dict(machine),
        "plan": {
            "rounds": plan.rounds,
            "seconds": plan.seconds,
            "store": "postgresql, gateway and engine" if plan.setup.store else "sqlite, one process",
        },
        "medians": {name: summary(rounds) for name, rounds in found.items()},
        "ratios": {name: ratios(found[OURS], found[name]) for name in others} if OURS in found else {},
        "rounds": dict(found),
    }


def table(result: Mapping[str, Any]) -> str:
    """Return the table that is printed: medians, and below them ours by each of the others."""
    rows = [["", *COLUMNS.values()]]
    rows += [[name, *(_cell(column, row[column]) for column in COLUMNS)] for name, row in result["medians"].items()]
    for name, row in result["ratios"].items():
        rows.append([f"ratio to {name}", *(f"{row[column]:.2f}" if column in row else "" for column in COLUMNS)])
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(["", *circumstances(result), "", *lines])


def circumstances(result: Mapping[str, Any]) -> tuple[str, str]:
    """Say where and how it was measured, in two lines."""
    machine, plan = result["machine"], result["plan"]
    where = f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}, {machine['date']}"
    busy = f"load average {machine['load_before']:.1f} before, {machine['load_after']:.1f} after"
    how = f"medians of {plan['rounds']} rounds; ours on {plan['store']}; a flush takes {machine['flush_ms']:.2f} ms"
    return where, f"{how}; {busy}"


def _cell(column: str, value: float) -> str:
    if column in COUNTS or column == "replies_per_second":
        return f"{value:,.0f}"
    return f"{value:.0f}" if column == "cpu_us" else f"{value:.1f}"


def machine() -> dict[str, Any]:
    """Say what this machine is, and how busy it is with other things."""
    cpus = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    models = [line.partition(":")[2].strip() for line in cpus.splitlines() if line.startswith("model name")]
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "processor": models[0] if models else platform.machine(),
        "cores": len(processes.CORES),
        "python": platform.python_version(),
        "flush_ms": round(flush_seconds() * 1000, 3),
        "load_before": round(os.getloadavg()[0], 2),
        "load_after": round(os.getloadavg()[0], 2),
        "versions": {"dragoman": metadata.version("dragoman"), **_their_versions()},
    }


def flush_seconds() -> float:
    """Measure how long the disk takes to make one page durable: the median of a hundred."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    times = []
    with tempfile.TemporaryFile(dir=FOLDER) as file:
        for _ in range(100):
            file.write(b"x" * 4096)
            file.flush()
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    return statistics.median(times)


def _their_versions() -> dict[str, str]:
    names = ("uvicorn", "aiohttp", "slack-bolt", "uvloop", "httptools")
    program = "import importlib.metadata as m, json, sys; print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
    command = [str(contestants.OTHERS), "-c", program, *names]
    printed = subprocess.run(command, check=True, capture_output=True).stdout  # noqa: S603 - our own command
    return msgspec.json.decode(printed, type=dict[str, str])
