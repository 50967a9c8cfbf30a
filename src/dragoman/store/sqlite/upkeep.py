"""What keeps the file healthy and the operator in charge: park, redrive, the journal, kept values, pruning."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from dragoman.errors import Malformed
from dragoman.store.base import GRACE, Done, Fresh, InDoubt, Once
from dragoman.store.people import AFTER_HOLD, HOLD, MOST_HOLDS, Hold, free_to_go, read_holds
from dragoman.store.sqlite import broadcasts, outbox
from dragoman.store.sqlite.statements import Connection, one, rows, run
from dragoman.store.stored import encode, number_of

BATCH: Final = 500
"""Rows that one pruning transaction looks at: small, so that messages never wait for it."""
AGED: Final = ("delete_once", "delete_payloads", "delete_told")
"""The statements that delete what is older than messages are kept."""


def park(connection: Connection, account: str, raw: bytes, reason: str, now: float) -> str:
    """Set a payload aside."""
    number = one(connection, "park_payload", account=account, raw=raw, reason=reason, now=now)
    return f"p{number}"


def redrive(connection: Connection, name: str, now: float) -> str:
    """Put something parked back to work; raises `LookupError`, or `Malformed` where a text of it is none any more."""
    try:
        return _redrive(connection, name, now)
    except UnicodeDecodeError as error:
        raise Malformed("this release cannot read it") from error


def _redrive(connection: Connection, name: str, now: float) -> str:
    event = one(connection, "redrive_event", id=number_of(name, "e"))
    if event is not None:
        conversation, account = event
        run(connection, "requeue", conversation=conversation, account=account, event=number_of(name, "e"), now=now)
        return "event"
    if key := outbox.redrive(connection, number_of(name, "d"), now):
        broadcasts.requeue(connection, key)
        return "delivery"
    if one(connection, "drop_payload", id=number_of(name, "p")) is not None:
        return "payload"
    raise LookupError(name)


def begin(connection: Connection, turn: str, name: str, arguments: str, now: float) -> Once:
    """Begin a journaled step; one that was begun with other arguments starts afresh."""
    if one(connection, "begin_once", turn=turn, name=name, arguments=arguments, now=now) is not None:
        return Fresh()
    known, result = one(connection, "get_once", turn=turn, name=name)
    if known != arguments:
        run(connection, "restart_once", turn=turn, name=name, arguments=arguments)
        return Fresh()
    return InDoubt() if result is None else Done(result=msgspec.json.decode(result))


def finish(connection: Connection, turn: str, name: str, result: Any) -> None:
    """Journal a step's result."""
    run(connection, "finish_once", turn=turn, name=name, result=encode(result))


def lease(connection: Connection, name: str, owner: str, seconds: float, now: float) -> int:
    """Take or prolong a named lease; returns its fence, 0 when another has it."""
    return one(connection, "take_lease", name=name, owner=owner, until=now + seconds, now=now, grace=GRACE) or 0


def let_go(connection: Connection, name: str, owner: str) -> None:
    """End a named lease."""
    run(connection, "drop_lease", name=name, owner=owner)


def keep(connection: Connection, name: str, value: str) -> None:
    """Keep a value under a name."""
    run(connection, "set_kept", name=name, value=value)


def recall(connection: Connection, name: str) -> str:
    """Read a kept value."""
    return one(connection, "get_kept", name=name) or ""


def memory(connection: Connection, person: str, key: str) -> Any:
    """Read what is remembered of a person."""
    value = one(connection, "get_memory", person=person, key=key)
    return None if value is None else msgspec.json.decode(value)


def resume(connection: Connection, account: str) -> None:
    """End an account's pause."""
    run(connection, "resume", account=account)


class Pruned(msgspec.Struct):
    """How far a batch came: the number to go on after (0: done), and how many rows it deleted."""

    after: int
    deleted: int


def prune_events(connection: Connection, before: float, after: int) -> Pruned:
    """Delete one batch of settled events older than `before`, with their replies."""
    found = rows(connection, "old_events", after=after, limit=BATCH)
    old = [row for row in found if row[2] < before]
    held = read_holds(rows(connection, "kept_from", first=HOLD, end=AFTER_HOLD, limit=MOST_HOLDS))
    going = old if not held else _free(connection, old, held)
    deleted = 0
    for number, conversation, _ in going:
        run(connection, "delete_event", id=number)
        deleted += connection.changes()
        run(connection, "delete_replies", id=number)
        run(connection, "delete_conversation", conversation=conversation)
    return Pruned(old[-1][0] if len(old) == BATCH else 0, deleted)


def _free(connection: Connection, old: Sequence[Any], held: Sequence[Hold]) -> list[Any]:
    """Leave out the events of those who are held."""
    bodies = rows(connection, "events_by_number", ids=encode([row[0] for row in old]))
    free = free_to_go(bodies, held)
    return [row for row in old if row[0] in free]


def prune_rest(connection: Connection, before: float, raw_before: float) -> int:
    """Delete one batch of raw payloads, journal entries, parked payloads and recipients; returns how many."""
    deleted = 0
    for statement, limit in (("delete_receipts", raw_before), *((name, before) for name in AGED)):
        run(connection, statement, before=limit, limit=BATCH)
        deleted += connection.changes()
    return deleted + broadcasts.prune(connection, before)
