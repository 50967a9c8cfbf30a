"""The connections: bounded, with deadlines, and every failure told as what it means to the line.

A statement that got no answer may have happened: `StoreAway` says that nobody knows, and whoever asked looks
(`commit`, `settle`, `claim` and `take` do; `accept` is repeated by the platform, and idempotent).
"""

import asyncio
import contextlib
import functools
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, Self, TypeVar

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from dragoman import telemetry
from dragoman.errors import StoreAway, StoreError, StoreRefused, Unstorable
from dragoman.store.named import named

T = TypeVar("T")

CONNECT: Final = 3.0
"""Seconds for a new connection."""
STATEMENT: Final = 5.0
"""Seconds for one statement, on both sides of the connection."""
QUEUE: Final = 1.0
"""Seconds to wait for a free connection; after that the database counts as away."""
KEPT: Final = 1.0
"""Seconds for which connections go from hand to hand; then the pool has them back, and renews or closes them."""
COLLISIONS: Final = 5
"""Times that a transaction is tried again after a deadlock or a serialization failure."""

PARAMETER: Final = re.compile(r"""(?<![:"]):([a-z_]+)""")  # neither a cast nor the colon in a JSON text
STALE: Final = (
    asyncpg.ReadOnlySQLTransactionError,  # the server has become a standby: its successor is elsewhere
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.PostgresConnectionError,
)
"""Errors after which no connection of the pool is worth keeping."""

log = telemetry.logger("store")


@functools.cache
def statements() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Read the statements once: text with `$1` for the first name, and the names in order."""
    return {name: _positional(text) for name, text in named("dragoman.store.postgres").items()}


def _positional(text: str) -> tuple[str, tuple[str, ...]]:
    code = re.sub(r"^--.*\n?", "", text, flags=re.MULTILINE)
    names = tuple(dict.fromkeys(PARAMETER.findall(code)))
    return PARAMETER.sub(lambda match: f"${names.index(match[1]) + 1}", code), names


class Session:
    """A connection for a while: runs named statements."""

    def __init__(self, connection: Any, given: Callable[[], float] | None) -> None:
        self._connection = connection
        self._given = given

    async def rows(self, statement: str, **bindings: Any) -> list[Any]:
        """Run a named statement and return all rows."""
        text, names = statements()[statement]
        if "now" in names:
            bindings["now"] = self._given() if self._given else None
        found: list[Any] = await self._connection.fetch(text, *(bindings[name] for name in names))
        return found

    async def one(self, statement: str, **bindings: Any) -> Any:
        """Run a named statement and return its only row, its only value, or None."""
        found = await self.rows(statement, **bindings)
        if not found:
            return None
        return found[0][0] if len(found[0]) == 1 else tuple(found[0])

    async def ask(self, text: str, *values: Any) -> list[Any]:
        """Run a statement that stands beside its use, and return all rows."""
        found: list[Any] = await self._connection.fetch(text, *values)
        return found

    async def script(self, text: str) -> None:
        """Run several statements as they stand."""
        await self._connection.execute(text)


class Pool:
    """Runs statements and transactions on at most `size` connections.

    One that did its work well goes to who comes next: lending it anew costs the driver two tasks and two timeouts.
    """

    def __init__(self, pool: Any, given: Callable[[], float] | None) -> None:
        self._pool = pool
        self._given = given
        self._kept: list[Any] = []
        self._wanted = 0
        """How many wait for the driver's pool to have a connection back."""
        self._tidying: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(cls, url: str, size: int, name: str, given: Callable[[], float] | None) -> Self:
        """Open the pool; raises `StoreAway` when no connection can be made now, `StoreRefused` when never."""
        with told(), refused():
            pool = await asyncpg.create_pool(
                url,
                min_size=1,
                max_size=size,
                timeout=CONNECT,
                command_timeout=STATEMENT,
                max_inactive_connection_lifetime=60.0,
                init=_by_indexes,
                reset=_nothing,
                target_session_attrs=SessionAttribute.read_write,
                server_settings=session_settings(name),
            )
        return cls(pool, given)

    async def close(self) -> None:
        """Close all connections."""
        if self._tidying is not None:
            self._tidying.cancel()
        self._wanted += 1  # what is lent still goes back
        try:
            async with asyncio.timeout(STATEMENT):
                await self._give_back()
                await self._pool.close()
        except (TimeoutError, *AWAY):
            self._pool.terminate()

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Lend a connection; raises `StoreAway` for everything that keeps the database from answering."""
        connection = await self._lent()
        well = False
        try:
            yield Session(connection, self._given)
            well = True
        except AWAY as error:
            raise self._away(error) from error
        finally:
            if well and not self._wanted:
                self._keep(connection)
            else:
                await self._release(connection)

    async def _lent(self) -> Any:
        while self._kept:
            connection = self._kept.pop()
            if _lives(connection):
                return connection
            await self._release(connection)
        self._wanted += 1
        try:
            return await self._pool.acquire(timeout=QUEUE)
        except (TimeoutError, *AWAY) as error:
            raise self._away(error) from error
        finally:
            self._wanted -= 1

    def _keep(self, connection: Any) -> None:
        self._kept.append(connection)
        if self._tidying is None:
            self._tidying = asyncio.get_running_loop().call_later(KEPT, self._tidy)

    def _tidy(self) -> None:
        self._tidying = None
        task = asyncio.ensure_future(self._give_back())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _give_back(self) -> None:
        kept, self._kept = self._kept, []
        for connection in kept:
            await self._release(connection)

    async def _release(self, connection: Any) -> None:
        with contextlib.suppress(TimeoutError, *AWAY):
            await self._pool.release(connection, timeout=QUEUE)

    def _away(self, error: BaseException) -> StoreError:
        if isinstance(error, STALE):
            with contextlib.suppress(asyncpg.InterfaceError):
                asyncio.ensure_future(self._pool.expire_connections())  # noqa: RUF006 - it only marks them
            self._tidy()
        return away(error)

    async def rows(self, statement: str, **bindings: Any) -> list[Any]:
        """Run one named statement, a transaction of its own, and return all rows."""

        async def run(session: Session) -> list[Any]:
            return await session.rows(statement, **bindings)

        return await self._again(run, transaction=False)

    async def one(self, statement: str, **bindings: Any) -> Any:
        """Run one named statement and return its only row, its only value, or None."""

        async def run(session: Session) -> Any:
            return await session.one(statement, **bindings)

        return await self._again(run, transaction=False)

    async def transact(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Run `work` in one transaction; one that collided with another is tried again."""
        return await self._again(work, transaction=True)

    async def _again(self, work: Callable[[Session], Awaitable[T]], *, transaction: bool) -> T:
        for attempt in range(COLLISIONS):
            try:
                async with self.session() as session:
                    if not transaction:
                        return await work(session)
                    async with session._connection.transaction():  # noqa: SLF001 - the other half of this module
                        return await work(session)
            except Collision as collision:
                if attempt + 1 == COLLISIONS:
                    raise StoreAway(str(collision)) from collision
                await asyncio.sleep(random.random() * 0.05 * (attempt + 1))  # noqa: S311 - a pause, not a secret
        raise StoreAway("the transaction kept colliding")


