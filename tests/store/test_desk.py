"""The desks of the embedded store: who is given what, when, and that nobody who waits is overtaken or forgotten."""

import asyncio
import contextlib
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

import pytest
from tests.store.conftest import said
from tests.store.test_sqlite import Holding, standing

from dragoman.errors import StoreAway
from dragoman.model import Address, Message, Say
from dragoman.store.base import Claim, Handled, Later, Outgoing, Pause
from dragoman.store.sqlite import SqliteStore, desk, writer

if TYPE_CHECKING:
    from tests.store.conftest import Line, MakeLine

SOON = 0.25


@pytest.fixture
def make_line(make_line_on: "Callable[[str], MakeLine]") -> "MakeLine":
    """Give lines on files only."""
    return make_line_on("sqlite")


@pytest.fixture
def sqlite(line: "Line") -> SqliteStore:
    assert isinstance(line.store, SqliteStore)
    return line.store


class Traffic:
    """People who write all the time, and who answers them."""

    def __init__(self, line: "Line") -> None:
        self.sent: list[str] = []
        self.over = False
        self._line = line

    async def people(self) -> None:
        number = 0
        while not self.over:
            number += 1
            await self._line.accept(f"busy{number}")
            await asyncio.sleep(0.03)

    async def workers(self) -> None:
        while not self.over:
            for claim in await self._line.store.claim(64, SOON):
                await self._line.commit(claim, claim.conversation)

    async def senders(self) -> None:
        while not self.over:
            for delivery in await self._line.store.take(64, (), SOON):
                assert isinstance(delivery.action, Say)
                self.sent.append(delivery.action.message.text)
                await self._line.settle(delivery)


@contextlib.asynccontextmanager
async def traffic(line: "Line") -> AsyncIterator[list[str]]:
    """Let messages come all the time, be answered and sent; gives what was sent so far."""
    busy = Traffic(line)
    async with asyncio.TaskGroup() as group:
        for loop in (busy.people(), busy.workers(), busy.senders()):
            group.create_task(loop)
        yield busy.sent
        busy.over = True


async def until_said(sent: list[str], text: str) -> None:
    async with asyncio.timeout(10):
        while text not in sent:
            await asyncio.sleep(0.01)


async def test_a_turn_that_may_be_tried_again_is_found_while_others_come(line: "Line") -> None:
    await line.accept("slow")
    await line.store.retry(await line.claim(), 1.0, "ValueError")

    async with traffic(line) as sent:
        await asyncio.sleep(0.3)
        line.clock.advance(2)
        await until_said(sent, "slow")


async def test_a_delivery_that_may_be_tried_again_is_found_while_others_leave(line: "Line") -> None:
    await line.answer("slow", "slow")
    await line.send(Later(after=1.0, reason="429"))

    async with traffic(line) as sent:
        await asyncio.sleep(0.3)
        line.clock.advance(2)
        await until_said(sent, "slow")


async def test_what_an_ended_pause_held_is_found_while_others_leave(line: "Line") -> None:
    await line.accept("slow", account="other")
    await line.commit(await line.claim(), "slow", address=Address(account="other", channel="slow"))
    await line.send(Pause(after=60, reason="401"))

    async with traffic(line) as sent:
        await asyncio.sleep(0.3)
        line.clock.advance(61)
        await until_said(sent, "slow")


async def test_who_has_waited_longest_is_not_overtaken_by_who_comes_just_now(line: "Line") -> None:
    for number in range(10):
        await line.accept(f"old{number}")
    line.clock.advance(100)

    claimed = []
    for number in range(10):
        asking = asyncio.create_task(line.store.claim(1, SOON))
        await line.accept(f"new{number}")
        (claim,) = await asking
        claimed.append((claim.conversation, claim.waited))
        await line.commit(claim)

    assert claimed == [(f"old{number}", 100.0) for number in range(10)]


async def test_a_reply_does_not_overtake_what_waits_already(line: "Line", sqlite: SqliteStore) -> None:
    await line.answer("old", "old")
    await line.accept("new")
    claim = await line.claim()

    async with Holding(sqlite) as holding:
        asking = asyncio.create_task(sqlite.take(1, (), SOON))
        await asyncio.sleep(0)
        committing = asyncio.create_task(line.commit(claim, "new"))
        await holding.let_go()
        (delivery,) = await asking
        await committing

    assert delivery.conversation == "old"


