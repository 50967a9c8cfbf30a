"""The watch over a running turn: its time limit holds whatever the store and the handler do."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dragoman.adapter import Receipt
from dragoman.flow import work
from dragoman.flow.account import Accounts
from dragoman.flow.alarm import Alarm
from dragoman.flow.context import Context, Limits
from dragoman.model import Address, Event, Sender
from dragoman.store.base import Claim, Times
from dragoman.store.sqlite import SqliteStore

LIMIT = 0.2


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(tmp_path / "dragoman.db", time.monotonic)
    yield store
    await store.close()


@pytest.fixture
def context(store: SqliteStore) -> Context:
    nobody: Any = None  # a watch asks neither a client nor an installer
    return Context(
        store=store,
        reader=store.reader,
        client=nobody,
        installer=nobody,
        accounts=Accounts((), time.time),
        clock=time.monotonic,
        stopping=asyncio.Event(),
        limits=Limits(turn_seconds=LIMIT),
    )


async def claimed(store: SqliteStore) -> Claim:
    address, sender = Address(account="acme", channel="c1"), Sender(id="u1")
    event = Event(key="k1", account="acme", platform="test", conversation="c1", address=address, sender=sender)
    await store.accept("acme", Receipt(events=(event,), raw=b""), Times())
    (claim,) = await store.claim(1)
    return claim


async def test_a_turn_ends_at_its_time_while_its_lease_is_being_renewed(
    store: SqliteStore, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarm = Alarm(asyncio.get_running_loop())
    monkeypatch.setattr(work, "RENEW", LIMIT / 10)
    claim, slow = await claimed(store), threading.Event()
    disk = asyncio.create_task(store._writer.aside(slow.wait))

    began = time.monotonic()
    asyncio.get_running_loop().call_later(20 * LIMIT, slow.set)

    with pytest.raises(TimeoutError), work._Watch(context, claim, alarm):
        await asyncio.sleep(20 * LIMIT)

    assert time.monotonic() - began < 10 * LIMIT
    slow.set()
    await disk


async def test_a_renewal_that_ends_after_the_turns_time_does_not_end_the_turn_again(
    store: SqliteStore, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarm = Alarm(asyncio.get_running_loop())
    monkeypatch.setattr(work, "RENEW", LIMIT / 10)
    claim, slow = await claimed(store), threading.Event()
    disk = asyncio.create_task(store._writer.aside(slow.wait))

    async def turn() -> None:
        with work._Watch(context, claim, alarm):
            try:
                await asyncio.Event().wait()
            finally:
                slow.set()
                await asyncio.sleep(LIMIT)  # it tidies up

    with pytest.raises(TimeoutError):
        await turn()

    await disk
