"""A piece of a phrase that speaks of time, as a value."""

from typing import Literal

from dragoman.model import Value
from dragoman.when.spec import Amount, Clock, Every

Kind = Literal[
    "refused",
    "early",
    "each",
    "every",
    "nth",
    "ahead",
    "weekdays",
    "week",
    "year",
    "month",
    "days",
    "after",
    "clock",
    "part",
    "begin",
    "same",
    "vague",
    "moving",
]


class Piece(Value):
    """One piece and where it stands; which fields it uses depends on its kind."""

    kind: Kind
    start: int = 0
    end: int = 0
    number: int | None = None
    """How many days ahead, which week, month or year from this one, which in the month; `each`: how many weeks."""
    named: int | None = None
    """A month or a year by its number."""
    numbers: tuple[int, ...] = ()
    """Weekdays, or days of the month."""
    weekend: bool = False
    """Saturday, and every week Sunday too."""
    repeats: bool = False
    """Days that can only be meant again and again: from Monday to Friday."""
    part: str = ""
    clock: Clock | None = None
    amounts: tuple[Amount, ...] = ()
    every: Every | None = None
    doubtful: bool = False
    """May be no time at all: "三点建议", "3号会议室"; it counts only in the company of other pieces."""
