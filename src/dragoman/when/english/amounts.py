"""Numbers and amounts of time in English: "twenty-five", "an hour and a half", "2h30m", "in three days"."""

import datetime as dt
from fractions import Fraction
from typing import Final

from dragoman.when.english.tokens import Words, by_first
from dragoman.when.english.vocabulary import LETTERS, ONES, SIZES, SMALLER, TENS, UNITS
from dragoman.when.spec import Amount, Unit

ROUGHLY: Final = {"about", "around", "approximately", "roughly", "exactly", "just", "another", "like"}

Found = tuple[Fraction, int]


def number(words: Words, index: int) -> tuple[int, int] | None:
    """Read a whole number, in digits or in words up to some hundreds; returns it and the index after it."""
    digits = words.number(index)
    if digits is not None:
        return digits, index + 1
    word = words.word(index)
    if (word in ONES or word == "a") and words.word(index + 1) == "hundred":
        return _hundreds(words, index + 2, ONES.get(word, 1) * 100)
    return _below_hundred(words, index)


def amounts(words: Words, index: int) -> tuple[tuple[Amount, ...], int] | None:
    """Read amounts of ever smaller units: "2 days and 3 hours"."""
    first = _amount(words, index)
    if first is None:
        return None
    found, end = list(first[0]), first[1]
    while (more := _next_amount(words, end, found[-1].unit)) is not None:
        found += more[0]
        end = more[1]
    return tuple(found), end


def later(words: Words, index: int) -> tuple[tuple[Amount, ...], int] | None:
    """Read amounts after "in" or "after": "in about 10 minutes' time"."""
    if words.word(index) not in {"in", "within", "after"}:
        return None
    index += 1
    index = words.says(index, "the", "next") or words.says(index, "next") or index
    while words.word(index) in ROUGHLY:
        index += 1
    found = amounts(words, index)
    if found is None:
        return None
    return found[0], tail(words, found[1])


def elapsed(after: tuple[Amount, ...]) -> dt.timedelta:
    """Return the length of amounts of hours and less; nothing for longer ones."""
    sizes = {"hour": 3600, "minute": 60, "second": 1}
    if any(amount.unit not in sizes or amount.count > 10_000 for amount in after):
        return dt.timedelta()
    return dt.timedelta(seconds=sum(sizes[amount.unit] * amount.count for amount in after))


def tail(words: Words, index: int) -> int:
    """Skip what may follow an amount: "two weeks' time", "from now"."""
    quoted = index + 1 if words.word(index) == "'" else index
    if words.word(quoted) == "time":
        index = quoted + 1
    return words.says(index, "from", "now") or index


def _below_hundred(words: Words, index: int) -> tuple[int, int] | None:
    word = words.word(index)
    if word in ONES:
        return ONES[word], index + 1
    if word not in TENS:
        return None
    after = index + 2 if words.word(index + 1) == "-" else index + 1
    if 1 <= (ones := ONES.get(words.word(after), 0)) <= 9:
        return TENS[word] + ones, after + 1
    return TENS[word], index + 1


def _hundreds(words: Words, index: int, hundreds: int) -> tuple[int, int]:
    after = index + 1 if words.word(index) == "and" else index
    rest = _below_hundred(words, after)
    return (hundreds + rest[0], rest[1]) if rest else (hundreds, index)


def _quantity(words: Words, index: int) -> Found | None:
    """Read how many: "2", "2.5", "a", "half an", "a couple of", "one and a half"."""
    for phrase in _PHRASES.get(words.word(index), ()):
        if (end := words.says(index, *phrase)) is not None:
            return _FRACTIONS[phrase], end
    found = number(words, index)
    if found is None:
        return (Fraction(1), index + 1) if words.word(index) in {"a", "an"} else None
    whole, end = found
    if words.word(end) in {".", ","} and words.glued(end) and words.glued(end + 1) and words.digits(end + 1):
        places = words.digits(end + 1)
        return whole + Fraction(words.number(end + 1) or 0, 10**places), end + 2
    half = words.says(end, "and", "a", "half") or (end + 1 if words.word(end) == "½" else None)
    return (whole + Fraction(1, 2), half) if half else (Fraction(whole), end)


_FRACTIONS: Final = {
    ("half", "an"): Fraction(1, 2),
    ("half", "a"): Fraction(1, 2),
    ("a", "half"): Fraction(1, 2),
    ("half",): Fraction(1, 2),
    ("a", "quarter", "of", "an"): Fraction(1, 4),
    ("quarter", "of", "an"): Fraction(1, 4),
    ("a", "quarter"): Fraction(1, 4),
    ("three", "quarters", "of", "an"): Fraction(3, 4),
    ("a", "couple", "of"): Fraction(2),
    ("a", "couple"): Fraction(2),
    ("a", "dozen"): Fraction(12),
    ("½",): Fraction(1, 2),
}
_PHRASES: Final = by_first(_FRACTIONS)


def unit(words: Words, index: int) -> tuple[int, Unit, int] | None:
    """Read a unit of time; returns how many of which one, and the index after it."""
    word = words.word(index)
    if word in UNITS:
        end = index + 2 if words.word(index + 1) == "." and word in {"min", "mins", "hr", "hrs", "sec"} else index + 1
        return *UNITS[word], end
    if word in LETTERS and (words.glued(index) or word == "h") and words.number(index - 1) is not None:
        return *LETTERS[word], index + 1
    if word.endswith("'s") and words.word(index + 1) == "time" and word[:-2] in UNITS:
        return *UNITS[word[:-2]], index + 1  # "in an hour's time"
    return None


def _amount(words: Words, index: int) -> tuple[tuple[Amount, ...], int] | None:
    quantity = _quantity(words, index)
    if quantity is None:
        return None
    count, end = quantity
    if words.word(end) == "-":
        end += 1
    named = unit(words, end)
    if named is None:
        return None
    factor, name, end = named
    if (
        half := words.says(end, "and", "a", "half")
        or words.says(end, "&", "a", "half")
        or words.says(end, "and", "half")
    ):
        count, end = count + Fraction(1, 2), half
    elif (quarter := words.says(end, "and", "a", "quarter")) is not None:
        count, end = count + Fraction(1, 4), quarter
    whole = exactly(count * factor, name)
    return ((whole,), end) if whole else None


def exactly(count: Fraction, name: Unit) -> Amount | None:
    """Return a whole amount, in a smaller unit if need be: half an hour is 30 minutes; None where none is exact."""
    while count.denominator != 1:
        if name not in SMALLER:
            return None
        factor, name = SMALLER[name]
        count *= factor
    return Amount(count=int(count), unit=name)


def _next_amount(words: Words, index: int, last: Unit) -> tuple[tuple[Amount, ...], int] | None:
    """Read a further, smaller amount, if one follows: "and 10 minutes", "30m", or the bare 30 of "2h30"."""
    bare = words.digits(index) == 2 and unit(words, index + 1) is None
    ends = words.word(index + 1) in {"", "to", ".", ",", "that", "please"}
    if last == "hour" and bare and (words.glued(index) or ends):
        return (Amount(count=words.number(index) or 0, unit="minute"),), index + 1
    after = index
    while words.word(after) in {"and", ",", "&"}:
        after += 1
    found = _amount(words, after)
    if found is None or SIZES.index(found[0][0].unit) >= SIZES.index(last):
        return None
    return found
