"""The line on PostgreSQL: any number of replicas, row locks, leases on the database's clock, group commit.

Where the promises are kept: an event is stored once and in order in `inbox.accept`; one turn at a time by lease and
fence in `inbox.claim` and `inbox.commit`; a conversation's replies leave one after the other by its lane in
`outbox.take` and `outbox.settle`; what an answer lost on the way leaves in doubt is resolved by looking, here.
"""

import asyncio
import contextlib
import os
import random
import secrets
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, Self

from dragoman.adapter import Receipt
from dragoman.errors import LostLease, StoreAway, StoreError
from dragoman.model import Delivery
from dragoman.store.base import (
    MOST_PENDING,
    Accepted,
    Alive,
    Claim,
    Decision,
    Handled,
    Once,
    Parked,
    Settled,
    Surplus,
    Times,
    Wake,
)
from dragoman.store.postgres import inbox, opening, outbox, restored, upkeep
from dragoman.store.postgres.bell import Bell, Hint, Light
from dragoman.store.postgres.broadcasts import PostgresBroadcasts
from dragoman.store.postgres.ends import Ends
from dragoman.store.postgres.group import Group
from dragoman.store.postgres.people import PostgresPeople
from dragoman.store.postgres.pool import Pool
from dragoman.store.postgres.reader import PostgresReader
from dragoman.store.postgres.sends import Sends
from dragoman.store.postgres.timers import PostgresTimers

RESOLVE: Final = 20.0
"""Seconds that an unanswered commit is resolved for: less than its claim's lease."""
STOP: Final = 5.0
"""Seconds that what is under way gets when the store is closed."""
COUNT: Final = 1.0
"""Seconds between two counts of what waits."""


def _names(endings: Sequence[inbox.Ending]) -> list[str]:
    return [ending.claim.conversation for ending in endings]


