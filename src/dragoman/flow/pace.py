"""Keeping to the platforms' rates: each send reserves its slot, so that nothing has to wait twice."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from dragoman.adapter import Rate
from dragoman.model import Delivery

REMEMBERED: Final = 10_000
"""Chats whose pace is remembered; those idle longest are forgotten first."""


class Pacer:
    """Reserves slots per chat and per account (the generic cell rate algorithm)."""

    def __init__(self) -> None:
        self._free_at: OrderedDict[tuple[str, ...], float] = OrderedDict()
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
        key: tuple[str, ...] = (delivery.address.account,)
        if rate.per == "chat":
            key = (delivery.address.account, delivery.address.workspace, delivery.address.channel)
        interval = rate.seconds / rate.count
        free_at = max(self._free_at.get(key, 0.0), now)
        self._free_at[key] = free_at + interval
        self._free_at.move_to_end(key)
        if len(self._free_at) > REMEMBERED:
            self._free_at.popitem(last=False)
        return max(0.0, free_at + interval - rate.seconds - now)
