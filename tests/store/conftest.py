"""One suite, many stores: the databases, and short words for what the line does with one."""

import contextlib
import itertools
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import apsw
import asyncpg
import pytest

from dragoman.adapter import Receipt
from dragoman.model import Address, Delivery, Event, Message, Say, Sender
from dragoman.store import postgres, sqlite
from dragoman.store.base import (
    Accepted,
    Claim,
    Decision,
    Handled,
    Memory,
    OpenStore,
    Outgoing,
    Settled,
    Times,
)
from dragoman.store.postgres import PostgresStore
from dragoman.store.restored import Held, Restoration
from dragoman.store.sqlite import SqliteStore
from dragoman.testing.clock import FakeClock


class Database(Protocol):
    """A place for a store, which can be opened again and again."""

    takeover: float
    """Seconds until the next process may go on where a killed one stopped."""
    examples: int
    """Runs of the model that fit into half a minute."""

    async def open(self, clock: Callable[[], float]) -> OpenStore:
        """Open the store that is there."""

    async def hold(self, restoration: Restoration) -> Held:
        """Set aside what waits, as after a restore."""

    async def rows(self, table: str) -> Sequence[Sequence[Any]]:
        """Read a table as it stands."""

    async def change(self, statement: str) -> None:
        """Change what is stored by another hand than the service's."""

    async def drop(self) -> None:
        """Leave nothing behind."""


class SqliteFile:
    """A file of its own."""

    takeover = 0.0
    examples = 200

    def __init__(self, folder: Path) -> None:
        self.path = folder / "dragoman.db"

    async def open(self, clock: Callable[[], float]) -> OpenStore:
        return await SqliteStore.open(self.path, clock)

    async def hold(self, restoration: Restoration) -> Held:
        return sqlite.restored.hold(self.path, restoration)

    async def rows(self, table: str) -> Sequence[Sequence[Any]]:
        with contextlib.closing(apsw.Connection(str(self.path))) as connection:
            return list(connection.execute(f"SELECT * FROM {table}"))  # noqa: S608 - a name of ours

    async def change(self, statement: str) -> None:
        with contextlib.closing(apsw.Connection(str(self.path))) as connection:
            connection.set_busy_timeout(5000)
            connection.execute(statement)

    async def drop(self) -> None:
        """Nothing: the test's folder goes as a whole."""


class PostgresSchema:
    """A schema of its own on the PostgreSQL server at hand, with the test's clock in place of the server's."""

    takeover = 31.0
    examples = 40

    def __init__(self, folder: Path) -> None:
        self.url, self.schema = server(), f"t{secrets.token_hex(6)}"

    async def open(self, clock: Callable[[], float]) -> OpenStore:
        connection = await asyncpg.connect(self.url)
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {self.schema}")
        await connection.close()
        url = f"{self.url}?search_path={self.schema}&synchronous_commit=off"
        return await PostgresStore.open(url, clock, given=clock)

    async def hold(self, restoration: Restoration) -> Held:
        return await postgres.restored.hold(f"{self.url}?search_path={self.schema}", restoration, alone=False)

    async def rows(self, table: str) -> Sequence[Sequence[Any]]:
        connection = await asyncpg.connect(f"{self.url}?search_path={self.schema}")
        try:
            return [tuple(row) for row in await connection.fetch(f"SELECT * FROM {table}")]  # noqa: S608 - ours
        finally:
            await connection.close()

    async def change(self, statement: str) -> None:
        connection = await asyncpg.connect(f"{self.url}?search_path={self.schema}")
        await connection.execute(statement)
        await connection.close()

    async def drop(self) -> None:
        connection = await asyncpg.connect(self.url)
        await connection.execute(f"DROP SCHEMA IF EXISTS {self.schema} CASCADE")
        await connection.close()


def server() -> str:
    """Name the server to test on; the test is skipped when none answers."""
    url = os.environ.get("TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")
    place = urlsplit(url)
    try:
        socket.create_connection((place.hostname or "127.0.0.1", place.port or 5432), 2).close()
    except OSError as error:
        pytest.skip(f"no PostgreSQL at {place.hostname}:{place.port or 5432} (set TEST_POSTGRES): {error.strerror}")
    return url


DATABASES: Final[Mapping[str, Callable[[Path], Database]]] = {"sqlite": SqliteFile, "postgres": PostgresSchema}


