import bisect
import datetime as dt
import functools
import itertools
import time
from collections.abc import Callable
from zoneinfo import ZoneInfo

import pytest

from dragoman.when import rhythm

MINUTE = dt.timedelta(minutes=1)
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Shanghai", "America/Sao_Paulo")
YEARS = (2015, 2025)
"""Ten years in which Brazil changed its clocks, at midnight, and then stopped."""

Matches = Callable[[dt.datetime], bool]

FIXED: dict[str, Matches] = {
    "30 2 * * *": lambda local: (local.hour, local.minute) == (2, 30),
    "15 2 * * *": lambda local: (local.hour, local.minute) == (2, 15),
    "15,45 1-3 * * *": lambda local: local.hour in {1, 2, 3} and local.minute in {15, 45},
    "0 0 * * *": lambda local: (local.hour, local.minute) == (0, 0),
    "30 0 * * 0": lambda local: (local.hour, local.minute) == (0, 30) and local.weekday() == 6,
    "45 1 * 4,10 *": lambda local: (local.hour, local.minute) == (1, 45) and local.month in {4, 10},
    "0 3 L * *": lambda local: (local.hour, local.minute) == (3, 0) and (local + dt.timedelta(days=1)).day == 1,
}
WALL: dict[str, Matches] = {
    "0 * * * *": lambda local: local.minute == 0,
    "*/20 2 * * *": lambda local: local.hour == 2 and local.minute % 20 == 0,
    "*/30 0 * * *": lambda local: local.hour == 0 and local.minute % 30 == 0,
    "10 */2 * * 0": lambda local: local.minute == 10 and local.hour % 2 == 0 and local.weekday() == 6,
    "* 1 * 4,10,11 *": lambda local: local.hour == 1 and local.month in {4, 10, 11},
}


@functools.cache
def instants(zone: str) -> list[tuple[float, dt.datetime]]:
    """Every minute of the years that lies within two days of a change of the clocks, with what the wall shows."""
    place = ZoneInfo(zone)
    start = dt.datetime(YEARS[0], 1, 1, tzinfo=dt.UTC)
    days = [start + dt.timedelta(days=number) for number in range(3653)]
    near = [day for day in days if day.day == 7 or len({offset(day, ahead, place) for ahead in (-2, 0, 2)}) > 1]
    minutes = [day + number * MINUTE for day in near for number in range(24 * 60)]
    return [(at.timestamp(), at.astimezone(place).replace(tzinfo=None, fold=0)) for at in minutes]


def offset(day: dt.datetime, ahead: int, zone: ZoneInfo) -> dt.timedelta | None:
    return (day + dt.timedelta(days=ahead)).astimezone(zone).utcoffset()


def by_the_wall(zone: str, matches: Matches) -> list[float]:
    return [at for at, local in instants(zone) if matches(local)]


def as_debian(zone: str, matches: Matches) -> list[float]:
    """Walk the wall: what it skips is made up for at once, what it shows again is not done again."""
    due: list[float] = []
    last: dt.datetime | None = None
    before = 0.0
    for at, local in instants(zone):
        if last is None or at - before > 60:
            last = local - MINUTE
        if local > last:
            shown = [last + (number + 1) * MINUTE for number in range(int((local - last) / MINUTE))]
            if any(matches(minute) for minute in shown):
                due.append(at)
            last = local
        before = at
    return due


def due_in(every: str, zone: str) -> list[float]:
    """What the rule gives for the same minutes: from one fire to the next, and over the rest in one step."""
    minutes = [at for at, _ in instants(zone)]
    moment, due = minutes[0] - 60, []
    while (fire := rhythm.after(every, moment, zone, 0.0)) is not None and fire <= minutes[-1]:
        next_minute = minutes[bisect.bisect_left(minutes, fire)]
        moment = max(fire, next_minute - 60)
        if fire == next_minute:
            due.append(fire)
            moment = fire
    return due


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("every", FIXED)
def test_a_job_at_a_fixed_time_runs_right_after_a_gap_and_once_in_a_repeated_hour(every: str, zone: str) -> None:
    assert due_in(every, zone) == as_debian(zone, FIXED[every])


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("every", WALL)
def test_a_job_with_a_wildcard_follows_the_wall(every: str, zone: str) -> None:
    assert due_in(every, zone) == by_the_wall(zone, WALL[every])


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("every", ["30 2 * * *", "15,45 1-3 * * *", "*/20 2 * * *", "30 0 * * 0"])
def test_the_next_fire_does_not_depend_on_when_one_asks(every: str, zone: str) -> None:
    due = due_in(every, zone)
    for before, fire in itertools.pairwise(due):
        if fire - before < 26 * 3600:
            for moment in (before, before + 0.5, (before + fire) / 2, fire - 1, fire - 0.25):
                assert rhythm.after(every, moment, zone, 0.0) == fire


def test_a_job_runs_after_the_gap_of_berlin_and_once_in_autumn() -> None:
    zone = ZoneInfo("Europe/Berlin")
    evening = dt.datetime(2027, 3, 27, 20, tzinfo=zone).timestamp()
    spring = rhythm.after("30 2 * * *", evening, zone.key, 0.0)
    autumn = rhythm.missed("30 2 * * *", at("2027-10-30T12:00+02:00"), at("2027-10-31T12:00+01:00"), zone.key, 0.0)

    assert spring == at("2027-03-28T03:00+02:00")
    assert autumn == [at("2027-10-31T02:30+02:00")]


