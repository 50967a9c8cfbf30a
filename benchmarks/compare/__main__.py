"""`make bench` and `make bench-quick`: our service beside a naive handler and slack-bolt, and other measures.

`compare` (the default) prints the table and writes `latest.json` and `latest.svg`, or with `--record` the
`recorded` ones that the documentation shows and that `quick` compares with.
"""

import argparse
import os
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop
from benchmarks.compare import chart, contestants, database, measures, profile, regression, report, rounds, soak
from benchmarks.compare.contestants import Setup
from benchmarks.compare.rounds import Plan

RESULTS: Final = contestants.ROOT / "benchmarks" / "results"
RECORDED: Final = RESULTS / "recorded.json"
QUICK: Final = Plan(rounds=3, seconds=1.5, warm_up=1.0)


async def compared(plan: Plan) -> dict[str, Any]:
    """Play a comparison and print its table."""
    machine = report.machine()
    found = await rounds.compare(plan, print)
    machine["load_after"] = round(os.getloadavg()[0], 2)
    result = report.result(plan, found, machine)
    print(report.table(result))
    return result


def write(result: dict[str, Any], folder: Path, name: str) -> None:
    """Write a result as JSON and as a picture."""
    folder.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(rounded(result)), indent=1)
    (folder / f"{name}.json").write_bytes(text + b"\n")
    (folder / f"{name}.svg").write_text(chart.svg(result), encoding="utf-8")
    print(f"written: {folder / name}.json and .svg")


def rounded(value: Any) -> Any:
    """Return plain data with numbers of four digits behind the point."""
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return round(value, 4) if isinstance(value, float) else value


async def compare(options: argparse.Namespace) -> int:
    """Compare at length."""
    async with database.schema(options.postgres) as url:
        result = await compared(Plan(rounds=options.rounds, seconds=options.seconds, setup=Setup(store=url)))
    kind = "recorded" if options.record else "latest"
    write(result, RESULTS, f"{kind}-postgres" if options.postgres else kind)
    return 0


async def quick(_options: argparse.Namespace) -> int:
    """Compare in less than two minutes; fails on a gross regression."""
    recorded = msgspec.json.decode(RECORDED.read_bytes())
    result = await compared(QUICK)
    write(result, rounds.FOLDER, "quick")
    said = regression.found(result, recorded)
    print("\n".join(said) if said else "no ratio is more than twice worse than the recorded one")
    return 1 if said else 0


async def profiled(options: argparse.Namespace) -> int:
    """Print where the CPU time of a message goes."""
    print((await profile.measure(options.seconds, options.count)).words())
    return 0


Measure = Callable[[int, str], Awaitable[list[str]]]
COMPARISONS: Final[Mapping[str, Callable[[argparse.Namespace], Coroutine[Any, Any, int]]]] = {
    "compare": compare,
    "quick": quick,
    "profile": profiled,
}
MEASURES: Final[Mapping[str, tuple[Measure, int]]] = {
    "start": (measures.start, 0),
    "help": (measures.help_time, 0),
    "idle": (measures.idle, 10_000),
    "accounts": (measures.accounts, 1000),
    "conversations": (measures.conversations, 1_000_000),
    "backlog": (measures.backlog, 100_000),
    "engines": (measures.engines, 3),
    "long": (measures.long, 16_000),
    "media": (measures.media, 10),
    "route": (measures.route, 20),
    "soak": (soak.measure, 300),
}
"""The other measures, and how many of what they are about."""


async def measured(options: argparse.Namespace) -> int:
    """Print what another measure found."""
    measure, usual = MEASURES[options.measure]
    print(f"load average {os.getloadavg()[0]:.1f}")
    print("\n".join(await measure(options.count or usual, options.postgres)))
    return 0


def main() -> int:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(prog="benchmarks.compare", description="Measure beside others, and by stages.")
    parser.add_argument("measure", choices=[*COMPARISONS, *MEASURES], nargs="?", default="compare")
    parser.add_argument("--rounds", type=int, default=5, help="Rounds of a comparison (5).")
    parser.add_argument("--seconds", type=float, default=5.0, help="Seconds of each phase, or of the profile (5).")
    parser.add_argument("--count", type=int, default=0, help="How many chats, accounts, conversations, characters ...")
    parser.add_argument("--postgres", default="", metavar="URL", help="Ours on PostgreSQL, as a gateway and an engine.")
    parser.add_argument("--record", action="store_true", help="Write the results that are compared with later.")
    options = parser.parse_args()
    run = COMPARISONS.get(options.measure, measured)
    return uvloop.run(run(options))


if __name__ == "__main__":
    raise SystemExit(main())
