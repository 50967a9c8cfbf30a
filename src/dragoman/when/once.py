"""A day and a time of day on the calendar: the instant that they mean, or the question that they leave open."""

import datetime as dt
import functools
from collections.abc import Callable, Iterable
from zoneinfo import ZoneInfo

import msgspec

from dragoman.model import Value
from dragoman.when import days, questions, zones
from dragoman.when.names import Language
from dragoman.when.questions import Passed, Question
from dragoman.when.spec import NINE, Amount, Clock, Day, Spec

TODAY = Day(ahead=0)
TOMORROW = Day(ahead=1)


class Scene(Value):
    """Where and when a phrase was said."""

    now: dt.datetime
    """In the zone."""
    zone: ZoneInfo
    language: Language
    start: dt.datetime
    """Times count from here: from now, or from the day on which a repetition begins."""


def place(spec: Spec, scene: Scene) -> dt.datetime:
    """Return the one time that a phrase means; raises `Question`."""
    for amount in spec.after:
        if days.beyond(amount.count, amount.unit):
            raise questions.simple("far", scene.language)
    if spec.others:
        return one_of([_placing(spec, scene, day) for day in (spec.day or TODAY, *spec.others)], scene)
    if spec.day is None and spec.clock is None:
        return later(spec.after, scene)
    day = spec.day or (TODAY if spec.after else None)
    return on(day, spec.clock or NINE, scene, spec.after)


def later(after: tuple[Amount, ...], scene: Scene) -> dt.datetime:
    """Return a time so much later than the start: days keep the time of day, hours and less elapse."""
    at = scene.start
    if (date := days.shift(at.date(), after)) != at.date():
        at = zones.resolve(dt.datetime.combine(date, at.time()), scene.zone)
    return _to_come((at.astimezone(dt.UTC) + days.elapsed(after)).astimezone(scene.zone), scene)


def on(day: Day | None, clock: Clock, scene: Scene, after: tuple[Amount, ...] = ()) -> dt.datetime:
    """Return when a day has a time of day; without a day, the next such time."""
    check(clock, scene)
    if day is not None:
        return _settle(day, clock, scene, after)
    try:
        return _settle(TODAY, clock, scene, after)
    except Passed:
        return _settle(TOMORROW, clock, scene, after)


def check(clock: Clock, scene: Scene) -> None:
    """Refuse a time that no day has."""
    if not (0 <= clock.hour < 24 and 0 <= clock.minute < 60) and (clock.hour, clock.minute) != (24, 0):
        raise questions.simple("no clock", scene.language, hour=clock.hour, minute=clock.minute)


def open_half(clock: Clock) -> bool:
    """Tell whether a time of day is bare, so that the morning or the evening may be meant."""
    return not clock.sure and 1 <= clock.hour <= 12


def halves(clock: Clock) -> tuple[Clock, Clock]:
    """Return the morning's and the evening's reading of a bare time; 12 is noon first, then midnight."""
    hour = clock.hour
    if hour == 12 and clock.minute:
        return Clock(hour=12, minute=clock.minute), Clock(hour=0, minute=clock.minute)
    return Clock(hour=hour, minute=clock.minute), Clock(hour=hour + 12, minute=clock.minute)


def one_of(tries: Iterable[Callable[[], dt.datetime]], scene: Scene) -> dt.datetime:
    """Return the only time among several that is to come; asks when there are more, refuses when there is none."""
    times: list[dt.datetime] = []
    refused: list[Question] = []
    for attempt in tries:
        try:
            times.append(attempt())
        except Question as question:
            times += question.choices
            if not question.choices:
                refused.append(question)
    times = sorted(set(times))
    if not times:
        raise refused[0]
    if len(times) > 1:
        raise questions.which(times, scene.now, scene.language)
    return times[0]


def _placing(spec: Spec, scene: Scene, day: Day) -> Callable[[], dt.datetime]:
    return lambda: on(day, spec.clock or NINE, scene, spec.after)


def _settle(day: Day, clock: Clock, scene: Scene, after: tuple[Amount, ...]) -> dt.datetime:
    """Decide between the morning and the evening of a bare time.

    From 7 to 12 the morning is meant while it is to come; from 1 to 6 neither is likelier than the other.
    """
    if not open_half(clock):
        return _occur(day, clock, scene, after)
    early, late = halves(clock)
    if clock.hour < 7:
        return one_of([lambda: _occur(day, early, scene, after), lambda: _occur(day, late, scene, after)], scene)
    try:
        return _occur(day, early, scene, after)
    except Passed as refusal:
        try:
            return _occur(day, late, scene, after)
        except Passed:
            raise refusal from None


def _occur(day: Day, clock: Clock, scene: Scene, after: tuple[Amount, ...]) -> dt.datetime:
    """Return the first time to come among the dates that a day may mean."""
    at = None
    try:
        for date in days.dates(day, scene.start.date()):
            if not _agree(day, date):
                return _either_day(day, clock, scene, after)
            at = _instant(days.shift(date, after), clock, days.elapsed(after), scene.zone)
            if at.timestamp() > scene.start.timestamp():
                return _to_come(at, scene)
    except (OverflowError, ValueError) as error:  # the calendar has ended
        raise questions.simple("far", scene.language) from error
    if at is None:
        raise questions.simple("no day", scene.language)
    raise questions.passed(at, scene.now, scene.language)


def _agree(day: Day, date: dt.date) -> bool:
    """Tell whether a date is all that a day says of it: "tomorrow, Friday 27 November"."""
    if not days.dated(day):
        return True
    return day.weekday in {None, date.weekday()} and (
        day.ahead is None or (day.month in {None, date.month} and day.day in {None, date.day})
    )


def _either_day(day: Day, clock: Clock, scene: Scene, after: tuple[Amount, ...]) -> dt.datetime:
    """Ask where the words for one day name two."""
    ways = [Day(weekday=day.weekday)] if day.weekday is not None else []
    if day.ahead is not None:
        ways.append(Day(ahead=day.ahead))
    if day.day is not None or day.month is not None:
        ways.append(msgspec.structs.replace(day, ahead=None, weekday=None))
    return one_of([functools.partial(_occur, way, clock, scene, after) for way in ways], scene)


def _instant(date: dt.date, clock: Clock, more: dt.timedelta, zone: ZoneInfo) -> dt.datetime:
    local = dt.datetime.combine(date, dt.time()) + dt.timedelta(hours=clock.hour, minutes=clock.minute)
    return (zones.resolve(local, zone).astimezone(dt.UTC) + more).astimezone(zone)


def _to_come(at: dt.datetime, scene: Scene) -> dt.datetime:
    """Refuse what is over and what is more than ten years ahead."""
    if at.timestamp() <= scene.now.timestamp():  # not as the wall shows it: an hour may come twice
        raise questions.passed(at, scene.now, scene.language)
    if (at.year - scene.now.year, at.timetuple()[1:6]) > (10, scene.now.timetuple()[1:6]):
        raise questions.simple("far", scene.language)
    return at
