"""The picture of a rehearsal: it is well-formed, and says what the report says."""

import dataclasses
import xml.etree.ElementTree as ET
from typing import Final

import pytest
from tests.rehearsal.picture import drawn
from tests.rehearsal.report import Moment, Report

REPORT: Final = Report(
    seconds=6.0,
    times=10.0,
    target=70,
    least=2,
    most=4,
    requested=0.25,
    toil_ms=10,
    moments=(
        Moment(at=2.0, rate=10, wanted=2, ready=2, usage=40, p99_ms=30),
        Moment(at=4.0, rate=40, wanted=4, ready=3, usage=90, p99_ms=170),
        Moment(at=6.0, rate=10, wanted=2, ready=2, usage=20, p99_ms=20),
    ),
    sent=120,
    answered=120,
    lost=0,
    refused=0,
    twice=0,
    inversions=0,
    again=0,
    p50_ms=12,
    p99_ms=170,
    grown=2,
    shrunk=2,
    ends=(0, 0),
    machine="2 cores <of some kind>",
    stretch=1.2,
)


def test_the_picture_says_what_the_report_says() -> None:
    root = ET.fromstring(drawn(REPORT))  # noqa: S314 - we wrote it
    words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]

    assert "120 messages, 0 lost, 0 answered twice; 2 to 3 replicas; p99 170 ms" in words
    assert "2 cores <of some kind>" in words
    assert any(word and word.startswith("a replica asks for 250m, a turn takes 10 ms") for word in words)
    assert {"200", "100"} <= set(words)  # the scale of the latency
    assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) == 4 * 3 + 4 + 2


def test_all_is_well_when_all_was_answered_once_and_the_replicas_came_and_went() -> None:
    assert REPORT.red() == []
    assert REPORT.words().startswith("120 messages in 6 s, 0 lost, 0 answered twice")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"lost": 1}, "1 lost"),
        ({"twice": 2}, "2 answered twice"),
        ({"inversions": 1}, "1 out of order"),
        ({"refused": 1}, "1 never taken"),
        ({"ends": (0, -9)}, "a replica ended with (0, -9)"),
        ({"moments": REPORT.moments[:1]}, "no replica came"),
        ({"moments": REPORT.moments[:2]}, "the replicas that came did not all go"),
    ],
)
def test_what_must_not_be_is_said(change: dict[str, object], word: str) -> None:
    assert dataclasses.replace(REPORT, **change).red() == [word]  # type: ignore[arg-type]  # each is of its field's type
