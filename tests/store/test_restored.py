"""After a restore nothing old is done by itself, and everything can be put back."""

from typing import TYPE_CHECKING

from dragoman.model import Event, Timer
from dragoman.store.restored import Held, Restoration
from dragoman.store.timers import Firing

if TYPE_CHECKING:
    from tests.store.conftest import Line


async def restore(line: "Line", until: float) -> Held:
    """Let the store be one that was restored."""
    await line.store.close()
    held = await line.database.hold(Restoration(since=line.clock() - 100, until=until))
    await line.open()
    return held


async def test_what_waits_is_set_aside_and_can_be_put_back(line: "Line") -> None:
    await line.answer("c2", "a reply")
    await line.accept("c1")
    await line.accept("c2")
    await line.accept("c2")

    held = await restore(line, line.clock())

    assert (held.deliveries, held.events) == (1, 3)
    assert (await line.store.claim(10), await line.store.take(10)) == ([], [])
    parked = await line.store.reader.parked(10)
    assert sorted(row.kind for row in parked) == ["delivery", "event", "event", "event"]
    assert all("restored" in row.reason for row in parked)

    for row in parked:
        await line.store.redrive(row.id)
    assert len(await line.store.claim(10)) == 2
    assert len(await line.store.take(10)) == 1


async def test_a_repeat_of_what_came_before_the_restore_is_set_aside_and_the_new_is_answered(line: "Line") -> None:
    await restore(line, line.clock())
    old = await line.accept("c1", at=line.clock() - 1)
    new = await line.accept("c1", at=line.clock() + 1)
    unknown = await line.accept("c2")

    claims = [event.id for _ in range(3) for claim in await line.store.claim(10) for event in claim.events]
    assert old.id not in claims
    assert {new.id, unknown.id} <= set(claims)
    assert await line.store.reader.status(old.id) == "parked"

    await line.store.redrive(f"e{old.id}")
    assert await line.store.reader.status(old.id) == "waiting"


async def test_a_reminder_whose_time_was_before_the_restore_is_set_aside(line: "Line") -> None:
    await restore(line, line.clock())
    at = line.clock() - 5
    event: Event = line.event("c1", kind="timer", at=at)
    timer = Timer(name="t1", at=at, event=event)
    await line.store.timers.set([timer])
    await line.store.timers.fire([Firing(name="t1", at=at, events=(event,), next_at=None, ready_at=None)])

    assert await line.store.claim(10) == []
    (row,) = await line.store.reader.parked(10)
    assert "restored" in row.reason


async def test_a_store_that_was_not_restored_sets_nothing_aside(line: "Line") -> None:
    await line.accept("c1", at=1.0)
    assert len(await line.store.claim(10)) == 1
