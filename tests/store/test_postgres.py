"""What only PostgreSQL has: replicas on one schema, lost answers, locks, hints and servers that change."""

import asyncio
import contextlib
import functools
import secrets
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from dragoman.errors import LostLease, StoreAway, StoreDamaged, StoreRefused
from dragoman.store.base import Memory, Settled
from dragoman.store.postgres import PostgresStore, inbox
from dragoman.testing.clock import FakeClock
from dragoman.testing.proxy import Proxy, proxied

if TYPE_CHECKING:
    from tests.store.conftest import Line, MakeLine

pytestmark = pytest.mark.timeout(30)
"""Seconds that one of these tests may take: what would hang shows itself."""

TRY_AGAIN = 0.02


class Place:
    """A schema of its own, the replicas on it, and a hand of its own on the server."""

    def __init__(self, line: "Line", hand: Any, clock: FakeClock) -> None:
        self.database: Any = line.database
        self.line = line
        self.hand = hand
        self.clock = clock
        self.stack = contextlib.AsyncExitStack()

    async def open(self, *, at: str = "", **options: Any) -> PostgresStore:
        """Open one more replica, by another address of the server if one is given."""
        where = f"{at or self.database.url}?search_path={self.database.schema}"
        store = await PostgresStore.open(where, self.clock, **{"given": self.clock, **options})
        self.stack.push_async_callback(store.close)
        return store

    async def behind(self, proxy: Proxy, **options: Any) -> "Line":
        """Open a replica that reaches the server by a proxy only."""
        place = urlsplit(self.database.url)
        at = place._replace(netloc=f"{place.username}@127.0.0.1:{proxy.port}").geturl()
        line = self.replica(await self.open(at=at, **{"connections": 2, **options}))
        await line.store.beat("test")  # alone: no hint uses its one connection
        await line.answer("before", "so that the one connection has prepared its statements")
        await line.send()
        return line

    def replica(self, store: PostgresStore) -> "Line":
        """Give a store the line's short words."""
        line = type(self.line)(self.database, self.clock)
        line.store = store
        return line

    async def ask(self, text: str, *values: Any) -> Any:
        return await self.hand.fetchval(text, *values)

    async def until(self, text: str, *values: Any) -> None:
        """Wait until a question is answered with yes."""
        await eventually(lambda: self.ask(text, *values))

    async def end_sessions(self, name: str) -> int:
        """End the server's sessions of this application name."""
        rows = await self.hand.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = left($1, 63)", name
        )
        return len(rows)


async def until_cut(proxy: Proxy) -> None:
    """Wait until an answer is lost: what the database shows to others may still be on its way to us."""
    await eventually(lambda: asyncio.sleep(0, proxy.cuts))


async def eventually(ask: Callable[[], Any], seconds: float = 10.0) -> None:
    """Ask until the answer is yes; fails when it never is."""
    async with asyncio.timeout(seconds):
        while not await ask():
            await asyncio.sleep(TRY_AGAIN)


@pytest.fixture
async def place(make_line_on: "Callable[[str], MakeLine]", tmp_path: Path) -> AsyncIterator[Place]:
    line = make_line_on("postgres")(tmp_path)
    await line.open()
    database: Any = line.database
    hand = await asyncpg.connect(database.url, server_settings={"search_path": database.schema})
    place = Place(line, hand, line.clock)
    async with place.stack:
        yield place
    await line.store.close()
    await hand.close()
    await database.drop()


@pytest.fixture
async def proxy(place: Place) -> AsyncIterator[Proxy]:
    """A network before the server, which does what networks do."""
    server = urlsplit(place.database.url)
    async with proxied(server.hostname or "127.0.0.1", server.port or 5432) as proxy:
        yield proxy


# The schema