class PostgresStore:
    """The store of many machines; `reader` answers questions beside the line."""

    def __init__(self, pool: Pool, clock: Callable[[], float], owner: str) -> None:
        self.reader = PostgresReader(pool)
        self.timers = PostgresTimers(pool, clock, lambda: self.most_pending, self._came)
        self.owner = owner
        self.most_waiting = 50_000
        self.most_pending = MOST_PENDING
        self._told: Callable[[str], None] = lambda _: None
        self._missed: Callable[[], None] = lambda: None
        self._pool = pool
        self._clock = clock
        self._bell: Bell | None = None
        self._hints: dict[Wake, asyncio.Event] = {"work": asyncio.Event(), "deliver": asyncio.Event()}
        self.broadcasts = PostgresBroadcasts(pool, lambda: self._wake("deliver"))
        self._ends = Ends(pool)
        self.people = PostgresPeople(pool, self._ends.over)
        self._claims: dict[str, int] = {}
        self._served: set[Wake] = set()
        """What this process does itself; others are told of it with less haste."""
        self._suspect = ("", 0.0)
        self._until = 0.0
        self._waiting = 0
        self._counted = -COUNT
        self._counting: asyncio.Task[None] | None = None
        self._lost_claims = False
        self._sends = Sends(pool, clock, owner, self._hints["deliver"])
        self._accepting = Group(self._accept)
        self._committing = Group(self._commit_each)
        self._settling = Group(self._settle)
        self._reserving = Group(self._reserve)

    @classmethod
    async def open(
        cls,
        url: str,
        clock: Callable[[], float],
        *,
        connections: int = 4,
        given: Callable[[], float] | None = None,
    ) -> Self:
        """Open the database and bring its schema up; `clock` is this process's steady clock, in epoch seconds.

        `given` replaces the database's clock (tests). Raises `StoreAway` or `StoreDamaged`.
        """
        owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        pool = await Pool.open(url, max(1, connections - 1), f"dragoman {owner}", given)
        store = cls(pool, clock, owner)
        try:
            await opening.migrate(pool)
            await store.timers.compare()
            store._until = await restored.until(pool)
        except StoreError:
            await pool.close()
            raise
        store._bell = Bell(pool, url, owner, store._hear, store._gap)
        return store

    async def close(self) -> None:
        """Finish what is queued and let the connections go."""
        groups: tuple[Group[Any, Any], ...] = (self._accepting, self._committing, self._settling, self._reserving)
        await asyncio.gather(*(group.close(STOP) for group in groups))
        await self._sends.close()
        if self._bell is not None:
            await self._bell.close()
        if self._counting is not None:
            self._counting.cancel()
        self._ends.close()
        with contextlib.suppress(StoreAway):
            await self._find_claims()
            await self._pool.rows("leave", name=self.owner)
        await self._pool.close()

    # Hints

    def _hear(self, hint: Hint) -> None:
        for wake in self._hints:
            if wake in hint.wakes:
                self._stir(wake)
        for number in hint.over:
            self._ends.over(number)
        for told in hint.told:
            self._told(told)

    def _gap(self) -> None:
        """Look at everything again: hints may have been missed."""
        for wake in self._hints:
            self._stir(wake)
        self._missed()

    def _stir(self, wake: Wake) -> None:
        """Let this process look."""
        self._sends.due = self._sends.due or wake == "deliver"
        self._hints[wake].set()

    def _wake(self, wake: Wake, *, others: bool = True) -> None:
        """Let this process look, and the others."""
        self._stir(wake)
        if others and self._bell is not None:
            self._bell.ring(wake, soon=wake not in self._served)

    def tell(self, text: str) -> None:
        """Tell all other replicas (up to some 5,000 bytes), without a promise that it reaches them."""
        if self._bell is not None:
            self._bell.ring(told=text)

    def listen(self, told: Callable[[str], None], missed: Callable[[], None]) -> None:
        """Hear what others tell; `missed` is called when something may not have been heard."""
        self._told, self._missed = told, missed

    def lighten(self, light: Light) -> None:
        """Let a shared cache carry the hints between replicas while it answers."""
        if self._bell is not None:
            self._bell.lighten(light)

    async def beat(self, roles: str) -> Alive:
        """Say that this replica lives; returns how many do."""
        await self._pool.rows("beat", name=self.owner, roles=roles)
        await self.timers.compare()
        living = await upkeep.roles(self._pool)
        engines = {name for name, each in living.items() if "engine" in each}
        if self._bell is not None:
            self._bell.know(others=len(living) - 1, engines=bool(engines - {self.owner}))
        return Alive(replicas=len(living), senders=len(engines))

    # The inbox

    async def accept(
        self,
        account: str,
        receipt: Receipt,
        times: Times,
        keep: Mapping[str, str] | None = None,
        surplus: Surplus = "park",
    ) -> tuple[Accepted, ...]:
        """Store a receipt's events once per key, with `keep` in the same transaction. The promise."""
        if not receipt.events and not keep:
            return ()
        accepted = await self._accepting.do(inbox.Arrival(account, receipt, times, keep or {}, surplus))
        new = [item for item, event in zip(accepted, receipt.events, strict=True) if event.wants_turn]
        self._came(sum(not item.duplicate and not item.surplus for item in new))
        return accepted

    def _came(self, events: int) -> None:
        """Note that events came that want a turn."""
        if events:
            self._waiting += events
            self._wake("work")

    async def _accept(self, arrivals: Sequence[inbox.Arrival]) -> Sequence[tuple[Accepted, ...]]:
        return await inbox.accept(self._pool, arrivals, self.most_pending)

    async def park(self, account: str, raw: bytes, reason: str) -> str:
        """Set an authentic payload that we do not understand aside; returns its id."""
        return await upkeep.park(self._pool, account, raw, reason)

    async def claim(self, limit: int, patience: float = 0.0) -> Sequence[Claim]:
        """Take up to `limit` conversations that have something to do; counts the attempt first."""
        claims = await self._claim(limit)
        if not claims and patience:
            await self._wait("work", patience)
        return claims

    async def _claim(self, limit: int) -> Sequence[Claim]:
        await self._find_claims()
        now = self._clock()
        try:
            claims = await inbox.claim(self._pool, limit, self.owner, self._until, suspects=self._suspect[1] <= now)
        except (StoreAway, asyncio.CancelledError):  # the asker may leave just then
            self._lost_claims = True
            raise
        if claims.suspect:
            self._suspect = (claims.suspect, now + inbox.LEASE)
        self._claims |= {claim.conversation: claim.fence for claim in claims.taken}
        for event in claims.parked:
            self._over(event)
        return claims.taken

    async def _find_claims(self) -> None:
        """After an answer was lost or not waited for: give back what was claimed for us, and nobody here works on."""
        if self._lost_claims:
            self._lost_claims = False  # first: one that is lost meanwhile is looked for the next time
            names, fences = list(self._claims), list(self._claims.values())
            try:
                await self._pool.rows("release_orphans", owner=self.owner, conversations=names, fences=fences)
            except (StoreAway, asyncio.CancelledError):
                self._lost_claims = True
                raise

    async def renew(self, claim: Claim) -> bool:
        """Prolong a claim; False when it is no longer ours."""
        mine = {"conversation": claim.conversation, "fence": claim.fence}
        now = self._clock()
        renewed = await self._pool.one("renew", **mine, lease=inbox.LEASE) is not None
        if not renewed:
            self._let_go(claim)
        elif self._suspect[0] == claim.conversation:
            self._suspect = (claim.conversation, now + inbox.LEASE)
        return renewed

    async def release(self, claim: Claim) -> None:
        """Give a claim back untouched, as if it had not been taken."""
        try:
            await self._pool.rows("release", conversation=claim.conversation, fence=claim.fence)
        except StoreAway:
            self._lost_claims = True
            raise
        finally:
            self._let_go(claim)
        self._wake("work")

    async def commit(self, claim: Claim, handled: Handled) -> None:
        """Store state, outbox, memories and timers together and finish the event; raises `LostLease`."""
        try:
            finished = await self._committing.do(inbox.Ending(claim, handled))
        except StoreError:
            self._let_go(claim)
            raise
        self._let_go(claim)
        if finished.pending:
            self._wake("work", others=False)
        self._over(handled.id, tell=claim.events[0].event.hold > 0)
        if handled.outgoing and finished.rode is None:
            self._wake("deliver")

    async def _commit_each(self, endings: Sequence[inbox.Ending]) -> Sequence[inbox.Finished | Exception]:
        """Commit turns together, of a conversation the one with the newest fence only: the others lost it."""
        newest: dict[str, inbox.Ending] = {}
        for ending in endings:
            rival = newest.setdefault(ending.claim.conversation, ending)
            if ending.claim.fence > rival.claim.fence:
                newest[ending.claim.conversation] = ending
        chosen = list(newest.values())
        results = dict(zip(_names(chosen), await self._commit(chosen), strict=True))
        return [
            results[ending.claim.conversation]
            if newest[ending.claim.conversation] is ending
            else LostLease(f"{ending.claim.conversation} was taken over")
            for ending in endings
        ]

    async def _commit(self, endings: Sequence[inbox.Ending]) -> Sequence[inbox.Finished | Exception]:
        """Commit turns; when no answer comes, look whether it happened, as long as the claims may hold."""
        deadline = self._clock() + RESOLVE
        try:
            return await self._sends.commit(endings)
        except StoreAway:
            pass
        left = list(endings)
        results: dict[str, inbox.Finished | Exception] = dict.fromkeys(_names(endings), inbox.Finished(1))
        while True:
            await asyncio.sleep(0.1 + random.random() * 0.4)  # noqa: S311 - a pause, not a secret
            try:
                left = await self._unfinished(left)
                if left:
                    results |= zip(_names(left), await inbox.commit(self._pool, left), strict=True)
                # the server may have ended our first try while the second one waited for it
                lost = _names(await self._unfinished(left))
                results |= {name: inbox.Finished(1) for name in _names(left) if name not in lost}
                self._sends.doubt()
                return [results[name] for name in _names(endings)]
            except StoreAway:
                if self._clock() > deadline:
                    raise

    async def _unfinished(self, endings: list[inbox.Ending]) -> list[inbox.Ending]:
        """Look which turns are not committed under their own fence."""
        finished = await inbox.committed(self._pool, endings)
        return [ending for ending in endings if ending.claim.conversation not in finished]

    async def retry(self, claim: Claim, after: float, reason: str) -> bool:
        """Note an error and try again later; parks the event at the fifth and returns True."""
        try:
            parked = await inbox.retry(self._pool, claim, after, reason)
        finally:
            self._let_go(claim)  # whatever came of it: nobody works on it any more
        if parked:
            self._over(claim.events[0].id, tell=claim.events[0].event.hold > 0)
        return parked

    def _let_go(self, claim: Claim) -> None:
        """Forget a claim, unless we have claimed its conversation anew since."""
        if self._claims.get(claim.conversation) != claim.fence:
            return
        del self._claims[claim.conversation]
        if self._suspect[0] == claim.conversation:
            self._suspect = ("", 0.0)
            self._wake("work", others=False)

    def _over(self, event: int, *, tell: bool = True) -> None:
        """Note that an event's turn is over, here and (for a request that is held elsewhere) at the others."""
        self._waiting = max(0, self._waiting - 1)
        self._ends.over(event)
        if tell and self._bell is not None:
            self._bell.ring(over=event)

    async def finished(self, event: int, seconds: float) -> bool:
        """Wait until an event's turn is over (done or parked); False when the time is up."""
        return await self._ends.wait(event, seconds)

    async def once(self, turn: str, name: str, arguments: str) -> Once:
        """Begin a journaled step of a turn."""
        return await upkeep.begin(self._pool, turn, name, arguments)

    async def done(self, turn: str, name: str, result: Any) -> None:
        """Journal the result of a step."""
        await upkeep.finish(self._pool, turn, name, result)

    # The outbox

    async def take(self, limit: int, busy: Collection[str] = (), patience: float = 0.0) -> Sequence[Delivery]:
        """Take up to `limit` deliveries, at most one per conversation and none of `busy` accounts, as being sent."""
        self._served.add("deliver")
        return await self._sends.take(limit, busy, patience)

    async def settle(self, delivery: Delivery, decision: Decision, pace: float = 0.0) -> bool:
        """Record what came of a delivery; the conversation's next one leaves after `pace` seconds.

        False when the delivery was taken up by another since.
        """
        ended = await self._settling.do(outbox.Settling(delivery, decision, pace))
        self._sends.end(delivery)
        if ended.more and isinstance(decision, Settled | Parked):
            self._wake("deliver", others=False)
        return ended.mine

    async def _settle(self, settlings: Sequence[outbox.Settling]) -> Sequence[outbox.Ended | Exception]:
        return await outbox.settle(self._pool, settlings)

    async def prolong(self, deliveries: Collection[int]) -> Collection[int]:
        """Say that these deliveries are still being sent; returns those that are still ours."""
        return await outbox.prolong(self._pool, deliveries, self.owner)

    async def reply(self, event: int) -> Sequence[Delivery]:
        """Take the replies to an event that are not sent yet, for the response of the request that waits for them."""
        return await self._sends.reply(event)

    async def replies(self, event: int) -> Sequence[Delivery] | None:
        """Read the replies to an event, which were sent or parked; None while one of them is not settled yet."""
        return await outbox.replies(self._pool, event, self._clock())

    async def hand_back(self, deliveries: Sequence[Delivery]) -> None:
        """Return taken deliveries whose sending did not begin, for the later path."""
        await outbox.hand_back(self._pool, deliveries)
        for delivery in deliveries:
            self._sends.end(delivery)

    async def sweep(self) -> int:
        """Take up what an interrupted sender left behind, whichever replica it was."""
        return await outbox.sweep(self._pool)

    # Beside the line

    async def lease(self, name: str, owner: str, seconds: float) -> int:
        """Take or prolong a named lease; returns its fence, 0 while another owner has it."""
        return await upkeep.lease(self._pool, name, owner, seconds)

    async def let_go(self, name: str, owner: str) -> None:
        """End a lease, if it is this owner's, so that the next one need not wait."""
        await self._pool.rows("drop_lease", name=name, owner=owner)

    async def reserve(self, name: str, count: int, seconds: float, later: float = 0.0) -> float:
        """Reserve the next free slot of a shared pace, not before `later` seconds; returns the seconds until it."""
        return await self._reserving.do(upkeep.Wanted(name, count, seconds, later))

    async def _reserve(self, wanted: Sequence[upkeep.Wanted]) -> Sequence[float | Exception]:
        return await upkeep.reserve(self._pool, wanted)

    async def recall(self, name: str) -> str:
        """Read a kept value; empty when there is none."""
        return await upkeep.recall(self._pool, name)

    async def keep(self, name: str, value: str) -> None:
        """Keep a value under a name."""
        await upkeep.keep(self._pool, name, value)

    async def memory(self, person: str, key: str) -> Any:
        """Read what is remembered of a person; None when nothing is."""
        return await upkeep.memory(self._pool, person, key)

    async def resume(self, account: str) -> None:
        """End an account's pause."""
        await self._pool.rows("resume", account=account)
        self._wake("deliver")

    async def redrive(self, parked: str) -> str:
        """Put something parked back to work; returns what it was, raises `LookupError`."""
        kind = await upkeep.redrive(self._pool, parked)
        self._waiting += kind == "event"
        for wake in self._hints:
            self._wake(wake)
        return kind

    async def prune(self, before: float, raw_before: float) -> int:
        """Delete settled rows and raw payloads older than these times, in small batches; returns how many."""
        deleted, after, more = 0, 0, True
        while more:
            after, batch = await upkeep.prune_events(self._pool, before, after)
            deleted, more = deleted + batch, after > 0
        more = True
        while more:
            rest = await upkeep.prune_rest(self._pool, before, raw_before)
            deleted, more = deleted + rest, rest >= upkeep.BATCH
        return deleted

    def wake(self, wake: Wake) -> None:
        """Say that there may be something to do here: who waits for it looks again."""
        self._wake(wake, others=False)

    async def _wait(self, wake: Wake, seconds: float) -> None:
        """Sleep until there may be something to do; a hint, polling is the truth."""
        hint = self._hints[wake]
        self._served.add(wake)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await hint.wait()
        hint.clear()

    def full(self) -> str:
        """Say why no more can be accepted now; empty when it can. What all replicas have is counted now and then."""
        if self._clock() - self._counted >= COUNT and (self._counting is None or self._counting.done()):
            self._counted = self._clock()
            self._counting = asyncio.get_running_loop().create_task(self._count())
        if self._waiting >= self.most_waiting:
            return f"{self._waiting} messages wait already"
        return ""

    def waiting(self) -> int:
        """Tell how many messages wait, as `full` counted them last."""
        return self._waiting

    async def _count(self) -> None:
        with contextlib.suppress(StoreAway):
            self._waiting = int(await self._pool.one("waiting_events"))
