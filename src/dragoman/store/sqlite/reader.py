"""The named questions, on a read-only connection in a thread of its own."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from dragoman.model import Line
from dragoman.store.base import Depths, ParkedRow, Trace
from dragoman.store.sqlite.opening import read_only
from dragoman.store.sqlite.statements import Connection, one, rows
from dragoman.store.stored import encode, lines, number_of, read_state, shortened, trace
from dragoman.store.told import Followed, read_told

Q = ParamSpec("Q")
R = TypeVar("R")


class SqliteReader:
    """Answers what history, trace, console and metrics ask."""

    def __init__(self, database: Path, clock: Callable[[], float]) -> None:
        self._connection = read_only(database)
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-reader")

    async def ask(self, question: Callable[Concatenate[Connection, Q], R], *arguments: Q.args, **_: Q.kwargs) -> R:
        """Put a question to the read-only connection."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, question, self._connection, *arguments)

    async def close(self) -> None:
        """End the thread and the connection."""
        await asyncio.to_thread(self._thread.shutdown)
        self._connection.close()

    async def history(self, conversation: str, limit: int, before: int = 0) -> Sequence[Line]:
        """Read the last `limit` lines of a conversation, before an event, edits and deletions applied."""
        return await self.ask(_history, conversation, limit, before or 1 << 62)

    async def trace(self, name: str) -> Trace | None:
        """Find a message by our id (`e12`, `d7`) or its key, and tell its life."""
        return await self.ask(_trace, name)

    async def parked(self, limit: int) -> Sequence[ParkedRow]:
        """List what is set aside, newest first."""
        return await self.ask(_parked, limit)

    async def depths(self) -> Depths:
        """Count what waits."""
        return await self.ask(_depths, self._clock())

    async def owner(self, lease: str) -> str:
        """Name who has a lease; empty when nobody has."""
        return await self.ask(_owner, lease, self._clock())

    async def paused(self) -> Mapping[str, str]:
        """Name the paused accounts, with the reason."""
        return dict(await self.ask(_paused, self._clock()))

    async def payload(self, parked: str) -> tuple[str, bytes] | None:
        """Read a parked payload's account and bytes."""
        return await self.ask(_payload, number_of(parked, "p"))

    async def status(self, event: int) -> str:
        """Read an event's status; empty when it is gone."""
        return await self.ask(_status, event)

    async def fires(self, timer: str, conversation: str, limit: int) -> Sequence[int]:
        """Find the newest events that a timer, and what came at once beside it, brought; the newest first."""
        return await self.ask(_fires, timer, conversation, limit)

    async def at_rest(self, conversation: str) -> dict[str, Any] | None:
        """Read the state of a conversation of which nothing waits or runs; None while something does."""
        return await self.ask(_at_rest, conversation)

    async def follow(self, cursor: int, limit: int, until: int = 0) -> Followed:
        """Read what was told after a number; one writer: numbers are commit order."""
        return await self.ask(_follow, cursor, limit, until)

    async def recalled(self, names: Collection[str]) -> Mapping[str, str]:
        """Read kept values by their names."""
        return dict(await self.ask(_recalled, names))


def _recalled(connection: Connection, names: Collection[str]) -> list[tuple[str, str]]:
    return rows(connection, "kept_values", names=encode(list(names)))


def _follow(connection: Connection, cursor: int, limit: int, until: int) -> Followed:
    until = until or one(connection, "told_last")
    found = read_told(rows(connection, "follow", after=cursor, until=until, limit=limit))
    return Followed(told=found, cursor=found[-1].id if len(found) == limit else max(cursor, until))


def _fires(connection: Connection, timer: str, conversation: str, limit: int) -> list[int]:
    found = rows(connection, "fires_of", timer=timer, conversation=conversation, limit=limit)
    return [number for (number,) in found]


def _at_rest(connection: Connection, conversation: str) -> dict[str, Any] | None:
    pending, state = one(connection, "at_rest", conversation=conversation) or (0, "{}")
    return None if pending else read_state(state, conversation)


def _history(connection: Connection, conversation: str, limit: int, before: int) -> list[Line]:
    found = rows(connection, "recent_events", conversation=conversation, before=before, limit=limit)
    after = found[-1][0] if found else before
    changes = rows(connection, "recent_changes", conversation=conversation, before=before, after=after)
    said = {row[0]: rows(connection, "said_to", inbox=row[0]) for row in found}
    broadcasts = rows(connection, "broadcast_to", conversation=conversation, limit=limit)
    return lines(found, said, changes, broadcasts, limit)


def _trace(connection: Connection, name: str) -> Trace | None:
    number = number_of(name, "e") or one(connection, "find_by_delivery", id=number_of(name, "d"))
    number = number or one(connection, "find_by_key", key=shortened(name))
    number = number or one(connection, "find_by_message", key=name)
    row = one(connection, "find_event", id=number or 0)
    return None if row is None else trace(row, rows(connection, "deliveries_of", inbox=number))


def _parked(connection: Connection, limit: int) -> list[ParkedRow]:
    """Read them whatever became of their texts: here an operator learns of it."""
    found: list[Any] = rows(connection, "parked_rows", limit=limit)
    shown = ((*row[:2], *(text.decode(errors="replace") for text in row[2:5]), row[5]) for row in found)
    return [
        ParkedRow(id=name, kind=kind, account=account, conversation=conversation, reason=reason, at=at)
        for name, kind, account, conversation, reason, at in shown
    ]


def _depths(connection: Connection, now: float) -> Depths:
    oldest = one(connection, "oldest_waiting")
    return Depths(
        inbox=one(connection, "waiting_events"),
        outbox=one(connection, "waiting_deliveries"),
        parked=one(connection, "parked_count"),
        oldest=max(0.0, now - oldest) if oldest is not None else 0.0,
    )


def _paused(connection: Connection, now: float) -> list[tuple[str, str]]:
    return rows(connection, "paused_accounts", now=now)


def _owner(connection: Connection, lease: str, now: float) -> str:
    return one(connection, "lease_owner", name=lease, now=now) or ""


def _payload(connection: Connection, number: int) -> tuple[str, bytes] | None:
    found: tuple[str, bytes] | None = one(connection, "payload", id=number)
    return found


def _status(connection: Connection, event: int) -> str:
    return one(connection, "event_status", id=event) or ""
