"""The copies in trouble: long uploads, places that lose things, clocks that lie, and leftovers of what died."""

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.archive.test_backup import SEAL, Bot, Flaky, keys, restored

from dragoman import config
from dragoman.archive.backup.ship import MOST, Shipper
from dragoman.archive.bucket import Bucket
from dragoman.archive.seal import Seal
from dragoman.errors import ArchiveAway
from dragoman.model import Secret
from dragoman.store.pages import Photo
from dragoman.store.sqlite.writer import LONGEST
from dragoman.testing.clock import FakeClock


class Busy(Flaky):
    """A bucket at which something happens while an object is on its way."""

    meanwhile: Callable[[str], Awaitable[None]] | None = None

    async def put(self, path: str, body: bytes, *, new: bool = False) -> bool:
        if self.meanwhile is not None:
            await self.meanwhile(path)
        return await super().put(path, body, new=new)


def folder_bucket(folder: Path) -> Busy:
    plain = Bucket.open(config.Bucket(url=str(folder)), folder, "", "backup")
    return Busy(plain._store, plain.name)


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    bot = Bot(tmp_path / "data", folder_bucket(tmp_path / "kept"), FakeClock(1_700_000_000.0))
    await bot.start()
    yield bot
    await bot.store.close()


def log_size(bot: Bot) -> int:
    return bot.file.with_name(bot.file.name + "-wal").stat().st_size


async def test_while_the_bucket_is_away_the_log_does_not_grow_without_bound(bot: Bot) -> None:
    assert isinstance(bot.bucket, Flaky)
    await bot.ship("k1")
    bot.bucket.away = True
    for part in range(12):
        await bot.say(*(f"{part}-{number}" for number in range(60)), raw=60_000)
        with pytest.raises(ArchiveAway):
            await bot.shipper.ship()

    assert log_size(bot) < 2 * LONGEST * 4096


