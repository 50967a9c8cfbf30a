"""Pieces of a phrase made into one statement; pieces that contradict one another make none."""

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from dragoman.when.english.pieces import Piece, Time
from dragoman.when.spec import PARTS, Amount, Clock, Day, Every, Spec

LONG: Final = {"day", "week", "month", "year"}
ANY_DAY: Final = Every()
T = TypeVar("T")
replace: Final = msgspec.structs.replace


class Conflict(Exception):
    """Two pieces do not go together."""


def combine(pieces: list[Piece], *, woken: bool = False) -> Spec | None:
    """Return what the pieces say together; None when they do not go together, or say nothing.

    Where someone is to be `woken`, a bare hour from 4 to 11 is the morning's.
    """
    if all(piece.poison or piece.purpose for piece in pieces) or any(
        piece.poison and not piece.weak for piece in pieces
    ):
        return None
    early = [piece.early[0] for piece in pieces if piece.early]
    rest = [piece for piece in pieces if not piece.early]
    try:
        spec = _spec([_morning(piece) for piece in rest] if woken else rest)
        return _earlier(spec, early) if early else spec
    except Conflict:
        return None


def _earlier(spec: Spec, early: list[Amount]) -> Spec:
    """Take "10 minutes before" off the time that is said."""
    amount, clock = early[0], spec.clock
    if len(early) > 1 or spec.after or spec.others or (spec.day is None and clock is None):
        raise Conflict
    if amount.unit in LONG and spec.day and not spec.every:
        return replace(spec, after=(replace(amount, count=-amount.count),))
    if amount.unit not in {"minute", "hour"} or clock is None:
        raise Conflict
    total = clock.hour * 60 + clock.minute - amount.count * (60 if amount.unit == "hour" else 1)
    if total < (0 if clock.sure else 60):
        raise Conflict
    sure = clock.sure or (clock.hour > 6 and total < 7 * 60)  # what is early for 7:00 is in the morning too
    return replace(spec, clock=Clock(hour=total // 60, minute=total % 60, sure=sure))


def _morning(piece: Piece) -> Piece:
    if piece.part or not all(time.half is None and 4 <= time.hour <= 11 for time in piece.times):
        return piece
    times = tuple(replace(time, half="am") for time in piece.times)
    return replace(piece, times=times)


def _spec(pieces: list[Piece]) -> Spec:
    every = _fold([piece.every for piece in pieces if piece.every], _both_rules)
    every = _without(every, {day for piece in pieces for day in piece.except_days})
    dated = _fold([piece for piece in pieces if piece.day], _both_days)
    part = _fold([piece.part for piece in pieces if piece.part], _both_parts)
    times = _times(pieces, part, many=every is not None)
    after = _after(pieces, times, every)
    day, others = (dated.day, dated.others) if dated else (None, ())
    if every is not None:
        if any(piece.poison for piece in pieces):
            raise Conflict
        if dated is not None and not dated.begins:
            every, day = _named(every, dated)
    if after and day is not None and not (dated and dated.after):
        after, day = _in_weeks(after, day)
    clocks, day = _clocks(times, part, day)
    if every is not None and len(clocks) > 1:
        every, clocks = replace(every, hours=clocks), ()
    return Spec(after=after, day=day, others=others, clock=clocks[0] if clocks else None, every=every)


def _fold(values: list[T], both: Callable[[T, T], T]) -> T | None:
    """Merge the values from the left."""
    if not values:
        return None
    merged = values[0]
    for value in values[1:]:
        merged = both(merged, value)
    return merged


def _equal(one: T, other: T) -> T:
    if one != other:
        raise Conflict
    return one


def _both_parts(one: str, other: str) -> str:
    """Merge two parts of the day: "tonight at midnight"."""
    if {one, other} in ({"night", "midnight"}, {"evening", "night"}):
        return "midnight" if "midnight" in {one, other} else "night"
    return _equal(one, other)


def _after(pieces: list[Piece], times: tuple[Time, ...], every: Every | None) -> tuple[Amount, ...]:
    """Return the amount to count: with a time of day whole days only, with a repetition only where it begins."""
    after = _fold([piece.after for piece in pieces if piece.after], _equal) or ()
    if not after:
        return ()
    if every is not None and not any(piece.after and piece.begins for piece in pieces):
        raise Conflict
    named = times or any(piece.part for piece in pieces)
    if named and not all(amount.unit in LONG for amount in after):
        raise Conflict
    return after


def _both_rules(one: Every, other: Every) -> Every:
    """Merge two repetitions: "every month" and "on the 1st", "every 2 weeks" and "Mondays", "daily" and "weekdays"."""
    if one == other:
        return one
    if ANY_DAY in (one, other):
        rest = other if one == ANY_DAY else one
        if rest.unit == "week" and rest.count == 1 and rest.weekdays:
            return rest
        raise Conflict
    general, named = (one, other) if not (one.weekdays or one.days) else (other, one)
    if general.weekdays or general.days or named.count != 1:
        raise Conflict
    if general.unit in {named.unit, "hour", "minute"} and (named.weekdays or named.days):
        return replace(general, weekdays=named.weekdays, days=named.days, nth=named.nth)
    raise Conflict


def _without(every: Every | None, days: set[int]) -> Every | None:
    """Leave days out of a week: "every weekday except Friday"."""
    if not days:
        return every
    named = tuple(range(7)) if every == ANY_DAY else every.weekdays if every and every.count == 1 else ()
    rest = tuple(day for day in named if day not in days)
    if not rest or (every and every.nth is not None):
        raise Conflict
    return Every(unit="week", weekdays=rest)


def _both_days(one: Piece, other: Piece) -> Piece:
    """Merge two days: "tomorrow, Friday 27 November", "next week" and "Tuesday", "next month" and "the 15th"."""
    if one.after or other.after or not (one.group == other.group or one.day == other.day):
        raise Conflict
    begins = one.begins or other.begins
    if one.day == other.day and one.others == other.others:
        return replace(one, begins=begins)
    if one.frame or other.frame:
        frame, named = (one, other) if one.frame else (other, one)
        return replace(named, day=_framed(frame, named), begins=begins)
    rank = max(_named_by(one.day), _named_by(other.day))
    general, exact = (one, other) if _named_by(other.day) == rank else (other, one)
    if _named_by(general.day) == rank or exact.others or general.others or exact.day is None or general.day is None:
        raise Conflict
    if general.day.weeks is not None or general.day.nth is not None:
        raise Conflict
    weekday = exact.day.weekday if exact.day.weekday is not None else general.day.weekday
    day = replace(exact.day, weekday=weekday, ahead=general.day.ahead)
    return replace(exact, day=day, begins=begins)


def _named_by(day: Day | None) -> int:
    """Rank how a day is named: by distance, by weekday, by date."""
    if day is None:
        return 0
    if day.month is not None or day.day is not None or day.nth is not None:
        return 2
    return 1 if day.weekday is not None else 0


def _framed(frame: Piece, named: Piece) -> Day:
    """Put a day into the week, month or year that was named beside it."""
    unit, ahead = frame.frame or ("week", 0)
    day = named.day or Day()
    if unit == "week" and day.weekday is not None and day.weeks in {None, ahead} and day.nth is None:
        return replace(day, weeks=ahead)
    if unit == "month" and day.month is None and day.months is None and (day.day is not None or day.nth is not None):
        return replace(day, months=ahead)
    if unit == "year" and day.month is not None and day.year is None and day.years is None:
        return replace(day, years=ahead)
    raise Conflict


def _named(every: Every, dated: Piece) -> tuple[Every, Day | None]:
    """Take the day as the repetition's own: "every month on the 15th"; otherwise it contradicts."""
    day = dated.day or Day()
    if dated.others or dated.after or dated.frame or day.year is not None or day.years is not None:
        raise Conflict
    if every.unit == "month" and not every.days and not every.weekdays and day == Day(day=day.day):
        return replace(every, days=(day.day or 1,)), None
    if every.unit == "year" and not every.months and day.month is not None and day.nth is None:
        return replace(every, months=(day.month,), days=(day.day or 1,)), None
    if every.unit == "week" and not every.weekdays and day.weekday is not None and day == Day(weekday=day.weekday):
        return replace(every, weekdays=(day.weekday,)), None
    raise Conflict


def _in_weeks(after: tuple[Amount, ...], day: Day) -> tuple[tuple[Amount, ...], Day]:
    """Read "in two weeks on Monday" as the Monday of that week."""
    if len(after) == 1 and after[0].unit == "week" and day.weekday is not None and day.weeks is None:
        return (), replace(day, weeks=after[0].count)
    raise Conflict


def _times(pieces: list[Piece], part: str | None, *, many: bool) -> tuple[Time, ...]:
    """Return the times of day that are named; more than one for a repetition only."""
    times: list[Time] = []
    for piece in pieces:
        times += [time for time in piece.times if time not in times]
    if len(times) > 1 and not many:
        clocks = {_in_part(time, part).clock() for time in times}
        if len({(clock.hour, clock.minute) for clock in clocks}) > 1:
            raise Conflict
        return tuple(times[:1])
    return tuple(times)


def _clocks(times: tuple[Time, ...], part: str | None, day: Day | None) -> tuple[tuple[Clock, ...], Day | None]:
    """Return the times of day, with the part of the day that was named beside them."""
    if not times:
        return ((PARTS[part],) if part else ()), day
    if part == "night" and day is not None and len(times) == 1 and _small_hour(times[0]):
        return (Clock(hour=times[0].hour, minute=times[0].minute),), _day_after(day)
    return tuple(_in_part(time, part).clock() for time in times), day


def _small_hour(time: Time) -> bool:
    """Tell whether a time of a night is after midnight: "tonight at 1"."""
    return (time.half is None and not time.exact and 1 <= time.hour <= 3) or (time.half == "am" and 1 <= time.hour <= 5)


def _day_after(day: Day) -> Day:
    if day.ahead is not None:
        return replace(day, ahead=day.ahead + 1)
    raise Conflict


def _in_part(time: Time, part: str | None) -> Time:
    """Return a time as a part of the day makes it sure: 9 in the evening is 21:00."""
    if part is None or time.half is not None or time.hour > 12:
        if part == "morning" and (time.half == "pm" or time.hour > 12):
            raise Conflict
        return time
    hour = time.hour
    if part == "morning":
        return Time(hour=hour % 12, minute=time.minute, exact=True)
    if part == "midnight" or (part == "noon" and hour != 12):
        raise Conflict
    if part == "night" and 1 <= hour <= 3:
        return Time(hour=hour, minute=time.minute, exact=True)
    if part in {"evening", "night"} and hour == 12:
        return Time(hour=24 if not time.minute else 0, minute=time.minute, exact=True)
    return Time(hour=hour if hour == 12 else hour + 12, minute=time.minute, exact=True)
