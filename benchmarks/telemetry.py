"""What a log line and an update of a metric cost in CPU time, ours beside the library's metrics as they are."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import prometheus_client

from dragoman import telemetry

REPEATS: Final = 20_000
ROUNDS: Final = 7


def microseconds(work: Callable[[], object]) -> float:
    """Return the CPU time of one call, the best of some rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(REPEATS):
            work()
        best = min(best, time.process_time() - began)
    return best / REPEATS * 1e6


def lines() -> dict[str, Callable[[], object]]:
    """Return the ways to write a line."""
    log = telemetry.logger("deliver")
    return {
        "a line": lambda: log.info("delivered", delivery=7, attempt=1),
        "a line with a list": lambda: log.info("accepted", account="acme", events=[7]),
        "a line that is not all ASCII": lambda: log.info("delivered", delivery=7, reason="密"),
        "a line with a value that JSON has not": lambda: log.info("delivered", delivery=7, value=log),
        "a line below the level": lambda: log.debug("delivered", delivery=7, attempt=1),
    }


def updates(whose: str, kinds: Any) -> dict[str, Callable[[], object]]:
    """Return the ways to update a metric of a module's kinds: found by its labels, as the line does it."""
    events = kinds.Counter("events", "Events.", ["account", "platform", "outcome"], registry=None)
    lasted = kinds.Histogram("lasted", "Lasted.", ["stage", "platform"], buckets=telemetry.SECONDS, registry=None)
    return {
        f"count by three labels, {whose}": lambda: events.labels("acme", "slack", "accepted").inc(),
        f"observe 3 ms by two labels, {whose}": lambda: lasted.labels("parse", "slack").observe(0.003),
        f"observe 3 s by two labels, {whose}": lambda: lasted.labels("parse", "slack").observe(3),
    }


def main() -> None:
    """Print a table."""
    with Path("/dev/null").open("w", buffering=1, encoding="utf-8") as nowhere:
        telemetry.configure_logs(stream=nowhere)
        rows = {**lines(), **updates("ours", telemetry), **updates("the library's", prometheus_client)}
        for name, work in rows.items():
            print(f"  {name:<45} {microseconds(work):6.2f} us")


if __name__ == "__main__":
    main()
