"""What only the SQLite store has: a file that is locked, checked and shared by one writer's transactions."""

import asyncio
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import apsw
import pytest

from dragoman.errors import LostLease, StoreAway, StoreDamaged, StoreLocked
from dragoman.store.base import Claim, Later
from dragoman.store.sqlite import SqliteStore, writer
from dragoman.store.sqlite.statements import STATEMENTS
from dragoman.testing.clock import FakeClock

if TYPE_CHECKING:
    from tests.store.conftest import Line, MakeLine

DAY: Final = 86_400.0


@pytest.fixture
def make_line(make_line_on: "Callable[[str], MakeLine]") -> "MakeLine":
    """Give lines on files only."""
    return make_line_on("sqlite")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "dragoman.db"


@pytest.fixture
def sqlite(line: "Line") -> SqliteStore:
    return store_of(line)


def store_of(line: "Line") -> SqliteStore:
    assert isinstance(line.store, SqliteStore)
    return line.store


def connection_of(store: SqliteStore) -> apsw.Connection:
    """Borrow the writer's connection, which is idle while no change waits."""
    return store._writer._connection


def scribble(path: Path) -> None:
    """Overwrite the middle of a file."""
    whole = bytearray(path.read_bytes())
    assert len(whole) > 200_000
    whole[8192:180_000] = b"\xa5" * (180_000 - 8192)
    path.write_bytes(whole)


def cut(path: Path) -> None:
    """Leave the first part of a file."""
    path.write_bytes(path.read_bytes()[:100_000])


def no_database(path: Path) -> None:
    """Put something else there."""
    path.write_bytes(b"this is no database at all. " * 100)


def change(path: Path, statement: str) -> None:
    """Change a closed file behind the store's back."""
    connection = apsw.Connection(str(path))
    connection.execute(statement)
    connection.close()


async def fill(path: Path, clock: FakeClock) -> None:
    """Leave a file of some hundred pages behind."""
    store = await SqliteStore.open(path, clock)
    for number in range(100):
        await store.park("acme", bytes([number]) * 5000, "odd")
        await store.keep(f"name{number}", "value" * 100)
    await store.close()
    del store


async def test_a_second_service_on_the_same_file_is_refused(path: Path, clock: FakeClock) -> None:
    first = await SqliteStore.open(path, clock)

    with pytest.raises(StoreLocked, match=f"another dragoman runs on {path}.*--data"):
        await SqliteStore.open(path, clock)

    await first.keep("still", "open")
    await first.close()
    await (await SqliteStore.open(path, clock)).close()


async def test_closing_lets_the_file_go(path: Path, clock: FakeClock) -> None:
    store = await SqliteStore.open(path, clock)
    await store.keep("name", "value")

    await store.close()

    left = sorted(file.name for file in path.parent.iterdir())
    assert left == ["dragoman.db", "dragoman.db.lock"]


async def test_a_closed_store_takes_nothing_more(path: Path, clock: FakeClock) -> None:
    store = await SqliteStore.open(path, clock)
    await store.close()

    with pytest.raises(StoreAway):
        await store.keep("name", "value")


async def test_what_is_queued_at_the_close_is_still_done(path: Path, clock: FakeClock) -> None:
    store = await SqliteStore.open(path, clock)
    queued = [asyncio.create_task(store.keep(f"name{number}", "value")) for number in range(50)]
    await asyncio.sleep(0)

    await store.close()

    await asyncio.gather(*queued)
    again = await SqliteStore.open(path, clock)
    assert await again.recall("name49") == "value"
    await again.close()


async def test_an_order_that_is_woken_as_its_time_ends_takes_once(line: "Line", sqlite: SqliteStore) -> None:
    assert not await sqlite.claim(5)
    asked = asyncio.create_task(sqlite.claim(5, 0.05))
    slow = threading.Event()
    await asyncio.sleep(0)
    disk = asyncio.create_task(sqlite._writer.aside(slow.wait))
    coming = asyncio.create_task(line.accept("c1"))
    await asyncio.sleep(0)
    sqlite.wake("work")
    await asyncio.sleep(0.1)
    slow.set()
    await asyncio.gather(disk, coming)

    claims = [*await asked, *await sqlite.claim(5)]

    assert [claim.conversation for claim in claims] == ["c1"]


async def test_closing_takes_nothing_for_an_order_that_nobody_waits_for(line: "Line") -> None:
    await line.answer("c1", "news", cls="broadcast")
    await line.send(Later(after=10, reason="the platform's pace", attempted=False, paced=True))
    for _ in range(2):
        assert not await line.store.take(5, (), 0.01)
    line.clock.advance(11)

    await line.store.close()
    await line.open()

    assert await line.taken() == ["news"]


