"""Going through the words of a text: pieces of time, what people say around them, and what is left."""

from typing import Final

import msgspec

from dragoman.model import Value
from dragoman.when.english import amounts, clocks, counted, dates, leads, repetition
from dragoman.when.english.pieces import Piece, Time
from dragoman.when.english.tokens import Words
from dragoman.when.english.vocabulary import (
    DETERMINERS,
    HOLIDAYS,
    MEASURES,
    MONTHS,
    ONES,
    ORDINALS,
    PARTS,
    PLURALS,
    RELATIVE,
    TENS,
    WEEKDAYS,
    ZONES,
)
from dragoman.when.spec import Day

BEGINNING: Final = {"starting", "beginning", "from", "start", "begin"}
LIMITS: Final = {"until", "till", "til", "except", "unless", "through", "before"}
_OTHERS: Final = (
    "a an half quarter the in within after tonight once twice thrice end last day later same during following weekend "
    "working business eod cob ½ between first as but all"
)
_FIRST_WORDS: Final = frozenset(
    {*ONES, *TENS, *ORDINALS, *WEEKDAYS, *MONTHS, *RELATIVE, *PARTS, *PLURALS, *repetition.ADVERBS, *repetition.GROUPS}
    | {*BEGINNING, *LIMITS, *clocks.PREFIXES, *repetition.EACH, *dates.PREPOSITIONS, *dates.WHICH, *_OTHERS.split()}
    | {name[0] for name in HOLIDAYS}
)
"""A piece begins with one of these, or with a number."""


class Scanned(Value):
    """What was found; spans are of words, and what belongs to no span is the task."""

    words: Words
    pieces: tuple[Piece, ...]
    said: tuple[tuple[int, int], ...]
    """Lead-ins and politeness."""
    woken: bool
    """It is to wake someone: a bare hour is the morning's."""
    asked: bool
    """It was put as a question: "can you remind me ...?"."""


def scan(words: Words) -> Scanned:
    """Find the pieces of time in a text and what people say around them."""
    pieces: list[Piece] = []
    said: list[tuple[int, int]] = []
    index, opening, led = 0, True, False
    while index < len(words):
        if (end := None if words.tokens[index].opaque else _around(words, index, opening=opening, led=led)) is not None:
            led = led or leads.lead(words, index) is not None
            pieces += _rule_in_lead(words, index, end)
            said.append((index, end))
            opening, index = True, end
        elif (piece := None if words.tokens[index].opaque else _piece(words, index, pieces)) is not None:
            piece = _with_manner(words, piece, pieces)
            pieces.append(_grouped(words, piece, pieces))
            index = piece.end
        else:
            opening = opening and not words.word(index).isalnum()
            index += 1
    woken = any(words.word(start) == "wake" for start, _ in said)
    asked = words.word(0) in {"can", "could", "would", "will"} or words.word(1) in {"can", "could", "would", "will"}
    return Scanned(words=words, pieces=tuple(pieces), said=tuple(said), woken=woken, asked=asked)


def _with_manner(words: Words, piece: Piece, before: list[Piece]) -> Piece:
    """Take the words that only colour a time: "early tomorrow", "at 5pm sharp", "exactly at noon"."""
    free = not before or before[-1].end < piece.start
    start = piece.start - 1 if free and words.word(piece.start - 1) in _BEFORE else piece.start
    end = words.says(piece.end, "sharp") or words.says(piece.end, "on", "the", "dot") or piece.end
    end = words.says(end, "first", "thing") or end
    return msgspec.structs.replace(piece, start=start, end=end)


_BEFORE: Final = {"early", "late", "later", "exactly", "precisely", "sometime", "starting", "ideally"}


def _grouped(words: Words, piece: Piece, before: list[Piece]) -> Piece:
    """Put a piece that follows the one before it directly into its group: "tomorrow, Friday 27 November"."""
    if not before:
        return piece
    gap = [words.word(at) for at in range(before[-1].end, piece.start)]
    apart = any(word.isalnum() and word not in _JOINING for word in gap)
    return msgspec.structs.replace(piece, group=before[-1].group + apart)


_JOINING: Final = {"of", "the", "on", "in"}


def _around(words: Words, index: int, *, opening: bool, led: bool) -> int | None:
    """Return the index after a lead-in or politeness, where one may stand."""
    word = words.word(index)
    if not led and (opening or word in {"remind", "and"}):
        start = index + 1 if word == "and" and words.word(index + 1) == "remind" else index
        if (opening or start > index or word == "remind") and (end := leads.lead(words, start)) is not None:
            return end
    end = leads.polite(words, index)
    if end is None:
        return None
    return (
        end if opening or not any(words.word(rest).isalnum() for rest in range(end, min(end + 4, len(words)))) else None
    )