async def test_ten_replicas_that_start_at_once_make_the_schema_once(
    make_line_on: "Callable[[str], MakeLine]", tmp_path: Path
) -> None:
    line = make_line_on("postgres")(tmp_path)
    database: Any = line.database
    hand = await asyncpg.connect(database.url)
    await hand.execute(f"CREATE SCHEMA {database.schema}")
    await hand.close()
    stores = await asyncio.gather(*(database.open(line.clock) for _ in range(10)))
    line.store = stores[0]

    await line.answer("c1", "hello")

    assert [len(await store.take(10)) for store in stores].count(1) == 1
    await asyncio.gather(*(store.close() for store in stores))
    await line.database.drop()


async def test_the_release_before_runs_on_a_newer_schema(place: Place) -> None:
    await place.hand.execute("ALTER TABLE inbox ADD COLUMN later text NOT NULL DEFAULT ''")
    await place.hand.execute("INSERT INTO migration VALUES (9999, '9999_later.sql', 'of the next release')")

    replica = place.replica(await place.open())

    await replica.answer("c1", "hello")
    assert await replica.taken() == ["hello"]


async def test_a_schema_from_which_a_newer_release_took_something_away_is_refused(place: Place) -> None:
    await place.hand.execute("INSERT INTO migration VALUES (9999, '9999_no_raw_from_9998.sql', 'x')")

    with pytest.raises(StoreDamaged, match="9999_no_raw_from_9998"):
        await place.open()


async def test_a_migration_that_we_do_not_ship_is_refused(place: Place) -> None:
    await place.hand.execute("UPDATE migration SET digest = 'other'")

    with pytest.raises(StoreDamaged, match="0001_line"):
        await place.open()


async def test_a_schema_that_is_not_there_is_refused_at_once(place: Place) -> None:
    where = f"{place.database.url}?search_path=t{secrets.token_hex(6)}"

    with pytest.raises(StoreRefused, match="schema"):
        await asyncio.wait_for(PostgresStore.open(where, place.clock), 5)


# Answers that are lost on the way


async def test_a_commit_whose_answer_is_lost_is_found_to_have_happened(place: Place, proxy: Proxy) -> None:
    line = await place.behind(proxy)
    accepted = await line.accept()
    claim = await line.claim()

    proxy.suffer(cut_after=0)
    committing = asyncio.create_task(line.commit(claim, "hello"))
    await place.until("SELECT status = 'done' FROM inbox WHERE id = $1", accepted.id)
    await until_cut(proxy)
    proxy.heal()
    await committing

    assert await line.taken() == ["hello"]
    assert await place.ask("SELECT count(*) FROM outbox WHERE conversation = 'c1'") == 1


async def test_what_was_claimed_for_an_answer_that_was_lost_is_claimed_again_uncounted(
    place: Place, proxy: Proxy
) -> None:
    line = await place.behind(proxy)
    await line.accept()
    await place.hand.execute("UPDATE conversation SET started = 2 WHERE id = 'c1'")  # a suspect is asked for first

    with proxy.suffering(cut_after=0), pytest.raises(StoreAway):
        await line.store.claim(10)
    await place.until("SELECT started = 3 FROM conversation WHERE id = 'c1'")

    claim = await line.claim()
    assert claim.attempt == 3
    await line.commit(claim, "hello")


@pytest.mark.parametrize("closes", [False, True], ids=["asked again", "closed"])
async def test_what_was_claimed_for_an_asker_who_left_is_claimed_again_uncounted(
    place: Place, proxy: Proxy, *, closes: bool
) -> None:
    line = await place.behind(proxy)
    await line.accept()

    with proxy.suffering(latency=0.3):
        waiting = asyncio.create_task(line.store.claim(10))
        await place.until("SELECT started = 1 FROM conversation WHERE id = 'c1'")
        waiting.cancel()
        await asyncio.wait({waiting})
    if closes:
        await line.store.close()
        line = place.line

    claim = await line.claim()
    assert claim.attempt == 1
    await line.commit(claim, "hello")


