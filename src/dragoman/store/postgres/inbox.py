"""The inbox's side of the line: accept, claim, commit, retry, park."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from dragoman.adapter import Receipt
from dragoman.errors import LostLease
from dragoman.model import Event
from dragoman.store.base import SEND_LEASE, Accepted, Claim, Handled, Outgoing, Surplus, Times
from dragoman.store.postgres import schedule
from dragoman.store.postgres.pool import Collision, Pool, Session, columns
from dragoman.store.stored import REDRIVEN, crowded, encode, obstacle, read_event, read_state, shortened

Name = tuple[str, str, str]
"""What names a happening: account, kind, key."""

LEASE: Final = 30.0
"""Seconds that a claim holds without being renewed."""
CRASHES: Final = 3
SUSPECT: Final = 2
"""Crashes after which an event is taken alone of its kind."""
ERRORS: Final = 5
FAR: Final = 1000
"""Numbers between where a conversation's head is looked for and where it is, from which on the row is brought up."""
LOOKS: Final = 5
"""Times that conversations are looked for before their rows are given up as deleted under us."""


class Arrival(msgspec.Struct):
    """One receipt to be accepted."""

    account: str
    receipt: Receipt
    times: Times
    keep: Mapping[str, str]
    surplus: Surplus = "park"


def plain(text: str) -> str:
    """Return a text as PostgreSQL can hold it: its NUL shown by the sign for it."""
    return text.replace("\0", "\u2400")


def short(text: str) -> str:
    """Return a name as an index of PostgreSQL can hold it: a very long one by its beginning and its fingerprint."""
    return shortened(plain(text))


async def accept(pool: Pool, arrivals: Sequence[Arrival], most: int) -> list[tuple[Accepted, ...]]:
    """Store receipts' events, each once, and what is to be kept with them, in one transaction.

    Of a conversation `most` may wait; what is more is put off.
    """
    new = await _add_at_once(pool, arrivals, most)
    left = [_without(arrival, new) for arrival in arrivals]
    told: list[tuple[Accepted, ...]] = [()] * len(arrivals)
    if any(arrival.receipt.events or arrival.keep for arrival in left):
        told = await pool.transact(lambda session: accept_in(session, left, most))
    return [_joined(arrival, new, rest) for arrival, rest in zip(arrivals, told, strict=True)]


def _without(arrival: Arrival, new: Mapping[Name, int]) -> Arrival:
    """Return a receipt without the events that are stored already."""
    if not new:
        return arrival
    events = tuple(event for event in arrival.receipt.events if _name(event) not in new)
    return msgspec.structs.replace(arrival, receipt=msgspec.structs.replace(arrival.receipt, events=events))


def _joined(arrival: Arrival, new: Mapping[Name, int], rest: Sequence[Accepted]) -> tuple[Accepted, ...]:
    """Tell a receipt's events' numbers, of which the rest were stored after the new ones."""
    left = iter(rest)
    names = (_name(event) for event in arrival.receipt.events)
    return tuple(Accepted(id=new[name], duplicate=False) if name in new else next(left) for name in names)


async def _add_at_once(pool: Pool, arrivals: Sequence[Arrival], most: int) -> dict[Name, int]:
    """Store receipts' events in one statement, and return those that are new.

    None is stored where a conversation is new or crowded, an event comes twice, or something is to be kept with one.
    """
    events = [event for arrival in arrivals for event in arrival.receipt.events]
    if len({_name(event) for event in events}) < len(events) or any(arrival.keep for arrival in arrivals):
        return {}
    many = Counter(short(event.conversation) for event in events if event.wants_turn)
    lanes = sorted(many)
    room = {"lanes": lanes, "many": [many[name] for name in lanes], "most": most}
    added = await pool.rows("accept_at_once", **room, **_given(arrivals))
    return {(account, kind, key): number for _, number, account, kind, key in added if number is not None}


