"""Broadcasts in a store: each recipient once, what became of them, and what a crash, a pause or an opt-out leaves."""

from typing import TYPE_CHECKING, Any, Final

import pytest

from dragoman.model import OPTED_OUT, Address, Message, Say
from dragoman.store.base import Later, Memory, Outgoing, Parked
from dragoman.store.broadcasts import Broadcast, Fate, Prepared, Recipient, key

if TYPE_CHECKING:
    from tests.store.conftest import Line

HOUR: Final = 3600.0


def recipient(channel: str, account: str = "acme", **facts: Any) -> Recipient:
    return Recipient(conversation=f"{account}/{channel}", address=Address(account=account, channel=channel), **facts)


def recipients(*channels: str) -> list[Recipient]:
    return [recipient(channel) for channel in channels]


async def scheduled(line: "Line", *channels: str, start_at: float = 0.0) -> Broadcast:
    broadcasts = line.store.broadcasts
    number = await broadcasts.create("news", Message(text="hello"), start_at)
    await broadcasts.add(number, recipients(*channels))
    return await broadcasts.ready(number)


async def running(line: "Line", *channels: str) -> Broadcast:
    broadcast = await scheduled(line, *channels)
    await line.store.broadcasts.start(HOUR)
    return broadcast


def prepared(broadcast: Broadcast, to: Recipient, *texts: str, window: float = 0.0, **facts: Any) -> Prepared:
    outgoing = tuple(
        Outgoing(
            key=key(broadcast.id, broadcast.mark, to.n, chunk),
            action=Say(message=Message(text=text)),
            address=to.address,
            cls="broadcast",
            window=window,
            sure_for=0.0,
        )
        for chunk, text in enumerate(texts or (f"to {to.address.channel}",))
    )
    return Prepared(n=to.n, outgoing=outgoing, people=(to.person,), **facts)


async def feed(line: "Line", broadcast: Broadcast, limit: int = 10, *texts: str, **facts: Any) -> dict[Fate, int]:
    """Queue the next recipients as a feeder does."""
    following = await line.store.broadcasts.next(broadcast.id, "acme", limit)
    counts = await line.store.broadcasts.queue(
        broadcast.id, [prepared(broadcast, each, *texts, **facts) for each in following]
    )
    return {state: count for state, count in counts.items() if count}


async def counts(line: "Line", broadcast: Broadcast) -> dict[Fate, int]:
    report = await line.store.broadcasts.report(broadcast.id)
    assert report is not None
    return {state: count for state, count in report.counts.items() if count}


async def state(line: "Line", broadcast: Broadcast) -> str:
    report = await line.store.broadcasts.report(broadcast.id)
    assert report is not None
    return report.broadcast.state


async def test_every_recipient_gets_it_in_order_and_the_broadcast_ends(line: "Line") -> None:
    broadcast = await running(line, "a", "b", "c")
    assert await feed(line, broadcast) == {"queued": 3}

    assert await line.taken() == ["to a", "to b", "to c"]


async def test_what_became_of_each_is_read_from_the_outbox(line: "Line") -> None:
    broadcast = await running(line, "a", "b", "c", "d")
    await feed(line, broadcast)
    taken = {delivery.address.channel: delivery for delivery in await line.store.take(10)}
    await line.settle(taken["a"])
    await line.settle(taken["b"], Parked(reason="refused: blocked"))
    await line.settle(taken["c"], Parked(reason="unsure: read timeout; it may have arrived"))

    assert dict(await line.store.broadcasts.collect()) == {"sent": 1, "failed": 1, "unknown": 1}

    assert await counts(line, broadcast) == {"sent": 1, "failed": 1, "unknown": 1, "queued": 1}
    assert await line.store.broadcasts.finish() == []
    await line.settle(taken["d"])
    await line.store.broadcasts.collect()
    assert await line.store.broadcasts.finish() == [broadcast.id]
    assert await state(line, broadcast) == "done"
    (failed,) = await line.store.broadcasts.recipients(broadcast.id, ["failed"], 0, 10)
    assert (failed.n, failed.reason, failed.parked) == (2, "refused: blocked", f"d{taken['b'].id}")


async def test_a_recipient_named_twice_gets_it_once(line: "Line") -> None:
    broadcasts = line.store.broadcasts
    number = await broadcasts.create("news", Message(text="hello"), 0)

    assert await broadcasts.add(number, recipients("a", "b", "a")) == 2
    assert await broadcasts.add(number, recipients("b", "c")) == 1

    broadcast = await broadcasts.ready(number)
    await broadcasts.start(HOUR)
    await feed(line, broadcast)
    assert (broadcast.total, await line.taken()) == (3, ["to a", "to b", "to c"])


