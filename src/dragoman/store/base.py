"""The store's contract: intents of the line, no tables. Every store passes `tests/store/`.

Times are epoch seconds on the store's own steady clock. `ready_at` alone schedules: ready, leased,
backing off and paused are all "not before". A `fence` proves ownership: a claim or delivery whose
fence has moved on can change nothing any more.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, runtime_checkable

from dragoman.adapter import Receipt
from dragoman.model import Action, Address, Class, Delivery, Event, Line, Timer, Value
from dragoman.store.timers import Timers

if TYPE_CHECKING:
    from dragoman.store.broadcasts import Broadcasts
    from dragoman.store.people import People
    from dragoman.store.told import Followed


class Times(Value):
    """When the first three stages of a receipt ended."""

    received: float = 0.0
    authenticated: float = 0.0
    parsed: float = 0.0


class Accepted(Value):
    """One event's number in the inbox, and whether it was there already."""

    id: int
    duplicate: bool
    surplus: bool = False
    """So many messages of its conversation wait that it gets no turn: it is parked, or refused (then `id` is 0)."""


class Stored(Value):
    """An event of the inbox. `turn` names its turn, the same in every replay, on every machine."""

    id: int
    turn: str
    event: Event
    received_at: float = 0.0


class Claim(Value):
    """A conversation taken for a while: its state, the events to handle, and the proof of ownership."""

    conversation: str
    fence: int
    state: dict[str, Any]
    events: tuple[Stored, ...]
    attempt: int
    waited: float = 0.0
    """Seconds for which the conversation was ready before it was taken: the queue's delay, and not its own."""


class Outgoing(Value):
    """An action that a turn wants delivered. `window` is how long the platform drops a repeated key (seconds).

    `hold`: a passive reply; `take` leaves it alone for so many seconds, while the held request fetches it.
    """

    key: str
    action: Action
    address: Address
    cls: Class = "reply"
    window: float = 0.0
    hold: float = 0.0
    fresh_for: float = 86_400.0
    sure_for: float = 600.0
    """After so many seconds an unkeyed send whose fate is unknown is held for the operator."""


class Memory(Value):
    """A value to keep for a person."""

    person: str
    key: str
    value: Any = None


class Handled(Value):
    """What one turn did: the event that it handled, by which handler, and its effects."""

    id: int
    handler: str
    state: dict[str, Any]
    outgoing: tuple[Outgoing, ...] = ()
    memories: tuple[Memory, ...] = ()
    timers: tuple[Timer, ...] = ()
    cancelled: tuple[str, ...] = ()
    """Names of timers to take away, before `timers` are set."""
    received_at: float = 0.0
    routed_at: float = 0.0
    responded_at: float = 0.0


class Fresh(Value):
    """This was never begun: do it."""


class InDoubt(Value):
    """This was begun by an attempt that died: it may or may not have happened."""


class Done(Value):
    """This was done; here is its result."""

    result: Any = None


Once = Fresh | InDoubt | Done


class Settled(Value):
    """Delivered, under the platform's ids."""

    ids: tuple[str, ...] = ()


class Later(Value):
    """Try again after so many seconds. `attempted` counts it against the attempts."""

    after: float
    reason: str
    attempted: bool = True
    address: Address | None = None
    """A new address, when the conversation has moved."""
    paced: bool = False
    """The slot at the end of the wait is reserved for it: `Delivery.slot` says so when it is taken again."""


class Pause(Value):
    """Keep the delivery, and take nothing of the account for so many seconds."""

    after: float
    reason: str


class Parked(Value):
    """Set aside with a reason, for the operator to see and to redrive."""

    reason: str


Decision = Settled | Later | Pause | Parked
ParkedKind = Literal["event", "delivery", "payload"]


class ParkedRow(Value):
    """Something set aside: `id` is what `redrive` takes (`e12`, `d7`, `p3`)."""

    id: str
    kind: ParkedKind
    account: str
    conversation: str
    reason: str
    at: float


class Stage(Value):
    """One of the six stages of a message, when it ended, and how."""

    name: Literal["receive", "authenticate", "parse", "route", "respond", "deliver"]
    at: float | None
    outcome: str


class Trace(Value):
    """A message's life."""

    id: str
    account: str
    conversation: str
    kind: str
    key: str
    status: str
    duplicates: int
    trace_id: str
    """Its turn's id, which is the trace's where traces are told."""
    stages: tuple[Stage, ...]