async def accept_in(session: Session, arrivals: Sequence[Arrival], most: int) -> list[tuple[Accepted, ...]]:
    """Store receipts' events in a transaction that does more besides."""
    events = [event for arrival in arrivals for event in arrival.receipt.events]
    waiting = await lock(session, events)
    numbers = await _add(session, arrivals) if events else {}
    surplus = _surplus(arrivals, numbers, waiting, most)
    if surplus:
        await _put_off(session, surplus, numbers, most)
    known = [event for event in events if _name(event) not in numbers]
    again = [*known, *_repeated(events)]
    if again:
        numbers = {**await _note_duplicates(session, again), **numbers}
    if not numbers.keys() >= {_name(event) for event in events}:
        raise Collision("an event that comes again was deleted meanwhile")
    kept = {name: value for arrival in arrivals for name, value in arrival.keep.items()}
    if kept:
        await session.rows("set_kept", names=list(kept), values=list(kept.values()))
    duplicates = {_name(event) for event in known}
    return _told(arrivals, numbers, duplicates, surplus)


def _told(
    arrivals: Sequence[Arrival],
    numbers: Mapping[Name, int],
    duplicates: set[Name],
    surplus: Mapping[Name, Surplus],
) -> list[tuple[Accepted, ...]]:
    """Tell each receipt its events' numbers; a happening that came twice in this very group is new once."""
    seen = set(duplicates)
    refused = {name for name, what in surplus.items() if what == "refuse"}
    told: list[tuple[Accepted, ...]] = []
    for arrival in arrivals:
        accepted = []
        for event in arrival.receipt.events:
            name = _name(event)
            if name in refused:
                accepted.append(Accepted(id=0, duplicate=False, surplus=True))
                continue
            again = name in seen
            accepted.append(Accepted(id=numbers[name], duplicate=again, surplus=name in surplus and not again))
            seen.add(name)
        told.append(tuple(accepted))
    return told


def _surplus(
    arrivals: Sequence[Arrival], numbers: Mapping[Name, int], waiting: Mapping[str, int], most: int
) -> dict[Name, Surplus]:
    """Find the new events whose conversation has too much waiting before them, and what is to become of them."""
    counts, surplus = dict(waiting), dict[Name, Surplus]()
    seen: set[Name] = set()
    for arrival in arrivals:
        for event in arrival.receipt.events:
            name, conversation = _name(event), short(event.conversation)
            if not event.wants_turn or name not in numbers or name in seen:
                continue
            seen.add(name)
            if counts[conversation] >= most:
                surplus[name] = arrival.surplus
            else:
                counts[conversation] += 1
    return surplus


async def _put_off(session: Session, surplus: Mapping[Name, Surplus], numbers: Mapping[Name, int], most: int) -> None:
    """Take events out of their conversations' queues again: parked, or deleted with the receipts that brought them."""
    parked = [numbers[name] for name, what in surplus.items() if what == "park"]
    refused = [numbers[name] for name, what in surplus.items() if what == "refuse"]
    await session.rows("unqueue", ids=[*parked, *refused])
    if parked:
        await session.rows("park_events", ids=parked, reason=crowded(most))
    if refused:
        staying = sorted(set(numbers.values()) - set(refused))
        await session.rows("refuse_events", ids=refused, staying=staying)


def _name(event: Event) -> Name:
    return event.account, event.kind, short(event.key)


def _repeated(events: Sequence[Event]) -> list[Event]:
    """Return the events whose happening is in this group already."""
    seen: set[Name] = set()
    return [event for event in events if _name(event) in seen or seen.add(_name(event))]  # type: ignore[func-returns-value]  # `add` returns None, which is false


async def lock(session: Session, events: Sequence[Event]) -> dict[str, int]:
    """Lock the events' conversations in key order, making those that are not there; gives how many wait in each."""
    wanted = {short(event.conversation): event.account for event in events if event.wants_turn}
    conversations = sorted(wanted)
    found: dict[str, int] = {}
    for _ in range(LOOKS if conversations else 0):
        found = dict(await session.rows("lock_conversations", conversations=conversations))
        missing = [name for name in conversations if name not in found]
        if not missing:
            return found
        await session.rows("add_conversations", conversations=missing, accounts=[wanted[name] for name in missing])
    if conversations:
        raise Collision("conversations are deleted as fast as they are made")
    return found


async def _add(session: Session, arrivals: Sequence[Arrival]) -> dict[Name, int]:
    added = await session.rows("accept", **_given(arrivals))
    return {(account, kind, key): number for number, account, kind, key in added}


