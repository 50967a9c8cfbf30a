"""What an operator sees and does: parked work and its way back, a message's life, and how much waits."""

from typing import TYPE_CHECKING

import pytest

from dragoman.model import Message, Say
from dragoman.store.base import Depths, Later, Parked, Pause, Settled

if TYPE_CHECKING:
    from tests.store.conftest import Line


async def park_event(line: "Line", conversation: str = "c1") -> int:
    accepted = await line.accept(conversation)
    for _ in range(5):
        await line.store.retry(await line.claim(), 0, "ValueError")
    return accepted.id


async def test_a_redriven_event_gets_its_turn(line: "Line") -> None:
    event = await park_event(line)

    assert await line.store.redrive(f"e{event}") == "event"

    claim = await line.claim()
    assert (claim.events[0].id, claim.attempt) == (event, 1)
    await line.commit(claim)
    assert await line.store.reader.status(event) == "done"
    assert await line.store.reader.parked(10) == []


async def test_a_redriven_event_comes_before_those_that_wait(line: "Line") -> None:
    event = await park_event(line)
    waiting = await line.accept()
    await line.store.redrive(f"e{event}")

    order = []
    for _ in range(2):
        claim = await line.claim()
        order.append(claim.events[0].id)
        await line.commit(claim)

    assert order == [event, waiting.id]


@pytest.mark.parametrize("end", ["commit", "retry"])
async def test_an_event_redriven_during_a_turn_of_its_conversation_is_not_lost(line: "Line", end: str) -> None:
    event = await park_event(line)
    other = await line.accept()
    running = await line.claim()
    await line.store.redrive(f"e{event}")
    if end == "commit":
        await line.commit(running)
    else:
        await line.store.retry(running, 0, "ValueError")

    while claims := await line.store.claim(10):
        await line.commit(claims[0])

    assert [await line.store.reader.status(number) for number in (event, other.id)] == ["done", "done"]


async def test_a_redriven_event_that_fails_again_is_parked_again(line: "Line") -> None:
    event = await park_event(line)
    await line.store.redrive(f"e{event}")
    for _ in range(5):
        await line.store.retry(await line.claim(), 0, "TypeError")

    (row,) = await line.store.reader.parked(10)

    assert row.reason == "failed 5 times: TypeError"


async def test_a_redriven_delivery_is_sent_under_its_old_key(line: "Line") -> None:
    await line.answer("c1", "one")
    parked = await line.send(Parked(reason="refused"))
    line.clock.advance(90_000)

    assert await line.store.redrive(f"d{parked.id}") == "delivery"

    delivery = await line.send()
    assert (delivery.key, delivery.attempt) == (parked.key, 1)
    assert delivery.not_after > line.clock()
    assert await line.store.reader.parked(10) == []


async def test_a_redriven_delivery_takes_its_old_place(line: "Line") -> None:
    await line.answer("c1", "one", "two", "three")
    parked = await line.send(Parked(reason="refused"))
    await line.store.redrive(f"d{parked.id}")

    sent = [(await line.send()).action for _ in range(3)]

    assert sent == [Say(message=Message(text=text)) for text in ("one", "two", "three")]


async def test_a_redriven_delivery_waits_for_the_one_under_way(line: "Line") -> None:
    await line.answer("c1", "one", "two")
    parked = await line.send(Parked(reason="refused"))
    under_way = await line.take()

    await line.store.redrive(f"d{parked.id}")

    assert await line.taken() == []
    await line.store.settle(under_way, Settled())
    assert await line.taken() == ["one"]


async def test_a_parked_payload_is_kept_as_it_came(line: "Line") -> None:
    raw = bytes(range(256))
    name = await line.store.park("acme", raw, "not the documented JSON")
    await line.crash()

    assert await line.store.reader.payload(name) == ("acme", raw)
    (row,) = await line.store.reader.parked(10)
    assert (row.id, row.kind, row.account, row.reason) == (name, "payload", "acme", "not the documented JSON")


async def test_a_payload_that_was_read_anew_is_gone(line: "Line") -> None:
    name = await line.store.park("acme", b"{}", "odd")

    assert await line.store.redrive(name) == "payload"
    assert await line.store.reader.payload(name) is None
    with pytest.raises(LookupError):
        await line.store.redrive(name)


@pytest.mark.parametrize("name", ["", "e", "e0", "e99", "d99", "p99", "x1", "1", "e1", "e-1", "e1.5", "e" + "9" * 40])
async def test_what_is_not_parked_is_not_redriven(line: "Line", name: str) -> None:
    await line.accept()

    with pytest.raises(LookupError):
        await line.store.redrive(name)
    assert len(await line.claimed()) == 1


async def test_a_sent_delivery_is_not_redriven(line: "Line") -> None:
    await line.answer("c1", "one")
    delivery = await line.send()

    with pytest.raises(LookupError):
        await line.store.redrive(f"d{delivery.id}")


async def test_what_is_parked_is_listed_newest_first(line: "Line") -> None:
    event = await park_event(line)
    line.clock.advance(1)
    payload = await line.store.park("acme", b"{}", "odd")
    line.clock.advance(1)
    await line.answer("c2", "one")
    delivery = await line.send(Parked(reason="refused"))

    names = [row.id for row in await line.store.reader.parked(10)]

    assert names == [f"d{delivery.id}", payload, f"e{event}"]
    assert [row.id for row in await line.store.reader.parked(1)] == names[:1]