def at(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("every", "moment", "fire"),
    [
        ("90m", "2026-11-27T10:00+01:00", "2026-11-27T10:30+01:00"),
        ("90m", "2026-11-27T10:30+01:00", "2026-11-27T12:00+01:00"),
        ("30s", "2026-11-27T10:00:10+01:00", "2026-11-27T10:00:30+01:00"),
        ("2h", "2026-11-26T09:00+01:00", "2026-11-27T09:00+01:00"),
        ("3d", "2026-11-27T09:00+01:00", "2026-11-30T09:00+01:00"),
        ("1d", "2027-03-27T09:00+01:00", "2027-03-28T09:00+02:00"),
        ("2w", "2027-03-19T09:00+01:00", "2027-04-02T09:00+02:00"),
        ("24h", "2027-03-27T09:00+01:00", "2027-03-28T10:00+02:00"),
        ("2w", "2126-11-27T10:00+01:00", "2126-11-29T09:00+01:00"),
    ],
)
def test_an_interval_counts_from_its_anchor_and_days_keep_the_time_of_day(every: str, moment: str, fire: str) -> None:
    anchor = at("2026-11-27T09:00+01:00")

    due = rhythm.after(every, at(moment), "Europe/Berlin", anchor)

    assert due is not None
    assert dt.datetime.fromtimestamp(due, ZoneInfo("Europe/Berlin")).isoformat() == full(fire)


def full(text: str) -> str:
    return dt.datetime.fromisoformat(text).isoformat()


def test_days_whose_time_is_skipped_fire_right_after_the_gap_and_then_at_their_time_again() -> None:
    anchor = at("2027-03-27T02:30+01:00")

    due = rhythm.missed("1d", anchor, at("2027-03-30T00:00+02:00"), "Europe/Berlin", anchor)

    assert due == [at("2027-03-28T03:00+02:00"), at("2027-03-29T02:30+02:00")]


def test_a_long_outage_costs_no_time() -> None:
    start = time.perf_counter()
    due = rhythm.after("30s", 4e9, "Europe/Berlin", 10.0)
    newest = rhythm.missed("30s", 0.0, 4e9, "Europe/Berlin", 10.0, most=3)
    minutes = rhythm.missed("* * * * *", 0.0, 4e9, "Europe/Berlin", 0.0, most=2)
    took = time.perf_counter() - start

    assert due == 4e9 + 30
    assert newest == [4e9 - 60, 4e9 - 30, 4e9]
    assert minutes == [4e9 - 100, 4e9 - 40]
    assert took < 1


@pytest.mark.parametrize("every", ["90m", "2d", "1w", "0 9 * * 1-5", "*/7 * * * *", "0 9 29 2 *"])
def test_what_was_missed_is_what_would_have_followed(every: str) -> None:
    since, until, anchor = at("2027-03-20T00:30+01:00"), at("2027-04-10T09:00+02:00"), at("2027-03-21T09:00+01:00")
    moment, expected = since, []
    while (fire := rhythm.after(every, moment, "Europe/Berlin", anchor)) is not None and fire <= until:
        expected.append(fire)
        moment = fire

    assert rhythm.missed(every, since, until, "Europe/Berlin", anchor, most=10_000) == expected
    assert rhythm.missed(every, since, until, "Europe/Berlin", anchor, most=4) == expected[-4:]
    assert rhythm.missed(every, until, since, "Europe/Berlin", anchor) == []


@pytest.mark.parametrize(
    "every",
    [
        "90m",
        "30s",
        "2w",
        "0 9 * * 1-5",
        "0 17 L * *",
        "0 9 * * 5L",
        "0 9 * * 1#2",
        "*/5 8-18 * * mon-fri",
        "0 9 31 * *",
    ],
)
def test_a_good_rule_passes(every: str) -> None:
    rhythm.check(every)


@pytest.mark.parametrize(
    ("every", "reason"),
    [
        ("", "neither an interval"),
        ("0 9 * *", "neither an interval"),
        ("0 0 9 * * 1", "neither an interval"),
        ("@daily", "neither an interval"),
        ("2 weeks", "neither an interval"),
        ("0h", "longer than nothing"),
        ("99999d", "at most ten years"),
        ("61 9 * * *", "bad minute"),
        ("0 25 * * *", "bad hour"),
        ("0 9 32 * *", "bad day-of-month"),
        ("0 9 * 13 *", "bad month"),
        ("0 9 * * 8", "bad day-of-week"),
        ("0 9 * * 1#6", "bad day-of-week"),
        ("*/0 9 * * *", "bad minute"),
        ("0 0 30 2 *", "never fires"),
        ("0 0 31 4,6,9,11 *", "never fires"),
    ],
)
def test_a_bad_rule_is_refused_with_its_reason(every: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        rhythm.check(every)
    with pytest.raises(ValueError, match=reason):
        rhythm.after(every, 0.0, "Europe/Berlin", 0.0)
