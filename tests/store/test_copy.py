"""A store that moves: everything arrives, the other database goes on with it, and nothing stops a copy for good."""

import asyncio
import dataclasses
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import apsw
import asyncpg
import msgspec
import pytest

from dragoman.errors import ConfigError, StoreDamaged, StoreLocked
from dragoman.model import Address, Delivery, Message, Say, Secret, Timer
from dragoman.store import copying
from dragoman.store.base import Later, Memory, Parked, Pause
from dragoman.store.broadcasts import Recipient
from dragoman.store.copying import place
from dragoman.store.copying.place import Place
from dragoman.store.copying.tables import TABLES, Sum
from dragoman.store.postgres import PostgresStore, opening
from dragoman.store.sqlite import SqliteStore
from dragoman.store.sqlite.opening import FileLock

if TYPE_CHECKING:
    from tests.store.conftest import Line, MakeLine

COPIED: Final = [table.name for table in TABLES if table.name != "lane"]
OTHER: Final = {"sqlite": "postgres", "postgres": "sqlite"}

KILLED: Final = """
import asyncio, os, signal, sys

from dragoman.store import copying
from dragoman.store.copying import place

copying.BATCH = 2
calls = 0

def watch(*_):
    global calls
    calls += 1
    if calls == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

source, target = (place.read("x", text, {}) for text in sys.argv[1:3])
asyncio.run(copying.copy(source, target, watch))
"""
"""A copy in tiny batches that is killed when it tells of its progress for the n-th time."""


