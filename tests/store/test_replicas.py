"""Several replicas on one schema, all at once: at the end the tables agree, and all was answered in order."""

import asyncio
import contextlib
import random
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import asyncpg
import pytest
from tests.store.conftest import said, server

from dragoman.adapter import Receipt
from dragoman.errors import LostLease
from dragoman.model import Address, Delivery, Event, Message, Say, Sender
from dragoman.store.base import Claim, Handled, Later, Outgoing, Settled, Times
from dragoman.store.postgres import PostgresStore
from dragoman.testing.clock import FakeClock

pytestmark = pytest.mark.timeout(60)

REPLICAS: Final = 3
CONVERSATIONS: Final = 7
EACH: Final = 12
"""Messages of a conversation."""
PATIENCE: Final = 20.0
"""Seconds until all must have been answered."""

PENDING: Final = """
SELECT c.id FROM conversation c
WHERE c.pending <> (SELECT count(*) FROM inbox i WHERE i.conversation = c.id AND i.status = 'waiting')
"""
WAITING: Final = """
SELECT l.conversation FROM lane l WHERE l.waiting <>
    (SELECT count(*) FROM outbox o WHERE o.conversation = l.conversation AND o.state IN ('pending', 'sending'))
"""
HOLDERS: Final = """
SELECT l.conversation FROM lane l WHERE l.holder IS NOT NULL
AND NOT EXISTS (SELECT FROM outbox o WHERE o.id = l.holder AND o.state = 'sending')
"""
STUCK: Final = """
SELECT conversation FROM lane WHERE waiting > 0 AND ready_at IS NULL AND holder IS NULL
UNION ALL SELECT id FROM conversation WHERE pending > 0 AND ready_at IS NULL
"""
LEFT: Final = """
SELECT (SELECT count(*) FROM inbox WHERE status = 'waiting')
     + (SELECT count(*) FROM outbox WHERE state IN ('pending', 'sending'))
"""


class Traffic:
    """Seeded traffic over several stores, and what was seen of it."""

    def __init__(self, stores: Sequence[PostgresStore], seed: int) -> None:
        self.stores = stores
        self.dice = random.Random(seed)  # noqa: S311 - a run that can be repeated, not a secret
        self.turns: set[str] = set()
        self.sends: set[str] = set()
        self.sent: defaultdict[str, list[str]] = defaultdict(list)
        self.over = asyncio.Event()

    async def speak(self, conversation: str) -> None:
        """Say a conversation's messages in order; some come twice, by another replica."""
        for number in range(EACH):
            event = Event(
                key=f"{conversation}/{number}",
                account="acme",
                platform="test",
                conversation=conversation,
                address=Address(account="acme", channel=conversation),
                sender=Sender(id="u1"),
                text=str(number),
            )
            receipt = Receipt(events=(event,), raw=b"{}")
            times = self.dice.choice((1, 1, 2))
            await asyncio.gather(
                *(store.accept("acme", receipt, Times()) for store in self.dice.sample(self.stores, times))
            )

    async def work(self, store: PostgresStore) -> None:
        """Run turns, of which some fail, are given back, or are committed twice."""
        while not self.over.is_set():
            claims = await store.claim(4, 0.05)
            await asyncio.gather(*(self._turn(store, claim) for claim in claims))

    async def _turn(self, store: PostgresStore, claim: Claim) -> None:
        assert claim.conversation not in self.turns, "two turns of a conversation at once"
        self.turns.add(claim.conversation)
        await asyncio.sleep(self.dice.random() * 0.01)
        chance, stored = self.dice.random(), claim.events[0]
        self.turns.discard(claim.conversation)
        if chance < 0.1:
            await store.release(claim)
        elif chance < 0.15 and claim.attempt < 3:
            await store.retry(claim, 0.0, "ValueError")
        else:
            handled = Handled(id=stored.id, handler="test", state={"v": 1}, outgoing=tuple(_replies(stored)))
            await store.commit(claim, handled)
            if chance > 0.9:
                with pytest.raises(LostLease):
                    await store.commit(claim, handled)

    async def send(self, store: PostgresStore) -> None:
        """Send deliveries, of which some are put off or given back."""
        while not self.over.is_set():
            taken = await store.take(4, (), self.dice.choice((0.0, 0.05)))
            await asyncio.gather(*(self._send(store, delivery) for delivery in taken))

    async def _send(self, store: PostgresStore, delivery: Delivery) -> None:
        assert delivery.conversation not in self.sends, "two sends of a conversation at once"
        self.sends.add(delivery.conversation)
        await asyncio.sleep(self.dice.random() * 0.01)
        chance = self.dice.random()
        self.sends.discard(delivery.conversation)
        if chance < 0.1:
            await store.hand_back([delivery])
        elif chance < 0.2:
            assert await store.settle(delivery, Later(after=0.0, reason="the platform's pace"))
        else:
            self.sent[delivery.conversation] += said([delivery])
            assert await store.settle(delivery, Settled(ids=(f"p{delivery.id}",)))


def _replies(stored: Any) -> list[Outgoing]:
    return [
        Outgoing(
            key=f"{stored.turn}:{part}",
            action=Say(message=Message(text=f"{stored.event.text}{part}")),
            address=stored.event.address,
        )
        for part in "ab"
    ]


@pytest.fixture
async def hand() -> AsyncIterator[Any]:
    """Give a hand on a schema of its own."""
    url, schema = server(), f"t{secrets.token_hex(6)}"
    connection = await asyncpg.connect(url, server_settings={"search_path": schema})
    await connection.execute(f"CREATE SCHEMA {schema}")
    yield connection
    await connection.execute(f"DROP SCHEMA {schema} CASCADE")
    await connection.close()


@contextlib.asynccontextmanager
async def replicas(hand: Any) -> AsyncIterator[list[PostgresStore]]:
    """Open stores on the hand's schema, on the server's clock."""
    url = f"{server()}?search_path={await hand.fetchval('SELECT current_schema()')}&synchronous_commit=off"
    async with contextlib.AsyncExitStack() as stack:
        stores = await asyncio.gather(*(PostgresStore.open(url, FakeClock()) for _ in range(REPLICAS)))
        for store in stores:
            stack.push_async_callback(store.close)
        yield stores


@pytest.mark.parametrize("seed", [1, 2])
async def test_replicas_answer_everything_once_and_in_order_and_the_tables_agree(hand: Any, seed: int) -> None:
    async with replicas(hand) as stores, asyncio.timeout(PATIENCE):
        traffic = Traffic(stores, seed)
        async with asyncio.TaskGroup() as group:
            for store in stores:
                group.create_task(traffic.work(store))
                group.create_task(traffic.send(store))
            await asyncio.gather(*(traffic.speak(f"c{number}") for number in range(CONVERSATIONS)))
            while await hand.fetchval(LEFT):
                assert not await hand.fetch(STUCK)
                await asyncio.sleep(0.05)
            traffic.over.set()

    wanted = [f"{number}{part}" for number in range(EACH) for part in "ab"]
    assert dict(traffic.sent) == {f"c{number}": wanted for number in range(CONVERSATIONS)}
    for question in (PENDING, WAITING, HOLDERS, STUCK):
        assert await hand.fetch(question) == []
    assert await hand.fetchval("SELECT count(*) FROM inbox WHERE status = 'done'") == CONVERSATIONS * EACH
