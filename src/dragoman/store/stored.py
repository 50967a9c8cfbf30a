"""How values lie in a row, on every database: JSON texts, and what reading them back gives."""

import heapq
import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from dragoman import crypto, telemetry
from dragoman.model import Action, Address, Delivery, Event, Line, Message, Say, Timer
from dragoman.store.base import Handled, Outgoing, Stage, Stored, Trace
from dragoman.store.broadcasts import Broadcast, Fate, Recipient, Written, keys, parked
from dragoman.store.timers import Due, Standing

REDRIVEN: Final = "redriven"
"""The reason of an event that was put back to work, as the statements write it."""
RESTORED: Final = "restored: it came before the store was restored from a backup, and may have been answered then"

T = TypeVar("T")
Body = str | bytes
"""A JSON text as a row has it: as bytes from a database that looks at no byte of a text."""

log = telemetry.logger("store")

_encode = msgspec.json.Encoder().encode
_event = msgspec.json.Decoder(Event).decode
_action = msgspec.json.Decoder(Action).decode
_address = msgspec.json.Decoder(Address).decode
_state = msgspec.json.Decoder(dict[str, Any]).decode
_timer = msgspec.json.Decoder(Timer).decode
_ids = msgspec.json.Decoder(tuple[str, ...]).decode
_message = msgspec.json.Decoder(Message).decode
_counts = msgspec.json.Decoder(dict[Fate, int]).decode


UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What reading a body may raise: another release's or no JSON, no text, or so deep that it could just be written."""


def encode(value: Any) -> str:
    """Write a value as JSON."""
    return _encode(value).decode()


LONGEST: Final = 600
"""Characters of a name: an index entry of PostgreSQL holds some 2,700 bytes, and SQLite looks for a key's last part."""


def shortened(name: str) -> str:
    """Return a name as a store keeps it: a very long one by its beginning and its fingerprint."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 40]}\u2026{crypto.fingerprint(name)}"


def turn_id(event: Event) -> str:
    """Name the turn of an event: the same in every replay, whichever database it is in."""
    return _turn_id(event.account, event.kind, event.key)


def _turn_id(account: str, kind: str, key: str) -> str:
    return crypto.fingerprint(account, kind, key)


def read_event(number: int, body: str | bytes, received_at: float) -> Stored | None:
    """Read an event's row; None when it is damaged, or this release does not know the way another wrote it."""
    try:
        event = _event(body)
    except UNREADABLE:
        return None
    return Stored(id=number, turn=turn_id(event), event=event, received_at=received_at)


def obstacle(stored: Stored | None, crashes: int, most: int, until: float, *, redriven: bool) -> str:
    """Say why a conversation's next event is set aside and not handled; empty when it is.

    What happened before `until` (of a restore, 0: none) is handled when it was put back only.
    """
    if crashes >= most:
        return f"the process died {most} times while handling it"
    if stored is None:
        return "this release cannot read it"
    return RESTORED if happened_before(stored.event, until) and not redriven else ""


def happened_before(event: Event, until: float) -> bool:
    """Tell whether an event is of a time before this one, so far as it says when it happened; never with 0."""
    return 0.0 < event.at <= until


def crowded(most: int) -> str:
    """Say why an event is put off: its conversation has too much waiting."""
    return f"{most} messages of this conversation wait already"


def read_state(text: str | bytes, conversation: str) -> dict[str, Any]:
    """Read a conversation's state; one that cannot be read is reported, and begins anew: it stops nobody."""
    state = readable_state(text)
    if state is None:
        log.error("state.unreadable", conversation=conversation)
        return {}
    return state


def readable_state(text: str | bytes) -> dict[str, Any] | None:
    """Read a conversation's state; None when it cannot be read."""
    try:
        return _state(text)
    except UNREADABLE:
        return None


def read_action(text: str | bytes) -> Action:
    """Read an action; raises one of `UNREADABLE`."""
    action: Action = _action(text)
    return action


def read_address(text: str | bytes) -> Address:
    """Read an address; raises one of `UNREADABLE`."""
    return _address(text)


