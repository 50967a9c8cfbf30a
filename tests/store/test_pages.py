"""The pages of the embedded store's file, put together from its log, are the file."""

import asyncio
import hashlib
import shutil
from pathlib import Path

import apsw
import pytest

from dragoman.adapter import Receipt
from dragoman.model import Address, Event, Sender
from dragoman.store.base import Times
from dragoman.store.pages import Changes, Mark
from dragoman.store.sqlite import SqliteStore

NOW = 1_700_000_000.0
TIMES = Times(received=NOW, authenticated=NOW, parsed=NOW)


def clock() -> float:
    return NOW


def event(key: str) -> Event:
    return Event(
        key=key,
        account="a",
        platform="test",
        conversation="c",
        address=Address(account="a", channel="c"),
        sender=Sender(id="u", name="Kim"),
        text="x" * 500,
        wants_turn=False,
    )


async def opened(database: Path, follow: Mark | None = None) -> SqliteStore:
    return await SqliteStore.open(database, clock, follow=follow or Mark())


async def fill(store: SqliteStore, begin: int, end: int) -> None:
    async def one(number: int) -> None:
        await store.accept("a", Receipt(events=(event(f"k{number}"),), raw=b"r" * 900), TIMES)

    await asyncio.gather(*(one(number) for number in range(begin, end)))


class Replica:
    """A file put together from changes."""

    def __init__(self) -> None:
        self.pages: dict[int, bytes] = {}
        self.size = 0

    async def begin(self, store: SqliteStore, photo: Path) -> None:
        """Begin with a copy of the whole file."""
        assert store.pages is not None
        found = await store.pages.photograph(photo)
        self.pages = dict(enumerate(_pages(found.path.read_bytes(), found.changes.page_size), 1))
        self.size = found.changes.size

    def apply(self, changes: Changes) -> None:
        self.pages |= changes.pages
        self.size = changes.size

    def bytes(self) -> bytes:
        return b"".join(self.pages[number] for number in range(1, self.size + 1))


async def test_the_changes_put_together_are_the_file(tmp_path: Path) -> None:
    store, replica = await opened(tmp_path / "a.db"), Replica()
    assert store.pages is not None
    await replica.begin(store, tmp_path / "photo")
    for part in range(6):
        await fill(store, part * 400, part * 400 + 400)  # several times the length at which the log is let go
        replica.apply(await store.pages.changes())
        await store.pages.relieve()
    await store.close()
    replica.apply(store.pages.rest())

    assert replica.bytes() == (tmp_path / "a.db").read_bytes()


async def test_a_photo_is_the_file_at_one_moment_while_it_is_written(tmp_path: Path) -> None:
    store, replica = await opened(tmp_path / "a.db"), Replica()
    assert store.pages is not None
    await fill(store, 0, 300)
    writing = asyncio.create_task(fill(store, 300, 3000))
    photo = await store.pages.photograph(tmp_path / "photo")
    replica.pages = dict(enumerate(_pages(photo.path.read_bytes(), photo.changes.page_size), 1))
    await writing
    replica.apply(await store.pages.changes())
    await store.close()
    replica.apply(store.pages.rest())

    assert 300 <= photo.counts["inbox"] <= 3000
    assert replica.bytes() == (tmp_path / "a.db").read_bytes()


def _pages(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


async def test_after_a_stop_the_changes_go_on_where_they_ended(tmp_path: Path) -> None:
    store, replica = await opened(tmp_path / "a.db"), Replica()
    assert store.pages is not None
    await replica.begin(store, tmp_path / "photo")
    await fill(store, 0, 50)
    await store.close()
    last = store.pages.rest()
    replica.apply(last)

    again = await opened(tmp_path / "a.db", last.mark)
    assert again.pages is not None
    assert again.pages.continuous
    await fill(again, 50, 90)
    await again.close()
    replica.apply(again.pages.rest())
    assert replica.bytes() == (tmp_path / "a.db").read_bytes()


@pytest.mark.parametrize("lost", ["nothing", "log", "file"])
async def test_after_a_crash_the_log_is_read_on_and_another_log_is_recognised(tmp_path: Path, lost: str) -> None:
    first, second = tmp_path / "a.db", tmp_path / "b.db"
    store, replica = await opened(first), Replica()
    assert store.pages is not None
    await replica.begin(store, tmp_path / "photo")
    await fill(store, 0, 50)
    seen = await store.pages.changes()
    replica.apply(seen)
    await fill(store, 50, 90)  # committed, and not told: this process dies
    for ending in ("", "-wal"):
        shutil.copyfile(f"{first}{ending}", f"{second}{ending}")
    await store.close()
    if lost == "log":
        (tmp_path / "b.db-wal").unlink()
    if lost == "file":
        connection = apsw.Connection(str(second))
        connection.execute("DELETE FROM receipt")
        connection.close()  # lets the log go into the file

    again = await opened(second, seen.mark)
    assert again.pages is not None
    assert again.pages.continuous == (lost == "nothing")
    await again.close()
    replica.apply(again.pages.rest())
    if lost == "nothing":
        assert digest(replica.bytes()) == digest(second.read_bytes())


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


async def test_without_being_followed_nothing_is_kept(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "a.db", clock)
    assert store.pages is None
    await store.close()
