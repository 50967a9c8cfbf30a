"""Broadcasts on PostgreSQL: any replica may feed one; a row that left `waiting` under its lock is fed once."""

import secrets
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from dragoman.model import OPTED_OUT, Message
from dragoman.store.base import Outgoing
from dragoman.store.broadcasts import (
    COLLECTED,
    FROM,
    Broadcast,
    Fate,
    Prepared,
    Recipient,
    Report,
    Wanted,
    Written,
    fates,
    keys,
    named,
    place,
    untried,
)
from dragoman.store.postgres import outbox
from dragoman.store.postgres.inbox import plain, short
from dragoman.store.postgres.pool import Pool, Session, columns
from dragoman.store.stored import encode, read_broadcast, read_counts, read_listed, read_recipient, read_written

BATCH: Final = 500
"""Recipients that one pruning transaction deletes."""


class PostgresBroadcasts:
    """The contract `Broadcasts` for many replicas; `wake` says that there is something to deliver."""

    def __init__(self, pool: Pool, wake: Callable[[], None]) -> None:
        self._pool = pool
        self._wake = wake

    async def create(self, name: str, message: Message, start_at: float) -> int:
        """Begin to prepare a broadcast, which sends nothing yet; returns its number."""
        values = {"name": plain(name), "message": plain(encode(message)), "start_at": start_at}
        return int(await self._pool.one("add_broadcast", mark=secrets.token_hex(4), **values))

    async def add(self, broadcast: int, recipients: Sequence[Recipient]) -> int:
        """Add recipients while it is being prepared, each place once; returns how many were new."""
        rows = [
            (
                each.address.account,
                short(each.conversation),
                short(place(each.address)),
                encode(each.address),
                plain(each.person),
                plain(each.name),
            )
            for each in recipients
        ]
        names = ("accounts", "conversations", "places", "addresses", "people", "names")
        given = dict(zip(names, columns(rows, len(names)), strict=True))

        async def work(session: Session) -> int:
            if await session.one("preparing_broadcast", id=broadcast) is None:
                raise LookupError(broadcast)
            last = await session.one("last_recipient", broadcast=broadcast)
            return len(await session.rows("add_recipients", broadcast=broadcast, last=last, **given))

        return await self._pool.transact(work)

    async def ready(self, broadcast: int) -> Broadcast:
        """Say that all recipients are there; raises `LookupError` when it is not being prepared."""
        row = await self._pool.one("schedule_broadcast", id=broadcast)
        if row is None:
            raise LookupError(broadcast)
        return read_broadcast(row)

    async def change(self, broadcast: int, wanted: Wanted) -> bool:
        """Pause, resume or abort; what was not tried yet is withdrawn from the outbox. False when it cannot be so."""

        async def work(session: Session) -> bool:
            states = list(FROM[wanted])
            if await session.one("change_broadcast", id=broadcast, wanted=wanted, from_=states) is None:
                return False
            if wanted != "running":
                await _withdraw(session, broadcast)
            return True

        changed = await self._pool.transact(work)
        self._wake()
        return changed

    async def start(self, late: float) -> Sequence[Broadcast]:
        """Start what is due; what has been due for more than `late` seconds is missed, and returned."""
        missed = [read_broadcast(row) for row in await self._pool.rows("miss_broadcasts", late=late)]
        await self._pool.rows("start_broadcasts")
        return missed

    async def active(self) -> Sequence[Broadcast]:
        """Return what is scheduled or running."""
        return [read_broadcast(row) for row in await self._pool.rows("active_broadcasts")]

    async def outstanding(self) -> Mapping[str, int]:
        """Count the queued recipients by account."""
        return {row[0]: row[1] for row in await self._pool.rows("outstanding_recipients")}

    async def next(self, broadcast: int, account: str, limit: int) -> Sequence[Recipient]:
        """Read the first recipients of an account that wait, in their order."""
        found = await self._pool.rows("next_recipients", broadcast=broadcast, account=account, limit=limit)
        return [read_recipient(row) for row in found]

    async def queue(self, broadcast: int, prepared: Sequence[Prepared]) -> Mapping[Fate, int]:
        """Put those that still wait into the outbox, unless they have opted out or the broadcast does not run."""

        async def work(session: Session) -> Counter[Fate]:
            if await session.one("broadcast_state", id=broadcast) != "running":
                return Counter()
            return await _queue(session, broadcast, prepared)

        counts = await self._pool.transact(work)
        if counts["queued"]:
            self._wake()
        return counts

    async def collect(self) -> Mapping[Fate, int]:
        """Note what became of queued recipients; returns how many came into which state."""

        async def work(session: Session) -> Counter[Fate]:
            queued = [tuple(row) for row in await session.rows("queued_recipients", limit=COLLECTED)]
            found = await session.rows("deliveries_by_key", keys=keys(queued))
            ended = fates(queued, {row[0]: (row[2], row[3]) for row in found})
            broadcasts, ns, states, reasons = columns(ended, 4)
            given = {"broadcasts": broadcasts, "ns": ns, "states": states, "reasons": reasons}
            return Counter(row[0] for row in await session.rows("end_recipients", **given))

        return await self._pool.transact(work)

    async def finish(self) -> Sequence[int]:
        """End the broadcasts of which no recipient waits or is queued; returns their numbers."""
        return [row[0] for row in await self._pool.rows("finish_broadcasts")]

    async def report(self, broadcast: int) -> Report | None:
        """Tell how far a broadcast is; None when there is none of this number."""
        found = await self._pool.rows("find_broadcast", id=broadcast)
        return await self._report(found[0]) if found else None

    async def listed(self, limit: int) -> Sequence[Report]:
        """Tell of the newest broadcasts."""
        return [await self._report(row) for row in await self._pool.rows("newest_broadcasts", limit=limit)]

    async def _report(self, row: Any) -> Report:
        counts = read_counts(row) or await self._pool.transact(lambda session: _counts(session, row[0]))
        return Report(broadcast=read_broadcast(row), counts=counts)

    async def recipients(self, broadcast: int, states: Collection[Fate], after: int, limit: int) -> Sequence[Recipient]:
        """Read recipients in these states, in their order, after a number."""
        wanted = {"broadcast": broadcast, "states": list(states), "after": after, "limit": limit}
        listed = await self._pool.rows("list_recipients", **wanted)
        wanted_keys = keys([(broadcast, row[7], row[0], row[8]) for row in listed])
        found = await self._pool.rows("deliveries_by_key", keys=wanted_keys)
        return read_listed(broadcast, listed, {row[0]: (row[1], row[2]) for row in found})

    async def written(self, before: int, limit: int) -> Sequence[Written]:
        """Read what people wrote to us, newest first, below an event's number."""
        return read_written(await self._pool.rows("written_events", before=before or 1 << 62, limit=limit))


