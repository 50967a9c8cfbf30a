"""A file of an older release: what is in it goes on as if this release had written it."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import apsw
import pytest

from dragoman.store.named import missing
from dragoman.store.sqlite import SqliteStore, opening
from dragoman.store.sqlite.pages import at_rest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.store.conftest import Line, MakeLine

OLDER: Final = 5
"""The last schema in which a key was there once by a constraint of its table."""
KEYS: Final = ("k1", "place/1700000000.000100", "a/b/c", "/", "ends/", "地/方", "it's")


@pytest.fixture
def make_line(make_line_on: "Callable[[str], MakeLine]") -> "MakeLine":
    """Give lines on files only."""
    return make_line_on("sqlite")


async def made_older(line: "Line", folder: Path) -> Path:
    """Close the line's store, and put all that is in it into a file of the older schema at its place."""
    await line.store.close()
    database = folder / "dragoman.db"
    newer = database.rename(folder / "newer.db")
    with contextlib.closing(opening.connect(database)) as connection:
        connection.execute(
            "CREATE TABLE migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL)"
        )
        for migration in missing("sqlite", {}, "it")[:OLDER]:
            connection.execute(migration.sql)
            values = (migration.number, migration.name, migration.digest)
            connection.execute("INSERT INTO migration VALUES (?, ?, ?)", values)
        connection.execute("ATTACH ? AS newer", (str(newer),))
        tables = connection.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name != 'migration'")
        for table in [name for (name,) in tables]:
            columns = ", ".join(row[1] for row in connection.execute(f"PRAGMA main.table_info({table})"))
            connection.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM newer.{table}")  # noqa: S608
    return database


async def opened_as_older(line: "Line", folder: Path) -> None:
    """Let the line go on in a file of the older schema."""
    await made_older(line, folder)
    await line.open()


async def test_what_was_known_is_a_repeat(line: "Line", tmp_path: Path) -> None:
    first = [await line.accept("c1", key) for key in KEYS]
    await opened_as_older(line, tmp_path)
    again = [await line.accept("c1", key) for key in KEYS]

    assert [item.duplicate for item in first + again] == [False] * len(first) + [True] * len(again)
    assert [item.id for item in again] == [item.id for item in first]


async def test_one_key_of_two_kinds_or_accounts_is_two_happenings(line: "Line", tmp_path: Path) -> None:
    first = [await line.accept("c1", "place/1", kind=kind) for kind in ("message", "action")]
    await opened_as_older(line, tmp_path)
    again = [await line.accept("c1", "place/1", kind=kind) for kind in ("message", "action")]
    other = await line.accept("c2", "place/1", account="other")

    assert [item.duplicate for item in (*first, *again, other)] == [False, False, True, True, False]


async def test_the_line_goes_on_where_it_was(line: "Line", tmp_path: Path) -> None:
    await line.answer("c1", "sent")
    await line.send()
    await line.answer("c2", "waits to leave")
    waiting = await line.accept("c3", "k9")
    await opened_as_older(line, tmp_path)

    claim = await line.claim()
    assert [event.id for event in claim.events] == [waiting.id]
    assert await line.taken() == ["waits to leave"]
    assert await line.answer("c4", "new") > waiting.id


async def test_a_message_is_found_by_its_key(line: "Line", tmp_path: Path) -> None:
    accepted = {key: await line.accept("c1", key) for key in KEYS}
    await opened_as_older(line, tmp_path)

    for key, item in accepted.items():
        trace = await line.store.reader.trace(key)
        assert trace is not None
        assert trace.id == f"e{item.id}"


async def test_the_file_is_whole_and_no_longer_than_it_must_be(line: "Line", tmp_path: Path) -> None:
    for number in range(50):
        await line.answer(f"c{number}", "hello")
    await opened_as_older(line, tmp_path)
    log = tmp_path / "dragoman.db-wal"

    assert log.stat().st_size < 100_000  # what was written anew has gone into the file
    await line.store.close()
    with contextlib.closing(apsw.Connection(str(tmp_path / "dragoman.db"))) as connection:
        assert connection.pragma("integrity_check") == "ok"
    await line.open()


async def test_who_follows_the_pages_begins_anew(line: "Line", tmp_path: Path) -> None:
    await line.accept("c1")
    database = await made_older(line, tmp_path)

    store = await SqliteStore.open(database, line.clock, follow=at_rest(database))
    assert store.pages is not None
    assert not store.pages.continuous
    await store.close()
    await line.open()
