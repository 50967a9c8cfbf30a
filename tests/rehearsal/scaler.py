"""The HorizontalPodAutoscaler's formula as a function: from what the replicas use now to how many there shall be.

As Kubernetes documents it (https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/):
`ceil(replicas * usage / target)`, nothing within the tolerance, replicas that are not ready yet counted as idle when
more are wanted, the safest of what was recommended within the window, and no faster than the policies allow.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

Dated = tuple[float, int]
"""When, and a number of replicas: there shall be, or so many came or went."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Direction:
    """How replicas may come, or go."""

    window: float
    """Seconds over which the safest recommendation counts."""
    period: float
    """Seconds within which the number may change by so much, at most."""
    pods: int = 0
    percent: int = 0

    def change(self, replicas: int) -> int:
        """Return by how much a number of replicas may change within a period, by whichever policy allows more."""
        return max(self.pods, math.ceil(replicas * self.percent / 100))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scaling:
    """The settings of one autoscaler."""

    least: int
    most: int
    target: float
    """Per cent of what a replica asks for."""
    up: Direction
    down: Direction
    tolerance: float = 0.1

    @classmethod
    def read(cls, values: Mapping[str, Any], *, most: int, times: float) -> "Scaling":
        """Read the chart's values; every time in them passes so many times as fast."""
        up, down = values["scaleUp"], values["scaleDown"]
        return cls(
            least=values["min"],
            most=min(most, values["max"]),
            target=values["cpu"],
            up=Direction(
                window=up["window"] / times, period=up["period"] / times, pods=up["pods"], percent=up["percent"]
            ),
            down=Direction(window=down["window"] / times, period=down["period"] / times, pods=down["pods"]),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Past:
    """What was recommended, and by how much the number changed; both with their times."""

    recommended: tuple[Dated, ...] = ()
    changed: tuple[Dated, ...] = ()


def wanted(usages: Sequence[float | None], target: float, tolerance: float) -> int:
    """Return how many replicas the usage asks for; None is a replica that is not ready yet."""
    ready = [usage for usage in usages if usage is not None]
    if not ready:
        return len(usages)
    ratio, counted = sum(ready) / len(ready) / target, len(ready)
    if ratio > 1 and len(ready) < len(usages):
        counted = len(usages)
        ratio = max(1.0, sum(ready) / counted / target)
    return len(usages) if abs(ratio - 1) <= tolerance else math.ceil(ratio * counted)


def decide(scaling: Scaling, past: Past, now: float, usages: Sequence[float | None]) -> tuple[int, Past]:
    """Return how many replicas there shall be now, and the past to decide by the next time."""
    current = len(usages)
    asked = wanted(usages, scaling.target, scaling.tolerance)
    recommended = (*past.recommended, (now, min(scaling.most, max(scaling.least, asked))))
    number = _paced(scaling, past, now, current, _stable(scaling, recommended, now, current))
    longest = max(scaling.up.window, scaling.down.window)
    slowest = max(scaling.up.period, scaling.down.period)
    changed = (*past.changed, (now, number - current)) if number != current else past.changed
    return number, Past(recommended=_since(recommended, now - longest), changed=_since(changed, now - slowest))


def _stable(scaling: Scaling, recommended: Sequence[Dated], now: float, current: int) -> int:
    """Go up only as far as all of a window asked for, and down only as far as none of one would mind."""
    latest = recommended[-1:]
    up = min(number for _, number in (*latest, *_since(recommended, now - scaling.up.window)))
    down = max(number for _, number in (*latest, *_since(recommended, now - scaling.down.window)))
    return min(max(current, up), down)


def _paced(scaling: Scaling, past: Past, now: float, current: int, number: int) -> int:
    """Keep to what the policies allow within a period."""
    if number > current:
        came = sum(change for _, change in _since(past.changed, now - scaling.up.period) if change > 0)
        return max(current, min(number, current - came + scaling.up.change(current - came)))
    went = sum(-change for _, change in _since(past.changed, now - scaling.down.period) if change < 0)
    return min(current, max(number, current + went - scaling.down.change(current + went)))


def _since(dated: Sequence[Dated], moment: float) -> tuple[Dated, ...]:
    return tuple(each for each in dated if each[0] > moment)
