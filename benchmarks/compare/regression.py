"""What `make bench-quick` holds in CI: no ratio more than twice worse than the recorded one, and no broken promise."""

from collections.abc import Mapping
from typing import Any, Final

from benchmarks.compare import report

JUDGED: Final = ("replies_per_second", "cpu_us", "p50_ms_200")
"""The ratios that a short run on a shared machine tells well enough; a p99 of few messages is told, not judged."""
WORSE: Final = 2.0


def worse_by(name: str, now: float, recorded: float) -> float:
    """Return how many times worse a ratio became (below 1: better)."""
    if name in report.MORE_IS_BETTER:
        return recorded / max(now, 1e-9)
    return now / max(recorded, 1e-9)


def found(now: Mapping[str, Any], recorded: Mapping[str, Any]) -> list[str]:
    """Say what regressed; nothing: all is well."""
    said = []
    for other, row in now["ratios"].items():
        known = recorded["ratios"].get(other, {})
        for name in JUDGED:
            if name in known and (times := worse_by(name, row[name], known[name])) > WORSE:
                told = f"{row[name]:.2f} now, {known[name]:.2f} recorded"
                said.append(f"{name} by {other} is {times:.1f} times worse: {told}")
    ours = now["medians"][report.OURS]
    said += [f"{ours[name]:.0f} {name} of ours" for name in ("lost", "duplicates", "inversions") if ours[name]]
    return said
