"""Restoring in trouble: leftovers beside the file, a kill in the middle, a lost snapshot, objects of strangers."""

from pathlib import Path

import apsw
import pytest
from tests.archive.test_backup import SEAL, Aged, Bot, keys, restored
from tests.archive.test_backup_trouble import bot

from dragoman import config
from dragoman.archive.backup import postgres_restore
from dragoman.archive.backup.prune import prune
from dragoman.archive.backup.verify import verify
from dragoman.archive.bucket import Bucket
from dragoman.errors import ConfigError
from dragoman.service import backup, restoring
from dragoman.service.installation import Installation, load
from dragoman.store.sqlite import restored as holding

__all__ = ["bot"]


@pytest.fixture
async def installation(tmp_path: Path, bot: Bot, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """An installation on another machine, that opens what the bot has sealed."""
    monkeypatch.setattr(backup, "seal", lambda _installation: SEAL)
    await bot.ship("k1")
    environ = {"DRAGOMAN_BACKUP__URL": bot.bucket.name}
    return load(data=str(tmp_path / "new"), configuration=None, environ=environ, overrides={}, bare=True)


async def test_a_restore_does_not_put_another_stores_log_beside_its_file(
    installation: Installation, tmp_path: Path, bot: Bot
) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    (folder / "dragoman.db-wal").write_bytes(b"what the store that was moved away had not let go yet")
    with pytest.raises(ConfigError, match="db-wal: is there already"):
        await restoring.into(installation, folder, [bot.bucket])


async def test_a_restore_that_is_killed_leaves_no_store_in_which_nothing_is_held(
    installation: Installation, tmp_path: Path, bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, left = tmp_path / "new", {}

    def killed(connection: apsw.Connection, _restoration: object) -> None:
        connection.execute("DELETE FROM inbox")
        path = Path(connection.filename + "-wal")
        left[path] = path.read_bytes()
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(holding, "_hold", killed)
        with pytest.raises(RuntimeError):
            await restoring.into(installation, folder, [bot.bucket])
    assert not (folder / "dragoman.db").exists()

    for path, body in left.items():
        path.write_bytes(body)
    done = await restoring.into(installation, folder, [bot.bucket])
    assert done.held.events == 1
    assert await keys(folder / "dragoman.db") == {"k1"}
    assert sorted(path.name for path in folder.iterdir()) == ["dragoman.db", "dragoman.db.lock"]


async def test_a_snapshot_that_is_lost_is_made_up_by_the_one_before_it_and_the_log(bot: Bot, tmp_path: Path) -> None:
    await bot.ship("k1")
    await bot.ship("k2")
    await bot.shipper.snapshot()
    await bot.ship("k3")
    paths = sorted([entry.path async for entry in bot.bucket.list("") if "/snapshot/" in entry.path])
    await bot.bucket.delete([path for path in paths if "000000000001/000000" in path])

    done = await restored(bot, tmp_path / "again.db")
    assert (done.snapshot.sequence, done.broken) == (0, "")
    assert await keys(tmp_path / "again.db") == {"k1", "k2", "k3"}


async def test_what_others_left_in_the_place_does_not_matter(bot: Bot, tmp_path: Path) -> None:
    await bot.ship("k1")
    for path in ("notes/log/read.me", "notes/snapshot/x/manifest.json", "pg-1/base/x/manifest.json", "read.me"):
        await bot.bucket.put(path, b"a stranger's")
    await bot.ship("k2")

    await restored(bot, tmp_path / "again.db")
    assert await keys(tmp_path / "again.db") == {"k1", "k2"}
    assert (await verify(bot.bucket, SEAL)).problems == []
    assert await prune(bot.bucket, 1e10, 1.0) == 0
    with pytest.raises(Exception, match="no base backup"):
        await postgres_restore.find([bot.bucket])


async def test_what_is_gone_already_keeps_nothing_else_from_being_deleted(tmp_path: Path) -> None:
    bucket = Bucket.open(config.Bucket(url="kept"), tmp_path, "", "backup")
    await bucket.put("b", b"")
    await bucket.delete(["a", "b"])
    assert [entry.path async for entry in bucket.list("")] == []


async def test_two_bots_in_one_place_do_not_delete_what_the_other_still_writes(bot: Bot, tmp_path: Path) -> None:
    other = Bot(tmp_path / "other", bot.bucket, bot.clock)
    first = await bot.ship("k1")
    bot.clock.advance(10)
    await other.start()
    await other.ship("o1")
    bot.clock.advance(86_400 * 20)
    await bot.ship("k2")
    young = bot.shipper.state.newest
    at = {entry.path: bot.clock() if entry.path == young else first async for entry in bot.bucket.list("")}
    await prune(Aged(bot.bucket, at), bot.clock(), 14 * 86_400)
    await other.store.close()
    assert await bot.bucket.size(young) is not None


async def test_in_an_empty_place_there_is_nothing_to_forget(tmp_path: Path) -> None:
    bucket = Bucket.open(config.Bucket(url="kept"), tmp_path, "", "backup")
    assert await prune(bucket, 1e10, 1.0) == 0
