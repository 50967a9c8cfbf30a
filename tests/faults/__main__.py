"""Run scenarios: `python -m tests.faults [--long] [--only NAME] [--store STORE] [--seed N] [--broken]`.

Each prints one line of JSON, which also goes to `build/faults.jsonl`; a table ends the run. The exit code is 1 when a
scenario is red, or a broken build green. The seed repeats a run's schedule.
"""

import argparse
import asyncio
import dataclasses
import itertools
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tests.faults import catalogue
from tests.faults.cluster import template
from tests.faults.scenario import run

LINES: Final = Path("build/faults.jsonl")


@dataclasses.dataclass(frozen=True)
class Job:
    """A scenario, or a broken build, to be run by a process of its own: the load must not wait for other scenarios."""

    name: str
    store: str
    seed: int

    async def run(self, source: Path) -> list[str]:
        """Run it; returns what is wrong."""
        chosen = ["--only", self.name, "--store", self.store, "--seed", str(self.seed), "--source", str(source)]
        command = [sys.executable, "-m", "tests.faults", *chosen]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        try:
            said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
        if process.returncode:
            return [f"{self.name} on {self.store}, seed {self.seed}: the harness broke"]
        line = json.loads(said)
        _print(line)
        if self.name not in catalogue.FOUND_BY:
            return [f"{self.name} on {self.store}, seed {self.seed}: {', '.join(line['red'])}"] if line["red"] else []
        _, word, scenario = catalogue.FOUND_BY[self.name]
        found = any(word in reason for reason in line["red"])
        return [] if found else [f"the broken build {self.name} was not found by {scenario.name} (no '{word}')"]


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--long", action="store_true", help="the long scenarios too")
    parser.add_argument("--only", action="append", help="these scenarios or broken builds only")
    parser.add_argument("--store", choices=("sqlite", "postgres"), help="this store only")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--times", type=int, default=1, help="with this and the next seeds")
    parser.add_argument("--at-once", type=int, default=4, help="scenarios that run side by side")
    parser.add_argument("--source", type=Path, help="this process runs its only scenario; the empty cluster to copy")
    chosen = parser.parse_args()
    if chosen.source:
        return asyncio.run(_alone(chosen.only[0], chosen.store, chosen.seed, chosen.source))
    jobs = _jobs(chosen)
    if not jobs:
        parser.error("there is no such scenario on this store")
    LINES.parent.mkdir(exist_ok=True)
    LINES.unlink(missing_ok=True)
    return asyncio.run(_run(jobs, chosen.at_once))


async def _alone(name: str, store: str, seed: int, source: Path) -> int:
    """Run one scenario here, and print its line."""
    _end_by_signal()
    broken = name if name in catalogue.FOUND_BY else ""
    line = await run(catalogue.named(name), store, seed, source, broken=broken)
    sys.stdout.write(json.dumps(line))
    return 0


def _end_by_signal() -> None:
    """Let SIGTERM end all that was started, as Ctrl-C does."""
    own: asyncio.Task[Any] | None = asyncio.current_task()
    if own is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, own.cancel)


def _jobs(chosen: argparse.Namespace) -> list[Job]:
    """Make the list of what is to be run; the longest first, so that nothing long is left for the end."""
    only, stores = chosen.only or (), {chosen.store} if chosen.store else {"sqlite", "postgres"}
    jobs = [Job(build, store, chosen.seed) for build, (store, _, _) in catalogue.FOUND_BY.items()]
    scenarios = [*(catalogue.LONG if chosen.long or only else ()), *catalogue.FIXED]
    for each, seed in itertools.product(scenarios, range(chosen.seed, chosen.seed + chosen.times)):
        jobs += [Job(each.name, store, seed) for store in each.stores]
    return [job for job in jobs if job.store in stores and (not only or job.name in only)]


def _print(line: dict[str, Any]) -> None:
    text = json.dumps(line) + "\n"
    sys.stdout.write(text)
    sys.stdout.flush()
    with LINES.open("a", encoding="utf-8") as file:
        file.write(text)


async def _run(jobs: Sequence[Job], at_once: int) -> int:
    """Run jobs, some side by side; returns the exit code."""
    _end_by_signal()
    places = asyncio.Semaphore(at_once)

    async def one(job: Job, source: Path) -> list[str]:
        async with places:
            return await job.run(source)

    async with template() as source:
        wrong = list(itertools.chain(*await asyncio.gather(*(one(job, source) for job in jobs))))
    for line in LINES.read_text(encoding="utf-8").splitlines():
        sys.stdout.write(_table(json.loads(line)) + "\n")
    for reason in wrong:
        sys.stdout.write(f"RED  {reason}\n")
    return 1 if wrong else 0


def _table(line: dict[str, Any]) -> str:
    """Word a scenario's line as the table of docs/explanation/guarantees.md has it."""
    unkeyed, recovery = "{dup_unkeyed} ({dup_bound})".format(**line), "{recover_p50} / {recover_p99}".format(**line)
    name = line["broken"] or line["fault"]
    figures = [line[name] for name in ("store", "blows", "sent", "lost", "inversions", "dup_keyed")]
    return f"| {' | '.join(map(str, [name, *figures, unkeyed, line['parked'], recovery, line['stall_max']]))} |"


if __name__ == "__main__":
    sys.exit(main())
