"""Days in English: "tomorrow", "next Tuesday", "3 March", "the 15th of next month", "the end of the month"."""

from collections.abc import Callable
from typing import Final

import msgspec

from dragoman.when.english.clocks import closed
from dragoman.when.english.clocks import time as clock_time
from dragoman.when.english.pieces import Piece, Time
from dragoman.when.english.tokens import Words, by_first
from dragoman.when.english.vocabulary import (
    DETERMINERS,
    HOLIDAYS,
    MEASURES,
    MONTHS,
    ORDINALS,
    PARTS,
    RELATIVE,
    SHY,
    WEEKDAYS,
    WORD_ENDINGS,
)
from dragoman.when.spec import Amount, Day

PREPOSITIONS: Final = {"on", "by", "for"}
WHICH: Final = {"this": 0, "next": 1, "last": -1, "coming": None}
SATURDAY: Final = 5
FRIDAY: Final = 4


def day(words: Words, index: int) -> Piece | None:
    """Read a day with its preposition, and a part of the day that follows it."""
    start = index
    if words.word(index) in PREPOSITIONS or (words.word(index) in {"in", "at"} and words.word(index + 1) not in PARTS):
        index += 1
    found = next((piece for form in _FORMS if (piece := form(words, index)) is not None), None)
    if found is None:
        return None
    if words.word(start) == "for" and words.word(start - 1) not in {"alarm", "reminder", "alert", "timer", ""}:
        start = index  # "tickets for Friday" keeps its word
        found = msgspec.structs.replace(found, weak=True, purpose=words.word(start - 1) not in {"me", "up", "us"})
    if words.word(start) in {"in", "at"} and found.frame is None and (found.day is None or found.day.month is None):
        start = index
    piece = msgspec.structs.replace(found, start=start, weak=found.weak and not _leads(words, start, found))
    return _with_part(words, piece)


def ordinal(words: Words, index: int) -> tuple[int, int] | None:
    """Read 15th, "the 3rd", "twenty-first", "fifteenth"."""
    number = words.number(index)
    if number is not None:
        named = words.word(index + 1) in WORD_ENDINGS and words.glued(index + 1)
        return (number, index + 2) if named and 1 <= number <= 31 else None
    word = words.word(index)
    if word in ORDINALS:
        return ORDINALS[word], index + 1
    after = index + 2 if words.word(index + 1) == "-" else index + 1
    if word in {"twenty", "thirty"} and 1 <= ORDINALS.get(words.word(after), 0) <= 9:
        return {"twenty": 20, "thirty": 30}[word] + ORDINALS[words.word(after)], after + 1
    return None


def weekday(words: Words, index: int) -> tuple[int, int] | None:
    """Read the name of a weekday."""
    word = words.word(index)
    if word not in WEEKDAYS:
        return None
    short = words.word(index + 1) == "." and words.glued(index + 1) and len(word) < 6 and index + 2 < len(words)
    return WEEKDAYS[word], index + 2 if short else index + 1


def frame(words: Words, index: int) -> tuple[Piece, int] | None:
    """Read a week, month or year: "next week", "this month", "the week after next"."""
    start = index
    if words.word(index) == "the":
        index += 1
    word = words.word(index)
    if word in {"week", "month", "year"}:
        if (end := words.says(index + 1, "after", "next")) is not None:
            return _frame(start, end, word, 2)
        return _frame(start, index + 1, word, 0) if start < index else None
    if word in {"this", "next", "last", "following", "coming"} and words.word(index + 1) in {"week", "month", "year"}:
        ahead = {"this": 0, "last": -1}.get(word, 1)
        return _frame(start, index + 2, words.word(index + 1), ahead)
    return None


def _frame(start: int, end: int, unit: str, ahead: int) -> tuple[Piece, int]:
    if unit == "week":
        return Piece(start=start, end=end, frame=("week", ahead), day=Day(weekday=0, weeks=ahead)), end
    if unit == "month":
        return Piece(start=start, end=end, frame=("month", ahead), day=Day(day=1, months=ahead)), end
    return Piece(start=start, end=end, frame=("year", ahead), day=Day(month=1, day=1, years=ahead)), end


def _leads(words: Words, start: int, found: Piece) -> bool:
    """Tell whether a preposition makes a doubtful day a sure one: not in "on the 15th floor"."""
    return start < found.start and words.word(start) in {"on", "by"} and closed(words, found.end)


def _with_part(words: Words, piece: Piece) -> Piece:
    """Take the part of the day that follows: "Monday morning"."""
    end = piece.end
    early = end + 1 if words.word(end) in {"early", "late"} and words.word(end + 1) in PARTS else end
    if piece.part is None and words.word(early) in PARTS and not words.word(early).endswith("s"):
        return msgspec.structs.replace(piece, end=early + 1, part=PARTS[words.word(early)], weak=False)
    return piece


