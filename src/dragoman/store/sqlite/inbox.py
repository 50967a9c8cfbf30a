"""The inbox's side of the line: accept, claim, commit, retry, park. Each function is one change."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from dragoman.adapter import Receipt
from dragoman.errors import LostLease
from dragoman.model import Event
from dragoman.store.base import Accepted, Claim, Handled, Stored, Surplus, Times, Wake
from dragoman.store.sqlite import damaged, outbox, schedule
from dragoman.store.sqlite.desk import Desk
from dragoman.store.sqlite.statements import Connection, one, readable_rows, run, write
from dragoman.store.stored import crowded, encode, obstacle, read_event, read_state, shortened

LEASE: Final = 30.0
"""Seconds that a claim holds without being renewed."""
CRASHES: Final = 3
ERRORS: Final = 5


class Bound(msgspec.Struct):
    """How many messages of a conversation may wait, and what becomes of more."""

    most: int
    surplus: Surplus


def accept(
    connection: Connection,
    account: str,
    receipt: Receipt,
    times: Times,
    keep: Mapping[str, str],
    bound: Bound,
    desk: Desk[Claim],
    now: float,
) -> list[Accepted]:
    """Store a receipt's events, each once, and what is to be kept with them."""
    number = 0
    if receipt.events:
        run(connection, "add_receipt", account=account, at=now, raw=receipt.raw)
        number = connection.last_insert_rowid()
    accepted = [accept_event(connection, event, number, times, bound, desk, now) for event in receipt.events]
    if accepted and all(item.duplicate or not item.id for item in accepted):
        run(connection, "drop_receipt", id=number)  # a repeat brings nothing: it is counted, not kept
    for name, value in keep.items():
        run(connection, "set_kept", name=name, value=value)
    return accepted


def accept_event(
    connection: Connection, event: Event, receipt: int, times: Times, bound: Bound, desk: Desk[Claim], now: float
) -> Accepted:
    """Store one event, once; its conversation is claimed at once if it rests and somebody stands at the desk."""
    body, key = encode(event), shortened(event.key)
    row = {
        "account": event.account,
        "kind": event.kind,
        "key": key,
        "conversation": event.conversation,
        "receipt": receipt,
        "event": body,
        "status": "waiting" if event.wants_turn else "done",
        "received_at": times.received,
        "authenticated_at": times.authenticated,
        "parsed_at": times.parsed,
        "accepted_at": now,
    }
    write(connection, "add_event", row)
    if not connection.changes():
        known = one(connection, "note_duplicate", account=event.account, kind=event.kind, key=key)
        return Accepted(id=known, duplicate=True)
    number = connection.last_insert_rowid()
    if not event.wants_turn:
        run(connection, "tell_event", id=number, now=now)
        return Accepted(id=number, duplicate=False)
    # what a turn sees of an event is what its row says, whichever way it comes to it
    stored = read_event(number, body, times.received) if desk.seat(event) else None
    if _enqueue(connection, event, number, stored, desk, now) > bound.most:
        return _put_off(connection, event, number, bound, now)
    run(connection, "tell_event", id=number, now=now)
    return Accepted(id=number, duplicate=False)


def _enqueue(
    connection: Connection, event: Event, number: int, stored: Stored | None, desk: Desk[Claim], now: float
) -> int:
    """Put an event at the end of its conversation's queue; returns how many wait there. With `stored` it has a seat.

    A conversation that rests becomes ready, or leased with a seat; one that has something to do stays as it is.
    """
    conversation, found = event.conversation, one(connection, "queue", conversation=event.conversation)
    pending, fence, state = found or (0, int(now * 1000), b"{}")
    if pending:
        run(connection, "join_queue", conversation=conversation, ready_at=now)
        return int(pending) + 1
    seated = stored is not None
    begun = {
        "conversation": conversation,
        "account": event.account,
        "event": number,
        "ready_at": desk.now + LEASE if seated else now,
        "because": "leased" if seated else "",
        "started": seated,
        "fence": fence + seated,
    }
    if found:
        write(connection, "begin_queue", begun)
    else:
        write(connection, "add_conversation", begun)
    if stored is None:
        desk.miss()
    else:
        waited = max(0.0, desk.now - now)
        kept = read_state(state, conversation)
        desk.give(
            Claim(conversation=conversation, fence=fence + 1, state=kept, events=(stored,), attempt=1, waited=waited)
        )
    return 1


def _put_off(connection: Connection, event: Event, number: int, bound: Bound, now: float) -> Accepted:
    """Take an event out of its conversation's queue again, which is too long."""
    run(connection, "unqueue", conversation=event.conversation)
    if bound.surplus == "park":
        run(connection, "park_event", event=number, reason=crowded(bound.most))
        run(connection, "tell_event", id=number, now=now)
        return Accepted(id=number, duplicate=False, surplus=True)
    run(connection, "refuse_event", id=number)
    return Accepted(id=0, duplicate=False, surplus=True)


