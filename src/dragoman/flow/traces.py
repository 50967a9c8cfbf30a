"""A message's life as the spans of one trace, whichever processes its stages run on.

Nothing is handed on between processes: a trace's id is the turn's, which follows from the event's key (decision 0004),
and a span's id follows from its trace and stage. The root is `receive` (or `fire`), the other stages stand below it,
and calls below their stage. Spans carry ids and outcomes, never message text, addresses or secrets.
"""

import contextvars
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Final, Literal, Self

from dragoman import crypto
from dragoman.flow.account import Account
from dragoman.model import Delivery, Event, Value
from dragoman.store import stored
from dragoman.store.base import Accepted, Claim, Times
from dragoman.store.timers import Firing

Side = Literal["server", "consumer", "inside", "client"]
Facts = Mapping[str, str | int | float]

TRACE: Final = re.compile(r"[0-9a-f]{32}")
CALLER: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}")
"""The header `traceparent` (W3C Trace Context, section 3.2)."""

_above: contextvars.ContextVar[tuple[str, str] | None] = contextvars.ContextVar("above", default=None)
"""The trace and the span under which the running task works, if that is to be told."""


class Span(Value):
    """One stretch of a message's life, told when it is over. Times are epoch seconds."""

    trace: str
    id: str
    name: str
    began: float
    ended: float
    parent: str = ""
    side: Side = "inside"
    facts: dict[str, str | int | float] = {}
    fault: str = ""
    """What went wrong, in a word; empty when nothing did."""
    caller: tuple[str, str] | None = None
    """The trace and the span of a caller that told them: linked to, and not continued."""


class Tracer:
    """Tells the spans of the line to `emit`; `sampled` decides by the trace's id, alike in every process."""

    def __init__(
        self, emit: Callable[[Span], None], sampled: Callable[[str], bool], clock: Callable[[], float]
    ) -> None:
        self._emit = emit
        self._sampled = sampled
        self._clock = clock

    def received(
        self, account: Account, events: Sequence[Event], accepted: Sequence[Accepted], times: Times, caller: str = ""
    ) -> None:
        """Tell the first three stages of what is stored now; what comes again is a span below the first."""
        ended, found = self._clock(), CALLER.fullmatch(caller)
        side: Side = "server" if account.adapter.mode() == "webhook" else "consumer"
        for event, item in zip(events, accepted, strict=True):
            trace = stored.turn_id(event)
            if not self._sampled(trace):
                continue
            again = item.duplicate or not item.id
            root = root_of(trace)
            self._emit(
                Span(
                    trace=trace,
                    id=secrets.token_hex(8) if again else root,
                    parent=root if again else "",
                    name="receive",
                    side=side,
                    began=times.received,
                    ended=ended,
                    facts={**_facts(event), "dragoman.event": f"e{item.id}", "dragoman.outcome": _outcome(item)},
                    caller=(found[1], found[2]) if found else None,
                )
            )
            if not again:
                self._stage(trace, "authenticate", times.received, times.authenticated, _facts(event))
                self._stage(trace, "parse", times.authenticated, times.parsed, _facts(event))

    def fired(self, firing: Firing, began: float) -> None:
        """Tell that a timer brought its events: the root of traces that no request began."""
        ended = self._clock()
        for event in firing.events:
            trace = stored.turn_id(event)
            if self._sampled(trace):
                facts = {**_facts(event), "dragoman.timer": firing.name}
                self._emit(Span(trace=trace, id=root_of(trace), name="fire", began=began, ended=ended, facts=facts))

    def handling(self, claim: Claim) -> None:
        """Let the calls of this task stand below the turn that it is about to run."""
        trace = claim.events[0].turn
        _above.set((trace, span_id(trace, "respond", claim.fence)) if self._sampled(trace) else None)

    def handled(self, claim: Claim, began: float, outcome: str, handler: str = "", fault: str = "") -> None:
        """Tell one attempt at a turn: how long it had waited, and what came of it."""
        event, trace = claim.events[0], claim.events[0].turn
        if not self._sampled(trace):
            return
        facts = {**_facts(event.event), "dragoman.event": f"e{event.id}", "dragoman.attempt": claim.attempt}
        self._stage(trace, "route", began - claim.waited, began, facts, claim.fence)
        facts |= {"dragoman.outcome": outcome, **({"dragoman.handler": handler} if handler else {})}
        self._stage(trace, "respond", began, self._clock(), facts, claim.fence, fault=fault)

    def delivering(self, delivery: Delivery) -> None:
        """Let the calls of this task stand below the delivery that it is about to make."""
        trace = trace_of(delivery)
        id_ = span_id(trace, "deliver", delivery.key, delivery.fence)
        _above.set((trace, id_) if self._sampled(trace) else None)

    def delivered(self, delivery: Delivery, platform: str, outcome: str, began: float) -> None:
        """Tell one attempt at a delivery; one that answers nothing (a broadcast's) is a trace of its own."""
        trace = trace_of(delivery)
        if not self._sampled(trace):
            return
        facts: dict[str, str | int | float] = {
            "dragoman.account": delivery.address.account,
            "dragoman.platform": platform,
            "dragoman.delivery": f"d{delivery.id}",
            "dragoman.action": type(delivery.action).__name__.lower(),
            "dragoman.attempt": delivery.attempt,
            "dragoman.outcome": outcome,
        }
        parts, fault = (delivery.key, delivery.fence), "" if outcome == "sent" else outcome
        root = root_of(trace) if answers(delivery) else ""
        self._stage(trace, "deliver", began, self._clock(), facts, *parts, fault=fault, parent=root)

    def within(self, name: str, facts: Facts, side: Side = "inside") -> "Within":
        """Return a context whose time is a span below the running stage, if that one is told of."""
        return Within(self._emit, self._clock, name, facts, side)

    def _stage(
        self,
        trace: str,
        name: str,
        began: float,
        ended: float,
        facts: Facts,
        *parts: str | int,
        fault: str = "",
        parent: str | None = None,
    ) -> None:
        above = root_of(trace) if parent is None else parent
        id_ = span_id(trace, name, *parts)
        self._emit(
            Span(
                trace=trace,
                id=id_,
                parent=above,
                name=name,
                began=began,
                ended=ended,
                facts=dict(facts),
                fault=fault,
            )
        )