class Line:
    """A store under test: its clock, and the line's verbs with what a test does not care about filled in."""

    def __init__(self, database: Database, clock: FakeClock) -> None:
        self.clock = clock
        self.store: OpenStore
        self.database = database
        self._numbers = itertools.count(1)

    async def rows(self, table: str) -> Sequence[Sequence[Any]]:
        """Read a table as it stands."""
        return await self.database.rows(table)

    async def open(self) -> None:
        self.store = await self.database.open(self.clock)

    async def crash(self) -> None:
        """Begin again on what is committed: closing writes nothing, so a killed process leaves the same.

        Where replicas share the store, its leases end by their time, and another's sweep takes up the sends.
        """
        await self.store.close()
        self.clock.advance(self.database.takeover)
        await self.open()
        await self.store.sweep()

    def event(self, conversation: str = "c1", key: str = "", *, account: str = "acme", **facts: Any) -> Event:
        number = next(self._numbers)
        whole: dict[str, Any] = {
            "key": key or f"k{number}",
            "account": account,
            "platform": "test",
            "conversation": conversation,
            "address": Address(account=account, channel=conversation),
            "sender": Sender(id="u1", name="Kim"),
            "message_id": f"m{number}",
        }
        return Event(**{**whole, **facts})

    async def accept(self, conversation: str = "c1", key: str = "", **facts: Any) -> Accepted:
        """Accept one event."""
        return (await self.receive(self.event(conversation, key, **facts)))[0]

    async def receive(
        self, *events: Event, keep: Mapping[str, str] | None = None, raw: bytes = b"{}"
    ) -> Sequence[Accepted]:
        """Accept what one request brought."""
        now = self.clock()
        times = Times(received=now, authenticated=now, parsed=now)
        return await self.store.accept("acme", Receipt(events=events, raw=raw), times, keep)

    def arrival(self, key: str, conversation: str = "c1") -> tuple[Receipt, Times]:
        """Return what one request brings, as `accept` takes it."""
        return Receipt(events=(self.event(conversation, key),), raw=b"{}"), Times()

    async def claim(self) -> Claim:
        """Take the one conversation that has something to do."""
        (claim,) = await self.store.claim(10)
        return claim

    async def claimed(self) -> list[str]:
        """Take all that has something to do and name the conversations."""
        return sorted(claim.conversation for claim in await self.store.claim(10))

    def outgoing(self, text: str, conversation: str, **facts: Any) -> Outgoing:
        whole: dict[str, Any] = {
            "key": f"turn:{next(self._numbers)}",
            "action": Say(message=Message(text=text)),
            "address": Address(account="acme", channel=conversation),
        }
        return Outgoing(**{**whole, **facts})

    async def commit(
        self,
        claim: Claim,
        *texts: str,
        state: dict[str, Any] | None = None,
        memories: tuple[Memory, ...] = (),
        **facts: Any,
    ) -> None:
        """Finish a turn that says these texts; `facts` are those of the replies."""
        stored = claim.events[0]
        now = self.clock()
        whole = [
            {"key": f"{stored.turn}:{number}", "address": stored.event.address, **facts} for number in range(len(texts))
        ]
        handled = Handled(
            id=stored.id,
            handler="test",
            state=claim.state if state is None else state,
            outgoing=tuple(
                self.outgoing(text, claim.conversation, **reply) for text, reply in zip(texts, whole, strict=True)
            ),
            memories=memories,
            received_at=stored.received_at,
            routed_at=now,
            responded_at=now,
        )
        await self.store.commit(claim, handled)

    async def answer(self, conversation: str, *texts: str, account: str = "acme", **facts: Any) -> int:
        """Take one message the whole way to committed replies; returns the event's number."""
        accepted = await self.accept(conversation, account=account)
        await self.commit(await self.claim(), *texts, **facts)
        return accepted.id

    async def take(self) -> Delivery:
        """Take the one delivery that may leave."""
        (delivery,) = await self.store.take(10)
        return delivery

    async def taken(self) -> list[str]:
        """Take all that may leave and give the texts."""
        return said(await self.store.take(10))

    async def send(self, decision: Decision | None = None, pace: float = 0.0) -> Delivery:
        """Take one delivery and settle it, as sent if nothing else is decided."""
        delivery = await self.take()
        await self.settle(delivery, decision, pace)
        return delivery

    async def settle(self, delivery: Delivery, decision: Decision | None = None, pace: float = 0.0) -> None:
        """Settle a delivery, as sent if nothing else is decided."""
        await self.store.settle(delivery, decision or Settled(ids=(f"p{delivery.id}",)), pace)


def said(deliveries: Sequence[Delivery]) -> list[str]:
    return [delivery.action.message.text for delivery in deliveries if isinstance(delivery.action, Say)]


MakeLine = Callable[[Path], Line]


@pytest.fixture(autouse=True)
def nobody_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an asker leave for good when it has been served: by the tests' clock hours may pass until it asks again."""
    monkeypatch.setattr(sqlite.desk, "STAY", 0.0)


@pytest.fixture
def make_line_on() -> Callable[[str], MakeLine]:
    """Give lines on new stores of a database, by its name; they are not open yet."""
    return lambda name: lambda folder: Line(DATABASES[name](folder), FakeClock())


@pytest.fixture(params=DATABASES)
def make_line(request: pytest.FixtureRequest, make_line_on: Callable[[str], MakeLine]) -> MakeLine:
    """Give lines on every database in turn."""
    return make_line_on(request.param)


@pytest.fixture
async def line(make_line: MakeLine, tmp_path: Path) -> AsyncIterator[Line]:
    line = make_line(tmp_path)
    await line.open()
    yield line
    await line.store.close()
    await line.database.drop()