def _relative(words: Words, index: int) -> Piece | None:
    for phrase in _PHRASES.get(words.word(index), ()):
        if (end := words.says(index, *phrase)) is not None:
            return Piece(start=index, end=end, day=Day(ahead=_AHEAD[phrase]))
    word = words.word(index)
    if word in RELATIVE:
        return Piece(start=index, end=index + 1, day=Day(ahead=RELATIVE[word]))
    if word == "tonight":
        return Piece(start=index, end=index + 1, day=Day(ahead=0), part="night")
    if word == "this" and (part := PARTS.get(words.word(index + 1))) and part not in {"noon", "midnight"}:
        return Piece(start=index, end=index + 2, day=Day(ahead=0), part=part)
    if word == "last" and words.word(index + 1) == "night":
        return Piece(start=index, end=index + 2, day=Day(ahead=-1), part="night")
    return None


_AHEAD: Final = {
    ("the", "day", "after", "tomorrow"): 2,
    ("day", "after", "tomorrow"): 2,
    ("the", "day", "before", "yesterday"): -2,
    ("later", "today"): 0,
}
_PHRASES: Final = by_first(_AHEAD)
_HOLIDAYS: Final = by_first(HOLIDAYS)


def _weekday(words: Words, index: int) -> Piece | None:
    """Read "Friday", "next Tuesday", "Tuesday next week", "Friday week", "this coming Monday"."""
    start, weeks, which = index, None, False
    if words.word(index) == "the" and words.word(index + 1) in {"next", "coming", "following"}:
        index += 1
    while words.word(index) in WHICH or (words.word(index) == "following" and words.word(index + 1) in WEEKDAYS):
        weeks = WHICH.get(words.word(index), 1)
        index, which = index + 1, True
    found = weekday(words, index)
    if found is None:
        return _weekend(words, start, index, weeks)
    number, end = found
    if not which and _no_day(words, index, end):
        return None
    day = Day(weekday=number, weeks=weeks)
    if (after := words.says(end, "after", "next")) is not None:
        return Piece(start=start, end=after, day=Day(weekday=number, weeks=2))
    if not which and words.word(end) in {"week", "fortnight"} and closed(words, end + 1):
        weeks_on = Amount(count=1 if words.word(end) == "week" else 2, unit="week")
        return Piece(start=start, end=end + 1, day=Day(weekday=number), after=(weeks_on,))
    weak = not which and _doubtful(words, index, end)
    return Piece(start=start, end=end, day=day, weak=weak)


def _doubtful(words: Words, index: int, end: int) -> bool:
    """Tell whether a weekday may belong to the task: "the Friday report"."""
    return words.word(index - 1) in DETERMINERS and not closed(words, end) and words.word(end) not in PARTS


def _no_day(words: Words, index: int, end: int) -> bool:
    """Tell whether a short name is another word: "sun cream", "I sat at home"."""
    if words.word(index) not in SHY or words.word(index - 1) in {"on", "by", ",", "from", "and", "every", "each"}:
        return False
    if words.word(index - 1) in DETERMINERS | {"i", "we", "he", "she", "they", "who", "it", "to"}:
        return True
    beside = words.number(end) is not None or words.word(end) in {"at", "@", "", ",", *PARTS, *MONTHS}
    return not beside


def _weekend(words: Words, start: int, index: int, weeks: int | None) -> Piece | None:
    index = index + 1 if words.word(index) == "the" else index
    if words.word(index) != "weekend":
        return None
    return Piece(start=start, end=index + 1, day=Day(weekday=SATURDAY, weeks=weeks), weak=not closed(words, index + 1))


def _framed(words: Words, index: int) -> Piece | None:
    found = frame(words, index)
    if found is None or (words.word(index) == "the" and found[0].frame and found[0].frame[1] == 0):
        return None
    return found[0]


def _edge(words: Words, index: int) -> Piece | None:
    """Read "the end of the month", "the last day of March", "the beginning of next month"."""
    index = index + 1 if words.word(index) == "the" else index
    start = index
    last = words.says(index, "end", "of") or words.says(index, "last", "day", "of") or words.says(index, "last", "of")
    first = (
        words.says(index, "beginning", "of")
        or words.says(index, "start", "of")
        or words.says(index, "first", "day", "of")
    )
    end = last or first
    if end is None:
        return None
    if last and ((done := words.says(end, "the", "day")) or (done := words.says(end, "day"))):
        return Piece(start=start, end=done, day=Day(ahead=0), times=(Time(hour=17, exact=True),))
    if (number := MONTHS.get(words.word(end))) is not None:
        return _in_year(words, Piece(start=start, end=end + 1, day=Day(month=number, day=-1 if last else 1)))
    found = frame(words, end)
    if found is None and words.word(end) in {"month", "week", "year"}:
        found = _frame(end, end + 1, words.word(end), 0)
    return _edge_of(start, found[0], last=last is not None) if found else None


