"""The named questions, on a read-only connection in a thread of its own."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import apsw
import msgspec

from dragoman.model import Action, Event, Line, Say
from dragoman.store.base import Depths, ParkedRow, Stage, Trace
from dragoman.store.sqlite.opening import read_only
from dragoman.store.sqlite.statements import one, rows

Q = ParamSpec("Q")
R = TypeVar("R")

_event = msgspec.json.Decoder(Event).decode
_action = msgspec.json.Decoder(Action).decode


class SqliteReader:
    """Answers what history, trace, console and metrics ask."""

    def __init__(self, database: Path, clock: Callable[[], float]) -> None:
        self._connection = read_only(database)
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-reader")

    async def _ask(
        self, question: Callable[Concatenate[apsw.Connection, Q], R], *arguments: Q.args, **_: Q.kwargs
    ) -> R:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, question, self._connection, *arguments)

    async def close(self) -> None:
        """End the thread and the connection."""
        await asyncio.to_thread(self._thread.shutdown)
        self._connection.close()

    async def history(self, conversation: str, limit: int, before: int = 0) -> Sequence[Line]:
        """Read the last `limit` lines of a conversation, before an event, edits and deletions applied."""
        return await self._ask(_history, conversation, limit, before or 1 << 62)

    async def trace(self, name: str) -> Trace | None:
        """Find a message by our id (`e12`, `d7`) or its key, and tell its life."""
        return await self._ask(_trace, name)

    async def parked(self, limit: int) -> Sequence[ParkedRow]:
        """List what is set aside, newest first."""
        return await self._ask(_parked, limit)

    async def depths(self) -> Depths:
        """Count what waits."""
        return await self._ask(_depths, self._clock())

    async def paused(self) -> Mapping[str, str]:
        """Name the paused accounts, with the reason."""
        return dict(await self._ask(_paused, self._clock()))

    async def payload(self, parked: str) -> tuple[str, bytes] | None:
        """Read a parked payload's account and bytes."""
        return await self._ask(_payload, number_of(parked, "p"))

    async def status(self, event: int) -> str:
        """Read an event's status; empty when it is gone."""
        return await self._ask(_status, event)


def number_of(name: str, letter: str) -> int:
    """Return the number in an id such as `e12` if it has this letter, else 0 (no row has that)."""
    digits = name[1:]
    return int(digits) if name[:1] == letter and digits.isdecimal() and len(digits) < 19 else 0


def _history(connection: apsw.Connection, conversation: str, limit: int, before: int) -> list[Line]:
    found = rows(connection, "recent_events", conversation=conversation, before=before, limit=limit)
    changed = _changes(connection, conversation, before, after=found[-1][0] if found else before)
    lines: list[Line] = []
    for number, body, at in found:  # newest first, until there are enough lines
        event = _event(body)
        lines += reversed(_said(connection, number))
        text = changed.get(event.message_id, event.text)
        if text is not None:
            lines.append(Line(by="person", text=text, at=at, id=f"e{number}", name=event.sender.name))
        if len(lines) >= limit:
            break
    return lines[:limit][::-1]


def _changes(connection: apsw.Connection, conversation: str, before: int, after: int) -> dict[str, str | None]:
    """Read what messages became: their last text, or None when they were deleted."""
    found = rows(connection, "recent_changes", conversation=conversation, before=before, after=after)
    events = [_event(body) for (body,) in found]
    return {event.message_id: event.text if event.kind == "edit" else None for event in events}


def _said(connection: apsw.Connection, event: int) -> list[Line]:
    said = [(row, _action(row[1])) for row in rows(connection, "said_to", inbox=event)]
    return [
        Line(by="bot", text=action.message.text, at=row[2], id=f"d{row[0]}", buttons=action.message.buttons)
        for row, action in said
        if isinstance(action, Say)
    ]


def _trace(connection: apsw.Connection, name: str) -> Trace | None:
    number = number_of(name, "e") or one(connection, "find_by_delivery", id=number_of(name, "d"))
    number = number or one(connection, "find_by_key", key=name) or one(connection, "find_by_message", key=name)
    row = one(connection, "find_event", id=number or 0)
    if row is None:
        return None
    number, account, conversation, kind, key, status, reason, handler, duplicates, *times = row
    received, authenticated, parsed, accepted, routed, responded = times
    turn = reason or {"waiting": "waiting", "done": handler or "no turn wanted"}.get(status, status)
    stages = [
        Stage(name="receive", at=received, outcome="received"),
        Stage(name="authenticate", at=authenticated, outcome="genuine"),
        Stage(name="parse", at=parsed, outcome=f"accepted at {accepted:.3f}"),
        Stage(name="route", at=routed, outcome=turn),
        Stage(name="respond", at=responded, outcome=status),
        *_deliver_stages(connection, number),
    ]
    return Trace(
        id=f"e{number}",
        account=account,
        conversation=conversation,
        kind=kind,
        key=key,
        status=status,
        duplicates=duplicates,
        stages=tuple(stages),
    )


def _deliver_stages(connection: apsw.Connection, event: int) -> list[Stage]:
    found = rows(connection, "deliveries_of", inbox=event)
    if not found:
        return [Stage(name="deliver", at=None, outcome="nothing to deliver")]
    return [_deliver_stage(*row) for row in found]


def _deliver_stage(number: int, state: str, reason: str, attempts: int, at: float | None, ids: str) -> Stage:
    known = f" as {ids}" if ids != "[]" else ""
    because = f": {reason}" if reason else ""
    return Stage(name="deliver", at=at, outcome=f"d{number} {state}{known}, attempt {attempts}{because}")


def _parked(connection: apsw.Connection, limit: int) -> list[ParkedRow]:
    found: list[Any] = rows(connection, "parked_rows", limit=limit)
    return [
        ParkedRow(id=name, kind=kind, account=account, conversation=conversation, reason=reason, at=at)
        for name, kind, account, conversation, reason, at in found
    ]


def _depths(connection: apsw.Connection, now: float) -> Depths:
    oldest = one(connection, "oldest_waiting")
    return Depths(
        inbox=one(connection, "waiting_events"),
        outbox=one(connection, "waiting_deliveries"),
        parked=one(connection, "parked_count"),
        oldest=max(0.0, now - oldest) if oldest is not None else 0.0,
    )


def _paused(connection: apsw.Connection, now: float) -> list[tuple[str, str]]:
    return rows(connection, "paused_accounts", now=now)


def _payload(connection: apsw.Connection, number: int) -> tuple[str, bytes] | None:
    found: tuple[str, bytes] | None = one(connection, "payload", id=number)
    return found


def _status(connection: apsw.Connection, event: int) -> str:
    return one(connection, "event_status", id=event) or ""
