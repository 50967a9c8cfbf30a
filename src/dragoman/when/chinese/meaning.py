"""What pieces that stand together mean: a `Spec`, or nothing where they contradict one another."""

from collections.abc import Iterable
from typing import Final

from msgspec import structs

from dragoman.when.chinese import parts
from dragoman.when.chinese.pieces import Kind, Piece
from dragoman.when.spec import NINE, Amount, Clock, Day, Every, Spec, Unit

_NAMES_DAYS: Final = {"weekdays", "days", "month", "nth", "every"}
_FIXES_DAY: Final[set[Kind]] = {"ahead", "weekdays", "days", "month", "after"}
_SHORT: Final = {"second", "minute", "hour"}


class _Contradiction(Exception):
    """The pieces do not combine."""


def combine(pieces: Iterable[Piece]) -> Spec | None:
    """Return what the pieces mean together; None where they mean two things, or none."""
    try:
        return _combined([*pieces])
    except _Contradiction:
        return None


def _combined(pieces: list[Piece]) -> Spec:
    kinds = [piece.kind for piece in pieces]
    if "refused" in kinds or ("vague" in kinds and "clock" not in kinds):
        raise _Contradiction
    if "moving" in kinds and not _FIXES_DAY & {*kinds}:
        raise _Contradiction
    if kinds[-1] == "begin":
        return _combined(_turned(pieces))
    if "begin" in kinds:
        place = kinds.index("begin")
        return _begun(_combined(pieces[:place]), _combined(pieces[place + 1 :]))
    of: dict[Kind, list[Piece]] = {}
    for piece in pieces:
        of.setdefault(piece.kind, []).append(piece)
    repeated = _repetition(of)
    clocks = _clocks(pieces, repeated=repeated is not None)
    if repeated and _in_pairs(kinds):
        raise _Contradiction
    spec = _once(of, clocks) if repeated is None else _again(of, repeated, clocks)
    return _earlier(spec, of["early"][0]) if "early" in of else spec


def _turned(pieces: list[Piece]) -> list[Piece]:
    """Put "从下周一开始", said at the end, before the repetition that begins then; by itself it only names a day."""
    days: list[Piece] = []
    rest = pieces[:-1]
    while rest and rest[-1].kind in _FIXES_DAY | {"week", "year"}:
        days.insert(0, rest.pop())
    return [*days, pieces[-1], *rest] if days and rest else pieces[:-1]


def _in_pairs(kinds: list[Kind]) -> bool:
    """Tell whether days and times alternate: "每周一早上和周三晚上" is no one rule."""
    times = [place for place, kind in enumerate(kinds) if kind in {"clock", "part"}]
    days = [place for place, kind in enumerate(kinds) if kind in _NAMES_DAYS]
    return bool(times and days) and min(days) < max(times) and any(min(times) < day < max(times) for day in days)


def _begun(first: Spec, again: Spec) -> Spec:
    """Read "从明天开始每天9点": the first day, and the repetition."""
    several = bool(again.every and again.every.hours)
    if first.every or not again.every or again.day or (first.clock and (again.clock or several)):
        raise _Contradiction
    return structs.replace(again, day=first.day, after=first.after, clock=again.clock or first.clock)


def _repetition(of: dict[Kind, list[Piece]]) -> Every | None:
    weekdays = of.get("weekdays", [])
    every = [piece.every for piece in of.get("every", ()) if piece.every]
    if not every and "each" not in of and not any(piece.repeats for piece in weekdays):
        return None
    named = [rule for rule in every if rule.weekdays]
    plain = {"day", "week"} if named else {"day"}
    marked = {rule for rule in every if rule.weekdays or rule.count > 1 or rule.unit not in plain}
    rules = [*(marked or {*every})]
    if len(rules) > 1 or (named and weekdays) or "after" in of or "week" in of:
        raise _Contradiction
    if any(piece.number is not None for piece in weekdays):
        raise _Contradiction
    rule = rules[0] if rules else Every(count=1)
    count = of["each"][0].number or 1 if "each" in of else rule.count
    if weekdays:
        return _weekly(rule, count, weekdays)
    if of.keys() & {"days", "month", "nth"}:
        return _dated(of, rule, count)
    if "each" in of:
        raise _Contradiction
    return rule