async def test_what_was_taken_for_an_answer_that_was_lost_is_taken_again_uncounted(place: Place, proxy: Proxy) -> None:
    line = await place.behind(proxy)
    await line.answer("c1", "hello")

    with proxy.suffering(cut_after=0), pytest.raises(StoreAway):
        await line.store.take(10)
    await place.until("SELECT state = 'sending' FROM outbox WHERE conversation = 'c1'")

    delivery = await line.take()
    assert delivery.attempt == 1
    assert await line.store.settle(delivery, Settled())


async def test_what_came_with_a_commit_whose_answer_was_lost_is_taken_again_uncounted(
    place: Place, proxy: Proxy
) -> None:
    line = await place.behind(proxy)
    await line.answer("c1", "before")
    await line.send()
    await line.accept("c1")
    claim = await line.claim()
    for _ in range(2):
        assert not await line.store.take(10, (), 0.05)
    waiting = asyncio.create_task(line.store.take(10, (), 5.0))
    await asyncio.sleep(0)

    proxy.suffer(cut_after=0)
    committing = asyncio.create_task(line.commit(claim, "hello"))
    await place.until("SELECT count(*) = 1 FROM outbox WHERE state = 'sending'")
    await until_cut(proxy)
    waiting.cancel()
    proxy.heal()
    await committing

    delivery = await line.take()
    assert delivery.attempt == 1
    assert await line.store.settle(delivery, Settled())


@pytest.mark.parametrize("known", [True, False], ids=["with the commit", "by a look"])
async def test_what_came_for_an_asker_who_left_is_given_to_the_next_one(
    place: Place, proxy: Proxy, *, known: bool
) -> None:
    line = await place.behind(proxy)
    if known:  # a conversation's first reply is looked for
        await line.answer("c1", "before")
        await line.send()
    await line.accept()
    claim = await line.claim()
    for _ in range(2):
        assert not await line.store.take(10, (), 0.05)
    waiting = asyncio.create_task(line.store.take(10, (), 5.0))
    await asyncio.sleep(0)

    with proxy.suffering(latency=0.3):
        committing = asyncio.create_task(line.commit(claim, "hello"))
        await place.until("SELECT count(*) = 1 FROM outbox WHERE state = 'sending'")
        waiting.cancel()
        await committing

    delivery = await line.take()
    assert delivery.attempt == 1
    assert await line.store.settle(delivery, Settled())


# Groups


async def test_a_late_turn_cannot_ride_with_the_turn_that_took_over(place: Place) -> None:
    line = place.line
    await line.accept()
    late = await line.claim()
    place.clock.advance(31)
    claim = await line.claim()

    results = await asyncio.gather(line.commit(late, "late"), line.commit(claim, "hello"), return_exceptions=True)

    assert [type(result) for result in results] == [LostLease, type(None)]
    assert await line.taken() == ["hello"]
    assert await place.ask("SELECT count(*) FROM outbox") == 1


async def test_a_turn_that_cannot_be_stored_fails_alone(place: Place) -> None:
    line = place.line
    for name in ("c1", "c2", "c3"):
        await line.accept(name)
    claims = sorted(await line.store.claim(3), key=lambda claim: claim.conversation)

    texts = ("one", "half a sign: \ud83d", "three")
    results = await asyncio.gather(
        *(line.commit(claim, text) for claim, text in zip(claims, texts, strict=True)), return_exceptions=True
    )

    assert [isinstance(result, Exception) for result in results] == [False, True, False]
    assert sorted(await line.taken()) == ["one", "three"]


async def test_a_delivery_whose_ids_cannot_be_stored_fails_alone(place: Place) -> None:
    line = place.line
    await line.answer("c1", "one")
    await line.answer("c2", "two")
    one, two = await line.store.take(2)

    results = await asyncio.gather(
        line.store.settle(one, Settled(ids=("\ud83d",))), line.store.settle(two, Settled()), return_exceptions=True
    )

    assert isinstance(results[0], Exception)
    assert results[1] is True


