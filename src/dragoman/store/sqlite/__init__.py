"""The line on one SQLite file: write-ahead log, `synchronous=FULL`, one writer, group commit."""

import asyncio
import contextlib
import functools
import os
import secrets
import socket
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import apsw

from dragoman.adapter import Receipt
from dragoman.errors import StoreAway
from dragoman.model import Delivery
from dragoman.store.base import (
    MOST_PENDING,
    SEND_LEASE,
    Accepted,
    Alive,
    Claim,
    Decision,
    Handled,
    Once,
    Surplus,
    Times,
    Wake,
)
from dragoman.store.disk import Disk
from dragoman.store.pages import Mark
from dragoman.store.sqlite import inbox, opening, outbox, restored, upkeep
from dragoman.store.sqlite.broadcasts import SqliteBroadcasts
from dragoman.store.sqlite.desk import Desk, Found
from dragoman.store.sqlite.pages import Followed, SqlitePages
from dragoman.store.sqlite.people import SqlitePeople
from dragoman.store.sqlite.reader import SqliteReader
from dragoman.store.sqlite.statements import Connection, one
from dragoman.store.sqlite.timers import SqliteTimers
from dragoman.store.sqlite.writer import BOTH, DELIVER, WORK, Writer
from dragoman.store.stored import happened_before

LOOK_AGAIN: Final = 1.0
"""Seconds after which a waiter looks at the row itself, should the hint not come."""