def _given(arrivals: Sequence[Arrival]) -> dict[str, list[Any]]:
    """Return the columns of receipts' events, and of the receipts."""
    rows = [
        (
            event.account,
            event.kind,
            short(event.key),
            short(event.conversation),
            encode(event),
            event.wants_turn,
            number,
            arrival.times.received,
            arrival.times.authenticated,
            arrival.times.parsed,
        )
        for number, arrival in enumerate(arrivals, 1)
        for event in arrival.receipt.events
    ]
    names = "accounts kinds keys conversations events wanted receipts received authenticated parsed".split()  # noqa: SIM905 - one line reads better
    given = dict(zip(names, columns(rows, len(names)), strict=True))
    return given | {"raws": [arrival.receipt.raw for arrival in arrivals]}


async def _note_duplicates(session: Session, events: Sequence[Event]) -> dict[tuple[str, str, str], int]:
    accounts, kinds, keys = columns(sorted({_name(event) for event in events}), 3)
    found = await session.rows("note_duplicates", accounts=accounts, kinds=kinds, keys=keys)
    return {(account, kind, key): number for number, account, kind, key in found}


class Claims(msgspec.Struct):
    """What claiming gave: conversations to work on, and events parked for crashing us or for being unreadable."""

    taken: list[Claim]
    parked: list[int]
    suspect: str = ""


async def claim(pool: Pool, limit: int, owner: str, until: float, *, suspects: bool) -> Claims:
    """Take conversations; an event that was in flight at two crashes is taken alone of its kind.

    What happened before `until` is set aside: the store was restored from a backup then (0: it was not).
    """
    claims = Claims([], [])
    leased = await pool.rows("claim", limit=limit, suspects=suspects, lease=LEASE, owner=owner)
    if not leased:
        return claims
    claims.suspect = next((row[0] for row in leased if row[3] >= SUSPECT), "")
    names, heads = [row[0] for row in leased], [row[5] for row in leased]
    found = {row[0]: row for row in await pool.rows("head_events", conversations=names, heads=heads)}
    far = [row[0] for row in leased if row[0] in found and found[row[0]][1] - row[5] > FAR]
    if far:
        await _bring_up(pool, far)
    for row in leased:
        await _sort(pool, claims, row, found.get(row[0]), until)
    return claims


async def _sort(pool: Pool, claims: Claims, leased: Any, head: Any, until: float) -> None:
    """Make a claim of a leased conversation, or set aside what stands in its way."""
    conversation, state, fence, started, errors, _, waited = leased
    stored = read_event(head[1], head[2], head[3]) if head is not None else None
    if head is None:
        await _settle_pending(pool, conversation, fence)
    elif (why := obstacle(stored, started, CRASHES, until, redriven=head[4] == REDRIVEN)) or stored is None:
        claims.parked.append(head[1])
        await _park(pool, conversation, fence, head[1], why)
    else:
        claims.taken.append(
            Claim(
                conversation=conversation,
                fence=fence,
                state=read_state(state, conversation),
                events=(stored,),
                attempt=started + errors + 1,
                waited=max(0.0, waited),
            )
        )
        return
    claims.suspect = "" if claims.suspect == conversation else claims.suspect


async def _bring_up(pool: Pool, conversations: Sequence[str]) -> None:
    """Note where the heads are, so that what is done is not read again at each turn."""

    async def work(session: Session) -> None:
        await session.rows("lock_conversations", conversations=conversations)
        await session.rows("bring_up_heads", conversations=conversations)

    await pool.transact(work)


async def _settle_pending(pool: Pool, conversation: str, fence: int) -> None:
    async def work(session: Session) -> None:
        if await session.one("lock_claim", conversation=conversation, fence=fence) is not None:
            await session.rows("settle_pending", conversation=conversation)

    await pool.transact(work)


async def _park(pool: Pool, conversation: str, fence: int, event: int, reason: str) -> None:
    async def work(session: Session) -> None:
        if await session.one("lock_claim", conversation=conversation, fence=fence) is not None:
            await park_head(session, conversation, event, reason)

    await pool.transact(work)


async def park_head(session: Session, conversation: str, event: int, reason: str) -> None:
    """Set a conversation's head event aside, so that the next one can go on."""
    await session.rows("park_event", event=event, reason=plain(reason))
    await session.rows("skip_head", conversation=conversation, event=event)


class Ending(msgspec.Struct):
    """One turn to be committed."""

    claim: Claim
    handled: Handled


class Finished(msgspec.Struct):
    """What committing a turn gave: how many events of its conversation still wait, and the reply that is being sent."""

    pending: int
    rode: int | None = None


