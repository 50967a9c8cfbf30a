import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from dragoman.when.place import place
from dragoman.when.spec import PARTS, Amount, Clock, Day, Every, Found, Reading, Spec

BERLIN = ZoneInfo("Europe/Berlin")
NOW = "2026-11-27T14:00:30+01:00"
"""A Friday."""


def placed(spec: Spec, now: str = NOW) -> Reading:
    return place(Found(spec=spec, what="x"), dt.datetime.fromisoformat(now), BERLIN, "en")


def bare(hour: int, minute: int = 0) -> Clock:
    return Clock(hour=hour, minute=minute, sure=False)


def in_(count: int, unit: str) -> Amount:
    return Amount(count=count, unit=unit)  # type: ignore[arg-type]


ONCE = [
    (Spec(after=(in_(10, "minute"),)), "2026-11-27T14:10:30+01:00"),
    (Spec(after=(in_(3, "day"),)), "2026-11-30T14:00:30+01:00"),
    (Spec(after=(in_(1, "day"), in_(2, "hour"))), "2026-11-28T16:00:30+01:00"),
    (Spec(after=(in_(3, "month"),)), "2027-02-27T14:00:30+01:00"),
    (Spec(after=(in_(3, "day"),), clock=Clock(hour=9)), "2026-11-30T09:00:00+01:00"),
    (Spec(after=(in_(1, "week"),), day=Day(weekday=0)), "2026-12-07T09:00:00+01:00"),
    (Spec(day=Day(ahead=1)), "2026-11-28T09:00:00+01:00"),
    (Spec(day=Day(ahead=1), clock=bare(9)), "2026-11-28T09:00:00+01:00"),
    (Spec(day=Day(ahead=0), clock=bare(9)), "2026-11-27T21:00:00+01:00"),
    (Spec(day=Day(ahead=0), clock=bare(3)), "2026-11-27T15:00:00+01:00"),
    (Spec(day=Day(ahead=0), clock=PARTS["midnight"]), "2026-11-28T00:00:00+01:00"),
    (Spec(clock=bare(12)), "2026-11-28T00:00:00+01:00"),
    (Spec(clock=bare(9)), "2026-11-27T21:00:00+01:00"),
    (Spec(clock=Clock(hour=9)), "2026-11-28T09:00:00+01:00"),
    (Spec(clock=bare(17)), "2026-11-27T17:00:00+01:00"),
    (Spec(day=Day(weekday=4)), "2026-12-04T09:00:00+01:00"),
    (Spec(day=Day(weekday=4), clock=Clock(hour=15)), "2026-11-27T15:00:00+01:00"),
    (Spec(day=Day(weekday=1, weeks=1)), "2026-12-01T09:00:00+01:00"),
    (Spec(day=Day(weekday=6, weeks=0)), "2026-11-29T09:00:00+01:00"),
    (Spec(day=Day(month=3, day=3)), "2027-03-03T09:00:00+01:00"),
    (Spec(day=Day(month=2, day=29)), "2028-02-29T09:00:00+01:00"),
    (Spec(day=Day(month=5, day=5, years=1)), "2027-05-05T09:00:00+02:00"),
    (Spec(day=Day(month=3, day=3, year=2030), clock=Clock(hour=10)), "2030-03-03T10:00:00+01:00"),
    (Spec(day=Day(day=15)), "2026-12-15T09:00:00+01:00"),
    (Spec(day=Day(day=31)), "2026-12-31T09:00:00+01:00"),
    (Spec(day=Day(day=-1)), "2026-11-30T09:00:00+01:00"),
    (Spec(day=Day(day=-1, months=1)), "2026-12-31T09:00:00+01:00"),
    (Spec(day=Day(weekday=0, nth=1)), "2026-12-07T09:00:00+01:00"),
    (Spec(day=Day(weekday=4, nth=-1, months=0), clock=Clock(hour=17)), "2026-11-27T17:00:00+01:00"),
    (Spec(day=Day(month=3, day=28, year=2027), clock=Clock(hour=2, minute=30)), "2027-03-28T03:00:00+02:00"),
    (Spec(day=Day(month=10, day=31, year=2027), clock=Clock(hour=2, minute=30)), "2027-10-31T02:30:00+02:00"),
    (Spec(day=Day(month=4, day=3), others=(Day(month=11, day=27, year=2026),)), "2027-04-03T09:00:00+02:00"),
]

