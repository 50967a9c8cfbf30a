"""Deliveries: in order, one at a time per conversation, and settled by whoever took them."""

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from dragoman.model import Address, Delete, Message, React, Say
from dragoman.store.base import Decision, Handled, Later, Outgoing, Parked, Pause, Settled

if TYPE_CHECKING:
    from tests.store.conftest import Line

SENT = Settled(ids=("p1",))


async def test_a_delivery_carries_all_that_sending_needs(line: "Line") -> None:
    await line.accept("c1")
    claim = await line.claim()
    received = line.clock()
    address = Address(account="acme", channel="c1", thread="t1", ticket={"url": "x"})
    outgoing = Outgoing(key="turn:0:0", action=Say(message=Message(text="hello")), address=address, fresh_for=100)
    line.clock.advance(2)
    handled = Handled(id=claim.events[0].id, handler="test", state={}, outgoing=(outgoing,), received_at=received)
    await line.store.commit(claim, handled)

    delivery = await line.take()

    assert (delivery.key, delivery.action, delivery.address) == ("turn:0:0", outgoing.action, address)
    assert (delivery.conversation, delivery.cls, delivery.attempt) == ("c1", "reply", 1)
    assert (delivery.received_at, delivery.at, delivery.not_after) == (received, received + 2, received + 102)


async def test_every_action_can_wait_in_the_outbox(line: "Line") -> None:
    await line.answer("c1", "x", action=React(message_id="m1", emoji="eyes"))
    await line.answer("c2", "x", action=Delete(message_id="m2"))

    actions = {delivery.conversation: delivery.action for delivery in await line.store.take(10)}

    assert actions == {"c1": React(message_id="m1", emoji="eyes"), "c2": Delete(message_id="m2")}


async def test_replies_leave_in_the_order_in_which_they_were_committed(line: "Line") -> None:
    await line.answer("c1", "one", "two")
    await line.answer("c1", "three")

    sent = [(await line.send()).action for _ in range(3)]

    assert sent == [Say(message=Message(text=text)) for text in ("one", "two", "three")]


async def test_one_undelivered_message_holds_back_its_own_conversation_only(line: "Line") -> None:
    await line.answer("c1", "one", "two")
    await line.answer("c2", "three")

    assert sorted(await line.taken()) == ["one", "three"]
    assert await line.taken() == []


async def test_no_more_are_taken_than_asked_for(line: "Line") -> None:
    for conversation in ("c1", "c2", "c3"):
        await line.answer(conversation, conversation)

    assert [len(await line.store.take(2)) for _ in range(3)] == [2, 1, 0]


async def test_a_key_is_one_message_however_often_a_turn_gives_it(line: "Line") -> None:
    await line.answer("c1", "once", "twice", key="turn:0:0")

    await line.send(SENT)

    assert await line.taken() == []


async def test_taking_counts_the_attempts(line: "Line") -> None:
    await line.answer("c1", "hello")

    attempts = [(await line.send(Later(after=0, reason="503"))).attempt for _ in range(3)]

    assert attempts == [1, 2, 3]


async def test_a_wait_that_was_no_attempt_is_not_counted(line: "Line") -> None:
    await line.answer("c1", "hello")
    await line.send(Later(after=0, reason="pace", attempted=False))

    assert (await line.take()).attempt == 1


async def test_what_is_tried_later_keeps_its_place(line: "Line") -> None:
    await line.answer("c1", "one", "two")
    await line.send(Later(after=5, reason="503"))

    line.clock.advance(4.9)
    assert await line.taken() == []
    line.clock.advance(0.2)
    assert await line.taken() == ["one"]


async def test_a_retry_has_the_same_key(line: "Line") -> None:
    await line.answer("c1", "hello")

    assert (await line.send(Later(after=0, reason="503"))).key == (await line.take()).key


async def test_a_conversation_that_moved_is_followed(line: "Line") -> None:
    await line.answer("c1", "hello")
    new = Address(account="acme", channel="c9")
    await line.send(Later(after=0, reason="moved", address=new))

    moved = await line.take()

    assert (moved.address, moved.conversation) == (new, "c1")


async def test_a_paused_account_sends_nothing_and_the_others_go_on(line: "Line") -> None:
    await line.answer("c1", "one")
    await line.send(Pause(after=300, reason="invalid token"))
    await line.answer("c2", "two")
    await line.answer("c3", "three", account="other")

    assert await line.taken() == ["three"]
    assert await line.store.reader.paused() == {"acme": "invalid token"}


async def test_a_pause_ends_by_itself(line: "Line") -> None:
    await line.answer("c1", "one")
    await line.send(Pause(after=300, reason="invalid token"))

    line.clock.advance(301)

    assert await line.store.reader.paused() == {}
    assert (await line.take()).attempt == 1


