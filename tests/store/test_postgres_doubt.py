"""What nobody knows for a while on PostgreSQL: commits without an answer, leases that ended, rows that go meanwhile."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec
import pytest
from tests.store.conftest import said
from tests.store.test_postgres import Place, place, proxy

from dragoman.errors import LostLease, StoreAway
from dragoman.model import Delivery, Timer
from dragoman.store.base import Claim, Settled
from dragoman.store.postgres import PostgresStore
from dragoman.store.postgres.sends import Sends
from dragoman.store.timers import Firing
from dragoman.testing.proxy import Proxy

if TYPE_CHECKING:
    from tests.store.conftest import Line

__all__ = ["place", "proxy"]

pytestmark = pytest.mark.timeout(30)

WAITING = "SELECT count(*) = $1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE $2"

END_TAKE = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = $1 AND query LIKE '%FROM lane l%ORDER BY l.ready_at%'"""


async def test_a_commit_that_the_server_finishes_after_the_connection_broke_is_ours(place: Place, proxy: Proxy) -> None:
    line = await place.behind(proxy)
    await line.accept()
    claim = await line.claim()
    ours = f"dragoman {line.store.owner}"[:63]
    other: Any = await asyncpg.connect(place.database.url, server_settings={"search_path": place.database.schema})

    async with other.transaction():
        await other.execute("SELECT FROM conversation WHERE id = 'c1' FOR UPDATE")
        committing = asyncio.create_task(line.commit(claim, "hello"))
        await place.until(WAITING, 1, ours)
        proxy.reset()
        await place.until(WAITING, 2, ours)  # the second try waits behind the first one
    await other.close()
    await committing

    assert await line.taken() == ["hello"]


async def test_a_late_turn_does_not_make_the_turn_that_took_over_unknown(place: Place, proxy: Proxy) -> None:
    line = await place.behind(proxy)
    await line.accept("c1")
    late = await line.claim()
    place.clock.advance(31)
    claim = await line.claim()
    with pytest.raises(LostLease):
        await line.commit(late, "late")

    await lose_an_answer(place, proxy, line)

    assert [other.conversation for other in await line.store.claim(10)] == ["c2"]
    await line.commit(claim, "hello")


async def test_a_late_send_does_not_make_the_send_that_took_over_unknown(place: Place, proxy: Proxy) -> None:
    line = await place.behind(proxy)
    await line.answer("c1", "hello")
    late = await line.take()
    place.clock.advance(16)
    assert await place.line.store.sweep() == 1
    delivery = await line.take()
    assert not await line.store.settle(late, Settled())

    await line.answer("c2", "good-bye")
    with proxy.suffering(cut_after=0), pytest.raises(StoreAway):
        await line.store.take(10)

    assert await line.taken() == ["good-bye"]
    assert await line.store.settle(delivery, Settled())


async def test_a_claim_that_could_not_be_given_back_is_given_back_by_the_next_look(place: Place, proxy: Proxy) -> None:
    line = await place.behind(proxy)
    await line.accept("c1")
    claim = await line.claim()
    with proxy.suffering(cut_after=0, on="requests"), pytest.raises(StoreAway):
        await line.store.release(claim)

    again = await line.claim()

    assert (again.conversation, again.attempt) == ("c1", 1)