def read_ids(text: str | bytes) -> tuple[str, ...]:
    """Read a platform's ids; raises one of `UNREADABLE`."""
    return _ids(text)


def read_text(text: str | bytes) -> str:
    """Read a text; raises one of `UNREADABLE`."""
    return text if isinstance(text, str) else text.decode()


def rode(outgoing: Outgoing, conversation: str, handled: Handled, number: int, at: float, until: float) -> Delivery:
    """Return the delivery that a turn's action is when it is marked as being sent by the turn's very commit."""
    return Delivery(
        id=number,
        key=outgoing.key,
        action=outgoing.action,
        address=outgoing.address,
        conversation=conversation,
        cls=outgoing.cls,
        attempt=1,
        fence=1,
        at=at,
        received_at=handled.received_at,
        not_after=at + outgoing.fresh_for,
        until=until,
    )


def number_of(name: str, letter: str) -> int:
    """Return the number in an id such as `e12` if it has this letter, else 0 (no row has that)."""
    digits = name[1:]
    return int(digits) if name[:1] == letter and digits.isdecimal() and len(digits) < 19 else 0


def lines(
    events: Iterable[tuple[int, Body, float]],
    said: Mapping[int, Sequence[tuple[int, Body, float]]],
    changes: Iterable[tuple[int, Body]],
    broadcasts: Iterable[tuple[int, Body, float]],
    limit: int,
) -> list[Line]:
    """Tell a conversation, oldest first: its newest events first in `events`, the replies to each by its number.

    `changes` are its edits and deletions, in their order; `broadcasts` what was said without being asked, newest first.
    What cannot be read any more is left out: it would silence the bot wherever it looks back.
    """
    changed = _changed(changes)
    told: list[Line] = []
    for number, body, at in events:
        told += reversed(_replies(said.get(number, ())))
        event = _readable(_event, body, f"e{number}")
        if event is None:
            continue
        text = changed.get(event.message_id, event.text)
        if text is not None and event.kind != "timer":  # nobody said that, but what the bot said then counts
            told.append(Line(by="person", text=text, at=at, id=f"e{number}", name=event.sender.name))
        if len(told) >= limit:
            break
    merged = heapq.merge(told, _replies(broadcasts), key=lambda line: line.at, reverse=True)
    return list(itertools.islice(merged, limit))[::-1]


def _changed(changes: Iterable[tuple[int, Body]]) -> dict[str, str | None]:
    """Read what messages became: their last text, or None when they were deleted."""
    events = [_readable(_event, body, f"e{number}") for number, body in changes]
    return {event.message_id: event.text if event.kind == "edit" else None for event in events if event}


def _readable(decode: Callable[[Body], T], body: Body, name: str) -> T | None:
    try:
        return decode(body)
    except UNREADABLE:
        log.warning("history.unreadable", id=name)
        return None


def _replies(said: Iterable[tuple[int, Body, float]]) -> list[Line]:
    read = [(number, _readable(_action, body, f"d{number}"), at) for number, body, at in said]
    return [
        Line(by="bot", text=action.message.text, at=at, id=f"d{number}", buttons=action.message.buttons)
        for number, action, at in read
        if isinstance(action, Say)
    ]


def trace(row: Sequence[Any], deliveries: Collection[Sequence[Any]]) -> Trace:
    """Tell a message's life from its row (`find_event`) and its replies' (`deliveries_of`)."""
    number, account, conversation, kind, key, status, reason, handler, duplicates, *times = row
    received, authenticated, parsed, accepted, routed, responded = times
    turn = reason or {"waiting": "waiting", "done": handler or "no turn wanted"}.get(status, status)
    stages = [
        Stage(name="receive", at=received, outcome="received"),
        Stage(name="authenticate", at=authenticated, outcome="genuine"),
        Stage(name="parse", at=parsed, outcome=f"accepted at {accepted:.3f}"),
        Stage(name="route", at=routed, outcome=turn),
        Stage(name="respond", at=responded, outcome=status),
        *(_deliver_stage(*delivery) for delivery in deliveries),
    ]
    if not deliveries:
        stages.append(Stage(name="deliver", at=None, outcome="nothing to deliver"))
    return Trace(
        id=f"e{number}",
        account=account,
        conversation=conversation,
        kind=kind,
        key=key,
        status=status,
        duplicates=duplicates,
        trace_id=_turn_id(account, kind, key),
        stages=tuple(stages),
    )


