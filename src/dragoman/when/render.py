"""A time as people write it: the grammars read back what is written here."""

import datetime as dt

from dragoman.when.names import MONTHS, WEEKDAYS, Language


def render(at: dt.datetime, now: dt.datetime, zone: dt.tzinfo, language: Language) -> str:
    """Write a time in its zone: "tomorrow, Friday 27 November, 15:00"; the year only where it is not this one."""
    between = " " if language == "zh" else ", "
    return f"{day(at, now, zone, language)}{between}{clock(at, zone)}"


def day(at: dt.datetime, now: dt.datetime, zone: dt.tzinfo, language: Language) -> str:
    """Write a day: "tomorrow, Friday 27 November"."""
    local, today = at.astimezone(zone), now.astimezone(zone)
    ahead = (local.date() - today.date()).days
    year = local.year if local.year != today.year else None
    weekday = WEEKDAYS[language][local.weekday()]
    if language == "zh":
        near = {-1: "昨天 ", 0: "今天 ", 1: "明天 ", 2: "后天 "}.get(ahead, "")
        return f"{near}{f'{year}年' if year else ''}{local.month}月{local.day}日 {weekday}"
    near = {-1: "yesterday, ", 0: "today, ", 1: "tomorrow, "}.get(ahead, "")
    return f"{near}{weekday} {local.day} {MONTHS[local.month - 1]}{f' {year}' if year else ''}"


def clock(at: dt.datetime, zone: dt.tzinfo) -> str:
    """Write a time of day: "09:00"."""
    return f"{at.astimezone(zone):%H:%M}"
