"""What an operator sees: one JSON object a line, metrics with their help, errors without what was said."""

import asyncio
import atexit
import datetime as dt
import io
import json
import logging
import pathlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman import telemetry
from dragoman.model import Secret
from dragoman.testing.logs import captured


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    yield io.StringIO()
    telemetry.configure_logs()


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


def test_to_configure_again_adds_nothing_to_do_at_the_exit(stream: io.StringIO) -> None:
    telemetry.configure_logs(stream=stream)
    before = atexit._ncallbacks()

    telemetry.configure_logs(stream=stream)

    assert atexit._ncallbacks() == before


class Broken:
    """What cannot even be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("what a person said")


class Half(msgspec.Struct):
    """A value that was never filled in."""

    name: str


def endless() -> list[Any]:
    rows: list[Any] = []
    rows.append(rows)
    return rows


def unset() -> Half:
    half = Half(name="")
    del half.name
    return half


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ((1, None, True), [1, None, True]),
        ({"a": {"b": 0.5}}, {"a": {"b": 0.5}}),
        ({7: "seven"}, {"7": "seven"}),
        ("密 😀 \u2028 \x00 \x7f", "密 😀 \u2028 \x00 \x7f"),
        ("half of \ud83d", "half of \ud83d"),
        (["half of \ud83d"], r"['half of \ud83d']"),
        (float("nan"), None),
        (2**70, 2**70),
        (pathlib.PurePosixPath("a"), "PurePosixPath('a')"),
        (Secret("hunter2"), repr(Secret("hunter2"))),
        (endless(), "[[[[[[[...]]]]]]]"),
        pytest.param(10**5000, "a number of 16610 bits", id="huge"),
        ([{"a": -(10**5000)}], "[{'a': a number of 16610 bits}]"),
        ("x" * 10_000, "x" * 10_000),
    ],
)
def test_a_value_is_written_as_json_has_it_or_as_python_shows_it(value: object, written: object) -> None:
    with captured() as lines:
        telemetry.logger("test").info("happened", value=value, n=1)

    (line,) = lines
    assert (line["value"], line["n"]) == (written, 1)


@pytest.mark.parametrize("value", [Broken(), {Broken(): 1}, [Broken()], unset(), object(), ValueError, {1, "\ud83d"}])
def test_a_value_that_cannot_be_shown_does_not_break_the_line(value: object) -> None:
    with captured() as lines:
        telemetry.logger("test").info("happened", value=value)

    assert [line["event"] for line in lines] == ["happened"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text() | st.sampled_from(["part", "event", "level"]), JSON))
def test_a_line_is_ascii_and_says_what_was_given(keys: dict[str, object]) -> None:
    stream = io.StringIO()
    telemetry.configure_logs(stream=stream)

    telemetry.logger("test").info("happened", **keys)
    telemetry.configure_logs()

    assert stream.getvalue().isascii()
    (line,) = lines(stream)
    line.pop("timestamp")
    assert line == {"part": "test", **keys, "event": "happened", "level": "info"}


def test_a_line_has_the_time_in_utc_to_the_microsecond() -> None:
    before = dt.datetime.now(dt.UTC)
    with captured() as lines:
        telemetry.logger("test").info("happened")

    (line,) = lines
    assert line["timestamp"].endswith("Z")
    written = dt.datetime.fromisoformat(line["timestamp"])
    assert before - dt.timedelta(microseconds=1) < written <= dt.datetime.now(dt.UTC)


@pytest.mark.parametrize(
    ("microseconds", "written"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_700_000_000_000_001, "2023-11-14T22:13:20.000001Z"),
        (1_700_000_000_999_999, "2023-11-14T22:13:20.999999Z"),
        (1_700_000_000_500_000, "2023-11-14T22:13:20.500000Z"),
        (1_700_000_001_000_000, "2023-11-14T22:13:21.000000Z"),
    ],
)
@pytest.mark.parametrize("value", [7, "half of \ud83d"])
def test_a_time_is_written_to_the_microsecond(microseconds: int, written: str, value: object) -> None:
    at = dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=microseconds)

    line = json.loads(telemetry._text([("test", "info", "happened", {"value": value}, at)]))

    assert line == {"part": "test", "value": value, "event": "happened", "level": "info", "timestamp": written}


class Counted(io.StringIO):
    """A stream that counts what it is given."""

    writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)


def test_a_line_is_one_write() -> None:
    stream = Counted()
    telemetry.configure_logs(stream=stream)

    telemetry.logger("test").info("happened", note="a\nb")
    telemetry.configure_logs()

    assert stream.writes == 1
    assert stream.getvalue().endswith("}\n")


async def test_every_line_of_a_turn_of_the_loop_is_seen_by_who_looks_meanwhile() -> None:
    log = telemetry.logger("test")
    with captured() as before:
        log.info("before")
        with captured() as lines:
            log.info("first")
            log.info("second")
            await asyncio.sleep(0)
            seen = [line["event"] for line in lines]
            log.info("last")

    assert seen == ["first", "second"]
    assert [line["event"] for line in lines] == ["first", "second", "last"]
    assert [line["event"] for line in before] == ["before"]


async def test_a_line_after_an_urgent_one_is_written_in_its_turn_too() -> None:
    log = telemetry.logger("test")
    with captured() as lines:
        log.info("first")
        log.warning("urgent")
        seen = [line["event"] for line in lines]
        log.info("last")
        await asyncio.sleep(0)
        await asyncio.sleep(0)

        assert seen == ["first", "urgent"]
        assert [line["event"] for line in lines] == ["first", "urgent", "last"]


async def test_no_line_is_left_where_threads_write_at_once() -> None:
    log, count = telemetry.logger("test"), 2000
    others = [lambda: log.warning("urgent"), lambda: log.info("not urgent")]
    with captured() as lines:
        threads = [threading.Thread(target=lambda say=say: [say() for _ in range(count)]) for say in others]
        for thread in threads:
            thread.start()
        for number in range(count):
            log.info("in the loop", number=number)
            if number % 7 == 0:
                await asyncio.sleep(0)
        for thread in threads:
            await asyncio.to_thread(thread.join)
        await asyncio.sleep(0)

        assert len(lines) == 3 * count
        assert [line["number"] for line in lines if "number" in line] == list(range(count))


class Slow(io.StringIO):
    """A stream whose first write waits until somebody else has written, or cannot."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()
        self.passed = threading.Event()

    def write(self, text: str) -> int:
        if not self.asked.is_set():
            self.asked.set()
            self.passed.wait(0.3)
        return super().write(text)