async def test_who_waits_for_something_to_do_learns_that_the_store_is_closed(path: Path, clock: FakeClock) -> None:
    store = await SqliteStore.open(path, clock)
    assert not await store.claim(5)
    asked = asyncio.create_task(store.claim(5, 60))
    await asyncio.sleep(0)

    await store.close()

    with pytest.raises(StoreAway):
        await asked


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_who_waits_learns_that_the_writer_has_died(sqlite: SqliteStore) -> None:
    assert not await sqlite.claim(5)
    asked = asyncio.create_task(sqlite.claim(5, 60))
    await asyncio.sleep(0)

    with pytest.raises(StoreAway):
        await sqlite._writer.aside(sys.exit)

    with pytest.raises(StoreAway):
        await asked
    with pytest.raises(StoreAway):
        await sqlite.claim(5, 60)


@pytest.mark.parametrize("damage", [no_database, scribble, cut])
async def test_a_damaged_file_is_refused_with_the_remedy(
    path: Path, clock: FakeClock, damage: Callable[[Path], None]
) -> None:
    await fill(path, clock)
    damage(path)

    with pytest.raises(StoreDamaged, match=rf"{path} is damaged.*restore it from a backup"):
        await SqliteStore.open(path, clock)


async def test_the_release_before_runs_on_a_newer_file(path: Path, clock: FakeClock) -> None:
    await fill(path, clock)
    change(path, "ALTER TABLE inbox ADD COLUMN later TEXT NOT NULL DEFAULT ''")
    change(path, "INSERT INTO migration VALUES (9999, '9999_later.sql', 'of the next release')")

    store = await SqliteStore.open(path, clock)
    await store.keep("name", "value")

    assert await store.recall("name") == "value"
    await store.close()


async def test_a_file_from_which_a_newer_release_took_something_away_is_refused(path: Path, clock: FakeClock) -> None:
    await fill(path, clock)
    change(path, "INSERT INTO migration VALUES (9999, '9999_no_raw_from_9998.sql', 'x')")

    with pytest.raises(StoreDamaged, match=r"newer release \(9999_no_raw_from_9998\.sql\) for good; upgrade"):
        await SqliteStore.open(path, clock)


async def test_a_file_whose_migration_is_not_ours_is_refused(path: Path, clock: FakeClock) -> None:
    await fill(path, clock)
    change(path, "UPDATE migration SET digest = 'x'")

    with pytest.raises(StoreDamaged, match=r"migration 0001_line\.sql"):
        await SqliteStore.open(path, clock)


async def test_a_refused_file_is_let_go(path: Path, clock: FakeClock) -> None:
    await fill(path, clock)
    change(path, "UPDATE migration SET digest = digest || 'x'")
    with pytest.raises(StoreDamaged):
        await SqliteStore.open(path, clock)
    change(path, "UPDATE migration SET digest = rtrim(digest, 'x')")

    await (await SqliteStore.open(path, clock)).close()


async def test_a_place_that_cannot_be_written_is_away(tmp_path: Path, clock: FakeClock) -> None:
    with pytest.raises(StoreAway):
        await SqliteStore.open(tmp_path / "absent" / "dragoman.db", clock)


async def test_the_file_is_written_durably(sqlite: SqliteStore) -> None:
    connection = connection_of(sqlite)

    assert connection.pragma("journal_mode") == "wal"
    assert connection.pragma("synchronous") == 2  # FULL: a commit is on the disk when it returns


class Holding:
    """Holds the writer, so that what is asked meanwhile waits together."""

    def __init__(self, store: SqliteStore) -> None:
        self.commits = 0
        self._store = store
        self._go_on = threading.Event()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        begun = asyncio.Event()

        def hold(_connection: apsw.Connection) -> None:
            loop.call_soon_threadsafe(begun.set)
            self._go_on.wait()

        self._held = asyncio.ensure_future(self._store._writer.run(hold))
        await begun.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._held

    async def let_go(self) -> None:
        """Go on once all that was started has asked."""
        await asyncio.sleep(0)
        connection_of(self._store).set_commit_hook(self._count)
        self._go_on.set()

    def _count(self) -> bool:
        self.commits += 1
        return False


async def test_what_is_accepted_together_shares_a_transaction(line: "Line", sqlite: SqliteStore) -> None:
    async with Holding(sqlite) as holding:
        accepting = [asyncio.create_task(line.accept(f"c{number}")) for number in range(100)]
        await holding.let_go()
        accepted = await asyncio.gather(*accepting)

    assert len({item.id for item in accepted}) == 100
    assert holding.commits == 2  # the one that held the writer, and the hundred


