"""Repetitions in English: "every Friday", "every other day", "weekdays", "on the last day of every month"."""

from collections.abc import Callable
from typing import Final

from dragoman.when.english import amounts, clocks, dates
from dragoman.when.english.clocks import closed
from dragoman.when.english.pieces import Piece
from dragoman.when.english.tokens import Words
from dragoman.when.english.vocabulary import DETERMINERS, MONTHS, PARTS, PLURALS
from dragoman.when.spec import Amount, Every

WORKING: Final = (0, 1, 2, 3, 4)
WEEKEND: Final = (5, 6)
EACH: Final = {"every", "each", "ev"}
MONTHLY: Final = Every(unit="month")

ADVERBS: Final = {
    "daily": Every(),
    "everyday": Every(),
    "hourly": Every(unit="hour"),
    "weekly": Every(unit="week"),
    "monthly": MONTHLY,
    "yearly": Every(unit="year"),
    "annually": Every(unit="year"),
    "quarterly": Every(unit="month", months=(1, 4, 7, 10)),
    "fortnightly": Every(unit="week", count=2),
    "biweekly": Every(unit="week", count=2),
    "nightly": Every(),
}
GROUPS: Final = {
    "weekday": WORKING,
    "weekdays": WORKING,
    "workday": WORKING,
    "workdays": WORKING,
    "weekend": WEEKEND,
    "weekends": WEEKEND,
}


def every(words: Words, index: int) -> Piece | None:
    """Read a repetition with what stands before it: "on the last Friday of every month"."""
    for form in (_each, _dated, _plural, _adverb):
        if (piece := form(words, index)) is not None:
            return piece
    return None


def limit(words: Words, index: int) -> Piece | None:
    """Read what a rule cannot keep: "twice a day", "in 3 working days", "the last weekday of", "on the hour"."""
    end = words.says(index, "on", "the", "hour") or words.says(index, "on", "the", "half", "hour")
    which = words.word(index) == "last" or dates.ordinal(words, index) is not None
    if which and end is None:
        found = (-1, index + 1) if words.word(index) == "last" else dates.ordinal(words, index)
        end = found[1] + 1 if found and words.word(found[1]) in _WORKING else None
    if end is not None:
        return Piece(start=index, end=end, poison=True)
    word, per = words.word(index), {"a", "per", "every", "each", "daily", "weekly"}
    if word in {"twice", "thrice"} and words.word(index + 1) in per:
        return Piece(start=index, end=index + 2, poison=True)
    number = amounts.number(words, index)
    if number is None:
        return None
    end = number[1]
    if words.word(end) in {"business", "working"} and words.word(end + 1) in {"day", "days"}:
        return Piece(start=index, end=end + 2, poison=True)
    return (
        Piece(start=index, end=end + 2, poison=True)
        if words.word(end) == "times" and words.word(end + 1) in per
        else None
    )


_WORKING: Final = {"weekday", "workday", "working", "business"}


def _each(words: Words, index: int) -> Piece | None:
    """Read what follows "every" or "once a"."""
    start = index
    index = index + 1 if words.word(index) == "once" else index
    once = index > start and words.word(index) in {"a", "per", "an"}
    if words.word(index) not in EACH and not once:
        return None
    index += 1
    while words.word(index) == "single":
        index += 1
    for form in (_group, _named_days, _days, _nth, _counted, _date):
        if (found := form(words, index)) is not None:
            return _with_part(words, Piece(start=start, end=found[1], every=found[0]))
    part = PARTS.get(words.word(index))
    return Piece(start=start, end=index + 1, every=Every(), part=part) if part else None


def _with_part(words: Words, piece: Piece) -> Piece:
    part = PARTS.get(words.word(piece.end))
    return Piece(start=piece.start, end=piece.end + 1, every=piece.every, part=part) if part else piece


