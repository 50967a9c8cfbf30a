"""The outbox's side of the line: take, settle, and what an interrupted sender leaves behind.

A conversation's deliveries are its lane: `lane.waiting` counts them, `lane.ready_at` says when the next one may be
taken, and `lane.holder` is the one under way, which must be settled first.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

import msgspec

from dragoman.model import Delivery
from dragoman.store.base import SEND_LEASE, Decision, Later, Parked, Pause, Settled
from dragoman.store.postgres.inbox import plain
from dragoman.store.postgres.pool import Pool, Session, columns
from dragoman.store.stored import UNREADABLE, encode, read_action, read_address, read_ids


class Settling(msgspec.Struct):
    """One delivery to be settled."""

    delivery: Delivery
    decision: Decision
    pace: float


class Changed(msgspec.Struct):
    """A delivery whose state changed: whether it left its lane, and when the lane may go on."""

    id: int
    conversation: str
    gone: bool
    at: float


def changed_rows(rows: Sequence[Any]) -> list[Changed]:
    """Read what a statement that changed deliveries returned."""
    return [Changed(*row) for row in rows]


async def free(session: Session, changed: Sequence[Changed]) -> None:
    """Let the lanes of changed deliveries go on, as `settle` does for those that it records."""
    if changed:
        rows = [(row.id, row.conversation, row.gone, row.at) for row in changed]
        ids, conversations, gone, at = columns(rows, 4)
        await session.rows("free_lanes", ids=ids, conversations=conversations, gone=gone, at=at)


async def lock(session: Session, conversations: Collection[str]) -> None:
    """Lock the lanes of conversations, in order."""
    await session.rows("lock_lanes", conversations=sorted(set(conversations)))


async def take(pool: Pool, limit: int, busy: Collection[str], owner: str, now: float) -> list[Delivery]:
    """Mark deliveries as being sent, at most one of a conversation and none of a busy account, and return them."""
    rows = await pool.rows("take", limit=limit, busy=list(busy), owner=owner, lease=SEND_LEASE)
    taken: list[Delivery] = []
    for row in rows:
        try:
            taken.append(_delivery(row, now))
        except UNREADABLE:
            await _park_unreadable(pool, row[0], row[4])
    return taken


def _delivery(row: Any, now: float, *, taken: bool = True) -> Delivery:
    """Read a row; times that come relative to the database's clock are put on ours."""
    number, key, action, address, conversation, cls, attempts, fence, age, received_at, left, slot, ids = row
    return Delivery(
        id=number,
        key=key,
        action=read_action(action),
        address=read_address(address),
        conversation=conversation,
        cls=cls,
        attempt=attempts,
        fence=fence,
        at=now + age,
        received_at=received_at,
        not_after=now + left,
        slot=0.0 if slot is None else now + slot,
        until=now + SEND_LEASE if taken else 0.0,
        ids=read_ids(ids),
    )


async def _park_unreadable(pool: Pool, number: int, conversation: str) -> None:
    async def work(session: Session) -> None:
        await lock(session, [conversation])
        await free(session, changed_rows(await session.rows("park_unreadable", id=number)))

    await pool.transact(work)


async def give_back_orphans(pool: Pool, owner: str, known: Collection[int]) -> int:
    """Return deliveries that are marked as ours and that we never heard of."""

    async def work(session: Session) -> int:
        changed = changed_rows(await session.rows("give_back_orphans", owner=owner, ids=list(known)))
        await lock(session, [row.conversation for row in changed])
        await free(session, changed)
        return len(changed)

    return await pool.transact(work)


async def prolong(pool: Pool, deliveries: Collection[int], owner: str) -> set[int]:
    """Give the sends that are under way more time; returns those that are still ours."""
    return {row[0] for row in await pool.rows("prolong", ids=list(deliveries), lease=SEND_LEASE, owner=owner)}


class Ended(msgspec.Struct):
    """What settling a delivery gave: whether it was still ours, and whether its conversation's next one may leave."""

    mine: bool
    more: bool = False


async def settle(pool: Pool, settlings: Sequence[Settling]) -> list[Ended | Exception]:
    """Record what came of deliveries, in one transaction."""

    async def work(session: Session | Pool) -> dict[int, Ended]:
        return await _record(session, settlings)

    if any(isinstance(settling.decision, Pause) for settling in settlings):
        found = await pool.transact(lambda session: _pausing(session, work, settlings))
    else:
        found = await work(pool)
    if len(found) < len(settlings):
        ids, fences, *_ = _settled_columns(settlings)
        found = {row[0]: Ended(mine=True) for row in await pool.rows("settled_before", ids=ids, fences=fences)} | found
    return [found.get(settling.delivery.id, Ended(mine=False)) for settling in settlings]


