"""Spans to a collector, by OTLP over HTTP and from a thread of their own.

Nobody waits for it: what the collector does not take in time is counted as lost, and the line goes on. The libraries
are an extra, so importing this module may raise `ModuleNotFoundError`.
"""

import asyncio
import collections
import logging
import threading
from collections.abc import Mapping
from typing import Final

from opentelemetry import trace as api
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision, Sampler, TraceIdRatioBased
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from dragoman import telemetry
from dragoman.flow.traces import Side, Span

WAITING: Final = 4096
"""Spans that wait to be sent, at most."""
BATCH: Final = 64
"""Spans in one request: few, because while they are encoded the event loop has to share its core."""
EVERY: Final = 0.25
"""Seconds between two requests, while less than a batch waits."""
STOP: Final = 2.0
"""Seconds that the collector has at the end to take what still waits."""
KINDS: Final[Mapping[Side, api.SpanKind]] = {
    "server": api.SpanKind.SERVER,
    "consumer": api.SpanKind.CONSUMER,
    "inside": api.SpanKind.INTERNAL,
    "client": api.SpanKind.CLIENT,
}
SAMPLED: Final = api.TraceFlags(api.TraceFlags.SAMPLED)
LIBRARY: Final = "opentelemetry.exporter.otlp"

log = telemetry.logger("traces")


class Exporter:
    """A bounded queue of spans, and the thread that empties it."""

    def __init__(self, url: str, headers: Mapping[str, str], about: Mapping[str, str]) -> None:
        """Send to `url` (empty: as the OTEL_ variables say); `about` describes this process."""
        self._carrier = OTLPSpanExporter(endpoint=endpoint(url) or None, headers=dict(headers) or None)
        self._resource = Resource.create(dict(about)).merge(OTELResourceDetector().detect())  # the operator wins
        self._scope = InstrumentationScope("dragoman", about.get("service.version"))
        self._waiting: collections.deque[Span] = collections.deque()
        self._wake = threading.Event()
        self._closed = self._given_up = False
        self._failing = False
        self._words = Words()
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self._thread.start()

    def emit(self, span: Span) -> None:
        """Take a span, or drop it when too many wait. Never blocks."""
        if len(self._waiting) >= WAITING:
            telemetry.spans.labels("lost").inc()
            return
        self._waiting.append(span)
        if len(self._waiting) >= BATCH:
            self._wake.set()

    async def close(self) -> None:
        """Send what waits, as far as that is quickly done, and end."""
        self._closed = True
        self._wake.set()
        await asyncio.to_thread(self._thread.join, STOP)
        self._given_up = True
        self._carrier.shutdown()  # type: ignore[no-untyped-call]  # the library's; it ends a wait between two tries
        await asyncio.to_thread(self._thread.join, STOP / 2)
        telemetry.spans.labels("lost").inc(len(self._waiting))
        if not self._thread.is_alive():
            self._words.close()

    def _run(self) -> None:
        while not self._closed:
            self._wake.wait(EVERY)
            self._wake.clear()
            while self._waiting and not self._given_up:
                self._export([self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))])

    def _export(self, batch: list[Span]) -> None:
        done = self._carrier.export([self._readable(span) for span in batch]) is SpanExportResult.SUCCESS
        telemetry.spans.labels("exported" if done else "lost").inc(len(batch))
        if done is self._failing:  # it has changed: said once
            self._failing = not done
            if done:
                log.warning("traces.back")
            else:
                log.warning("traces.away", reason=self._words.said)
        self._words.said = ""

    def _readable(self, span: Span) -> ReadableSpan:
        return ReadableSpan(
            span.name,
            context=_context(span.trace, span.id),
            parent=_context(span.trace, span.parent) if span.parent else None,
            resource=self._resource,
            attributes={**span.facts, **({"error.type": span.fault} if span.fault else {})},
            links=[api.Link(_context(*span.caller))] if span.caller else (),
            kind=KINDS[span.side],
            status=api.Status(api.StatusCode.ERROR, span.fault) if span.fault else api.Status(),
            start_time=int(span.began * 1e9),
            end_time=int(max(span.began, span.ended) * 1e9),
            instrumentation_scope=self._scope,
        )


class Words(logging.Handler):
    """Keeps the first thing that the library says of a failure, instead of a line in our log for each of its tries."""

    def __init__(self) -> None:
        super().__init__()
        self.said = ""
        self._logger = logging.getLogger(LIBRARY)
        self._logger.addHandler(self)
        self._logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record's text, unless there is one."""
        self.said = self.said or record.getMessage()[:200]

    def close(self) -> None:
        """Let the library speak for itself again."""
        self._logger.removeHandler(self)
        self._logger.propagate = True
        super().close()


class Sampling:
    """Decides by a trace's id whether it is told, alike in every process that has the same ratio."""

    def __init__(self, ratio: float | None) -> None:
        """Without a ratio the variable OTEL_TRACES_SAMPLER decides, and without that everything is told."""
        provider = TracerProvider(shutdown_on_exit=False)
        self._sampler: Sampler = provider.sampler if ratio is None else TraceIdRatioBased(ratio)

    def __call__(self, trace: str) -> bool:
        """Tell whether a trace is told."""
        return self._sampler.should_sample(None, int(trace, 16), "receive").decision is Decision.RECORD_AND_SAMPLE


def endpoint(url: str) -> str:
    """Return where spans go at a collector: the path that OTLP gives them, unless the address has it already."""
    base = url.rstrip("/")
    return base if not base or base.endswith("/v1/traces") else f"{base}/v1/traces"


def _context(trace: str, span: str) -> api.SpanContext:
    return api.SpanContext(int(trace, 16), int(span, 16), is_remote=False, trace_flags=SAMPLED)
