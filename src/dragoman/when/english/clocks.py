"""Times of day in English: "3pm", "17:30", "half past nine", "ten to six", "at 5"."""

from collections.abc import Callable
from typing import Final

from dragoman.when.english import amounts
from dragoman.when.english.pieces import Half, Piece, Time
from dragoman.when.english.tokens import Words
from dragoman.when.english.vocabulary import CONNECTIVES, MEASURES, ONES, PARTS

PREFIXES: Final = {"at", "by", "@", "around", "about", "circa"}
PAST: Final = {"past", "after"}
TO: Final = {"to", "till", "til", "before"}

Found = tuple[Time, int]


def clock(words: Words, index: int) -> Piece | None:
    """Read a time of day with its preposition; a bare number needs one."""
    start, asked = index, False
    while words.word(index) in PREFIXES:
        index, asked = index + 1, True
    if words.says(start, "for") is not None and words.word(start - 1) in {
        "alarm",
        "reminder",
        "me",
        "up",
        "alert",
        "timer",
    }:
        index, asked = start + 1, True
    if (found := time(words, index)) is not None:
        return Piece(start=start, end=_ish(words, found[1]), times=(found[0],))
    if asked and (found := spoken(words, index)) is not None:
        if words.word(found[1]) in MEASURES or amounts.unit(words, found[1]):
            return None
        end = _ish(words, found[1])
        return Piece(start=start, end=end, times=(found[0],), weak=end == found[1] and not closed(words, end))
    part = PARTS.get(words.word(index), "")
    if part in {"noon", "midnight"} and (asked or closed(words, index + 1)):
        return Piece(start=start, end=index + 1, times=(named(part),))
    if words.word(index) in {"eod", "cob"} or (words.word(index) == "night" and words.word(start) == "at"):
        late = Piece(start=start, end=index + 1, part="night")
        return (
            late
            if words.word(index) == "night"
            else Piece(start=start, end=index + 1, times=(Time(hour=17, exact=True),))
        )
    return None


def _ish(words: Words, index: int) -> int:
    """Skip the end of "4ish" and "9am-ish"."""
    after = index + 1 if words.word(index) == "-" else index
    return after + 1 if words.word(after) == "ish" and words.glued(after) else index


def named(part: str) -> Time:
    """Return noon or midnight as a time of day."""
    return Time(hour=12 if part == "noon" else 24, exact=True)


def closed(words: Words, index: int) -> bool:
    """Tell whether a phrase may end before this word."""
    word = words.word(index)
    return not word.isalnum() or word in CONNECTIVES or word in _CLOSING


_CLOSING: Final = {
    "on",
    "at",
    "in",
    "by",
    "every",
    "each",
    "daily",
    "tomorrow",
    "today",
    "tonight",
    "this",
    "next",
    "from",
    "starting",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
}


def time(words: Words, index: int) -> Found | None:
    """Read a time of day that is one by its form, with or without a preposition."""
    for form in _FORMS:
        if (found := form(words, index)) is not None:
            return found
    return None