async def test_a_line_that_another_thread_writes_comes_before_a_later_one() -> None:
    stream, log = Slow(), telemetry.logger("test")
    telemetry.configure_logs(stream=stream)
    log.info("first")
    other = threading.Thread(target=log.warning, args=("second",))
    other.start()
    await asyncio.to_thread(stream.asked.wait)

    log.warning("third")
    stream.passed.set()
    await asyncio.to_thread(other.join)
    telemetry.configure_logs()

    assert [line["event"] for line in lines(stream)] == ["first", "second", "third"]


def test_a_library_says_what_and_where_and_not_what_it_quotes() -> None:
    with captured() as lines:
        try:
            fails()
        except ValueError:
            logging.getLogger("their.part").exception("it %s", "failed")
        logging.getLogger("their.part").log(35, "between two levels")

    first, second = lines
    assert (first["part"], first["event"], first["level"]) == ("their.part", "it %s", "error")
    assert first["error"].startswith("ValueError at test_telemetry.py")
    assert second["level"] == "level 35"


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


def test_a_labelled_metric_gives_the_same_child_until_it_is_cleared() -> None:
    metric = telemetry.Gauge("seen", "Seen.", ["by"], registry=None)
    child = metric.labels("us")

    assert metric.labels("us") is metric.labels(by="us") is child
    metric.clear()
    assert metric.labels("us") is not child


@pytest.mark.parametrize("values", [(), ("a",), ("a", "b", "c")])
def test_labels_that_a_metric_does_not_have_are_refused(values: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="label"):
        telemetry.deliveries.labels(*values)


@given(st.lists(st.sampled_from([0, *telemetry.SECONDS, float("inf")]) | st.floats(-1, 200)))
def test_a_time_is_counted_in_the_bucket_of_the_library(times: list[float]) -> None:
    exposed = []
    for kind in (telemetry.Histogram, prometheus_client.Histogram):
        registry = prometheus_client.CollectorRegistry()
        metric = kind("lasted", "Lasted.", ["what"], buckets=telemetry.SECONDS, registry=registry)
        for seconds in times:
            metric.labels("it").observe(seconds)
        text = prometheus_client.generate_latest(registry).decode()
        exposed.append([line for line in text.splitlines() if "_created" not in line])

    assert exposed[0] == exposed[1]


def test_what_took_less_than_no_time_by_two_clocks_took_none() -> None:
    registry = prometheus_client.CollectorRegistry()
    metric = telemetry.Histogram("took", "Took.", ["what"], buckets=(1.0,), registry=registry)

    metric.took(-3.0, "it")
    metric.took(2.0, "it")

    assert registry.get_sample_value("took_count", {"what": "it"}) == 2
    assert registry.get_sample_value("took_sum", {"what": "it"}) == 2.0
    assert registry.get_sample_value("took_bucket", {"what": "it", "le": "1.0"}) == 1
    with pytest.raises(ValueError, match="label"):
        metric.took(1.0, "it", "and that")


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
