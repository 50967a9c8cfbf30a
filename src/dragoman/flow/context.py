"""What every loop of the line is handed: the store, the client, the accounts, the clock and the limits."""

import asyncio
import dataclasses
from collections.abc import Callable

from dragoman.flow.account import Accounts
from dragoman.flow.client import Client
from dragoman.store.base import Reader, Store


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """How much at a time, and how long."""

    turns: int = 64
    turn_seconds: float = 120.0
    sends: int = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class Context:
    """The house that the loops live in.

    `clock` gives epoch seconds that never jump, as the store's does: a wall clock that is set changes nothing here.
    `sending` holds the deliveries that are under way in this process, and their accounts.
    """

    store: Store
    reader: Reader
    client: Client
    accounts: Accounts
    clock: Callable[[], float]
    stopping: asyncio.Event
    limits: Limits = Limits()
    sending: dict[int, str] = dataclasses.field(default_factory=dict)


async def freed(running: set[asyncio.Task[None]], stopping: asyncio.Event) -> None:
    """Wait until one of the running tasks has ended, or the service is to stop."""
    stop = asyncio.ensure_future(stopping.wait())
    await asyncio.wait({*running, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
