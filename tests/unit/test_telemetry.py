"""What an operator sees: one JSON object a line, metrics with their help, errors without what was said."""

import io
import json
import logging
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import prometheus_client
import pytest
import structlog

from dragoman import telemetry


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    yield io.StringIO()
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_log_line_is_a_json_object(stream: io.StringIO) -> None:
    telemetry.configure_logs(stream=stream)

    telemetry.logger("deliver").info("delivered", delivery=7, note="line\nbreak \u5bc6")

    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "part": "deliver",
        "event": "delivered",
        "level": "info",
        "delivery": 7,
        "note": "line\nbreak \u5bc6",
    }


@pytest.mark.parametrize(
    ("level", "seen"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("WARNING", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_lines_below_the_level_are_left_out(stream: io.StringIO, level: str, seen: list[str]) -> None:
    telemetry.configure_logs(level, stream)
    log = telemetry.logger("test")

    for name in ("debug", "info", "warning", "error"):
        log.log(logging.getLevelNamesMapping()[name.upper()], "happened")

    assert [line["level"] for line in lines(stream)] == seen


def test_a_logger_made_before_follows_the_configuration(stream: io.StringIO) -> None:
    log = telemetry.logger("early")

    telemetry.configure_logs(stream=stream)
    log.info("happened")

    assert [line["part"] for line in lines(stream)] == ["early"]


def fails() -> None:
    raise ValueError("what a person said")


def test_an_error_is_named_by_type_and_place_and_never_quoted() -> None:
    with pytest.raises(ValueError, match="said") as caught:
        fails()

    named = telemetry.where(caught.value)

    assert named.startswith("ValueError at test_telemetry.py:")
    assert named.endswith(" in fails")
    assert "said" not in named


def test_an_error_that_was_never_raised_is_named_by_type() -> None:
    assert telemetry.where(KeyError("x")) == "KeyError"


def test_every_metric_is_ours_and_explained() -> None:
    families = list(telemetry.REGISTRY.collect())

    assert len(families) > 5
    for family in families:
        assert family.name.startswith("dragoman_")
        assert family.documentation.endswith(".")


def test_the_metrics_can_be_scraped() -> None:
    telemetry.turns.labels("scraped", "done").inc()

    text = prometheus_client.generate_latest(telemetry.REGISTRY).decode()

    assert 'dragoman_turns_total{outcome="done",platform="scraped"} 1.0' in text


@pytest.mark.parametrize("mark", [0.3, 0.5])
def test_the_marks_of_our_objectives_are_buckets(mark: float) -> None:
    assert mark in telemetry.SECONDS


@pytest.mark.parametrize(("spec", "name", "left"), [("c3", "c3", 1), ("c3:5", "c3", 5)])
def test_a_crash_point_is_armed_by_name_and_count(spec: str, name: str, left: int) -> None:
    point = telemetry.CrashPoint()
    point.arm(spec)

    assert (point.name, point.left) == (name, left)


def test_a_crash_point_without_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        telemetry.CrashPoint().arm("c3:often")


def test_other_points_and_earlier_passings_are_survived() -> None:
    point = telemetry.CrashPoint()
    point.passed("c3")  # unarmed
    point.arm("c3:3")

    for name in ("c2", "c3", "c4", "c3"):
        point.passed(name)

    assert point.left == 1


def test_the_armed_passing_is_the_last() -> None:
    script = "from dragoman.telemetry import crash; crash.arm('c3:2'); [print(crash.passed('c3')) for _ in range(3)]"

    died = subprocess.run(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-u", "-c", script], capture_output=True, text=True, timeout=60, check=False
    )

    assert died.returncode == -signal.SIGKILL
    assert died.stdout == "None\n"
    assert died.stderr == "crash point c3 reached\n"
