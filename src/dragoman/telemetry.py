"""What an operator sees of the running bot: JSON logs with ids, Prometheus metrics, and named crash points.

Logs carry ids and reasons, never message text or secrets.
"""

import asyncio
import atexit
import datetime as dt
import functools
import json
import logging
import os
import re
import reprlib
import signal
import sys
import threading
import traceback
from bisect import bisect_left
from collections import deque
from pathlib import PurePath
from typing import Any, Final, Self, TextIO

import msgspec
import prometheus_client
from prometheus_client.metrics import MetricWrapperBase

REGISTRY: Final = prometheus_client.CollectorRegistry(auto_describe=True)

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.3, 0.4, 0.5, 0.6, 1, 2.5, 5, 10, 30, 60, 120)
"""Histogram buckets; they hold the marks of our objectives (0.3 s and 0.5 s) exactly."""


class _Labelled(MetricWrapperBase):
    """A metric that finds a child it has by its labels alone; the library checks, converts and locks each time."""

    def labels(self, *labelvalues: object, **labelkwargs: object) -> Self:
        """Return the child of these labels."""
        known: dict[Any, Self] = self._metrics  # type: ignore[assignment] # children are of their parent's class
        return known.get(labelvalues) or super().labels(*labelvalues, **labelkwargs)