def _weekly(rule: Every, count: int, weekdays: list[Piece]) -> Every:
    if rule.unit not in {"day", "week"} or (rule.unit == "day" and rule.count > 1):
        raise _Contradiction
    days = {*_numbers(weekdays)} | ({6} if count == 1 and any(piece.weekend for piece in weekdays) else set())
    return Every(count=count, unit="week", weekdays=tuple(sorted(days)))


def _dated(of: dict[Kind, list[Piece]], rule: Every, count: int) -> Every:
    months = tuple(piece.named for piece in of.get("month", ()) if piece.named)
    if len(months) != len(of.get("month", ())) or "year" in of:
        raise _Contradiction
    days = _numbers(of.get("days", ()))
    if len(months) > 1 and len(days) > 1:
        raise _Contradiction
    if nth := of.get("nth"):
        if rule.unit != "month" or days or months or len(nth) > 1:
            raise _Contradiction
        return Every(count=count, unit="month", weekdays=nth[0].numbers, nth=nth[0].number)
    if rule.unit == "year" and not months and days == (-1,):
        months, days = (12,), (31,)
    if months and not days and rule.unit == "year":
        days = (1,)
    if not days or rule.unit not in ({"year", "day"} if months else {"month", "day"}):
        raise _Contradiction
    return Every(count=count, unit="year" if months else "month", days=days, months=months)


def _numbers(pieces: Iterable[Piece]) -> tuple[int, ...]:
    return tuple(
        sorted({number for piece in pieces for number in piece.numbers}, key=lambda number: (number < 0, number))
    )


def _clocks(pieces: list[Piece], *, repeated: bool) -> list[Clock]:
    """Return the times of day; those of 24:00 and later belong to the night of the day before."""
    found: list[Clock] = []
    part, open_ = "", False
    for piece in pieces:
        if piece.kind == "part":
            if open_ and part not in parts.SEVERAL and (joined := parts.both(part, piece.part)):
                part = joined
            elif open_ and not repeated:
                raise _Contradiction
            else:
                found += _alone(part) if open_ else []
                part = piece.part
            open_ = True
        elif piece.kind == "clock" and piece.clock:
            found += _placed(part, piece.clock, found if not open_ else [])
            open_ = False
    if open_ and len(found) == 1 and sum(piece.kind == "part" for piece in pieces) == 1:
        return _placed(part, found[0], [])
    return found + (_alone(part) if open_ else [])


def _alone(part: str) -> list[Clock]:
    if part in parts.SEVERAL:
        return [parts.DEFAULTS[each] for each in parts.SEVERAL[part]]
    if part not in parts.DEFAULTS:
        raise _Contradiction
    return [parts.DEFAULTS[part]]


def _placed(part: str, clock: Clock, before: list[Clock]) -> list[Clock]:
    """Put a clock into its part of the day; a second one, "上午9点和11点", shares the part where it comes later."""
    if not part:
        return [clock]
    if part == "both":
        if not 1 <= clock.hour <= 11:
            raise _Contradiction
        return [structs.replace(clock, sure=True), Clock(hour=clock.hour + 12, minute=clock.minute)]
    placed = parts.place(part, clock)
    if before:
        later = placed and (placed.hour, placed.minute) > (before[-1].hour, before[-1].minute)
        return [placed if placed and later else clock]
    if placed is None:
        raise _Contradiction
    return [placed]


def _again(of: dict[Kind, list[Piece]], rule: Every, clocks: list[Clock]) -> Spec:
    today = {piece.number for piece in of.get("ahead", ())} == {0} and rule.unit in {"week", "month", "year"}
    if of.keys() & {"year", "same"} or ("ahead" in of and (not today or rule.weekdays or rule.days)):
        raise _Contradiction
    if clocks and rule.unit in _SHORT:
        raise _Contradiction
    nights = {clock.hour * 60 + clock.minute > 24 * 60 for clock in clocks}
    if nights == {True, False} and (rule.weekdays or rule.days):
        raise _Contradiction
    if True in nights:
        clocks = [structs.replace(clock, hour=clock.hour % 24) for clock in clocks]
        rule = _a_day_later(rule)
    if len(clocks) > 1:
        return Spec(every=structs.replace(rule, hours=tuple(clocks)))
    return Spec(every=rule, clock=clocks[0] if clocks else None)