async def test_one_failing_change_fails_alone(line: "Line", sqlite: SqliteStore) -> None:
    await line.accept("c0")
    late = await line.claim()
    line.clock.advance(31)
    await line.claim()

    async with Holding(sqlite) as holding:
        before = asyncio.create_task(line.accept("c1"))
        failing = asyncio.create_task(line.commit(late, "late"))
        after = asyncio.create_task(line.accept("c2"))
        await holding.let_go()
        with pytest.raises(LostLease):
            await failing

    assert not (await before).duplicate
    assert not (await after).duplicate
    assert await line.claimed() == ["c1", "c2"]
    assert await line.taken() == []


async def standing(sqlite: SqliteStore, limit: int) -> "asyncio.Task[Sequence[Claim]]":
    """Leave an order for what there is to do, which finds nothing yet."""
    assert not await sqlite.claim(1, 0.01)
    asked = asyncio.create_task(sqlite.claim(limit, 60))
    await asyncio.sleep(0.01)
    return asked


async def test_what_is_accepted_is_claimed_by_the_same_transaction(line: "Line", sqlite: SqliteStore) -> None:
    asked = await standing(sqlite, 5)

    async with Holding(sqlite) as holding:
        accepting = [asyncio.create_task(line.accept(name)) for name in ("c1", "c2", "c1")]
        await holding.let_go()
        accepted = await asyncio.gather(*accepting)
        claims = await asked

    assert [(claim.conversation, claim.events[0].id, claim.attempt) for claim in claims] == [
        ("c1", accepted[0].id, 1),
        ("c2", accepted[1].id, 1),
    ]
    assert holding.commits == 2  # the one that held the writer, and the three
    assert not await sqlite.claim(5)
    await line.commit(claims[0])
    assert (await line.claim()).events[0].id == accepted[2].id


async def test_no_more_is_given_than_was_ordered(line: "Line", sqlite: SqliteStore) -> None:
    asked = await standing(sqlite, 1)

    await line.receive(line.event("c1"), line.event("c2"))

    assert [claim.conversation for claim in await asked] == ["c1"]
    assert [claim.conversation for claim in await sqlite.claim(5, 60)] == ["c2"]


async def test_what_was_given_in_a_transaction_that_failed_is_given_once(line: "Line", sqlite: SqliteStore) -> None:
    await line.accept("c0")
    late = await line.claim()
    line.clock.advance(31)
    current = await line.claim()
    asked = await standing(sqlite, 5)

    async with Holding(sqlite) as holding:
        before = asyncio.create_task(line.accept("c1"))
        failing = asyncio.create_task(line.commit(late, "late"))
        await holding.let_go()
        with pytest.raises(LostLease):
            await failing
        await before

    (claim,) = await asked
    assert (claim.conversation, claim.attempt) == ("c1", 1)
    await line.commit(current)
    await line.commit(claim, "hello")
    assert await line.taken() == ["hello"]


async def test_what_was_given_is_claimed_again_after_a_crash_and_counted(line: "Line", sqlite: SqliteStore) -> None:
    asked = await standing(sqlite, 5)
    await line.accept("c1")
    await asked

    await line.crash()

    assert (await line.claim()).attempt == 2


async def test_a_settlement_waits_for_company_only_where_others_are_under_way(
    line: "Line", sqlite: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "COMPANY", 60)
    for name in ("c1", "c2"):
        await line.answer(name, "hello")
    first, second = await sqlite.take(2)

    settling = asyncio.create_task(line.settle(first))
    done, _ = await asyncio.wait({settling}, timeout=0.05)
    assert not done
    await line.accept("c3")
    await settling  # it came with that
    await line.commit(await line.claim())

    await line.settle(second)  # it is alone, and waits for nobody


async def test_a_full_disk_is_away_and_the_store_works_again_afterwards(line: "Line", sqlite: SqliteStore) -> None:
    connection = connection_of(sqlite)
    usual = connection.pragma("max_page_count")
    await line.accept("c1")
    connection.pragma("max_page_count", connection.pragma("page_count"))

    with pytest.raises(StoreAway, match="full"):
        await line.receive(line.event("c2", key="big"), raw=bytes(1 << 20))
    assert await line.claimed() == ["c1"]

    connection.pragma("max_page_count", usual)
    assert [item.duplicate for item in await line.receive(line.event("c2", key="big"), raw=bytes(1 << 20))] == [False]
    assert await line.claimed() == ["c2"]


async def test_a_database_that_refuses_writing_is_away(line: "Line", sqlite: SqliteStore) -> None:
    connection_of(sqlite).pragma("query_only", 1)
    with pytest.raises(StoreAway):
        await line.accept("c1")

    connection_of(sqlite).pragma("query_only", 0)

    assert not (await line.accept("c1")).duplicate