async def _by_indexes(connection: Any) -> None:
    """Have plans go by indexes: one that was made while a table was new and small is kept, and would read all of it.

    Said here and not at the connection's start, where a pooler refuses what it does not know.
    """
    await connection.execute("SET enable_seqscan = off")


async def _nothing(_connection: Any) -> None:
    """Leave a connection that comes back as it is: a session holds nothing of ours between two transactions."""


def _lives(connection: Any) -> bool:
    """Tell whether a connection that was kept is still one; the driver takes one that it saw end back by itself."""
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:
        return False


class Collision(StoreAway):
    """Two transactions waited for each other; this one lost, and may be tried again."""


AWAY: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # so is a server named that takes no writes
    OSError,
    TimeoutError,
    UnicodeError,
)


def away(error: BaseException) -> StoreError:
    """Word an error of the driver without the row's values."""
    if isinstance(error, asyncpg.DeadlockDetectedError | asyncpg.SerializationError):
        return Collision(f"the database says {type(error).__name__}")
    if isinstance(error, asyncpg.DataError | asyncpg.ProgramLimitExceededError | UnicodeError):
        return Unstorable(f"the database cannot hold a value: {type(error).__name__}")
    if isinstance(error, asyncpg.PostgresError):
        return StoreAway(f"the database says {type(error).__name__} ({error.sqlstate})")
    return StoreAway(f"the database does not answer: {type(error).__name__}")


NEVER: Final = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ClientConfigurationError,
    asyncpg.InsufficientPrivilegeError,
)


@contextlib.contextmanager
def refused() -> Any:
    """Turn what no waiting mends into `StoreRefused`."""
    try:
        yield
    except NEVER as error:
        raise StoreRefused(f"the database refuses us: {error}") from error
    except ValueError as error:  # the driver's word for an address that is none
        raise StoreRefused(f"is no address of a PostgreSQL server: {type(error).__name__}") from error


@contextlib.contextmanager
def told() -> Any:
    """Turn what the driver raises into `StoreAway`."""
    try:
        yield
    except AWAY as error:
        raise away(error) from error


def session_settings(name: str) -> dict[str, str]:
    """Return what every session asks of the server: deadlines, so that no lock is held by the dead."""
    return {
        "application_name": name[:63],
        "statement_timeout": str(int(STATEMENT * 1000)),
        "lock_timeout": str(int(STATEMENT * 1000)),
        "idle_in_transaction_session_timeout": "15000",
        "tcp_keepalives_idle": "5",
        "tcp_keepalives_interval": "2",
        "tcp_keepalives_count": "3",
        "jit": "off",
    }


def columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    """Turn rows into columns, as `unnest` takes them."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