class Claims(msgspec.Struct):
    """What claiming gave: conversations to work on (one may be a suspect), and events parked for crashing us.

    `full`: it saw as many conversations as it was to take, so there may be more.
    """

    taken: list[Claim]
    parked: list[int]
    suspect: str = ""
    full: bool = False


def claim(connection: Connection, limit: int, until: float, now: float) -> Claims:
    """Take conversations; an event that was in flight at two crashes is taken alone of its kind.

    What happened before `until` is set aside: the store was restored from a backup then (0: it was not).
    """
    claims = Claims([], [])
    suspects, whole = readable_rows(connection, "suspect", now=now)
    others, others_whole = readable_rows(connection, "ready", now=now, limit=limit - len(suspects))
    ready = suspects + others
    claims.full = len(ready) >= limit
    if not (whole and others_whole):
        claims.parked += damaged.set_conversations_aside(connection)
        claims.full = True
    for conversation, state, fence, started, errors, head, ready_at, *found in ready:
        row = found if found[0] else one(connection, "head_event", conversation=conversation, head=head)
        stored = read_event(*row[:3]) if row is not None else None
        if row is None:
            run(connection, "nothing_pending", conversation=conversation)
        elif (why := obstacle(stored, started, CRASHES, until, redriven=row[3])) or stored is None:
            _park_head(connection, conversation, row[0], why, now)
            claims.parked.append(row[0])
        else:
            run(connection, "lease_conversation", conversation=conversation, until=now + LEASE, event=row[0])
            claims.suspect = conversation if started >= CRASHES - 1 else claims.suspect
            claims.taken.append(
                Claim(
                    conversation=conversation,
                    fence=fence + 1,
                    state=read_state(state, conversation),
                    events=(stored,),
                    attempt=started + errors + 1,
                    waited=max(0.0, now - ready_at),
                )
            )
    return claims


def _park_head(connection: Connection, conversation: str, event: int, reason: str, now: float) -> None:
    run(connection, "park_event", event=event, reason=reason)
    run(connection, "skip_head", conversation=conversation, event=event, now=now)


def renew(connection: Connection, claimed: Claim, now: float) -> bool:
    """Prolong a claim if it is still ours."""
    run(connection, "renew", conversation=claimed.conversation, fence=claimed.fence, until=now + LEASE)
    return connection.changes() == 1


def release(connection: Connection, claimed: Claim, now: float) -> None:
    """Give a claim back as if it had not been taken."""
    run(connection, "release", conversation=claimed.conversation, fence=claimed.fence, now=now)


def commit(
    connection: Connection, claimed: Claim, handled: Handled, desks: Mapping[Wake, Desk[Any]], now: float
) -> None:
    """Finish a turn: state, outbox and memories, guarded by the fence."""
    _finish(connection, claimed, handled, desks["work"], now)
    run(
        connection,
        "finish_event",
        event=handled.id,
        handler=handled.handler,
        routed_at=handled.routed_at,
        responded_at=handled.responded_at,
    )
    outbox.add(connection, claimed.conversation, handled, desks["deliver"], now)
    for memory in handled.memories:
        run(connection, "set_memory", person=memory.person, key=memory.key, value=encode(memory.value))
    if handled.timers or handled.cancelled:
        schedule.change(connection, handled.timers, handled.cancelled)


def _finish(connection: Connection, claimed: Claim, handled: Handled, desk: Desk[Any], now: float) -> None:
    """Finish a turn's conversation if it is still ours; raises `LostLease`. Mostly nothing more waits there."""
    state = encode(handled.state)
    turn = {
        "conversation": claimed.conversation,
        "fence": claimed.fence,
        "state": state,
        "event": handled.id,
        "now": now,
        "more": False,
    }
    write(connection, "finish_turn", turn)
    if connection.changes():
        return
    write(connection, "finish_turn", turn | {"more": True})
    if not connection.changes():
        raise LostLease(f"{claimed.conversation} was taken over")
    desk.miss()


def retry(connection: Connection, claimed: Claim, after: float, reason: str, now: float) -> bool:
    """Note an error; at the last one the event is parked, and True is returned."""
    errors = one(
        connection,
        "note_error",
        conversation=claimed.conversation,
        fence=claimed.fence,
        until=now + after,
        reason=reason,
    )
    if errors is None:
        raise LostLease(f"{claimed.conversation} was taken over")
    if errors < ERRORS:
        return False
    _park_head(connection, claimed.conversation, claimed.events[0].id, f"failed {ERRORS} times: {reason}", now)
    return True
