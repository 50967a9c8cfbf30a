"""A repetition on the calendar: its rule, as cron where five fields can say it, and its first time."""

import datetime as dt
from collections.abc import Callable
from typing import Final

import msgspec

from dragoman.when import days, once, questions, rhythm
from dragoman.when.once import Scene
from dragoman.when.spec import NINE, Clock, Day, Every, Spec

LETTERS: Final = {"second": "s", "minute": "m", "hour": "h", "day": "d", "week": "w"}
_LENGTHS: Final = {unit: rhythm.SECONDS[letter] for unit, letter in LETTERS.items()}
CRON_DAYS: Final = (1, 2, 3, 4, 5, 6, 0)
"""Cron's numbers of the weekdays from Monday."""

Rule = tuple[dt.datetime, str]


def place(spec: Spec, scene: Scene) -> Rule:
    """Return the first time of a repetition, and its rule; raises `questions.Question`."""
    every = spec.every or Every()
    if every.count < 1 or (every.unit == "second" and every.count < 60):
        raise questions.simple("often", scene.language)
    if days.beyond(every.count, every.unit) or every.count * _LENGTHS.get(every.unit, 0) > rhythm.LONGEST:
        raise questions.simple("far", scene.language)
    if every.unit in days.SECONDS:
        return _elapsing(spec, every, scene)
    clocks = every.hours or (spec.clock or NINE,)
    for clock in clocks:
        once.check(clock, scene)
    scene = _beginning(spec, scene)
    return _settle(every, clocks, scene)


def _elapsing(spec: Spec, every: Every, scene: Scene) -> Rule:
    """Repeat after so many minutes or hours: from now, or from where the phrase begins."""
    if every.weekdays or every.days or every.months or every.hours:
        raise questions.simple("rule", scene.language)
    text = f"{every.count}{LETTERS[every.unit]}"
    if spec.day or spec.clock or spec.after:
        return once.place(msgspec.structs.replace(spec, every=None), scene), text
    step = dt.timedelta(seconds=days.SECONDS[every.unit] * every.count)
    return (scene.now.astimezone(dt.UTC) + step).astimezone(scene.zone), text


def _beginning(spec: Spec, scene: Scene) -> Scene:
    """Count from the day on which a repetition begins: from the last second before it."""
    if spec.day is None and not spec.after and not spec.others:
        return scene
    midnight = Spec(after=spec.after, day=spec.day, others=spec.others, clock=Clock(hour=24))
    first = once.place(midnight, scene) - dt.timedelta(days=1, seconds=1)
    return msgspec.structs.replace(scene, start=max(first, scene.now))


def _settle(every: Every, clocks: tuple[Clock, ...], scene: Scene) -> Rule:
    """Decide the bare times: from 7 to 12 the morning is meant, from 1 to 6 it is asked."""
    for number, clock in enumerate(clocks):
        if not once.open_half(clock):
            continue
        early, late = ((*clocks[:number], half, *clocks[number + 1 :]) for half in once.halves(clock))
        if clock.hour > 6:
            return _settle(every, early, scene)
        attempts = [_first(every, half, scene) for half in (early, late)]
        return once.one_of(attempts, scene), ""
    return _rule(every, clocks, scene)


def _first(every: Every, clocks: tuple[Clock, ...], scene: Scene) -> Callable[[], dt.datetime]:
    return lambda: _settle(every, clocks, scene)[0]


def _rule(every: Every, clocks: tuple[Clock, ...], scene: Scene) -> Rule:
    if every.unit in LETTERS and every.count > 1:
        return _interval(every, clocks, scene)
    if every.count > 1 and (every.unit == "year" or every.nth or 12 % every.count):
        raise questions.simple("rule", scene.language)
    if every.unit == "month" and every.count > 1:
        return _every_few_months(every, clocks, scene)
    return _cron(every, clocks, scene)


def _interval(every: Every, clocks: tuple[Clock, ...], scene: Scene) -> Rule:
    """Repeat after so many days or weeks, from the next such day on."""
    if len(clocks) > 1 or len(every.weekdays) > 1 or every.days or every.months or every.nth:
        raise questions.simple("rule", scene.language)
    day = Day(weekday=every.weekdays[0]) if every.weekdays else None
    if day is None and every.unit == "week":
        day = Day(weekday=_base(scene).weekday())
    elif day is not None and every.unit == "day":
        raise questions.simple("rule", scene.language)
    return once.on(day, clocks[0], scene), f"{every.count}{LETTERS[every.unit]}"