class _Sum:
    """A number that only the event loop adds to, so that it needs no lock."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def get(self) -> float:
        """Return it, as the library asks for it."""
        return self.value

    def get_exemplar(self) -> None:
        """Return none."""


class Counter(_Labelled, prometheus_client.Counter):
    """Counts happenings, in the event loop's thread only; the library's own is for what others count, too."""

    def _metric_init(self) -> None:
        super()._metric_init()
        self._value = _Sum()

    def inc(self, amount: float = 1, exemplar: object = None) -> None:
        """Count; an exemplar is not kept."""
        self._value.value += amount


class Gauge(_Labelled, prometheus_client.Gauge):
    """Shows how much there is."""


class Histogram(_Labelled, prometheus_client.Histogram):
    """Counts times by their length; finds the bucket by halves, where the library tries one after the other.

    Only the event loop's thread may observe.
    """

    def _metric_init(self) -> None:
        super()._metric_init()
        self._sum = _Sum()
        self._buckets = [_Sum() for _ in self._upper_bounds]

    def observe(self, amount: float, exemplar: object = None) -> None:
        """Count a time, in seconds; an exemplar is not kept."""
        self._sum.value += amount
        self._buckets[bisect_left(self._upper_bounds, amount)].value += 1.0

    def took(self, seconds: float, *labelvalues: str) -> None:
        """Count a time under its labels, all of them; one that ended before it began, by two clocks, took none."""
        child: Self = self._metrics.get(labelvalues) or self.labels(*labelvalues)  # type: ignore[assignment] # as above
        child.observe(seconds if seconds > 0 else 0.0)


stage_seconds = Histogram(
    "dragoman_stage_seconds",
    "Time that one stage of a message's life took.",
    ["stage", "platform"],
    buckets=SECONDS,
    registry=REGISTRY,
)
reply_seconds = Histogram(
    "dragoman_reply_seconds",
    "Time from the arrival of a message to the delivery of a reply to it.",
    ["platform"],
    buckets=SECONDS,
    registry=REGISTRY,
)
events = Counter(
    "dragoman_events_total",
    "Happenings at the door, by outcome: accepted, duplicate, parked, shed, or ignored:why.",
    ["account", "platform", "outcome"],
    registry=REGISTRY,
)
refusals = Counter(
    "dragoman_refusals_total",
    "Requests refused at the door, by reason.",
    ["account", "reason"],
    registry=REGISTRY,
)
turns = Counter(
    "dragoman_turns_total",
    "Turns by outcome: done, unhandled, refused, not addressed, limited, error, parked, lost.",
    ["platform", "outcome"],
    registry=REGISTRY,
)
deliveries = Counter(
    "dragoman_deliveries_total",
    "Attempts to deliver, by outcome: sent, retry, paused, parked.",
    ["platform", "outcome"],
    registry=REGISTRY,
)
timer_lateness = Histogram(
    "dragoman_timer_lateness_seconds",
    "How long after its time a timer's event was accepted.",
    buckets=(*SECONDS, 300, 900, 3600, 14_400, 86_400),
    registry=REGISTRY,
)
timer_fires = Counter(
    "dragoman_timer_fires_total",
    "Fires of timers, by outcome: fired, missed (too late to be made up for), skipped (the turn before was not over).",
    ["outcome"],
    registry=REGISTRY,
)
broadcast_recipients = Counter(
    "dragoman_broadcast_recipients_total",
    "Recipients of broadcasts, by outcome: queued, sent, failed, unknown, skipped.",
    ["outcome"],
    registry=REGISTRY,
)
broadcasts = Gauge(
    "dragoman_broadcasts_running",
    "Broadcasts that are being sent.",
    registry=REGISTRY,
)
broadcasts_missed = Counter(
    "dragoman_broadcasts_missed_total",
    "Broadcasts that were not sent because their start was missed by more than an hour.",
    registry=REGISTRY,
)
task_calls = Counter(
    "dragoman_task_calls_total",
    "Webhooks that tasks called, by outcome: answered, refused (3xx, 4xx), failed (5xx, or no answer).",
    ["task", "outcome"],
    registry=REGISTRY,
)
waiting = Gauge(
    "dragoman_queue_depth",
    "Rows that wait, by queue: inbox, outbox, parked.",
    ["queue"],
    registry=REGISTRY,
)
queue_delay = Gauge(
    "dragoman_queue_delay_seconds",
    "How long the longest waiting of the conversations claimed last had been ready.",
    registry=REGISTRY,
)
clock_skew = Counter(
    "dragoman_clock_skew_total",
    "Times (once a minute at most) that a platform's signed time and ours differed by more than a minute.",
    ["account"],
    registry=REGISTRY,
)
disk_free = Gauge(
    "dragoman_disk_free_bytes",
    "Bytes that are free where the SQLite file is.",
    registry=REGISTRY,
)
restorable_age = Gauge(
    "dragoman_backup_restorable_age_seconds",
    "Age of the newest moment to which a copy of the store can be restored.",
    ["copy"],
    registry=REGISTRY,
)
drilled_at = Gauge(
    "dragoman_backup_drilled_timestamp_seconds",
    "When the last drill succeeded, in epoch seconds, by the copies that it restored from.",
    ["copy"],
    registry=REGISTRY,
)
backup_failures = Counter(
    "dragoman_backup_failures_total",
    "Rounds that failed, by what they were for: first, second, prune, drill.",
    ["part"],
    registry=REGISTRY,
)
log_lines_lost = prometheus_client.Counter(  # by any thread
    "dragoman_log_lines_lost_total", "Log lines that could not be written.", registry=REGISTRY
)
loop_lag = Gauge(
    "dragoman_loop_lag_seconds",
    "How late the event loop last woke from a short sleep.",
    registry=REGISTRY,
)
paused = Gauge(
    "dragoman_account_paused",
    "1 while an account is paused because its platform refuses us.",
    ["account"],
    registry=REGISTRY,
)
listening = Gauge(
    "dragoman_listener_progress_timestamp_seconds",
    "When a long-lived connection last showed that it lives (epoch seconds).",
    ["account"],
    registry=REGISTRY,
)
cache = Counter(
    "dragoman_cache_total",
    "Lookups in one level of the cache (memory, shared, disk, rates), by outcome: hit, miss, wrong, away.",
    ["level", "outcome"],
    registry=REGISTRY,
)

connections_lost = Counter(
    "dragoman_connections_lost_total",
    "Times that this replica lost the lease of a long-lived connection that it held.",
    ["account"],
    registry=REGISTRY,
)
owned = Gauge(
    "dragoman_connection_owned",
    "1 while this replica holds the account's long-lived connection.",
    ["account"],
    registry=REGISTRY,
)
replicas = Gauge(
    "dragoman_replicas",
    "Replicas that are alive, as this one sees them.",
    registry=REGISTRY,
)
certificate_expiry = Gauge(
    "dragoman_certificate_expiry_timestamp_seconds",
    "When the certificate that `public_url` shows to others ends (epoch seconds), as last seen from here.",
    ["host"],
    registry=REGISTRY,
)
certificate_looks = Counter(
    "dragoman_certificate_looks_total",
    "Looks at the certificate of `public_url`, by outcome: seen, failed.",
    ["outcome"],
    registry=REGISTRY,
)
spans = prometheus_client.Counter(  # by the thread that exports, too
    "dragoman_spans_total",
    "Spans of traces, by outcome: exported, lost (the collector was away, or too slow).",
    ["outcome"],
    registry=REGISTRY,
)
archive_lag = Gauge(
    "dragoman_archive_lag_seconds",
    "How old the oldest message is that is not archived yet.",
    registry=REGISTRY,
)
archive_messages = Counter(
    "dragoman_archive_messages_total",
    "Messages that this replica has archived.",
    registry=REGISTRY,
)
archive_failures = Counter(
    "dragoman_archive_failures_total",
    "Times that the archive could not be written.",
    registry=REGISTRY,
)


Said = tuple[str, str, str, dict[str, object], dt.datetime]
"""What is to be a line of the log: its part, level, event and keys, and when it was said."""


class _Sink:
    """A stream that loses a line, and never the service, when its disk is full or its reader is gone.

    What the event loop says of things that go as they should is made into text and written at the end of its turn, all
    in one: that costs half as much. So a value that is changed meanwhile is shown as it is then.
    """

    def __init__(self) -> None:
        self.level = logging.INFO
        self.stream: TextIO | None = None  # standard error, whatever that is by then
        self._kept: deque[Said] = deque()  # any thread may add to it; what is there is taken under the lock
        self._coming = False  # whether the event loop will come to write what is kept
        self._writing = threading.RLock()  # who has taken lines writes them before anybody takes later ones

    def keep(self, part: str, level: str, event: str, keys: dict[str, object]) -> None:
        """Write a line soon: when the event loop has come round, or with the next one that is urgent."""
        self._kept.append((part, level, event, keys, _now(dt.UTC)))
        if self._coming:
            return
        loop = asyncio._get_running_loop()  # noqa: SLF001 - public by the documentation: it raises nothing
        if loop is None:
            self.flush()
            return
        self._coming = True
        loop.call_soon(self.flush)

    def write(self, part: str, level: str, event: str, keys: dict[str, object]) -> None:
        """Write a line now, after those that are kept."""
        self._kept.append((part, level, event, keys, _now(dt.UTC)))
        self.flush()

    def flush(self) -> None:
        """Write what is kept."""
        with self._writing:
            self._coming = False  # first: who keeps a line that is not seen below has to see to it
            kept: list[Said] = []
            while self._kept:
                kept.append(self._kept.popleft())
            stream = self.stream or sys.stderr
            try:
                if kept:
                    stream.write(_text(kept))
                    stream.flush()
            except (OSError, ValueError):  # ValueError: the stream is closed
                log_lines_lost.inc(len(kept))


SOON: Final = frozenset({"debug", "info"})
"""Levels of lines that may come a moment later."""
sink: Final = _Sink()
"""Where every logger writes, so that one made before the configuration follows it."""


def configure_logs(level: str = "info", stream: TextIO | None = None) -> None:
    """Write logs as one JSON object a line to `stream` (standard error), at `level` and above."""
    sink.flush()
    sink.level = logging.getLevelNamesMapping()[level.upper()]
    sink.stream = stream
    _flush_at_exit()
    logging.basicConfig(handlers=[_Line()], level=logging.WARNING, force=True)


@functools.cache
def _flush_at_exit() -> None:
    atexit.register(sink.flush)


class Logger:
    """Writes lines that say which part of the house wrote them; a line below the level costs a comparison.

    A value that JSON does not have is written as Python shows it. No value makes a line fail.
    """

    __slots__ = ("_part",)

    def __init__(self, part: str) -> None:
        self._part = part

    def debug(self, event: str, /, **keys: object) -> None:
        """Say what only helps to find a fault."""
        if sink.level <= logging.DEBUG:
            sink.keep(self._part, "debug", event, keys)

    def info(self, event: str, /, **keys: object) -> None:
        """Say what happened as it should."""
        if sink.level <= logging.INFO:
            sink.keep(self._part, "info", event, keys)

    def warning(self, event: str, /, **keys: object) -> None:
        """Say what may need a look."""
        if sink.level <= logging.WARNING:
            sink.write(self._part, "warning", event, keys)

    def error(self, event: str, /, **keys: object) -> None:
        """Say what failed."""
        if sink.level <= logging.ERROR:
            sink.write(self._part, "error", event, keys)

    def log(self, level: int, event: str, /, **keys: object) -> None:
        """Say something at a level of the standard library's."""
        if sink.level <= level:
            name = logging.getLevelName(level).lower()
            (sink.keep if name in SOON else sink.write)(self._part, name, event, keys)