def _edge_of(start: int, piece: Piece, *, last: bool) -> Piece | None:
    unit, ahead = piece.frame or ("month", 0)
    months = ahead or None
    days = {
        "week": Day(weekday=FRIDAY if last else 0, weeks=ahead),
        "month": Day(day=-1 if last else 1, months=months),
        "year": Day(month=12 if last else 1, day=-1 if last else 1, years=ahead or None),
    }
    return Piece(start=start, end=piece.end, day=days[unit])


def _nth_weekday(words: Words, index: int) -> Piece | None:
    """Read "the first Monday of next month", "the last Friday in December"."""
    start = index
    index = index + 1 if words.word(index) == "the" else index
    which = (-1, index + 1) if words.word(index) == "last" else ordinal(words, index)
    if which is None or which[0] > 5:
        return None
    named = weekday(words, which[1])
    if named is None or words.word(named[1]) not in {"of", "in"}:
        return None
    end = named[1] + 1
    day = Day(weekday=named[0], nth=which[0])
    if (month := MONTHS.get(words.word(end))) is not None:
        return _in_year(words, Piece(start=start, end=end + 1, day=msgspec.structs.replace(day, month=month)))
    found = frame(words, end)
    if found is None or found[0].frame is None or found[0].frame[0] != "month":
        return None
    ahead = found[0].frame[1] or (None if words.word(end) == "the" else 0)
    return Piece(start=start, end=found[1], day=msgspec.structs.replace(day, months=ahead))


def _day_and_month(words: Words, index: int) -> Piece | None:
    """Read "3 March", "the 3rd of March 2027", "15th of next month", "the 15th"."""
    start = index
    the = words.word(index) == "the"
    index = index + 1 if the else index
    found = ordinal(words, index)
    if found is None:
        number = words.number(index)
        if number is None or not 1 <= number <= 99 or (words.word(index - 1) in {"-", "/", ":"} and words.glued(index)):
            return None
        found = number, index + 1
        if words.word(found[1]) not in MONTHS and words.word(found[1]) != "of":
            return None
    number, end = found
    if words.word(end) == "of":
        end += 1
    if (month := MONTHS.get(words.word(end))) is not None:
        dot = end + 2 if words.word(end + 1) == "." and words.glued(end + 1) and words.number(end + 2) else end + 1
        return _in_year(words, Piece(start=start, end=dot, day=Day(month=month, day=number)))
    if end > found[1]:
        return _of_frame(words, start, end, number)
    spelt = words.number(index) is None
    led = words.word(start - 1) in {"on", "by"}
    if (spelt and not the) or not (closed(words, end) or led):  # "the first draft", "the 15th floor"
        return None
    return Piece(start=start, end=end, day=Day(day=number), weak=not closed(words, end) or not the)


def _of_frame(words: Words, start: int, end: int, number: int) -> Piece | None:
    """Read what follows "the 15th of": a month from this one."""
    found = frame(words, end)
    if found is None or found[0].frame is None or found[0].frame[0] != "month":
        return None
    ahead = found[0].frame[1]
    months = None if words.word(end) == "the" and not ahead else ahead
    return Piece(start=start, end=found[1], day=Day(day=number, months=months))


def _month_and_day(words: Words, index: int) -> Piece | None:
    """Read "March 3", "March 3rd, 2027", "March the 3rd", "in March", "May 2027"."""
    month = MONTHS.get(words.word(index))
    if month is None:
        return None
    end = index + 2 if words.word(index + 1) == "." and words.glued(index + 1) else index + 1
    the = end + 1 if words.word(end) == "the" else end
    found = ordinal(words, the)
    number = words.number(end)
    if found is None and number is not None and words.digits(end) <= 2 and words.word(end + 1) not in {":", *MEASURES}:
        found = number, end + 1
    if found is not None and (words.word(found[1]) not in {"am", "pm"}):
        return _in_year(words, Piece(start=index, end=found[1], day=Day(month=month, day=found[0])))
    bare = Piece(start=index, end=end, day=Day(month=month, day=1))
    dated = _in_year(words, bare)
    if dated.end > end or (words.word(index - 1) in {"in", "next", "by"} and closed(words, end)):
        return dated
    return None


