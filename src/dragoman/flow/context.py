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
    """The house that the loops live in. `clock` gives wall time in epoch seconds."""

    store: Store
    reader: Reader
    client: Client
    accounts: Accounts
    clock: Callable[[], float]
    stopping: asyncio.Event
    limits: Limits = Limits()
