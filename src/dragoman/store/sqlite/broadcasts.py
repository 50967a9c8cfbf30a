"""Broadcasts on SQLite: the changes, each a function that the writer runs, and the questions beside them."""

import secrets
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from dragoman.model import OPTED_OUT, Delivery, Message
from dragoman.store.base import Handled
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
from dragoman.store.sqlite import damaged, outbox
from dragoman.store.sqlite.desk import Desk
from dragoman.store.sqlite.reader import SqliteReader
from dragoman.store.sqlite.statements import Connection, one, readable_rows, rows, run
from dragoman.store.sqlite.writer import Writer
from dragoman.store.stored import encode, read_broadcast, read_counts, read_listed, read_recipient, read_written

BATCH: Final = 500
"""Recipients that one pruning transaction deletes."""


class SqliteBroadcasts:
    """The contract `Broadcasts` on one file; `wake` says that there is something to deliver."""

    def __init__(
        self,
        writer: Writer,
        reader: SqliteReader,
        clocks: tuple[Callable[[], float], Callable[[], float]],
        wake: Callable[[], None],
    ) -> None:
        """`clocks` are the store's steady one and the wall's, by which a broadcast starts."""
        self._change = writer.run
        self._desks = writer.desks
        self._ask = reader.ask
        self._clock, self._wall = clocks
        self._wake = wake

    async def create(self, name: str, message: Message, start_at: float) -> int:
        """Begin to prepare a broadcast, which sends nothing yet; returns its number."""
        return await self._change(_create, name, message, start_at, self._wall())

    async def add(self, broadcast: int, recipients: Sequence[Recipient]) -> int:
        """Add recipients while it is being prepared, each place once; returns how many were new."""
        return await self._change(_add, broadcast, recipients)

    async def ready(self, broadcast: int) -> Broadcast:
        """Say that all recipients are there; raises `LookupError` when it is not being prepared."""
        return await self._change(_ready, broadcast, self._wall())

    async def change(self, broadcast: int, wanted: Wanted) -> bool:
        """Pause, resume or abort; what was not tried yet is withdrawn from the outbox. False when it cannot be so."""
        changed = await self._change(_want, broadcast, wanted, self._wall(), self._clock())
        self._wake()
        return changed

    async def start(self, late: float) -> Sequence[Broadcast]:
        """Start what is due; what has been due for more than `late` seconds is missed, and returned."""
        return await self._change(_start, late, self._wall())

    async def active(self) -> Sequence[Broadcast]:
        """Return what is scheduled or running."""
        return await self._ask(_active)

    async def outstanding(self) -> Mapping[str, int]:
        """Count the queued recipients by account."""
        return await self._ask(_outstanding)

    async def next(self, broadcast: int, account: str, limit: int) -> Sequence[Recipient]:
        """Read the first recipients of an account that wait, in their order."""
        return await self._ask(_next, broadcast, account, limit)

    async def queue(self, broadcast: int, prepared: Sequence[Prepared]) -> Mapping[Fate, int]:
        """Put those that still wait into the outbox, unless they have opted out or the broadcast does not run."""
        counts = await self._change(_queue, broadcast, prepared, self._desks["deliver"], self._clock())
        if counts["queued"]:
            self._wake()
        return counts

    async def collect(self) -> Mapping[Fate, int]:
        """Note what became of queued recipients; returns how many came into which state."""
        return await self._change(_collect)

    async def finish(self) -> Sequence[int]:
        """End the broadcasts of which no recipient waits or is queued; returns their numbers."""
        return await self._change(_finish, self._wall())

    async def report(self, broadcast: int) -> Report | None:
        """Tell how far a broadcast is; None when there is none of this number."""
        found = await self._ask(_reports, "find_broadcast", {"id": broadcast})
        return found[0] if found else None

    async def listed(self, limit: int) -> Sequence[Report]:
        """Tell of the newest broadcasts."""
        return await self._ask(_reports, "newest_broadcasts", {"limit": limit})

    async def recipients(self, broadcast: int, states: Collection[Fate], after: int, limit: int) -> Sequence[Recipient]:
        """Read recipients in these states, in their order, after a number."""
        return await self._ask(_recipients, broadcast, states, after, limit)

    async def written(self, before: int, limit: int) -> Sequence[Written]:
        """Read what people wrote to us, newest first, below an event's number."""
        return await self._ask(_written, before, limit)


def _create(connection: Connection, name: str, message: Message, start_at: float, now: float) -> int:
    values = {"name": name, "message": encode(message), "start_at": start_at, "now": now}
    return int(one(connection, "add_broadcast", mark=secrets.token_hex(4), **values))


def _add(connection: Connection, broadcast: int, recipients: Sequence[Recipient]) -> int:
    if one(connection, "broadcast_state", id=broadcast) != "preparing":
        raise LookupError(broadcast)
    last = first = one(connection, "last_recipient", broadcast=broadcast)
    for recipient in recipients:
        run(
            connection,
            "add_recipient",
            broadcast=broadcast,
            n=last + 1,
            account=recipient.address.account,
            conversation=recipient.conversation,
            place=place(recipient.address),
            address=encode(recipient.address),
            person=recipient.person,
            name=recipient.name,
        )
        last += connection.changes()
    return int(last - first)


def _ready(connection: Connection, broadcast: int, now: float) -> Broadcast:
    row = one(connection, "schedule_broadcast", id=broadcast, now=now)
    if row is None:
        raise LookupError(broadcast)
    return read_broadcast(row)


