"""What a rehearsal showed: how load, replicas, processor time and latency went on, and what became of the messages."""

import dataclasses
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from dragoman.testing.load import REPLY, Load


@dataclasses.dataclass(frozen=True, kw_only=True)
class Moment:
    """How it was at a time, in seconds from the beginning."""

    at: float
    rate: float
    """Messages a second that were sent."""
    wanted: int
    ready: int
    """Replicas that the formula wants, and those that take requests."""
    usage: float
    """Mean of the replicas' processor time, in per cent of what they ask for."""
    p99_ms: float = 0.0
    """Of the messages that should have left since the moment before."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """A whole rehearsal."""

    seconds: float
    times: float
    """How many times as fast as in the chart the autoscaler's time passed."""
    target: float
    least: int
    most: int
    requested: float
    toil_ms: float
    """Processor time that a turn costs by itself."""
    moments: tuple[Moment, ...]
    sent: int
    answered: int
    lost: int
    """Messages that were taken, and never answered."""
    refused: int
    """Messages that were never taken, however often they were sent."""
    twice: int
    inversions: int
    again: int
    """Messages that were not taken at first and had to be sent again."""
    p50_ms: float
    p99_ms: float
    grown: int
    shrunk: int
    ends: tuple[int, ...]
    """Exit codes of the replicas that were let go."""
    machine: str
    stretch: float
    """How many times longer than its work the load took, because others had the processors (1: not at all)."""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return dataclasses.asdict(self)

    def words(self) -> str:
        """Return it as a line."""
        return (
            f"{self.sent} messages in {self.seconds:.0f} s, {self.lost} lost, {self.twice} answered twice, "
            f"{self.again} sent again; p50 {self.p50_ms:.0f} ms, p99 {self.p99_ms:.0f} ms; "
            f"replicas {self.grown} up, {self.shrunk} down; the harness took {self.stretch:.1f} times its work"
        )

    def red(self) -> list[str]:
        """Say what must not be."""
        numbers = [moment.ready for moment in self.moments]
        checks = {
            f"{self.lost} lost": self.lost,
            f"{self.refused} never taken": self.refused,
            f"{self.twice} answered twice": self.twice,
            f"{self.inversions} out of order": self.inversions,
            f"a replica ended with {self.ends}": any(self.ends),
            "nothing was sent": not self.sent,
            "no replica came": max(numbers, default=0) <= self.least,
            "the replicas that came did not all go": not numbers or numbers[-1] != self.least,
        }
        return [words for words, wrong in checks.items() if wrong]


def dated(moments: Sequence[Moment], load: Load, began: float) -> tuple[Moment, ...]:
    """Add to each moment how long its messages took, from when they should have left until the reply was there."""
    answered: dict[str, float] = {}
    for accepted in load.simulator.sent:
        answered.setdefault(accepted.text.removeprefix(REPLY), accepted.at)
    waits = [
        (each.intended - began, answered[each.text] - each.intended) for each in load.samples if each.text in answered
    ]
    result, before = [], 0.0
    for moment in moments:
        window = [wait for at, wait in waits if before <= at < moment.at]
        result.append(dataclasses.replace(moment, p99_ms=round(1000 * _p99(window), 1)))
        before = moment.at
    return tuple(result)


def _p99(waits: Sequence[float]) -> float:
    return statistics.quantiles(waits, n=100, method="inclusive")[98] if len(waits) > 1 else sum(waits)


def machine() -> str:
    """Name the machine, as far as figures depend on it."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = psutil.virtual_memory().total / 2**30
    name = names[0] if names else platform.machine()
    return f"{psutil.cpu_count()} cores ({name}), {memory:.0f} GB, Python {platform.python_version()}"
