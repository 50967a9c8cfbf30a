"""Two replicas' paces on one store: together they keep a rate, and a slot holds whoever takes the delivery."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import asyncpg
import pytest
from tests.store.conftest import server

from dragoman.adapter import Rate
from dragoman.flow.pace import Pacer
from dragoman.model import Address, Delivery, Message, Say
from dragoman.store.postgres import PostgresStore
from dragoman.testing.clock import FakeClock

pytestmark = pytest.mark.timeout(30)

RATES = (Rate(per="account", count=2, seconds=1.0),)


def delivery(number: int, slot: float = 0.0) -> Delivery:
    address = Address(account="acme", channel="c1")
    return Delivery(
        id=number,
        key=f"turn:{number}",
        action=Say(message=Message(text="hello")),
        address=address,
        conversation="c1",
        attempt=1,
        fence=1,
        at=0.0,
        not_after=0.0,
        slot=slot,
    )


@pytest.fixture
async def pacers(clock: FakeClock) -> AsyncIterator[list[Pacer]]:
    url, schema = server(), f"t{secrets.token_hex(6)}"
    hand = await asyncpg.connect(url)
    await hand.execute(f"CREATE SCHEMA {schema}")
    stores = [await PostgresStore.open(f"{url}?search_path={schema}", clock, given=clock) for _ in range(2)]
    yield [_pacer(store) for store in stores]
    await asyncio.gather(*(store.close() for store in stores))
    await hand.execute(f"DROP SCHEMA {schema} CASCADE")
    await hand.close()


def _pacer(store: PostgresStore) -> Pacer:
    pacer = Pacer(store)
    pacer.alone = False
    return pacer


async def test_replicas_that_reserve_at_once_keep_one_rate(pacers: list[Pacer], clock: FakeClock) -> None:
    waits = await asyncio.gather(*(pacers[n % 2].wait(delivery(n), RATES, clock()) for n in range(12)))

    assert sorted(waits) == [float(n // 2) for n in range(12)]


async def test_a_delivery_that_waited_leaves_at_its_slot_whoever_takes_it(
    pacers: list[Pacer], clock: FakeClock
) -> None:
    one, other = pacers
    waits = [await one.wait(delivery(n), RATES, clock()) for n in range(3)]
    assert waits == [0.0, 0.0, 1.0]
    slot = clock() + waits[2]

    clock.advance(1.0)

    assert await other.wait(delivery(2, slot), RATES, clock()) == 0.0


async def test_a_chats_slot_follows_that_of_a_crowded_account(pacers: list[Pacer], clock: FakeClock) -> None:
    rates = (Rate(per="chat", count=1, seconds=3.0), Rate(per="account", count=1, seconds=10.0))
    first = await pacers[0].wait(delivery(1), rates, clock())
    second = await pacers[1].wait(delivery(2), rates, clock())

    chat_only = (rates[0],)
    third = await pacers[0].wait(delivery(3), chat_only, clock())

    assert (first, second) == (0.0, 10.0)
    assert third == 13.0
