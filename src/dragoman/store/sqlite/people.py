"""What the SQLite store keeps of a person: found by the reader, erased by the writer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dragoman.model import Address, Message, Say
from dragoman.store.people import BLANK, People, Traces, chunks, scrubbed
from dragoman.store.person import ERASED
from dragoman.store.sqlite.reader import SqliteReader
from dragoman.store.sqlite.statements import Connection, one, rows, run
from dragoman.store.sqlite.writer import Writer
from dragoman.store.stored import encode, readable_state

SILENT = {"action": encode(Say(message=Message())), "address": encode(Address(account="-")), "erased": ERASED}
"""What stands in the place of an erased delivery."""


class SqlitePeople(People):
    """The contract `People` on one file; `over` is told of events that wait no more."""

    def __init__(
        self, writer: Writer, reader: SqliteReader, clock: Callable[[], float], over: Callable[[int], None]
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._clock = clock
        self._over = over
        self.empty_log: Callable[[], None] | None = None
        """Leaves nothing in the write-ahead log, where nobody follows it."""

    async def ask(self, statement: str, **bindings: Any) -> Sequence[Sequence[Any]]:
        """Run a named statement on the reading connection; lists go as JSON."""
        return await self._reader.ask(_ask, statement, bindings)

    async def blank(self, traces: Traces, events: Sequence[int]) -> None:
        """Blank some of a person's events, with all that answers them, in one transaction."""
        for event in await self._writer.run(_blank, traces, list(events), self._clock()):
            self._over(event)

    async def clear(self, traces: Traces, kept: Mapping[str, str], gone: Sequence[str]) -> None:
        """Delete what is kept of a person beside their events; keep some values and forget others with it."""
        await self._writer.run(_clear, traces, kept, list(gone), self._clock())
        if self.empty_log is not None:
            await self._writer.aside(self.empty_log)

    async def keep(self, name: str, value: str | None) -> None:
        """Keep a value, or forget it."""
        await self._writer.run(_keep, name, value)


def _listed(bindings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: encode(value) if isinstance(value, list | tuple) else value for name, value in bindings.items()}


def _ask(connection: Connection, statement: str, bindings: Mapping[str, Any]) -> list[Any]:
    return rows(connection, statement, **_listed(bindings))


def _blank(connection: Connection, traces: Traces, events: list[int], now: float) -> list[int]:
    """Blank events and what answers them; returns those that waited for a turn."""
    ids = encode(events)
    waited = rows(connection, "waiting_events_of", ids=ids)
    conversations = sorted({*(name for _, name in waited), *traces.direct})
    run(connection, "blank_events", blank=BLANK, erased=ERASED, ids=ids)
    for name in conversations:
        run(connection, "recount", conversation=name, now=now)
    _silence(connection, ids, [], now)
    return [number for number, _ in waited]


def _silence(connection: Connection, ids: str, conversations: Sequence[str], now: float) -> None:
    """Blank deliveries, and let their lanes go on."""
    these = {"ids": ids, "conversations": encode(list(conversations))}
    lanes = {name for _, name in rows(connection, "open_deliveries_to", **these)}
    run(connection, "blank_deliveries", **SILENT, **these, now=now)
    for name in sorted(lanes):
        run(connection, "wake_lane", conversation=name, at=now)


def _clear(connection: Connection, traces: Traces, kept: Mapping[str, str], gone: Sequence[str], now: float) -> None:
    direct = encode(traces.direct)
    _silence(connection, "[]", traces.direct, now)
    person = {"person": str(traces.person), "conversations": direct}
    run(connection, "blank_recipients", **person, erased=ERASED, address=SILENT["address"])
    run(connection, "forget_timers", person=str(traces.person))
    run(connection, "forget_memory", people=encode(traces.remembered))
    run(connection, "forget_payloads", ids=encode(traces.payloads))
    for chunk in chunks(traces.turns):
        run(connection, "forget_journal", turns=encode(chunk))
    for chunk in chunks(traces.receipts):
        run(connection, "blank_receipts", receipts=encode(chunk))
    _clear_states(connection, traces, now)
    run(connection, "forget_kept", names=encode(list(gone)))
    for name, value in kept.items():
        run(connection, "set_kept", name=name, value=value)


def _clear_states(connection: Connection, traces: Traces, now: float) -> None:
    """Forget the state of a person's own conversations, and in groups what is theirs."""
    for name in traces.direct:
        run(connection, "set_state", conversation=name, state="{}")
        run(connection, "recount", conversation=name, now=now)
        run(connection, "delete_conversation", conversation=name)
    for name in traces.groups:
        _, state = one(connection, "at_rest", conversation=name) or (0, "{}")
        left = scrubbed(readable_state(state), traces)
        if left is not None:
            run(connection, "set_state", conversation=name, state=encode(left))
            run(connection, "recount", conversation=name, now=now)


def _keep(connection: Connection, name: str, value: str | None) -> None:
    if value is None:
        run(connection, "forget_kept", names=encode([name]))
    else:
        run(connection, "set_kept", name=name, value=value)
