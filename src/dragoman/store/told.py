"""What was told, as it is followed: what people wrote, and what the bot said once it was sent, in one order.

Every entry has a number, and is given out only when no smaller one can come any more. So who keeps the number of the
last entry that it has dealt with misses nothing and sees nothing twice.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from dragoman.model import Action, Address, Event, Value
from dragoman.store.stored import UNREADABLE, read_action, read_address, read_event, read_ids, read_text


class Said(Value):
    """What the bot said: the action as it was sent, and what it answers."""

    key: str
    action: Action
    address: Address
    conversation: str
    ids: tuple[str, ...] = ()
    """The platform's ids of it."""
    answers: Event | None = None
    last: Event | None = None
    """The newest message of the conversation, for what answers nobody."""


class Told(Value):
    """One entry: an event that was accepted, or what the bot said; neither where it cannot be read any more."""

    id: int
    at: float
    event: Event | None = None
    said: Said | None = None


class Followed(Value):
    """Entries in their order, and up to which number there is nothing else."""

    told: tuple[Told, ...]
    cursor: int


def read_told(rows: Iterable[Sequence[Any]]) -> tuple[Told, ...]:
    """Read entries (`follow`)."""
    return tuple(Told(id=row[0], at=row[1], event=_event(row[2]), said=_said(row[3:])) for row in rows)


def _event(body: str | bytes | None) -> Event | None:
    stored = read_event(0, body, 0.0) if body is not None else None
    return stored.event if stored is not None else None


def _said(row: Sequence[Any]) -> Said | None:
    """Read what was said; None where there is nothing, or another release wrote it in a way that we do not know."""
    key, action, address, conversation, ids, answers, last = row
    if key is None:
        return None
    try:
        return Said(
            key=read_text(key),
            action=read_action(action),
            address=read_address(address),
            conversation=read_text(conversation),
            ids=read_ids(ids),
            answers=_event(answers),
            last=_event(last),
        )
    except UNREADABLE:
        return None
