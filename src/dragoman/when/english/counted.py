"""Times that are counted in English: "in 3 days", "a week from Monday", "30 minutes before noon"."""

from typing import Final

import msgspec

from dragoman.when.english import amounts, clocks, dates
from dragoman.when.english.pieces import Piece, Time
from dragoman.when.english.tokens import Words
from dragoman.when.english.vocabulary import DETERMINERS, PARTS, RELATIVE
from dragoman.when.spec import Amount

_SAME_TIME: Final[dict[tuple[str, ...], Amount]] = {
    ("tomorrow",): Amount(count=1, unit="day"),
    ("next", "week"): Amount(count=1, unit="week"),
    ("next", "month"): Amount(count=1, unit="month"),
    ("next", "year"): Amount(count=1, unit="year"),
}


def same_time(words: Words, index: int) -> Piece | None:
    """Read "this time tomorrow", "same time next week", "tomorrow at the same time"."""
    start = index
    index = index + 1 if words.word(index) == "at" else index
    index = index + 1 if words.word(index) == "the" else index
    before = words.says(index, "this", "time") or words.says(index, "same", "time")
    for phrase, amount in _SAME_TIME.items():
        if before is not None and (end := words.says(before, *phrase)) is not None:
            return Piece(start=start, end=end, after=(amount,))
        if (end := words.says(start, *phrase)) is not None:
            named = words.says(end, "at", "the", "same", "time") or words.says(end, "same", "time")
            named = named or words.says(end, "at", "this", "time")
            return Piece(start=start, end=named, after=(amount,)) if named else None
    return None


def shifted(words: Words, index: int) -> Piece | None:
    """Read "in 3 days", "10 minutes from now", "a week from Monday", "two days before Friday"."""
    if (found := amounts.later(words, index)) is not None:
        return _from_day(words, index, found)
    if words.word(index) == "for" and words.word(index - 1) in {"timer", "alarm", "reminder", "alert"}:
        found = amounts.amounts(words, index + 1)
        return Piece(start=index, end=amounts.tail(words, found[1]), after=found[0]) if found else None
    found = amounts.amounts(words, index)
    if found is None:
        return None
    after, end = found
    if words.word(end) in {"later", "hence"} or words.says(end, "from", "now") or words.says(end, "from", "today"):
        return Piece(start=index, end=end + (1 if words.word(end) in {"later", "hence"} else 2), after=after)
    if words.word(end) in {"from", "after", "before", "prior"}:
        return _from_day(words, index, found, alone=False) or _from_clock(words, index, found)
    if words.word(end) in {"timer", "alarm"}:
        return Piece(start=index, end=end + 1, after=after)
    if words.word(index - 1) in {"timer", "alarm", "reminder"}:
        return Piece(start=index, end=end, after=after)
    return _week_on(words, index, found)


def _week_on(words: Words, start: int, found: tuple[tuple[Amount, ...], int]) -> Piece | None:
    """Read "a week on Friday", "two weeks tomorrow"."""
    after, end = found
    named = words.word(end) == "on" or words.word(end) in RELATIVE
    base = dates.day(words, end) if named and [amount.unit for amount in after] == ["week"] else None
    if base is None or base.after or base.others or base.day is None or words.word(start - 1) == "for":
        return None
    return msgspec.structs.replace(base, start=start, after=after, weak=False)


def _from_clock(words: Words, start: int, found: tuple[tuple[Amount, ...], int]) -> Piece | None:
    """Read "30 minutes before 5pm"."""
    after, end = found
    hence = end + 2 if words.word(end) == "prior" else end + 1
    named = hence + 1 if words.word(hence) in DETERMINERS else hence
    timed = clocks.clock(words, named) or _noon(words, named)
    minutes = int(amounts.elapsed(after).total_seconds() // 60)
    if timed is None or not timed.times or not minutes:
        led = words.word(start - 1) in {"me", "us", "reminder", "alarm", "up"}
        return _early(words, start, found) if led and words.word(end) != "from" else None
    return _moved(
        msgspec.structs.replace(timed, start=start, part=None),
        timed.times[0],
        minutes * (1 if words.word(end) == "after" else -1),
    )


def _noon(words: Words, index: int) -> Piece | None:
    """Read "noon" after "before", whatever follows it."""
    part = PARTS.get(words.word(index), "")
    return Piece(start=index, end=index + 1, times=(clocks.named(part),)) if part in {"noon", "midnight"} else None


def _early(words: Words, start: int, found: tuple[tuple[Amount, ...], int]) -> Piece:
    """Read "10 minutes before the meeting": the rest has to say when that is."""
    after, end = found
    hence = end + 2 if words.word(end) == "prior" else end + 1
    if words.word(end) == "after" or len(after) > 1:
        return Piece(start=start, end=hence, poison=True)
    return Piece(start=start, end=hence, early=after)


def _moved(piece: Piece, time: Time, minutes: int) -> Piece:
    """Move a time of day; one that would leave its day, or its half of it, is not understood."""
    known = time.clock()
    total = known.hour * 60 + known.minute + minutes
    if known.sure and 0 <= total < 24 * 60:
        return msgspec.structs.replace(
            piece, times=(Time(hour=total // 60, minute=total % 60, exact=True),), weak=False
        )
    if not known.sure and 60 <= total < 13 * 60:
        return msgspec.structs.replace(piece, times=(Time(hour=total // 60, minute=total % 60),), weak=False)
    return msgspec.structs.replace(piece, times=(), poison=True)


def _from_day(words: Words, start: int, found: tuple[tuple[Amount, ...], int], *, alone: bool = True) -> Piece | None:
    """Count an amount from the day that follows, if one does."""
    after, end = found
    base = dates.day(words, end + 1) if words.word(end) in {"from", "after", "before"} else None
    if (
        base is None
        or base.after
        or base.others
        or any(amount.unit in {"second", "minute", "hour"} for amount in after)
    ):
        return Piece(start=start, end=end, after=after) if alone else None
    if words.word(end) == "before":
        after = tuple(Amount(count=-amount.count, unit=amount.unit) for amount in after)
    return msgspec.structs.replace(base, start=start, after=after, weak=False)
