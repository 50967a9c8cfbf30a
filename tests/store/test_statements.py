"""What the one cursor of a connection leaves behind: nothing that is under way still."""

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import apsw
import pytest

import dragoman.store.sqlite
from dragoman.store.sqlite import SqliteStore, opening
from dragoman.store.sqlite.statements import STATEMENTS, Connection, one, rows
from dragoman.testing.clock import FakeClock

NO_TEXT: Final = "CAST(x'ff' AS TEXT)"
ADDED: Final = f"INSERT INTO memory (person, key, value) VALUES ('p', ?, {NO_TEXT})"  # noqa: S608 - of ours
KEPT: Final = f"INSERT INTO kept (name, value) VALUES ('name', {NO_TEXT})"  # noqa: S608 - of ours
CALLED: Final = re.compile(r'\b(?:run|write)\(\s*connection,\s*"(\w+)"')


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "dragoman.db"


@pytest.fixture
def writing(path: Path) -> Iterator[Connection]:
    with contextlib.closing(opening.connect(path)) as connection:
        opening.prepare(connection, path)
        connection.set_busy_timeout(0)
        yield connection


@pytest.mark.parametrize("ask", [rows, one])
def test_a_question_that_fails_at_a_damaged_text_keeps_no_log_back(
    ask: Callable[..., Any], path: Path, writing: Connection
) -> None:
    for key in "ab":
        writing.execute(ADDED, (key,))
    with contextlib.closing(opening.read_only(path)) as reading:
        with pytest.raises(UnicodeDecodeError):
            ask(reading, "remembered_of", people='["p"]')
        writing.execute("DELETE FROM memory")

        writing.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

        assert not path.with_name("dragoman.db-wal").stat().st_size
        assert ask(reading, "remembered_of", people='["p"]') in ([], None)


async def test_a_question_to_the_writer_that_fails_does_not_keep_it_from_writing_after_somebody_else(
    path: Path, clock: FakeClock
) -> None:
    store = await SqliteStore.open(path, clock)
    with contextlib.closing(apsw.Connection(str(path))) as operator:
        operator.execute(KEPT)
        with pytest.raises(UnicodeDecodeError):
            await store.recall("name")
        operator.execute("DELETE FROM kept")

    await store.keep("name", "value")

    assert await store.recall("name") == "value"
    await store.close()


def test_what_is_run_for_its_effect_gives_no_rows() -> None:
    sources = Path(dragoman.store.sqlite.__file__).parent.glob("*.py")
    names = {name for source in sources for name in CALLED.findall(source.read_text())}

    giving = {name for name in names if re.search(r"\bRETURNING\b|^\s*(?:SELECT|WITH)\b", STATEMENTS[name][0])}

    assert len(names) > 50
    assert not giving
