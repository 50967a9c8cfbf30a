"""The shared server, which may be away: connections with short deadlines, and a pause after failures in a row.

It speaks Redis' protocol (RESP2), and no more of it than its users ask for. Whatever is wrong with the server ends as
`Away` here, and as a miss one level higher: the cause is logged once, when it begins.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, TypeVar

from redis.asyncio import ConnectionPool
from redis.exceptions import NoScriptError, RedisError, ResponseError

from dragoman import telemetry
from dragoman.errors import ConfigError

T = TypeVar("T")
Command = tuple[str | bytes | int | float, ...]

CONNECT: Final = 0.2
"""Seconds for a new connection, with its login."""
ANSWER: Final = 0.05
"""Seconds for the answers to what is asked at once; later they count as none."""
PATIENCE: Final = 3
"""Failures in a row after which the server is left alone."""
PAUSE: Final = (1.0, 5.0)
"""Seconds for which it is then left alone: between these, so that not all replicas come back together."""
LINES: Final = 16
"""Connections that are used at the same time, at most; further callers wait within their deadline."""

BROKEN: Final = (
    RedisError,
    OSError,
    EOFError,
    TimeoutError,
    # What the driver's parser raises on bytes that are no protocol:
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    OverflowError,
    RecursionError,
    MemoryError,
)
"""All that a broken server, or a broken network, makes the driver raise."""

log = telemetry.logger("cache.server")


class Away(Exception):
    """The server gave no answer in time, or is being left alone."""


class Wrong(Exception):
    """The answer is not what we have stored: foreign, of another type, cut, or spoilt on the way."""


class Line:
    """One connection: commands out, answers in."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._writer: Any = None
        """Kept, as the driver forgets it when it closes."""

    async def connect(self) -> None:
        """Connect and log in, unless the connection is there and has nothing unread on it."""
        if self._connection.is_connected:
            if not self.ended and not await self._connection.can_read():
                return
            await self.drop()  # ended, or out of step: there are answers to what nobody asked
        await self._connection.connect()
        self._writer = self._connection._writer  # noqa: SLF001 - the driver offers no abort

    @property
    def ended(self) -> bool:
        """Tell whether the other side has ended the connection, in whichever way."""
        return self._writer is None or self._writer.transport.is_closing()

    async def say(self, *commands: Command) -> None:
        """Send commands, all at once."""
        await self._connection.send_packed_command(self._connection.pack_commands(commands), check_health=False)

    async def hear(self, seconds: float | None = None) -> Any:
        """Read one answer; None after so many seconds without one."""
        return await self._connection.read_response(timeout=seconds)

    async def drop(self) -> None:
        """End the connection now. What a server that reads no more has not taken is thrown away, not kept for it."""
        writer = self._writer or self._connection._writer  # noqa: SLF001 - the driver offers no abort
        self._writer = None
        if writer is not None:
            writer.transport.abort()
        with contextlib.suppress(*BROKEN):
            await self._connection.disconnect(nowait=True)


class Server:
    """A server that speaks Redis' protocol."""

    def __init__(self, url: str, *, connect: float = CONNECT, answer: float = ANSWER) -> None:
        """Name the server; nothing is connected yet. Raises `ConfigError` when the URL is none."""
        try:
            self._make = _maker(url, connect)
            self._idle = [Line(self._make())]  # an option that there is not shows here
        except (ValueError, TypeError, RedisError) as error:
            kinds = "redis://, rediss:// or unix://"
            raise ConfigError("configuration", "cache.url", "this is no address of a server", kinds) from error
        self._connect = connect
        self._answer = answer
        self._free = asyncio.Semaphore(LINES)
        self._failures = 0
        self._until = 0.0
        self._closed = False
        self.trouble = ""
        """Why the server is being left alone; empty while all is well."""

    async def close(self) -> None:
        """End the connections."""
        self._closed = True
        while self._idle:
            await self._idle.pop().drop()

    async def ask(self, read: Callable[[Sequence[Any]], T], *commands: Command) -> T:
        """Send commands at once and return what `read` makes of their answers.

        Raises `Away`, or the `Wrong` that `read` raises: the connection is then ended, as it may be out of step.
        """
        async with self._turn():
            try:
                answers, line = await self._exchange(commands)
            except BROKEN as error:
                self._failed(error)
                raise Away from error
        self._succeeded()
        try:
            result = read(answers)
        except Wrong:
            await line.drop()
            raise
        if self._closed:
            await line.drop()
        else:
            self._idle.append(line)
        return result

    @contextlib.asynccontextmanager
    async def line(self) -> AsyncIterator[Line]:
        """Lend a connection of the caller's own; what is wrong with it is the caller's to catch (`BROKEN`)."""
        line = Line(self._make())
        try:
            async with asyncio.timeout(self._connect):
                await line.connect()
            yield line
        finally:
            await line.drop()

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait until one more may ask. Raises `Away` when that takes too long, which is no failure of the server."""
        self._admit()
        try:
            async with asyncio.timeout(self._connect + self._answer):
                await self._free.acquire()
        except TimeoutError as error:
            raise Away from error
        try:
            self._admit()
            if self._failures >= PATIENCE:  # this caller tries the server, and the others leave it alone meanwhile
                self._until = time.monotonic() + self._connect + self._answer
            yield
        finally:
            self._free.release()

    def _admit(self) -> None:
        """Raise `Away` while the server is left alone."""
        if self._closed or time.monotonic() < self._until:
            raise Away

    async def _exchange(self, commands: Sequence[Command]) -> tuple[list[Any], Line]:
        """Ask over a connection that nobody else uses meanwhile; it is ended unless all has been read."""
        line = self._idle.pop() if self._idle else Line(self._make())
        whole = False
        try:
            async with asyncio.timeout(self._connect):
                await line.connect()
            async with asyncio.timeout(self._answer):
                await line.say(*commands)
                answers = [await _answer(line) for _ in commands]
            whole = True
            return answers, line
        finally:
            if not whole:
                await line.drop()

    def _failed(self, error: BaseException) -> None:
        self._failures += 1
        if self._failures < PATIENCE:
            return
        self._until = time.monotonic() + random.uniform(*PAUSE)  # noqa: S311 - a pause, not a secret
        if not self.trouble:
            log.warning("cache.away", reason=type(error).__name__)
        self.trouble = type(error).__name__

    def _succeeded(self) -> None:
        if self.trouble:
            log.info("cache.back")
        self._failures, self._until, self.trouble = 0, 0.0, ""


def _maker(url: str, connect: float) -> Callable[[], Any]:
    """Return what makes connections to a URL; they are not connected yet."""
    # Deadlines of our own hold for reading: the driver's would cost a task for each answer.
    pool: ConnectionPool = ConnectionPool.from_url(url, protocol=2, socket_timeout=None, socket_connect_timeout=connect)
    return pool.make_connection


async def _answer(line: Line) -> Any:
    """Read one answer; errors that say something of our data are answers too."""
    try:
        return await line.hear()
    except NoScriptError as error:
        return error
    except ResponseError as error:
        if str(error).startswith("WRONGTYPE"):
            return error
        raise