def _a_day_later(rule: Every) -> Every:
    """Move the named days by one: "每周五晚上1点" is on Saturday."""
    if rule.days or rule.nth:
        if rule.nth or any(not 1 <= day <= 27 for day in rule.days):
            raise _Contradiction
        return structs.replace(rule, days=tuple(day + 1 for day in rule.days))
    return structs.replace(rule, weekdays=tuple(sorted((day + 1) % 7 for day in rule.weekdays)))


def _once(of: dict[Kind, list[Piece]], clocks: list[Clock]) -> Spec:
    if len(clocks) > 1:
        raise _Contradiction
    clock = clocks[0] if clocks else None
    if "same" in of:
        return _at_this_time(of)
    if {piece.number for piece in of.get("ahead", ())} == {0} and of.keys() & {"month", "year", "after"}:
        return _from_today(of, clock)
    if "after" in of:
        return _elapsed(of, clock)
    day = _day(of)
    if clock is None:
        if day is None:
            raise _Contradiction
        return Spec(day=day)
    return _at(day, clock)


def _from_today(of: dict[Kind, list[Piece]], clock: Clock | None) -> Spec:
    """Read "明年今天" and "一周后的今天"; a date beside today only explains it."""
    if "days" in of:
        day = _day(of)
        return _at(day, clock) if clock else Spec(day=day)
    of = {kind: pieces for kind, pieces in of.items() if kind not in {"ahead", "part", "clock"}}
    return structs.replace(_at_this_time(of), clock=clock or NINE)


def _at_this_time(of: dict[Kind, list[Piece]]) -> Spec:
    """Read "明天这个时候": days, weeks and months from now keep the time of day."""
    units: dict[Kind, Unit] = {"ahead": "day", "week": "week", "month": "month", "year": "year"}
    said = [piece for kind, pieces in of.items() if kind != "same" for piece in pieces]
    if len(said) != 1:
        raise _Contradiction
    if said[0].kind == "after":
        return Spec(after=said[0].amounts)
    if said[0].kind not in units or not said[0].number:
        raise _Contradiction
    return Spec(after=(Amount(count=said[0].number, unit=units[said[0].kind]),))


def _at(day: Day | None, clock: Clock) -> Spec:
    """Put a clock on a day: the night of a day goes on after midnight."""
    if (clock.hour, clock.minute) <= (24, 0):
        return Spec(day=day, clock=clock)
    clock = structs.replace(clock, hour=clock.hour - 24, sure=True)
    return Spec(day=day, clock=clock, after=(Amount(count=1, unit="day"),) if day else ())


def _elapsed(of: dict[Kind, list[Piece]], clock: Clock | None) -> Spec:
    after = of["after"][0].amounts
    if len(of["after"]) > 1 or of.keys() & {"ahead", "week", "year", "month", "days"}:
        raise _Contradiction
    units = {amount.unit for amount in after}
    if weekdays := of.get("weekdays"):
        if units != {"week"} or weekdays[0].number is not None or len(weekdays) > 1 or len(weekdays[0].numbers) > 1:
            raise _Contradiction
        return (
            _at(Day(weekday=weekdays[0].numbers[0], weeks=after[0].count), clock)
            if clock
            else Spec(day=Day(weekday=weekdays[0].numbers[0], weeks=after[0].count))
        )
    if clock is None:
        return Spec(after=after)
    if units & _SHORT:
        raise _Contradiction
    if units <= {"day", "week"}:
        return _at(Day(ahead=sum(_days(amount) for amount in after)), clock)
    if clock.hour >= 24:
        raise _Contradiction
    return Spec(after=after, clock=clock)


def _days(amount: Amount) -> int:
    return amount.count * (7 if amount.unit == "week" else 1)