async def _record(session: Session | Pool, settlings: Sequence[Settling]) -> dict[int, Ended]:
    ids, fences, states, reasons, after, uncounted, moved, platform_ids, paced = _settled_columns(settlings)
    rows = await session.rows(
        "settle",
        conversations=[settling.delivery.conversation for settling in settlings],
        ids=ids,
        fences=fences,
        states=states,
        reasons=reasons,
        after=after,
        uncounted=uncounted,
        moved=moved,
        platform_ids=platform_ids,
        paced=paced,
    )
    return {number: Ended(mine=True, more=more) for number, more in rows}


async def _pausing(
    session: Session,
    work: Callable[[Session], Awaitable[dict[int, Ended]]],
    settlings: Sequence[Settling],
) -> dict[int, Ended]:
    """Record what came of deliveries, and pause the accounts of those that ask for it and were still ours."""
    found = await work(session)
    for settling in settlings:
        if isinstance(settling.decision, Pause) and settling.delivery.id in found:
            account, decision = settling.delivery.address.account, settling.decision
            await session.rows("pause", account=account, after=decision.after, reason=plain(decision.reason))
    return found


def _settled_columns(settlings: Sequence[Settling]) -> list[list[Any]]:
    return columns([_settling(settling) for settling in settlings], 9)


def _settling(settling: Settling) -> tuple[Any, ...]:
    """Return a row: id, fence, state, reason, seconds until the lane goes on, uncounted, new address, ids, paced."""
    delivery, decision = settling.delivery, settling.decision
    name = (delivery.id, delivery.fence)
    match decision:
        case Settled(ids=ids):
            return (*name, "sent", "", settling.pace, 0, None, encode(ids), False)
        case Parked(reason=reason):
            return (*name, "parked", plain(reason), settling.pace, 0, None, None, False)
        case Pause(reason=reason):
            return (*name, "pending", plain(reason), 0.0, 1, None, None, False)
        case Later(after=after, reason=reason, attempted=attempted, address=address, paced=paced):
            moved = encode(address) if address else None
            return (*name, "pending", plain(reason), after, int(not attempted), moved, None, paced)


async def reply(pool: Pool, event: int, owner: str, now: float) -> list[Delivery]:
    """Take all withheld replies to an event at once, for the held request's response; the last one holds the lane."""

    async def work(session: Session) -> list[Delivery]:
        conversation = await session.one("lane_of", inbox=event)
        if conversation is None:
            return []
        await lock(session, [conversation])
        rows = await session.rows("take_replies", inbox=event, owner=owner, lease=SEND_LEASE)
        taken = sorted((_delivery(row, now) for row in rows), key=lambda delivery: delivery.id)
        if taken:
            await session.rows("hold_lane", conversation=conversation, holder=taken[-1].id)
        return taken

    return await pool.transact(work)


async def replies(pool: Pool, event: int, now: float) -> list[Delivery] | None:
    """Read the replies to an event, which were sent or parked; None while one of them is not settled yet."""
    found = await pool.rows("replies", inbox=event)
    if any(row[-1] for row in found):
        return None
    return [_delivery(row[:-1], now, taken=False) for row in found]


async def hand_back(pool: Pool, deliveries: Sequence[Delivery]) -> None:
    """Return taken deliveries whose sending never began."""

    async def work(session: Session) -> None:
        await lock(session, [delivery.conversation for delivery in deliveries])
        ids, fences = [delivery.id for delivery in deliveries], [delivery.fence for delivery in deliveries]
        await free(session, changed_rows(await session.rows("hand_back", ids=ids, fences=fences)))

    await pool.transact(work)


async def sweep(pool: Pool) -> int:
    """Decide about sends that nobody finished: again, or held for the operator."""
    found = await pool.rows("interrupted")
    if not found:
        return 0

    async def work(session: Session) -> int:
        await lock(session, [row[1] for row in found])
        ids = [row[0] for row in found]
        again = changed_rows(await session.rows("resend_interrupted", ids=ids))
        held = changed_rows(await session.rows("hold_interrupted", ids=ids))
        await free(session, [*again, *held])
        return len(again) + len(held)

    return await pool.transact(work)


async def redrive(session: Session, number: int) -> str:
    """Put a parked delivery back at its place in the lane; returns its key, empty when there is none."""
    found = await session.one("redrive_delivery", id=number)
    if found is None:
        return ""
    conversation, account, key = found
    await session.rows("lengthen_lane", conversation=conversation, account=account)
    return str(key)
