"""Pruning: what is settled and old goes, what is open stays, and the store stops growing."""

from typing import TYPE_CHECKING

from dragoman.store.base import Fresh, InDoubt, Later

if TYPE_CHECKING:
    from tests.store.conftest import Line

DAY = 86_400.0


async def prune(line: "Line", *, days: float = 90, raw_days: float = 7) -> int:
    now = line.clock()
    return await line.store.prune(now - days * DAY, now - raw_days * DAY)


async def test_what_is_settled_and_old_goes(line: "Line") -> None:
    event = await line.answer("c1", "hello")
    await line.send()
    line.clock.advance(91 * DAY)

    assert await prune(line) > 0

    assert await line.store.reader.status(event) == ""
    assert await line.store.replies(event) == []
    assert await line.store.reader.history("c1", 10) == []
    assert await prune(line) == 0


async def test_what_is_settled_and_young_stays(line: "Line") -> None:
    event = await line.answer("c1", "hello")
    await line.send()
    line.clock.advance(89 * DAY)

    await prune(line)

    assert await line.store.reader.status(event) == "done"
    assert len(await line.store.replies(event) or ()) == 1


async def test_only_what_is_old_goes(line: "Line") -> None:
    old = await line.answer("c1")
    line.clock.advance(91 * DAY)
    young = await line.answer("c1")

    await prune(line)

    assert [await line.store.reader.status(event) for event in (old, young)] == ["", "done"]


async def test_a_waiting_event_is_never_pruned(line: "Line") -> None:
    accepted = await line.accept()
    line.clock.advance(1000 * DAY)

    await prune(line)

    assert (await line.claim()).events[0].id == accepted.id


async def test_an_event_with_an_open_reply_is_never_pruned(line: "Line") -> None:
    event = await line.answer("c1", "one", "two")
    await line.send()
    await line.send(Later(after=0, reason="503"))
    line.clock.advance(1000 * DAY)

    await prune(line)

    assert await line.store.reader.status(event) == "done"
    assert await line.store.replies(event) is None
    assert await line.taken() == ["two"]


async def test_a_conversations_state_outlives_its_messages(line: "Line") -> None:
    await line.accept("c1")
    await line.commit(await line.claim(), state={"v": 1})
    line.clock.advance(91 * DAY)
    await prune(line)

    await line.accept("c1")

    assert (await line.claim()).state == {"v": 1}


async def test_a_pruned_conversation_begins_anew(line: "Line") -> None:
    await line.answer("c1", key="k1")
    line.clock.advance(91 * DAY)
    await prune(line)

    again = await line.accept("c1")

    assert (await line.claim()).events[0].id == again.id


async def test_an_old_journal_goes_and_a_young_one_stays(line: "Line") -> None:
    await line.store.once("old", "pay", "[]")
    line.clock.advance(91 * DAY)
    await line.store.once("young", "pay", "[]")

    await prune(line)

    assert await line.store.once("old", "pay", "[]") == Fresh()
    assert await line.store.once("young", "pay", "[]") == InDoubt()


async def test_more_than_one_batch_is_pruned_at_once(line: "Line") -> None:
    for number in range(3):
        await line.receive(*(line.event(f"c{number}", wants_turn=False) for _ in range(600)))
    line.clock.advance(91 * DAY)

    assert await prune(line) >= 1800

    assert await prune(line) == 0