def _day(of: dict[Kind, list[Piece]]) -> Day | None:
    """Return the day that all the pieces name: `place` asks where a weekday or a date beside it disagrees."""
    ahead = {piece.number for piece in of.get("ahead", ())}
    if len(ahead) > 1 or any(_differ(of.get(kind, [])) for kind in ("weekdays", "week", "month", "days", "year")):
        raise _Contradiction
    if ahead:
        if "week" in of and ahead == {0} and not of.keys() & {"weekdays", "month", "days"}:
            return Day(ahead=7 * (of["week"][0].number or 0))
        if "week" in of or ("days" in of and "month" not in of):
            raise _Contradiction
        date = _date(of) if "days" in of else Day()
        return structs.replace(date, ahead=ahead.pop(), weekday=_beside(of))
    if "nth" in of:
        return _of_month(of)
    if of.keys() & {"days", "month", "year"}:
        return structs.replace(_date(of), weekday=_beside(of))
    return _weekday(of)


def _beside(of: dict[Kind, list[Piece]]) -> int | None:
    """Return the weekday that stands beside a date: "12月1日（周二）"."""
    numbers = of["weekdays"][0].numbers if "weekdays" in of else ()
    if len(numbers) > 1:
        raise _Contradiction
    return numbers[0] if numbers else None


def _differ(pieces: list[Piece]) -> bool:
    return len({(piece.number, piece.named, piece.numbers) for piece in pieces}) > 1


def _weekday(of: dict[Kind, list[Piece]]) -> Day | None:
    week = of["week"][0].number if "week" in of else None
    if "weekdays" not in of:
        if week is None:
            return None
        if week < 1:
            raise _Contradiction
        return Day(weekday=0, weeks=week)
    piece = of["weekdays"][0]
    if len(piece.numbers) != 1 or (week is not None and piece.number is not None):
        raise _Contradiction
    return Day(weekday=piece.numbers[0], weeks=piece.number if week is None else week)


def _of_month(of: dict[Kind, list[Piece]]) -> Day:
    """Read "下个月第一个周一"."""
    month = of.get("month", [])
    if len(of["nth"]) > 1 or len(month) != 1 or of.keys() & {"week", "weekdays", "days", "year"}:
        raise _Contradiction
    nth = of["nth"][0]
    return Day(weekday=nth.numbers[0], nth=nth.number, month=month[0].named, months=month[0].number)


def _date(of: dict[Kind, list[Piece]]) -> Day:
    month, year = of.get("month", [Piece(kind="month")])[0], of.get("year", [Piece(kind="year")])[0]
    numbers = of["days"][0].numbers if "days" in of else ()
    if "week" in of or len(numbers) > 1:
        raise _Contradiction
    if not numbers and month.named:
        return Day(month=month.named, year=year.named, years=year.number)
    if not numbers:
        if "month" not in of or not month.number or month.number < 1 or "weekdays" in of or "year" in of:
            raise _Contradiction
        return Day(day=1, months=month.number)
    if month.named is None:
        if "year" in of:
            raise _Contradiction
        return Day(day=numbers[0], months=month.number)
    return Day(month=month.named, day=numbers[0], year=year.named, years=year.number)


def _earlier(spec: Spec, early: Piece) -> Spec:
    """Take "提前10分钟" off the time that is said."""
    if len(early.amounts) != 1 or (not spec.day and not spec.clock):
        raise _Contradiction
    amount = early.amounts[0]
    if amount.unit in {"day", "week"} and spec.day and not spec.after and not spec.every:
        return structs.replace(spec, after=(Amount(count=-amount.count, unit=amount.unit),))
    if amount.unit not in {"minute", "hour"} or spec.clock is None:
        raise _Contradiction
    minutes = spec.clock.hour * 60 + spec.clock.minute - amount.count * (60 if amount.unit == "hour" else 1)
    if minutes < 0 or (not spec.clock.sure and minutes < 60):
        raise _Contradiction
    sure = spec.clock.sure or (spec.clock.hour > 6 and minutes < 7 * 60)  # what is early for 7:00 is in the morning too
    return structs.replace(spec, clock=Clock(hour=minutes // 60, minute=minutes % 60, sure=sure))
