"""`dragoman bench`: simulator, open-loop load and the real service, and what came of it."""

import dataclasses
import tempfile
from pathlib import Path
from typing import Any, Final

from dragoman.errors import ConfigError
from dragoman.testing import simulators
from dragoman.testing.load import Load
from dragoman.testing.process import Service, configuration
from dragoman.testing.simulator import serve

CHANNELS: Final = {"slack": "D{:08}", "telegram": "{}", "feishu": "oc_{:08}"}
"""How the conversation's number becomes the platform's id of a direct chat."""
SETTLING: Final = 60.0
"""Seconds after the last message in which a reply still counts."""
UNLIMITED: Final = 1_000_000.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """What a run showed. Times are in milliseconds, from the moment at which a message should have been sent."""

    platform: str
    rate: float
    seconds: float
    sent: int
    unsent: int
    answered: int
    throughput: float
    p50_ms: float
    p99_ms: float
    most_ms: float
    repeats: int
    lost: int
    duplicates: int
    inversions: int

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return dataclasses.asdict(self)

    def words(self) -> str:
        """Return the report as a few lines."""
        return "\n".join(
            [
                f"{self.platform}: {self.sent} messages at {self.rate:g}/s for {self.seconds:g} s",
                f"  answered     {self.answered}  ({self.throughput:.1f}/s)",
                f"  latency      p50 {self.p50_ms:.1f} ms, p99 {self.p99_ms:.1f} ms, most {self.most_ms:.1f} ms",
                f"  at the door  {self.repeats} had to be sent again, {self.unsent} were never taken",
                f"  promises     {self.lost} lost, {self.duplicates} duplicates, {self.inversions} out of order",
            ]
        )


async def run(platform: str, *, rate: float, seconds: float, store: str = "") -> Report:
    """Run a load against a fresh service, on a file or on the PostgreSQL database `store`.

    Raises `ConfigError` for a platform without a simulator.
    """
    if platform not in CHANNELS:
        names = ", ".join(CHANNELS)
        raise ConfigError("--platform", platform, "has no simulator with webhooks", f"one of {names}")
    simulator = simulators.load(platform)()
    simulator.unlimited()
    with tempfile.TemporaryDirectory(prefix="dragoman-bench-") as folder:
        async with serve(simulator) as url:
            service = Service(Path(folder), _configuration(platform, simulator.settings(url), store))
            await service.start()
            try:
                hook = f"{service.url}/hooks/bench"
                load = Load(simulator, hook, conversations=_conversations(rate), channel=CHANNELS[platform])
                await load.run(rate, seconds)
                await load.settle(SETTLING)
            finally:
                await service.stop()
    return _report(platform, rate, seconds, load)


def _conversations(rate: float) -> int:
    return max(20, round(rate * 2))


def _configuration(platform: str, settings: dict[str, str], store: str) -> str:
    account = {"platform": platform, "sends_per_second": UNLIMITED, **settings}
    where = {"store": store} if store else {}
    return configuration({"bench": account}, plugins=["echo"], **where)


def _report(platform: str, rate: float, seconds: float, load: Load) -> Report:
    verdict = load.judge()
    last = max((accepted.at for accepted in load.simulator.sent), default=0.0)
    first = load.samples[0].intended if load.samples else 0.0
    return Report(
        platform=platform,
        rate=rate,
        seconds=seconds,
        sent=len(load.samples),
        unsent=sum(not sample.acknowledged for sample in load.samples),
        answered=verdict.answered,
        throughput=round(verdict.answered / max(0.001, last - first), 1),
        p50_ms=round(verdict.quantile(0.5) * 1000, 2),
        p99_ms=round(verdict.quantile(0.99) * 1000, 2),
        most_ms=round(max(verdict.latencies, default=0.0) * 1000, 2),
        repeats=sum(sample.attempts > 1 for sample in load.samples),
        lost=len(verdict.lost),
        duplicates=verdict.duplicates,
        inversions=verdict.inversions,
    )
