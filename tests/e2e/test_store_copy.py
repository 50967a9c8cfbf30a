"""`dragoman store copy`, as people type it: a service's store moves, a killed copy goes on, refusals are one line."""

import asyncio
import contextlib
import json
import os
import pty
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import apsw
import asyncpg
import pytest

from dragoman.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from tests.e2e.conftest import Command

ROWS: Final = 40_000

pytestmark = pytest.mark.timeout(180)


def ask(url: str, statement: str) -> Any:
    """Ask the server one question, and return the value."""

    async def run() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(run())


@pytest.fixture
def url() -> Iterator[str]:
    """Make a schema on the server at hand."""
    server = os.environ.get("TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")
    place = urlsplit(server)
    try:
        socket.create_connection((place.hostname or "127.0.0.1", place.port or 5432), 2).close()
    except OSError as error:
        pytest.skip(f"no PostgreSQL at {place.hostname}:{place.port or 5432} (set TEST_POSTGRES): {error.strerror}")
    schema = f"t{secrets.token_hex(6)}"
    ask(server, f"CREATE SCHEMA {schema}")
    yield f"{server}?search_path={schema}"
    ask(server, f"DROP SCHEMA {schema} CASCADE")


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Make a store with many rows."""
    file = tmp_path / "large.db"

    async def make() -> None:
        store = await SqliteStore.open(file, time.time)
        await store.keep("cursor", "17")
        await store.close()

    asyncio.run(make())
    with contextlib.closing(apsw.Connection(str(file))) as connection:
        statement = """
            WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
            INSERT INTO receipt SELECT i, 'acme', i, CAST(printf('%0200d', i) AS BLOB) FROM n"""
        connection.execute(statement, (ROWS,))
    return file


def test_a_conversation_goes_on_in_the_other_database(dragoman: "Command", url: str) -> None:
    dragoman.start().stop()
    assert "hello" in dragoman("chat", given="hello\n").out.lower()
    before = dragoman("trace", "e1", "--json")

    copied = dragoman("store", "copy", str(dragoman.folder), "env:DATABASE_URL", environ={"DATABASE_URL": url})

    assert (copied.code, copied.err) == (0, "")
    assert "copy     inbox                  1 rows\n" in copied.out
    assert "compare  inbox                  1 rows\n" in copied.out
    assert " rows are in postgresql://" in copied.out.splitlines()[-1]
    after = dragoman("trace", "e1", "--json", environ={"DRAGOMAN_STORE": url})
    assert json.loads(after.out) == json.loads(before.out)
    dragoman.start(environ={"DRAGOMAN_STORE": url}).stop()
    assert ask(url, "SELECT count(*) FROM outbox") == 1


@pytest.mark.parametrize("goal", ["sqlite", "postgres"])
def test_a_killed_copy_goes_on(
    dragoman: "Command", url: str, large: Path, tmp_path: Path, eventually: Callable[..., Any], goal: str
) -> None:
    file = tmp_path / "copied.db"
    target = url if goal == "postgres" else str(file)
    words = dragoman.words("store", "copy", str(large), target, "--json")

    def begun() -> bool:
        if goal == "postgres":
            there = ask(url, "SELECT to_regclass('copying') IS NOT NULL")
            return bool(there and ask(url, "SELECT rows FROM copying WHERE name = 'receipt'"))
        with (
            contextlib.suppress(apsw.Error),
            contextlib.closing(apsw.Connection(f"{file}.copying", flags=apsw.SQLITE_OPEN_READONLY)) as connection,
        ):
            return bool(connection.execute("SELECT rows FROM copying WHERE name = 'receipt'").get)
        return False

    with subprocess.Popen(words, env=dragoman.environ(), stdout=subprocess.DEVNULL) as process:  # noqa: S603 - ours
        eventually(begun)
        process.kill()
    assert process.returncode == -signal.SIGKILL

    ended = dragoman("store", "copy", str(large), target, "--json")

    assert (ended.code, ended.err) == (0, "")
    report = json.loads(ended.out)
    assert report["tables"]["receipt"]["rows"] == ROWS
    assert 0 < report["resumed"] < ROWS
    assert report["rows"] == ROWS + 1
    assert (report["from"], "postgresql://" in report["to"]) == (str(large), goal == "postgres")


def test_a_running_service_is_refused_on_both_sides(dragoman: "Command", url: str, large: Path, tmp_path: Path) -> None:
    bot = dragoman.start()
    for sides in ((dragoman.folder, tmp_path / "other.db"), (large, dragoman.folder)):
        refused = dragoman("store", "copy", *map(str, sides))
        assert (refused.code, "runs on" in refused.complaint) == (1, True)
    bot.stop()

    bot = dragoman.start(environ={"DRAGOMAN_STORE": url})
    for texts in ((url, str(tmp_path / "other.db")), (str(large), url)):
        refused = dragoman("store", "copy", *texts)
        assert (refused.code, "runs on postgresql://" in refused.complaint) == (1, True)
    bot.stop(signal.SIGKILL)
    refused = dragoman("store", "copy", url, str(tmp_path / "other.db"))
    assert (refused.code, "stop it, and wait 15 seconds" in refused.complaint) == (1, True)


def test_what_cannot_be_is_refused_in_one_line_without_the_password(dragoman: "Command", large: Path) -> None:
    away = dragoman("store", "copy", str(large), "postgresql://kim:hunter2@127.0.0.1:9/line")
    assert (away.code, away.out) == (1, "")
    assert away.complaint.startswith("dragoman: postgresql://kim@127.0.0.1:9/line: the database ")
    assert "hunter2" not in away.complaint

    for texts, words in (
        (("none.db", "other.db"), "there is no such file"),
        ((str(large), str(large)), "TO: is the same store as FROM"),
        ((str(large), "env:NO_SUCH_NAME"), "TO: the environment variable NO_SUCH_NAME is not set"),
        ((str(large), "mysql://root@127.0.0.1/line"), "TO: is no place of a store"),
    ):
        refused = dragoman("store", "copy", *texts)
        assert (refused.code, refused.out, words in refused.complaint) == (2, "", True)


def test_a_second_copy_into_the_same_place_is_refused(dragoman: "Command", large: Path, tmp_path: Path) -> None:
    target = tmp_path / "folder that is new"
    assert dragoman("store", "copy", str(large), str(target)).code == 0
    assert (target / "dragoman.db").exists()

    again = dragoman("store", "copy", str(large), str(target))

    assert (again.code, "is not empty (receipt, kept)" in again.complaint) == (2, True)


def test_a_terminal_shows_a_bar(dragoman: "Command", large: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    words = dragoman.words("store", "copy", str(large), str(tmp_path / "copied.db"))
    environ = {**dragoman.environ(), "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, stderr=theirs)  # noqa: S603 - ours
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the terminal's other end is closed
        while more := os.read(ours, 65536):
            shown += more
    os.close(ours)
    out, _ = process.communicate(timeout=60)

    assert process.returncode == 0
    assert b"copy receipt" in shown
    assert b"40000/40000" in shown
    assert out.count(b"\n") == 1
