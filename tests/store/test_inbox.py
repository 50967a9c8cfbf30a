"""Accepting, claiming and committing: once, in order, and only by whoever owns the conversation."""

import asyncio
from typing import TYPE_CHECKING

import pytest

from dragoman.errors import LostLease
from dragoman.store.base import Handled, Memory

if TYPE_CHECKING:
    from tests.store.conftest import Line


async def test_an_event_is_accepted_once(line: "Line") -> None:
    first = await line.accept(key="k1")

    again = await line.accept(key="k1")

    assert (first.duplicate, again.duplicate, again.id) == (False, True, first.id)
    await line.commit(await line.claim())
    assert await line.claimed() == []


async def test_a_repeat_after_the_turn_is_no_new_turn(line: "Line") -> None:
    await line.accept(key="k1")
    await line.commit(await line.claim())

    assert (await line.accept(key="k1")).duplicate
    assert await line.claimed() == []


async def test_a_repeat_is_recognised_after_a_restart(line: "Line") -> None:
    await line.accept(key="k1")

    await line.crash()

    assert (await line.accept(key="k1")).duplicate


async def test_the_same_key_of_another_account_is_another_event(line: "Line") -> None:
    await line.accept("c1", key="k1")

    assert not (await line.accept("c2", key="k1", account="other")).duplicate


@pytest.mark.parametrize("kind", ["edit", "delete", "reaction", "action"])
async def test_kinds_do_not_swallow_one_another(line: "Line", kind: str) -> None:
    await line.accept(key="k1")

    assert not (await line.accept(key="k1", kind=kind)).duplicate


async def test_a_repeat_inside_one_request_is_recognised(line: "Line") -> None:
    first, second = await line.receive(line.event(key="k1"), line.event(key="k1"))

    assert (first.duplicate, second.duplicate, second.id) == (False, True, first.id)


async def test_a_request_that_brought_nothing_is_no_event(line: "Line") -> None:
    assert await line.receive() == ()


async def test_a_conversation_is_answered_in_the_order_of_acceptance(line: "Line") -> None:
    accepted = [(await line.accept()).id for _ in range(3)]
    handled = []
    for _ in range(3):
        claim = await line.claim()
        handled.append(claim.events[0].id)
        await line.commit(claim)

    assert handled == accepted


async def test_a_conversation_has_one_turn_at_a_time_and_others_run_beside_it(line: "Line") -> None:
    for conversation in ("c1", "c1", "c2", "c3"):
        await line.accept(conversation)

    assert await line.claimed() == ["c1", "c2", "c3"]
    assert await line.claimed() == []


async def test_no_more_are_claimed_than_asked_for(line: "Line") -> None:
    for conversation in ("c1", "c2", "c3"):
        await line.accept(conversation)

    assert len(await line.store.claim(2)) == 2
    assert len(await line.store.claim(2)) == 1


async def test_the_conversation_that_waits_longest_is_claimed_first(line: "Line") -> None:
    for conversation in ("c2", "c1", "c3"):
        await line.accept(conversation)
        line.clock.advance(1)

    assert [(await line.store.claim(1))[0].conversation for _ in range(3)] == ["c2", "c1", "c3"]


async def test_a_turn_has_the_same_name_in_every_replay(line: "Line") -> None:
    await line.accept(text="hello")
    before = await line.claim()
    await line.crash()

    after = await line.claim()

    assert after.events == before.events
    assert after.events[0].event.text == "hello"
    assert (before.attempt, after.attempt) == (1, 2)


async def test_state_is_given_back_at_the_next_turn(line: "Line") -> None:
    await line.accept()
    first = await line.claim()
    await line.commit(first, state={"v": 1, "name": "Kim", "list": [1, {"a": None}]})
    await line.accept()

    assert first.state == {}
    assert (await line.claim()).state == {"v": 1, "name": "Kim", "list": [1, {"a": None}]}


async def test_state_belongs_to_its_conversation(line: "Line") -> None:
    await line.accept("c1")
    await line.commit(await line.claim(), state={"v": 1})
    await line.accept("c2")

    assert (await line.claim()).state == {}


async def test_events_that_want_no_turn_are_stored_and_never_claimed(line: "Line") -> None:
    accepted = await line.accept(kind="edit", wants_turn=False)

    assert await line.claimed() == []
    assert await line.store.reader.status(accepted.id) == "done"


async def test_a_lease_holds_for_thirty_seconds(line: "Line") -> None:
    await line.accept()
    await line.claim()

    line.clock.advance(29.9)
    assert await line.claimed() == []
    line.clock.advance(0.2)
    assert await line.claimed() == ["c1"]


async def test_a_late_worker_cannot_commit(line: "Line") -> None:
    await line.accept()
    late = await line.claim()
    line.clock.advance(31)
    current = await line.claim()

    with pytest.raises(LostLease):
        await line.commit(late, "late", state={"v": "late"}, memories=(Memory(person="p1", key="k", value="late"),))

    assert await line.taken() == []
    assert await line.store.memory("p1", "k") is None
    await line.commit(current, "in time")
    assert await line.taken() == ["in time"]
    await line.accept()
    assert (await line.claim()).state == {}


async def test_a_worker_whose_lease_ran_out_may_commit_while_nobody_else_has_it(line: "Line") -> None:
    await line.accept()
    claim = await line.claim()
    line.clock.advance(31)

    await line.commit(claim)

    assert await line.claimed() == []


