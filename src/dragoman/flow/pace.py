"""Keeping to the platforms' rates: each send reserves its slot, so that nothing has to wait twice."""

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Final

from dragoman.adapter import Rate
from dragoman.model import Delivery

REMEMBERED: Final = 10_000
"""Chats whose pace is remembered; those idle longest are forgotten first."""
LATE: Final = 5.0
"""Seconds after its slot at which a delivery that was told to wait has lost it."""


class Pacer:
    """Reserves slots per chat and per account: in no window of a rate's length more than it allows."""

    def __init__(self) -> None:
        self._slots: OrderedDict[tuple[str, ...], deque[float]] = OrderedDict()
        self._reserved: OrderedDict[int, float] = OrderedDict()

    def reserve(self, delivery: Delivery, rates: Iterable[Rate], now: float) -> float:
        """Reserve a slot for a delivery and return the seconds until it; 0 when it may leave now.

        A delivery that was told to wait has its slot: when it comes back in time, it may leave.
        """
        slot = self._reserved.pop(delivery.id, None)
        if slot is not None and slot <= now <= slot + LATE:
            return 0.0
        counted = [(rate, self._taken(delivery, rate, now)) for rate in rates if rate.per != "method"]
        slot = max((self._free(rate, taken, now) for rate, taken in counted), default=now)
        for _, taken in counted:
            taken.append(slot)
        if slot > now:
            self._reserved[delivery.id] = slot
        self._forget()
        return slot - now

    def _taken(self, delivery: Delivery, rate: Rate, now: float) -> deque[float]:
        """Return the slots of a rate's window that are taken, oldest first."""
        address = delivery.address
        place = (address.workspace, address.channel) if rate.per == "chat" else ()
        key = (address.account, *place, f"{rate.count} in {rate.seconds}")
        taken = self._slots.setdefault(key, deque())
        self._slots.move_to_end(key)
        while taken and taken[0] <= now - rate.seconds:
            taken.popleft()
        return taken

    @staticmethod
    def _free(rate: Rate, taken: deque[float], now: float) -> float:
        """Return the first moment at which one more fits."""
        return max(now, taken[-rate.count] + rate.seconds) if len(taken) >= rate.count else now

    def _forget(self) -> None:
        for remembered in (self._slots, self._reserved):
            while len(remembered) > REMEMBERED:
                remembered.popitem(last=False)
