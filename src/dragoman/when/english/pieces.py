"""What the parsers find: pieces of a phrase, each over some words, still to be combined."""

from typing import Literal

from dragoman.model import Value
from dragoman.when.spec import Amount, Clock, Day, Every

Half = Literal["am", "pm"]


class Time(Value):
    """A time of day as it was written."""

    hour: int
    minute: int = 0
    half: Half | None = None
    exact: bool = False
    """True where nothing is open: 15:00, 09:00, noon."""

    def clock(self) -> Clock:
        """Return the time of day; an hour that contradicts am or pm gives one that no day has."""
        hour = self.hour
        if self.half == "am" and hour <= 12:
            hour %= 12
        elif self.half == "am" or (self.half == "pm" and hour < 12):
            hour += 12
        return Clock(hour=hour, minute=self.minute, sure=self.exact or self.half is not None or hour > 12)


class Piece(Value):
    """A part of a phrase over the words from `start` to before `end`."""

    start: int
    end: int
    after: tuple[Amount, ...] = ()
    day: Day | None = None
    others: tuple[Day, ...] = ()
    frame: tuple[Literal["week", "month", "year"], int] | None = None
    """A week, month or year from this one, in which the day is: "next week"."""
    times: tuple[Time, ...] = ()
    part: str | None = None
    """A part of the day: "morning"."""
    every: Every | None = None
    group: int = 0
    """The same for pieces with nothing but signs between them."""
    except_days: tuple[int, ...] = ()
    """Weekdays that a repetition leaves out."""
    weak: bool = False
    """It may as well belong to the task."""
    purpose: bool = False
    """It says what the task is for ("a table for Saturday"): alone it is no time."""
    begins: bool = False
    """A repetition begins there: "starting on Monday"."""
    early: tuple[Amount, ...] = ()
    """So much before the time that the rest says: "remind me 10 minutes before the meeting at 3pm"."""
    poison: bool = False
    """A limit that we cannot keep ("until Friday"): the whole is not understood."""
