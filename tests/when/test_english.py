import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from dragoman.when import words
from dragoman.when.questions import TEXTS

TABLE = Path(__file__).with_name("english.txt")
BERLIN = ZoneInfo("Europe/Berlin")
NOW = dt.datetime(2026, 11, 27, 14, tzinfo=BERLIN)


def rows() -> Iterator[tuple[str, str, list[str]]]:
    """What is said where and when, and what is expected of it."""
    where = ""
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("@ ") and line.count("|") == 0:
            where = line[2:]
        elif line and not line.startswith("#"):
            text, *expected = line.split(" | ")
            yield where, text, expected


ROWS = list(rows())


def test_the_table_is_long() -> None:
    assert len(ROWS) >= 300


@pytest.mark.parametrize(("where", "text", "expected"), ROWS, ids=[f"{where[:10]} {text}" for where, text, _ in ROWS])
def test_a_phrase_means(where: str, text: str, expected: list[str]) -> None:
    said, name = where.split()
    zone = ZoneInfo(name)

    reading = words.read(text, dt.datetime.fromisoformat(said).replace(tzinfo=zone), zone)

    if expected == ["none"]:
        assert (reading.understood, reading.at, reading.ask) == (False, None, None)
        return
    at, every, what, ask = (None if value == "-" else value for value in expected)
    assert (reading.at, reading.every, reading.what or None) == (at, every, what)
    assert reading.understood == (ask is None)
    assert_asks(reading.ask, len(reading.choices), ask)


def assert_asks(question: str | None, choices: int, expected: str | None) -> None:
    if expected is None:
        assert question is None
        return
    sign, _, kind = expected.partition(" ")
    assert choices == int(sign[1:] or 0)
    assert question is not None
    assert question.endswith("?")
    if kind != "which":
        assert question.startswith(TEXTS[kind]["en"].partition("{")[0])


PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "reminders.md").read_text(encoding="utf-8")


def phrases_of_the_page() -> list[str]:
    table = PAGE.partition("## English")[2].partition("**")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| ")][1:]
    return [phrase.strip() for cell in cells for phrase in cell.split("·")]


@pytest.mark.parametrize("phrase", phrases_of_the_page())
def test_a_phrase_of_the_page_has_a_time(phrase: str) -> None:
    reading = words.read(phrase, NOW, BERLIN)

    assert reading.at or reading.ask
    assert reading.what == ""


def rules_of_the_page() -> list[tuple[str, str]]:
    table = PAGE.partition("## Repetitions")[2].partition("A rule for")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| every")]
    return [(said.strip(), rule.partition(":")[0].strip()) for said, rule in rows]


@pytest.mark.parametrize(("said", "rules"), rules_of_the_page())
def test_a_rule_of_the_page_is_made(said: str, rules: str) -> None:
    first = said.partition(", ")[0]

    assert words.read(first, NOW, BERLIN).every == rules.split("`")[1]


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("16.3.27 10:00", "2027-03-16T10:00:00+01:00"),
        ("remind me: 20.11.2027", "2027-11-20T09:00:00+01:00"),
        ("Nov. 5th '27", "2027-11-05T09:00:00+01:00"),
    ],
)
def test_dates_that_our_grammar_may_lack_are_read_all_the_same(text: str, at: str) -> None:
    assert words.read(text, NOW, BERLIN).at == at


@pytest.mark.parametrize(
    "text", ["call 555 1234", "I may help 3 people", "sat nav 2", "room 1905", "a 2nd opinion", "v2.5"]
)
def test_the_library_does_not_invent_a_time(text: str) -> None:
    assert words.read(text, NOW, BERLIN).understood is False


def test_the_choices_of_a_question_are_times_to_come() -> None:
    reading = words.read("tomorrow at 3 call mum", NOW, BERLIN)

    assert reading.choices == ("2026-11-28T03:00:00+01:00", "2026-11-28T15:00:00+01:00")
    assert reading.ask == "Tomorrow, Saturday 28 November: 03:00 or 15:00?"
    assert reading.what == "call mum"