def _deliver_stage(number: int, state: str, reason: str, attempts: int, at: float | None, ids: str) -> Stage:
    known = f" as {ids}" if ids != "[]" else ""
    because = f": {reason}" if reason else ""
    return Stage(name="deliver", at=at, outcome=f"d{number} {state}{known}, attempt {attempts}{because}")


def read_timer(body: str | bytes, at: float) -> Timer | None:
    """Read a timer; None when it is damaged, or this release does not know the way another wrote it."""
    try:
        return msgspec.structs.replace(_timer(body), at=at)
    except UNREADABLE:
        return None


def ready_at(timer: Timer) -> float:
    """Return when a timer may fire: its time by the rule, and its own share of the jitter."""
    if not timer.jitter:
        return timer.at
    share = int(crypto.fingerprint(timer.name, str(timer.at))[:8], 16) / 0xFFFF_FFFF
    return timer.at + timer.jitter * share


def standings(rows: Iterable[Sequence[Any]]) -> tuple[Standing, ...]:
    """Read timers as they stand: timer, at, fired, missed, last_at, last_event, a waiting event, and if paused."""
    read = [(read_timer(row[0], row[1]), row) for row in rows]
    return tuple(
        Standing(
            timer=timer,
            fired=row[2],
            missed=row[3],
            last_at=row[4],
            last_event=row[5],
            busy=row[6] is not None,
            paused=bool(row[7]) if len(row) > 7 else False,
        )
        for timer, row in read
        if timer is not None
    )


def due(rows: Sequence[Sequence[Any]], now: float, following: float | None) -> Due:
    """Read timers that are due, each row with its name at the end; `following` is when the next one is."""
    found = standings([row[:7] for row in rows])
    readable = {standing.timer.name for standing in found}
    unreadable = tuple(row[7] for row in rows if row[7] not in readable)
    until = following - now if following is not None else float("inf")
    return Due(now=now, timers=found, until_next=until, unreadable=unreadable)


def read_broadcast(row: Sequence[Any]) -> Broadcast:
    """Read a broadcast's row."""
    number, mark, name, message, state, start_at, created_at, ended_at, total, accounts, _ = row
    return Broadcast(
        id=number,
        mark=mark,
        name=name,
        message=_message(message),
        state=state,
        start_at=start_at,
        created_at=created_at,
        ended_at=ended_at,
        total=total,
        accounts=_ids(accounts),
    )


def read_counts(row: Sequence[Any]) -> dict[Fate, int]:
    """Read from a broadcast's row what became of its recipients, if these are pruned."""
    return _counts(row[10]) if row[10] else {}


def read_recipient(row: Sequence[Any], parked: str = "") -> Recipient:
    """Read a recipient's row, with the name of what of it is parked."""
    n, conversation, address, person, name, state, reason = row
    return Recipient(
        n=n,
        conversation=conversation,
        address=_address(address),
        person=person,
        name=name,
        state=state,
        reason=reason,
        parked=parked,
    )


def read_listed(broadcast: int, rows: Sequence[Sequence[Any]], found: Mapping[str, tuple[int, str]]) -> list[Recipient]:
    """Read recipients' rows (`list_recipients`), with what of them is parked."""
    named = [(row, keys([(broadcast, row[7], row[0], row[8])])) for row in rows]
    return [read_recipient(row[:7], parked(found, names)) for row, names in named]


def read_written(rows: Iterable[Sequence[Any]]) -> list[Written]:
    """Read what people wrote; what another release wrote in a way that this one does not know has no place here."""
    stored = (read_event(*row) for row in rows)
    return [Written(id=each.id, event=each.event, at=each.received_at) for each in stored if each is not None]