async def test_a_trace_tells_the_six_stages_of_a_message(line: "Line") -> None:
    began = line.clock()
    accepted = await line.accept(key="k1")
    claim = await line.claim()
    line.clock.advance(1)
    await line.commit(claim, "hello")
    line.clock.advance(1)
    delivery = await line.send(Settled(ids=("m77",)))

    trace = await line.store.reader.trace(f"e{accepted.id}")

    assert trace is not None
    assert (trace.account, trace.conversation, trace.kind, trace.key) == ("acme", "c1", "message", "k1")
    assert (trace.status, trace.duplicates) == ("done", 0)
    assert [(stage.name, stage.at) for stage in trace.stages] == [
        ("receive", began),
        ("authenticate", began),
        ("parse", began),
        ("route", began + 1),
        ("respond", began + 1),
        ("deliver", began + 2),
    ]
    assert trace.stages[3].outcome == "test"
    assert f"d{delivery.id} sent" in trace.stages[5].outcome
    assert "m77" in trace.stages[5].outcome


@pytest.mark.parametrize("by", ["number", "key", "message", "delivery"])
async def test_a_message_is_found_by_any_of_its_names(line: "Line", by: str) -> None:
    accepted = await line.accept(key="C1:k1", message_id="1700000000.000100")
    await line.accept("c2")
    claims = {claim.conversation: claim for claim in await line.store.claim(10)}
    await line.commit(claims["c1"], "hello")
    delivery = await line.take()
    names = {"number": f"e{accepted.id}", "key": "C1:k1", "message": "1700000000.000100", "delivery": f"d{delivery.id}"}

    trace = await line.store.reader.trace(names[by])

    assert trace is not None
    assert trace.id == f"e{accepted.id}"


@pytest.mark.parametrize("name", ["", "e99", "d99", "nothing of ours"])
async def test_what_never_came_has_no_trace(line: "Line", name: str) -> None:
    await line.accept()

    assert await line.store.reader.trace(name) is None


async def test_the_trace_of_a_waiting_message_ends_where_it_waits(line: "Line") -> None:
    accepted = await line.accept()

    trace = await line.store.reader.trace(f"e{accepted.id}")

    assert trace is not None
    assert trace.status == "waiting"
    assert [stage.at for stage in trace.stages[3:]] == [None, None, None]


async def test_the_trace_of_a_parked_message_says_why(line: "Line") -> None:
    event = await park_event(line)

    trace = await line.store.reader.trace(f"e{event}")

    assert trace is not None
    assert trace.status == "parked"
    assert trace.stages[3].outcome == "failed 5 times: ValueError"


async def test_a_trace_counts_the_repeats(line: "Line") -> None:
    for _ in range(3):
        await line.accept(key="k1")

    trace = await line.store.reader.trace("k1")

    assert trace is not None
    assert trace.duplicates == 2


async def test_a_trace_tells_every_delivery_and_why_it_waits(line: "Line") -> None:
    event = await line.answer("c1", "one", "two")
    await line.send(Later(after=60, reason="503"))

    trace = await line.store.reader.trace(f"e{event}")

    assert trace is not None
    assert [stage.name for stage in trace.stages[5:]] == ["deliver", "deliver"]
    assert "503" in trace.stages[5].outcome


async def test_the_status_of_an_event_follows_its_life(line: "Line") -> None:
    accepted = await line.accept()
    assert await line.store.reader.status(accepted.id) == "waiting"

    await line.commit(await line.claim())

    assert await line.store.reader.status(accepted.id) == "done"
    assert await line.store.reader.status(99) == ""


async def test_nothing_waits_in_a_new_store(line: "Line") -> None:
    assert await line.store.reader.depths() == Depths()


async def test_depths_count_what_waits_and_what_is_parked(line: "Line") -> None:
    await park_event(line, "c9")
    await line.store.park("acme", b"{}", "odd")
    await line.answer("c1", "one", "two", "three")
    await line.send()
    await line.accept("c1")
    await line.accept("c1")
    line.clock.advance(5)

    assert await line.store.reader.depths() == Depths(inbox=2, outbox=2, parked=2, oldest=5.0)


async def test_a_running_turn_still_counts_as_waiting(line: "Line") -> None:
    await line.accept()
    await line.claim()

    assert (await line.store.reader.depths()).inbox == 1


async def test_the_oldest_is_the_one_that_waits_longest(line: "Line") -> None:
    await line.accept("c1")
    line.clock.advance(10)
    await line.accept("c2")
    line.clock.advance(10)
    await line.accept("c1")
    line.clock.advance(10)
    for claim in await line.store.claim(10):
        await line.commit(claim)

    assert await line.store.reader.depths() == Depths(inbox=1, oldest=10.0)


async def test_the_oldest_is_found_behind_events_that_want_no_turn(line: "Line") -> None:
    await line.accept("c1")
    await line.accept("c1", kind="edit", wants_turn=False)
    line.clock.advance(10)
    await line.accept("c1")
    await line.commit(await line.claim())
    line.clock.advance(5)

    assert (await line.store.reader.depths()).oldest == 5.0


async def test_a_new_pause_has_the_new_reason(line: "Line") -> None:
    await line.answer("c1", "one")
    await line.send(Pause(after=10, reason="first"))
    line.clock.advance(11)
    await line.send(Pause(after=10, reason="second"))

    assert await line.store.reader.paused() == {"acme": "second"}