async def commit(
    pool: Pool, endings: Sequence[Ending], riders: Mapping[str, Outgoing] | None = None, owner: str = ""
) -> list[Finished | Exception]:
    """Finish turns together: state, outbox, memories and timers; those that were not ours any more get `LostLease`.

    Of `riders` (one of a conversation, by its name) those that may leave at once are marked as being sent by us.
    """

    async def work(session: Session | Pool) -> list[Any]:
        said, remembered = _said(endings, riders or {}), _remembered(endings)
        return await session.rows("commit", owner=owner, lease=SEND_LEASE, **_turns(endings), **said, **remembered)

    if any(ending.handled.timers or ending.handled.cancelled for ending in endings):
        finished = await pool.transact(lambda session: _with_timers(session, work, endings))
    else:
        finished = await work(pool)
    found: dict[str, Finished | Exception] = {name: Finished(pending, rode) for name, pending, rode in finished}
    lost = LostLease("the conversation was taken over")
    return [found.get(ending.claim.conversation, lost) for ending in endings]


async def _with_timers(
    session: Session, work: Callable[[Session], Awaitable[list[Any]]], endings: Sequence[Ending]
) -> list[Any]:
    """Finish turns, and set and take away the timers of those that still were ours."""
    finished = await work(session)
    done = {row[0] for row in finished}
    ours = [ending.handled for ending in endings if ending.claim.conversation in done]
    timers = [timer for handled in ours for timer in handled.timers]
    cancelled = {name for handled in ours for name in handled.cancelled}
    await schedule.change(session, timers, cancelled)
    return finished


def _turns(endings: Sequence[Ending]) -> dict[str, list[Any]]:
    rows = [
        (
            ending.claim.conversation,
            ending.claim.fence,
            ending.handled.id,
            encode(ending.handled.state),
            ending.handled.handler,
            ending.handled.routed_at,
            ending.handled.responded_at,
        )
        for ending in endings
    ]
    names = ("conversations", "fences", "events", "states", "handlers", "routed", "responded")
    return dict(zip(names, columns(rows, len(names)), strict=True))


def _said(endings: Sequence[Ending], riders: Mapping[str, Outgoing]) -> dict[str, list[Any]]:
    rows = [
        (
            outgoing.key,
            ending.handled.id,
            outgoing.address.account,
            ending.claim.conversation,
            encode(outgoing.action),
            encode(outgoing.address),
            outgoing.cls,
            outgoing.hold,
            outgoing.window,
            outgoing.sure_for,
            outgoing.fresh_for,
            ending.handled.received_at,
            riders.get(ending.claim.conversation) is outgoing,
        )
        for ending in endings
        for outgoing in ending.handled.outgoing
    ]
    names = (
        "keys inboxes accounts lanes actions addresses classes holds windows sure_for fresh_for received rides".split()  # noqa: SIM905 - one line reads better
    )
    return dict(zip(names, columns(rows, len(names)), strict=True))


def _remembered(endings: Sequence[Ending]) -> dict[str, list[Any]]:
    rows = [
        (ending.claim.conversation, short(memory.person), short(memory.key), encode(memory.value))
        for ending in endings
        for memory in ending.handled.memories
    ]
    return dict(zip(("memory_of", "people", "memory_keys", "memories"), columns(rows, 4), strict=True))


async def committed(pool: Pool, endings: Sequence[Ending]) -> set[str]:
    """Look which of these turns are finished by us: an answer was lost on the way."""
    events = [ending.handled.id for ending in endings]
    fences = [ending.claim.fence for ending in endings]
    return {row[0] for row in await pool.rows("committed", events=events, fences=fences)}


async def retry(pool: Pool, claimed: Claim, after: float, reason: str) -> bool:
    """Note an error; at the last one the event is parked, and True is returned."""

    async def work(session: Session) -> bool:
        errors = await session.one(
            "note_error",
            conversation=claimed.conversation,
            fence=claimed.fence,
            after=after,
            reason=plain(reason),
        )
        if errors is None:
            raise LostLease(f"{claimed.conversation} was taken over")
        if errors < ERRORS:
            return False
        await park_head(session, claimed.conversation, claimed.events[0].id, f"failed {ERRORS} times: {reason}")
        return True

    return await pool.transact(work)
