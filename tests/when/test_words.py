import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.when.effort import effort

from dragoman.when import describe, rhythm, words
from dragoman.when.names import Language
from dragoman.when.render import render

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Shanghai", "UTC")
NOW = dt.datetime(2026, 11, 27, 14, tzinfo=ZoneInfo("Europe/Berlin"))
SCRAPS = """remind me to at on in every each other next this last the a of and or until for from before after
monday fri sat may march 3 03 12 25 99 2027 15:30 3pm 17h30 3/4 2027-03-03 first 2nd half quarter past noon midnight
tonight tomorrow week month year day hour minutes o'clock - , . : " @ starting except twice"""
HANZI = (
    "每天",
    "明天",
    "下周二",
    "下午",
    "三点半",
    "提醒我",
    "之后",
    "小时",
    "每个工作日",
    "月底",
    "号",
    "半",
    "12",
    "点",
    "到",
    "和",
    "，",
)
text_of_scraps = st.lists(st.sampled_from([*SCRAPS.split(), *HANZI]), max_size=14).map(" ".join)


@given(
    zone=st.sampled_from(ZONES),
    language=st.sampled_from(["en", "zh"]),
    now=st.integers(1_577_836_800, 2_208_988_800),
    ahead=st.timedeltas(dt.timedelta(minutes=1), dt.timedelta(days=3600)),
)
@settings(max_examples=300, deadline=None)
def test_every_rendered_time_reads_back(zone: str, language: Language, now: int, ahead: dt.timedelta) -> None:
    place = ZoneInfo(zone)
    moment = dt.datetime.fromtimestamp(now, place)
    at = (moment.astimezone(dt.UTC) + ahead).astimezone(place).replace(second=0, microsecond=0)
    if at.fold or at <= moment:
        return  # a time on the wall that comes twice means the first

    reading = words.read(render(at, moment, place, language), moment, place)

    assert (reading.at, reading.what) == (at.isoformat(timespec="seconds"), "")


@given(text=st.one_of(st.text(max_size=60), text_of_scraps), zone=st.sampled_from(ZONES))
@settings(max_examples=600, deadline=None)
def test_any_text_has_a_reading_that_holds_together(text: str, zone: str) -> None:
    reading = words.read(text, NOW, ZoneInfo(zone))

    assert reading.understood == (reading.at is not None)
    assert not (reading.understood and reading.ask)
    for at in filter(None, [reading.at, *reading.choices]):
        assert dt.datetime.fromisoformat(at) > NOW
    if reading.every:
        rhythm.check(reading.every)
        assert describe.describe(reading.every, "en")


@pytest.mark.parametrize(
    "scrap",
    [
        "1 ",
        "a ",
        "every ",
        "in 1 hour ",
        "monday and ",
        "3/4 ",
        "at 5 ",
        "tomorrow ",
        "- ",
        "x",
        '"',
        "提",
        "每天",
        "一百",
        "1:",
        "twenty ",
        "first and ",
    ],
)
def test_two_thousand_characters_are_read_quickly(scrap: str) -> None:
    text = (scrap * 2000)[:2000]

    assert effort(lambda: words.read(text, NOW, ZoneInfo("UTC"))) < 12  # it is 4 at most
