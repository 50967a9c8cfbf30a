"""The rule of a repetition, as text: a cron expression of five fields, or an interval such as `90m` or `2w`.

Days and weeks keep the local time of day, shorter intervals elapse. A cron expression follows Debian's cron where the
clocks change: a job at a fixed time runs right after the gap that skips it, and once in the hour that comes twice; one
whose minute or hour begins with `*` follows the clock on the wall, as often as it shows that time.
"""

import datetime as dt
import functools
import itertools
import math
import re
from collections.abc import Iterator
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from dragoman.when import zones

SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
LONGEST: Final = 3653 * 86400
"""Ten years: a longer interval is a slip of the keyboard."""

_INTERVAL = re.compile(r"([0-9]{1,12})([smhdw])")
_EPOCH = dt.datetime(2000, 1, 1)  # noqa: DTZ001 - a time on the wall, of no zone


@functools.lru_cache(maxsize=1024)
def check(every: str) -> None:
    """Refuse a rule that cannot be read, or that never fires: raises `ValueError` with the reason."""
    if found := _INTERVAL.fullmatch(every):
        seconds = int(found[1]) * SECONDS[found[2]]
        if not seconds:
            raise ValueError(f"{every}: an interval is longer than nothing")
        if seconds > LONGEST:
            raise ValueError(f"{every}: an interval is at most ten years")
        return
    fields = every.split()
    if len(fields) != 5:
        raise ValueError(
            f"{every or 'an empty text'}: neither an interval (90m, 2h, 3d, 2w) nor a cron expression of five fields "
            "(minute, hour, day of the month, month, day of the week)"
        )
    try:
        first = next(CronSim(every, _EPOCH), None)
    except CronSimError as error:
        if _each_field_is_good(fields):
            raise ValueError(f"{every}: never fires, no such month has that day") from error
        raise ValueError(f"{every}: {str(error).lower()}") from error
    if first is None:
        raise ValueError(f"{every}: never fires")


def after(every: str, moment: float, zone: str, anchor: float) -> float | None:
    """Return when a rule is due next, strictly after `moment`; None when it never is.

    Times are epoch seconds. An interval counts from `anchor`, which is its first fire; a cron expression ignores it.
    """
    check(every)
    place = ZoneInfo(zone)
    try:
        if found := _INTERVAL.fullmatch(every):
            return _after_interval(int(found[1]), found[2], moment, place, anchor)
        return next(_fires(every, moment, place), None)
    except (OverflowError, ValueError):  # the calendar has ended
        return None


def missed(every: str, since: float, until: float, zone: str, anchor: float, most: int = 100) -> list[float]:
    """Return when a rule was due in (since, until], oldest first: at most the newest `most`."""
    check(every)
    place = ZoneInfo(zone)
    if found := _INTERVAL.fullmatch(every):
        return _missed_interval(int(found[1]), found[2], (since, until), place, anchor, most)
    window = 3600.0
    while True:
        start = max(since, until - window)
        due = list(itertools.takewhile(lambda fire: fire <= until, _fires(every, start, place)))
        if len(due) >= most or start <= since:
            return due[max(len(due) - most, 0) :]
        window *= 4


def _each_field_is_good(fields: list[str]) -> bool:
    """Tell whether each field can be read by itself, so that only their meeting is impossible."""
    try:
        for number, field in enumerate(fields):
            CronSim(" ".join(field if number == other else "*" for other in range(5)), _EPOCH)
    except CronSimError:
        return False
    return True


def _fires(every: str, moment: float, zone: ZoneInfo) -> Iterator[float]:
    minute, hour, *_ = every.split()
    if minute.startswith("*") or hour.startswith("*"):
        return _by_the_wall(every, moment, zone)
    return _at_fixed_times(every, moment, zone)


def _at_fixed_times(every: str, moment: float, zone: ZoneInfo) -> Iterator[float]:
    last = moment
    for local in CronSim(every, _local(moment, zone)):
        fire = zones.resolve(local, zone).timestamp()
        if fire > last:
            yield fire
            last = fire


def _by_the_wall(every: str, moment: float, zone: ZoneInfo) -> Iterator[float]:
    """Go from one change of the clocks to the next: between them local time is real time."""
    start = moment
    while True:
        offset = dt.datetime.fromtimestamp(start, zone).utcoffset() or dt.timedelta()
        change, known = None, start
        for local in CronSim(every, _local(start, zone)):
            fire = (local - offset).replace(tzinfo=dt.UTC).timestamp()
            change = zones.change_between(known, fire, zone)
            if change is not None:
                break
            known = fire
            yield fire
        if change is None:
            return
        if _matches(every, change, zone):
            yield change
        start = change


def _matches(every: str, moment: float, zone: ZoneInfo) -> bool:
    local = _local(moment, zone)
    return next(CronSim(every, local - dt.timedelta(seconds=1)), None) == local


def _local(moment: float, zone: ZoneInfo) -> dt.datetime:
    """Return what a clock on the wall shows, whole seconds."""
    return dt.datetime.fromtimestamp(math.floor(moment), zone).replace(tzinfo=None, fold=0)


def _after_interval(count: int, unit: str, moment: float, zone: ZoneInfo, anchor: float) -> float:
    number = max(_steps(count, unit, moment, zone, anchor), 0)
    while (fire := _nth(number, count, unit, zone, anchor)) <= moment:
        number += 1
    return fire


def _missed_interval(
    count: int, unit: str, span: tuple[float, float], zone: ZoneInfo, anchor: float, most: int
) -> list[float]:
    since, until = span
    due: list[float] = []
    for number in range(_steps(count, unit, until, zone, anchor) + 2, -1, -1):
        fire = _nth(number, count, unit, zone, anchor)
        if fire <= since or len(due) == most:
            break
        if fire <= until:
            due.append(fire)
    return due[::-1]


def _steps(count: int, unit: str, moment: float, zone: ZoneInfo, anchor: float) -> int:
    """Return how many intervals fit between the anchor and the moment, one less where that is not certain."""
    if unit in "dw":
        days = (_local(moment, zone).date() - _local(anchor, zone).date()).days
        return days * 86400 // (count * SECONDS[unit]) - 1
    return math.floor((moment - anchor) / (count * SECONDS[unit])) - 1


def _nth(number: int, count: int, unit: str, zone: ZoneInfo, anchor: float) -> float:
    seconds = number * count * SECONDS[unit]
    if unit not in "dw" or not number:
        return anchor + seconds
    return zones.resolve(_local(anchor, zone) + dt.timedelta(seconds=seconds), zone).timestamp()