def _rule_in_lead(words: Words, start: int, end: int) -> list[Piece]:
    """Keep the repetition of "set a daily reminder"."""
    rules = [repetition.ADVERBS[word] for at in range(start, end) if (word := words.word(at)) in repetition.ADVERBS]
    return [Piece(start=start, end=end, every=rule) for rule in rules]


def _piece(words: Words, index: int, before: list[Piece]) -> Piece | None:
    """Read the longest piece that begins here."""
    if words.number(index) is None and words.word(index) not in _FIRST_WORDS and words.word(index) != "@":
        return None
    if words.number(index) is not None and words.glued(index) and words.word(index - 1) in {":", "/", "."}:
        return None  # within a number of another kind
    last = before[-1] if before else None
    forms = [
        repetition.limit,
        _begins,
        _except,
        _limits,
        repetition.every,
        counted.same_time,
        counted.shifted,
        clocks.clock,
        dates.day,
        _part,
    ]
    if any(piece.every and piece.every.unit == "month" and not piece.every.days for piece in before):
        forms.append(repetition.month_days)
    if any(piece.every and piece.every.unit == "week" and not piece.every.weekdays for piece in before):
        forms.append(repetition.week_days)
    if last is not None and last.every is not None and last.end == index:
        forms.append(_for_a_while)
    found = [piece for form in forms if (piece := form(words, index)) is not None]
    if not found:
        return _bare(words, index, last)
    rule = any(piece.every for piece in before)
    return _vague(words, _more_times(words, max(found, key=lambda piece: piece.end), rule=rule))


def _vague(words: Words, piece: Piece) -> Piece:
    """Skip "or so"; do not choose between two ("in a day or two", "at 3 or 4"), nor guess after "not"."""
    if words.word(piece.start - 1) == "not" or (piece.times and _elsewhere(words, piece.end)):
        return msgspec.structs.replace(piece, poison=True, weak=False)
    if piece.times and _ends_a_span(words, piece.start):
        return msgspec.structs.replace(piece, poison=True, weak=False)
    if piece.times and words.word(piece.start - 1) in DETERMINERS and not clocks.closed(words, piece.end):
        return msgspec.structs.replace(piece, weak=True)  # "the 2pm deploy" gives way to another time
    if words.word(piece.end) != "or":
        return piece
    if words.word(piece.end + 1) == "so":
        return msgspec.structs.replace(piece, end=piece.end + 2)
    another = words.number(piece.end + 1) is not None or words.word(piece.end + 1) in _FIRST_WORDS
    return msgspec.structs.replace(piece, poison=True, weak=False) if another else piece


def _ends_a_span(words: Words, index: int) -> bool:
    """Tell "2-3pm" from "3pm"."""
    tied = words.word(index - 1) in {"-", "\u2013"} and words.glued(index) and words.glued(index - 1)
    return tied and words.number(index - 2) is not None


def _more_times(words: Words, piece: Piece, *, rule: bool) -> Piece:
    """Take further times of a list: "at 9, 12 and 5pm"; am or pm at its end holds for all that have none."""
    times, end = list(piece.times), piece.end
    while times and words.word(end) in {"and", ",", "&", "/"}:
        at = end + 1
        while words.word(at) in {"and", "at"}:
            at += 1
        part = PARTS.get(words.word(at), "")
        noon = (clocks.named(part), at + 1) if part in {"noon", "midnight"} else None
        found = noon or clocks.time(words, at) or clocks.spoken(words, at)
        if found is None or not (clocks.closed(words, found[1]) or (rule and _no_count(words, found[1]))):
            break
        times.append(found[0])
        end = found[1]
    return msgspec.structs.replace(piece, end=end, times=tuple(times)) if end > piece.end else piece


def _no_count(words: Words, index: int) -> bool:
    """Tell "every day at 9 and 21 take pills" from "every day at 9 and 2 eggs"."""
    word = words.word(index)
    return word.isalpha() and not word.endswith("s") and word not in MEASURES and not amounts.unit(words, index)


def _elsewhere(words: Words, index: int) -> bool:
    """Tell whether a time is another zone's ("3pm EST", "15:00+02:00"), or the start of a span ("3pm-4pm")."""
    signed = words.word(index) in {"+", "-"} and words.glued(index) and words.glued(index + 1)
    return words.word(index) in _ZONES or (signed and words.number(index + 1) is not None)


_ZONES: Final = set(ZONES.split())


