"""Turns that fail and processes that die: tried again, at last parked, and never at a neighbour's cost."""

from typing import TYPE_CHECKING

import pytest

from dragoman.errors import LostLease
from dragoman.testing.logs import captured

if TYPE_CHECKING:
    from tests.store.conftest import Line


async def fail(line: "Line", times: int) -> bool:
    """Let the next event fail so many times; tells whether it is parked now."""
    parked = False
    for _ in range(times):
        parked = await line.store.retry(await line.claim(), 1, "ValueError")
        line.clock.advance(1)
    return parked


async def die(line: "Line", times: int, limit: int = 10) -> None:
    """Let the process die so many times with all that it could claim in flight."""
    for _ in range(times):
        await line.store.claim(limit)
        await line.crash()


async def test_a_failed_turn_is_tried_again_after_its_backoff(line: "Line") -> None:
    await line.accept()
    await line.store.retry(await line.claim(), 8, "ValueError")

    line.clock.advance(7.9)
    assert await line.claimed() == []
    line.clock.advance(0.2)
    assert (await line.claim()).attempt == 2


async def test_a_failed_turn_holds_back_its_own_conversation_only(line: "Line") -> None:
    await line.accept("c1")
    await line.store.retry(await line.claim(), 60, "ValueError")
    await line.accept("c1")
    await line.accept("c2")

    assert await line.claimed() == ["c2"]


async def test_a_failed_turn_changes_nothing(line: "Line") -> None:
    await line.accept()
    await line.commit(await line.claim(), state={"v": 1})
    await line.accept()

    await fail(line, 1)

    assert (await line.claim()).state == {"v": 1}


async def test_a_claim_that_failed_cannot_commit_any_more(line: "Line") -> None:
    accepted = await line.accept()
    claim = await line.claim()
    await line.store.retry(claim, 1, "ValueError")

    assert not await line.store.renew(claim)
    line.clock.advance(1)
    await line.commit(await line.claim())
    assert await line.store.reader.status(accepted.id) == "done"


async def test_the_fifth_error_parks_the_event_and_the_next_one_proceeds(line: "Line") -> None:
    poison = await line.accept()
    healthy = await line.accept()

    assert not await fail(line, 4)
    assert await fail(line, 1)

    assert await line.store.reader.status(poison.id) == "parked"
    claim = await line.claim()
    assert (claim.events[0].id, claim.attempt) == (healthy.id, 1)


async def test_errors_of_an_event_are_not_charged_to_the_next_one(line: "Line") -> None:
    await line.accept()
    await line.accept()
    await fail(line, 4)
    await line.commit(await line.claim())

    assert not await fail(line, 4)


async def test_a_parked_event_tells_why(line: "Line") -> None:
    accepted = await line.accept()
    await fail(line, 5)

    (row,) = await line.store.reader.parked(10)

    assert (row.id, row.kind, row.account, row.conversation) == (f"e{accepted.id}", "event", "acme", "c1")
    assert row.reason == "failed 5 times: ValueError"


async def test_two_deaths_park_nothing(line: "Line") -> None:
    await line.accept()
    await die(line, 2)

    await line.commit(await line.claim())

    assert await line.store.reader.parked(10) == []


async def test_a_message_that_kills_the_process_three_times_is_parked(line: "Line") -> None:
    poison = await line.accept()
    healthy = await line.accept()
    await die(line, 3)

    claims = await line.store.claim(10) or [await line.claim()]

    assert await line.store.reader.status(poison.id) == "parked"
    assert [claim.events[0].id for claim in claims] == [healthy.id]
    (row,) = await line.store.reader.parked(10)
    assert "died 3 times" in row.reason


@pytest.mark.parametrize("poison", ["a", "m", "z"])
async def test_neighbours_of_a_killer_finish(line: "Line", poison: str) -> None:
    numbers = {name: (await line.accept(name)).id for name in ("a", "m", "z")}
    deaths = 0
    for _ in range(10):
        for claim in await line.store.claim(10):
            if claim.conversation == poison:
                deaths += 1
                await line.crash()
                break
            if deaths >= 2:  # at first the killer is so fast that nobody finishes beside it
                await line.commit(claim)

    assert deaths == 3
    statuses = {name: await line.store.reader.status(number) for name, number in numbers.items()}
    assert statuses == {name: "parked" if name == poison else "done" for name in numbers}


async def test_suspects_run_one_after_the_other_beside_the_others(line: "Line") -> None:
    await line.accept("c1")
    await line.accept("c2")
    await die(line, 2)
    await line.accept("c3")

    claims = {claim.conversation: claim for claim in await line.store.claim(10)}
    assert len(claims) == 2
    assert "c3" in claims
    suspect = ({"c1", "c2"} & set(claims)).pop()
    assert await line.claimed() == []

    await line.commit(claims[suspect])

    assert await line.claimed() == sorted({"c1", "c2"} - {suspect})


async def test_suspects_too_count_among_what_was_asked_for(line: "Line") -> None:
    await line.accept("c1")
    await die(line, 2)
    await line.accept("c2")

    assert len(await line.store.claim(1)) == 1


async def test_a_released_suspect_makes_room(line: "Line") -> None:
    await line.accept("c1")
    await die(line, 2)

    await line.store.release(await line.claim())

    assert await line.claimed() == ["c1"]


async def test_a_suspect_whose_worker_fell_silent_blocks_nobody(line: "Line") -> None:
    silent, neighbour = await line.accept("c1"), await line.accept("c2")
    await die(line, 2)
    assert (await line.claim()).conversation == "c1"
    line.clock.advance(31)

    for _ in range(3):
        for claim in await line.store.claim(10):
            await line.commit(claim)

    assert await line.store.reader.status(neighbour.id) == "done"
    assert await line.store.reader.status(silent.id) in {"done", "parked"}


async def test_a_late_worker_cannot_commit_what_was_parked_meanwhile(line: "Line") -> None:
    poison = await line.accept()
    for _ in range(3):
        late = await line.claim()
        line.clock.advance(31)
    await line.store.claim(10)

    with pytest.raises(LostLease):
        await line.commit(late, "late")

    assert await line.store.reader.status(poison.id) == "parked"
    assert await line.taken() == []


async def test_a_backoff_within_bounds_outlives_a_restart(line: "Line") -> None:
    await line.accept()
    await line.store.retry(await line.claim(), 100, "ValueError")
    await line.crash()

    assert await line.claimed() == []


async def begins_anew(line: "Line", state: str) -> None:
    """Let a conversation have a state that cannot be read (as SQL has it), and see that it stops nobody."""
    await line.accept("c1")
    await line.commit(await line.claim(), state={"v": 1})
    await line.database.change(f"UPDATE conversation SET state = {state}")  # noqa: S608 - of ours
    await line.accept("c1")
    await line.accept("c2")

    with captured() as lines:
        claims = await line.store.claim(10)

    assert {claim.conversation: claim.state for claim in claims} == {"c1": {}, "c2": {}}
    assert [(entry["event"], entry["conversation"]) for entry in lines] == [("state.unreadable", "c1")]


@pytest.mark.parametrize("state", ["{damaged", '{"a": ' + 100_000 * "[" + 100_000 * "]" + "}"], ids=["damaged", "deep"])
async def test_a_state_that_cannot_be_read_begins_anew_and_stops_nobody(line: "Line", state: str) -> None:
    await begins_anew(line, f"'{state}'")