class Alive(Value):
    """How many replicas live, and how many of them send."""

    replicas: int = 1
    senders: int = 1


class Depths(Value):
    """How much waits."""

    inbox: int = 0
    outbox: int = 0
    parked: int = 0
    oldest: float = 0.0
    """Seconds since the oldest waiting event was accepted."""


MOST_PENDING: Final = 200
"""Messages of one conversation that may wait; a chat that floods takes nobody else's place."""
Wake = Literal["work", "deliver"]
Surplus = Literal["park", "refuse"]
"""What becomes of an event whose conversation has too much waiting: set aside, or left to who sends it again."""
SEND_LEASE: Final = 15.0
"""Seconds that a sender has until its delivery counts as interrupted."""
GRACE: Final = 2.0
"""Seconds between the end of a lease that was not prolonged and its next owner."""


class Store(Protocol):
    """The line. Every method commits before it returns; `StoreAway` means that nothing was done."""

    @property
    def timers(self) -> Timers:
        """The events to come."""

    @property
    def broadcasts(self) -> "Broadcasts":
        """Keep broadcasts: one message to many, beside the line."""

    @property
    def people(self) -> "People":
        """Find, hand out and erase what is kept of a person."""

    async def accept(
        self,
        account: str,
        receipt: Receipt,
        times: Times,
        keep: Mapping[str, str] | None = None,
        surplus: Surplus = "park",
    ) -> tuple[Accepted, ...]:
        """Store a receipt's events once per key, with `keep` in the same transaction. The promise.

        Where `most_pending` of a conversation wait, further ones are parked or refused, as `surplus` says.
        """

    async def park(self, account: str, raw: bytes, reason: str) -> str:
        """Set an authentic payload that we do not understand aside; returns its id."""

    async def claim(self, limit: int, patience: float = 0.0) -> Sequence[Claim]:
        """Take up to `limit` conversations that have something to do; counts the attempt first.

        Where nothing is to do waits up to `patience` seconds, and may return nothing nevertheless.
        """

    async def renew(self, claim: Claim) -> bool:
        """Prolong a claim; False when it is no longer ours."""

    async def release(self, claim: Claim) -> None:
        """Give a claim back untouched, as if it had not been taken."""

    async def commit(self, claim: Claim, handled: Handled) -> None:
        """Store state, outbox, memories and timers together and finish the event; raises `LostLease`."""

    async def retry(self, claim: Claim, after: float, reason: str) -> bool:
        """Note an error and try again later; parks the event at the fifth and returns True."""

    async def once(self, turn: str, name: str, arguments: str) -> Once:
        """Begin a journaled step of a turn."""

    async def done(self, turn: str, name: str, result: Any) -> None:
        """Journal the result of a step."""

    async def take(self, limit: int, busy: Collection[str] = (), patience: float = 0.0) -> Sequence[Delivery]:
        """Take up to `limit` deliveries, at most one per conversation and none of `busy` accounts, as being sent.

        Where none may leave waits up to `patience` seconds, and may return nothing nevertheless. Meanwhile, and for a
        moment afterwards, it is a standing order: what this process commits may be taken in that very transaction, as
        much and of whom as was asked for then.
        """

    async def settle(self, delivery: Delivery, decision: Decision, pace: float = 0.0) -> bool:
        """Record what came of a delivery; the conversation's next one leaves after `pace` seconds.

        False when the delivery was taken up by another since.
        """

    async def prolong(self, deliveries: Collection[int]) -> Collection[int]:
        """Say that these deliveries are still being sent, for `SEND_LEASE` seconds more; returns those still ours."""

    async def reply(self, event: int) -> Sequence[Delivery]:
        """Take the replies to an event that are not sent yet, for the response of the request that waits for them."""

    async def replies(self, event: int) -> Sequence[Delivery] | None:
        """Read the replies to an event, which were sent or parked; None while one of them is not settled yet."""

    async def hand_back(self, deliveries: Sequence[Delivery]) -> None:
        """Return taken deliveries whose sending did not begin, for the later path."""

    async def finished(self, event: int, seconds: float) -> bool:
        """Wait until an event's turn is over (done or parked); False when the time is up."""

    async def lease(self, name: str, owner: str, seconds: float) -> int:
        """Take or prolong a named lease; returns its fence, 0 while another owner has it.

        An owner that let go is followed at once; one that fell silent `GRACE` seconds after its time.
        """

    async def beat(self, roles: str) -> Alive:
        """Say that this replica lives, in these roles (with commas between); returns how many do."""

    def tell(self, text: str) -> None:
        """Tell all other replicas (up to some 5,000 bytes), without a promise that it reaches them."""

    def listen(self, told: Callable[[str], None], missed: Callable[[], None]) -> None:
        """Hear what others tell; `missed` is called when something may not have been heard."""

    async def let_go(self, name: str, owner: str) -> None:
        """End a lease, if it is this owner's, so that the next one need not wait."""

    async def recall(self, name: str) -> str:
        """Read a kept value; empty when there is none."""

    async def keep(self, name: str, value: str) -> None:
        """Keep a value under a name."""

    async def memory(self, person: str, key: str) -> Any:
        """Read what is remembered of a person; None when nothing is."""

    async def resume(self, account: str) -> None:
        """End an account's pause."""

    async def redrive(self, parked: str) -> str:
        """Put something parked back to work; returns what it was, raises `LookupError`."""

    async def sweep(self) -> int:
        """Take up what an interrupted sender or worker of this store left behind."""

    async def prune(self, before: float, raw_before: float) -> int:
        """Delete settled rows and raw payloads older than these times, in small batches."""

    def wake(self, wake: Wake) -> None:
        """Say that there may be something to do here: who waits for it looks again."""

    def full(self) -> str:
        """Say why no more can be accepted now; empty when it can."""

    def waiting(self) -> int:
        """Tell how many messages wait, as far as it is known here."""


