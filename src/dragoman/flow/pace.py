"""Keeping to the platforms' rates: each send reserves its slot, so that nothing has to wait twice."""

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Final

from dragoman.adapter import Rate
from dragoman.model import Delivery

REMEMBERED: Final = 10_000
"""Chats whose pace is remembered; those idle longest are forgotten first."""


class Pacer:
    """Reserves slots per chat and per account: in no window of a rate's length more than it allows."""

    def __init__(self) -> None:
        self._slots: OrderedDict[tuple[str, ...], deque[float]] = OrderedDict()
        self._reserved: set[int] = set()

    def reserve(self, delivery: Delivery, rates: Iterable[Rate], now: float) -> float:
        """Reserve a slot for a delivery and return the seconds until it; 0 when it may leave now.

        A delivery that was told to wait has its slot: when it comes back, it may leave.
        """
        if delivery.id in self._reserved:
            self._reserved.discard(delivery.id)
            return 0.0
        waits = [self._slot(delivery, rate, now) for rate in rates if rate.per != "method"]
        wait = max(waits, default=0.0)
        if wait > 0:
            self._reserved.add(delivery.id)
        return wait

    def _slot(self, delivery: Delivery, rate: Rate, now: float) -> float:
        address = delivery.address
        place = (address.workspace, address.channel) if rate.per == "chat" else ()
        key = (address.account, *place, f"{rate.count} in {rate.seconds}")
        slots = self._slots.setdefault(key, deque())
        self._slots.move_to_end(key)
        while slots and slots[0] <= now - rate.seconds:
            slots.popleft()
        slot = max(now, slots[-rate.count] + rate.seconds) if len(slots) >= rate.count else now
        slots.append(slot)
        if len(self._slots) > REMEMBERED:
            self._slots.popitem(last=False)
        return slot - now