def _want(connection: Connection, broadcast: int, wanted: Wanted, wall: float, now: float) -> bool:
    states = encode(FROM[wanted])
    if one(connection, "change_broadcast", **{"id": broadcast, "wanted": wanted, "from": states, "now": wall}) is None:
        return False
    if wanted != "running":
        _withdraw(connection, broadcast, now)
    return True


def _withdraw(connection: Connection, broadcast: int, now: float) -> None:
    """Take back what waits in the outbox and was never tried."""
    queued = rows(connection, "queued_recipients", broadcast=broadcast, limit=-1)
    found = rows(connection, "deliveries_by_key", keys=encode(keys(queued)))
    deliveries = {key: (number, state, attempts) for key, number, state, _, attempts in found}
    for n, numbers in untried(queued, deliveries):
        run(connection, "withdraw_recipient", broadcast=broadcast, n=n)
        for number in numbers:
            _withdraw_delivery(connection, number, now)


def _withdraw_delivery(connection: Connection, number: int, now: float) -> None:
    gone, whole = readable_rows(connection, "withdraw_delivery", id=number)
    for (conversation,) in gone:
        run(connection, "wake_lane", conversation=conversation, at=now)
    if not whole:
        damaged.set_deliveries_aside(connection, now)


def _start(connection: Connection, late: float, now: float) -> list[Broadcast]:
    missed = [read_broadcast(row) for row in rows(connection, "miss_broadcasts", late=late, now=now)]
    run(connection, "start_broadcasts", now=now)
    return missed


def _active(connection: Connection) -> list[Broadcast]:
    return [read_broadcast(row) for row in rows(connection, "active_broadcasts")]


def _outstanding(connection: Connection) -> dict[str, int]:
    return dict(rows(connection, "outstanding_recipients"))


def _next(connection: Connection, broadcast: int, account: str, limit: int) -> list[Recipient]:
    return [
        read_recipient(row)
        for row in rows(connection, "next_recipients", broadcast=broadcast, account=account, limit=limit)
    ]


def _queue(
    connection: Connection, broadcast: int, prepared: Sequence[Prepared], desk: Desk[Delivery], now: float
) -> Counter[Fate]:
    counts = Counter[Fate]()
    if one(connection, "broadcast_state", id=broadcast) != "running":
        return counts
    for item in prepared:
        state, reason = _turn(connection, item)
        chunks = len(item.outgoing) if state == "queued" else 0
        turned = {"broadcast": broadcast, "n": item.n, "state": state, "reason": reason, "chunks": chunks}
        conversation = one(connection, "turn_recipient", **turned)
        if conversation is None:
            continue
        counts[state] += 1
        if state == "queued":
            handled = Handled(id=0, handler="broadcast", state={}, outgoing=item.outgoing)
            outbox.add(connection, conversation, handled, desk, now)
    return counts


def _turn(connection: Connection, item: Prepared) -> tuple[Fate, str]:
    """Tell into which state a waiting recipient comes, and why."""
    if item.state:
        return item.state, item.reason
    if one(connection, "opted_out", people=encode(item.people), key=OPTED_OUT) is not None:
        return "skipped", "opted out"
    return "queued", ""


def _collect(connection: Connection) -> Counter[Fate]:
    queued = rows(connection, "queued_recipients", broadcast=0, limit=COLLECTED)
    found = rows(connection, "deliveries_by_key", keys=encode(keys(queued)))
    ended = fates(queued, {key: (state, reason) for key, _, state, reason, _ in found})
    for broadcast, n, state, reason in ended:
        run(connection, "end_recipient", broadcast=broadcast, n=n, state=state, reason=reason)
    return Counter(state for _, _, state, _ in ended)


def _finish(connection: Connection, now: float) -> list[int]:
    return [row[0] for row in rows(connection, "finish_broadcasts", now=now)]


def _reports(connection: Connection, statement: str, bindings: Mapping[str, Any]) -> list[Report]:
    return [
        Report(broadcast=read_broadcast(row), counts=read_counts(row) or _counts(connection, row[0]))
        for row in rows(connection, statement, **bindings)
    ]


def _counts(connection: Connection, broadcast: int) -> dict[Fate, int]:
    return dict(rows(connection, "count_recipients", broadcast=broadcast))


def _recipients(
    connection: Connection, broadcast: int, states: Collection[Fate], after: int, limit: int
) -> list[Recipient]:
    wanted = {"broadcast": broadcast, "states": encode(list(states)), "after": after, "limit": limit}
    listed = rows(connection, "list_recipients", **wanted)
    wanted_keys = keys([(broadcast, row[7], row[0], row[8]) for row in listed])
    found = rows(connection, "deliveries_by_key", keys=encode(wanted_keys))
    return read_listed(broadcast, listed, {key: (number, state) for key, number, state, *_ in found})


def _written(connection: Connection, before: int, limit: int) -> list[Written]:
    return read_written(rows(connection, "written_events", before=before or 1 << 62, limit=limit))


def requeue(connection: Connection, key: str) -> None:
    """Note that an operator put a recipient's delivery back to work."""
    if recipient := named(key):
        run(connection, "requeue_recipient", broadcast=recipient[0], n=recipient[1])


def prune(connection: Connection, before: float) -> int:
    """Delete one batch of the recipients of an old broadcast, with their deliveries; returns how many."""
    old = one(connection, "old_broadcast", before=before)
    if old is None:
        return 0
    broadcast, mark = old
    run(connection, "fold_broadcast", id=broadcast, counts=encode(_counts(connection, broadcast)))
    first = rows(connection, "first_recipients", broadcast=broadcast, mark=mark, limit=BATCH)
    run(connection, "delete_deliveries", keys=encode(keys(first)))
    if first:
        run(connection, "delete_recipients", broadcast=broadcast, last=first[-1][2])
    return max(1, len(first))