def _group(words: Words, index: int) -> tuple[Every, int] | None:
    """Read "weekday", "working day", "day of the week", "weekend"."""
    word = words.word(index)
    if word in {"working", "business", "work", "week"} and words.word(index + 1) in {"day", "days"}:
        return Every(unit="week", weekdays=WORKING), index + 2
    if word in GROUPS:
        return Every(unit="week", weekdays=GROUPS[word]), index + 1
    if word in {"mwf", "mon"} and words.says(index + 1, "-", "fri"):
        return Every(unit="week", weekdays=WORKING), index + 3
    return None


def _days(
    words: Words, index: int, names: Callable[[Words, int], tuple[int, int] | None] = dates.weekday
) -> tuple[Every, int] | None:
    """Read "Monday", "Monday and Thursday", "Mon, Wed & Fri", "Monday to Friday"."""
    first = names(words, index)
    if first is None:
        return None
    days, end = [first[0]], first[1]
    if words.word(end) in {"to", "through", "thru", "till", "until", "-", "\u2013"} and (last := names(words, end + 1)):
        return Every(unit="week", weekdays=_range(days[0], last[0])), last[1]
    while (more := _next_day(words, end, names)) is not None:
        days.append(more[0])
        end = more[1]
    return Every(unit="week", weekdays=tuple(sorted(set(days)))), end


def _range(first: int, last: int) -> tuple[int, ...]:
    return tuple(sorted((first + ahead) % 7 for ahead in range((last - first) % 7 + 1)))


def _next_day(
    words: Words, index: int, names: Callable[[Words, int], tuple[int, int] | None]
) -> tuple[int, int] | None:
    after = index
    while words.word(after) in {",", "and", "&", "/", "+", "every", "on", "or"}:
        after += 1
    if after == index:
        return None
    return names(words, after)


def _counted(words: Words, index: int) -> tuple[Every, int] | None:
    """Read "day", "2 hours", "other week", "third day", "half hour", "other Friday"."""
    count = 1
    nth = dates.ordinal(words, index)
    if words.word(index) in {"other", "alternate"}:
        count, index = 2, index + 1
    elif nth is not None and nth[0] > 1 and (amounts.unit(words, nth[1]) or dates.weekday(words, nth[1])):
        count, index = nth
    if count > 1 and (named := dates.weekday(words, index)) is not None:
        return Every(unit="week", count=count, weekdays=(named[0],)), named[1]
    if count == 1 and (found := amounts.amounts(words, index)) is not None:
        return _of_amounts(found)
    if (
        count == 1
        and words.word(index) == "couple"
        and (found := amounts.amounts(_with_a(words, index), 0)) is not None
    ):
        return _of_amounts((found[0], index + found[1] - 1))
    unit = amounts.unit(words, index)
    if unit is None:
        return None
    half = words.says(unit[2], "and", "a", "half") if count == 1 and unit[1] == "hour" else None
    if half is not None:
        return Every(unit="minute", count=90), half
    return Every(unit=unit[1], count=count * unit[0]), unit[2]


def _with_a(words: Words, index: int) -> Words:
    """Return the words from here on with an "a" before them: "every couple of hours"."""
    one = words.tokens[index]
    return Words(
        text=words.text,
        tokens=(type(one)(word="a", start=one.start, end=one.start, glued=False), *words.tokens[index:]),
    )


