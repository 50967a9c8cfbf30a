"""A rule in plain words, for the rules that `place` makes; any other cron expression stands for itself."""

import re
from typing import Final

from dragoman.when.names import MONTHS, WEEKDAYS, Language, join, ordinal

UNITS: Final[dict[Language, dict[str, str]]] = {
    "en": {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week"},
    "zh": {"s": "秒", "m": "分钟", "h": "小时", "d": "天", "w": "周"},
}
NTH: Final[dict[Language, dict[str, str]]] = {
    "en": {"#1": "first", "#2": "second", "#3": "third", "#4": "fourth", "#5": "fifth", "L": "last"},
    "zh": {"#1": "第一个", "#2": "第二个", "#3": "第三个", "#4": "第四个", "#5": "第五个", "L": "最后一个"},
}
WORKING: Final = {1, 2, 3, 4, 5}

_INTERVAL = re.compile(r"([0-9]+)([smhdw])")
_NUMBERS = re.compile(r"[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*")
_NTH = re.compile(r"([0-7])(#[1-5]|L)")
_DATES = re.compile(r"([0-9]+|L)(,([0-9]+|L))*")


def describe(every: str, language: Language) -> str:
    """Say a rule in plain words: "every working day at 09:00"."""
    if found := _INTERVAL.fullmatch(every):
        return _interval(int(found[1]), UNITS[language][found[2]], language)
    fields = every.split()
    if len(fields) != 5 or not all(_NUMBERS.fullmatch(field) for field in fields[:2]):
        return every
    clocks = [f"{hour:02}:{minute:02}" for hour in _numbers(fields[1]) for minute in _numbers(fields[0])]
    days = _days(fields[2], fields[3], fields[4], language)
    if days is None:
        return every
    return f"{days} {join(clocks, language)}" if language == "zh" else f"{days} at {join(clocks, language)}"


def _interval(count: int, unit: str, language: Language) -> str:
    if language == "zh":
        return f"每{unit}" if count == 1 and unit != "分钟" else f"每 {count} {unit}"
    return f"every {unit}" if count == 1 else f"every {count} {unit}s"


def _days(date: str, month: str, weekday: str, language: Language) -> str | None:
    """Return which days, None for what we do not produce."""
    if date == "*" and month == "*":
        return _weekdays(weekday, language)
    if weekday != "*" or not _DATES.fullmatch(date):
        return None
    if month == "*":
        return _dates(date.split(","), language)
    return _year(date, _numbers(month), language) if _NUMBERS.fullmatch(month) else None


def _weekdays(field: str, language: Language) -> str | None:
    if field == "*":
        return "每天" if language == "zh" else "every day"
    if found := _NTH.fullmatch(field):
        name, which = _weekday(int(found[1]), language), NTH[language][found[2]]
        return f"每月{which}{name}" if language == "zh" else f"on the {which} {name} of every month"
    if not _NUMBERS.fullmatch(field):
        return None
    days = {day % 7 for day in _numbers(field)}
    if days == WORKING:
        return "每个工作日" if language == "zh" else "every working day"
    names = [_weekday(day, language) for day in sorted(days, key=lambda day: (day - 1) % 7)]
    if language == "zh":
        return "每周" + join([name.removeprefix("星期") for name in names], language)
    return "every " + join(names, language)


def _weekday(number: int, language: Language) -> str:
    """Name a weekday by cron's number: 0 and 7 are Sunday."""
    return WEEKDAYS[language][(number - 1) % 7]


def _dates(dates: list[str], language: Language) -> str:
    if language == "zh":
        return "每月" + join(["最后一天" if date == "L" else f"{date}日" for date in dates], language)
    return "every month on " + join(
        ["the last day" if date == "L" else f"the {ordinal(int(date))}" for date in dates], language
    )


def _year(date: str, months: list[int], language: Language) -> str | None:
    if not date.isdigit() or not all(1 <= month <= 12 for month in months):
        return None
    if language == "zh":
        return "每年" + join([f"{month}月{date}日" for month in months], language)
    return "every year on " + join([f"{date} {MONTHS[month - 1]}" for month in months], language)


def _numbers(field: str) -> list[int]:
    numbers: list[int] = []
    for part in field.split(","):
        low, _, high = part.partition("-")
        numbers += range(int(low), int(high or low) + 1)
    return numbers