REPEATED = [
    (Every(), None, "2026-11-28T09:00:00+01:00", "0 9 * * *"),
    (Every(), bare(9), "2026-11-28T09:00:00+01:00", "0 9 * * *"),
    (Every(), PARTS["midnight"], "2026-11-28T00:00:00+01:00", "0 0 * * *"),
    (Every(unit="week", weekdays=(0, 1, 2, 3, 4)), Clock(hour=9), "2026-11-30T09:00:00+01:00", "0 9 * * 1-5"),
    (Every(unit="week", weekdays=(4,)), Clock(hour=17, minute=30), "2026-11-27T17:30:00+01:00", "30 17 * * 5"),
    (Every(unit="week", weekdays=(5, 6)), None, "2026-11-28T09:00:00+01:00", "0 9 * * 0,6"),
    (Every(unit="week", weekdays=(4,)), PARTS["midnight"], "2026-11-28T00:00:00+01:00", "0 0 * * 6"),
    (Every(unit="week", weekdays=(4,), count=2), None, "2026-12-04T09:00:00+01:00", "2w"),
    (Every(unit="week"), None, "2026-12-04T09:00:00+01:00", "0 9 * * 5"),
    (Every(unit="day", count=3), None, "2026-11-28T09:00:00+01:00", "3d"),
    (Every(unit="minute", count=90), None, "2026-11-27T15:30:30+01:00", "90m"),
    (Every(unit="hour", count=2), None, "2026-11-27T16:00:30+01:00", "2h"),
    (Every(unit="hour", count=2), Clock(hour=18), "2026-11-27T18:00:00+01:00", "2h"),
    (Every(unit="month", days=(1,)), None, "2026-12-01T09:00:00+01:00", "0 9 1 * *"),
    (Every(unit="month", days=(31,)), None, "2026-12-31T09:00:00+01:00", "0 9 31 * *"),
    (Every(unit="month", days=(-1,)), Clock(hour=17), "2026-11-30T17:00:00+01:00", "0 17 L * *"),
    (Every(unit="month", days=(1, 15, -1)), None, "2026-11-30T09:00:00+01:00", "0 9 1,15,L * *"),
    (Every(unit="month", days=(-1,)), PARTS["midnight"], "2026-12-01T00:00:00+01:00", "0 0 1 * *"),
    (Every(unit="month", count=3, days=(1,)), None, "2026-12-01T09:00:00+01:00", "0 9 1 3,6,9,12 *"),
    (Every(unit="month"), None, "2026-12-27T09:00:00+01:00", "0 9 27 * *"),
    (Every(unit="month", weekdays=(0,), nth=1), None, "2026-12-07T09:00:00+01:00", "0 9 * * 1#1"),
    (Every(unit="month", weekdays=(4,), nth=-1), None, "2026-12-25T09:00:00+01:00", "0 9 * * 5L"),
    (Every(unit="year", months=(5,), days=(5,)), None, "2027-05-05T09:00:00+02:00", "0 9 5 5 *"),
    (Every(unit="year"), None, "2027-11-27T09:00:00+01:00", "0 9 27 11 *"),
    (Every(hours=(Clock(hour=9), Clock(hour=17))), None, "2026-11-27T17:00:00+01:00", "0 9,17 * * *"),
]