class OpenStore(Store, Protocol):
    """A store as a service owns it: to be asked beside the line, and to be closed."""

    most_waiting: int
    """Messages that may wait before `full` says so."""
    most_pending: int
    """Messages of one conversation that may wait."""
    owner: str
    """This replica's name: no other process ever has the same."""

    @property
    def reader(self) -> "Reader":
        """Answer questions beside the line."""

    async def close(self) -> None:
        """Finish what is queued and let it go."""


@runtime_checkable
class Shared(Protocol):
    """What a store that several replicas share has besides: their common pace, and hints that a cache may carry."""

    def lighten(self, light: Any) -> None:
        """Let a shared cache carry the hints between replicas while it answers."""

    async def reserve(self, name: str, count: int, seconds: float, later: float = 0.0) -> float:
        """Reserve the next free slot, no more than `count` in any `seconds` and not before `later` seconds from now.

        Returns the seconds until it.
        """


class Reader(Protocol):
    """Named questions, on a connection of their own."""

    async def history(self, conversation: str, limit: int, before: int = 0) -> Sequence[Line]:
        """Read the last `limit` lines of a conversation, before an event, edits and deletions applied."""

    async def trace(self, name: str) -> Trace | None:
        """Find a message by our id (`e12`), its key, or its message id, and tell its life."""

    async def parked(self, limit: int) -> Sequence[ParkedRow]:
        """List what is set aside, newest first."""

    async def depths(self) -> Depths:
        """Count what waits."""

    async def owner(self, lease: str) -> str:
        """Name who has a lease; empty when nobody has."""

    async def paused(self) -> Mapping[str, str]:
        """Name the paused accounts, with the reason."""

    async def status(self, event: int) -> str:
        """Read an event's status (waiting, done, parked); empty when it is gone."""

    async def payload(self, parked: str) -> tuple[str, bytes] | None:
        """Read a parked payload's account and bytes."""

    async def fires(self, timer: str, conversation: str, limit: int) -> Sequence[int]:
        """Find the newest events that a timer, and what came at once beside it, brought; the newest first."""

    async def at_rest(self, conversation: str) -> dict[str, Any] | None:
        """Read the state of a conversation of which nothing waits or runs; None while something does."""

    async def follow(self, cursor: int, limit: int, until: int = 0) -> "Followed":
        """Read up to `limit` entries of what was told, after a number, and up to one that was given before.

        None is given out while a smaller number can still come: what is followed is neither skipped nor seen twice.
        """

    async def recalled(self, names: Collection[str]) -> Mapping[str, str]:
        """Read kept values by their names, those that there are."""