async def _queue(session: Session, broadcast: int, prepared: Sequence[Prepared]) -> Counter[Fate]:
    ns = [item.n for item in prepared]
    waiting = {row[0] for row in await session.rows("waiting_recipients", broadcast=broadcast, ns=ns)}
    chosen = [item for item in prepared if item.n in waiting]
    people = sorted({short(person) for item in chosen for person in item.people})
    silent = {row[0] for row in await session.rows("opted_out", people=people, key=OPTED_OUT)}
    turned = [(item.n, *_turn(item, silent)) for item in chosen]
    numbers, states, reasons, chunks = columns(turned, 4)
    found = await session.rows(
        "turn_recipients", broadcast=broadcast, ns=numbers, states=states, reasons=reasons, chunks=chunks
    )
    lanes = {row[0]: row[1] for row in found}
    queued = {n for n, state, _, _ in turned if state == "queued"}
    outgoing = [(lanes[item.n], each) for item in chosen if item.n in queued for each in item.outgoing]
    if outgoing:
        await _deliver(session, outgoing)
    return Counter(states)


def _turn(item: Prepared, silent: Collection[str]) -> tuple[Fate, str, int]:
    """Tell into which state a waiting recipient comes, why, and how many deliveries it becomes."""
    if item.state:
        return item.state, plain(item.reason), 0
    if any(short(person) in silent for person in item.people):
        return "skipped", "opted out", 0
    return "queued", "", len(item.outgoing)


async def _deliver(session: Session, outgoing: Sequence[tuple[str, Outgoing]]) -> None:
    rows = [
        (
            each.key,
            each.address.account,
            lane,
            plain(encode(each.action)),
            encode(each.address),
            each.cls,
            each.window,
            each.sure_for,
            each.fresh_for,
        )
        for lane, each in outgoing
    ]
    names = ("keys", "accounts", "lanes", "actions", "addresses", "classes", "windows", "sure_for", "fresh_for")
    await session.rows("queue_deliveries", **dict(zip(names, columns(rows, len(names)), strict=True)))


async def _withdraw(session: Session, broadcast: int) -> None:
    """Take back what waits in the outbox and was never tried."""
    queued = [tuple(row) for row in await session.rows("queued_of_broadcast", broadcast=broadcast)]
    names = keys(queued)
    lanes = [row[5] for row in await session.rows("deliveries_by_key", keys=names)]
    await outbox.lock(session, lanes)  # from here on nobody takes one of them
    found = await session.rows("deliveries_by_key", keys=names)
    chosen = untried(queued, {row[0]: (row[1], row[2], row[4]) for row in found})
    await session.rows("withdraw_recipients", broadcast=broadcast, ns=[n for n, _ in chosen])
    ids = [number for _, numbers in chosen for number in numbers]
    await outbox.free(session, outbox.changed_rows(await session.rows("withdraw_deliveries", ids=ids)))


async def _counts(session: Session, broadcast: int) -> dict[Fate, int]:
    return {row[0]: row[1] for row in await session.rows("count_recipients", broadcast=broadcast)}


async def requeue(session: Session, key: str) -> None:
    """Note that an operator put a recipient's delivery back to work."""
    if recipient := named(key):
        await session.rows("requeue_recipient", broadcast=recipient[0], n=recipient[1])


async def prune(pool: Pool, before: float) -> int:
    """Delete one batch of the recipients of an old broadcast, with their deliveries; returns how many."""

    async def work(session: Session) -> int:
        old = await session.one("old_broadcast", before=before)
        if old is None:
            return 0
        broadcast, mark = old
        await session.rows("fold_broadcast", id=broadcast, counts=encode(await _counts(session, broadcast)))
        first = [
            tuple(row) for row in await session.rows("first_recipients", broadcast=broadcast, mark=mark, limit=BATCH)
        ]
        await session.rows("delete_deliveries", keys=keys(first))
        if first:
            await session.rows("delete_recipients", broadcast=broadcast, last=first[-1][2])
        return max(1, len(first))

    return await pool.transact(work)