def spoken(words: Words, index: int) -> Found | None:
    """Read a time of day that is one after "at" only: "5", "nine", "five thirty", "1730", "9.30"."""
    number = amounts.number(words, index)
    if number is None:
        return None
    hour, end = number
    if words.digits(index) == 4 and hour <= 2400 and hour % 100 < 60:
        end = end + 1 if words.word(end) in {"h", "hrs", "hours"} else end
        return Time(hour=hour // 100, minute=hour % 100, exact=True), end
    if hour > 99 or words.digits(index) > 2:
        return None
    if (found := dotted(words, index)) is not None:
        return found
    if words.word(end) in {"h", "hrs"} or (words.word(end) == "hours" and hour > 12):
        return Time(hour=hour, exact=True), end + 1
    minute = _minutes_in_words(words, end) if words.number(index) is None else None
    if minute is not None:
        return Time(hour=hour, minute=minute[0]), minute[1]
    return Time(hour=hour, exact=hour == 0 or (words.digits(index) == 2 and hour < 10)), end


def dotted(words: Words, index: int) -> Found | None:
    """Read "9.30", where a time is due."""
    hour, end = words.number(index), index + 1
    parted = words.word(end) == "." and words.glued(end) and words.glued(end + 1) and words.digits(end + 1) == 2
    minute = words.number(end + 1)
    if not parted or hour is None or minute is None or words.digits(index) > 2:
        return None
    return _coloned(words, index, hour, minute), end + 2


def half(words: Words, index: int) -> tuple[Half, int] | None:
    """Read am or pm in any spelling."""
    word = words.word(index)
    if word in {"am", "pm"}:
        return ("am" if word == "am" else "pm"), index + 1
    if word not in {"a", "p"}:
        return None
    name: Half = "am" if word == "a" else "pm"
    after = index + 2 if words.word(index + 1) == "." and words.glued(index + 1) else index + 1
    if words.word(after) == "m" and (after == index + 2 or not words.glued(after)):
        dotted = words.word(after + 1) == "." and words.glued(after + 1) and after == index + 2
        return name, after + 2 if dotted else after + 1
    if words.glued(index) and words.number(index - 1) is not None and after == index + 1:
        return name, index + 1
    return None


def _with_half(words: Words, time: Time, index: int) -> Found:
    found = half(words, index)
    if found is None:
        return time, index
    return Time(hour=time.hour, minute=time.minute, half=found[0]), found[1]


def _digital(words: Words, index: int) -> Found | None:
    """Read 15:30, 3:30 pm, 17h30, 15h, 15:30:00."""
    hour = words.number(index)
    if hour is None or words.digits(index) > 2 or not words.glued(index + 1):
        return None
    sign = words.word(index + 1)
    if sign not in {":", "h", "."}:
        return None
    minute, end = (words.number(index + 2), index + 3) if words.glued(index + 2) else (None, index + 2)
    if minute is None or words.digits(index + 2) != 2:
        return None
    found = _with_half(words, _coloned(words, index, hour, minute), end)
    if sign == "." and found[0].half is None:
        return None
    if sign == "h" and words.word(end) == "m":
        return None
    return _seconds_and_hours(words, found)


def _seconds_and_hours(words: Words, found: Found) -> Found:
    """Skip the seconds of 15:30:00, and "h", "hours" or "o'clock" after the digits."""
    time, end = found
    if words.word(end) == ":" and words.digits(end + 1) == 2 and words.glued(end + 1):
        time, end = _with_half(words, time, end + 2)
    return time, end + 1 if words.word(end) in {"h", "hrs", "hours", "o'clock", "uhr"} else end


def _coloned(words: Words, index: int, hour: int, minute: int) -> Time:
    """Return a time with minutes in digits: from 7 on, or with two digits, as the 24-hour clock has it."""
    return Time(hour=hour, minute=minute, exact=not 1 <= hour <= 6 or words.digits(index) == 2)


def _with_meridiem(words: Words, index: int) -> Found | None:
    """Read 3pm, 3 p.m., three pm, five thirty pm, 12 noon."""
    number = amounts.number(words, index)
    if number is None or number[0] > 24 or words.digits(index) > 2:
        return None
    hour, end = number
    if words.word(end) in {"noon", "midday", "midnight"} and hour == 12:
        return Time(hour=24 if words.word(end) == "midnight" else 12, exact=True), end + 1
    minute = _minutes_in_words(words, end) or (0, end)
    if minute[1] == end and words.digits(end) == 2 and half(words, end + 1):
        minute = (words.number(end) or 0, end + 1)
    found = half(words, minute[1])
    return (Time(hour=hour, minute=minute[0], half=found[0]), found[1]) if found else None


def _oclock(words: Words, index: int) -> Found | None:
    """Read "9 o'clock", "nine oclock pm", "17 hours"."""
    number = amounts.number(words, index)
    if number is None or number[0] > 99:
        return None
    end = (
        words.says(number[1], "o'clock")
        or words.says(number[1], "o", "clock")
        or words.says(number[1], "o", "'", "clock")
    )
    if end is None:
        return None
    return _with_half(words, Time(hour=number[0]), end)


def _relative(words: Words, index: int) -> Found | None:
    """Read "half past nine", "a quarter to six", "ten past 5 pm", "twenty minutes to eight"."""
    start = index + 1 if words.word(index) == "a" else index
    minutes = _part_of_hour(words, start)
    if minutes is None:
        return None
    past, end = minutes
    hour = amounts.number(words, end)
    if hour is None or not 1 <= hour[0] <= 24 or words.word(hour[1]) == ":" or words.word(hour[1]) in MEASURES:
        return _around_noon(words, past, end)
    time = Time(hour=hour[0], minute=past) if past >= 0 else Time(hour=hour[0] - 1 or 12, minute=60 + past)
    after = words.says(hour[1], "o'clock") or hour[1]
    return _turned(time, hour[0], _with_half(words, time, after), counts_back=past < 0)


def _turned(time: Time, hour: int, found: Found, *, counts_back: bool) -> Found:
    """Mind that ten to twelve pm is before noon, where eleven is am."""
    named = found[0].half
    if counts_back and named and hour == 12:
        return Time(hour=11, minute=time.minute, half="am" if named == "pm" else "pm"), found[1]
    return found


def _around_noon(words: Words, past: int, index: int) -> Found | None:
    """Read "ten to noon", "half past midnight"."""
    part = PARTS.get(words.word(index), "")
    if part not in {"noon", "midnight"}:
        return None
    base = 12 * 60 if part == "noon" else (24 * 60 if past < 0 else 0)
    return Time(hour=(base + past) // 60, minute=(base + past) % 60, exact=True), index + 1


def _part_of_hour(words: Words, index: int) -> tuple[int, int] | None:
    """Read how many minutes past (or, below 0, to) an hour, and the index of the hour."""
    word = words.word(index)
    if word == "half" and words.word(index + 1) in PAST:
        return 30, index + 2
    if word == "quarter":
        count, end = 15, index + 1
    else:
        number = amounts.number(words, index)
        if number is None or not 1 <= number[0] <= 29:
            return None
        count, end = number
        named = words.word(end) in {"minutes", "minute", "mins", "min"}
        end = end + 1 if named else end
        if not named and words.number(index) is not None and words.word(index - 1) not in PREFIXES:
            return None
        if words.word(end) == "after" or (named and words.word(end) == "before"):
            return None
    sign = 1 if words.word(end) in PAST else -1 if words.word(end) in TO or words.word(end) == "of" else 0
    return (sign * count, end + 1) if sign else None


def _minutes_in_words(words: Words, index: int) -> tuple[int, int] | None:
    """Read the minutes of "five thirty", "seven oh five"."""
    if words.word(index) in {"oh", "o"} and 1 <= ONES.get(words.word(index + 1), 0) <= 9:
        return ONES[words.word(index + 1)], index + 2
    if words.number(index) is not None:
        return None
    number = amounts.number(words, index)
    return number if number and 10 <= number[0] < 60 else None


def _in_part(words: Words, index: int) -> Found | None:
    """Read "9 in the morning": a bare number that a part of the day makes a time."""
    number = amounts.number(words, index)
    if number is None or not 1 <= number[0] <= 12 or words.digits(index) > 2:
        return None
    end = number[1]
    if words.says(end, "at", "night") or (words.says(end, "in", "the") and words.word(end + 2) in PARTS):
        return Time(hour=number[0]), end
    return None


def _ished(words: Words, index: int) -> Found | None:
    """Read "6ish"."""
    hour = words.number(index)
    roughly = words.word(index + 1) == "ish" and words.glued(index + 1)
    return (Time(hour=hour), index + 2) if hour and 1 <= hour <= 12 and roughly else None


_FORMS: Final[tuple[Callable[[Words, int], Found | None], ...]] = (
    _digital,
    _with_meridiem,
    _oclock,
    _relative,
    _in_part,
    _ished,
)