async def test_a_lease_counts_from_the_transaction_that_gives_it(line: "Line", sqlite: SqliteStore) -> None:
    asking = await standing(sqlite, 5)

    async with Holding(sqlite) as holding:
        accepting = asyncio.create_task(line.accept("c1"))
        await asyncio.sleep(0)
        line.clock.advance(31)  # the disk did not answer
        await holding.let_go()
        (claim,) = await asking
        await accepting

    assert claim.waited == 31
    assert not await sqlite.claim(5)
    assert await sqlite.renew(claim)


async def test_a_send_lease_counts_from_the_transaction_that_gives_it(line: "Line", sqlite: SqliteStore) -> None:
    await line.accept("c1")
    claim = await line.claim()
    assert not await sqlite.take(1, (), 0.01)
    asking = asyncio.create_task(sqlite.take(5, (), 60))
    await asyncio.sleep(0.01)

    async with Holding(sqlite) as holding:
        committing = asyncio.create_task(line.commit(claim, "hello"))
        await asyncio.sleep(0)
        line.clock.advance(16)
        await holding.let_go()
        (delivery,) = await asking
        await committing

    assert delivery.until == line.clock() + 15


async def test_a_pause_that_waits_for_company_comes_before_what_was_said_later(
    line: "Line", sqlite: SqliteStore
) -> None:
    for name in ("c1", "c2"):
        await line.answer(name, "hello")
    first, _ = await sqlite.take(2)
    await line.accept("c3")
    claim = await line.claim()
    asking = asyncio.create_task(sqlite.take(5, (), 0.3))
    await asyncio.sleep(0.01)

    async with Holding(sqlite) as holding:
        pausing = asyncio.create_task(line.settle(first, Pause(after=60, reason="401")))
        await asyncio.sleep(0)
        committing = asyncio.create_task(line.commit(claim, "hi"))
        await holding.let_go()
        await asyncio.gather(pausing, committing)

    assert not await asking


async def test_what_the_types_do_not_allow_is_parked_whoever_stands_there(line: "Line", sqlite: SqliteStore) -> None:
    await line.accept("c1")
    claim = await line.claim()
    asking = asyncio.create_task(sqlite.take(5, (), 0.3))
    await asyncio.sleep(0.01)

    stored = claim.events[0]
    wrong = Outgoing(key="k", action=Say(message=Message(text=5)), address=stored.event.address)  # type: ignore[arg-type]  # a plugin's mistake
    await sqlite.commit(claim, Handled(id=stored.id, handler="test", state={}, outgoing=(wrong,)))

    assert not await asking
    (row,) = await sqlite.reader.parked(10)
    assert row.reason == "this release cannot read it"


async def test_an_event_is_given_as_its_row_says_it(line: "Line", sqlite: SqliteStore) -> None:
    asking = await standing(sqlite, 5)
    event = line.event("c1", value={"numbers": (1, 2), 5: "five"})

    await line.receive(event)

    (claim,) = await asking
    assert claim.events[0].event.value == {"numbers": [1, 2], "5": "five"}


@pytest.mark.parametrize("closes", [False, True], ids=["asked again", "closed"])
async def test_what_was_given_to_an_asker_who_left_is_not_lost(
    line: "Line", sqlite: SqliteStore, *, closes: bool
) -> None:
    asking = await standing(sqlite, 5)
    begun, go_on, loop = asyncio.Event(), threading.Event(), asyncio.get_running_loop()

    def hold(_: object) -> None:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait()

    async with Holding(sqlite) as holding:
        accepting = asyncio.create_task(line.accept("c1"))
        await asyncio.sleep(0)
        held = sqlite._writer.run(hold)  # in the same transaction
        await holding.let_go()
        await begun.wait()
        asking.cancel()
        await asyncio.wait({asking})
        go_on.set()
        await accepting
        await held
    if closes:
        await line.crash()

    assert (await line.claim()).attempt == 1


async def test_what_comes_while_an_asker_works_is_there_when_it_asks_again(
    line: "Line", sqlite: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "STAY", 60)
    asking = await standing(sqlite, 2)
    await line.accept("c1")
    (first,) = await asking

    await line.receive(line.event("c2"), line.event("c3"))  # one more is wanted than `c1`

    assert [claim.conversation for claim in await sqlite.claim(5, SOON)] == ["c2"]
    assert [claim.conversation for claim in await sqlite.claim(5, SOON)] == ["c3"]
    assert await sqlite.renew(first)


