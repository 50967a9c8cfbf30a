"""Broadcasts as a store keeps them: one message, its recipients as rows, and what became of each.

A recipient is one row, however often it is named, and its deliveries are keyed by that row. Feeding turns the next
waiting rows into ordinary deliveries; collecting reads in the outbox what became of them. So a broadcast that is
interrupted anywhere goes on at its first row that waits, and a row that left `waiting` is never fed again, unless
none of its deliveries was tried (`withdrawn` by a pause).
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Literal, Protocol

from dragoman.model import Address, Event, Message, Value, channel_of
from dragoman.store.base import Outgoing

State = Literal["preparing", "scheduled", "running", "paused", "done", "aborted", "missed"]
Fate = Literal["waiting", "queued", "sent", "failed", "unknown", "skipped"]
Wanted = Literal["paused", "running", "aborted"]

COLLECTED: Final = 2_000
"""Queued recipients that are looked at together, at most."""
GONE: Final = "its delivery is gone; it may have arrived"

FROM: Final[Mapping[Wanted, tuple[State, ...]]] = {
    "paused": ("scheduled", "running"),
    "running": ("paused",),
    "aborted": ("preparing", "scheduled", "running", "paused"),
}
"""From which states each can be wanted."""


class Recipient(Value):
    """Whom a broadcast reaches: one place. `n` orders them, from 1."""

    conversation: str
    address: Address
    person: str = ""
    name: str = ""
    n: int = 0
    state: Fate = "waiting"
    reason: str = ""
    parked: str = ""
    """What `redrive` takes, where one of its deliveries is parked."""


class Broadcast(Value):
    """One message to many. `accounts` are its recipients' accounts; times are epoch seconds."""

    id: int
    mark: str
    """Tells its deliveries' keys from those of a store before this one."""
    name: str
    message: Message
    state: State
    start_at: float
    created_at: float
    ended_at: float | None = None
    total: int = 0
    accounts: tuple[str, ...] = ()


class Report(Value):
    """How far a broadcast is: recipients by what became of them."""

    broadcast: Broadcast
    counts: dict[Fate, int]


class Prepared(Value):
    """A recipient's turn: its deliveries, or the state that it ends in without any, and why.

    `people` are the names under which it may have opted out.
    """

    n: int
    outgoing: tuple[Outgoing, ...] = ()
    people: tuple[str, ...] = ()
    state: Literal["skipped", "failed"] | None = None
    reason: str = ""


class Written(Value):
    """An event as the search for recipients reads it."""

    id: int
    event: Event
    at: float


class Broadcasts(Protocol):
    """What a store does for broadcasts. Every method commits before it returns."""

    async def create(self, name: str, message: Message, start_at: float) -> int:
        """Begin to prepare a broadcast, which sends nothing yet; `start_at` 0 is at once. Returns its number."""

    async def add(self, broadcast: int, recipients: Sequence[Recipient]) -> int:
        """Add recipients while it is being prepared, each place once; returns how many were new.

        Raises `LookupError` when it is not being prepared.
        """

    async def ready(self, broadcast: int) -> Broadcast:
        """Say that all recipients are there: it is scheduled; raises `LookupError` when it is not being prepared."""

    async def change(self, broadcast: int, wanted: Wanted) -> bool:
        """Pause, resume or abort; what was not tried yet is withdrawn from the outbox. False when it cannot be so."""

    async def start(self, late: float) -> Sequence[Broadcast]:
        """Start what is due; what has been due for more than `late` seconds is missed, and returned."""

    async def active(self) -> Sequence[Broadcast]:
        """Return what is scheduled or running."""

    async def outstanding(self) -> Mapping[str, int]:
        """Count the queued recipients by account."""

    async def next(self, broadcast: int, account: str, limit: int) -> Sequence[Recipient]:
        """Read the first recipients of an account that wait, in their order."""

    async def queue(self, broadcast: int, prepared: Sequence[Prepared]) -> Mapping[Fate, int]:
        """Put those that still wait into the outbox, unless they have opted out or the broadcast does not run.

        Returns how many came into which state.
        """

    async def collect(self) -> Mapping[Fate, int]:
        """Note what became of queued recipients; returns how many came into which state."""

    async def finish(self) -> Sequence[int]:
        """End the broadcasts of which no recipient waits or is queued; returns their numbers."""

    async def report(self, broadcast: int) -> Report | None:
        """Tell how far a broadcast is; None when there is none of this number."""

    async def listed(self, limit: int) -> Sequence[Report]:
        """Tell of the newest broadcasts."""

    async def recipients(self, broadcast: int, states: Collection[Fate], after: int, limit: int) -> Sequence[Recipient]:
        """Read recipients in these states, in their order, after a number."""

    async def written(self, before: int, limit: int) -> Sequence[Written]:
        """Read what people wrote to us, newest first, below an event's number (0: from the newest)."""


