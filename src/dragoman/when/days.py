"""Days on the calendar: which dates a `Day` may mean, and what an amount adds to a date."""

import calendar
import datetime as dt
from collections.abc import Iterator
from typing import Final

from dragoman.when.spec import Amount, Day

SECONDS: Final = {"second": 1, "minute": 60, "hour": 3600}
DAYS: Final = {"day": 1, "week": 7}
LONGEST: Final = {
    "second": 400_000_000,
    "minute": 6_000_000,
    "hour": 100_000,
    "day": 4_000,
    "week": 600,
    "month": 130,
    "year": 11,
}
"""How many of each are more than ten years for sure: beyond, nothing is computed."""


def dates(day: Day, today: dt.date) -> Iterator[dt.date]:
    """Yield the dates that a day may mean, nearest first; none when the calendar has no such day.

    The later ones count when the time of day has passed on the earlier: "Friday" said on a Friday.
    """
    if day.ahead is not None:
        yield today + dt.timedelta(days=day.ahead)
    elif day.weekday is not None and day.nth is not None:
        yield from _named(day, today, day.nth, day.weekday)
    elif day.weekday is not None and not dated(day):
        yield from _weekday(day.weekday, day.weeks, today)
    elif day.month is not None or day.years is not None:
        yield from _of_month(day, today)
    else:
        yield from _in_months(day.day or 1, day.months, today)


def dated(day: Day) -> bool:
    """Tell whether a day is named by its distance or date, so that a weekday beside it can only agree or not."""
    return day.nth is None and (day.ahead is not None or day.day is not None or day.month is not None)


def shift(date: dt.date, after: tuple[Amount, ...]) -> dt.date:
    """Add the days, weeks, months and years of some amounts; a month that is too short gives its last day."""
    for amount in after:
        if amount.unit in DAYS:
            date += dt.timedelta(days=DAYS[amount.unit] * amount.count)
        elif amount.unit not in SECONDS:
            months = amount.count * (12 if amount.unit == "year" else 1)
            year, month = _month(date, months)
            date = dt.date(year, month, min(date.day, calendar.monthrange(year, month)[1]))
    return date


def elapsed(after: tuple[Amount, ...]) -> dt.timedelta:
    """Return the hours, minutes and seconds of some amounts."""
    return dt.timedelta(seconds=sum(SECONDS.get(amount.unit, 0) * amount.count for amount in after))


def beyond(count: int, unit: str) -> bool:
    """Tell whether an amount is more than ten years for sure."""
    return abs(count) > LONGEST[unit]


def date_or_none(year: int, month: int, day: int) -> dt.date | None:
    """Return a date, -1 being the month's last day; None when there is no such day."""
    if not (1 <= month <= 12 and dt.MINYEAR <= year <= dt.MAXYEAR):
        return None
    last = calendar.monthrange(year, month)[1]
    wanted = last if day == -1 else day
    return dt.date(year, month, wanted) if 1 <= wanted <= last else None


def _weekday(weekday: int, weeks: int | None, today: dt.date) -> Iterator[dt.date]:
    if weeks is not None:
        yield today + dt.timedelta(days=7 * weeks + weekday - today.weekday())
        return
    first = today + dt.timedelta(days=(weekday - today.weekday()) % 7)
    yield first
    yield first + dt.timedelta(days=7)


def _of_month(day: Day, today: dt.date) -> Iterator[dt.date]:
    """Yield the date of a month: of its year, else of the next year that has it."""
    month, number = day.month or 1, day.day or 1
    year = day.year if day.years is None else today.year + day.years
    years = range(year, year + 1) if year is not None else range(today.year, today.year + 9)
    for candidate in (date_or_none(year, month, number) for year in years):
        if candidate and (day.year is not None or day.years is not None or candidate >= today):
            yield candidate
            return


def _in_months(number: int, months: int | None, today: dt.date) -> Iterator[dt.date]:
    """Yield a day of the month: of the named one, else of the next ones that have it."""
    span = range(13) if months is None else range(months, months + 1)
    for ahead in span:
        candidate = date_or_none(*_month(today, ahead), number)
        if candidate and (months is not None or candidate >= today):
            yield candidate


def _named(day: Day, today: dt.date, nth: int, weekday: int) -> Iterator[dt.date]:
    """Yield the first (or second, or last) Monday of a month."""
    if day.month is not None:
        base = day.year if day.years is None else today.year + day.years
        places = [(year, day.month) for year in ([base] if base is not None else [today.year, today.year + 1])]
    else:
        span = range(13) if day.months is None else range(day.months, day.months + 1)
        places = [_month(today, ahead) for ahead in span]
    fixed = day.year is not None or day.years is not None or day.months is not None
    for year, month in places:
        candidate = _nth_weekday(year, month, nth, weekday)
        if candidate and (fixed or candidate >= today):
            yield candidate


def _nth_weekday(year: int, month: int, nth: int, weekday: int) -> dt.date | None:
    first = date_or_none(year, month, 1)
    if first is None:
        return None
    if nth == -1:
        last = date_or_none(year, month, -1) or first
        return last - dt.timedelta(days=(last.weekday() - weekday) % 7)
    return date_or_none(year, month, 1 + (weekday - first.weekday()) % 7 + 7 * (nth - 1))


def _month(date: dt.date, ahead: int) -> tuple[int, int]:
    """Return the year and month so many months from a date's."""
    months = date.year * 12 + date.month - 1 + ahead
    return months // 12, months % 12 + 1
