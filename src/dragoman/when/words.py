"""A phrase in the user's language as a time: by our grammars, and by a library for English dates that they lack."""

import datetime as dt
import re
from typing import Final
from zoneinfo import ZoneInfo

from dragoman.when import chinese, english
from dragoman.when.names import Language
from dragoman.when.place import place
from dragoman.when.spec import NINE, Clock, Day, Found, Reading, Spec

_DIGITS: Final = re.compile(r"[0-9][0-9:./-]*(?: ?[ap]m(?![a-z]))?", re.IGNORECASE)
LONGEST_DATE: Final = 60
"""Characters: a longer text is no mere date, and the library is slow."""


def read(text: str, now: dt.datetime, zone: ZoneInfo) -> Reading:
    """Say what a phrase means; `now` knows its own zone. A phrase that names no time is not understood."""
    if _in_chinese(text):
        found = chinese.find(text)
        return Reading(understood=False) if found is None else place(found, now, zone, "zh")
    found = _with_offset(text, zone) or english.find(text) or _by_library(text, now, zone)
    return Reading(understood=False) if found is None else place(found, now, zone, "en")


def find(text: str) -> Found | None:
    """Find a time in a text by our grammars alone; None when it has none, or two."""
    return chinese.find(text) if _in_chinese(text) else english.find(text)


def _in_chinese(text: str) -> bool:
    """Tell whether the time in a text is Chinese: an English one may stand beside Chinese words."""
    if language(text) == "en":
        return False
    return chinese.mentions_time(text) or not english.mentions_time(_DIGITS.sub(" ", text))


def language(text: str) -> Language:
    """Return the language in which to answer: Chinese where the text has a Chinese sign."""
    return "zh" if any("\u4e00" <= sign <= "\u9fff" for sign in text) else "en"


def _with_offset(text: str, zone: ZoneInfo) -> Found | None:
    """Read a text that is an ISO 8601 time with an offset, all of it: "2026-12-01T08:15:00Z"."""
    if len(text) > LONGEST_DATE or "t" not in text.lower():
        return None
    try:
        at = dt.datetime.fromisoformat(english.without_lead(text))
        local = at.astimezone(zone) if at.tzinfo else None
    except (OverflowError, ValueError):
        return None
    return _dated(local, local.hour, local.minute) if local else None


def _dated(local: dt.datetime, hour: int, minute: int) -> Found:
    day = Day(year=local.year, month=local.month, day=local.day)
    return Found(spec=Spec(day=day, clock=Clock(hour=hour, minute=minute)), what="")


def _by_library(text: str, now: dt.datetime, zone: ZoneInfo) -> Found | None:
    """Ask the library for a text that is a date from end to end, and of which our grammar knows no word.

    Within a longer text it sees dates in "may" and in room numbers, and in a single number anywhere; an amount of time
    is not left to it either.
    """
    if len(text) > 2 * LONGEST_DATE:
        return None
    date = english.without_lead(text)
    if len(date) > LONGEST_DATE or len(re.findall(r"[0-9]+", date)) < 2 or english.mentions_time(text):
        return None
    from dateparser.date import DateDataParser  # noqa: PLC0415 - slow to import, and rarely asked

    base = now.astimezone(zone).replace(tzinfo=None)
    settings = {"RELATIVE_BASE": base, "PREFER_DATES_FROM": "future", "RETURN_TIME_AS_PERIOD": True}
    data = DateDataParser(languages=["en"], settings=settings).get_date_data(date)
    at = data.date_obj
    if at is None or data.period not in {"day", "time"} or (data.period == "day" and at.time() == base.time()):
        return None
    local = at.astimezone(zone) if at.tzinfo else at
    hour, minute = (local.hour, local.minute) if data.period == "time" else (NINE.hour, NINE.minute)
    return _dated(local, hour, minute)