async def test_no_more_is_taken_in_when_too_much_waits(line: "Line", sqlite: SqliteStore) -> None:
    sqlite.most_waiting = 2
    await line.accept("c1")
    assert sqlite.full() == ""
    await line.accept("c2")
    assert sqlite.full() == "2 messages wait already"

    await line.commit((await sqlite.claim(1))[0])

    assert sqlite.full() == ""


async def test_what_waited_before_a_restart_counts(line: "Line") -> None:
    await line.accept("c1")
    await line.accept("c1", kind="edit", wants_turn=False)
    await line.accept("c1")

    await line.crash()

    store_of(line).most_waiting = 2
    assert line.store.full() == "2 messages wait already"


async def test_waiting_for_a_turn_leaves_nothing_behind(line: "Line", sqlite: SqliteStore) -> None:
    event = await line.answer("c1")
    waiting = await line.accept("c2")
    await sqlite.finished(event, 60)
    await sqlite.finished(waiting.id, 0.01)

    assert sqlite._finishing == {}


async def a_season(line: "Line") -> None:
    """Take some hundred messages the whole way, then let them grow old and go."""
    events = (line.event(f"c{number % 50}", text="x" * 300) for number in range(500))
    await line.receive(*events, raw=bytes(100_000))
    while claims := await line.store.claim(50):
        await asyncio.gather(*(line.commit(claim, "y" * 300) for claim in claims))
    while deliveries := await line.store.take(50):
        await asyncio.gather(*(line.settle(delivery) for delivery in deliveries))
    line.clock.advance(100 * DAY)
    await line.store.prune(line.clock() - 90 * DAY, line.clock() - 7 * DAY)


async def test_the_file_stops_growing_under_a_steady_load(line: "Line", sqlite: SqliteStore) -> None:
    pages = []
    for _ in range(6):
        await a_season(line)
        pages.append(connection_of(sqlite).pragma("page_count"))

    assert pages[5] <= pages[2] * 1.02


async def test_a_delay_found_at_opening_is_bounded(line: "Line") -> None:
    await line.answer("c1", "one")
    await line.send(Later(after=86_400, reason="503"))
    await line.crash()

    line.clock.advance(301)

    assert await line.taken() == ["one"]


async def test_a_backoff_found_at_opening_is_bounded(line: "Line") -> None:
    await line.accept()
    await line.store.retry(await line.claim(), 86_400, "ValueError")
    await line.crash()

    line.clock.advance(301)

    assert await line.claimed() == ["c1"]


async def test_a_clock_that_was_set_back_while_we_were_down_keeps_nothing_waiting(line: "Line") -> None:
    await line.answer("c2", "hello")
    await line.accept("c1")
    line.clock.advance(-86_400)
    await line.crash()

    assert await line.claimed() == ["c1"]
    assert await line.taken() == ["hello"]


async def test_what_fails_between_two_transactions_is_told_to_who_asked_and_stops_nothing(
    line: "Line", sqlite: SqliteStore
) -> None:
    def fail() -> None:
        raise LookupError("nobody foresaw it")

    with pytest.raises(LookupError):
        await sqlite._writer.aside(fail)

    await line.accept("c1")
    assert await line.claimed() == ["c1"]


FRAME: Final = 24 + 4096
"""Bytes of the log for one page."""


def frames(sqlite: SqliteStore) -> float:
    return Path(connection_of(sqlite).db_filename("main") + "-wal").stat().st_size / FRAME


async def log_of(line: "Line", sqlite: SqliteStore, times: int, at_a_time: int) -> float:
    """Accept messages; returns how many frames the log has grown to."""
    for _ in range(times):
        await asyncio.gather(*(line.accept(f"c{number}") for number in range(at_a_time)))
    return frames(sqlite)


async def test_messages_that_come_one_by_one_keep_the_log_short(line: "Line", sqlite: SqliteStore) -> None:
    assert 1000 < await log_of(line, sqlite, 600, 1) < 1200


async def test_messages_that_share_transactions_share_a_longer_log(line: "Line", sqlite: SqliteStore) -> None:
    assert 2000 < await log_of(line, sqlite, 100, 64) < 5000


async def test_no_log_grows_longer_than_the_longest(
    line: "Line", sqlite: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LONGEST", 1500)
    assert 1500 < await log_of(line, sqlite, 100, 64) < 1700


def test_a_statement_is_run_without_what_only_people_read() -> None:
    sql, _ = STATEMENTS["hold_interrupted"]
    assert "'unsure: the process died while it was being sent; it may have arrived'" in sql
    assert "--" not in STATEMENTS["wake_lane"][0]
    assert "\n" not in sql
    with pytest.raises(KeyError, match="no_such_statement"):
        STATEMENTS["no_such_statement"]