async def test_a_place_named_with_and_without_its_workspace_is_one_recipient(line: "Line") -> None:
    number = await line.store.broadcasts.create("news", Message(text="hello"), 0)
    whole = Address(account="acme", workspace="T1", channel="a")

    added = await line.store.broadcasts.add(
        number, [recipient("a"), Recipient(conversation="acme/T1/a", address=whole), recipient("b")]
    )

    assert added == 2


async def test_a_broadcast_that_is_not_prepared_to_the_end_sends_nothing(line: "Line") -> None:
    number = await line.store.broadcasts.create("news", Message(text="hello"), 0)
    await line.store.broadcasts.add(number, recipients("a"))
    await line.crash()

    assert await line.store.broadcasts.start(HOUR) == []
    assert await line.store.broadcasts.active() == []


async def test_nothing_is_added_once_it_is_ready(line: "Line") -> None:
    broadcast = await scheduled(line, "a")

    with pytest.raises(LookupError):
        await line.store.broadcasts.add(broadcast.id, recipients("b"))
    with pytest.raises(LookupError):
        await line.store.broadcasts.ready(broadcast.id)


async def test_two_feeders_of_the_same_recipients_queue_each_once(line: "Line") -> None:
    broadcast = await running(line, "a", "b")
    following = await line.store.broadcasts.next(broadcast.id, "acme", 10)
    both = [prepared(broadcast, each) for each in following]

    first = await line.store.broadcasts.queue(broadcast.id, both)
    second = await line.store.broadcasts.queue(broadcast.id, both)

    assert (first["queued"], second["queued"]) == (2, 0)
    assert await line.taken() == ["to a", "to b"]


async def test_a_crash_goes_on_at_the_first_that_waits(line: "Line") -> None:
    broadcast = await running(line, "a", "b", "c")
    await feed(line, broadcast, 1)
    await line.send()
    await feed(line, broadcast, 1)
    await line.crash()

    assert [each.address.channel for each in await line.store.broadcasts.next(broadcast.id, "acme", 9)] == ["c"]
    assert await line.taken() == ["to b"]


async def test_a_send_that_a_crash_interrupted_is_unknown_and_not_repeated(line: "Line") -> None:
    broadcast = await running(line, "a")
    await feed(line, broadcast)
    await line.take()
    await line.crash()

    await line.store.broadcasts.collect()

    assert await line.taken() == []
    assert await counts(line, broadcast) == {"unknown": 1}


async def test_a_send_with_a_key_that_a_crash_interrupted_is_repeated(line: "Line") -> None:
    broadcast = await running(line, "a")
    await feed(line, broadcast, window=HOUR)
    before = await line.take()
    await line.crash()

    assert (await line.take()).key == before.key


async def test_a_redriven_unknown_that_is_sent_counts_as_sent(line: "Line") -> None:
    broadcast = await running(line, "a")
    await feed(line, broadcast)
    delivery = await line.send(Parked(reason="unsure: no answer"))
    await line.store.broadcasts.collect()
    await line.store.broadcasts.finish()

    await line.store.redrive(f"d{delivery.id}")

    assert await counts(line, broadcast) == {"queued": 1}
    await line.send()
    await line.store.broadcasts.collect()
    assert await counts(line, broadcast) == {"sent": 1}


async def test_a_pause_withdraws_what_was_not_tried_and_resuming_sends_it_once(line: "Line") -> None:
    broadcast = await running(line, "a", "b", "c")
    await feed(line, broadcast)
    under_way = (await line.store.take(1))[0]

    assert await line.store.broadcasts.change(broadcast.id, "paused")

    assert await line.taken() == []
    assert await counts(line, broadcast) == {"queued": 1, "waiting": 2}
    assert await feed(line, broadcast) == {}
    await line.settle(under_way)
    assert await line.store.broadcasts.change(broadcast.id, "running")
    assert await feed(line, broadcast) == {"queued": 2}
    assert await line.taken() == ["to b", "to c"]


async def test_a_pause_does_not_withdraw_what_may_have_arrived(line: "Line") -> None:
    broadcast = await running(line, "a")
    await feed(line, broadcast, window=HOUR)
    await line.send(Later(after=5, reason="unsure: no answer"))

    await line.store.broadcasts.change(broadcast.id, "paused")

    assert await counts(line, broadcast) == {"queued": 1}


async def test_a_delivery_that_only_waited_for_its_pace_is_withdrawn(line: "Line") -> None:
    broadcast = await running(line, "a")
    await feed(line, broadcast)
    await line.send(Later(after=5, reason="the platform's pace", attempted=False))

    await line.store.broadcasts.change(broadcast.id, "paused")

    assert await counts(line, broadcast) == {"waiting": 1}


