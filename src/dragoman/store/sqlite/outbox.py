"""The outbox's side of the line: add, take, settle, and what an interrupted sender leaves behind."""

from collections.abc import Collection, Sequence
from typing import Any

from dragoman.model import Delivery
from dragoman.store.base import SEND_LEASE, Decision, Handled, Later, Outgoing, Parked, Pause, Settled
from dragoman.store.sqlite import damaged
from dragoman.store.sqlite.desk import Desk, Found
from dragoman.store.sqlite.statements import Connection, one, readable_rows, rows, run, write
from dragoman.store.stored import UNREADABLE, encode, read_action, read_address, read_ids, rode


def add(connection: Connection, conversation: str, handled: Handled, desk: Desk[Delivery], now: float) -> None:
    """Add a turn's actions at the end of the conversation's lane; the first is given to who stands at the desk."""
    if not handled.outgoing:
        return
    first, *others = handled.outgoing
    account = first.address.account
    blocked, paused = one(connection, "lane", conversation=conversation, account=account, now=now)
    leaves = not blocked and not first.hold
    texts = _texts(first)
    seat = leaves and not paused and desk.seat(account) and _are_readable(*texts)
    taken_at = desk.now if seat else None
    number = _add(connection, conversation, handled, first, texts, now, blocked=blocked, taken_at=taken_at)
    if seat and number:
        desk.give(rode(first, conversation, handled, number, now, desk.now + SEND_LEASE))
    elif leaves:
        desk.miss()
    for outgoing in others:
        _add(connection, conversation, handled, outgoing, _texts(outgoing), now, blocked=True)


def _texts(outgoing: Outgoing) -> tuple[str, str]:
    """Write an action and its address as their columns have them."""
    return encode(outgoing.action), encode(outgoing.address)


def _are_readable(action: str, address: str) -> bool:
    """Tell whether an action is what its types say: a plugin made it, and what is not is parked by who looks."""
    try:
        read_action(action)
        read_address(address)
    except UNREADABLE:
        return False
    return True


def _add(
    connection: Connection,
    conversation: str,
    handled: Handled,
    outgoing: Outgoing,
    texts: tuple[str, str],
    now: float,
    *,
    blocked: bool,
    taken_at: float | None = None,
) -> int:
    """Add one action, as being sent where it was taken; returns its number, 0 where its key is known."""
    withheld_until = now + outgoing.hold if outgoing.hold else 0.0
    waits = None if blocked else max(now, withheld_until)
    row = {
        "key": outgoing.key,
        "inbox": handled.id,
        "account": outgoing.address.account,
        "conversation": conversation,
        "action": texts[0],
        "address": texts[1],
        "class": outgoing.cls,
        "state": "pending" if taken_at is None else "sending",
        "withheld_until": withheld_until,
        "ready_at": waits if taken_at is None else taken_at + SEND_LEASE,
        "attempts": taken_at is not None,
        "sending_at": taken_at,
        "window": outgoing.window,
        "sure_until": now + outgoing.sure_for,
        "not_after": now + outgoing.fresh_for,
        "received_at": handled.received_at,
        "now": now,
    }
    write(connection, "add_outgoing", row)
    return connection.last_insert_rowid() if connection.changes() else 0


def _delivery(row: tuple[Any, ...], now: float, *, taken: bool) -> Delivery:
    number, key, action, address, conversation, cls, attempts, fence, created_at, received_at, not_after, ids = row
    return Delivery(
        id=number,
        key=key,
        action=read_action(action),
        address=read_address(address),
        conversation=conversation,
        cls=cls,
        attempt=attempts,
        fence=fence,
        at=created_at,
        received_at=received_at,
        not_after=not_after,
        until=now + SEND_LEASE if taken else 0.0,
        ids=read_ids(ids),
    )


def take(connection: Connection, limit: int, busy: Collection[str], now: float) -> Found:
    """Mark deliveries as being sent, at most one of a conversation and none of a busy account, and return them."""
    until = now + SEND_LEASE
    taken, whole = readable_rows(connection, "take", now=now, until=until, limit=limit, busy=encode(list(busy)))
    if not whole:
        damaged.set_deliveries_aside(connection, now)
    read = [_readable(connection, row, now) for row in sorted(taken)]
    return Found(things=[delivery for delivery in read if delivery is not None], full=not whole or len(taken) >= limit)


