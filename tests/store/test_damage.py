"""What a crash of the machine, a bad disk or a careless hand does to the file: recovered, or refused at the start."""

import contextlib
import shutil
from pathlib import Path
from typing import Final

import apsw
import pytest

from dragoman.errors import StoreDamaged, StoreForeign
from dragoman.store.pages import Mark
from dragoman.store.sqlite import SqliteStore, opening
from dragoman.testing.clock import FakeClock

PAGE: Final = 4096
LEAVES_AND_NODES: Final = {2, 5, 10, 13}
"""The first byte of a page that is part of a table or an index ("Database File Format", B-tree Pages)."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "dragoman.db"


def copy(path: Path, folder: Path) -> None:
    """Copy a file that is in use, with what SQLite has beside it."""
    folder.mkdir()
    for ending in ("", "-wal", "-shm"):
        shutil.copyfile(f"{path}{ending}", folder / f"dragoman.db{ending}")


def held(path: Path) -> list[str]:
    """Name what this process has open of a file, and of what SQLite has beside it."""
    opened = [str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.exists()]
    return [name for name in opened if name.startswith(str(path))]


async def killed(path: Path, clock: FakeClock, folder: Path, count: int = 60) -> Path:
    """Keep values one after the other, and leave the file as a process that was killed then leaves it."""
    store = await SqliteStore.open(path, clock)
    for number in range(count):
        await store.keep(f"name{number:03}", f"value{number:03}" * 20)
    copy(path, folder)
    await store.close()
    return folder / "dragoman.db"


async def kept(path: Path, clock: FakeClock) -> list[int]:
    """Open the file, see that it can be written, and return the numbers of the values that are whole."""
    store = await SqliteStore.open(path, clock)
    numbers = [number for number in range(60) if await store.recall(f"name{number:03}") == f"value{number:03}" * 20]
    await store.keep("later", "works")
    assert await store.recall("later") == "works"
    await store.close()
    connection = apsw.Connection(str(path))
    assert connection.pragma("integrity_check") == "ok"
    connection.close()
    return numbers


def beside(database: Path, ending: str) -> Path:
    return database.with_name(database.name + ending)


def flip(path: Path, at: int, bit: int = 1) -> None:
    """Turn one bit of a file over."""
    whole = bytearray(path.read_bytes())
    whole[at] ^= bit
    path.write_bytes(whole)


async def test_what_was_committed_is_there_after_a_kill(path: Path, clock: FakeClock, tmp_path: Path) -> None:
    database = await killed(path, clock, tmp_path / "left")

    assert await kept(database, clock) == list(range(60))


async def test_a_deleted_shared_memory_file_is_made_anew(path: Path, clock: FakeClock, tmp_path: Path) -> None:
    database = await killed(path, clock, tmp_path / "left")
    beside(database, "-shm").unlink()

    assert await kept(database, clock) == list(range(60))


async def test_a_shared_memory_file_of_nonsense_is_made_anew(path: Path, clock: FakeClock, tmp_path: Path) -> None:
    database = await killed(path, clock, tmp_path / "left")
    beside(database, "-shm").write_bytes(b"\xa5" * 32_768)

    assert await kept(database, clock) == list(range(60))


@pytest.mark.parametrize("part", [0.0, 0.001, 0.6, 0.8, 0.999])
async def test_of_a_log_that_was_cut_what_came_before_the_cut_is_kept(
    path: Path, clock: FakeClock, tmp_path: Path, part: float
) -> None:
    database = await killed(path, clock, tmp_path / "left")
    log = beside(database, "-wal").read_bytes()
    beside(database, "-wal").write_bytes(log[: int(len(log) * part)])
    beside(database, "-shm").unlink()

    numbers = await kept(database, clock)

    assert numbers == list(range(len(numbers)))  # no gap: the first so many, each whole
    assert (len(numbers) == 0) == (part < 0.01)
    assert len(numbers) < 60


@pytest.mark.parametrize("part", [0.6, 0.8, 0.95])
async def test_of_a_log_with_a_turned_bit_what_came_before_it_is_kept(
    path: Path, clock: FakeClock, tmp_path: Path, part: float
) -> None:
    database = await killed(path, clock, tmp_path / "left")
    flip(beside(database, "-wal"), int(beside(database, "-wal").stat().st_size * part))
    beside(database, "-shm").unlink()

    numbers = await kept(database, clock)

    assert numbers == list(range(len(numbers)))
    assert 0 < len(numbers) < 60


def tree_pages(path: Path) -> list[int]:
    """Return where the pages of tables and indexes begin."""
    whole = path.read_bytes()
    return [at for at in range(PAGE, len(whole), PAGE) if whole[at] in LEAVES_AND_NODES]


KIND: Final = 0
CELLS: Final = 4
CONTENT: Final = 5


@pytest.mark.parametrize("where", [KIND, CELLS, CONTENT])
async def test_a_bit_that_turned_in_the_structure_of_the_file_is_noticed_at_the_start(
    path: Path, clock: FakeClock, tmp_path: Path, where: int
) -> None:
    store = await SqliteStore.open(path, clock)
    for number in range(50):
        await store.park("acme", bytes([number]) * 3000, "odd")
        await store.keep(f"name{number}", "value" * 100)
    await store.close()
    pages = tree_pages(path)
    assert len(pages) > 15

    for number, at in enumerate(pages):
        copied = tmp_path / f"copy{number}.db"
        shutil.copyfile(path, copied)
        flip(copied, at + where, 4)
        with pytest.raises(StoreDamaged, match=r"(?s)is damaged.*restore it from a backup"):
            await (await SqliteStore.open(copied, clock)).close()
        copied.unlink()


@pytest.mark.parametrize("at", [0, 16, 105])
async def test_a_bit_that_turned_in_the_head_of_the_file_is_noticed_at_the_start(
    path: Path, clock: FakeClock, at: int
) -> None:
    store = await SqliteStore.open(path, clock)
    await store.keep("name", "value")
    await store.close()
    flip(path, at)

    with pytest.raises(StoreDamaged, match=r"(?s)is damaged.*restore it from a backup"):
        await SqliteStore.open(path, clock)


@pytest.mark.parametrize("follow", [None, Mark()])
async def test_a_file_that_is_refused_is_let_go_at_once(path: Path, clock: FakeClock, follow: Mark | None) -> None:
    await (await SqliteStore.open(path, clock)).close()
    with contextlib.closing(apsw.Connection(str(path))) as newer:
        newer.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        newer.execute("INSERT INTO migration VALUES (1000, '1000_less_from_0999.sql', 'd')")

    with pytest.raises(StoreForeign):
        await SqliteStore.open(path, clock, follow=follow)

    assert not held(path)
    assert path.with_name("dragoman.db-wal").exists() is (follow is not None)  # who follows reads on in it


def test_a_file_that_is_no_database_is_let_go_at_once(path: Path) -> None:
    path.write_bytes(b"no database" * PAGE)

    with pytest.raises(StoreDamaged):
        opening.connect(path)

    assert not held(path)
