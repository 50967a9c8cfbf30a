"""Keeping to the platforms' rates: each send reserves its slot, so that nothing has to wait twice.

A process that is alone keeps the pace in memory. Replicas share it: in the cache where there is one and it answers,
else in the store.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Any, Final, Protocol

from dragoman.adapter import Rate
from dragoman.model import Delivery
from dragoman.store.base import Shared

REMEMBERED: Final = 10_000
"""Chats whose pace is remembered; those idle longest are forgotten first."""
EARLY: Final = 0.1
"""Seconds before its slot at which a delivery may leave: two clocks are never quite the same."""
LATE: Final = 5.0
"""Seconds after its slot at which a delivery that was told to wait has lost it."""


Key = tuple[str | int | float, ...]


class Buckets(Protocol):
    """A shared cache keeps the pace of several replicas, as long as it answers."""

    async def reserve(self, key: str, count: int, seconds: float) -> float | None:
        """Reserve the next free slot; returns the seconds until it, None when the cache does not answer."""


class Pacer:
    """Reserves slots per chat and per account: in no window of a rate's length more than it allows."""

    def __init__(self, paces: Shared | None = None, buckets: Buckets | None = None) -> None:
        """`paces` and `buckets` are what replicas share; without them this process is the only one."""
        self._paces = paces
        self._buckets = buckets
        self._slots: OrderedDict[Key, deque[float]] = OrderedDict()
        self._reserved: OrderedDict[int, float] = OrderedDict()
        self.alone = paces is None
        """True while no other replica sends."""

    async def wait(self, delivery: Delivery, rates: Iterable[Rate], now: float) -> float:
        """Reserve a slot for a delivery, among all replicas, and return the seconds until it; 0: it may leave now."""
        if self._paces is None or self.alone:
            return self.reserve(delivery, rates, now)
        if delivery.slot and delivery.slot - EARLY <= now <= delivery.slot + LATE:
            return 0.0
        wait = 0.0
        counted = (rate for rate in rates if rate.per != "method")
        for rate in sorted(counted, key=lambda rate: rate.per):  # the account's slot, then the chat's
            wait = max(wait, await self._share(delivery, rate, self._paces, wait))
        return wait

    async def _share(self, delivery: Delivery, rate: Rate, paces: Shared, later: float) -> float:
        """Reserve a slot not before `later` seconds; the cache knows only "now"."""
        name = _name(delivery, rate)
        if self._buckets is not None and not later:
            wait = await self._buckets.reserve(name, rate.count, rate.seconds)
            if wait is not None:
                return wait
        return await paces.reserve(name, rate.count, rate.seconds, later)

    def reserve(self, delivery: Delivery, rates: Iterable[Rate], now: float) -> float:
        """Reserve a slot for a delivery and return the seconds until it; 0 when it may leave now.

        A delivery that was told to wait has its slot: when it comes back in time, it may leave.
        """
        slot = self._reserved.pop(delivery.id, None)
        if slot is not None and slot <= now <= slot + LATE:
            return 0.0
        slot, windows = now, []
        for rate in rates:
            if rate.per != "method":
                taken = self._taken(delivery, rate, now)
                windows.append(taken)
                if len(taken) >= rate.count:  # the first moment at which one more fits
                    slot = max(slot, taken[-rate.count] + rate.seconds)
        for taken in windows:
            taken.append(slot)
        if slot > now:
            self._reserved[delivery.id] = slot
            _forget(self._reserved)
        return slot - now

    def _taken(self, delivery: Delivery, rate: Rate, now: float) -> deque[float]:
        """Return the slots of a rate's window that are taken, oldest first."""
        key = _key(delivery, rate)
        taken = self._slots.get(key)
        if taken is None:
            taken = self._slots[key] = deque()
            _forget(self._slots)
        else:
            self._slots.move_to_end(key)
        while taken and taken[0] <= now - rate.seconds:
            taken.popleft()
        return taken


def _forget(remembered: OrderedDict[Any, Any]) -> None:
    """Forget what was idle longest, where more is remembered than should be."""
    if len(remembered) > REMEMBERED:
        remembered.popitem(last=False)


def _key(delivery: Delivery, rate: Rate) -> Key:
    """Name what a rate counts for a delivery."""
    address = delivery.address
    if rate.per == "chat":
        return (address.account, address.workspace, address.channel, rate.count, rate.seconds)
    return (address.account, rate.count, rate.seconds)


def _name(delivery: Delivery, rate: Rate) -> str:
    """Write the same for all replicas."""
    *place, count, seconds = _key(delivery, rate)
    return "/".join([*map(str, place), f"{count} in {seconds}"])
