"""What this process sends: taken by a look, or come with a commit as ordered; what an answer lost is found again."""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Sequence

from dragoman.errors import StoreAway
from dragoman.model import Delivery
from dragoman.store.base import SEND_LEASE
from dragoman.store.postgres import inbox, outbox
from dragoman.store.postgres.order import Order
from dragoman.store.postgres.pool import Pool
from dragoman.store.stored import rode


def _now() -> float:
    return asyncio.get_running_loop().time()


class Sends:
    """The deliveries that are marked as ours, and how more of them come."""

    def __init__(self, pool: Pool, clock: Callable[[], float], owner: str, stir: asyncio.Event) -> None:
        """`stir` wakes who waits for deliveries, whether they came already or are to be looked for (`due`)."""
        self._pool = pool
        self._clock = clock
        self._owner = owner
        self._stir = stir
        self.due = True
        """True when there may be something to be found."""
        self._looked = 0.0
        self._ours: dict[int, int] = {}
        self._lost = False
        self._taking = asyncio.Lock()
        self._order = Order()

    async def take(self, limit: int, busy: Collection[str], wait: float) -> list[Delivery]:
        """Take up to `limit` deliveries; with `wait`, sleep up to so many seconds until there are some."""
        if not wait:
            came = self._order.fetch(limit)
            return came + (await self._look(limit - len(came), busy) if len(came) < limit else [])
        try:
            came = await self._ordered(limit, busy, wait)
        finally:
            self._order.end()  # who does not ask again wants no more: what is committed now is anybody's
        if not self.due and _now() < self._looked + wait:
            return came  # the asker may have more room now, and asks again
        free = limit - len(came) - self._order.riding
        return came + (await self._look(free, busy) if free > 0 else [])

    async def _ordered(self, limit: int, busy: Collection[str], wait: float) -> list[Delivery]:
        """Let an order stand until something came, or a look is worth it."""
        self._order.stand(limit, busy, _now() + 2 * wait)
        came = self._order.fetch(limit)
        if not came and not self._may_look(limit):
            await self._sleep(wait)
            came = self._order.fetch(limit)
        return came

    def _may_look(self, limit: int) -> bool:
        """Tell whether a look is worth it now; while a commit may still bring what was lost it would find nothing."""
        return self.due and limit > self._order.riding and not (self._lost and self._order.riding)

    async def _sleep(self, seconds: float) -> None:
        self._stir.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stir.wait()

    async def _look(self, limit: int, busy: Collection[str]) -> list[Delivery]:
        """Take what may leave, wherever it came from."""
        async with self._taking:
            if not await self._found():
                return []
            self.due, self._looked = False, _now()
            try:
                taken = await outbox.take(self._pool, limit, busy, self._owner, self._clock())
            except (StoreAway, asyncio.CancelledError):  # the asker may leave just then
                self._lost = self.due = True
                raise
            self._note(taken)
        self.due = self.due or bool(taken)
        return taken

    async def reply(self, event: int) -> list[Delivery]:
        """Take the replies to an event that are not sent yet."""
        async with self._taking:
            await self._found()
            try:
                taken = await outbox.reply(self._pool, event, self._owner, self._clock())
            except (StoreAway, asyncio.CancelledError):  # the caller may leave just then
                self._lost = True
                raise
            self._note(taken)
        return taken

    async def _found(self) -> bool:
        """Give back what is marked as ours and never reached us; False while a commit may still bring some of it."""
        if self._lost and self._order.riding:
            return False
        if self._lost:
            await outbox.give_back_orphans(self._pool, self._owner, self._ours)
            self._lost = False
        return True

    def doubt(self) -> None:
        """Note that a commit without an answer was done after all, perhaps, and marked what never reached us."""
        self._lost = True

    async def commit(self, endings: Sequence[inbox.Ending]) -> list[inbox.Finished | Exception]:
        """Commit turns; what is ordered and may leave at once comes with the answer."""
        now = self._clock()
        seats = {} if self._lost else self._order.seats(endings, _now())
        came: list[Delivery] = []
        try:
            results = await inbox.commit(self._pool, endings, seats, self._owner)
            came = [
                rode(seats[name := ending.claim.conversation], name, ending.handled, result.rode, now, now + SEND_LEASE)
                for ending, result in zip(endings, results, strict=True)
                if isinstance(result, inbox.Finished) and result.rode is not None
            ]
        except (StoreAway, asyncio.CancelledError):
            self._lost = self._lost or bool(seats)
            raise
        finally:
            self._order.leave(len(seats), came)
            if came or self._lost:
                self._stir.set()
        self._note(came)
        return results

    def _note(self, deliveries: Collection[Delivery]) -> None:
        self._ours |= {delivery.id: delivery.fence for delivery in deliveries}

    def end(self, delivery: Delivery) -> None:
        """Forget a send, unless we have taken it anew since; there is room for another."""
        if self._ours.get(delivery.id) == delivery.fence:
            del self._ours[delivery.id]
        self._stir.set()

    async def close(self) -> None:
        """Give back what came and was not fetched any more, and what may be marked as ours and never came."""
        self._order.end()
        with contextlib.suppress(StoreAway):
            if left := self._order.fetch(len(self._ours)):
                await outbox.hand_back(self._pool, left)
            await self._found()
