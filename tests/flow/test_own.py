"""One owner for each connection, by leases on PostgreSQL: two replicas, and a network that fails."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar
from urllib.parse import urlsplit

import asyncpg
import pytest
from tests.store.conftest import server

from dragoman.adapter import Adapter, Capabilities, Known, Payload, Receipt
from dragoman.engine.route import Policy
from dragoman.flow import own as owning
from dragoman.flow.account import Account, Accounts
from dragoman.flow.context import Context
from dragoman.flow.own import own
from dragoman.model import Delivery
from dragoman.store.postgres import PostgresStore
from dragoman.testing.logs import captured
from dragoman.testing.proxy import Proxy, proxied
from dragoman.wire import Exchange, Outcome

pytestmark = pytest.mark.timeout(60)


class Shared(Adapter):
    """A platform whose accounts all have the same token."""

    platform: ClassVar[str] = "toy"
    title: ClassVar[str] = "Toy"
    capabilities: ClassVar[Capabilities] = Capabilities(max_text=100)

    def connection(self) -> str:
        return "one token"

    def parse(self, payload: Payload, known: Known) -> Receipt:
        raise NotImplementedError

    def send(self, delivery: Delivery, known: Known) -> Exchange[Outcome]:
        raise NotImplementedError


class Owners:
    """Two replicas that want one connection, and who listens."""

    def __init__(self, contexts: list[Context], proxy: Proxy) -> None:
        self.contexts = contexts
        self.proxy = proxy
        self.listening: list[str] = []
        self.most = 0
        self.ended: dict[str, float] = {}

    def begin(self, replica: int, name: str = "toy") -> asyncio.Task[None]:
        """Let a replica own an account's connection whenever it can."""
        account = Account(name=name, adapter=Shared(account=name), policy=Policy())

        async def listen(context: Context, account: Account) -> None:
            who = f"{self.contexts.index(context)} {account.name}"
            self.listening.append(who)
            self.most = max(self.most, len(self.listening))
            try:
                await asyncio.Event().wait()
            finally:
                self.listening.remove(who)
                self.ended[who] = time.monotonic()

        return asyncio.create_task(own(self.contexts[replica], account, listen))


async def until(ask: Callable[[], bool], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not ask():
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def ended(*tasks: asyncio.Task[None]) -> AsyncIterator[None]:
    """End these tasks at last."""
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def owners() -> AsyncIterator[Owners]:
    """Two contexts on one schema; the first reaches it by a proxy."""
    url, schema = server(), f"t{secrets.token_hex(6)}"
    place = urlsplit(url)
    hand = await asyncpg.connect(url)
    await hand.execute(f"CREATE SCHEMA {schema}")
    async with proxied(place.hostname or "127.0.0.1", place.port or 5432) as proxy:
        behind = place._replace(netloc=f"{place.username}@127.0.0.1:{proxy.port}").geturl()
        stores = [await PostgresStore.open(f"{at}?search_path={schema}", time.monotonic) for at in (behind, url)]
        yield Owners([_context(store) for store in stores], proxy)
        await asyncio.gather(*(store.close() for store in stores))
    await hand.execute(f"DROP SCHEMA {schema} CASCADE")
    await hand.close()


def _context(store: PostgresStore) -> Context:
    nobody: Any = None  # owning asks neither a client nor an installer
    return Context(
        store=store,
        reader=store.reader,
        client=nobody,
        installer=nobody,
        accounts=Accounts((), time.time),
        clock=time.monotonic,
        stopping=asyncio.Event(),
        replica=store.owner,
    )


async def test_one_replica_listens_and_the_other_follows_its_orderly_end_at_once(owners: Owners) -> None:
    first = owners.begin(0)
    await until(lambda: owners.listening == ["0 toy"], 20)
    async with ended(first, owners.begin(1)):
        await asyncio.wait({first}, timeout=2 * owning.LOOK)
        assert owners.listening == ["0 toy"]

        first.cancel()
        await until(lambda: owners.listening == ["1 toy"], 10)

    assert owners.most == 1


async def test_an_owner_cut_off_stops_before_its_lease_can_pass_on_and_the_other_follows(owners: Owners) -> None:
    first = owners.begin(0)
    await until(lambda: owners.listening == ["0 toy"], 20)
    async with ended(first, owners.begin(1)):
        began = time.monotonic()
        owners.proxy.suffer(stall=True, on="both")
        await until(lambda: owners.listening == ["1 toy"], 25)
        took = time.monotonic() - began
        owners.proxy.heal()

    assert owners.most == 1
    assert owners.ended["0 toy"] - began < owning.LEASE
    assert took < 20


async def test_an_account_switched_off_and_on_never_has_two_connections(owners: Owners) -> None:
    for _ in range(3):
        async with ended(owners.begin(0)):
            await until(lambda: owners.listening == ["0 toy"], 20)
        assert owners.listening == []

    assert owners.most == 1


async def test_of_two_accounts_with_one_token_one_waits_and_says_so(owners: Owners) -> None:
    async with ended(owners.begin(0, "one")):
        await until(lambda: owners.listening == ["0 one"], 20)
        with captured() as logs:
            async with ended(owners.begin(0, "two")):
                await until(lambda: any(entry["event"] == "connection.elsewhere" for entry in logs), 20)

    assert owners.most == 1
    assert [entry["account"] for entry in logs if entry["event"] == "connection.elsewhere"] == ["two"]
