"""The copies of a PostgreSQL store in trouble: a receiver or a slot that is lost, and moments at the log's edges."""

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.archive.test_backup import SEAL
from tests.archive.test_backup_postgres import server
from tests.faults.cluster import Cluster

from dragoman import config
from dragoman.archive.backup import postgres_drill, postgres_restore, programs
from dragoman.archive.backup.copies import Copies
from dragoman.archive.backup.postgres import PostgresSource
from dragoman.archive.bucket import Bucket
from dragoman.errors import ArchiveError

__all__ = ["server"]
pytestmark = pytest.mark.timeout(120)


class Kept:
    """A server, and what keeps its copies."""

    def __init__(self, server: Cluster, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.bucket = Bucket.open(config.Bucket(url="kept"), folder, "", "backup")
        self.source = self.another()

    def another(self) -> PostgresSource:
        return PostgresSource(self.server.url, self.bucket, SEAL, self.folder / "own", time.time, release="1")

    async def sql(self, *statements: str) -> str:
        words = [word for statement in statements for word in ("-c", statement)]
        out = await programs.run(programs.find("psql"), "-At", *words, env=programs.environ(self.server.url))
        return out.decode().strip()

    async def shipped(self) -> None:
        """Ship until all that was written before can be restored."""
        begun = time.time()

        async def young() -> bool:
            with contextlib.suppress(ArchiveError):
                await self.source.ship()
            return self.source.restorable_at >= begun

        await seen(young)

    async def numbers(self) -> str:
        """Read the table from a server that runs on the copies."""
        async with postgres_drill.restored(Copies([self.bucket], SEAL), "postgres", "postgres") as (url, _):
            env = programs.environ(url)
            out = await programs.run(programs.find("psql"), "-At", "-c", "SELECT n FROM t ORDER BY n", env=env)
            return " ".join(out.decode().split())


async def seen(look: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(40):
        while not await look():
            await asyncio.sleep(0.2)


@pytest.fixture
async def kept(server: Cluster, tmp_path: Path) -> AsyncIterator[Kept]:
    kept = Kept(server, tmp_path)
    await kept.sql("CREATE TABLE t (n int)", "INSERT INTO t VALUES (1)")
    await kept.shipped()
    yield kept
    await kept.source.finish()


async def test_the_receiver_of_a_killed_process_does_not_keep_the_next_one_out(kept: Kept) -> None:
    kept.source = kept.another()  # as after `kill -9`: the old receiver still runs
    await kept.sql("INSERT INTO t VALUES (2)")
    await kept.shipped()
    for _ in range(3):
        await kept.source.ship()
    assert await kept.numbers() == "1 2"


async def test_a_log_that_does_not_come_grows_old(kept: Kept) -> None:
    await kept.sql("ALTER SYSTEM SET max_wal_senders = 0")
    await kept.server.stop()
    await kept.server.start()
    begun = time.time()
    for _ in range(5):
        with contextlib.suppress(ArchiveError):
            await kept.source.ship()
        await asyncio.sleep(0.5)
    assert kept.source.restorable_at < begun


async def test_a_slot_that_the_server_has_given_up_is_made_anew_with_a_base_backup(kept: Kept) -> None:
    process = kept.source._receiver._process
    assert process is not None
    process.kill()
    await process.wait()
    await kept.sql("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'", "SELECT pg_reload_conf()")
    for _ in range(6):
        await kept.sql("INSERT INTO t SELECT max(n) + 1 FROM t", "SELECT pg_switch_wal()", "CHECKPOINT")
    assert await kept.sql("SELECT wal_status FROM pg_replication_slots") in {"lost", "unreserved"}
    await kept.sql("CHECKPOINT")
    await kept.shipped()
    await kept.sql("INSERT INTO t VALUES (8)")
    await kept.shipped()
    assert await kept.numbers() == "1 2 3 4 5 6 7 8"


async def test_a_moment_is_restored_and_one_after_the_logs_end_is_the_newest(kept: Kept) -> None:
    await kept.sql("INSERT INTO t VALUES (2)")
    await asyncio.sleep(1.1)
    middle = time.time()
    await asyncio.sleep(1.1)
    await kept.sql("INSERT INTO t VALUES (3)")
    await kept.shipped()
    found = await postgres_restore.find([kept.bucket])
    for at, expected in ((middle, "1 2"), (time.time() + 60, "1 2 3")):
        folder = kept.server._data.with_name(f"at{expected[-1]}")
        await postgres_restore.restore(Copies([kept.bucket], SEAL), found, folder, at)
        await kept.server.stop()
        shutil.rmtree(kept.server._data)
        folder.rename(kept.server._data)
        await asyncio.to_thread(_own, kept.server._data, folder)
        await kept.server.start()
        assert (await kept.sql("SELECT n FROM t ORDER BY n")).split() == expected.split()


def _own(data: Path, restored: Path) -> None:
    settings = data / "postgresql.auto.conf"
    settings.write_text(settings.read_text().replace(str(restored), str(data)))
    for path in [data, *data.rglob("*")]:
        shutil.chown(path, user="postgres") if os.geteuid() == 0 else None


async def test_a_damaged_segment_ends_the_log_and_not_the_restore(kept: Kept, tmp_path: Path) -> None:
    await kept.sql("INSERT INTO t VALUES (2)", "SELECT pg_switch_wal()")
    await kept.shipped()
    found = await postgres_restore.find([kept.bucket])
    last = max(found.segments.values())
    await kept.bucket.put(last, (await kept.bucket.get(last))[:-5])
    copies = Copies([kept.bucket], SEAL)
    await postgres_restore.restore(copies, found, tmp_path / "again")
    assert "does not decrypt" in copies.trouble[0]


async def test_a_program_that_is_not_waited_for_any_more_is_ended() -> None:
    task = asyncio.create_task(programs.run("sleep", "1234.5", env=dict(os.environ)))
    await asyncio.sleep(0.2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert _running(b"sleep\x001234.5") == []


def _running(words: bytes) -> list[Path]:
    return [path for path in Path("/proc").glob("[0-9]*/cmdline") if words in _read(path)]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
