"""Drives an adapter's exchange without a network: every request gets the same answer."""

import dataclasses
from collections.abc import Generator
from typing import Final, Generic, TypeVar

from dragoman.wire import Exchange, Expired, Request, Response

T = TypeVar("T")

MOST: Final = 5
"""Requests that one exchange may make for one action, unless more are allowed for."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Driven(Generic[T]):
    """What an exchange asked for, in order, and what it returned."""

    requests: tuple[Request, ...]
    result: T


def steps(exchange: Exchange[T], answer: Response, most: int = MOST) -> Generator[Request, None, T]:
    """Yield what an exchange asks for, and return its result; a credential that is reported dead counts as renewed.

    Raises `RuntimeError` when it asks more than `most` times, and whatever the exchange raises.
    """
    try:
        request = next(exchange)
        for _ in range(most):
            yield request
            request = exchange.send(Response(status=204) if isinstance(request, Expired) else answer)
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise RuntimeError(f"the exchange asked more than {most} times")


def drive(exchange: Exchange[T], answer: Response, most: int = MOST) -> Driven[T]:
    """Run an exchange to its end; raises as `steps` does."""
    asked: list[Request] = []
    walk = steps(exchange, answer, most)
    try:
        while True:
            asked.append(next(walk))
    except StopIteration as stop:
        return Driven(requests=tuple(asked), result=stop.value)
