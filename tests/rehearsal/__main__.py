"""Rehearse scaling: `python -m tests.rehearsal [--times 10] [--most 4] [--share 1] [--steps RATE:SECONDS,...]`.

A load goes up and down through haproxy (its shipped configuration) to real replicas on PostgreSQL. A controller applies
the HorizontalPodAutoscaler's formula, with the chart's values, to the processor time that they really use, and starts
and stops them. Writes `build/rehearsal.json` and `build/rehearsal.svg`; the exit code is 1 when a message was lost,
answered twice or out of order, or when the replicas did not come and go.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from tests.deploy.balancer import Site, address, haproxy
from tests.deploy.conftest import DEPLOY
from tests.faults.cluster import cluster, template
from tests.faults.scenario import stretched
from tests.rehearsal import picture, report
from tests.rehearsal.fleet import Fleet, Place
from tests.rehearsal.scaler import Past, Scaling, decide

from dragoman.testing.load import Load
from dragoman.testing.simulator import serve
from dragoman.testing.simulators.slack import SlackSimulator

Step = tuple[float, float]
"""Messages a second, and for how many seconds."""

STEPS: Final[tuple[Step, ...]] = ((8, 20), (26, 35), (42, 45), (26, 45), (8, 60))
TOIL: Final = 10.0
"""Milliseconds of processor time that a turn costs by itself."""
SYNC: Final = 15.0
"""Seconds between two looks of the autoscaler: its default, before time is made quicker."""
PATIENCE: Final = 120.0
"""Seconds for which the platform repeats a message, and in which all must be answered in the end."""
TO: Final = Path("build")


class Rehearsal:
    """One run: a load, a fleet, and the controller between them."""

    def __init__(self, load: Load, fleet: Fleet, scaling: Scaling, every: float) -> None:
        self.load = load
        self.fleet = fleet
        self.scaling = scaling
        self.moments: list[report.Moment] = []
        self.began = time.time()
        self.changes: list[int] = []
        self._every = every
        self._rate = 0.0

    async def play(self, steps: Sequence[Step]) -> None:
        """Play the load's steps, with the controller beside them."""
        async with asyncio.TaskGroup() as group:
            controlling = group.create_task(self._control(group))
            for rate, seconds in steps:  # whatever is still under way
                self._rate = rate
                group.create_task(self.load.run(rate, seconds, PATIENCE))
                await asyncio.sleep(seconds)
            controlling.cancel()
        await self.load.settle(PATIENCE)

    async def _control(self, group: asyncio.TaskGroup) -> None:
        past = Past()
        self.fleet.usages()
        while True:
            await asyncio.sleep(self._every)
            usages, now = self.fleet.usages(), time.time() - self.began
            known = [usage for usage in usages if usage is not None]
            number, past = decide(self.scaling, past, now, usages)
            for _ in range(number - len(usages)):
                group.create_task(self.fleet.grow())
            for _ in range(len(usages) - number):
                group.create_task(self.fleet.shrink())
            self.changes.append(number - len(usages))
            usage = round(sum(known) / len(known), 1) if known else 0.0
            self.moments.append(
                report.Moment(at=round(now, 2), rate=self._rate, wanted=number, ready=self.fleet.ready, usage=usage)
            )

    def report(self, times: float, requested: float) -> report.Report:
        """Judge what the platform took, and put it together."""
        verdict, samples = self.load.judge(), self.load.samples
        unanswered = set(verdict.lost)
        return report.Report(
            seconds=self.moments[-1].at,
            times=times,
            target=self.scaling.target,
            least=self.scaling.least,
            most=self.scaling.most,
            requested=requested,
            toil_ms=TOIL,
            moments=report.dated(self.moments, self.load, self.began),
            sent=len(samples),
            answered=verdict.answered,
            lost=sum(sample.acknowledged > 0 and sample.text in unanswered for sample in samples),
            refused=sum(not sample.acknowledged for sample in samples),
            twice=verdict.duplicates,
            inversions=verdict.inversions,
            again=sum(sample.attempts > 1 for sample in samples),
            p50_ms=round(1000 * verdict.quantile(0.5), 1),
            p99_ms=round(1000 * verdict.quantile(0.99), 1),
            grown=sum(change for change in self.changes if change > 0),
            shrunk=-sum(change for change in self.changes if change < 0),
            ends=tuple(self.fleet.ends),
            machine=report.machine(),
            stretch=round(stretched(), 2),
        )