def _every_few_months(every: Every, clocks: tuple[Clock, ...], scene: Scene) -> Rule:
    """Name the months, counted from the first time on: their number divides twelve."""
    if every.months or every.weekdays:
        raise questions.simple("rule", scene.language)
    monthly = msgspec.structs.replace(every, count=1, days=every.days or (_base(scene).day,))
    first, _ = _cron(monthly, clocks, scene)
    months = tuple(sorted((first.month - 1 + ahead) % 12 + 1 for ahead in range(0, 12, every.count)))
    return _cron(msgspec.structs.replace(monthly, months=months), clocks, scene)


def _cron(every: Every, clocks: tuple[Clock, ...], scene: Scene) -> Rule:
    times = sorted({(clock.hour, clock.minute) for clock in clocks})
    midnight = times == [(24, 0)]
    if (24, 0) in times and not midnight:
        if every.unit != "day" or every.weekdays:
            raise questions.simple("rule", scene.language)
        times = sorted({(hour % 24, minute) for hour, minute in times})
    hours, minutes = {hour % 24 for hour, _ in times}, {minute for _, minute in times}
    if len(hours) * len(minutes) != len(times):
        raise questions.simple("rule", scene.language)
    text = " ".join((_list(minutes), _list(hours), *_fields(every, scene, ended=midnight)))
    return _next(text, scene), text


def _next(text: str, scene: Scene) -> dt.datetime:
    """Return when a cron expression is due first."""
    try:
        rhythm.check(text)
    except ValueError as error:
        raise questions.simple("no day", scene.language) from error
    at = rhythm.after(text, scene.start.timestamp(), scene.zone.key, 0.0)
    if at is None:
        raise questions.simple("no day", scene.language)
    return dt.datetime.fromtimestamp(at, scene.zone)


def _fields(every: Every, scene: Scene, *, ended: bool) -> tuple[str, str, str]:
    """Return the fields of the days; `ended` is for midnight, which is the first minute of the day after."""
    if every.unit == "day" and not every.weekdays:
        return "*", "*", "*"
    if every.nth is not None:
        return _nth(every, scene, ended=ended)
    if every.weekdays or every.unit == "week":
        named = every.weekdays or (_base(scene).weekday(),)
        numbers = {CRON_DAYS[(day + ended) % 7] for day in named}
        return "*", _list(set(every.months)) or "*", "*" if len(numbers) == 7 else _list(numbers)
    return *_dates(every, scene, ended=ended), "*"


def _nth(every: Every, scene: Scene, *, ended: bool) -> tuple[str, str, str]:
    """Say the first Monday: one weekday, and no midnight, because its next day may be another month's."""
    if len(every.weekdays) != 1 or ended:
        raise questions.simple("rule", scene.language)
    number = CRON_DAYS[every.weekdays[0]]
    return "*", _list(set(every.months)) or "*", f"{number}L" if every.nth == -1 else f"{number}#{every.nth}"


def _dates(every: Every, scene: Scene, *, ended: bool) -> tuple[str, str]:
    """Return the days of the month and the months."""
    base = _base(scene)
    months = every.months or ((base.month,) if every.unit == "year" else ())
    numbers = every.days or ((1,) if every.months else (base.day,))
    if ended:
        if numbers != (-1,) and (-1 in numbers or max(numbers) > 27):
            raise questions.simple("rule", scene.language)
        if numbers == (-1,):
            months = tuple(month % 12 + 1 for month in months)
        numbers = tuple(1 if number == -1 else number + 1 for number in numbers)
    dates = ",".join("L" if number == -1 else str(number) for number in sorted(numbers, key=lambda day: day % 32))
    return dates, _list(set(months)) or "*"


def _base(scene: Scene) -> dt.date:
    """Return the day from which an unnamed weekday or date is taken: that of the start."""
    return (scene.start + dt.timedelta(seconds=1)).date()


def _list(numbers: set[int]) -> str:
    """Write numbers as cron does: runs of three and more as a range."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run)) for run in parts)