class SqliteStore:
    """The embedded store. One service owns a file; `reader` answers questions beside the line."""

    def __init__(
        self,
        writer: Writer,
        reader: SqliteReader,
        lock: opening.FileLock,
        clocks: tuple[Callable[[], float], Callable[[], float]],
        disk: Disk | None = None,
    ) -> None:
        clock, _ = clocks
        self.reader = reader
        self.timers = SqliteTimers(writer, clocks, lambda: self.most_pending, self._came)
        self._writer = writer
        self._work: Desk[Claim] = Desk(
            self._look_for_work, clock, lambda event: happened_before(event, self._until), self._note
        )
        self._sends: Desk[Delivery] = Desk(self._look_for_sends, clock, lambda account: account in self._sends.busy)
        writer.desks |= {"work": self._work, "deliver": self._sends}
        self._lock = lock
        self._clock = clock
        self._disk = disk
        self.broadcasts = SqliteBroadcasts(writer, reader, clocks, functools.partial(self.wake, "deliver"))
        self.people = SqlitePeople(writer, reader, clock, self._finish)
        self._finishing: dict[int, set[asyncio.Future[None]]] = {}
        self._suspect = ""
        self._until = 0.0
        self.pages: SqlitePages | None = None
        self.owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self.most_waiting = 50_000
        self.most_pending = MOST_PENDING
        self._waiting = 0
        self._sending: set[int] = set()

    @classmethod
    async def open(
        cls,
        database: Path,
        clock: Callable[[], float],
        disk: Disk | None = None,
        wall: Callable[[], float] | None = None,
        follow: Mark | None = None,
    ) -> Self:
        """Open or create the file; `clock` gives epoch seconds that never jump. `disk` is watched for room.

        Timers go by `wall` (without one: by `clock`). With `follow` its changes are told by `pages`, from that mark on.

        Raises `StoreLocked` when a service runs on it, `StoreDamaged`, or `StoreAway`.
        """
        with contextlib.ExitStack() as refused:
            lock = opening.FileLock(database)
            refused.callback(lock.release)
            if disk is not None:
                disk.relieve_if_cramped()
            connection = await asyncio.to_thread(opening.connect, database)
            refused.callback(connection.close)
            if follow is not None:  # who follows the log reads on in it, once the file is not refused any more
                refused.callback(connection.config, apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            opening.prepare(connection, database)
            followed = None if follow is None else Followed(connection, database, follow)
            opening.recover(connection, database, clock())
            reader = SqliteReader(database, clock)
            refused.pop_all()
        relieve = disk.relieve if disk is not None else None
        store = cls(Writer(connection, asyncio.get_running_loop(), relieve), reader, lock, (clock, wall or clock), disk)
        store.pages = SqlitePages(store._writer, followed) if followed else None
        if not followed:
            store._writer.shorten_log()
        store.people.empty_log = None if followed else functools.partial(opening.empty_log, connection)
        store._until = restored.until(connection)
        store._waiting = one(connection, "waiting_events")
        return store

    async def close(self) -> None:
        """Finish what is queued and let the file go."""
        await self.reader.close()
        with contextlib.suppress(StoreAway):
            await self._give_back()
        await self._writer.close(self.pages.close if self.pages else None)
        self._lock.release()

    async def _give_back(self) -> None:
        """Let what was given and never fetched wait for the next process, uncounted."""
        await self._writer.dismiss()
        claims, sends = self._work.fetch(sys.maxsize), self._sends.fetch(sys.maxsize)
        releasing = [self._writer.run(inbox.release, claim, self._clock()) for claim in claims]
        await asyncio.gather(*releasing, self._writer.run(outbox.hand_back, sends, self._clock()))

    async def accept(
        self,
        account: str,
        receipt: Receipt,
        times: Times,
        keep: Mapping[str, str] | None = None,
        surplus: Surplus = "park",
    ) -> tuple[Accepted, ...]:
        """Store a receipt's events once per key, with `keep` in the same transaction. The promise."""
        if not receipt.events and not keep:
            return ()
        bound, now, kept = inbox.Bound(self.most_pending, surplus), self._clock(), keep or {}
        accepted = await self._writer.tell(
            lambda came: self._count(receipt, came), inbox.accept, account, receipt, times, kept, bound, self._work, now
        )
        return tuple(accepted)

    def _count(self, receipt: Receipt, accepted: Sequence[Accepted]) -> None:
        """Note what came of a receipt, though its caller may have left meanwhile."""
        for number, item in enumerate(accepted):
            if receipt.events[number].wants_turn and not (item.duplicate or item.surplus):
                self._waiting += 1

    def _came(self, events: int) -> None:
        """Note that events came that want a turn."""
        self._waiting += events

    async def park(self, account: str, raw: bytes, reason: str) -> str:
        """Set an authentic payload that we do not understand aside; returns its id."""
        return await self._writer.run(upkeep.park, account, raw, reason, self._clock())

    async def claim(self, limit: int, patience: float = 0.0) -> Sequence[Claim]:
        """Take up to `limit` conversations that have something to do; counts the attempt first."""
        return await self._writer.ask(self._work, limit, (), patience)

    def _look_for_work(self, connection: Connection, limit: int, _: Collection[str]) -> Found:
        claims = inbox.claim(connection, limit, self._until, self._clock())
        note = claims if claims.parked or claims.suspect else None
        return Found(things=claims.taken, full=claims.full, note=note)

    def _note(self, claims: inbox.Claims) -> None:
        """Learn which conversation may crash us, and what was parked for that."""
        self._suspect = claims.suspect or self._suspect
        for event in claims.parked:
            self._finish(event)

    async def renew(self, claim: Claim) -> bool:
        """Prolong a claim; False when it is no longer ours."""
        return await self._writer.run(inbox.renew, claim, self._clock())

    async def release(self, claim: Claim) -> None:
        """Give a claim back untouched, as if it had not been taken."""
        await self._writer.change(WORK, inbox.release, claim, self._clock())
        self._let_go(claim)

    async def commit(self, claim: Claim, handled: Handled) -> None:
        """Store state, outbox, memories and timers together and finish the event; raises `LostLease`."""
        await self._writer.run(inbox.commit, claim, handled, self._writer.desks, self._clock())
        self._let_go(claim)
        self._finish(handled.id)

    async def retry(self, claim: Claim, after: float, reason: str) -> bool:
        """Note an error and try again later; parks the event at the fifth and returns True."""
        parked = await self._writer.change(WORK, inbox.retry, claim, after, reason, self._clock())
        self._let_go(claim)
        if parked:
            self._finish(claim.events[0].id)
        return parked

    def _let_go(self, claim: Claim) -> None:
        """Note that a claim ended: if it was the suspect's, the next one may run."""
        if self._suspect == claim.conversation:
            self._suspect = ""
            self.wake("work")

    def _finish(self, event: int) -> None:
        if self._waiting > 0:
            self._waiting -= 1
        for future in self._finishing.pop(event, ()):
            if not future.done():
                future.set_result(None)

    async def once(self, turn: str, name: str, arguments: str) -> Once:
        """Begin a journaled step of a turn."""
        return await self._writer.run(upkeep.begin, turn, name, arguments, self._clock())

    async def done(self, turn: str, name: str, result: Any) -> None:
        """Journal the result of a step."""
        await self._writer.run(upkeep.finish, turn, name, result)

    async def take(self, limit: int, busy: Collection[str] = (), patience: float = 0.0) -> Sequence[Delivery]:
        """Take up to `limit` deliveries, at most one per conversation and none of `busy` accounts, as being sent."""
        taken = await self._writer.ask(self._sends, limit, busy, patience)
        for delivery in taken:
            self._sending.add(delivery.id)
        return taken

    def _look_for_sends(self, connection: Connection, limit: int, busy: Collection[str]) -> Found:
        return outbox.take(connection, limit, busy, self._clock())

    async def settle(self, delivery: Delivery, decision: Decision, pace: float = 0.0) -> bool:
        """Record what came of a delivery; the conversation's next one leaves after `pace` seconds.

        False when the delivery was taken up by another since.
        """
        alone = not self._waiting and len(self._sending) <= 1
        run = self._writer.run if alone else self._writer.join  # nobody waits for it but who comes next in its lane
        mine = await run(outbox.settle, delivery, decision, pace, self._sends, self._clock())
        self._sending.discard(delivery.id)
        return mine

    async def prolong(self, deliveries: Collection[int]) -> Collection[int]:
        """Say that these deliveries are still being sent; returns those that are."""
        return await self._writer.run(outbox.prolong, deliveries, self._clock())

    async def reply(self, event: int) -> Sequence[Delivery]:
        """Take the replies to an event that are not sent yet, for the response of the request that waits for them."""
        return await self._writer.run(outbox.reply, event, SEND_LEASE, self._clock())

    async def replies(self, event: int) -> Sequence[Delivery] | None:
        """Read the replies to an event, which were sent or parked; None while one of them is not settled yet."""
        return await self._writer.run(outbox.replies, event)

    async def hand_back(self, deliveries: Sequence[Delivery]) -> None:
        """Return taken deliveries whose sending did not begin, for the later path."""
        await self._writer.change(DELIVER, outbox.hand_back, deliveries, self._clock())
        self._sending.difference_update(delivery.id for delivery in deliveries)

    async def finished(self, event: int, seconds: float) -> bool:
        """Wait until an event's turn is over (done or parked); False when the time is up."""
        if await self.reader.status(event) != "waiting":
            return True
        future = asyncio.get_running_loop().create_future()
        self._finishing.setdefault(event, set()).add(future)
        try:
            async with asyncio.timeout(seconds):
                while not future.done() and await self.reader.status(event) == "waiting":
                    await asyncio.wait([future], timeout=LOOK_AGAIN)
        except TimeoutError:
            return False
        finally:
            waiters = self._finishing.get(event, set())
            waiters.discard(future)
            if not waiters:
                self._finishing.pop(event, None)
        return True

    async def lease(self, name: str, owner: str, seconds: float) -> int:
        """Take or prolong a named lease; returns its fence, 0 while another owner has it."""
        return await self._writer.run(upkeep.lease, name, owner, seconds, self._clock())

    async def let_go(self, name: str, owner: str) -> None:
        """End a lease, if it is this owner's, so that the next one need not wait."""
        await self._writer.run(upkeep.let_go, name, owner)

    async def beat(self, roles: str) -> Alive:
        """One service owns a file: it is alone."""
        return Alive()

    def tell(self, text: str) -> None:
        """Nobody else is there to hear it."""

    def listen(self, told: Callable[[str], None], missed: Callable[[], None]) -> None:
        """Nobody else is there to be heard."""

    async def recall(self, name: str) -> str:
        """Read a kept value; empty when there is none."""
        return await self._writer.run(upkeep.recall, name)

    async def keep(self, name: str, value: str) -> None:
        """Keep a value under a name."""
        await self._writer.run(upkeep.keep, name, value)

    async def memory(self, person: str, key: str) -> Any:
        """Read what is remembered of a person; None when nothing is."""
        return await self._writer.run(upkeep.memory, person, key)

    async def resume(self, account: str) -> None:
        """End an account's pause."""
        await self._writer.change(DELIVER, upkeep.resume, account)

    async def redrive(self, parked: str) -> str:
        """Put something parked back to work; returns what it was, raises `LookupError`."""
        kind = await self._writer.change(BOTH, upkeep.redrive, parked, self._clock())
        self._waiting += kind == "event"
        return kind

    async def sweep(self) -> int:
        """Take up what an interrupted sender of this store left behind, and look after the disk."""
        if self._disk is not None:
            await asyncio.to_thread(self._disk.tend)
        return await self._writer.run(outbox.sweep, self._clock())

    async def prune(self, before: float, raw_before: float) -> int:
        """Delete settled rows and raw payloads older than these times, in small batches; returns how many."""
        deleted, after, more = 0, 0, True
        while more:
            batch = await self._writer.run(upkeep.prune_events, before, after)
            deleted, after, more = deleted + batch.deleted, batch.after, batch.after > 0
        more = True
        while more:
            rest = await self._writer.run(upkeep.prune_rest, before, raw_before)
            deleted, more = deleted + rest, rest >= upkeep.BATCH
        return deleted

    def wake(self, wake: Wake) -> None:
        """Say that there may be something to do: who waits for it looks again."""
        self._writer.desks[wake].wake()

    def full(self) -> str:
        """Say why no more can be accepted now; empty when it can."""
        if self._waiting >= self.most_waiting:
            return f"{self._waiting} messages wait already"
        return self._disk.trouble() if self._disk is not None else ""

    def waiting(self) -> int:
        """Tell how many messages wait."""
        return self._waiting