async def test_names_that_are_too_long_for_an_index_are_kept_apart_all_the_same(place: Place) -> None:
    line, long = place.line, secrets.token_hex(5000)

    keys = [await line.accept("c1", key=long + end) for end in ("a", "b", "a")]
    conversations = [await line.accept(long + end) for end in ("a", "b")]

    assert [accepted.duplicate for accepted in keys] == [False, False, True]
    assert keys[0].id == keys[2].id
    assert len(await line.claimed()) == 1 + len(conversations)
    assert len(await line.store.reader.history(long + "a", 10)) == 1


async def test_a_caller_that_goes_away_keeps_nobody_waiting(place: Place) -> None:
    line = place.line
    gone = asyncio.create_task(line.accept("c1"))
    stays = asyncio.create_task(line.accept("c2"))
    await asyncio.sleep(0)
    gone.cancel()

    await stays

    await asyncio.gather(gone, return_exceptions=True)
    assert await line.claimed() == ["c1", "c2"]


# Locks


async def test_an_accept_that_collides_with_another_is_tried_again(place: Place) -> None:
    line = place.line
    await line.accept("a")
    await line.accept("b")
    waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"

    tries = 0
    while tries < 10:
        tries += 1
        try:
            async with place.hand.transaction():
                await place.hand.execute("SELECT FROM conversation WHERE id = 'b' FOR UPDATE")
                both = asyncio.create_task(line.receive(line.event("a"), line.event("b")))
                await place.until(waiting)
                await place.hand.execute("SELECT FROM conversation WHERE id = 'a' FOR UPDATE")
        except asyncpg.DeadlockDetectedError:  # we came late, and the server ended ours instead of theirs
            await both
            continue
        break
    accepted = await both

    assert [item.duplicate for item in accepted] == [False, False]
    assert await place.ask("SELECT sum(pending) FROM conversation") == 2 + 2 * tries


async def test_a_turn_that_holds_a_row_for_long_makes_nobody_else_wait(place: Place) -> None:
    line = place.line
    await line.answer("a", "one")
    await line.answer("b", "two")
    await line.accept("a")
    await line.accept("b")

    async with place.hand.transaction():
        await place.hand.execute("SELECT FROM conversation WHERE id = 'a' FOR UPDATE")
        await place.hand.execute("SELECT FROM lane WHERE conversation = 'a' FOR UPDATE")
        assert await line.claimed() == ["b"]
        assert await line.taken() == ["two"]

    assert await line.claimed() == ["a"]
    assert await line.taken() == ["one"]


async def test_a_busy_conversation_is_not_read_from_its_beginning_at_each_turn(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "FAR", 0)
    line = place.line
    for _ in range(3):
        await line.accept("c1")
        await line.accept("other")

    for _ in range(2):
        for claim in await line.store.claim(2):
            await line.commit(claim)
    await line.store.claim(2)

    join = "FROM inbox i JOIN conversation c ON c.id = i.conversation"
    left = f"SELECT count(*) {join} WHERE i.id >= c.head AND i.status = 'done'"
    assert await place.ask(left) == 0


async def test_an_event_that_is_put_back_during_a_turn_is_not_overlooked(place: Place) -> None:
    line = place.line
    poison = await line.accept("c1")
    await line.accept("c1")
    for _ in range(5):
        await line.store.retry(next(c for c in await line.store.claim(1)), 0, "ValueError")
    assert await line.store.reader.status(poison.id) == "parked"
    claim = next(claim for claim in await line.store.claim(2) if claim.conversation == "c1")

    await line.store.redrive(f"e{poison.id}")
    await line.commit(claim)

    assert (await line.claim()).events[0].id == poison.id


async def test_a_reply_that_is_given_back_leaves_before_later_ones(place: Place) -> None:
    line = place.line
    first = await line.answer("c1", "one", hold=30.0)
    second = await line.answer("c1", "two", hold=30.0)
    (one,) = await line.store.reply(first)
    (two,) = await line.store.reply(second)
    await line.store.settle(one, Settled())
    await line.answer("c1", "three")

    assert await line.taken() == []
    await line.store.hand_back([two])
    place.clock.advance(31)

    assert await line.taken() == ["two"]