@contextlib.asynccontextmanager
async def opened(scaling: Scaling, requested: float, every: float) -> AsyncIterator[Rehearsal]:
    """Open platform, database, replicas and balancer."""
    slack = SlackSimulator()
    slack.unlimited()
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dgm-re-")))
        platform = await stack.enter_async_context(serve(slack))
        server = await stack.enter_async_context(cluster(await stack.enter_async_context(template())))
        accounts = {"team": {"platform": "slack", **slack.settings(platform)}}
        plugin = {"use": str(Path(__file__).parent / "toil.py"), "milliseconds": TOIL}
        site = Site(folder=folder, database=server.url, accounts=accounts, plugin=plugin)
        names = [f"replica-{number}" for number in range(1, scaling.least + 1)]
        services = await stack.enter_async_context(site.replicas(*names))
        balancer = await stack.enter_async_context(haproxy(folder, [address(each) for each in services]))
        for number in range(scaling.least + 1, 4):
            await balancer.remove(f"replica-{number}")
        places = [Place(name=name, service=each, ready=True) for name, each in zip(names, services, strict=True)]
        fleet = Fleet(site, balancer, places, requested)
        stack.push_async_callback(fleet.end)
        load = Load(slack, f"{balancer.url}/hooks/team", conversations=240, channel="D{:08}")
        yield Rehearsal(load, fleet, scaling, every)


async def rehearse(steps: Sequence[Step], *, times: float, most: int, share: float) -> report.Report:
    """Rehearse once; `share` is how much of the load there is, and of the chart's request for each replica."""
    values: dict[str, Any] = yaml.safe_load((DEPLOY / "helm" / "dragoman" / "values.yaml").read_text(encoding="utf-8"))
    scaling = Scaling.read(values["defaults"]["autoscaling"], most=most, times=times)
    requested = float(values["defaults"]["resources"]["requests"]["cpu"].removesuffix("m")) / 1000 * share
    steps = [(rate * share, seconds) for rate, seconds in steps]
    async with opened(scaling, requested, SYNC / times) as rehearsal:
        await rehearsal.play(steps)
        return rehearsal.report(times, requested)


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.rehearsal", description=__doc__)
    parser.add_argument("--times", type=float, default=10.0, help="how many times as fast the autoscaler's time passes")
    parser.add_argument("--most", type=int, default=4, help="replicas, at most (6 places are there)")
    parser.add_argument("--share", type=float, default=1.0, help="so much of load and request, for a busy machine")
    parser.add_argument("--steps", help="the load, as RATE:SECONDS,RATE:SECONDS,...")
    given = parser.parse_args()
    steps = STEPS
    if given.steps:
        pairs = (step.split(":") for step in given.steps.split(","))
        steps = tuple((float(rate), float(seconds)) for rate, seconds in pairs)
    result = asyncio.run(rehearse(steps, times=given.times, most=min(6, given.most), share=given.share))
    TO.mkdir(exist_ok=True)
    (TO / "rehearsal.json").write_text(json.dumps(result.to_json(), indent=1) + "\n", encoding="utf-8")
    (TO / "rehearsal.svg").write_text(picture.drawn(result), encoding="utf-8")
    sys.stdout.write(f"{result.words()}\n{TO / 'rehearsal.json'}, {TO / 'rehearsal.svg'}\n")
    for words in result.red():
        sys.stdout.write(f"RED: {words}\n")
    return 1 if result.red() else 0


if __name__ == "__main__":
    sys.exit(main())
