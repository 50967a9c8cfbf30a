"""The copies of a running bot: lost disks, kills, a store of objects that fails, and nothing old said again."""

import asyncio
import contextlib
import dataclasses
import json
import os
import re
import shutil
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from dragoman import config
from dragoman.testing.process import Service, configuration
from dragoman.testing.proxy import Proxy, proxied

TOKEN = "a token for the tests"
KEY = "a key for the tests, which is long enough"
WEBHOOK = {"webhook": {"platform": "webhook", "token": TOKEN}}


@dataclasses.dataclass(kw_only=True)
class Place:
    """A bot, its two buckets, and the network to the first."""

    service: Service
    first: config.Bucket
    second: config.Bucket
    proxy: Proxy

    def environ(self) -> dict[str, str]:
        """What a new machine is told of the backup."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DRAGOMAN_")}
        return {**kept, **bucket_environ("BACKUP", self.first), "DRAGOMAN_BACKUP__KEY": KEY}

    async def dragoman(self, *words: str, environ: dict[str, str] | None = None) -> tuple[int, str, str]:
        """Run a command on the bot's data; returns its exit code and what it wrote."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "dragoman",
            *words,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**self.environ(), "DRAGOMAN_DATA": str(self.service.folder), **(environ or {})},
            cwd=self.service.folder.parent,
        )
        async with asyncio.timeout(60):
            out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()

    async def answered(self, *words: str, environ: dict[str, str] | None = None) -> Any:
        """Run a command that succeeds, with `--json`; returns what it printed."""
        code, out, err = await self.dragoman(*words, "--json", environ=environ)
        assert code == 0, err
        return json.loads(out)

    async def say(self, name: str, at: float | None = None) -> tuple[int, Any]:
        """Send a message under an id; returns the status and the body of the answer."""
        body = {"content": f"say {name}", "id": name, "sender_id": name, "timestamp": at or time.time()}
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.service.url}/webhook", json=body, headers=headers) as answer,
        ):
            return answer.status, await answer.json()

    async def age(self, copy: str) -> float:
        """Read from the metrics how old the newest moment is that can be restored."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.service.url}/metrics") as answer:
            text = await answer.text()
        found = re.search(rf'restorable_age_seconds{{copy="{copy}"}} (\S+)', text)
        return float(found[1]) if found else 1e9


def bucket_environ(table: str, bucket: config.Bucket) -> dict[str, str]:
    values = {
        "URL": bucket.url,
        "ENDPOINT": bucket.endpoint,
        "REGION": bucket.region,
        "ACCESS_KEY": bucket.access_key.reveal(),
        "SECRET_KEY": bucket.secret_key.reveal(),
    }
    return {f"DRAGOMAN_{table}__{name}": value for name, value in values.items()}


def table_of(bucket: config.Bucket) -> dict[str, Any]:
    return {
        "url": bucket.url,
        "endpoint": bucket.endpoint,
        "region": bucket.region,
        "access_key": bucket.access_key.reveal(),
        "secret_key": bucket.secret_key.reveal(),
    }


@pytest.fixture
async def away(s3: str) -> AsyncIterator[Proxy]:
    """The network to the server of the first bucket."""
    server = urlsplit(s3)
    async with proxied("127.0.0.1", server.port or 80) as proxy:
        yield proxy


@pytest.fixture
async def bot(tmp_path: Path, place: Callable[[], config.Bucket], away: Proxy) -> AsyncIterator[Place]:
    """A bot that keeps its copies every half second."""
    first = dataclasses.replace(place(), endpoint=f"http://127.0.0.1:{away.port}")
    second = place()
    settings = {
        "backup": {**table_of(first), "key": KEY, "seconds": 0.5, "drill_days": 0},
        "backup_copy": table_of(second),
    }
    service = Service(tmp_path / "data", configuration(WEBHOOK, **settings))
    await service.start()
    yield Place(service=service, first=first, second=second, proxy=away)
    await service.kill()


async def seen(look: Callable[[], Awaitable[bool]], seconds: float = 30.0) -> None:
    """Look until something is so."""
    async with asyncio.timeout(seconds):
        while not await look():
            await asyncio.sleep(0.1)


async def kept(place: Place, copy: str = "first") -> None:
    """Wait until all that has happened up to now can be restored."""
    begun = time.monotonic()

    async def young() -> bool:
        return await place.age(copy) < time.monotonic() - begun

    await seen(young, 60)


async def test_a_lost_disk_comes_back_on_a_new_machine_and_nothing_old_is_answered_again(bot: Place) -> None:
    before = time.time()
    for number in range(5):
        assert (await bot.say(f"m{number}"))[0] == 200
    await kept(bot)
    await bot.service.kill()
    shutil.rmtree(bot.service.folder)

    told = await bot.answered("restore")  # with nothing but the environment: the configuration comes along
    assert "dragoman.toml" in told["files"]
    again = Service(bot.service.folder, (bot.service.folder / "dragoman.toml").read_text())
    bot.service = again
    await again.start()
    try:
        assert await bot.say("m1", before) == await bot.say("m1", before)  # kept: the answer of then
        status, _ = await bot.say("lost with the disk", before)
        assert status != 200
        parked = await bot.answered("parked")
        assert [row["reason"].partition(":")[0] for row in parked] == ["restored"]
        status, answer = await bot.say("new", time.time() + 1)
        assert (status, answer["reply"]) == (200, "echo: say new")
        code, _, err = await bot.dragoman("redrive", parked[0]["id"])
        assert code == 0, err
    finally:
        await again.stop()


async def test_a_restore_never_overwrites_and_says_what_is_missing(bot: Place, tmp_path: Path) -> None:
    await kept(bot)
    code, out, err = await bot.dragoman("restore")
    assert (code, out, "a restore never overwrites a store" in err) == (2, "", True)
    code, out, err = await bot.dragoman("restore", "--to", "elsewhere", "--at", "2001-01-01T00:00Z")
    assert (code, out, "no snapshot from before that moment" in err) == (1, "", True)
    code, out, err = await bot.dragoman("restore", "--to", "elsewhere", "--at", "noon")
    assert (code, out, "is no moment" in err) == (2, "", True)
    code, out, err = await bot.dragoman(
        "restore", "--to", "elsewhere", environ={"DRAGOMAN_BACKUP__KEY": "another key, which is also long enough"}
    )
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert not (tmp_path / "elsewhere" / "dragoman.db").exists()


async def test_kills_under_load_leave_copies_that_are_the_store(bot: Place) -> None:
    said = 0
    for _ in range(3):
        load = [asyncio.create_task(bot.say(f"m{said + number}")) for number in range(40)]
        said += 40
        await asyncio.wait(load, timeout=0.4)
        await bot.service.kill()
        await asyncio.gather(*load, return_exceptions=True)
        await bot.service.start()

    await kept(bot)
    report = await bot.answered("drill")
    assert report["compared"] == "the running store"
    assert report["trouble"] == []
    first, second = await bot.answered("verify")
    assert (first["problems"], second["problems"]) == ([], [])
    assert (await bot.answered("drill", "--copy", "second"))["rows"] >= report["rows"]


async def test_while_the_objects_are_away_the_chat_goes_on_and_afterwards_nothing_is_missing(bot: Place) -> None:
    await kept(bot, "second")
    await bot.proxy.down()
    for number in range(10):
        assert (await bot.say(f"m{number}"))[0] == 200
    assert await bot.age("first") > 0
    await bot.proxy.up()
    bot.proxy.suffer(cut_after=3000, on="requests")  # uploads break off in the middle
    assert (await bot.say("torn"))[0] == 200
    await asyncio.sleep(1.5)
    bot.proxy.heal()

    await kept(bot)
    assert (await bot.answered("drill"))["trouble"] == []
    assert [copy["problems"] for copy in await bot.answered("verify")] == [[], []]


async def test_with_a_region_gone_the_other_copy_restores(bot: Place, tmp_path: Path) -> None:
    assert (await bot.say("m1"))[0] == 200
    await kept(bot)
    await kept(bot, "second")
    await bot.proxy.down()
    await bot.service.kill()

    told = await bot.answered("restore", "--to", str(tmp_path / "new"))
    assert told["broken"] == ""
    assert "127.0.0.1" in told["trouble"][0] or "error" in told["trouble"][0].lower()
    assert (await bot.answered("restore", "--copy", "second", "--to", str(tmp_path / "newer")))["trouble"] == []
    await bot.proxy.up()


async def test_a_held_bot_takes_nothing_in_and_sends_nothing(bot: Place, tmp_path: Path) -> None:
    assert (await bot.say("m1"))[0] == 200
    await kept(bot)
    await bot.service.kill()
    folder = tmp_path / "held"
    await bot.answered("restore", "--to", str(folder))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dragoman", "run", "--held", "--port", str(bot.service.port), "--data", str(folder)
    )
    try:

        async def alive() -> bool:
            with contextlib.suppress(aiohttp.ClientError):
                async with aiohttp.ClientSession() as session, session.get(f"{bot.service.url}/health/live") as answer:
                    return answer.status == 200
            return False

        await seen(alive)
        async with aiohttp.ClientSession() as session:
            for path, status in (("/health/ready", 503), ("/webhook", 404), ("/chat", 404)):
                async with session.get(bot.service.url + path) as answer:
                    assert (path, answer.status) == (path, status)
    finally:
        process.terminate()
        assert await process.wait() == 0


async def test_the_service_drills_by_itself_and_shows_when(tmp_path: Path) -> None:
    settings = {"backup": {"url": str(tmp_path / "kept"), "seconds": 0.5}}
    service = Service(tmp_path / "data", configuration(WEBHOOK, **settings))
    await service.start()
    try:

        async def drilled() -> bool:
            async with aiohttp.ClientSession() as session, session.get(f"{service.url}/metrics") as answer:
                return "drilled_timestamp_seconds{" in await answer.text()

        await seen(drilled, 100)
    finally:
        await service.stop()


WRONG: Any = [
    ({"backup": {"url": "ftp://there"}}, "backup.url"),
    ({"backup": {"url": "kept", "key": "short"}}, "backup.key"),
    ({"backup": {"url": "kept", "seconds": 0}}, "backup.seconds"),
    ({"backup_copy": {"url": "kept"}}, "backup_copy.url"),
]


@pytest.mark.parametrize(("settings", "key"), WRONG)
async def test_what_cannot_be_is_refused_at_the_start(tmp_path: Path, settings: dict[str, Any], key: str) -> None:
    service = Service(tmp_path / "data", configuration(WEBHOOK, **settings))
    with pytest.raises(RuntimeError, match=re.escape(key)):
        await service.start()
