"""Local times and the instants they are: what happens to those that a zone's clocks skip or show twice."""

import datetime as dt
from typing import Final
from zoneinfo import ZoneInfo

STRIDE: Final = 7 * 86400
"""Seconds between two looks for a change of the clocks: none is undone within a week."""


def resolve(local: dt.datetime, zone: dt.tzinfo) -> dt.datetime:
    """Return the instant of a local time: a skipped one is right after the gap, of a repeated one the first counts."""
    naive = local.replace(tzinfo=None, fold=0)
    aware = naive.replace(tzinfo=zone)
    there = aware.astimezone(dt.UTC)
    if there.astimezone(zone).replace(tzinfo=None, fold=0) == naive:
        return aware
    later = naive.replace(tzinfo=zone, fold=1).astimezone(dt.UTC)
    low, high = int(min(there, later).timestamp()), int(max(there, later).timestamp())
    change = _bisect(low, high, zone)
    return dt.datetime.fromtimestamp(change, zone)


def change_between(start: float, end: float, zone: ZoneInfo) -> int | None:
    """Return the first instant in (start, end] at which the zone's offset changes, None where it does not."""
    low = int(start)
    while low < end:
        high = min(low + STRIDE, int(end))
        if _offset(low, zone) != _offset(high, zone):
            return _bisect(low, high, zone)
        if high <= low:
            return None
        low = high
    return None


def _bisect(low: int, high: int, zone: dt.tzinfo) -> int:
    """Return the first second after `low` with another offset than at `low`; at `high` it is another."""
    before = _offset(low, zone)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(middle, zone) == before:
            low = middle
        else:
            high = middle
    return high


def _offset(moment: float, zone: dt.tzinfo) -> dt.timedelta | None:
    return dt.datetime.fromtimestamp(moment, zone).utcoffset()