async def test_the_operator_ends_a_pause(line: "Line") -> None:
    await line.answer("c1", "one")
    await line.send(Pause(after=300, reason="invalid token"))

    await line.store.resume("acme")

    assert await line.taken() == ["one"]


async def test_a_pause_outlives_a_restart(line: "Line") -> None:
    await line.answer("c1", "one")
    await line.send(Pause(after=300, reason="invalid token"))

    await line.crash()

    assert await line.taken() == []


async def test_a_parked_delivery_lets_the_next_one_pass(line: "Line") -> None:
    await line.answer("c1", "one", "two")
    parked = await line.send(Parked(reason="refused: no such chat"))

    assert await line.taken() == ["two"]
    (row,) = await line.store.reader.parked(10)
    assert (row.id, row.kind, row.account, row.conversation) == (f"d{parked.id}", "delivery", "acme", "c1")
    assert row.reason == "refused: no such chat"


async def test_the_next_one_leaves_at_the_conversations_pace(line: "Line") -> None:
    await line.answer("c1", "one", "two")
    await line.answer("c2", "three")
    first = await line.store.take(10)
    for delivery in first:
        await line.store.settle(delivery, SENT, pace=3.0)

    assert await line.taken() == []
    line.clock.advance(3)
    assert await line.taken() == ["two"]


@pytest.mark.parametrize(
    "decision", [SENT, Later(after=0, reason="503"), Pause(after=60, reason="401"), Parked(reason="refused")]
)
async def test_whoever_was_too_slow_settles_nothing(line: "Line", decision: Decision) -> None:
    await line.answer("c1", "one", "two")
    slow = await line.take()
    line.clock.advance(16)
    await line.store.sweep()
    current = await line.take()

    await line.store.settle(slow, decision)

    assert current.key == slow.key
    assert await line.taken() == []
    assert await line.store.reader.paused() == {}
    await line.store.settle(current, SENT)
    assert await line.taken() == ["two"]


async def test_a_delivery_is_settled_once(line: "Line") -> None:
    event = await line.answer("c1", "one")
    delivery = await line.send(SENT)

    await line.store.settle(delivery, Later(after=0, reason="503"))

    assert await line.taken() == []
    assert [sent.ids for sent in await line.store.replies(event) or ()] == [("p1",)]


async def test_a_sender_has_fifteen_seconds(line: "Line") -> None:
    await line.answer("c1", "one")
    await line.take()
    line.clock.advance(14.9)
    assert await line.store.sweep() == 0
    line.clock.advance(0.2)

    assert await line.store.sweep() == 1

    assert (await line.take()).attempt == 2


INTERRUPTED: list[tuple[str, dict[str, Any], float, bool]] = [
    ("keyed, inside the window", {"window": 60.0, "sure_for": 0.0}, 59.0, True),
    ("keyed, outside it, long ago", {"window": 60.0, "sure_for": 0.0}, 61.0, False),
    ("keyed, outside it, recent", {"window": 60.0}, 61.0, True),
    ("unkeyed, recent", {}, 599.0, True),
    ("unkeyed, long ago", {}, 601.0, False),
    ("broadcast, unkeyed", {"cls": "broadcast"}, 0.0, False),
    ("broadcast, inside the window", {"cls": "broadcast", "window": 60.0}, 59.0, True),
    ("broadcast, outside it", {"cls": "broadcast", "window": 60.0}, 61.0, False),
]


@pytest.mark.parametrize(
    ("facts", "later", "again"), [row[1:] for row in INTERRUPTED], ids=[row[0] for row in INTERRUPTED]
)
async def test_a_send_that_was_interrupted_is_repeated_or_held(
    line: "Line", facts: dict[str, Any], later: float, again: bool
) -> None:
    await line.answer("c1", "one", **facts)
    await line.answer("c1", "two")
    interrupted = await line.take()
    line.clock.advance(max(0.0, later - line.database.takeover))

    await line.crash()

    taken = await line.take()
    assert (taken.key == interrupted.key) is again
    assert [row.id for row in await line.store.reader.parked(10)] == ([] if again else [f"d{interrupted.id}"])


async def test_a_held_send_says_that_it_may_have_arrived(line: "Line") -> None:
    await line.answer("c1", "news", cls="broadcast")
    await line.take()

    await line.crash()

    (row,) = await line.store.reader.parked(10)
    assert row.reason.startswith("unsure")


async def test_what_was_not_yet_taken_is_not_held_by_a_crash(line: "Line") -> None:
    await line.answer("c1", "news", cls="broadcast")

    await line.crash()

    assert await line.taken() == ["news"]


async def test_who_waits_for_deliveries_has_them_when_they_come(line: "Line") -> None:
    assert await line.store.take(10) == []
    waiting = asyncio.create_task(line.store.take(10, patience=60))
    await line.answer("c1", "one")

    taken = await waiting or await line.store.take(10)  # the suite's time limit says whether it slept

    assert [delivery.conversation for delivery in taken] == ["c1"]
