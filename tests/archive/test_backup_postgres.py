"""The copies of a PostgreSQL store: a server that is lost with its disk comes back, and a drill proves it."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.archive.test_backup_service import KEY, WEBHOOK, Place, kept, seen, table_of
from tests.faults.cluster import Cluster, cluster, template

from dragoman import config
from dragoman.archive.backup import postgres_drill, postgres_restore, programs
from dragoman.archive.backup.copies import Copies
from dragoman.archive.bucket import Bucket
from dragoman.archive.seal import Seal
from dragoman.errors import ArchiveError
from dragoman.model import Secret
from dragoman.testing.process import Service, configuration
from dragoman.testing.proxy import proxied

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def server() -> AsyncIterator[Cluster]:
    """A PostgreSQL server of our own."""
    try:
        programs.find("pg_receivewal")
    except ArchiveError as missing:
        pytest.skip(str(missing))
    async with template() as empty, cluster(empty) as running:
        yield running


@pytest.fixture
async def bot(tmp_path: Path, server: Cluster, place: Callable[[], config.Bucket]) -> AsyncIterator[Place]:
    """A bot on that server that keeps its copies every second."""
    first, second = place(), place()
    backup = {**table_of(first), "key": KEY, "seconds": 1.0, "drill_days": 0}
    settings = {"store": server.url, "backup": backup, "backup_copy": table_of(second)}
    service = Service(tmp_path / "data", configuration(WEBHOOK, **settings))
    await service.start()
    async with proxied("127.0.0.1", server.port) as proxy:
        yield Place(service=service, first=first, second=second, proxy=proxy)
    await service.kill()


async def server_is_held(bot: Place) -> None:
    """Hold what waits; what was copied a moment ago still looks as if a bot ran on it."""
    complaints = set()

    async def held() -> bool:
        code, out, err = await bot.dragoman("restore", "--hold")
        complaints.add(err)
        return code == 0 and out.startswith("Set aside: 0 messages")

    await seen(held, 60)
    assert all("wait 15 seconds" in complaint for complaint in complaints - {""})


async def test_a_lost_server_comes_back_and_nothing_old_is_answered_again(bot: Place, server: Cluster) -> None:
    await kept(bot)
    before = time.time()
    for number in range(20):
        assert (await bot.say(f"m{number}"))[0] == 200
    await kept(bot)
    await kept(bot, "second")
    report = await bot.answered("drill")
    assert (report["trouble"], report["rows"] > 40) == ([], True)
    first, second = await bot.answered("verify")
    assert (first["problems"], second["problems"], first["snapshots"]) == ([], [], 1)

    await bot.service.kill()
    await server.stop()
    shutil.rmtree(server._data)
    code, out, err = await bot.dragoman("restore", "--to", str(server._data))
    assert (code, err, "Now, in this order" in out) == (0, "", True)
    for path in [server._data, *server._data.rglob("*")]:
        shutil.chown(path, user="postgres") if os.geteuid() == 0 else None
    await server.start()
    await server_is_held(bot)

    await bot.service.start()
    assert (await bot.say("m7", before))[1]["reply"] == "echo: say m7"
    assert (await bot.say("after the backup", before))[0] != 200
    assert (await bot.say("new", time.time() + 1))[1]["reply"] == "echo: say new"


async def test_a_server_that_was_away_leaves_no_gap_and_damage_is_found(bot: Place, server: Cluster) -> None:
    await kept(bot)
    await server.stop()
    await asyncio.sleep(2)
    await server.start()

    async def answers() -> bool:
        return (await bot.say("again"))[0] == 200

    await seen(answers, 40)
    await kept(bot)
    seal = Seal(Secret(KEY), "backup", compress=True)
    bucket = Bucket.open(bot.first, Path(), "", "backup")
    assert (await postgres_drill.verify(bucket, seal)).problems == []

    found = await postgres_restore.find([bucket])
    (manifest,) = found.bases.values()
    part = manifest.replace("manifest.json", "000000.tar")
    await bucket.put(part, (await bucket.get(part))[:-9])
    assert "does not decrypt" in (await postgres_drill.verify(bucket, seal)).problems[0]
    with pytest.raises(ArchiveError):
        async with postgres_drill.restored(Copies([bucket], seal), "postgres", "postgres"):
            pass


@pytest.mark.parametrize(
    ("segment", "after"),
    [
        ("000000010000000000000001", "000000010000000000000002"),
        ("0000000100000000000000FF", "000000010000000100000000"),
        ("0000000200000A0F000000FF", "0000000200000A1000000000"),
    ],
)
def test_segments_are_counted_as_their_names_are(segment: str, after: str) -> None:
    assert postgres_drill.following(segment) == after
