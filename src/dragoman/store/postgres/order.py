"""A standing order: what its asker would take as soon as it is there rides with the very commit that makes it.

A commit of this process marks the first delivery of an empty lane as being sent here, with all that `outbox.take` asks:
not a withheld one, none of a paused or a busy account, and no more than were ordered.
"""

from collections.abc import Collection, Sequence

from dragoman.model import Delivery
from dragoman.store.base import Outgoing
from dragoman.store.postgres.inbox import Ending


class Order:
    """How many deliveries may come by themselves, and those that came and were not fetched yet."""

    def __init__(self) -> None:
        self._left = 0
        self._busy: Collection[str] = ()
        self._until = 0.0
        self._came: list[Delivery] = []
        self.riding = 0
        """Deliveries that are on the way with a commit, perhaps."""

    def stand(self, limit: int, busy: Collection[str], until: float) -> None:
        """Order up to `limit` deliveries, those among them that are on the way already."""
        self._left = max(0, limit - self.riding - len(self._came))
        self._busy, self._until = busy, until

    def end(self) -> None:
        """Order no more."""
        self._left, self._until = 0, 0.0

    def fetch(self, limit: int) -> list[Delivery]:
        """Hand out what came."""
        came, self._came = self._came[:limit], self._came[limit:]
        return came

    def seats(self, endings: Sequence[Ending], now: float) -> dict[str, Outgoing]:
        """Choose the replies that may ride with these turns' commit, by conversation; `leave` says that it is over."""
        seats: dict[str, Outgoing] = {}
        for ending in endings if now < self._until else ():
            first = next(iter(ending.handled.outgoing), None)
            if len(seats) == self._left:
                break
            if first is not None and not first.hold and first.address.account not in self._busy:
                seats[ending.claim.conversation] = first
        self._left -= len(seats)
        self.riding += len(seats)
        return seats

    def leave(self, seats: int, came: Sequence[Delivery]) -> None:
        """Note what came of so many seats: those that stayed empty may be taken again."""
        self.riding -= seats
        self._left += seats - len(came)
        self._came += came
