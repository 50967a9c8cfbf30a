"""The archive of a real service: written within seconds, through deaths and outages; erased without a trace."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import pytest

from dragoman import ConversationStorage, config
from dragoman.archive.bucket import Bucket
from dragoman.testing.process import Service, toml
from dragoman.testing.proxy import Proxy, proxied

PATIENCE: Final = 20.0
CANARY: Final = "canary-7f3a"
KIM: Final = "webhook//kim"

pytestmark = pytest.mark.timeout(120)


class Bot:
    """A service with an archive, and what is done to it."""

    def __init__(self, folder: Path, settings: config.Bucket, store: str = "", **archive: Any) -> None:
        self.settings = settings
        names = ("url", "endpoint", "region")
        table = {name: getattr(settings, name) for name in names if getattr(settings, name)}
        for name in ("access_key", "secret_key"):
            if getattr(settings, name):
                table[name] = getattr(settings, name).reveal()
        lines = [f"store = {toml(store)}"] if store else []
        lines += ["[accounts.webhook]", 'platform = "webhook"', 'token = "t"', "messages_per_minute = 0"]
        lines += ['callback_url = "http://127.0.0.1:9"', "[archive]"]  # reminders have somewhere to go
        lines += [f"{name} = {toml(value)}" for name, value in {**table, **archive}.items()]
        self.service = Service(folder, "\n".join(lines) + "\n")
        self.storage = ConversationStorage("kept", key=archive.get("key", ""))
        self.storage.bucket = Bucket.open(settings, folder, "", "archive")

    async def say(self, text: str, sender: str = "kim", **facts: Any) -> str:
        """Say something; returns the first reply."""
        form = {"content": text, "sender_id": sender, "sender_name": f"Kim {CANARY}", **facts}
        headers = {"authorization": "Bearer t"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.service.url + "/webhook", json=form, headers=headers) as answer,
        ):
            whole = await answer.json()
        return str(whole.get("reply", ""))

    async def archived(self, count: int, who: str = KIM) -> list[dict[str, Any]]:
        """Wait until so many messages are archived."""

        async def look() -> list[dict[str, Any]]:
            found = await self.storage.load(who)
            return found if len(found) >= count else []

        found: list[dict[str, Any]] = await until(look)
        return found

    async def metric(self, name: str) -> float:
        async with aiohttp.ClientSession() as session, session.get(self.service.url + "/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return float(next(line for line in lines if line.startswith(name + " ")).split()[1])

    async def command(self, *words: str) -> tuple[int, str]:
        """Run a command of ours; returns its exit code and all that it wrote."""
        place = ("--data", str(self.service.folder), "--config", str(self.service.folder / "dragoman.toml"))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "dragoman",
            *words,
            *place,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        return process.returncode or 0, out.decode()


async def until(look: Callable[[], Awaitable[Any]]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (seen := await look()):
        assert time.monotonic() < deadline, "not seen in time"
        await asyncio.sleep(0.1)
    return seen


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """Where a store of each kind is; empty: in the data folder."""
    return str(request.getfixturevalue("database")) if request.param == "postgres" else ""


@pytest.fixture
async def bots() -> AsyncIterator[list[Bot]]:
    made: list[Bot] = []
    yield made
    for bot in made:
        await bot.service.kill()


async def test_a_conversation_is_in_the_archive_within_seconds(
    url: str, bots: list[Bot], place: Callable[[], config.Bucket], tmp_path: Path
) -> None:
    bot = Bot(tmp_path / "data", place(), url, compress=True, key="k" * 32)
    bots.append(bot)
    await bot.service.start()

    said_at = time.monotonic()
    reply = await bot.say("hello there")
    messages = await bot.archived(2)

    assert time.monotonic() - said_at < 5
    assert [(each["by"], each["content"]) for each in messages] == [("person", "hello there"), ("bot", reply)]
    form = {"platform", "sender_id", "message_type", "content", "timestamp", "attachments"}
    assert all(form <= set(each) for each in messages)
    (path,) = await bot.storage.files(KIM)
    assert path.endswith(".json.gz.enc")
    code, out = await bot.command("archive", "verify")
    assert (code, out) == (0, "1 files are as they were written.\n")
    code, out = await bot.command("archive", "status")
    assert (code, "2 entries are archived, nothing waits" in out) == (0, True), out
    assert await bot.metric("dragoman_archive_messages_total") == 2


async def test_a_death_between_the_files_and_the_cursor_archives_nothing_twice(
    url: str, bots: list[Bot], tmp_path: Path
) -> None:
    bot = Bot(tmp_path / "data", config.Bucket(url="kept"), url)
    bots.append(bot)
    await bot.service.start(crash="a1:1")
    await bot.say("one")
    assert await bot.service.wait(PATIENCE) == -9
    assert len(await bot.storage.files(KIM)) == 1
    if url:
        await end_leases(url)

    await bot.service.start()
    await bot.say("two")
    messages = await bot.archived(4)

    people = [each["content"] for each in messages if each["by"] == "person"]
    assert people == ["one", "two"]
    assert len({each["id"] for each in messages}) == len(messages) == 4
    assert (await bot.command("archive", "verify"))[0] == 0


async def end_leases(url: str) -> None:
    """Let the time pass after which a dead replica's lease is another's."""
    connection = await asyncpg.connect(url)
    await connection.execute("UPDATE lease SET until = 1")
    await connection.close()


@pytest.fixture
async def proxy(s3: str) -> AsyncIterator[Proxy]:
    place = urlsplit(s3)
    async with proxied(str(place.hostname), int(place.port or 0)) as opened:
        yield opened


async def test_while_the_storage_is_away_the_chat_goes_on_and_the_archive_catches_up(
    bots: list[Bot], place: Callable[[], config.Bucket], proxy: Proxy, tmp_path: Path
) -> None:
    settings = place()
    bot = Bot(tmp_path / "data", config_at(settings, f"http://127.0.0.1:{proxy.port}"))
    bots.append(bot)
    await bot.service.start()
    await bot.say("before")
    await bot.archived(2)

    await proxy.down()
    for number in range(5):
        assert await bot.say(f"meanwhile {number}") == f"echo: meanwhile {number}"

    async def failed() -> bool:
        return (
            await bot.metric("dragoman_archive_failures_total") > 0
            and await bot.metric("dragoman_archive_lag_seconds") > 1
        )

    await until(failed)
    await proxy.up()
    messages = await bot.archived(12)

    assert [each["content"] for each in messages if each["by"] == "person"][1:] == [
        f"meanwhile {number}" for number in range(5)
    ]

    async def caught_up() -> bool:
        return await bot.metric("dragoman_archive_lag_seconds") == 0

    await until(caught_up)
    log = bot.service.log.read_text()
    assert log.count("archive.away") == 1
    assert log.count("archive.back") == 1
    assert CANARY not in log


def config_at(settings: config.Bucket, endpoint: str) -> config.Bucket:
    return config.Bucket(
        url=settings.url,
        endpoint=endpoint,
        region=settings.region,
        access_key=settings.access_key,
        secret_key=settings.secret_key,
    )


async def bodies(bucket: Bucket) -> Sequence[bytes]:
    return [entry.path.encode() + await bucket.get(entry.path) async for entry in bucket.list("")]


async def test_who_is_erased_leaves_no_trace(
    url: str, bots: list[Bot], place: Callable[[], config.Bucket], tmp_path: Path
) -> None:
    bot = Bot(tmp_path / "data", place(), url)
    bots.append(bot)
    await bot.service.start()
    for number in range(20):
        await bot.say(f"{CANARY} {number}")
    await bot.say("remind me in 3 hours to " + CANARY)
    await bot.say("of another", "lee", sender_name="Lee")
    await bot.archived(42)
    assert CANARY in "".join(map(str, await bodies(bot.storage.bucket)))

    code, out = await bot.command("user", "erase", KIM, "--yes")
    assert (code, out.startswith(f"{KIM} is erased: 21 messages")) == (0, True), out
    assert next(message["content"] for message in await bot.storage.load("webhook//lee")) == "of another"
    assert not [body for body in await stored(bot.service.folder, url) if CANARY.encode() in body]
    await bot.say("back again")
    assert next(each["content"] for each in await bot.archived(1)) == "back again"
    assert await bot.service.stop() == 0
    assert (await bot.command("user", "erase", KIM, "--yes"))[0] == 0  # with no service running

    left = [*await bodies(bot.storage.bucket), *await stored(bot.service.folder, url)]
    assert not [body for body in left if CANARY.encode() in body or b"kim" in body.lower()]


async def test_a_person_is_found_exported_and_held(bots: list[Bot], tmp_path: Path) -> None:
    bot = Bot(tmp_path / "data", config.Bucket(url="kept"))
    bots.append(bot)
    await bot.service.start()
    await bot.say("remind me in 3 hours to feed the cat")
    await bot.archived(2)
    code, out = await bot.command("user", "find", "kim")
    assert (code, out.split()[0]) == (0, KIM), out

    target = tmp_path / "kim.json"
    code, out = await bot.command("user", "export", KIM, "--to", str(target))
    assert (code, out) == (0, f"1 messages and 1 replies of {KIM} are in {target}.\n")
    whole = json.loads(target.read_text())
    assert (len(whole["archive"]), len(whole["timers"])) == (2, 1)
    assert target.stat().st_mode & 0o077 == 0

    assert (await bot.command("user", "hold", KIM, "--reason", "a lawsuit"))[0] == 0
    code, out = await bot.command("user", "erase", KIM, "--yes")
    assert (code, out) == (1, f"dragoman: {KIM} is held: a lawsuit\n")
    assert (await bot.command("user", "holds"))[1].endswith("a lawsuit\n")
    assert (await bot.command("user", "release", KIM))[0] == 0


async def test_who_was_erased_is_erased_again_when_an_older_store_comes_back(bots: list[Bot], tmp_path: Path) -> None:
    bot = Bot(tmp_path / "data", config.Bucket(url="kept"))
    bots.append(bot)
    await bot.service.start()
    await bot.say(CANARY)
    await bot.archived(2)
    await bot.service.stop()
    database = tmp_path / "data" / "dragoman.db"
    older = database.read_bytes()
    assert (await bot.command("user", "erase", KIM, "--yes"))[0] == 0

    database.write_bytes(older)
    await bot.service.start()

    async def erased() -> bool:
        return "erasures.repeated" in bot.service.log.read_text()

    await until(erased)
    await bot.service.stop()
    assert CANARY.encode() not in database.read_bytes()


async def stored(folder: Path, url: str) -> list[bytes]:
    """Return all bytes of the data folder, and all rows of the database."""
    files = [path.read_bytes() for path in files_of(folder)]
    if not url:
        return files
    connection = await asyncpg.connect(url)
    tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
    rows = [await connection.fetch(f"SELECT t::text FROM {table[0]} t") for table in tables]  # noqa: S608 - ours
    await connection.close()
    return [*files, *(str(tuple(row)).encode() for found in rows for row in found)]


def files_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name not in {"service.log", "ballast"}]


async def test_a_damaged_archive_is_told_file_by_file(bots: list[Bot], tmp_path: Path) -> None:
    bot = Bot(tmp_path / "data", config.Bucket(url="kept"))
    bots.append(bot)
    await bot.service.start()
    for number in range(2):
        await bot.say(f"m{number}")
        await bot.archived(2 * number + 2)
    await bot.say("of another", "lee")
    await bot.archived(2, "webhook//lee")
    first, second = await bot.storage.files(KIM)
    other = await bot.storage.files("webhook//lee")
    changed = tmp_path / "data" / "kept" / first
    changed.write_bytes(changed.read_bytes().replace(b"m0", b"mo"))
    (tmp_path / "data" / "kept" / second).unlink()
    (tmp_path / "data" / "kept" / other[0]).unlink()

    code, out = await bot.command("archive", "verify")

    assert code == 1
    assert out.count("is damaged: its checksum is another") == 1
    assert out.count("is missing") == 2
    assert out.endswith("are not as they were written, or are missing\n")


async def test_what_cannot_be_is_told_in_a_line(tmp_path: Path) -> None:
    bot = Bot(tmp_path / "data", config.Bucket())
    await bot.service.start()
    complaints = {
        ("archive", "status"): "there is no archive: set url in [archive]",
        ("user", "export", "nobody"): "is no person",
        ("user", "release", "a//b"): "is not held",
        ("user", "find", "nobody"): "nobody is known by",
    }
    for words, complaint in complaints.items():
        code, out = await bot.command(*words)
        assert (code, out.count("\n")) == (1, 1), out
        assert complaint in out
    await bot.service.stop()
    code, out = await bot.command("archive", "verify")
    assert (code, out) == (1, "dragoman: there is no archive: set url in [archive]\n")
