"""Timers on every database: they move on once, whoever races, and what comes is in the line."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.store.conftest import Line, MakeLine

from dragoman.model import Timer
from dragoman.store.base import Handled
from dragoman.store.timers import Due, Firing, Standing


def timer(line: Line, name: str = "t1", at: float | None = None, **facts: Any) -> Timer:
    event = line.event(kind="timer", key="to be given")
    return Timer(name=name, at=line.clock() + 10 if at is None else at, event=event, **facts)


def firing(standing: Standing, next_at: float | None = None, missed: int = 0) -> Firing:
    """The fire of a timer, which is over by it unless `next_at` says otherwise."""
    name, at = standing.timer.name, standing.timer.at
    event = msgspec.structs.replace(standing.timer.event, key=f"{name}@{at}")
    return Firing(name=name, at=at, events=(event,), last_at=at, next_at=next_at, ready_at=next_at, missed=missed)


async def due(line: Line, punctual: int = 10, overdue: int = 10) -> Due:
    return await line.store.timers.due(punctual, overdue)


async def names_due(line: Line, punctual: int = 10, overdue: int = 10) -> list[str]:
    return [standing.timer.name for standing in (await due(line, punctual, overdue)).timers]


async def test_a_timer_is_due_when_its_time_has_come_and_not_before(line: Line) -> None:
    await line.store.timers.set([timer(line)])

    before = await due(line)
    line.clock.advance(10)

    assert before.timers == ()
    assert before.until_next == pytest.approx(10)
    assert await names_due(line) == ["t1"]


async def test_a_fire_brings_its_event_into_the_line_and_ends_a_timer_without_a_next_time(line: Line) -> None:
    await line.store.timers.set([timer(line)])
    line.clock.advance(10)
    (standing,) = (await due(line)).timers

    moved = await line.store.timers.fire([firing(standing)])
    claim = await line.claim()

    assert list(moved) == ["t1"]
    assert claim.events[0].event.kind == "timer"
    assert claim.events[0].event.key == f"t1@{standing.timer.at}"
    assert await names_due(line) == []


async def test_who_fires_second_moves_nothing_and_brings_nothing(line: Line) -> None:
    await line.store.timers.set([timer(line)])
    line.clock.advance(10)
    (standing,) = (await due(line)).timers
    later = line.clock() + 60

    first, second = await asyncio.gather(
        line.store.timers.fire([firing(standing, next_at=later)]),
        line.store.timers.fire([firing(standing, next_at=later)]),
    )

    assert len(first) + len(second) == 1
    assert len((await line.claim()).events) == 1
    assert await line.claimed() == []


async def test_a_fire_that_came_once_never_comes_again_though_its_timer_is_set_back(line: Line) -> None:
    reminder = timer(line)
    await line.store.timers.set([reminder])
    line.clock.advance(10)
    (standing,) = (await due(line)).timers
    await line.store.timers.fire([firing(standing)])
    await line.commit(await line.claim())

    await line.store.timers.set([reminder])
    await line.store.timers.fire([firing(standing)])

    assert await line.claimed() == []


async def test_a_timer_that_goes_on_tells_what_it_counted_and_whether_its_last_turn_is_over(line: Line) -> None:
    await line.store.timers.set([timer(line, task="report", every="10s")])
    line.clock.advance(10)
    (standing,) = (await due(line)).timers
    await line.store.timers.fire([firing(standing, next_at=line.clock() + 10, missed=2)])
    (waiting,) = await line.store.timers.of_tasks("report")
    await line.commit(await line.claim())
    (over,) = await line.store.timers.of_tasks()

    assert (waiting.fired, waiting.missed, waiting.last_at, waiting.busy) == (1, 2, standing.timer.at, True)
    assert waiting.timer.at == line.clock() + 10
    assert not over.busy
    assert over.last_event == waiting.last_event > 0


async def test_overdue_timers_are_read_apart_from_those_in_time(line: Line) -> None:
    old = [timer(line, f"old{number}", line.clock() - 3600 + number) for number in range(5)]
    await line.store.timers.set([*old, timer(line, "new", line.clock() - 1)])

    assert await names_due(line, 10, 2) == ["new", "old0", "old1"]
    assert await names_due(line, 10, 0) == ["new"]
    assert await names_due(line, 0, 10) == [each.name for each in old]


async def test_jitter_is_the_same_at_every_look_and_within_its_bound(line: Line) -> None:
    await line.store.timers.set([timer(line, f"t{number}", jitter=30.0) for number in range(20)])

    line.clock.advance(10)
    at_once = await names_due(line, 100)
    line.clock.advance(15)
    half = await names_due(line, 100)
    line.clock.advance(15)

    assert len(at_once) < len(half) < 20
    assert len(await names_due(line, 100)) == 20


async def test_a_turn_sets_and_takes_away_timers_with_all_else_that_it_wants(line: Line) -> None:
    await line.store.timers.set([timer(line, "old", person="p1")])
    await line.accept()
    claim = await line.claim()
    wanted = timer(line, "new", person="p1")

    await line.store.commit(
        claim, Handled(id=claim.events[0].id, handler="h", state={}, timers=(wanted,), cancelled=("old", "unknown"))
    )

    assert await line.store.timers.of_person("p1", 10) == [wanted]


async def test_a_turn_that_lost_its_claim_sets_no_timer(line: Line) -> None:
    await line.accept()
    claim = await line.claim()
    handled = Handled(id=claim.events[0].id, handler="h", state={}, timers=(timer(line, person="p1"),))
    await line.commit(claim)

    with pytest.raises(Exception, match="taken over"):
        await line.store.commit(claim, handled)

    assert await line.store.timers.of_person("p1", 10) == []


async def test_a_paused_timer_is_not_due_until_it_is_set_again(line: Line) -> None:
    report = timer(line, task="report")
    await line.store.timers.set([report])

    assert await line.store.timers.pause(["t1", "t2"]) == 1
    line.clock.advance(20)
    resting = await names_due(line)
    (standing,) = await line.store.timers.of_tasks("report")
    await line.store.timers.set([report])

    assert resting == []
    assert standing.paused
    assert await names_due(line) == ["t1"]


async def test_a_timer_paused_after_it_was_read_does_not_fire(line: Line) -> None:
    await line.store.timers.set([timer(line)])
    line.clock.advance(10)
    (standing,) = (await due(line)).timers
    await line.store.timers.pause(["t1"])

    assert list(await line.store.timers.fire([firing(standing)])) == []
    assert await line.claimed() == []


async def test_a_timer_that_was_put_off_is_due_later_at_the_time_of_its_rule(line: Line) -> None:
    await line.store.timers.set([timer(line), timer(line, "later", line.clock() + 60)])
    line.clock.advance(10)
    time = line.clock()

    await line.store.timers.put_off(["t1", "later", "unknown"], 30)
    at_once = await names_due(line)
    line.clock.advance(30)
    (standing,) = (await due(line)).timers
    line.clock.advance(20)

    assert at_once == []
    assert standing.timer.at == time
    assert sorted(await names_due(line)) == ["later", "t1"]


async def test_a_timer_may_be_moved_without_a_fire(line: Line) -> None:
    await line.store.timers.set([timer(line, task="report", every="10s")])
    (standing,) = await line.store.timers.of_tasks()
    sooner = line.clock() + 5
    move = Firing(name="t1", at=standing.timer.at, next_at=sooner, ready_at=sooner)

    assert list(await line.store.timers.fire([move])) == ["t1"]
    assert list(await line.store.timers.fire([move])) == []
    (moved,) = await line.store.timers.of_tasks()
    assert (moved.timer.at, moved.fired, moved.last_at) == (sooner, 0, None)
    assert await line.claimed() == []


async def test_timers_may_be_set_at_rest(line: Line) -> None:
    await line.store.timers.set([timer(line, "a", task="report"), timer(line, "b", task="report")], ["a", "c"])
    line.clock.advance(10)

    assert [standing.paused for standing in await line.store.timers.of_tasks("report")] == [True, False]
    assert await names_due(line) == ["b"]


async def test_a_paused_timer_cannot_be_put_off(line: Line) -> None:
    await line.store.timers.set([timer(line)])
    line.clock.advance(10)
    await line.store.timers.pause(["t1"])

    await line.store.timers.put_off(["t1"], 1)
    line.clock.advance(10)

    assert await names_due(line) == []


async def test_a_timer_that_another_release_wrote_is_named_and_holds_no_other_up(line: Line) -> None:
    strange: Any = "to be invented"
    await line.store.timers.set([timer(line, "a", missed=strange), timer(line, "b")])
    line.clock.advance(10)

    found = await due(line)

    assert [standing.timer.name for standing in found.timers] == ["b"]
    assert found.unreadable == ("a",)


async def test_timers_are_taken_away_by_name(line: Line) -> None:
    await line.store.timers.set([timer(line, "a"), timer(line, "b")])

    assert await line.store.timers.cancel(["a", "c"]) == 1
    line.clock.advance(10)
    assert await names_due(line) == ["b"]


async def test_a_person_sees_their_own_timers_the_next_one_first(line: Line) -> None:
    now = line.clock()
    await line.store.timers.set(
        [
            timer(line, "later", now + 60, person="p1"),
            timer(line, "sooner", now + 30, person="p1"),
            timer(line, "other", now + 10, person="p2"),
            timer(line, "nobody's", now + 10),
        ]
    )

    assert [found.name for found in await line.store.timers.of_person("p1", 10)] == ["sooner", "later"]
    assert [found.name for found in await line.store.timers.of_person("p1", 1)] == ["sooner"]
    assert await line.store.timers.of_person("", 10) == []


async def test_timers_survive_a_crash(make_line: MakeLine, tmp_path: Path) -> None:
    line = make_line(tmp_path)
    await line.open()
    try:
        await line.store.timers.set([timer(line)])
        await line.crash()
        line.clock.advance(10)

        assert await names_due(line) == ["t1"]
    finally:
        await line.store.close()
        await line.database.drop()


async def test_a_chat_that_is_full_of_messages_has_room_for_as_many_events_of_timers(line: Line) -> None:
    line.store.most_pending = 1
    await line.accept()
    await line.store.timers.set([timer(line, "t1"), timer(line, "t2")])
    line.clock.advance(10)
    first, second = (await due(line)).timers

    await line.store.timers.fire([firing(first)])
    set_aside = await line.store.reader.parked(10)
    await line.store.timers.fire([firing(second)])

    assert set_aside == []
    (parked,) = await line.store.reader.parked(10)
    assert "wait already" in parked.reason


async def test_the_store_tells_the_time_that_timers_go_by(line: Line) -> None:
    before = line.store.timers.time()
    line.clock.advance(100)

    assert line.store.timers.time() - before == pytest.approx(100, abs=1)


async def test_the_fires_of_a_timer_are_found_the_newest_first_with_those_beside_it(line: Line) -> None:
    names = ["task/t/a/c1", "task/t/a/c1!now", "task/t/a/c12"]
    await line.store.timers.set([timer(line, name) for name in names])
    line.clock.advance(10)
    await line.store.timers.fire([firing(standing) for standing in (await due(line)).timers])
    await line.store.timers.set([timer(line, names[0], line.clock() + 1)])
    line.clock.advance(1)
    await line.store.timers.fire([firing(standing) for standing in (await due(line)).timers])

    found = await line.store.reader.fires(names[0], "c1", 10)
    traces = [await line.store.reader.trace(f"e{number}") for number in found]

    assert found == sorted(found, reverse=True)
    assert {trace.key.partition("@")[0] for trace in traces if trace} == {names[0], names[1]}
    assert len(found) == 3
    assert await line.store.reader.fires(names[0], "c1", 2) == found[:2]
    assert await line.store.reader.fires(names[0], "c2", 10) == []