async def test_a_reply_behind_a_withdrawn_delivery_leaves(line: "Line") -> None:
    broadcast = await running(line, "a")
    await feed(line, broadcast)
    await line.answer("acme/a", "reply")

    await line.store.broadcasts.change(broadcast.id, "paused")

    assert await line.taken() == ["reply"]


async def test_a_reply_and_a_broadcast_share_the_lane_of_their_conversation(line: "Line") -> None:
    broadcast = await running(line, "a")
    await line.answer("acme/a", "reply")
    await feed(line, broadcast)

    reply = await line.take()
    assert await line.taken() == []
    await line.settle(reply)

    assert await line.taken() == ["to a"]


async def test_an_aborted_broadcast_sends_nothing_more(line: "Line") -> None:
    broadcast = await running(line, "a", "b")
    await feed(line, broadcast)

    assert await line.store.broadcasts.change(broadcast.id, "aborted")

    assert await line.taken() == []
    assert not await line.store.broadcasts.change(broadcast.id, "running")
    assert (await state(line, broadcast), await counts(line, broadcast)) == ("aborted", {"waiting": 2})


async def test_who_opted_out_is_skipped_even_between_reading_and_queueing(line: "Line") -> None:
    broadcast = await running(line, "a", "b")
    following = await line.store.broadcasts.next(broadcast.id, "acme", 10)
    await line.accept("x")
    await line.commit(await line.claim(), memories=(Memory(person="acme//a", key=OPTED_OUT, value=True),))
    items = [
        prepared(broadcast, recipient(each.address.channel, n=each.n, person=f"acme//{each.address.channel}"))
        for each in following
    ]

    await line.store.broadcasts.queue(broadcast.id, items)

    assert await line.taken() == ["to b"]
    (skipped,) = await line.store.broadcasts.recipients(broadcast.id, ["skipped"], 0, 10)
    assert (skipped.address.channel, skipped.reason) == ("a", "opted out")


async def test_who_opted_in_again_is_not_skipped(line: "Line") -> None:
    broadcast = await running(line, "a")
    await line.accept("x")
    await line.commit(await line.claim(), memories=(Memory(person="acme//a", key=OPTED_OUT, value=False),))
    item = prepared(broadcast, recipient("a", n=1, person="acme//a"))

    assert (await line.store.broadcasts.queue(broadcast.id, [item]))["queued"] == 1


async def test_a_recipient_that_cannot_be_reached_fails_without_a_delivery(line: "Line") -> None:
    broadcast = await running(line, "a")

    await line.store.broadcasts.queue(broadcast.id, [Prepared(n=1, state="failed", reason="no such account")])

    (failed,) = await line.store.broadcasts.recipients(broadcast.id, ["failed"], 0, 10)
    assert (failed.reason, await line.store.broadcasts.finish()) == ("no such account", [broadcast.id])


async def test_a_recipient_for_whom_nothing_is_left_to_say_does_not_stop_the_others(line: "Line") -> None:
    broadcast = await running(line, "a", "b")

    counts = await line.store.broadcasts.queue(
        broadcast.id, [Prepared(n=1), prepared(broadcast, recipient("b", n=2, person="acme//b"))]
    )

    assert counts["queued"] == 2
    assert await line.taken() == ["to b"]


async def test_a_message_in_parts_is_sent_when_all_parts_are(line: "Line") -> None:
    broadcast = await running(line, "a")
    await feed(line, broadcast, 1, "one", "two")

    await line.send()
    assert not await line.store.broadcasts.collect()
    await line.send()

    assert dict(await line.store.broadcasts.collect()) == {"sent": 1}


async def test_a_message_of_which_a_part_is_refused_has_failed(line: "Line") -> None:
    broadcast = await running(line, "a")
    await feed(line, broadcast, 1, "one", "two")
    await line.send()
    await line.send(Parked(reason="refused: too long"))

    await line.store.broadcasts.collect()

    (failed,) = await line.store.broadcasts.recipients(broadcast.id, ["failed"], 0, 10)
    assert failed.reason == "refused: too long (1 of 2 parts were sent)"


async def test_it_starts_at_its_time(line: "Line") -> None:
    broadcast = await scheduled(line, "a", start_at=line.clock() + 600)

    await line.store.broadcasts.start(HOUR)
    assert await state(line, broadcast) == "scheduled"
    assert await feed(line, broadcast) == {}
    line.clock.advance(601)
    await line.store.broadcasts.start(HOUR)

    assert await state(line, broadcast) == "running"


