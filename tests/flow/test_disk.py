"""A disk that fills up: intake stops in time, nothing that was acknowledged is lost, and it goes on by itself.

The small disks are file systems in memory, which only root may mount.
"""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import apsw
import pytest

from dragoman.adapter import Receipt
from dragoman.errors import MediaRefused, StoreAway
from dragoman.flow.media import MediaStore
from dragoman.model import Address, Event, Sender
from dragoman.store.base import Times
from dragoman.store.disk import Disk
from dragoman.store.sqlite import SqliteStore
from dragoman.testing.clock import FakeClock
from dragoman.testing.process import Service, configuration

MEGABYTE: Final = 1 << 20
TOKEN: Final = "a-token-of-the-tests"

GATED = """
import asyncio
from pathlib import Path

from dragoman import Plugin, Turn

plugin = Plugin("gated")


@plugin.message()
async def wait(turn: Turn) -> None:
    if turn.text == "hold":
        Path(GATE).with_name("begun").touch()
        while not Path(GATE).exists():
            await asyncio.sleep(0.01)
    turn.say(f"said {turn.text}")
"""


def system(*command: str) -> str:
    """Run a command of the system's; returns why it failed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - these tests' own words
    return done.stderr.strip() or "failed" if done.returncode else ""


@contextlib.contextmanager
def mounted(folder: Path, megabytes: int) -> Iterator[Path]:
    """Give a disk of this size, empty."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "tmpfs", str(folder)]
    if trouble := system("mount", *options):
        pytest.skip(f"no small disk can be mounted here (mount -t tmpfs, as root): {trouble}")
    try:
        yield folder
    finally:
        assert system("umount", "--lazy", str(folder)) == ""


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MB."""
    with mounted(tmp_path / "small", 16) as folder:
        yield folder


def free(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def fill(folder: Path, leave: int = 0) -> Path:
    """Fill a disk but for so many bytes; returns the file that does it."""
    filler = folder / "filler"
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while (rest := free(folder) - leave) > 0:
            os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, rest)
    return filler


def watched(folder: Path, **facts: Any) -> Disk:
    """Watch a disk with little demands; the ballast is a megabyte."""
    return Disk(folder, **{"least_free": 0, "least_share": 0.0, "ballast": MEGABYTE, "patience": 1, **facts})


# The watch


def test_a_disk_with_room_is_no_trouble(tmp_path: Path) -> None:
    assert watched(tmp_path).trouble() == ""


def test_too_little_room_is_told_with_the_folder_and_the_free_space(tmp_path: Path) -> None:
    least = free(tmp_path) + 10_000 * MEGABYTE

    trouble = watched(tmp_path, least_free=least).trouble()

    assert str(tmp_path) in trouble
    assert f"needs {least // MEGABYTE} MB" in trouble
    assert "MB left" in trouble


def test_who_asks_all_the_time_is_told_what_was_just_seen_and_soon_what_is(small: Path) -> None:
    now = [0.0]
    disk = watched(small, least_share=0.5, clock=lambda: now[0])
    asked = [disk.trouble() for _ in range(100)]

    fill(small, leave=7 * MEGABYTE)
    at_once = disk.trouble()
    now[0] += 0.25

    assert set(asked) == {""}
    assert at_once == ""
    assert "needs 8 MB" in disk.trouble()


def test_a_part_of_the_disk_has_to_be_free_too(small: Path) -> None:
    disk = watched(small, least_share=0.5)
    assert disk.trouble() == ""

    fill(small, leave=7 * MEGABYTE)

    assert f"{small} has 7 MB left and needs 8 MB" in disk.trouble()


def test_a_folder_that_is_gone_is_trouble_and_no_error(tmp_path: Path) -> None:
    disk = watched(tmp_path / "gone")

    disk.tend()

    assert "cannot be looked at" in disk.trouble()


def test_the_ballast_takes_real_room_and_gives_it_back_once(small: Path) -> None:
    before, disk = free(small), watched(small, ballast=4 * MEGABYTE, patience=0)

    disk._lay_aside()
    assert before - free(small) >= 4 * MEGABYTE

    assert disk.relieve()
    assert not disk.relieve()
    assert free(small) == before


def test_no_ballast_is_laid_where_it_would_leave_too_little(small: Path) -> None:
    watched(small, least_free=14 * MEGABYTE, ballast=4 * MEGABYTE, patience=0)._lay_aside()

    assert not (small / "ballast").exists()


async def test_no_file_is_fetched_onto_a_disk_without_room(tmp_path: Path) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"a picture"

    media = MediaStore(tmp_path / "media", watched(tmp_path, least_free=1 << 60))

    with pytest.raises(MediaRefused, match="free some space"):
        await media.save(chunks())
    assert not (tmp_path / "media").exists()


async def test_a_file_that_does_not_fit_is_refused_and_leaves_nothing(small: Path) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield bytes(MEGABYTE)

    media = MediaStore(small / "media")

    with pytest.raises(MediaRefused, match="No space left"):
        await media.save(chunks())
    assert list((small / "media").iterdir()) == []


# The store


async def keep(store: SqliteStore, clock: FakeClock, key: str, size: int = 100_000) -> None:
    """Accept a message of this size."""
    event = Event(
        key=key,
        account="acme",
        platform="test",
        conversation=key,
        address=Address(account="acme", channel=key),
        sender=Sender(id="u1"),
        text="x" * size,
    )
    times = Times(received=clock(), authenticated=clock(), parsed=clock())
    await store.accept("acme", Receipt(events=(event,), raw=b"{}"), times)


async def until_full(store: SqliteStore, clock: FakeClock, prefix: str) -> list[str]:
    """Accept until the store refuses; returns the keys that it took."""
    taken: list[str] = []
    with contextlib.suppress(StoreAway):
        while len(taken) < 1000:
            await keep(store, clock, f"{prefix}{len(taken)}")
            taken.append(f"{prefix}{len(taken)}")
    assert len(taken) < 1000
    return taken


async def test_the_ballast_makes_room_for_one_more_change_and_what_was_taken_is_kept(
    small: Path, clock: FakeClock
) -> None:
    database = small / "dragoman.db"
    disk = watched(small, ballast=4 * MEGABYTE, patience=0)
    store = await SqliteStore.open(database, clock, disk)
    disk._lay_aside()
    filler = fill(small)
    assert (small / "ballast").exists()

    first = await until_full(store, clock, "a")
    assert not (small / "ballast").exists()
    assert len(first) > 10  # they went where the ballast had been
    filler.unlink()
    await keep(store, clock, "later")
    await store.close()

    connection = apsw.Connection(str(database))
    assert connection.pragma("integrity_check") == "ok"
    assert connection.execute("SELECT count(*) FROM inbox").get == len(first) + 1


async def test_a_store_opens_on_a_disk_that_its_ballast_fills(small: Path, clock: FakeClock) -> None:
    store = await SqliteStore.open(small / "dragoman.db", clock)
    await keep(store, clock, "before")
    await store.close()
    disk = watched(small, ballast=4 * MEGABYTE, patience=0)
    disk._lay_aside()
    fill(small)

    store = await SqliteStore.open(small / "dragoman.db", clock, disk)

    assert [claim.conversation for claim in await store.claim(10)] == ["before"]
    await store.close()


async def test_a_store_that_cannot_open_on_a_full_disk_says_so_and_opens_later(small: Path, clock: FakeClock) -> None:
    filler = fill(small)
    with pytest.raises(StoreAway, match=str(small)):
        await SqliteStore.open(small / "dragoman.db", clock)

    filler.unlink()

    store = await SqliteStore.open(small / "dragoman.db", clock)
    await keep(store, clock, "a")
    await store.close()


async def test_a_store_on_a_disk_with_too_little_room_takes_nothing_in(tmp_path: Path, clock: FakeClock) -> None:
    store = await SqliteStore.open(tmp_path / "dragoman.db", clock, watched(tmp_path, least_free=1 << 60))

    assert "free some space" in store.full()
    await store.close()


# The whole service


class Caller:
    """A process that serves a webhook account, and who calls it."""

    def __init__(self, service: Service, session: aiohttp.ClientSession) -> None:
        self.service = service
        self._session = session

    async def post(self, text: str, name: str) -> tuple[int, dict[str, str], Any]:
        headers, form = {"authorization": f"Bearer {TOKEN}"}, {"content": text, "id": name, "sender_id": name}
        url = f"{self.service.url}/hooks/hook"
        async with self._session.post(url, json=form, headers=headers) as answer:
            return answer.status, dict(answer.headers), await answer.json()

    async def ready(self) -> tuple[int, str]:
        async with self._session.get(f"{self.service.url}/health/ready") as answer:
            return answer.status, (await answer.json()).get("reason", "")

    async def until(self, look: Callable[[], Awaitable[object]], seconds: float = 30) -> None:
        async with asyncio.timeout(seconds):
            while not await look():
                await asyncio.sleep(0.05)

    async def until_ready(self, status: int) -> None:
        async def look() -> bool:
            return (await self.ready())[0] == status

        await self.until(look)


@pytest.mark.timeout(120)
async def test_a_service_whose_disk_fills_up_refuses_finishes_what_it_took_and_goes_on(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    account = {"platform": "webhook", "token": TOKEN, "reply_within": 60}
    written = configuration({"hook": account}, plugins=["gated"]) + '[plugin.gated]\nuse = "gated.py"\n'
    with mounted(tmp_path / "disk", 640) as folder:
        (folder / "gated.py").write_text(f"GATE = {str(gate)!r}\n{GATED}", encoding="utf-8")
        service = Service(folder, written)
        await service.start()
        try:
            async with aiohttp.ClientSession() as session:
                await _fill_and_free(Caller(service, session), folder, gate)
            assert await service.stop() == 0
        finally:
            await service.kill()
        connection = apsw.Connection(str(folder / "dragoman.db"))
        assert connection.pragma("integrity_check") == "ok"
        assert connection.execute("SELECT key, status FROM inbox ORDER BY key").fetchall() == [
            (name, "done") for name in ("m1", "m2", "m4")
        ]
        connection.close()


def open_gate(gate: Path) -> None:
    gate.touch()


async def _fill_and_free(caller: Caller, folder: Path, gate: Path) -> None:
    status, _, body = await caller.post("one", "m1")
    assert (status, body["reply"]) == (200, "said one")
    held = asyncio.create_task(caller.post("hold", "m2"))

    async def begun() -> bool:
        return gate.with_name("begun").exists()

    await caller.until(begun)
    (folder / "ballast").write_bytes(bytes(64 * MEGABYTE))  # as it is made half a minute after the start

    filler = fill(folder, leave=400 * MEGABYTE)
    unready, reason = await caller.ready()
    refused, headers, _ = await caller.post("three", "m3")
    assert unready == 503
    assert str(folder) in reason
    assert "MB left and needs 500 MB" in reason
    assert (refused, int(headers["Retry-After"]) > 0) == (503, True)

    fill(folder)

    async def relieved() -> bool:
        return not (folder / "ballast").exists()

    await caller.until(relieved)
    fill(folder)  # now there is really nothing left: no log line, no reply, no state fits
    refused, _, _ = await caller.post("three", "m3")
    assert refused == 503
    open_gate(gate)
    assert (await caller.ready())[0] == 503

    filler.unlink()
    status, _, body = await held
    assert (status, body["reply"]) == (200, "said hold")
    await caller.until_ready(200)
    status, _, body = await caller.post("four", "m4")
    assert (status, body["reply"]) == (200, "said four")
