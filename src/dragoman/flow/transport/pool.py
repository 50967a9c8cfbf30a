"""Connections that are logged in, lent out one request at a time and kept for the next one a short while."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Final, Generic, Protocol, TypeVar

from dragoman.errors import NoAnswer
from dragoman.wire import Server

KEEP: Final = 30.0
"""Seconds that a connection is kept for the next request: a login is dear, and providers count them."""


class Connection(Protocol):
    """What a pool lends."""

    async def alive(self) -> bool:
        """Ask the server whether a kept connection still works."""

    def drop(self) -> None:
        """Close it at once, with a farewell if that costs no waiting; again is harmless."""

    async def ended(self) -> None:
        """Wait until nothing of it is left (after `drop`)."""


C = TypeVar("C", bound=Connection)
Dial = Callable[[str, Server, str], Awaitable[C]]
"""Opens a connection: account, server, secret."""


class Pool(Generic[C]):
    """At most `most` connections of an account; another secret or server never gets an older one's connection."""

    def __init__(self, dial: Dial[C], most: int) -> None:
        self._dial = dial
        self._most = most
        self._berths: dict[str, _Berth[C]] = {}

    @contextlib.asynccontextmanager
    async def lend(self, account: str, server: Server, secret: str) -> AsyncIterator[C]:
        """Lend a connection; it is kept when the block ends well, and closed when anything is raised."""
        berth = self._berths.setdefault(account, _Berth(self._most))
        async with berth.places:
            connection = await berth.find(server, secret) or await self._dial(account, server, secret)
            with berth.out(connection):
                yield connection
            berth.keep(connection, server, secret)

    async def close(self, account: str) -> None:
        """Close an account's connections, also those that are lent, and wait until they are."""
        berth = self._berths.pop(account, None)
        if berth is not None:
            await berth.close()

    async def close_all(self) -> None:
        """Close everything."""
        for account in list(self._berths):
            await self.close(account)


class _Berth(Generic[C]):
    """The connections of one account."""

    def __init__(self, most: int) -> None:
        self.places = asyncio.Semaphore(most)
        self._kept: dict[C, tuple[Server, str, asyncio.TimerHandle]] = {}
        self._lent: set[C] = set()
        self._closed = False

    @contextlib.contextmanager
    def out(self, connection: C) -> Iterator[None]:
        """Know a connection as lent while the block runs, and drop it when anything is raised."""
        if self._closed:
            connection.drop()
            raise NoAnswer("the account was closed", sent=False)
        self._lent.add(connection)
        with contextlib.ExitStack() as undo:
            undo.callback(connection.drop)
            try:
                yield
            finally:
                self._lent.discard(connection)
            undo.pop_all()

    async def find(self, server: Server, secret: str) -> C | None:
        """Take a kept connection that still works, the one used last first."""
        while self._kept:
            connection, (its_server, its_secret, timer) = self._kept.popitem()
            timer.cancel()
            with self.out(connection):
                if (its_server, its_secret) == (server, secret) and await connection.alive():
                    return connection
            connection.drop()
        return None

    def keep(self, connection: C, server: Server, secret: str) -> None:
        """Keep a connection for the next request."""
        if self._closed:
            connection.drop()
            return
        timer = asyncio.get_running_loop().call_later(KEEP, self._expire, connection)
        self._kept[connection] = (server, secret, timer)

    def _expire(self, connection: C) -> None:
        if self._kept.pop(connection, None):
            connection.drop()

    async def close(self) -> None:
        """Close all, also what is lent: whoever uses it gets no answer."""
        self._closed = True
        gone = [*self._kept, *self._lent]
        for _, _, timer in self._kept.values():
            timer.cancel()
        self._kept.clear()
        for connection in gone:
            connection.drop()
        await asyncio.gather(*(connection.ended() for connection in gone))
