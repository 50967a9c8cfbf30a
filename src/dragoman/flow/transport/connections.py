"""The connections to all servers: each is lent for one request at a time, and kept a short while for the next.

At most `LIMIT` requests are under way; who comes then waits, and that counts as connecting. The connection that was
used last is used first. `KEEP_ALIVE` seconds after its last answer it is used no more, and soon closed.
"""

import asyncio
import collections
import functools
import socket
import ssl
import weakref
from typing import Final

import aiohappyeyeballs

from dragoman.errors import NoAnswer
from dragoman.flow.alarm import Alarm
from dragoman.flow.transport.connection import LARGEST_ANSWER, Connection, Dropped
from dragoman.flow.transport.plain import REPEATABLE, Origin, Plain, unpacked
from dragoman.wire import Response

CONNECT: Final = 5.0
"""Seconds for the name look-up and the connection: nothing has been sent until then."""
KEEP_ALIVE: Final = 4.0
"""Seconds that an idle connection is kept: shorter than servers do, so that none closes as we send."""
LIMIT: Final = 256
SECOND_ADDRESS: Final = 0.25
"""Seconds after which the next address of a server is tried beside the first (RFC 8305)."""


class Places:
    """So many places: who comes gets one at once where one is free, else waits for its turn.

    This is a semaphore in which a place that is free costs next to nothing.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: collections.deque[asyncio.Future[None]] = collections.deque()
        """Who waits, in order, and who has given up: a place is handed over, and free only where nobody waits."""

    def take(self) -> bool:
        """Take a place that is free; tells whether one was."""
        if not self._free:
            return False
        self._free -= 1
        return True

    async def wait(self) -> None:
        """Wait for a place, and take it."""
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():  # it was handed over in the very moment
                self.leave()
            raise

    def leave(self) -> None:
        """Give a place back."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.cancelled():
                place.set_result(None)
                return
        self._free += 1


class Connections:
    """Asks by connections of its own."""

    def __init__(self) -> None:
        self._places = Places(LIMIT)
        self._idle: dict[Origin, list[Connection]] = {}
        """Those that were used last stand last."""
        self._open: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._sweeping: asyncio.TimerHandle | None = None
        self._trusted: ssl.SSLContext | None = None
        self._alarm: Alarm | None = None
        self._closed = False

    async def close(self) -> None:
        """Close all, also those that are lent: whoever waits there gets no answer."""
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        ending = list(self._open)
        for connection in ending:
            connection.abort()
        if ending:
            await asyncio.wait([connection.lost for connection in ending])

    async def ask(self, plain: Plain, seconds: float, *, again: bool = True) -> Response:
        """Make a request, once more if its method allows; raises `NoAnswer`, saying whether it may have arrived."""
        if self._alarm is None:
            self._alarm = Alarm(asyncio.get_running_loop())
        loop = self._alarm.loop
        began = now = loop.time()
        if not self._places.take():
            await self._place(began + _to_connect(seconds))
            now = loop.time()
        try:
            connection = self._kept(plain.origin, now) or await self._connected(
                plain.origin, began + _to_connect(seconds), self._alarm
            )
            try:
                answer = await connection.ask(plain.content, began + seconds, bodiless=plain.method == "HEAD")
            except asyncio.CancelledError:
                connection.abort()
                raise
            self._keep(plain.origin, connection, loop)
        except Dropped:
            if not again or plain.method not in REPEATABLE:
                raise
        else:
            return unpacked(answer, LARGEST_ANSWER) if "content-encoding" in answer.headers else answer
        finally:
            self._places.leave()
        try:
            return await self.ask(plain, began + seconds - loop.time(), again=False)
        except NoAnswer as silence:  # whatever came of the second, the first may have arrived
            raise NoAnswer(silence.reason, sent=True) from silence

    async def _place(self, until: float) -> None:
        """Wait for one of the places; raises `NoAnswer`."""
        try:
            async with asyncio.timeout_at(until):
                await self._places.wait()
        except TimeoutError as error:
            raise NoAnswer("cannot connect: too many requests are under way", sent=False) from error

    def _kept(self, origin: Origin, now: float) -> Connection | None:
        """Take the connection that was used last, unless it has been idle for too long."""
        idle = self._idle.get(origin)
        oldest = now - KEEP_ALIVE
        while idle:
            connection = idle.pop()
            if connection.since >= oldest and connection.ready():
                return connection
            connection.abort()
        return None

    def _keep(self, origin: Origin, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        """Keep a connection that can be used again, and see to its end."""
        if not connection.ready():
            return
        connection.since = loop.time()
        self._idle.setdefault(origin, []).append(connection)
        if self._sweeping is None:
            self._sweeping = loop.call_later(KEEP_ALIVE, self._sweep)

    def _sweep(self) -> None:
        """Close what has been idle for too long, and look again as long as there is something to look at."""
        loop = asyncio.get_running_loop()
        oldest = loop.time() - KEEP_ALIVE
        for origin, idle in list(self._idle.items()):
            while idle and idle[0].since <= oldest:
                idle.pop(0).abort()
            if not idle:
                del self._idle[origin]
        self._sweeping = loop.call_later(KEEP_ALIVE / 4, self._sweep) if self._idle else None

    async def _connected(self, origin: Origin, until: float, alarm: Alarm) -> Connection:
        """Connect; raises `NoAnswer`, and nothing was sent."""
        try:
            async with asyncio.timeout_at(until):
                connection = await self._connect(origin, alarm)
        except (OSError, RuntimeError, UnicodeError) as error:  # no name, no route, TLS, too late; uvloop: the second
            raise NoAnswer(f"cannot connect: {type(error).__name__}", sent=False) from error
        self._open.add(connection)
        if self._closed or not connection.ready():
            connection.abort()
            raise NoAnswer("cannot connect: it was closed at once", sent=False)
        return connection

    async def _connect(self, origin: Origin, alarm: Alarm) -> Connection:
        loop = alarm.loop
        trusted = await self._trust() if origin.tls else None
        found = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        line = await aiohappyeyeballs.start_connection(found, happy_eyeballs_delay=SECOND_ADDRESS)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _, connection = await loop.create_connection(
            functools.partial(Connection, alarm),
            sock=line,
            ssl=trusted,
            server_hostname=origin.host.rstrip(".") if trusted else None,
        )
        return connection

    async def _trust(self) -> ssl.SSLContext:
        """Return whom we trust, read once: files are read for it."""
        if self._trusted is None:
            self._trusted = await asyncio.to_thread(_trusted)
        return self._trusted


def _to_connect(seconds: float) -> float:
    """Return the part of a request's time in which it has to be connected."""
    return min(CONNECT, seconds * 0.7)


def _trusted() -> ssl.SSLContext:
    """Trust whom the system trusts, or `SSL_CERT_FILE` names."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