def _begins(words: Words, index: int) -> Piece | None:
    """Read "starting on Monday", "from tomorrow on", "starting at 9"."""
    word = words.word(index)
    as_of = words.says(index, "as", "of")
    if word not in BEGINNING and as_of is None:
        return None
    at = as_of or index + 1
    at = at + 1 if words.word(at) == "from" else at
    found = dates.day(words, at) or counted.shifted(words, at)
    if found is None:
        timed = clocks.clock(words, at) or _from_number(words, at, word)
        return msgspec.structs.replace(timed, start=index) if timed else None
    end = (
        found.end + 1
        if words.word(found.end) in {"on", "onwards", "onward"} and _ends(words, found.end + 1)
        else found.end
    )
    return msgspec.structs.replace(found, start=index, end=end, begins=True, weak=False)


def _except(words: Words, index: int) -> Piece | None:
    """Read the days that "every day except Sunday" leaves out."""
    if words.word(index) not in {"except", "but"}:
        return None
    at = index + 1 if words.word(index) == "except" else index + 2
    at = at + 1 if words.word(at) in {"for", "on"} else at
    found = repetition.weekdays(words, at)
    if found is None or (words.word(index) == "but" and words.word(index + 1) != "not"):
        return None
    return Piece(start=index, end=found[1], except_days=found[0].weekdays)


def _ends(words: Words, index: int) -> bool:
    return words.number(index) is None and words.word(index) not in WEEKDAYS and words.word(index) not in MONTHS


def _from_number(words: Words, index: int, word: str) -> Piece | None:
    found = clocks.spoken(words, index) if word != "from" else None
    return Piece(start=index, end=found[1], times=(found[0],)) if found else None


def _limits(words: Words, index: int) -> Piece | None:
    """Read a limit that no rule keeps: "until Friday", "for 3 weeks", "between 9 and 5", "except Sundays"."""
    if words.word(index) in LIMITS:
        inner = dates.day(words, index + 1) or clocks.clock(words, index + 1) or repetition.every(words, index + 1)
        spoken = clocks.spoken(words, index + 1)
        end = inner.end if inner else spoken[1] if spoken else None
        return Piece(start=index, end=end, poison=True) if end else None
    if words.word(index) in {"between", "from"} and (
        first := clocks.time(words, index + 1) or clocks.spoken(words, index + 1)
    ):
        if words.word(first[1]) not in {"and", "to", "until", "till", "-", "\u2013"}:
            return None
        second = clocks.time(words, first[1] + 1) or clocks.spoken(words, first[1] + 1)
        return Piece(start=index, end=second[1], poison=True) if second else None
    if words.word(index) == "for" and (found := amounts.amounts(words, index + 1)) is not None:
        long = found[0][0].unit in {"day", "week", "month", "year"}
        return Piece(start=index, end=found[1], poison=True, weak=True) if long else None
    return None


def _for_a_while(words: Words, index: int) -> Piece | None:
    """Read "for an hour" right after a repetition: a limit, too."""
    found = amounts.amounts(words, index + 1) if words.word(index) == "for" else None
    return Piece(start=index, end=found[1], poison=True) if found else None


def _part(words: Words, index: int) -> Piece | None:
    """Read "in the morning", "at night", "during the afternoon", "first thing in the morning"."""
    start = index
    index = words.says(index, "first", "thing") or index
    for phrase in (("in", "the"), ("during", "the"), ("in",), ("at",)):
        end = words.says(index, *phrase)
        if end is not None and (part := PARTS.get(words.word(end))):
            return (
                Piece(start=start, end=end + 1, part=part) if clocks.closed(words, end + 1) or end > index + 1 else None
            )
    if index > start and (piece := dates.day(words, index)) is not None:
        return msgspec.structs.replace(piece, start=start)
    return None


def _bare(words: Words, index: int, last: Piece | None) -> Piece | None:
    """Read a bare number right after a day as a time, "tomorrow 9"; one after a month as its day, "next month 5th"."""
    if last is not None and last.frame and last.frame[0] == "month" and last.end == index:
        nth = dates.ordinal(words, index)
        return Piece(start=index, end=nth[1], day=Day(day=nth[0])) if nth else None
    follows = (
        last is not None and last.end == index and not last.times and (last.day is not None or last.every is not None)
    )
    hour = words.number(index) if follows else None
    dotted = clocks.dotted(words, index) if hour is not None else None
    if dotted is not None and words.word(dotted[1]) not in MEASURES:
        return Piece(start=index, end=dotted[1], times=(dotted[0],), weak=True)
    if hour is None or not (clocks.closed(words, index + 1) or (hour > 6 and _no_count(words, index + 1))):
        return None
    if words.digits(index) > 2 or hour > 24 or words.word(index + 1) in {"%", "$", "€", "/", "."}:
        return None
    return Piece(start=index, end=index + 1, times=(Time(hour=hour),), weak=True)
