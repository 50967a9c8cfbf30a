"""A reminder that is being set: what was understood so far, and how an answer completes it."""

import datetime as dt
import re
import zoneinfo
from collections.abc import Sequence
from typing import Final

import msgspec

from dragoman.model import Value
from dragoman.when import once, repeat, words
from dragoman.when.names import Language
from dragoman.when.once import Scene
from dragoman.when.spec import Clock, Day, Every, Found, Spec

BARE_HOUR: Final = re.compile(r"\s*([01]?[0-9]|2[0-4])[\s.!。！]*")
ELAPSING: Final = frozenset({"second", "minute", "hour"})
"""Units that elapse, whatever the clocks on the walls show."""


class Draft(Value):
    """What is known of a reminder before it is set."""

    said_at: float
    language: Language
    what: str = ""
    spec: Spec | None = None
    choices: tuple[float, ...] = ()
    """The times between which the person was asked to choose."""
    tries: int = 0
    """How many answers were not understood."""
    timer: str = ""
    """The reminder that is to be moved; empty: a new one."""

    @property
    def local(self) -> bool:
        """Whether a time of day was said, which is another one in another zone; "in 10 minutes" is none."""
        spec = self.spec
        return spec is None or bool(spec.clock or spec.day or (spec.every and spec.every.unit not in ELAPSING))


class Placed(Value):
    """A time on the calendar, in epoch seconds, and the rule by which it comes again."""

    at: float
    every: str = ""


HALVES: Final = re.compile(
    r"(?:in the |at )?(?P<early>morning|a\.?m\.?|night)|(?:in the |at )?(?P<late>afternoon|evening|p\.?m\.?)"
    r"|(?P<zh_early>凌晨|早上|上午|早晨|清晨)的?|(?P<zh_late>下午|晚上|傍晚|中午|午后)的?",
    re.IGNORECASE,
)
NTH: Final = re.compile(
    r"(?:the )?(?P<first>first|earlier)(?: one)?|(?:the )?(?P<second>second|later)(?: one)?"
    r"|(?P<zh_first>第一个|前者|前一个|前面那个|早的)|(?P<zh_second>第二个|后者|后一个|后面那个|晚的)",
    re.IGNORECASE,
)


def place(spec: Spec, now: float, zone: zoneinfo.ZoneInfo, language: Language) -> Placed:
    """Put a phrase on the calendar; raises `questions.Question` for what has to be asked."""
    local = dt.datetime.fromtimestamp(now, zone)
    scene = Scene(now=local, zone=zone, language=language, start=local)
    if spec.every is None:
        return Placed(at=once.place(spec, scene).timestamp())
    at, every = repeat.place(spec, scene)
    return Placed(at=at.timestamp(), every=every)


def heard(answer: str) -> Found | None:
    """Read a time where one is asked for, or nothing else can be meant: there a bare number is an hour."""
    hour = BARE_HOUR.fullmatch(answer)
    return words.find(f"at {hour[1]}" if hour else answer)


def chosen(answer: str, choices: Sequence[float], zone: zoneinfo.ZoneInfo) -> float | None:
    """Return which of the choices an answer in words names: by its half of the day, or by its place."""
    said = answer.strip(" .,!。，！")
    if not choices:
        return None
    if nth := NTH.fullmatch(said):
        return choices[0] if nth["first"] or nth["zh_first"] else choices[-1]
    half = HALVES.fullmatch(said)
    if half is None:
        return None
    early = bool(half["early"] or half["zh_early"])
    fitting = [at for at in choices if (dt.datetime.fromtimestamp(at, zone).hour < 12) == early]
    return fitting[0] if len(fitting) == 1 else None


def narrowed(spec: Spec, at: float, zone: zoneinfo.ZoneInfo) -> Spec:
    """Return a phrase that means one of the times that were asked about: its open clock and day are settled."""
    local = dt.datetime.fromtimestamp(at, zone)
    if spec.every is None:
        day = Day(year=local.year, month=local.month, day=local.day)
        return Spec(day=day, clock=Clock(hour=local.hour, minute=local.minute))
    hours = tuple(_settled(hour, local) for hour in spec.every.hours)
    every = msgspec.structs.replace(spec.every, hours=hours)
    return msgspec.structs.replace(spec, clock=_settled(spec.clock, local) if spec.clock else None, every=every)


def _settled(clock: Clock, local: dt.datetime) -> Clock:
    """Take the half of the day from a time, where this is its bare form."""
    if clock.sure or (clock.hour % 12, clock.minute) != (local.hour % 12, local.minute):
        return clock
    return Clock(hour=local.hour, minute=local.minute)


def completed(spec: Spec | None, answer: Spec) -> Spec:
    """Put an answer into what was said before: what the answer says counts, the rest stays."""
    if spec is None or answer.every is not None:
        return answer
    every = spec.every
    if answer.after:
        return msgspec.structs.replace(answer, every=every)
    if every is not None and answer.clock is not None and every.hours:
        every = msgspec.structs.replace(every, hours=())
    day, others = (answer.day, answer.others) if answer.day is not None else (spec.day, spec.others)
    return Spec(day=day, others=others, clock=answer.clock or spec.clock, every=every)


def day_of(at: float, zone: zoneinfo.ZoneInfo) -> Spec:
    """Return the day of a time, as a phrase: "to 5pm" means the day that a reminder has."""
    local = dt.datetime.fromtimestamp(at, zone)
    return Spec(day=Day(year=local.year, month=local.month, day=local.day))


def only_clock(spec: Spec) -> bool:
    """Tell whether a phrase is a time of day and nothing else."""
    return spec.clock is not None and spec.day is None and not spec.after and spec.every is None


def by_days(every: str) -> bool:
    """Tell whether a rule is an interval of days or weeks, which keeps the time of day of its first fire."""
    return " " not in every and every.endswith(("d", "w"))


def rule_at(every: str, clock: Clock | None) -> str | None:
    """Return a rule with another time of day; None where it is no rule of days at one time."""
    fields = every.split()
    simple = len(fields) == 5 and fields[0].isdigit() and fields[1].isdigit()
    if not simple or clock is None or not clock.sure or clock.hour > 23:
        return None
    return " ".join((str(clock.minute), str(clock.hour), *fields[2:]))


def seconds(spec: Spec) -> float:
    """Return the length of "10 minutes" or "2 days" in seconds; months and years have none."""
    lengths = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 7 * 86400}
    if any(amount.unit not in lengths for amount in spec.after):
        return 0.0
    return float(sum(amount.count * lengths[amount.unit] for amount in spec.after))


def bare_every(every: Every) -> bool:
    """Tell whether a repetition is no more than "every day": that alone is a manner of speaking."""
    return every.count == 1 and not (every.weekdays or every.days or every.months or every.hours or every.nth)
