"""A standing order: what is committed while deliveries are waited for comes as `take` would have taken it."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tests.store.conftest import said

from dragoman.model import Address, Delivery, Message, Say
from dragoman.store.base import Handled, Outgoing, Pause, Settled

if TYPE_CHECKING:
    from tests.store.conftest import Line

LONG = 5.0


async def spoken_to(line: "Line", *conversations: str) -> None:
    """Let conversations have been spoken in before: a lane that is there and empty."""
    for conversation in conversations:
        await line.answer(conversation, "before")
        await line.send()


async def ordered(line: "Line", limit: int) -> Sequence[Delivery]:
    """Order deliveries until some come: an order may end with none before its time."""
    async with asyncio.timeout(LONG):
        while not (taken := await line.store.take(limit, (), LONG)):
            pass
    return taken


async def test_what_is_committed_meanwhile_comes_at_once_and_as_it_was_said(line: "Line") -> None:
    await spoken_to(line, "c1")
    waiting = asyncio.create_task(ordered(line, 5))
    await asyncio.sleep(0)

    await line.answer("c1", "hello")

    (delivery,) = await waiting
    assert isinstance(delivery.action, Say)
    assert (delivery.action.message.text, delivery.attempt, delivery.conversation) == ("hello", 1, "c1")
    assert delivery.until > line.clock()
    assert set(await line.store.prolong([delivery.id])) == {delivery.id}
    assert not await line.store.take(5)
    assert await line.store.settle(delivery, Settled(ids=("p1",)))


async def test_the_second_reply_of_a_turn_follows_the_first(line: "Line") -> None:
    await spoken_to(line, "c1")
    waiting = asyncio.create_task(ordered(line, 5))
    await asyncio.sleep(0)
    await line.accept("c1")
    await line.commit(await line.claim(), "one", "two")

    (first,) = await waiting
    assert not await line.store.take(5)
    await line.store.settle(first, Settled())

    (second,) = await ordered(line, 5)
    assert said([first, second]) == ["one", "two"]


async def test_no_more_come_than_were_ordered(line: "Line") -> None:
    await spoken_to(line, "c1", "c2", "c3")
    waiting = asyncio.create_task(ordered(line, 2))
    await asyncio.sleep(0)
    for conversation in ("c1", "c2", "c3"):
        await line.accept(conversation)
    claims = await line.store.claim(3)
    await asyncio.gather(*(line.commit(claim, "hello") for claim in claims))

    taken = list(await waiting)
    while len(taken) < 2:
        taken += await ordered(line, 2 - len(taken))

    assert len(taken) == 2
    assert len(await line.store.take(5)) == 1


async def test_neither_a_busy_nor_a_paused_account_is_ordered(line: "Line") -> None:
    await spoken_to(line, "c1", "c2", "c3")
    await line.answer("c2", "paused")
    await line.send(Pause(after=60, reason="too many"))
    waiting = asyncio.create_task(line.store.take(5, ["other"], 0.3))
    await asyncio.sleep(0)

    await line.answer("c1", "hello")

    assert not await waiting
    await line.store.resume("acme")
    busy = asyncio.create_task(line.store.take(5, ["acme"], 0.3))
    await asyncio.sleep(0)
    await line.answer("c3", "more")
    assert not await busy
    assert {delivery.conversation for delivery in await line.store.take(5)} == {"c1", "c2", "c3"}


async def test_a_withheld_reply_is_left_to_the_request_that_waits(line: "Line") -> None:
    await spoken_to(line, "c1")
    await line.accept("c1")
    claim = await line.claim()
    waiting = asyncio.create_task(line.store.take(5, (), 0.3))
    await asyncio.sleep(0)

    stored = claim.events[0]
    reply = Outgoing(
        key=f"{stored.turn}:0:0",
        action=Say(message=Message(text="held")),
        address=Address(account="acme", channel="c1"),
        hold=5.0,
    )
    await line.store.commit(claim, Handled(id=stored.id, handler="h", state={}, outgoing=(reply,)))

    assert not await waiting
    assert said(await line.store.reply(stored.id)) == ["held"]


async def test_what_is_committed_after_the_last_order_is_left_to_whoever_takes_next(line: "Line") -> None:
    await spoken_to(line, "c1")
    await line.accept("c1")
    claim = await line.claim()
    for _ in range(2):
        assert not await line.store.take(5, (), 0.05)

    await line.commit(claim, "hello")

    assert await line.taken() == ["hello"]


async def test_what_came_and_was_not_fetched_goes_back_when_the_store_is_closed(line: "Line") -> None:
    await spoken_to(line, "c1")
    waiting = asyncio.create_task(ordered(line, 5))
    await asyncio.sleep(0)
    await line.accept("c1")
    claim = await line.claim()
    committing = asyncio.create_task(line.commit(claim, "hello"))
    await asyncio.sleep(0)
    waiting.cancel()
    await committing

    await line.store.close()
    await line.open()

    assert await line.taken() == ["hello"]