# Texts


async def test_a_nul_is_stored_and_read_as_what_it_is_in_a_text(place: Place) -> None:
    line = place.line
    text = "a\0b 'quoted' \\ \u202e ☃"
    await line.accept("c'1\0", key="k\0'", text=text)
    again = await line.accept("c'1\0", key="k\0'", text=text)
    claim = await line.claim()

    await line.commit(claim, text, state={"v": 1, "seen": text}, memories=(Memory(person="p\0", key="k", value=text),))

    assert again.duplicate
    assert claim.events[0].event.text == text
    assert await line.taken() == [text]
    assert await line.store.memory("p\0", "k") == text


# Servers that change


TOUCHED = """SELECT sum(n_tup_ins) AS rows, sum(seq_scan) AS scans FROM pg_stat_user_tables WHERE schemaname = $1
AND relname IN ('inbox', 'outbox', 'conversation', 'lane', 'receipt', 'told')"""
GONE = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = left($1, 63))"


def named(store: PostgresStore) -> str:
    """Return what a store's sessions are called on the server."""
    return f"dragoman {store.owner}"


async def test_a_message_reads_no_whole_table_not_even_of_an_empty_database(
    make_line_on: "Callable[[str], MakeLine]", tmp_path: Path
) -> None:
    line = make_line_on("postgres")(tmp_path)
    database: Any = line.database
    hand = await asyncpg.connect(database.url)
    touched: list[Any] = []
    for messages in (0, 8):  # making the schema reads its tables
        await line.open()
        store: Any = line.store
        for _ in range(messages):
            await line.answer("c1", "hello")
            await line.send()
        await line.store.close()
        await eventually(functools.partial(hand.fetchval, GONE, named(store)))  # then its counts are told
        touched.append(await hand.fetchrow(TOUCHED, database.schema))

    assert touched[1]["rows"] >= 8 * 5
    assert touched[1]["scans"] == touched[0]["scans"]
    await hand.close()
    await database.drop()


async def test_a_session_that_ended_while_nobody_used_it_is_replaced(place: Place) -> None:
    store = await place.open(connections=2)
    line = place.replica(store)
    await line.accept("c1")

    session = await place.ask("SELECT pid FROM pg_stat_activity WHERE application_name = left($1, 63)", named(store))
    await place.ask("SELECT pg_terminate_backend($1)", session)
    await place.until("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)", session)

    async def accepted() -> bool:
        with contextlib.suppress(StoreAway):  # the news of its end may be on the way still
            return bool(await line.accept("c1"))
        return False

    await eventually(accepted, 1.0)


@contextlib.asynccontextmanager
async def person(place: Place) -> AsyncIterator[str]:
    """Give the address of a server that a test can make read-only: for a role of its own."""
    role = f"r{secrets.token_hex(6)}"
    await place.hand.execute(f"CREATE ROLE {role} LOGIN SUPERUSER")
    try:
        yield place.database.url.replace("postgres@", f"{role}@")
    finally:
        await place.stack.aclose()
        await place.hand.execute(f"DROP ROLE {role}")


async def test_a_server_that_becomes_read_only_is_away_until_it_takes_writes_again(place: Place) -> None:
    async with person(place) as at:
        line = place.replica(await place.open(at=at))
        role = urlsplit(at).username
        await line.accept("c1")

        await place.hand.execute(f"ALTER ROLE {role} SET default_transaction_read_only = on")
        await place.hand.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", role)
        for _ in range(3):
            with pytest.raises(StoreAway):
                await line.accept("c2")
        with pytest.raises(StoreAway):
            await place.open(at=at)
        await place.hand.execute(f"ALTER ROLE {role} SET default_transaction_read_only = off")

        await eventually(lambda: _works(line))
        await eventually(lambda: _hears(place.line.store, line.store))