async def test_a_claim_that_is_lost_while_others_are_given_back_is_given_back_next(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = place.line
    await line.accept("c1")
    claim = await line.claim()
    store = line.store
    assert isinstance(store, PostgresStore)
    rows = store._pool.rows

    async def lost_meanwhile(statement: str, **given: Any) -> Any:
        if statement == "release":
            raise StoreAway("cut")
        found = await rows(statement, **given)
        if statement == "release_orphans" and store._claims:
            with pytest.raises(StoreAway):
                await store.release(claim)
        return found

    monkeypatch.setattr(store._pool, "rows", lost_meanwhile)
    store._lost_claims = True
    assert not await store.claim(10)

    assert (await line.claim()).attempt == 1


@pytest.mark.parametrize("way", ["release", "retry", "renew", "late retry"])
async def test_a_claim_that_nobody_works_on_any_more_is_not_kept(place: Place, proxy: Proxy, way: str) -> None:
    line = await place.behind(proxy)
    await line.accept("c1")
    claim = await line.claim()
    store = line.store
    assert isinstance(store, PostgresStore)
    if way in {"renew", "late retry"}:
        place.clock.advance(31)
        (_,) = await place.line.store.claim(10)

    if way == "renew":
        assert not await store.renew(claim)
    elif way == "late retry":
        with pytest.raises(LostLease):
            await store.retry(claim, 1.0, "ValueError")
    else:
        with proxy.suffering(cut_after=0, on="requests"), pytest.raises(StoreAway):
            await (store.release(claim) if way == "release" else store.retry(claim, 1.0, "ValueError"))

    assert store._claims == {}


@pytest.mark.parametrize(("way", "step"), [("requests", 160), ("answers", 16)])
async def test_a_fire_comes_once_wherever_its_connection_breaks(
    place: Place, proxy: Proxy, way: str, step: int
) -> None:
    line = await place.behind(proxy)
    broken = 0
    for after in range(0, 25 * step, step):
        name = f"{way}{after}"
        event = line.event("c1", kind="timer")
        await place.line.store.timers.set([Timer(name=name, at=place.clock(), event=event)])
        while standings := (await place.line.store.timers.due(10, 10)).timers:
            fired = msgspec.structs.replace(standings[0].timer.event, key=name)
            firing = Firing(name=name, at=standings[0].timer.at, events=(fired,), last_at=place.clock())
            try:
                with proxy.suffering(cut_after=after, on=way):
                    await line.store.timers.fire([firing])
            except StoreAway:
                broken += 1
                await line.store.timers.fire([firing])
        assert await place.ask("SELECT count(*) FROM inbox WHERE key = $1", name) == 1

    assert broken >= 5
    assert await place.ask("SELECT pending FROM conversation WHERE id = 'c1'") == 25


async def lose_an_answer(place: Place, proxy: Proxy, line: Any) -> None:
    """Let a claim happen of which the answer never comes."""
    await place.line.accept("c2", key="another")
    await place.hand.execute("UPDATE conversation SET started = 2 WHERE id = 'c2'")  # a suspect is asked for first
    with proxy.suffering(cut_after=0), pytest.raises(StoreAway):
        await line.store.claim(10)
    await place.until("SELECT started = 3 FROM conversation WHERE id = 'c2'")


async def test_a_turn_whose_state_is_no_data_fails_alone(place: Place) -> None:
    line = place.line
    await line.accept("c1")
    await line.accept("c2")
    one, two = await line.store.claim(2)

    results = await asyncio.gather(
        line.commit(one, state={"open": object()}), line.commit(two, "hello"), return_exceptions=True
    )

    assert [type(result) for result in results] == [TypeError, type(None)]
    assert await line.taken() == ["hello"]


async def test_an_event_that_is_pruned_while_it_comes_again_is_accepted_anew(place: Place) -> None:
    line = place.line
    first = await line.accept("c1", key="k")
    await line.commit(await line.claim())
    waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"

    async with place.hand.transaction():
        await place.hand.execute("SELECT FROM inbox FOR UPDATE")
        both = asyncio.gather(line.accept("c1", key="k"), line.accept("c2", key="other"))
        await place.until(waiting)
        await place.hand.execute("DELETE FROM inbox WHERE id = $1", first.id)
    again, other = await both

    assert (again.duplicate, other.duplicate) == (False, False)
    assert await line.claimed() == ["c1", "c2"]


async def test_a_send_that_is_being_settled_does_not_hold_up_the_prolonging_of_the_others(place: Place) -> None:
    line = place.line
    await line.answer("c1", "one")
    await line.answer("c2", "two")
    one, two = await line.store.take(2)

    async with place.hand.transaction(), asyncio.timeout(2):
        await place.hand.execute("SELECT FROM outbox WHERE id = $1 FOR UPDATE", one.id)
        assert await line.store.prolong([one.id, two.id]) == {two.id}

    assert await line.store.prolong([one.id, two.id]) == {one.id, two.id}


async def test_thousands_of_held_requests_leave_the_line_its_connections(place: Place) -> None:
    other = place.replica(await place.open())
    accepted = await place.line.accept("c1")
    held = [asyncio.create_task(other.store.finished(accepted.id, 20)) for _ in range(3000)]

    for number in range(20):
        await other.accept("c2", key=f"c2/{number}")
    await place.hand.execute("UPDATE inbox SET status = 'done' WHERE id = $1", accepted.id)  # its hint was lost

    assert all(await asyncio.gather(*held))
    assert await asyncio.wait_for(other.store.finished(accepted.id, 20), 2)
    assert not await other.store.finished(accepted.id + 1, 0.05)


async def test_a_lost_answer_never_keeps_the_loop_busy_while_a_commit_is_on_its_way(place: Place) -> None:
    line = place.line
    claim, taking = await ordered(line)
    ours = f"dragoman {line.store.owner}"[:63]
    other: Any = await asyncpg.connect(place.database.url, server_settings={"search_path": place.database.schema})
    async with other.transaction():
        await other.execute("LOCK TABLE account IN ACCESS EXCLUSIVE MODE")
        committing = asyncio.create_task(line.commit(claim, "hello"))
        await place.until(WAITING, 1, ours)
        line.store.wake("deliver")
        await place.until(WAITING, 2, ours)
        assert await place.ask(END_TAKE, ours)
        with pytest.raises(StoreAway):
            await taking
        turned = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(turned.set_result, None)

        assert not await line.store.take(5, (), 0.05)

        assert turned.done()
    await other.close()
    await committing
    assert said(await until_taken(line)) == ["hello"]


async def test_a_reply_that_rode_with_a_commit_without_an_answer_leaves_at_once(place: Place, proxy: Proxy) -> None:
    line = await place.behind(proxy, connections=4)
    claim, taking = await ordered(line)
    ours = f"dragoman {line.store.owner}"[:63]
    other: Any = await asyncpg.connect(place.database.url, server_settings={"search_path": place.database.schema})
    async with other.transaction():
        await other.execute("SELECT FROM conversation WHERE id = 'c1' FOR UPDATE")
        committing = asyncio.create_task(line.commit(claim, "hello"))
        await place.until(WAITING, 1, ours)
        proxy.reset()
        await place.until(WAITING, 2, ours)
        taking.cancel()
        while sends_of(line)._lost:
            with contextlib.suppress(StoreAway):
                assert not await line.store.take(5)
    await other.close()
    await committing

    assert said(await until_taken(line)) == ["hello"]


def sends_of(line: "Line") -> Sends:
    assert isinstance(line.store, PostgresStore)
    return line.store._sends


async def ordered(line: "Line") -> tuple[Claim, asyncio.Task[Sequence[Delivery]]]:
    """Claim a message of a conversation that was spoken in before, while deliveries are waited for."""
    await line.answer("c1", "before")
    await line.send()
    while await line.store.take(5, (), 0.01) or sends_of(line).due:
        pass
    await line.accept("c1")
    claim = await line.claim()
    taking = asyncio.create_task(line.store.take(5, (), 2.0))
    await asyncio.sleep(0)
    return claim, taking


async def until_taken(line: "Line") -> Sequence[Delivery]:
    """Take until there is something."""
    async with asyncio.timeout(5):
        while not (taken := await line.store.take(5, (), 0.05)):
            pass
    return taken