async def test_while_the_bucket_is_away_the_file_is_not_copied_again_and_again(
    bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(bot.bucket, Flaky)
    pages, copies = bot.store.pages, 0
    assert pages is not None
    photograph = pages.photograph

    async def counted(target: Path) -> Photo:
        nonlocal copies
        copies += 1
        return await photograph(target)

    monkeypatch.setattr(pages, "photograph", counted)
    bot.bucket.away = True
    for _ in range(3):
        with pytest.raises(ArchiveAway):
            await bot.ship("k1")
    assert copies == 0
    bot.bucket.away = False
    await bot.ship("k2")
    assert copies == 1


async def test_a_long_upload_of_a_snapshot_keeps_neither_the_log_back_nor_the_next_one_from_being_kept(
    bot: Bot, tmp_path: Path
) -> None:
    """More is said during the upload than may wait in memory, as with a large store on a slow line."""
    assert isinstance(bot.bucket, Busy)
    said: list[str] = []
    told: list[float] = []

    async def more(path: str) -> None:
        if "/snapshot/" in path and len(said) < 3 * 15:
            names = [f"s{len(said) + number}" for number in range(15)]
            said.extend(names)
            bot.clock.advance(60)
            await bot.say(*names, raw=MOST // 28)
            told.append(bot.shipper.restorable_at)

    await bot.say(*(f"first{number}" for number in range(6)), raw=8 << 20)
    bot.bucket.meanwhile = more
    await bot.ship("k1")
    generation = bot.shipper.generation
    assert len(said) == 45
    await bot.ship("k2")
    assert bot.shipper.generation == generation

    said.clear()
    told.clear()
    bot.bucket.meanwhile = None
    await bot.ship("k3")

    async def again(path: str) -> None:
        if "/snapshot/" in path:
            bot.clock.advance(60)
            await bot.say(f"again{len(told)}")
            told.append(bot.clock() - bot.shipper.restorable_at)

    bot.bucket.meanwhile = again
    await bot.shipper.snapshot()
    assert max(told) < 150  # of many minutes
    bot.bucket.meanwhile = None
    await bot.ship("k4")
    assert bot.shipper.generation == generation
    await restored(bot, tmp_path / "again.db")
    found = await keys(tmp_path / "again.db")
    assert {"k1", "k2", "k3", "k4", "s44", *(f"again{number}" for number in range(len(told)))} <= found


async def test_a_snapshot_that_breaks_off_is_no_moment_that_can_be_restored(bot: Bot) -> None:
    assert isinstance(bot.bucket, Busy)

    async def away(path: str) -> None:
        if "manifest" in path:
            raise ArchiveAway("away")

    bot.bucket.meanwhile = away
    for _ in range(2):
        with pytest.raises(ArchiveAway):
            await bot.ship("k1")
        assert bot.shipper.restorable_at == 0.0


async def test_a_bucket_that_lost_everything_is_noticed_while_there_is_always_something_new(
    bot: Bot, tmp_path: Path
) -> None:
    await bot.ship("k1")
    await bot.bucket.delete([entry.path async for entry in bot.bucket.list("")])
    for number in range(2, 16):
        await bot.ship(f"k{number}")

    await restored(bot, tmp_path / "again.db")
    assert len(await keys(tmp_path / "again.db")) == 15


async def test_another_place_gets_a_snapshot_at_once(bot: Bot, tmp_path: Path) -> None:
    await bot.ship("k1")
    await bot.stop()
    bot.bucket = folder_bucket(tmp_path / "moved")
    await bot.start()
    await bot.ship("k2")

    await restored(bot, tmp_path / "again.db")
    assert await keys(tmp_path / "again.db") == {"k1", "k2"}


async def test_what_is_kept_under_another_key_is_not_gone_on_with(bot: Bot, tmp_path: Path) -> None:
    await bot.ship("k1")
    await bot.stop()
    await bot.start()
    other = Seal(Secret("another key, that is long enough too"), "backup", compress=True)
    assert bot.store.pages is not None
    bot.shipper = Shipper(bot.store.pages, bot.bucket, other, bot.folder, bot.clock, release="1")
    await bot.ship("k2")

    from dragoman.archive.backup import restore  # noqa: PLC0415 - beside its use
    from dragoman.archive.backup.copies import Copies  # noqa: PLC0415 - beside its use

    copies = Copies([bot.bucket], other)
    await restore.restore(copies, await restore.find(copies), tmp_path / "again.db")
    assert await keys(tmp_path / "again.db") == {"k1", "k2"}
    assert SEAL.name != other.name


async def test_a_generation_begun_after_the_clock_was_set_back_is_the_newest_all_the_same(
    bot: Bot, tmp_path: Path
) -> None:
    await bot.ship("k1")
    await bot.stop()
    (bot.folder / "backup.json").unlink()
    bot.clock.advance(-86_400 * 400)
    await bot.start()
    await bot.ship("k2")

    await restored(bot, tmp_path / "again.db")
    assert await keys(tmp_path / "again.db") == {"k1", "k2"}


async def test_after_the_clock_was_set_back_a_copy_that_stands_still_grows_old(bot: Bot) -> None:
    await bot.ship("k1")
    bot.clock.advance(-86_400)
    await bot.ship("k2")
    assert bot.shipper.restorable_at == bot.clock()
    assert bot.shipper.wants_snapshot(6)


async def test_a_log_that_somebody_else_emptied_ends_the_generation(bot: Bot, tmp_path: Path) -> None:
    await bot.ship("k1")
    await bot.say(*(f"lost{number}" for number in range(300)))
    stranger = apsw.Connection(str(bot.file))
    stranger.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    stranger.close()
    for name in ("k2", "k3"):
        await bot.ship(name)
    await bot.stop()

    await restored(bot, tmp_path / "again.db")
    assert (tmp_path / "again.db").read_bytes() == bot.file.read_bytes()
    await bot.start()


async def test_a_copy_of_the_file_that_a_killed_process_left_is_removed(bot: Bot) -> None:
    await bot.ship("k1")
    await bot.stop()
    (bot.folder / "backup.photo").write_bytes(b"large")
    await bot.start()
    assert not (bot.folder / "backup.photo").exists()


async def test_a_snapshot_leaves_the_disk_the_room_that_the_bot_needs(
    bot: Bot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dragoman.errors import StoreAway  # noqa: PLC0415 - beside its use
    from dragoman.store import disk  # noqa: PLC0415 - beside its use

    await bot.ship("k1")
    await bot.say(*(f"many{number}" for number in range(300)))
    monkeypatch.setattr(disk, "LEAST_FREE", shutil.disk_usage(bot.folder).free)
    with pytest.raises(StoreAway, match="no room"):
        await bot.shipper._snapshot()
    await bot.ship("k2")
    await bot.stop()
    await restored(bot, tmp_path / "again.db")
    assert (tmp_path / "again.db").read_bytes() == bot.file.read_bytes()
    await bot.start()


@pytest.mark.parametrize("when", ["asked", "copied"])
async def test_what_was_told_to_somebody_who_was_cancelled_is_told_again(
    bot: Bot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """As by a stop: the last shipping comes after it, and goes on in the same generation."""
    await bot.ship("k1")
    await bot.say(*(f"many{number}" for number in range(300)))
    step: Callable[[], Coroutine[Any, Any, Any]] = bot.shipper.ship
    if when == "copied":
        going, entered = threading.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def slow(_source: Path, _target: Path) -> None:
            loop.call_soon_threadsafe(entered.set)
            going.wait(10)

        monkeypatch.setattr("dragoman.store.sqlite.pages._copy", slow)
        await bot.shipper.ship()
        await bot.say(*(f"more{number}" for number in range(300)))
        step = bot.shipper._snapshot
    task = asyncio.create_task(step())
    await (entered.wait() if when == "copied" else asyncio.sleep(0))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    if when == "copied":
        going.set()
    generation = bot.shipper.generation
    await bot.stop()
    await restored(bot, tmp_path / "again.db")
    assert bot.shipper.generation == generation
    assert (tmp_path / "again.db").read_bytes() == bot.file.read_bytes()
    await bot.start()
