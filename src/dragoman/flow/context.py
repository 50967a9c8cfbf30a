"""What every loop of the line is handed: the store, the client, the accounts, the clock and the limits."""

import asyncio
import dataclasses
from collections.abc import Callable

import msgspec

from dragoman.archive.backup.keep import Keeper
from dragoman.archive.erasure import Archive
from dragoman.engine.plugin import Loaded
from dragoman.flow.account import Accounts
from dragoman.flow.client import Client
from dragoman.flow.install import Installer
from dragoman.flow.media import MediaStore
from dragoman.flow.pace import Pacer
from dragoman.flow.pressure import Senders
from dragoman.flow.skew import SkewWatch
from dragoman.flow.task import Book
from dragoman.flow.traces import Tracer
from dragoman.store.base import Reader, Store


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How much at a time, and how long."""

    turns: int = 64
    turn_seconds: float = 120.0
    sends: int = 128
    crowded: int = 10_000
    """Messages that may wait before intake sheds."""


class Sending(msgspec.Struct, kw_only=True):
    """A delivery that is under way in this process."""

    account: str
    until: float
    """When its lease ends, on the steady clock."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """The house that the loops live in.

    `clock` gives epoch seconds that never jump, as the store's does: a wall clock that is set changes nothing here.
    `sending` holds the deliveries that are under way in this process.
    """

    store: Store
    reader: Reader
    client: Client
    accounts: Accounts
    installer: Installer
    clock: Callable[[], float]
    stopping: asyncio.Event
    limits: Limits = Limits()
    sending: dict[int, Sending] = dataclasses.field(default_factory=dict)
    replica: str = "here"
    """This process's name among the replicas; no other process ever has the same."""
    pacer: Pacer = dataclasses.field(default_factory=Pacer)
    senders: Senders = dataclasses.field(default_factory=Senders)
    skew: SkewWatch = dataclasses.field(default_factory=SkewWatch)
    plugins: tuple[Loaded, ...] = ()
    """All plugins that are loaded, in whichever order an account has them."""
    keeper: Keeper | None = None
    """What keeps the copies of the store, where it is kept from here."""
    book: Book = dataclasses.field(default_factory=Book)
    """The tasks that the configuration has."""
    tracer: Tracer | None = None
    """Who is told of each stage, where traces are wanted."""
    archive: Archive = dataclasses.field(default_factory=Archive)
    media: MediaStore | None = None
    """The files of this machine."""


async def freed(running: set[asyncio.Task[None]], stopping: asyncio.Event) -> None:
    """Wait until one of the running tasks has ended, or the service is to stop."""
    stop = asyncio.ensure_future(stopping.wait())
    await asyncio.wait({*running, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
