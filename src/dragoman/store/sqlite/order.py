"""Orders: who looks for something to do is given it by the very change that makes it, in the same transaction.

A change that makes something ready asks its desk for a seat: with one it takes the thing at once, as the order's look
would have, and gives it; without one it says that it was missed, and then the orders look for themselves.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

import apsw

from dragoman.store.base import Wake

R = TypeVar("R")

WORK: Final[tuple[Wake, ...]] = ("work",)
DELIVER: Final[tuple[Wake, ...]] = ("deliver",)
BOTH: Final = WORK + DELIVER
"""What a change may make ready."""


class Order(Generic[R]):
    """What one asker wants: so many things, and none that `refuses` says."""

    def __init__(
        self,
        wake: Wake,
        limit: int,
        look: Callable[[apsw.Connection, int, Sequence[Any]], R],
        refuses: Callable[[Any], bool] = lambda _: False,
    ) -> None:
        """`look` takes up to so many things, beside those that were given, and returns them all."""
        self.wake = wake
        self.refuses = refuses
        self.given: list[Any] = []
        self.missed = False
        """True when there may be something that was not given."""
        self._limit = limit
        self._look = look

    def open(self, *, missed: bool) -> None:
        """Begin a transaction: what an earlier one gave was undone with it."""
        self.given, self.missed = [], missed

    def full(self) -> bool:
        """Tell whether it has all that it wants."""
        return len(self.given) >= self._limit

    def serve(self, connection: apsw.Connection) -> R:
        """Return what was given and, when something was missed, what is found besides."""
        return self._look(connection, self._limit - len(self.given) if self.missed else 0, self.given)


class Desk:
    """Where changes find the orders that their transaction serves."""

    def __init__(self) -> None:
        self.orders: list[Order[Any]] = []

    def seat(self, thing: Any) -> Order[Any] | None:
        """Return an order that would have this thing and has room for it."""
        for order in self.orders:
            if not order.full() and not order.refuses(thing):
                return order
        return None

    def miss(self) -> None:
        """Say that something is ready that was not given."""
        for order in self.orders:
            order.missed = True
