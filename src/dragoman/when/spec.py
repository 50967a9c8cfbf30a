"""What a phrase says about time, before it meets a calendar: the values that the grammars give and `place` reads."""

from typing import Final, Literal

from dragoman.model import Value

Unit = Literal["second", "minute", "hour", "day", "week", "month", "year"]


class Amount(Value):
    """So many of a unit: "half an hour" is 30 minutes; days and longer keep the time of day, shorter ones elapse."""

    count: int
    unit: Unit


class Clock(Value):
    """A time of day, from 0:00 to 24:00."""

    hour: int
    minute: int = 0
    sure: bool = True
    """False where morning or afternoon is left open: "at 3"."""


PARTS: Final = {
    "morning": Clock(hour=9),
    "noon": Clock(hour=12),
    "afternoon": Clock(hour=15),
    "evening": Clock(hour=19),
    "night": Clock(hour=20),
    "midnight": Clock(hour=24),
}
"""What a part of the day means when no hour is named. Midnight ends the day that it is said with."""
NINE: Final = PARTS["morning"]
"""What a date without a time means."""


class Day(Value):
    """A day: by distance from today, by its date, or by its name; a weekday beside one of the former has to agree."""

    ahead: int | None = None
    """Days from today: 0 today, 1 tomorrow, -1 yesterday."""
    weekday: int | None = None
    """0 is Monday."""
    weeks: int | None = None
    """With a weekday: in which week from this one, weeks begin on Monday; None: the next such day, today included."""
    nth: int | None = None
    """With a weekday: which of its month (`month` or `months`), 1 is the first, -1 the last."""
    month: int | None = None
    day: int | None = None
    """Day of the month; -1 is the last. With a month and no day: the first."""
    months: int | None = None
    """With a day and no month: in which month from this one; None: the next one that has this day."""
    year: int | None = None
    years: int | None = None
    """With a month: in which year from this one, in place of `year`."""


class Every(Value):
    """A repetition: every `count` units, or on the named days."""

    count: int = 1
    unit: Unit = "day"
    weekdays: tuple[int, ...] = ()
    """0 is Monday."""
    nth: int | None = None
    """With weekdays: which of the month, 1 is the first, -1 the last."""
    days: tuple[int, ...] = ()
    """Days of the month; -1 is the last."""
    months: tuple[int, ...] = ()
    hours: tuple[Clock, ...] = ()
    """More than one time of day ("at 9 and 17")."""


class Spec(Value):
    """What a phrase says about time; at least one field is given.

    `after` counts from now, or from the day where one is given ("a week from Monday"). With `every`, the day and the
    amounts say when it begins ("every day from Monday on"), and the clock at what time of day.
    """

    after: tuple[Amount, ...] = ()
    day: Day | None = None
    others: tuple[Day, ...] = ()
    """Other days that the same words may mean ("3/4"): asked about."""
    clock: Clock | None = None
    every: Every | None = None


class Found(Value):
    """A phrase that was understood: what it says about time, and what is left of the text."""

    spec: Spec
    what: str


class Reading(Value):
    """A phrase on the calendar. `at` is ISO 8601 with the zone's offset; a reading with a question has no time yet."""

    understood: bool
    what: str = ""
    at: str | None = None
    every: str | None = None
    """A cron expression of five fields, or an interval such as `90m` or `2w`; None: once."""
    ask: str | None = None
    """What to ask back: which of two times is meant, or what instead of a time that has passed."""
    choices: tuple[str, ...] = ()
    """The times between which the question asks, as `at` would be."""