def _in_year(words: Words, piece: Piece) -> Piece:
    """Take the year after a date: "2027", ", 2027", "next year"."""
    end = piece.end + 1 if words.word(piece.end) in {",", "of", "in"} else piece.end
    year = words.number(end)
    day = piece.day or Day()
    timed = words.word(end + 1) == ":" and words.glued(end + 1)
    measured = timed or words.word(end + 1) in MEASURES
    if year is not None and words.digits(end) == 4 and 1000 <= year < 3000 and not measured:
        return msgspec.structs.replace(piece, end=end + 1, day=msgspec.structs.replace(day, year=year))
    found = frame(words, end)
    if found is not None and found[0].frame is not None and found[0].frame[0] == "year":
        ahead = found[0].frame[1]
        return msgspec.structs.replace(piece, end=found[1], day=msgspec.structs.replace(day, years=ahead))
    return piece


def _holiday(words: Words, index: int) -> Piece | None:
    """Read "Christmas Eve", where it is the day and not the task's: "on Halloween", "2 days before Christmas"."""
    for name in _HOLIDAYS.get(words.word(index), ()):
        if (end := words.says(index, *name)) is not None:
            month, number = HOLIDAYS[name]
            weak = words.word(index - 1) not in {"on", "at", "before", "after", "by", "every", "each"} or not closed(
                words, end
            )
            return _in_year(words, Piece(start=index, end=end, day=Day(month=month, day=number), weak=weak))
    return None


def _numeric(words: Words, index: int) -> Piece | None:
    """Read 2027-03-03, 3/4, 3/4/2027, 13.4.2027: where day and month may change places, both are kept."""
    sign = words.word(index + 1)
    first, second = words.number(index), words.number(index + 2)
    if sign not in {"-", "/", "."} or first is None or second is None or not _run(words, index, 2):
        return None
    third = words.number(index + 4) if words.word(index + 3) == sign and _run(words, index, 4) else None
    end = index + (3 if third is None else 5)
    if words.glued(end) and (words.word(end) in {"/", "-"} or words.number(end) is not None):
        return None
    if (words.word(index - 1) in {"/", "-", ".", "+"} and words.glued(index)) or (sign, first, second) == ("/", 24, 7):
        return None
    if words.digits(index) == 4:
        return _iso(words, index, end, third)
    year = _century(words, index + 4, third)
    if sign != "/" and (third is None or year is None):
        return _short_german(words, index, sign, first, second)
    return _either(words, index, end, (first, second, year))


def _iso(words: Words, index: int, end: int, day: int | None) -> Piece | None:
    if day is None:
        return None
    day_end = end
    if words.word(end) == "t" and words.glued(end):
        day_end = end + 1
    return Piece(start=index, end=day_end, day=Day(year=words.number(index), month=words.number(index + 2), day=day))


def _short_german(words: Words, index: int, sign: str, first: int, second: int) -> Piece | None:
    """Read "3.4.", a day and month with both dots, after "on" or before a time."""
    dotted = sign == "." and words.word(index + 3) == "." and words.glued(index + 3) and index + 4 < len(words)
    if not dotted or not (words.word(index - 1) in {"on", "by"} or clock_time(words, index + 4)):
        return None
    return Piece(start=index, end=index + 4, day=Day(month=second, day=first))


def _either(words: Words, index: int, end: int, numbers: tuple[int, int, int | None]) -> Piece | None:
    """Return the readings of two numbers as day and month."""
    first, second, year = numbers
    sign = words.word(index + 1)
    readings = [Day(day=first, month=second, year=year), Day(day=second, month=first, year=year)]
    if sign == "." or first == second or (first > 12 and second > 12):
        readings = readings[:1]
    readings = [day for day in readings if len(readings) == 1 or (day.month or 0) <= 12]
    weak = year is None and not closed(words, end)
    return Piece(start=index, end=end, day=readings[0], others=tuple(readings[1:]), weak=weak)


def _century(words: Words, index: int, year: int | None) -> int | None:
    """Return a year of four digits, or of two in this century."""
    if year is None or words.digits(index) not in {2, 4}:
        return None
    return year if year > 99 else 2000 + year


def _run(words: Words, index: int, length: int) -> bool:
    """Tell whether so many words follow without a space."""
    return all(words.glued(index + offset) for offset in range(1, length + 1))


_FORMS: Final[tuple[Callable[[Words, int], Piece | None], ...]] = (
    _relative,
    _edge,
    _nth_weekday,
    _weekday,
    _framed,
    _holiday,
    _numeric,
    _day_and_month,
    _month_and_day,
)