async def test_one_that_is_paused_before_its_time_waits_for_it_when_resumed(line: "Line") -> None:
    broadcast = await scheduled(line, "a", start_at=line.clock() + 600)
    await line.store.broadcasts.change(broadcast.id, "paused")
    line.clock.advance(10)

    await line.store.broadcasts.change(broadcast.id, "running")

    assert await state(line, broadcast) == "scheduled"


async def test_a_start_that_is_missed_by_more_than_its_limit_is_not_made_up(line: "Line") -> None:
    late = await scheduled(line, "a", start_at=line.clock() + 600)
    in_time = await scheduled(line, "a", start_at=line.clock() + 1200)
    line.clock.advance(600 + HOUR)

    assert [broadcast.id for broadcast in await line.store.broadcasts.start(HOUR)] == [late.id]

    assert (await state(line, late), await state(line, in_time)) == ("missed", "running")
    assert await line.store.broadcasts.start(HOUR) == []


async def test_outstanding_recipients_are_counted_by_account(line: "Line") -> None:
    broadcasts = line.store.broadcasts
    number = await broadcasts.create("news", Message(text="hello"), 0)
    await broadcasts.add(number, [*recipients("a", "b"), recipient("z", "team")])
    broadcast = await broadcasts.ready(number)
    await broadcasts.start(HOUR)
    await feed(line, broadcast)

    assert dict(await broadcasts.outstanding()) == {"acme": 2}
    assert broadcast.accounts == ("acme", "team")
    assert [each.address.channel for each in await broadcasts.next(number, "team", 5)] == ["z"]


async def test_the_newest_broadcasts_are_listed_first(line: "Line") -> None:
    first, second = await scheduled(line, "a"), await scheduled(line, "a", "b")

    reports = await line.store.broadcasts.listed(10)

    assert [(report.broadcast.id, report.counts) for report in reports] == [
        (second.id, {"waiting": 2}),
        (first.id, {"waiting": 1}),
    ]


async def test_what_people_wrote_is_read_newest_first(line: "Line") -> None:
    first, second = await line.accept("a"), await line.accept("b")
    await line.accept("a", kind="reaction", wants_turn=False)

    (newest,) = await line.store.broadcasts.written(0, 1)
    (oldest,) = await line.store.broadcasts.written(newest.id, 10)

    assert (newest.id, newest.event.conversation, oldest.id) == (second.id, "b", first.id)


async def test_old_recipients_are_pruned_and_their_numbers_stay(line: "Line") -> None:
    broadcast = await running(line, "a", "b")
    await feed(line, broadcast)
    sent, refused = await line.store.take(10)
    await line.settle(sent)
    await line.settle(refused, Parked(reason="refused: blocked"))
    await line.store.broadcasts.collect()
    await line.store.broadcasts.finish()
    line.clock.advance(1000)

    await line.store.prune(line.clock() - 10, line.clock() - 10)

    assert await counts(line, broadcast) == {"sent": 1, "failed": 1}
    assert await line.store.broadcasts.recipients(broadcast.id, ["sent", "failed"], 0, 10) == []
    assert await line.store.reader.parked(10) == []


async def test_one_left_while_it_was_prepared_is_pruned(line: "Line") -> None:
    number = await line.store.broadcasts.create("news", Message(text="hello"), 0)
    await line.store.broadcasts.add(number, recipients("a"))
    line.clock.advance(1000)

    await line.store.prune(line.clock() - 10, line.clock() - 10)

    report = await line.store.broadcasts.report(number)
    assert report is not None
    assert report.broadcast.state == "aborted"


async def test_there_is_no_report_of_a_broadcast_that_is_not_there(line: "Line") -> None:
    assert await line.store.broadcasts.report(77) is None
    assert not await line.store.broadcasts.change(77, "paused")


async def test_what_a_broadcast_said_is_in_the_history_where_it_was_said(line: "Line") -> None:
    await line.accept("acme/a", text="hello")
    await line.commit(await line.claim(), "hi")
    await line.send()
    line.clock.advance(1)
    broadcast = await running(line, "a", "b")
    await feed(line, broadcast)
    line.clock.advance(1)
    await line.accept("acme/a", text="thanks")

    told = await line.store.reader.history("acme/a", 10)
    alone = await line.store.reader.history("acme/b", 10)

    assert [said.text for said in told] == ["hello", "hi", "to a", "thanks"]
    assert [(said.by, said.text) for said in alone] == [("bot", "to b")]
    assert [said.text for said in await line.store.reader.history("acme/a", 2)] == ["to a", "thanks"]
