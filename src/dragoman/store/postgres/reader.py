"""The named questions. They share the pool, one at a time, so that no reader starves the line."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dragoman.model import Line
from dragoman.store.base import Depths, ParkedRow, Trace
from dragoman.store.postgres.inbox import short
from dragoman.store.postgres.pool import Pool
from dragoman.store.stored import encode, lines, number_of, read_state, trace
from dragoman.store.told import Followed, read_told


class Horizon:
    """The number up to which no transaction that could still bring an entry is open.

    Numbers are taken before the commit. So a number that was the last one at a look counts when all who were writing
    at that look have ended; at the next look, if not at once.
    """

    def __init__(self) -> None:
        self._sure = 0
        self._next = 0
        self._writers: frozenset[str] = frozenset()

    def seen(self, last: int, writers: frozenset[str]) -> int:
        """Note the last number and who was writing after it was read; returns the number that is sure."""
        if last < self._sure:  # another server took over, which had not heard of all
            self._sure, self._next, self._writers = 0, 0, frozenset()
        if not self._writers & writers:
            self._sure = max(self._sure, self._next if writers else last)
            self._next, self._writers = last, writers
        return self._sure


class PostgresReader:
    """Answers what history, trace, console and metrics ask."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._turn = asyncio.Semaphore(1)
        self._horizon = Horizon()

    async def history(self, conversation: str, limit: int, before: int = 0) -> Sequence[Line]:
        """Read the last `limit` lines of a conversation, before an event, edits and deletions applied."""
        span = {"conversation": short(conversation), "before": before or 1 << 62}
        async with self._turn:
            events = await self._pool.rows("recent_events", **span, limit=limit)
            after = events[-1][0] if events else span["before"]
            changes = await self._pool.rows("recent_changes", **span, after=after)
            broadcasts = await self._pool.rows("broadcast_to", conversation=span["conversation"], limit=limit)
            said: defaultdict[int, list[tuple[int, str, float]]] = defaultdict(list)
            for event, *reply in await self._pool.rows("said_to", inboxes=[row[0] for row in events]):
                said[event].append((reply[0], reply[1], reply[2]))
        told = (
            [tuple(row) for row in events],
            said,
            [tuple(row) for row in changes],
            [tuple(row) for row in broadcasts],
        )
        return lines(*told, limit)

    async def trace(self, name: str) -> Trace | None:
        """Find a message by our id (`e12`, `d7`), its key, or its message id, and tell its life."""
        async with self._turn:
            number = await self._number(name)
            row = await self._pool.one("find_event", id=number)
            if row is None:
                return None
            return trace(row, await self._pool.rows("deliveries_of", inbox=number))

    async def _number(self, name: str) -> int:
        if number := number_of(name, "e"):
            return number
        wanted = f'"message_id":{encode(name)}'
        return (
            await self._pool.one("find_by_delivery", id=number_of(name, "d"))
            or await self._pool.one("find_by_key", key=short(name))
            or await self._pool.one("find_by_message", wanted=wanted)
            or 0
        )

    async def fires(self, timer: str, conversation: str, limit: int) -> Sequence[int]:
        """Find the newest events that a timer, and what came at once beside it, brought; the newest first."""
        found = await self._pool.rows("fires_of", timer=timer, conversation=short(conversation), limit=limit)
        return [row[0] for row in found]

    async def at_rest(self, conversation: str) -> dict[str, Any] | None:
        """Read the state of a conversation of which nothing waits or runs; None while something does."""
        found = await self._pool.rows("at_rest", conversation=short(conversation))
        pending, state = found[0] if found else (0, "{}")
        return None if pending else read_state(state, conversation)

    async def parked(self, limit: int) -> Sequence[ParkedRow]:
        """List what is set aside, newest first."""
        found = await self._pool.rows("parked_rows", limit=limit)
        return [
            ParkedRow(id=name, kind=kind, account=account, conversation=conversation, reason=reason, at=at)
            for name, kind, account, conversation, reason, at in found
        ]

    async def depths(self) -> Depths:
        """Count what waits."""
        async with self._turn:
            return Depths(
                inbox=await self._pool.one("waiting_events"),
                outbox=await self._pool.one("waiting_deliveries"),
                parked=await self._pool.one("parked_count"),
                oldest=max(0.0, await self._pool.one("oldest_waiting") or 0.0),
            )

    async def owner(self, lease: str) -> str:
        """Name who has a lease; empty when nobody has."""
        return await self._pool.one("lease_owner", name=lease) or ""

    async def paused(self) -> Mapping[str, str]:
        """Name the paused accounts, with the reason."""
        return dict(await self._pool.rows("paused_accounts"))

    async def payload(self, parked: str) -> tuple[str, bytes] | None:
        """Read a parked payload's account and bytes."""
        found = await self._pool.one("payload", id=number_of(parked, "p"))
        return None if found is None else (found[0], found[1])

    async def status(self, event: int) -> str:
        """Read an event's status; empty when it is gone."""
        return await self._pool.one("event_status", id=event) or ""

    async def follow(self, cursor: int, limit: int, until: int = 0) -> Followed:
        """Read what was told after a number, below the oldest transaction that is open."""
        async with self._turn:
            if not until:
                last = await self._pool.one("told_last")
                writers = frozenset(row[0] for row in await self._pool.rows("told_writers"))
                until = self._horizon.seen(last, writers)
            found = read_told(await self._pool.rows("follow", after=cursor, until=until, limit=limit))
        return Followed(told=found, cursor=found[-1].id if len(found) == limit else max(cursor, until))

    async def recalled(self, names: Collection[str]) -> Mapping[str, str]:
        """Read kept values by their names."""
        return dict(await self._pool.rows("kept_values", names=list(names)))