async def test_what_a_look_sets_aside_hides_nothing_behind_it(line: "Line", sqlite: SqliteStore) -> None:
    for number in range(20):
        await line.accept(f"bad{number}")
    await line.database.change("UPDATE inbox SET event = '{}'")
    await line.accept("good")
    line.clock.advance(1)

    claims: list[Claim] = []
    async with asyncio.timeout(5):
        while not claims:
            claims = [*await sqlite.claim(2, 60)]  # looks by itself only after a minute

    assert [claim.conversation for claim in claims] == ["good"]
    assert len(await sqlite.reader.parked(50)) == 20


NO_LEASES = """
CREATE TRIGGER no_leases BEFORE UPDATE ON conversation WHEN new.because = 'leased'
BEGIN SELECT raise(ABORT, 'nobody leases'); END
"""


async def test_who_accepts_does_not_hear_that_a_look_failed(line: "Line", sqlite: SqliteStore) -> None:
    await line.accept("bad")
    await line.commit(await line.claim())
    await line.database.change(NO_LEASES)
    asking = await standing(sqlite, 5)

    accepted = await line.accept("bad")

    assert not accepted.duplicate
    with pytest.raises(StoreAway):
        await asking
    await line.database.change("DROP TRIGGER no_leases")
    assert (await line.claim()).attempt == 1


async def test_a_message_whose_caller_left_counts_as_waiting(line: "Line", sqlite: SqliteStore) -> None:
    async with Holding(sqlite) as holding:
        accepting = asyncio.create_task(line.accept("c1"))
        await asyncio.sleep(0)
        accepting.cancel()
        await holding.let_go()

    claim = await line.claim()
    assert sqlite.waiting() == 1
    await line.commit(claim)
    assert sqlite.waiting() == 0


async def test_the_next_of_a_lane_is_not_overtaken_by_what_is_said_at_the_same_time(
    line: "Line", sqlite: SqliteStore
) -> None:
    await line.accept("c1")
    await line.commit(await line.claim(), "one", "two")
    first = await line.take()
    await line.accept("c2")
    claim = await line.claim()
    line.clock.advance(1)
    assert not await sqlite.take(1, (), 0.01)
    asking = asyncio.create_task(sqlite.take(1, (), 60))
    await asyncio.sleep(0.01)

    async with Holding(sqlite) as holding:
        settling = asyncio.create_task(line.settle(first))
        committing = asyncio.create_task(line.commit(claim, "new"))
        await holding.let_go()
        await asyncio.gather(settling, committing)

    assert said(await asking) == ["two"]


async def test_two_who_ask_are_each_answered_and_nothing_is_given_twice(line: "Line", sqlite: SqliteStore) -> None:
    claimed: list[str] = []

    async def ask(limit: int) -> None:
        while len(claimed) < 60:
            claimed.extend(claim.conversation for claim in await sqlite.claim(limit, SOON))

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        for limit in (1, 5):
            group.create_task(ask(limit))
        for number in range(60):
            await line.accept(f"c{number}")
            await asyncio.sleep(0.001 * (number % 3))

    assert sorted(claimed) == sorted(f"c{number}" for number in range(60))


@pytest.mark.parametrize("dies", [False, True], ids=["closed", "died"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_two_who_wait_learn_that_the_store_is_closed(line: "Line", sqlite: SqliteStore, *, dies: bool) -> None:
    asked = [await standing(sqlite, 5), asyncio.create_task(sqlite.claim(5, 60))]
    await asyncio.sleep(0.01)

    if dies:
        with pytest.raises(StoreAway):
            await sqlite._writer.aside(sys.exit)
    else:
        await line.crash()

    async with asyncio.timeout(5):
        assert [type(each) for each in await asyncio.gather(*asked, return_exceptions=True)] == [StoreAway, StoreAway]


async def test_a_store_that_is_closed_with_all_that_may_wait_answers_each_and_gives_back_what_nobody_fetched(
    line: "Line", sqlite: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "STAY", 60)
    asking = await standing(sqlite, 2)
    await line.accept("c1")
    await asking
    await line.accept("c2")  # is given to who asked, and not asked for any more

    async with asyncio.timeout(60), Holding(sqlite) as holding:
        keeping = [asyncio.create_task(sqlite.keep("name", str(number))) for number in range(writer.QUEUE)]
        closing = asyncio.create_task(sqlite.close())
        while not sqlite._writer._dismissed:
            await asyncio.sleep(0.01)
        await holding.let_go()
        assert set(await asyncio.gather(*keeping)) == {None}
        await closing

    await line.open()
    assert await line.store.recall("name") == str(writer.QUEUE - 1)
    assert {claim.conversation: claim.attempt for claim in await line.store.claim(5)} == {"c1": 2, "c2": 1}