class Within:
    """A stretch of time below the running stage; `facts` may grow while it lasts."""

    def __init__(
        self, emit: Callable[[Span], None], clock: Callable[[], float], name: str, facts: Facts, side: Side
    ) -> None:
        self.facts = dict(facts)
        self.fault = ""
        self._emit = emit
        self._clock = clock
        self._name = name
        self._side = side
        self._above = _above.get()

    def __enter__(self) -> Self:
        """Begin."""
        if self._above is not None:
            self._id, self._began = secrets.token_hex(8), self._clock()
            self._token = _above.set((self._above[0], self._id))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, and tell it; an error goes on, and its type is all that is told of it."""
        if self._above is None:
            return
        _above.reset(self._token)
        self._emit(
            Span(
                trace=self._above[0],
                id=self._id,
                parent=self._above[1],
                name=self._name,
                side=self._side,
                began=self._began,
                ended=self._clock(),
                facts=self.facts,
                fault=kind.__name__ if kind else self.fault,
            )
        )


def span_id(trace: str, *parts: str | int) -> str:
    """Name a span: the same in every process."""
    return crypto.fingerprint(trace, *(str(part) for part in parts))[:16]


def root_of(trace: str) -> str:
    """Name the span that began a trace."""
    return span_id(trace, "receive")


def answers(delivery: Delivery) -> bool:
    """Tell whether a delivery belongs to a turn: its key begins with the turn's id."""
    return bool(TRACE.fullmatch(delivery.key.partition(":")[0]))


def trace_of(delivery: Delivery) -> str:
    """Name the trace that a delivery belongs to."""
    return delivery.key.partition(":")[0] if answers(delivery) else crypto.fingerprint(delivery.key)


def _facts(event: Event) -> dict[str, str | int | float]:
    return {"dragoman.account": event.account, "dragoman.platform": event.platform, "dragoman.kind": event.kind}


def _outcome(item: Accepted) -> str:
    if item.duplicate:
        return "duplicate"
    return ("parked" if item.id else "refused") if item.surplus else "accepted"