def _of_amounts(found: tuple[tuple[Amount, ...], int]) -> tuple[Every, int] | None:
    """Make one amount of several: an hour and 30 minutes are 90 minutes."""
    parts, end = found
    sizes = {"second": 1, "minute": 60, "hour": 3600}
    if len(parts) == 1:
        return Every(unit=parts[0].unit, count=parts[0].count), end
    if any(part.unit not in sizes for part in parts):
        return None
    seconds = sum(sizes[part.unit] * part.count for part in parts)
    return (Every(unit="minute", count=seconds // 60), end) if seconds % 60 == 0 else None


def _nth(words: Words, index: int) -> tuple[Every, int] | None:
    """Read "first Monday of the month", "last day of the month", "last Friday", "1st of the month"."""
    last = words.word(index) == "last"
    which = (-1, index + 1) if last else dates.ordinal(words, index)
    if which is None:
        return None
    number, end = which
    monthly = _of_the_month(words, end)
    if words.word(end) == "day" and (of := _of_the_month(words, end + 1)) is not None:
        return Every(unit="month", days=(number,)), of
    named = dates.weekday(words, end)
    if named is not None and number <= 5:
        of = _of_the_month(words, named[1])
        if of is not None or last or number in {1, 5}:
            return Every(unit="month", weekdays=(named[0],), nth=number), of or named[1]
        return None
    if monthly is not None:
        return Every(unit="month", days=(number,)), monthly
    numbers, after = _ordinals(words, index)
    bare = words.number(index) is not None and words.word(after) not in {*MONTHS, "of"}
    if len(numbers) > 1 or (bare and amounts.unit(words, after) is None):
        return Every(unit="month", days=tuple(numbers)), _of_the_month(words, after) or after
    return None


def _of_the_month(words: Words, index: int) -> int | None:
    """Skip "of the month", "of each month", "in the month"."""
    if words.word(index) not in {"of", "in"}:
        return None
    if words.word(index + 1) in {"the", "every", "each", "a"} and words.word(index + 2) == "month":
        return index + 3
    return None


def _date(words: Words, index: int) -> tuple[Every, int] | None:
    """Read "May 5th", "5 May", "25th of December", "January"."""
    if (month := MONTHS.get(words.word(index))) is not None and closed(words, index + 1):
        return Every(unit="year", months=(month,)), index + 1
    piece = dates.day(words, index)
    day = piece.day if piece else None
    if piece is None or day is None or day.month is None or day.day is None or day.year or day.weekday is not None:
        return None
    return Every(unit="year", months=(day.month,), days=(day.day,)), piece.end


def _dated(words: Words, index: int) -> Piece | None:
    """Read a day before "of every month": "on the 1st and 15th of each month", "the last Friday of every month"."""
    start = index
    if words.word(index) in {"on", "at"}:
        index += 1
    if words.word(index) == "the":
        index += 1
    if words.word(index) == "end" and (end := _every_month(words, index + 1)) is not None:
        return Piece(start=start, end=end, every=Every(unit="month", days=(-1,)))
    numbers, after = _ordinals(words, index)
    if not numbers:
        return None
    if words.word(after) == "day":
        after += 1
    monthly = _every_month(words, after) or (_of_the_month(words, after) if len(numbers) > 1 else None)
    if monthly is not None:
        return Piece(start=start, end=monthly, every=Every(unit="month", days=tuple(numbers)))
    named = dates.weekday(words, after)
    if named is not None and (end := _every_month(words, named[1])) is not None and len(numbers) == 1:
        return Piece(start=start, end=end, every=Every(unit="month", weekdays=(named[0],), nth=numbers[0]))
    return None


def _every_month(words: Words, index: int) -> int | None:
    """Read "of every month", "of each month", "every month", "each month", "monthly"."""
    index = index + 1 if words.word(index) in {"of", "in"} else index
    if words.word(index) in EACH and words.word(index + 1) == "month":
        return index + 2
    return index + 1 if words.word(index) == "monthly" else None


def _ordinals(words: Words, index: int) -> tuple[list[int], int]:
    """Read "1st", "1st and 15th", "first and the last"."""
    numbers: list[int] = []
    end = index
    while True:
        found = (-1, index + 1) if words.word(index) == "last" else dates.ordinal(words, index)
        if found is None:
            return numbers, end
        numbers.append(found[0])
        end = index = found[1]
        while words.word(index) in {"and", ",", "&", "the"}:
            index += 1


def month_days(words: Words, index: int) -> Piece | None:
    """Read "on the 1st and 15th", "on the last day": days that a monthly repetition is given."""
    start = index
    if words.word(index) in {"on", "at"}:
        index += 1
    index = index + 1 if words.word(index) == "the" else index
    if words.word(index) == "end":
        return Piece(start=start, end=index + 1, every=Every(unit="month", days=(-1,)))
    numbers, end = _ordinals(words, index)
    if not numbers:
        return None
    if (named := dates.weekday(words, end)) is not None and len(numbers) == 1:
        return Piece(start=start, end=named[1], every=Every(unit="month", weekdays=(named[0],), nth=numbers[0]))
    end = end + 1 if words.word(end) == "day" else end
    return Piece(start=start, end=end, every=Every(unit="month", days=tuple(numbers)))


def week_days(words: Words, index: int) -> Piece | None:
    """Read "on Monday and Wednesday": days that a weekly repetition is given."""
    found = weekdays(words, index + 1 if words.word(index) == "on" else index)
    return Piece(start=index, end=found[1], every=found[0]) if found and len(found[0].weekdays) > 1 else None


def weekdays(words: Words, index: int) -> tuple[Every, int] | None:
    """Read names of weekdays, or "weekends", without "every"."""
    return _days(words, index, _plural_name) or _group(words, index)


def _plural(words: Words, index: int) -> Piece | None:
    """Read "on Mondays and Thursdays", "weekdays", "at weekends", "on working days", "Mon-Fri"."""
    start = index
    index = index + 1 if words.word(index) in {"on", "at"} or _ranged(words, index) else index
    index = index + 1 if words.word(index) in {"the", "all"} and words.word(index + 1) in GROUPS else index
    word = words.word(index)
    if word in {"weekdays", "workdays", "weekends"} or (
        word in {"working", "business"} and words.word(index + 1) == "days"
    ):
        found = _group(words, index)
    elif word in PLURALS:
        found = _days(words, index, _plural_name)
    elif (found := _row_of_days(words, index)) is not None:
        pass
    elif dates.weekday(words, index) and words.word(index + 1) in _PART_PLURALS:
        found = _days(words, index)
    elif dates.weekday(words, index) and words.word(index + 1) in {"-", "\u2013", "through", "thru", "to"}:
        found = _days(words, index)
        found = found if found and len(found[0].weekdays) > 1 else None
    else:
        return None
    return _with_part(words, Piece(start=start, end=found[1], every=found[0])) if found else None


def _ranged(words: Words, index: int) -> bool:
    """Tell whether "from Monday to Friday" begins here."""
    first = dates.weekday(words, index + 1) if words.word(index) == "from" else None
    return first is not None and words.word(first[1]) in {"to", "through", "till"}


def _named_days(words: Words, index: int) -> tuple[Every, int] | None:
    """Read what may follow "every": "tue thu"."""
    return _row_of_days(words, index, least=2)


def _row_of_days(words: Words, index: int, *, least: int = 3) -> tuple[Every, int] | None:
    """Read three weekdays and more in a row, which are meant every week: "mon wed fri", "Mon, Wed and Fri"."""
    days: list[int] = []
    end = index
    while (named := dates.weekday(words, index)) is not None:
        days.append(named[0])
        index = end = named[1]
        while words.word(index) in {",", "and", "&", "/", "+"}:
            index += 1
    return (Every(unit="week", weekdays=tuple(sorted(set(days)))), end) if len(days) >= least else None


_PART_PLURALS: Final = {"mornings", "afternoons", "evenings", "nights"}


def _plural_name(words: Words, index: int) -> tuple[int, int] | None:
    word = words.word(index)
    return (PLURALS[word], index + 1) if word in PLURALS else dates.weekday(words, index)


def _adverb(words: Words, index: int) -> Piece | None:
    """Read "daily", "weekly": not before a noun ("the daily report")."""
    word = words.word(index)
    if word in PARTS and word.endswith("s") and (index == 0 or closed(words, index + 1)):
        return Piece(start=index, end=index + 1, every=Every(), part=PARTS[word])
    if word not in ADVERBS or words.word(index - 1) in DETERMINERS:
        return None
    part = ADVERBS[word] == Every() and words.word(index + 1) in PARTS
    if not (part or closed(words, index + 1) or clocks.time(words, index + 1)):
        return None
    piece = Piece(start=index, end=index + 1, every=ADVERBS[word], part="night" if word == "nightly" else None)
    return _with_part(words, piece) if part else piece