ASKED = [
    (Spec(day=Day(ahead=-1)), "has passed", 0),
    (Spec(day=Day(ahead=0), clock=Clock(hour=9)), "has passed", 0),
    (Spec(day=Day(weekday=2, weeks=0)), "has passed", 0),
    (Spec(day=Day(month=3, day=3, year=2020)), "has passed", 0),
    (Spec(day=Day(month=11, day=27)), "has passed", 0),
    (Spec(after=(in_(0, "minute"),)), "has passed", 0),
    (Spec(day=Day(month=2, day=30)), "no such day", 0),
    (Spec(day=Day(month=4, day=31)), "no such day", 0),
    (Spec(day=Day(month=13, day=1)), "no such day", 0),
    (Spec(day=Day(day=31, months=3)), "no such day", 0),
    (Spec(clock=Clock(hour=25)), "no 25:00", 0),
    (Spec(clock=bare(9, 75)), "no 9:75", 0),
    (Spec(after=(in_(11, "year"),)), "ten years", 0),
    (Spec(after=(in_(10**30, "day"),)), "ten years", 0),
    (Spec(day=Day(month=1, day=1, year=2400)), "ten years", 0),
    (Spec(day=Day(ahead=10**12)), "ten years", 0),
    (Spec(day=Day(ahead=1), clock=bare(3)), "Tomorrow, Saturday 28 November: 03:00 or 15:00", 2),
    (Spec(day=Day(weekday=4), clock=bare(3)), "Which do you mean: today, Friday 27 November, 15:00 or Friday 4", 2),
    (Spec(day=Day(month=4, day=3), others=(Day(month=3, day=4),)), "Which do you mean: Thursday 4 March 2027", 2),
    (Spec(every=Every(unit="second", count=30)), "once a minute", 0),
    (Spec(every=Every(count=0)), "once a minute", 0),
    (Spec(every=Every(count=10**9)), "ten years", 0),
    (Spec(every=Every(unit="month", count=5)), "two reminders", 0),
    (Spec(every=Every(hours=(Clock(hour=9), Clock(hour=17, minute=30)))), "two reminders", 0),
    (Spec(every=Every(unit="week", count=2, weekdays=(0, 3))), "two reminders", 0),
    (Spec(every=Every(unit="year", months=(2,), days=(30,))), "no such day", 0),
    (Spec(every=Every(), clock=bare(5)), "05:00", 2),
]


@pytest.mark.parametrize(("spec", "at"), ONCE)
def test_a_phrase_is_placed_on_the_calendar(spec: Spec, at: str) -> None:
    assert placed(spec) == Reading(understood=True, what="x", at=at)


@pytest.mark.parametrize(("every", "clock", "at", "rule"), REPEATED)
def test_a_repetition_has_a_rule_and_a_first_time(every: Every, clock: Clock | None, at: str, rule: str) -> None:
    assert placed(Spec(every=every, clock=clock)) == Reading(understood=True, what="x", at=at, every=rule)


@pytest.mark.parametrize(("spec", "part", "choices"), ASKED)
def test_what_cannot_be_placed_is_asked(spec: Spec, part: str, choices: int) -> None:
    reading = placed(spec)

    assert (reading.understood, reading.at, reading.every) == (False, None, None)
    assert part in (reading.ask or "")
    assert len(reading.choices) == choices


def test_a_repetition_begins_where_the_phrase_says() -> None:
    daily = placed(Spec(every=Every(), day=Day(weekday=0, weeks=1), clock=Clock(hour=8)))
    biweekly = placed(Spec(every=Every(unit="week", count=2, weekdays=(2,)), day=Day(month=12, day=10)))

    assert (daily.at, daily.every) == ("2026-11-30T08:00:00+01:00", "0 8 * * *")
    assert (biweekly.at, biweekly.every) == ("2026-12-16T09:00:00+01:00", "2w")


def test_questions_are_asked_in_chinese_too() -> None:
    found = Found(spec=Spec(day=Day(ahead=1), clock=bare(3)), what="")

    reading = place(found, dt.datetime.fromisoformat(NOW), BERLIN, "zh")

    assert reading.ask == "明天 11月28日 星期六：03:00还是 15:00？"


def test_half_an_hour_passes_as_half_an_hour_where_the_clocks_change() -> None:
    reading = placed(Spec(after=(in_(30, "minute"),)), "2027-10-31T02:45:00+02:00")

    assert reading.at == "2027-10-31T02:15:00+01:00"


def test_tomorrow_counts_from_the_day_in_the_zone() -> None:
    reading = placed(Spec(day=Day(ahead=1)), "2026-11-27T23:30:00+00:00")

    assert reading.at == "2026-11-29T09:00:00+01:00"