def _readable(connection: Connection, row: tuple[Any, ...], now: float) -> Delivery | None:
    """Read a row that was taken; one that this release cannot read is parked, and the next of its lane may leave."""
    try:
        return _delivery(row, now, taken=True)
    except UNREADABLE:
        run(connection, "park_unreadable", id=row[0], now=now)
        run(connection, "wake_lane", conversation=row[4], at=now)
        return None


def prolong(connection: Connection, deliveries: Collection[int], now: float) -> set[int]:
    """Give the sends that are under way more time; returns those that are still being sent."""
    return {row[0] for row in rows(connection, "prolong", ids=encode(list(deliveries)), until=now + SEND_LEASE)}


def reply(connection: Connection, event: int, seconds: float, now: float) -> list[Delivery]:
    """Take all withheld replies to an event at once, for the held request's response."""
    deliveries = [_delivery(row, now, taken=True) for row in rows(connection, "withheld", inbox=event)]
    for delivery in deliveries:
        run(connection, "mark_sending", id=delivery.id, now=now, until=now + seconds)
    return deliveries


def replies(connection: Connection, event: int) -> list[Delivery] | None:
    """Read the replies to an event, which were sent or parked; None while one of them is not settled yet."""
    found = rows(connection, "replies", inbox=event)
    if any(row[-1] for row in found):
        return None
    return [_delivery(row[:-1], 0.0, taken=False) for row in found]


def settle(
    connection: Connection,
    delivery: Delivery,
    decision: Decision,
    pace: float,
    desk: Desk[Delivery],
    now: float,
) -> bool:
    """Record what came of a delivery, and let the next one of its lane leave; False when it was another's already."""
    last = _record(connection, delivery, decision, now)
    if connection.changes() != 1:
        return False
    if isinstance(decision, Pause):
        account = delivery.address.account
        run(connection, "pause", account=account, until=now + decision.after, reason=decision.reason)
    if isinstance(decision, Settled):
        run(connection, "tell_delivery", id=delivery.id, now=now)
    if not last:
        _go_on(connection, delivery.conversation, now + pace, desk)
    return True


def _record(connection: Connection, delivery: Delivery, decision: Decision, now: float) -> bool:
    """Write what came of a delivery if it is still ours; tells whether it is known to be the last of its lane."""
    mine: dict[str, Any] = {"id": delivery.id, "fence": delivery.fence}
    match decision:
        case Settled(ids=ids):
            sent = {**mine, "conversation": delivery.conversation, "ids": encode(ids), "now": now, "more": False}
            write(connection, "settle_sent", sent)
            if connection.changes():
                return True
            write(connection, "settle_sent", sent | {"more": True})
        case Later(after=after, reason=reason, attempted=attempted, address=address):
            moved = encode(address) if address else None
            later = {"until": now + after, "reason": reason, "uncounted": not attempted, "address": moved}
            run(connection, "settle_later", **mine, **later)
        case Pause(after=after, reason=reason):
            run(connection, "settle_later", **mine, until=now, reason=reason, uncounted=True, address=None)
        case Parked(reason=reason):
            run(connection, "settle_parked", **mine, reason=reason, now=now)
    return False


def _go_on(connection: Connection, conversation: str, at: float, desk: Desk[Delivery]) -> None:
    """Let the first of a lane leave, if it has one; one that waits for its time stays as it is."""
    if one(connection, "lane_is_open", conversation=conversation) is not None:
        run(connection, "wake_lane", conversation=conversation, at=at)
        desk.miss()


def hand_back(connection: Connection, deliveries: Sequence[Delivery], now: float) -> None:
    """Return taken deliveries whose sending never began."""
    for delivery in deliveries:
        run(connection, "hand_back", id=delivery.id, fence=delivery.fence, now=now)
        run(connection, "wake_lane", conversation=delivery.conversation, at=now)  # it may not be the head


def sweep(connection: Connection, now: float) -> int:
    """Decide about sends that nobody finished: again, or held for the operator."""
    again, whole = readable_rows(connection, "resend_interrupted", now=now)
    held, held_whole = readable_rows(connection, "hold_interrupted", now=now)
    for (conversation,) in again + held:
        run(connection, "wake_lane", conversation=conversation, at=now)
    if not (whole and held_whole):
        damaged.set_deliveries_aside(connection, now)
    return len(again) + len(held)


def redrive(connection: Connection, number: int, now: float) -> str:
    """Put a parked delivery back at its place in the lane; returns its key, empty when there is none."""
    found = one(connection, "redrive_delivery", id=number, now=now)
    if found is None:
        return ""
    conversation, key = found
    run(connection, "still_lane", conversation=conversation)
    run(connection, "wake_lane", conversation=conversation, at=now)
    return str(key)