def logger(name: str) -> Logger:
    """Return a logger whose lines say which part of the house wrote them."""
    return Logger(name)


class _Line(logging.Handler):
    """Writes what libraries log as lines of ours: what and where, never a traceback's text."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        error = record.exc_info[1] if record.exc_info else None
        place = {"error": where(error)} if error is not None else {}
        words = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
        logger(record.name).log(max(record.levelno, logging.DEBUG), words, **place)


class _Shown(reprlib.Repr):
    """Shows any value, a broken or an endless one too."""

    def __init__(self) -> None:
        super().__init__()
        self.maxother = self.maxstring = 200

    def repr_int(self, x: int, level: int) -> str:
        """Show a number; Python refuses to write one of thousands of digits."""
        return str(x) if x.bit_length() <= LONGEST_NUMBER else f"a number of {x.bit_length()} bits"


LONGEST_NUMBER: Final = 1024
"""Bits of a number that a line shows."""
_SHOWN: Final = _Shown()
_ENCODE: Final = msgspec.json.Encoder(enc_hook=_SHOWN.repr).encode_lines
_NOT_ASCII: Final = re.compile(r"[^\0-\x7f]")
_now: Final = dt.datetime.now


def _text(said: list[Said]) -> str:
    """Write lines in ASCII: a terminal or a file need not agree with us on more."""
    lines = [
        {"part": part, **keys, "event": event, "level": level, "timestamp": at if at.microsecond else _whole(at)}
        for part, level, event, keys, at in said
    ]
    try:
        text = _ENCODE(lines).decode()
    except (AttributeError, RecursionError, TypeError, ValueError):  # half a character, a list that holds itself
        return "".join(_text([each]) for each in said) if len(said) > 1 else _shown(lines[0])
    return text if text.isascii() else _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text)


def _whole(second: dt.datetime) -> str:
    """Write a time without a fraction as all others are."""
    return second.strftime("%Y-%m-%dT%H:%M:%S.000000Z")


def _shown(line: dict[str, object]) -> str:
    """Write a line that JSON does not have as Python shows its values."""
    time = msgspec.to_builtins(line.pop("timestamp"))
    shown = {name: _value(each) for name, each in line.items()}
    return json.dumps({**shown, "timestamp": time}, separators=(",", ":")) + "\n"


def _value(value: object) -> object:
    if isinstance(value, str) or (isinstance(value, int) and value.bit_length() <= LONGEST_NUMBER):
        return value
    return _SHOWN.repr(value)


def where(error: BaseException) -> str:
    """Name an error's type and the innermost place it was raised at; never what it said, which may quote a message."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {PurePath(frames[-1].filename).name}:{frames[-1].lineno} in {frames[-1].name}" if frames else ""
    return f"{type(error).__name__}{place}"


class CrashPoint:
    """One armed point of the straight line: the process kills itself there at the n-th passing.

    The fault tests arm it by `DRAGOMAN_CRASH=point:count`; unarmed it costs one comparison.
    """

    def __init__(self) -> None:
        self.name = ""
        self.left = 0

    def arm(self, spec: str) -> None:
        """Arm from `point:count`; raises `ValueError` when it is neither."""
        name, _, count = spec.partition(":")
        self.name, self.left = name, int(count or "1")

    def passed(self, name: str) -> None:
        """Die at once, as by `kill -9`, if this is the armed passing of the armed point."""
        if not self.name or name != self.name:
            return
        self.left -= 1
        if self.left <= 0:
            sys.stderr.write(f"crash point {name} reached\n")
            sys.stderr.flush()
            os.kill(os.getpid(), signal.SIGKILL)


crash: Final = CrashPoint()
