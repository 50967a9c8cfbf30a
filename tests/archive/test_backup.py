"""The copies of the store's file: shipped, lost, torn, damaged, and restored."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dragoman import config
from dragoman.adapter import Receipt
from dragoman.archive.backup import layout, restore
from dragoman.archive.backup.copies import Copies
from dragoman.archive.backup.mirror import Mirror
from dragoman.archive.backup.prune import prune
from dragoman.archive.backup.ship import MOST, Shipper, recalled
from dragoman.archive.backup.verify import verify
from dragoman.archive.bucket import Bucket
from dragoman.archive.seal import Seal
from dragoman.errors import ArchiveAway, ArchiveMissing
from dragoman.model import Address, Event, Secret, Sender
from dragoman.store.base import Times
from dragoman.store.sqlite import SqliteStore
from dragoman.testing.clock import FakeClock

SEAL = Seal(Secret("a key that is long enough, of words"), "backup", compress=True)


class Flaky(Bucket):
    """A bucket that a test can take away, or whose answers it can lose."""

    away = False
    deaf = 0
    """Puts that arrive and whose answer is lost."""

    async def put(self, path: str, body: bytes, *, new: bool = False) -> bool:
        if self.away:
            raise ArchiveAway("away")
        done = await super().put(path, body, new=new)
        if self.deaf:
            self.deaf -= 1
            raise ArchiveAway("the answer was lost")
        return done


class Bot:
    """A store and its shipper, on one folder."""

    def __init__(self, folder: Path, bucket: Bucket, clock: FakeClock) -> None:
        self.folder, self.bucket, self.clock = folder, bucket, clock
        self.store: SqliteStore
        self.shipper: Shipper

    @property
    def file(self) -> Path:
        return self.folder / "dragoman.db"

    async def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.store = await SqliteStore.open(self.file, self.clock, follow=recalled(self.folder).mark)
        assert self.store.pages is not None
        self.shipper = Shipper(self.store.pages, self.bucket, SEAL, self.folder, self.clock, release="1")

    async def stop(self) -> None:
        await self.store.close()
        await self.shipper.finish()

    async def say(self, *keys: str, raw: int = 1000) -> None:
        async def one(key: str) -> None:
            event = Event(
                key=key,
                account="a",
                platform="test",
                conversation="c",
                address=Address(account="a", channel="c"),
                sender=Sender(id="u", name="Kim"),
            )
            at = self.clock()
            times = Times(received=at, authenticated=at, parsed=at)
            await self.store.accept("a", Receipt(events=(event,), raw=b"r" * raw), times)

        await asyncio.gather(*map(one, keys))

    async def ship(self, *keys: str) -> float:
        """Say something, ship it, and return the moment."""
        self.clock.advance(10)
        await self.say(*keys)
        await self.shipper.ship()
        return self.clock()


@pytest.fixture
async def bot(tmp_path: Path, bucket: Bucket) -> AsyncIterator[Bot]:
    flaky = Flaky(bucket._store, bucket.name)
    bot = Bot(tmp_path / "data", flaky, FakeClock(1_700_000_000.0))
    await bot.start()
    yield bot
    await bot.store.close()


async def keys(file: Path) -> set[str]:
    """Read the keys of the events in a restored file."""
    store = await SqliteStore.open(file, lambda: 0.0)
    found: list[Any] = store.reader._connection.execute("SELECT key FROM inbox").fetchall()
    await store.close()
    return {str(row[0]) for row in found}


async def restored(bot: Bot, to: Path, *buckets: Bucket, at: float | None = None) -> restore.Restored:
    copies = Copies(buckets or [bot.bucket], SEAL)
    return await restore.restore(copies, await restore.find(copies, at), to, at)


async def test_what_was_shipped_is_restored_byte_for_byte(bot: Bot, tmp_path: Path) -> None:
    await bot.ship("k1")
    await bot.ship(*(f"many{number}" for number in range(3000)))
    await bot.ship("k2")
    await bot.stop()

    done = await restored(bot, tmp_path / "again.db")

    assert hashlib.sha256(bot.file.read_bytes()).hexdigest() == done.checksum
    assert (tmp_path / "again.db").read_bytes() == bot.file.read_bytes()
    assert len(await keys(tmp_path / "again.db")) == 3002
    assert done.broken == ""
    await bot.start()


async def test_a_moment_is_restored_as_it_was(bot: Bot, tmp_path: Path) -> None:
    moments = [await bot.ship(f"k{number}") for number in range(5)]
    await bot.shipper.snapshot()
    await bot.ship("late")

    for number, at in enumerate(moments):
        await restored(bot, tmp_path / f"{number}.db", at=at + 1)
        assert await keys(tmp_path / f"{number}.db") == {f"k{n}" for n in range(number + 1)}
    with pytest.raises(ArchiveMissing, match="no snapshot from before that moment"):
        await restored(bot, tmp_path / "none.db", at=moments[0] - 100)


async def test_a_stop_and_a_start_go_on_in_the_same_generation(bot: Bot, tmp_path: Path) -> None:
    await bot.ship("k1")
    await bot.say("k2")
    await bot.stop()
    await bot.start()
    assert bot.shipper.state.generation
    await bot.ship("k3")

    await restored(bot, tmp_path / "again.db")
    assert await keys(tmp_path / "again.db") == {"k1", "k2", "k3"}
    assert len(await Copies([bot.bucket], SEAL).generations()) == 1


async def test_a_file_that_was_exchanged_begins_a_new_generation(bot: Bot, tmp_path: Path) -> None:
    await bot.ship("k1")
    await bot.stop()
    stranger = await SqliteStore.open(bot.file, bot.clock)
    await stranger.keep("name", "value")
    await stranger.close()
    await bot.start()
    assert bot.shipper.state.generation == ""
    await bot.ship("k2")

    await restored(bot, tmp_path / "again.db")
    assert await keys(tmp_path / "again.db") == {"k1", "k2"}
    assert len(await Copies([bot.bucket], SEAL).generations()) == 2


async def test_while_the_bucket_is_away_changes_wait_and_a_lost_answer_writes_nothing_twice(
    bot: Bot, tmp_path: Path
) -> None:
    assert isinstance(bot.bucket, Flaky)
    await bot.ship("k1")
    bot.bucket.away = True
    for number in range(2, 5):
        with pytest.raises(ArchiveAway):
            await bot.ship(f"k{number}")
    before = bot.shipper.restorable_at
    bot.bucket.away, bot.bucket.deaf = False, 1
    with pytest.raises(ArchiveAway):
        await bot.ship("k5")
    assert bot.shipper.restorable_at == before
    await bot.ship("k6")

    assert bot.shipper.restorable_at == bot.clock()
    await restored(bot, tmp_path / "again.db")
    assert await keys(tmp_path / "again.db") == {f"k{number}" for number in range(1, 7)}
    assert (await verify(bot.bucket, SEAL)).problems == []


async def test_too_much_change_while_the_bucket_is_away_ends_in_a_snapshot(bot: Bot, tmp_path: Path) -> None:
    assert isinstance(bot.bucket, Flaky)
    await bot.ship("k1")
    bot.bucket.away = True
    with pytest.raises(ArchiveAway):
        await bot.ship("k2")
    await bot.say(*(f"large{number}" for number in range(70)), raw=MOST // 64)
    with pytest.raises(ArchiveAway):
        await bot.ship("k3")
    bot.bucket.away = False
    await bot.ship("k4")

    await restored(bot, tmp_path / "again.db")
    assert len(await keys(tmp_path / "again.db")) == 74


async def test_somebody_else_in_the_same_place_ends_the_generation_and_harms_nobody(bot: Bot, tmp_path: Path) -> None:
    await bot.ship("k1")
    state = bot.shipper.state
    path = layout.log_path(state.generation, state.sequence + 1, SEAL.suffix)
    await bot.bucket.put(path, SEAL.close(path, b"another's"))
    await bot.ship("k2")
    assert bot.shipper.state.generation > state.generation
    await bot.ship("k3")

    await restored(bot, tmp_path / "again.db")
    assert await keys(tmp_path / "again.db") == {"k1", "k2", "k3"}


async def test_a_bucket_that_lost_everything_gets_it_again(bot: Bot, tmp_path: Path) -> None:
    await bot.ship("k1")
    await bot.bucket.delete([entry.path async for entry in bot.bucket.list("")])
    bot.clock.advance(120)
    await bot.shipper.ship()
    await bot.ship("k2")

    await restored(bot, tmp_path / "again.db")
    assert await keys(tmp_path / "again.db") == {"k1", "k2"}


@pytest.fixture
def second(tmp_path: Path) -> Bucket:
    return Bucket.open(config.Bucket(url="second"), tmp_path, "", "backup_copy")


async def test_each_copy_alone_restores_and_together_they_mend_one_another(
    bot: Bot, second: Bucket, tmp_path: Path
) -> None:
    mirror = Mirror(bot.bucket, second, bot.clock)
    for number in range(4):
        await bot.ship(f"k{number}")
        await mirror.sync(bot.shipper.restorable_at)
    assert mirror.restorable_at == bot.shipper.restorable_at
    everything = {f"k{number}" for number in range(4)}
    await restored(bot, tmp_path / "second.db", second)
    assert await keys(tmp_path / "second.db") == everything

    paths = sorted([entry.path async for entry in second.list("") if "/log/" in entry.path])
    await bot.bucket.delete(paths[:1])
    body = await second.get(paths[2])
    await second.put(paths[2], body[:-20])  # torn
    for bucket, words in ((bot.bucket, "does not follow"), (second, "does not decrypt")):
        assert words in " ".join((await verify(bucket, SEAL)).problems)
        assert (await restored(bot, tmp_path / "part.db", bucket)).broken
    done = await restored(bot, tmp_path / "both.db", bot.bucket, second)
    assert (done.broken, await keys(tmp_path / "both.db")) == ("", everything)


@pytest.mark.parametrize("named", [True, False])
async def test_only_what_is_new_is_copied(bot: Bot, second: Bucket, named: bool) -> None:
    mirror = Mirror(bot.bucket, second, bot.clock)

    async def copied() -> int:
        return await mirror.sync(bot.clock(), bot.shipper.generation if named else "")

    await bot.ship("k1")
    await bot.ship("k2")
    assert (await copied(), await copied()) == (4, 0)
    await bot.ship("k3")
    assert (await copied(), await copied()) == (1, 0)
    await bot.shipper.snapshot()
    assert (await copied(), await copied()) == (3, 0)
    assert {entry.path async for entry in second.list("")} == {entry.path async for entry in bot.bucket.list("")}


async def test_a_second_bucket_that_was_away_is_brought_up_without_a_gap(
    bot: Bot, second: Bucket, tmp_path: Path
) -> None:
    flaky = Flaky(second._store, second.name)
    mirror = Mirror(bot.bucket, flaky, bot.clock)
    await bot.ship("k1")
    await mirror.sync(bot.clock(), bot.shipper.generation)
    for number in range(2, 5):
        await bot.ship(f"k{number}")
    flaky.deaf = 1
    with pytest.raises(ArchiveAway):
        await mirror.sync(bot.clock(), bot.shipper.generation)
    assert await mirror.sync(bot.clock(), bot.shipper.generation)

    await restored(bot, tmp_path / "again.db", second)
    assert await keys(tmp_path / "again.db") == {"k1", "k2", "k3", "k4"}


async def test_a_snapshot_that_is_not_whole_is_none(bot: Bot, tmp_path: Path) -> None:
    await bot.ship("k1")
    await bot.ship("k2")
    await bot.shipper.snapshot()
    snapshots = sorted([entry.path async for entry in bot.bucket.list("") if "manifest" in entry.path])
    await bot.bucket.put(snapshots[-1], b"torn")
    await bot.ship("k3")

    done = await restored(bot, tmp_path / "again.db")
    assert (done.snapshot.sequence, done.broken) == (0, "")
    assert await keys(tmp_path / "again.db") == {"k1", "k2", "k3"}


async def test_another_key_opens_nothing(bot: Bot) -> None:
    await bot.ship("k1")
    other = Seal(Secret("another key, that is long enough too"), "backup", compress=True)
    found = await verify(bot.bucket, other)
    assert "a key that is not configured" in found.problems[0]
    assert b"SQLite" not in await bot.bucket.get(bot.shipper.state.newest)


async def test_what_no_moment_of_the_last_days_needs_is_deleted(tmp_path: Path, bot: Bot) -> None:
    first = await bot.ship("k1")
    await bot.ship("k2")
    await bot.shipper.snapshot()
    await bot.ship("k3")
    entries = [entry async for entry in bot.bucket.list("")]
    aged = Aged(bot.bucket, {entry.path: bot_at(entry.path, first) for entry in entries})

    assert await prune(aged, first + 30, 3600) == 0
    assert await prune(aged, first + 3600, 3500) > 0
    with pytest.raises(ArchiveMissing):
        await restored(bot, tmp_path / "gone.db", at=first)
    await restored(bot, tmp_path / "again.db")
    assert await keys(tmp_path / "again.db") == {"k1", "k2", "k3"}


def bot_at(path: str, first: float) -> float:
    return first + 10 * layout.sequence_of(path)


class Aged(Bucket):
    """A bucket whose objects are as old as a test says."""

    def __init__(self, bucket: Bucket, at: dict[str, float]) -> None:
        super().__init__(bucket._store, bucket.name)
        self._at = at

    async def list(self, prefix: str, after: str = "") -> AsyncIterator[Any]:
        async for entry in super().list(prefix, after):
            yield msgspec.structs.replace(entry, at=self._at[entry.path])