def place(address: Address) -> str:
    """Name where a recipient is, the same in whichever workspace and however the conversation is written."""
    return channel_of(address) + (f"/{address.thread}" if address.thread else "")


def key(broadcast: int, mark: str, n: int, chunk: int) -> str:
    """Name a recipient's delivery; the mark tells it from that of a store before this one."""
    return f"b:{broadcast}:{n}:{chunk}:{mark}"


def named(key: str) -> tuple[int, int] | None:
    """Read the broadcast and the recipient from a delivery's key; None when it is no broadcast's."""
    parts = key.split(":")
    if len(parts) != 5 or parts[0] != "b":
        return None
    return int(parts[1]), int(parts[2])


def keys(queued: Sequence[Any]) -> list[str]:
    """Name the deliveries of recipients, given as rows: broadcast, mark, n, chunks."""
    return [name for row in queued for name in _keys(*row)]


def _keys(broadcast: int, mark: str, n: int, chunks: int) -> list[str]:
    return [key(broadcast, mark, n, chunk) for chunk in range(chunks)]


def parked(found: Mapping[str, tuple[int, str]], names: Sequence[str]) -> str:
    """Name the first parked one of a recipient's deliveries (id, state), by their keys."""
    return next((f"d{found[name][0]}" for name in names if name in found and found[name][1] == "parked"), "")


def fate(deliveries: Sequence[tuple[str, str]], chunks: int) -> tuple[Fate, str] | None:
    """Tell what became of a recipient from its deliveries (state, reason); None while one is under way."""
    if any(state in {"pending", "sending"} for state, _ in deliveries):
        return None
    if len(deliveries) < chunks:
        return "unknown", GONE
    parked = [reason for state, reason in deliveries if state == "parked"]
    if not parked:
        return "sent", ""
    sent = f" ({chunks - len(parked)} of {chunks} parts were sent)" if len(parked) < chunks else ""
    unsure = next((reason for reason in parked if reason.startswith("unsure")), "")
    return ("unknown", unsure + sent) if unsure else ("failed", parked[0] + sent)


def fates(queued: Sequence[Any], deliveries: Mapping[str, tuple[str, str]]) -> list[tuple[int, int, Fate, str]]:
    """Tell which recipients (as rows) came to an end, by their deliveries' state and reason."""
    ended: list[tuple[int, int, Fate, str]] = []
    for broadcast, mark, n, chunks in queued:
        names = _keys(broadcast, mark, n, chunks)
        found = fate([deliveries[name] for name in names if name in deliveries], chunks)
        if found:
            ended.append((broadcast, n, *found))
    return ended


def untried(queued: Sequence[Any], deliveries: Mapping[str, tuple[int, str, int]]) -> list[tuple[int, list[int]]]:
    """Choose the recipients none of whose deliveries (id, state, attempts) was tried: n, and the deliveries' ids."""
    chosen: list[tuple[int, list[int]]] = []
    for broadcast, mark, n, chunks in queued:
        names = _keys(broadcast, mark, n, chunks)
        found = [deliveries[name] for name in names if name in deliveries]
        if len(found) == chunks and all(state == "pending" and not attempts for _, state, attempts in found):
            chosen.append((n, [number for number, _, _ in found]))
    return chosen