async def test_a_late_worker_can_neither_renew_nor_release_nor_retry(line: "Line") -> None:
    await line.accept()
    late = await line.claim()
    line.clock.advance(31)
    await line.claim()

    assert not await line.store.renew(late)
    await line.store.release(late)
    with pytest.raises(LostLease):
        await line.store.retry(late, 0, "late")
    assert await line.claimed() == []


async def test_a_claim_of_the_process_before_cannot_commit(line: "Line") -> None:
    await line.accept()
    late = await line.claim()
    await line.crash()
    await line.claim()

    with pytest.raises(LostLease):
        await line.commit(late)


async def test_a_turn_commits_once(line: "Line") -> None:
    await line.accept()
    await line.accept()
    claim = await line.claim()
    await line.commit(claim, "once")

    with pytest.raises(LostLease):
        await line.commit(claim, "twice")

    assert await line.taken() == ["once"]
    await line.commit(await line.claim())


async def test_releasing_after_the_commit_changes_nothing(line: "Line") -> None:
    await line.accept()
    claim = await line.claim()
    await line.commit(claim)

    await line.store.release(claim)

    await line.accept()
    assert (await line.claim()).attempt == 1


async def test_a_claim_that_ended_is_not_renewed(line: "Line") -> None:
    await line.accept()
    claim = await line.claim()
    await line.store.release(claim)

    assert not await line.store.renew(claim)
    assert await line.claimed() == ["c1"]


async def test_a_renewed_claim_holds_on(line: "Line") -> None:
    await line.accept()
    claim = await line.claim()
    for _ in range(3):
        line.clock.advance(20)
        assert await line.store.renew(claim)
        assert await line.claimed() == []

    await line.commit(claim)


async def test_a_released_claim_is_taken_again_at_once_and_counts_no_attempt(line: "Line") -> None:
    await line.accept()
    for _ in range(5):
        await line.store.release(await line.claim())

    assert (await line.claim()).attempt == 1


async def test_messages_that_come_during_a_turn_wait_for_its_end(line: "Line") -> None:
    await line.accept()
    claim = await line.claim()
    second = await line.accept()
    assert await line.claimed() == []

    await line.commit(claim)

    assert (await line.claim()).events[0].id == second.id


async def test_a_commit_is_all_or_nothing(line: "Line") -> None:
    accepted = await line.accept()
    claim = await line.claim()
    unencodable = Handled(
        id=accepted.id,
        handler="test",
        state={"v": 1},
        outgoing=(line.outgoing("said", "c1"),),
        memories=(Memory(person="p1", key="k", value=object()),),
    )

    with pytest.raises(TypeError):
        await line.store.commit(claim, unencodable)

    assert await line.taken() == []
    assert await line.store.reader.status(accepted.id) == "waiting"
    await line.commit(claim, "said")
    assert await line.taken() == ["said"]


async def test_what_was_committed_survives_the_end_of_the_process(line: "Line") -> None:
    accepted = await line.accept()
    await line.commit(await line.claim(), "said", state={"v": 1}, memories=(Memory(person="p1", key="k", value=[1]),))

    await line.crash()

    assert await line.store.reader.status(accepted.id) == "done"
    assert await line.taken() == ["said"]
    assert await line.store.memory("p1", "k") == [1]
    await line.accept()
    assert (await line.claim()).state == {"v": 1}


async def test_the_cursor_is_kept_with_the_events(line: "Line") -> None:
    await line.receive(line.event(), keep={"cursor:acme": "42"})
    await line.crash()

    assert await line.store.recall("cursor:acme") == "42"


async def test_the_cursor_moves_on_without_events_too(line: "Line") -> None:
    await line.receive(keep={"cursor:acme": "43"})

    assert await line.store.recall("cursor:acme") == "43"


async def test_a_cursor_is_not_kept_without_its_events(line: "Line") -> None:
    await line.receive(keep={"cursor:acme": "1"})
    unencodable = line.event(value={"of": object()})

    with pytest.raises(TypeError):
        await line.receive(line.event(key="k1"), unencodable, keep={"cursor:acme": "2"})

    assert await line.store.recall("cursor:acme") == "1"
    assert not (await line.accept(key="k1")).duplicate


async def test_who_waits_for_work_has_it_when_it_comes(line: "Line") -> None:
    assert await line.store.claim(10) == []
    waiting = asyncio.create_task(line.store.claim(10, patience=60))
    await line.accept("c1")

    claims = await waiting or await line.store.claim(10)  # the suite's time limit says whether it slept

    assert [claim.conversation for claim in claims] == ["c1"]


async def test_one_that_comes_again_beside_a_new_one_does_not_count_the_new_one_twice(line: "Line") -> None:
    first, second = line.event("c1", "k1"), line.event("c1", "k2")
    (known,) = await line.receive(first)

    again, new = await line.receive(first, second)

    assert (again.id, again.duplicate, new.duplicate) == (known.id, True, False)
    trace = await line.store.reader.trace(f"e{new.id}")
    assert trace is not None
    assert trace.duplicates == 0
    assert (await line.store.reader.depths()).inbox == 2


async def test_a_key_of_any_length_is_kept_once_and_stops_nobody(line: "Line") -> None:
    long = "a" * 64_000 + "b" * 64_000  # a caller may name a happening so
    async with asyncio.timeout(5):
        first, other = await line.accept("c1", long), await line.accept("c1", long + "c")
        again = await line.accept("c1", long)

    assert (again.id, again.duplicate, other.duplicate) == (first.id, True, False)
    trace = await line.store.reader.trace(long)
    assert trace is not None
    assert trace.id == f"e{first.id}"
    assert len(trace.key) <= 600
    assert (await line.claim()).events[0].event.key == long
