"""Replies that belong into a response: withheld, fetched by one request, and given back for the later path."""

import asyncio
from typing import TYPE_CHECKING

import pytest

from dragoman.store.base import Decision, Later, Parked, Pause, Settled

if TYPE_CHECKING:
    from tests.store.conftest import Line


async def test_a_withheld_reply_is_left_alone_until_its_time(line: "Line") -> None:
    await line.answer("c1", "hello", hold=30.0)

    line.clock.advance(29.9)
    assert await line.taken() == []
    line.clock.advance(0.2)
    assert await line.taken() == ["hello"]


async def test_the_request_that_waits_gets_all_replies_at_once(line: "Line") -> None:
    event = await line.answer("c1", "one", "two", hold=30.0)

    replies = await line.store.reply(event)

    assert [reply.key for reply in replies] == sorted(reply.key for reply in replies)
    assert len(replies) == 2


async def test_a_second_request_takes_none_and_reads_none_while_the_first_writes_them(line: "Line") -> None:
    event = await line.answer("c1", "hello", hold=30.0)
    await line.store.reply(event)

    assert await line.store.reply(event) == []
    assert await line.store.replies(event) is None
    line.clock.advance(31)
    assert await line.taken() == []


async def test_a_repeat_reads_what_was_written(line: "Line") -> None:
    event = await line.answer("c1", "one", "two", hold=30.0)
    for reply in await line.store.reply(event):
        await line.store.settle(reply, Settled())

    again = await line.store.replies(event) or ()

    assert [reply.key for reply in again] == sorted(reply.key for reply in again)
    assert len(again) == 2
    assert await line.store.reply(event) == []


async def test_only_the_replies_to_this_event_are_given(line: "Line") -> None:
    event = await line.answer("c1", "one", hold=30.0)
    other = await line.answer("c2", "two", hold=30.0)

    await line.store.reply(event)

    assert len(await line.store.reply(other)) == 1


async def test_a_reply_that_waits_for_the_later_path_can_still_be_asked_for(line: "Line") -> None:
    event = await line.answer("c1", "hello")

    assert len(await line.store.reply(event)) == 1
    assert await line.taken() == []


async def test_a_repeat_reads_what_was_parked_since(line: "Line") -> None:
    event = await line.answer("c1", "hello")
    await line.send(Parked(reason="nobody asked"))

    assert [reply.key for reply in await line.store.replies(event) or ()] != []


async def test_what_is_handed_back_takes_the_later_path_and_counts_no_attempt(line: "Line") -> None:
    event = await line.answer("c1", "hello", hold=30.0)
    await line.store.hand_back(await line.store.reply(event))

    assert await line.taken() == []
    line.clock.advance(30)
    assert (await line.take()).attempt == 1


async def test_what_is_handed_back_may_be_fetched_by_another_request(line: "Line") -> None:
    event = await line.answer("c1", "hello", hold=30.0)
    first = await line.store.reply(event)
    await line.store.hand_back(first)

    second = await line.store.reply(event)
    await line.store.settle(first[0], Parked(reason="late"))

    assert [reply.key for reply in second] == [first[0].key]
    await line.store.settle(second[0], Settled())
    assert len(await line.store.replies(event) or ()) == 1


async def test_replies_are_read_when_the_last_of_them_is_settled(line: "Line") -> None:
    event = await line.answer("c1", "one", "two", hold=30.0)

    assert await line.store.replies(event) is None
    first, second = await line.store.reply(event)
    await line.store.settle(first, Settled())
    assert await line.store.replies(event) is None
    await line.store.hand_back([second])
    assert await line.store.replies(event) is None
    (second,) = await line.store.reply(event)
    await line.store.settle(second, Parked(reason="late"))
    assert [reply.key for reply in await line.store.replies(event) or ()] == [first.key, second.key]


async def test_replies_that_were_handed_back_leave_in_order_and_one_at_a_time(line: "Line") -> None:
    event = await line.answer("c1", "one", "two", hold=30.0)
    await line.store.hand_back(await line.store.reply(event))
    line.clock.advance(30)

    assert await line.taken() == ["one"]
    assert await line.taken() == []


async def test_replies_of_a_process_that_died_while_writing_leave_one_at_a_time(line: "Line") -> None:
    event = await line.answer("c1", "one", "two", hold=30.0)
    await line.store.reply(event)
    await line.crash()
    line.clock.advance(30)

    assert await line.taken() == ["one"]
    assert await line.taken() == []


async def test_the_reply_to_a_finished_event_is_there_at_once(line: "Line") -> None:
    event = await line.answer("c1", "hello", hold=30.0)

    assert await line.store.finished(event, 60)


async def test_an_event_that_was_pruned_is_over(line: "Line") -> None:
    assert await line.store.finished(12, 60)


async def test_waiting_for_a_turn_ends_with_its_commit(line: "Line") -> None:
    accepted = await line.accept()
    waiters = [asyncio.create_task(line.store.finished(accepted.id, 60)) for _ in range(2)]
    await line.commit(await line.claim())

    assert await asyncio.gather(*waiters) == [True, True]


async def test_waiting_for_a_turn_ends_when_its_event_is_parked(line: "Line") -> None:
    accepted = await line.accept()
    waiter = asyncio.create_task(line.store.finished(accepted.id, 60))
    for _ in range(5):
        await line.store.retry(await line.claim(), 0, "ValueError")

    assert await waiter
    assert await line.store.reader.status(accepted.id) == "parked"


async def test_waiting_for_a_turn_ends_when_the_time_is_up(line: "Line") -> None:
    accepted = await line.accept()

    assert not await line.store.finished(accepted.id, 0.01)
    assert await line.claimed() == ["c1"]


async def test_a_reply_that_is_handed_back_out_of_turn_leaves_the_lane_open(line: "Line") -> None:
    await line.answer("c1", "zero")
    await line.answer("c1", "one")
    held = await line.answer("c1", "two", hold=30.0)
    under_way = await line.take()
    taken = await line.store.reply(held)

    await line.settle(under_way)
    await line.store.hand_back(taken)

    assert await line.taken() == ["one"]


@pytest.mark.parametrize("decision", [Later(after=0, reason="503"), Pause(after=0, reason="401")])
async def test_a_reply_that_is_put_off_out_of_turn_leaves_the_lane_open(line: "Line", decision: Decision) -> None:
    await line.answer("c1", "zero")
    await line.answer("c1", "one")
    held = await line.answer("c1", "two", hold=30.0)
    under_way = await line.take()
    (taken,) = await line.store.reply(held)

    await line.settle(under_way)
    await line.settle(taken, decision)

    assert await line.taken() == ["one"]