@dataclasses.dataclass(kw_only=True)
class Side:
    """A database under test, as a line and as what a person names on the command line."""

    line: "Line"
    text: str

    @property
    def place(self) -> Place:
        return place.read("x", self.text, {})

    async def execute(self, statement: str) -> list[Any]:
        """Run a statement beside everything else."""
        if self.place.path.name:
            with apsw.Connection(str(self.place.path)) as file:
                return list(file.execute(statement))
        connection = await asyncpg.connect(self.text)
        try:
            return [tuple(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()


Sides = Callable[[str], Any]


@pytest.fixture
async def side(make_line_on: "Callable[[str], MakeLine]", tmp_path: Path) -> AsyncIterator[Sides]:
    """Make places for a store on a database; all of them share a clock."""
    made: list[Side] = []

    async def make(name: str) -> Side:
        folder = tmp_path / f"{name}-{len(made)}"
        folder.mkdir()
        line = make_line_on(name)(folder)
        if made:
            line.clock = made[0].line.clock
        database: Any = line.database
        text = str(folder / "dragoman.db")
        if name == "postgres":
            text = f"{database.url}?search_path={database.schema}"
            connection = await asyncpg.connect(database.url)
            await connection.execute(f"CREATE SCHEMA {database.schema}")
            await connection.close()
        made.append(Side(line=line, text=text))
        return made[-1]

    yield make
    for one in made:
        await one.line.database.drop()


async def fill(line: "Line") -> None:
    """Bring everything that the line knows into every state."""
    memories = (Memory(person="p1", key="likes", value={"tea": ["é", 1, None]}),)
    await line.open()
    await line.answer("sent", "s1", state={"v": 1, "count": [1, 2.5]}, memories=memories)
    await line.send()
    await line.answer("refused", "p1")
    await line.send(Parked(reason="forbidden"))
    await line.answer("backing", "l1", "l2")
    await line.send(Later(after=50.0, reason="busy"))
    await line.answer("paused", "x1", account="beta")
    await line.send(Pause(after=60.0, reason="token"))
    await line.answer("unsure", "u1", "u2", cls="broadcast")
    await line.take()
    await line.answer("sending", "i1", "i2", "i3")
    await line.take()
    await line.answer("held", "h1", hold=30.0)
    await line.answer("ready", "r1", "r2")
    await line.accept("bad")
    for _ in range(5):
        await line.store.retry(await line.claim(), 0, "ValueError")
    await line.accept("erring")
    await line.store.retry(await line.claim(), 100.0, "TypeError")
    await line.accept("leased", text="a\0b")
    await line.accept("leased")
    await line.claim()
    await line.accept("waiting", "again")
    await line.accept("waiting", "again")
    await line.accept("waiting", wants_turn=False)
    await line.store.park("acme", b"\x00\xff", "strange")
    await line.store.once("t1", "pay", "[1]")
    await line.store.once("t2", "pay", "[2]")
    await line.store.done("t2", "pay", {"paid": True})
    await line.store.keep("cursor", "17")
    await line.store.lease("poll", "me", 10.0)
    reminder = Timer(name="r1", at=line.clock() + 60, event=line.event(kind="timer"), person="p1", jitter=5.0)
    await line.store.timers.set([reminder, msgspec.structs.replace(reminder, name="r2", task="report")])
    await line.store.timers.pause(["r2"])
    broadcast = await line.store.broadcasts.create("news", Message(text="hello"), 0.0)
    everyone = [Recipient(conversation=f"acme/{name}", address=Address(account="acme", channel=name)) for name in "ab"]
    await line.store.broadcasts.add(broadcast, everyone)
    await line.store.broadcasts.ready(broadcast)
    await line.store.close()


async def copy(source: Side, target: Side) -> copying.Copied:
    return await copying.copy(source.place, target.place, lambda *_: None)


def told(delivery: Delivery) -> str:
    assert isinstance(delivery.action, Say)
    return f"{delivery.conversation}: {delivery.action.message.text}"


async def everything(side: Side) -> dict[str, list[dict[str, Any]]]:
    """Read a file whole: every column of every table that is copied, with the types of the values."""
    found: dict[str, list[dict[str, Any]]] = {}
    with apsw.Connection(str(side.place.path)) as connection:
        for table in COPIED:
            cursor = connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2")  # noqa: S608 - names of ours
            names = [name for name, _ in cursor.get_description()]
            found[table] = [dict(zip(names, row, strict=True)) for row in cursor]
    return found


async def test_a_store_comes_back_as_it_was(side: Sides) -> None:
    first, between, last = await side("sqlite"), await side("postgres"), await side("sqlite")
    await fill(first.line)
    before = await everything(first)

    out, back = await copy(first, between), await copy(between, last)

    for row in before["conversation"]:
        if row["because"] == "leased":
            (accepted,) = [event["accepted_at"] for event in before["inbox"] if event["id"] == row["head"]]
            row.update(because="", ready_at=accepted)
    for row in before["outbox"]:
        row["ready_at"] = 0.0 if row["state"] == "sending" else row["ready_at"]
    assert {row["state"] for row in before["outbox"]} == {"pending", "sending", "sent", "parked"}
    assert {row["status"] for row in before["inbox"]} == {"waiting", "done", "parked"}
    assert all(before.values())
    assert await everything(last) == before
    assert out.tables == back.tables


@pytest.mark.parametrize("name", OTHER)
async def test_the_other_store_goes_on(side: Sides, name: str) -> None:
    source, target = await side(name), await side(OTHER[name])
    await fill(source.line)
    await copy(source, target)
    line = target.line
    await line.open()
    try:
        await line.store.sweep()
        sent: list[str] = []
        for seconds in (0, 31, 20, 10, 40):
            line.clock.advance(seconds)
            while claims := await line.store.claim(10):
                for claim in claims:
                    await line.commit(claim, f"turn of {claim.conversation}")
            while deliveries := await line.store.take(10):
                for delivery in deliveries:
                    await line.settle(delivery)
                    sent.append(told(delivery))
        parked = await line.store.reader.parked(10)
    finally:
        await line.store.close()

    by_lane = {lane: [text for text in sent if text.startswith(f"{lane}:")] for lane in ("sending", "ready", "backing")}
    assert by_lane["sending"] == ["sending: i1", "sending: i2", "sending: i3"]
    assert by_lane["ready"] == ["ready: r1", "ready: r2"]
    assert by_lane["backing"] == ["backing: l1", "backing: l2"]
    assert sorted(set(sent) - {text for lane in by_lane.values() for text in lane}) == [
        "erring: turn of erring",
        "held: h1",
        "leased: turn of leased",
        "paused: x1",
        "unsure: u2",
        "waiting: turn of waiting",
    ]
    assert sent.count("leased: turn of leased") == 2
    assert sent.index("sending: i1") < sent.index("held: h1") < sent.index("backing: l1") < sent.index("paused: x1")
    assert sorted((row.kind, row.conversation) for row in parked) == [
        ("delivery", "refused"),
        ("delivery", "unsure"),
        ("event", "bad"),
        ("payload", ""),
    ]


@pytest.mark.parametrize("name", OTHER)
async def test_new_rows_are_numbered_after_the_copied_ones(side: Sides, name: str) -> None:
    source, target = await side(name), await side(OTHER[name])
    await fill(source.line)
    largest = dict(
        await source.execute("SELECT 'inbox', max(id) FROM inbox UNION SELECT 'outbox', max(id) FROM outbox")
    )
    await copy(source, target)
    line = target.line
    await line.open()
    try:
        claims = await line.store.claim(10)
        event = await line.accept("new", "a key of its own")
        assert event.id > largest["inbox"]
        await line.commit(claims[0], "hello")
        ((newest,),) = await target.execute("SELECT max(id) FROM outbox")
        assert newest == largest["outbox"] + 1
        repeated = await line.accept("waiting", "again")
        assert repeated.duplicate
        assert await line.store.recall("cursor") == "17"
        assert await line.store.memory("p1", "likes") == {"tea": ["é", 1, None]}
    finally:
        await line.store.close()


@pytest.mark.parametrize("name", OTHER)
async def test_a_copy_that_is_killed_again_and_again_goes_on(side: Sides, name: str) -> None:
    source, target = await side(name), await side(OTHER[name])
    await fill(source.line)
    for call in (3, 6, 9, 12, 20):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", KILLED, source.text, target.text, str(call), stderr=asyncio.subprocess.PIPE
        )
        _, complaint = await process.communicate()
        assert process.returncode == -signal.SIGKILL, complaint.decode()

    copied = await copy(source, target)

    assert copied.resumed > 0
    ((events,),) = await target.execute("SELECT count(*) FROM inbox")
    assert copied.tables["inbox"][0] == events


async def test_no_service_starts_on_an_unfinished_copy(side: Sides) -> None:
    source, target = await side("sqlite"), await side("postgres")
    await fill(source.line)
    with pytest.raises(Stopped):
        await copying.copy(source.place, target.place, stop_at("conversation"))

    with pytest.raises(StoreDamaged, match="unfinished copy"):
        await target.line.open()
    with pytest.raises(ConfigError, match="unfinished copy itself"):
        await copy(target, await side("sqlite"))


async def test_the_file_has_its_name_only_when_all_is_there(side: Sides) -> None:
    source, target = await side("postgres"), await side("sqlite")
    await fill(source.line)
    with pytest.raises(Stopped):
        await copying.copy(source.place, target.place, stop_at("conversation"))
    assert not target.place.path.exists()

    await copy(source, target)

    assert sorted(path.name for path in target.place.path.parent.iterdir()) == ["dragoman.db", "dragoman.db.lock"]


class Stopped(Exception):
    """The test has seen enough."""


def stop_at(table: str) -> copying.Watch:
    def watch(_what: str, name: str, _done: int, _total: int) -> None:
        if name == table:
            raise Stopped

    return watch


@pytest.mark.parametrize("name", OTHER)
async def test_a_target_that_differs_is_noticed_and_copied_anew(side: Sides, name: str) -> None:
    source, target = await side(name), await side(OTHER[name])
    await fill(source.line)
    with pytest.raises(Stopped):
        await copying.copy(source.place, target.place, stop_at("parked"))
    await source.execute("UPDATE memory SET value = '7'")
    await source.execute("UPDATE outbox SET reason = 'meanwhile' WHERE state = 'sent'")
    await source.execute("DELETE FROM inbox WHERE status = 'done' AND conversation = 'waiting'")

    with pytest.raises(
        StoreDamaged, match=r"inbox \(13 rows, 14 copied\), outbox \(13 rows, 13 copied\); run the same"
    ):
        await copy(source, target)

    copied = await copy(source, target)
    assert copied.tables["inbox"][0] == 13
    assert await target.execute("SELECT reason FROM outbox WHERE state = 'sent'") == [("meanwhile",)]


@pytest.mark.parametrize("name", OTHER)
async def test_rows_that_contradict_the_copied_ones_are_copied_anew(side: Sides, name: str) -> None:
    source, target = await side(name), await side(OTHER[name])
    await fill(source.line)
    with pytest.raises(Stopped):
        await copying.copy(source.place, target.place, stop_at("conversation"))
    await source.execute("UPDATE inbox SET id = 1000 WHERE id = (SELECT max(id) FROM inbox)")

    with pytest.raises(StoreDamaged, match="inbox"):
        await copy(source, target)

    await copy(source, target)
    assert await target.execute("SELECT max(id) FROM inbox") == [(1000,)]


@pytest.mark.parametrize("name", OTHER)
async def test_a_target_that_holds_something_is_refused(side: Sides, name: str) -> None:
    source, target = await side(OTHER[name]), await side(name)
    await fill(source.line)
    await fill(target.line)

    with pytest.raises(ConfigError, match=r"is not empty \(receipt, inbox, "):
        await copy(source, target)


@pytest.mark.parametrize("name", OTHER)
async def test_an_empty_store_that_was_opened_before_is_filled(side: Sides, name: str) -> None:
    source, target = await side(OTHER[name]), await side(name)
    await fill(source.line)
    await target.line.open()
    await target.line.store.close()

    copied = await copy(source, target)

    assert copied.tables["kept"][0] == 1


@pytest.mark.parametrize("name", OTHER)
async def test_the_unfinished_copy_of_another_store_is_refused(side: Sides, name: str) -> None:
    source, other, target = await side(OTHER[name]), await side("sqlite"), await side(name)
    await fill(source.line)
    await fill(other.line)
    with pytest.raises(Stopped):
        await copying.copy(source.place, target.place, stop_at("conversation"))

    with pytest.raises(ConfigError, match="holds the unfinished copy of another store"):
        await copy(other, target)


def linked(path: Path, text: str) -> str:
    path.symlink_to(text)
    return str(path)


@pytest.mark.parametrize("name", OTHER)
async def test_a_store_is_not_copied_into_itself(side: Sides, name: str, tmp_path: Path) -> None:
    source = await side(name)
    await fill(source.line)
    again = Side(line=source.line, text=f"{source.text}&application_name=other")
    if name == "sqlite":
        again.text = linked(tmp_path / "link.db", source.text)

    with pytest.raises(ConfigError, match="TO: is the same store as FROM"):
        await copy(source, source)
    with pytest.raises(ConfigError, match="TO: is the same store as FROM"):
        await copy(source, again)


@pytest.mark.parametrize("running", ["FROM", "TO"])
@pytest.mark.parametrize("name", OTHER)
async def test_a_side_on_which_a_service_runs_is_refused(side: Sides, name: str, running: str) -> None:
    busy, idle = await side(name), await side(OTHER[name])
    await idle.line.open()
    await idle.line.store.close()
    store: Any = PostgresStore if name == "postgres" else SqliteStore
    service = await store.open(busy.text if name == "postgres" else busy.place.path, time.time)
    try:
        await service.beat("gateway")
        with pytest.raises(StoreLocked, match=r"a service.* runs on"):
            await (copy(busy, idle) if running == "FROM" else copy(idle, busy))
    finally:
        await service.close()

    await (copy(busy, idle) if running == "FROM" else copy(idle, busy))


@pytest.mark.parametrize("wrong", ["FROM", "TO"])
@pytest.mark.parametrize("name", OTHER)
async def test_the_schema_of_another_release_is_refused(side: Sides, name: str, wrong: str) -> None:
    strange, usual = await side(name), await side(OTHER[name])
    for one in (strange, usual):
        await one.line.open()
        await one.line.store.close()
    await strange.execute("INSERT INTO migration VALUES (9999, '9999_later.sql', 'x')")

    with pytest.raises(ConfigError, match="has the schema of another release"):
        await (copy(strange, usual) if wrong == "FROM" else copy(usual, strange))


async def test_what_is_no_store_is_refused(side: Sides, tmp_path: Path) -> None:
    target = await side("postgres")
    empty = tmp_path / "empty.db"
    empty.touch()
    for text, words in ((empty, "is no store"), (tmp_path / "none.db", "there is no such file")):
        with pytest.raises(ConfigError, match=words):
            await copy(Side(line=target.line, text=str(text)), target)
    with pytest.raises(ConfigError, match="holds no store"):
        await copy(target, await side("sqlite"))
    nowhere = Side(line=target.line, text=target.text.partition("=")[0] + "=nowhere_at_all")
    source = await side("sqlite")
    await fill(source.line)
    with pytest.raises(ConfigError, match="its schema does not exist"):
        await copy(source, nowhere)


async def test_a_nul_is_shown_by_its_sign_where_it_cannot_be_kept(side: Sides) -> None:
    source, target = await side("sqlite"), await side("postgres")
    await source.line.open()
    await source.line.store.keep("a\0b", "c\0d")
    await source.line.store.close()

    await copy(source, target)

    assert await target.execute("SELECT name, value FROM kept") == [("a\u2400b", "c\u2400d")]


async def test_very_long_names_are_those_that_the_other_store_gives_them(side: Sides) -> None:
    source, target = await side("sqlite"), await side("postgres")
    key, name = "k" * 5000, "".join(chr(0x4E00 + number) for number in range(3000))
    await source.line.open()
    await source.line.answer(name + "2", "later", memories=(Memory(person=name, key=key, value=7),))
    await source.line.accept(name, key)
    await source.line.store.close()

    await copy(source, target)

    line = target.line
    await line.open()
    try:
        assert (await line.accept(name, key)).duplicate
        assert await line.store.memory(name, key) == 7
        ((rows,),) = await target.execute("SELECT count(*) FROM conversation")
        await line.accept(name, "another")
        assert await target.execute("SELECT count(*), max(pending) FROM conversation") == [(rows, 2)]
        assert [told(delivery).partition(": ")[2] for delivery in await line.store.take(10)] == ["later"]
    finally:
        await line.store.close()


@pytest.mark.parametrize("held", ["FROM", "TO"])
async def test_no_service_can_start_while_it_copies(side: Sides, held: str) -> None:
    database, file = await side("postgres"), await side("sqlite")
    source, target = (database, file) if held == "FROM" else (file, database)
    await fill(source.line)
    free: list[bool] = []

    async def look() -> bool:
        connection = await asyncpg.connect(database.text)
        try:
            lock = "SELECT pg_try_advisory_xact_lock($1, hashtext(current_schema()))"  # what opening a store waits for
            return bool(await connection.fetchval(lock, opening.LOCK))
        finally:
            await connection.close()

    def watch(what: str, table: str, _done: int, _total: int) -> None:
        if (what, table) in {("copy", "receipt"), ("compare", "kept")}:
            with pytest.raises(StoreLocked):
                FileLock(file.place.path)
            with ThreadPoolExecutor(1) as beside:
                free.append(beside.submit(lambda: asyncio.run(look())).result())

    await copying.copy(source.place, target.place, watch)

    assert set(free) == {False}
    assert await look()
    FileLock(file.place.path).release()


async def test_large_rows_are_committed_before_they_fill_the_memory(side: Sides) -> None:
    source, target = await side("sqlite"), await side("postgres")
    await source.line.open()
    for number in range(5):
        await source.line.store.park("acme", bytes([number]) * (copying.BATCH_BYTES // 2), "large")
    await source.line.store.close()
    seen: list[int] = []

    def watch(_what: str, table: str, done: int, _total: int) -> None:
        if table == "parked":
            seen.append(done)

    await copying.copy(source.place, target.place, watch)

    assert seen == [0, 2, 4, 5, 5]


COLUMNS: Final = {
    "sqlite": "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'",
    "postgres": "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()",
}
LEFT: Final = {
    "sqlite": {"outbox.ready_at"},
    "postgres": {"inbox.fence", "conversation.owner", "outbox.taker", "outbox.until", "outbox.slot"},
}
"""Columns that say what a process was doing, or what the lanes say."""
LEFT_TABLES: Final = {"migration", "lease", "replica", "pace"}


@pytest.mark.parametrize("name", OTHER)
async def test_no_column_is_forgotten(side: Sides, name: str) -> None:
    empty = await side(name)
    await empty.line.open()
    await empty.line.store.close()
    found = await empty.execute(COLUMNS[name])

    taken = {f"{table.name}.{column}" for table in TABLES for column in table.columns}
    there = {f"{table}.{column}" for table, column in found if table not in LEFT_TABLES}
    if name == "sqlite":
        taken = {column for column in taken if not column.startswith("lane.")}
    assert there - taken == LEFT[name]
    assert taken <= there


def test_a_checksum_knows_rows_in_any_order_and_tells_values_apart() -> None:
    def checksum(*rows: tuple[Any, ...]) -> str:
        total = Sum()
        for row in rows:
            total.add(row)
        return total.checksum

    assert checksum((1, "a"), (2, "b")) == checksum((2, "b"), (1, "a"))
    assert (
        len({checksum((1, "a")), checksum((1, "b")), checksum((1, None)), checksum(), checksum((1, "a"), (1, "a"))})
        == 5
    )


@pytest.fixture
def written(tmp_path: Path) -> Path:
    file = tmp_path / "url"
    file.write_text("postgresql://kim:hunter2@db.example/line\n", encoding="utf-8")
    return file


def test_a_place_is_named_in_many_ways(tmp_path: Path, written: Path) -> None:
    url = "postgresql://kim:hunter2@db.example/line"

    assert place.read("FROM", str(tmp_path), {}).path == tmp_path / "dragoman.db"
    assert place.read("FROM", str(tmp_path / "new"), {}).path == tmp_path / "new" / "dragoman.db"
    assert place.read("FROM", str(tmp_path / "x.db"), {}).path == tmp_path / "x.db"
    for text in (url, "env:URL", f"file:{written}"):
        assert place.read("FROM", text, {"URL": url}).url == Secret(url)


@pytest.mark.parametrize("password", ["hunter2", "hunt@r/2", quote("hünter 2"), "hunter2?x"])
def test_a_name_shows_no_password(password: str) -> None:
    shown = place.read("TO", f"postgresql://kim:{password}@db.example:5433/line?search_path=a&password=hun", {}).name

    assert "hun" not in shown.lower()
    assert "h%C3" not in shown


@pytest.mark.parametrize("text", ["env:NONE", "file:/none/at/all", "mysql://root@db.example/line", "postgresql:x"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^TO: "):
        place.read("TO", text, {})