async def _works(line: "Line") -> bool:
    with contextlib.suppress(StoreAway):
        await line.accept("c3")
        return True
    return False


async def _hears(speaker: Any, listener: Any) -> bool:
    heard = asyncio.Event()
    listener.listen(lambda _: heard.set(), lambda: None)
    speaker.tell("hello")
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(heard.wait(), 0.5)
    return heard.is_set()


async def test_what_another_replica_accepts_wakes_at_once(place: Place) -> None:
    other = place.replica(await place.open())
    await eventually(lambda: _hears(other.store, place.line.store))
    assert await place.line.store.claim(10) == []

    began = time.monotonic()
    waiting = asyncio.create_task(place.line.store.claim(10, patience=30))
    await other.accept("c1")
    claims = await waiting or await place.line.store.claim(10)

    assert time.monotonic() - began < 5
    assert [claim.conversation for claim in claims] == ["c1"]


async def test_the_more_replicas_live_the_seldomer_one_tells_the_others(place: Place) -> None:
    store, told = place.line.store, 0
    await store.beat("engine")
    await place.database.change(
        "INSERT INTO replica (name, roles, seen_at) "
        "SELECT n::text, roles, seen_at FROM replica, generate_series(1, 40) n"
    )
    await store.beat("engine")

    def heard(*_: object) -> None:
        nonlocal told
        told += 1

    await place.hand.add_listener(f"dragoman_{place.database.schema}", heard)
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        store.tell("hello")
        await asyncio.sleep(0.001)
    await eventually(lambda: asyncio.sleep(0, told))

    assert told <= 0.5 / 0.06 + 3


async def test_a_listener_whose_server_ended_its_session_hears_again(place: Place) -> None:
    listener = await place.open()
    await eventually(lambda: _hears(place.line.store, listener))
    missed = asyncio.Event()
    listener.listen(lambda _: None, missed.set)

    assert await place.end_sessions(f"dragoman bell {listener.owner}") == 1

    async with asyncio.timeout(5):
        await missed.wait()
    await eventually(lambda: _hears(place.line.store, listener))


async def test_words_that_are_too_long_for_a_hint_do_not_stop_the_others(place: Place) -> None:
    other = await place.open()
    heard: list[str] = []
    await eventually(lambda: _hears(place.line.store, other))
    other.listen(heard.append, lambda: None)

    for text in ("x" * 9000, "\ud83d", *(f"{number} {'y' * 3000}" for number in range(5)), "last"):
        place.line.store.tell(text)

    async with asyncio.timeout(5):
        while "last" not in heard:
            await asyncio.sleep(TRY_AGAIN)
    assert len(heard) == 6


# Clocks and leases


async def test_leases_run_on_the_servers_clock_and_are_told_on_ours(place: Place) -> None:
    line = place.replica(await place.open(given=None))  # ours stands years behind the server's
    await line.answer("c1", "hello")

    delivery = await line.take()

    assert delivery.until == place.clock() + 15
    assert abs(delivery.at - place.clock()) < 5
    assert await place.ask("SELECT abs(until - 15 - extract(epoch FROM now())) < 5 FROM outbox")
    assert await line.store.sweep() == 0


async def test_a_connection_has_one_owner_until_its_lease_and_the_grace_are_over(place: Place) -> None:
    one, two = await place.open(), await place.open()

    assert await one.lease("socket", "one", 15) == 1
    place.clock.advance(16.9)
    assert await two.lease("socket", "two", 15) == 0
    place.clock.advance(0.2)
    assert await two.lease("socket", "two", 15) == 2
    assert await one.lease("socket", "one", 15) == 0
    await one.let_go("socket", "one")
    assert await two.lease("socket", "two", 15) == 2
    await two.let_go("socket", "two")
    assert await one.lease("socket", "one", 15) == 3
