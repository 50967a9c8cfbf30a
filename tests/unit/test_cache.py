"""The cache without a server: what is kept and how long, one make for all who wait, and files that prove themselves."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import pytest

from dragoman import telemetry
from dragoman.cache import FOR_EVER, Cache, open_cache, opened
from dragoman.cache.disk import HEAD, Disk
from dragoman.cache.level import Found
from dragoman.cache.memory import Memory
from dragoman.errors import ConfigError
from dragoman.model import Secret
from dragoman.testing.clock import FakeClock


def count(level: str, outcome: str) -> float:
    value = telemetry.REGISTRY.get_sample_value("dragoman_cache_total", {"level": level, "outcome": outcome})
    assert value is not None
    return value


class Source:
    """The truth: counts how often it was asked, and answers when it is told to."""

    def __init__(self, answer: bytes | Exception = b"truth") -> None:
        self.answer = answer
        self.asked = 0
        self.cancelled = 0
        self.go = asyncio.Event()
        self.begun = asyncio.Event()

    async def __call__(self) -> bytes:
        self.asked += 1
        self.begun.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def says(value: bytes) -> Callable[[], Awaitable[bytes]]:
    source = Source(value)
    source.go.set()
    return source


class Slow:
    """A level behind, whose answers and changes wait until they are let go."""

    def __init__(self) -> None:
        self.kept: dict[str, Found] = {}
        self.go = asyncio.Event()
        self.go.set()
        self.change = asyncio.Event()
        self.change.set()
        self.changing = asyncio.Event()

    async def get(self, key: str) -> Found | None:
        found = self.kept.get(key)
        await self.go.wait()
        return found

    async def set(self, key: str, value: bytes, seconds: float) -> None:
        self.changing.set()
        await self.change.wait()
        self.kept[key] = Found(value, seconds)

    async def drop(self, key: str) -> None:
        self.kept.pop(key, None)


@pytest.fixture
async def cache() -> AsyncIterator[Cache]:
    cache = Cache(near=Memory())
    yield cache
    await cache.close()


@pytest.fixture
def source() -> Source:
    return Source()


# Memory


def test_a_value_is_kept_for_its_seconds(clock: FakeClock) -> None:
    memory = Memory(clock=clock)
    memory.set("k", b"v", 10)

    clock.advance(9.5)
    assert memory.get("k") == Found(b"v", 0.5)

    clock.advance(0.5)
    assert memory.get("k") is None


def test_the_memory_keeps_nothing_longer_than_it_may(clock: FakeClock) -> None:
    memory = Memory(clock=clock, longest=5)
    memory.set("k", b"v", FOR_EVER)

    clock.advance(5)

    assert memory.get("k") is None


def test_what_was_not_used_longest_goes_first() -> None:
    memory = Memory(entries=2)
    for key in ("a", "b"):
        memory.set(key, b"v", 10)
    memory.get("a")

    memory.set("c", b"v", 10)

    assert [key for key in "abc" if memory.get(key)] == ["a", "c"]


def test_a_value_that_would_crowd_out_the_others_is_not_kept() -> None:
    memory = Memory(room=800)
    memory.set("k", b"old", 10)

    memory.set("k", b"v" * 101, 10)

    assert memory.get("k") is None


KEYS = st.sampled_from("abc")
STEPS = st.lists(st.tuples(st.sampled_from(["set", "get", "drop"]), KEYS, st.integers(0, 120), st.integers(0, 5)))


@hypothesis.given(STEPS)
def test_the_memory_stays_in_its_bounds_and_never_gives_another_value(
    steps: list[tuple[str, str, int, int]],
) -> None:
    clock = FakeClock()
    memory = Memory(entries=2, room=800, clock=clock)
    model: dict[str, tuple[bytes, float]] = {}
    for verb, key, size, seconds in steps:
        clock.advance(0.5)
        if verb == "set":
            memory.set(key, bytes([size]) * size, seconds)
            model[key] = (bytes([size]) * size, clock() + seconds)
        elif verb == "drop":
            memory.drop(key)
            model.pop(key, None)
        elif (found := memory.get(key)) is not None:
            value, until = model[key]
            assert found.value == value
            assert 0 < found.seconds <= until - clock()
        assert len(memory._kept) <= 2
        assert sum(len(value) for value, _ in memory._kept.values()) == memory._used <= 800


# One make for all


async def test_what_was_made_is_kept(cache: Cache) -> None:
    assert await cache.fetch("k", says(b"first"), 10) == b"first"

    assert await cache.fetch("k", says(b"second"), 10) == b"first"
    assert await cache.get("k") == b"first"


async def test_all_who_wait_share_one_make(cache: Cache, source: Source) -> None:
    waiting = [asyncio.create_task(cache.fetch("k", source, 10)) for _ in range(20)]
    await source.begun.wait()
    source.go.set()

    assert await asyncio.gather(*waiting) == [b"truth"] * 20
    assert source.asked == 1


async def test_keys_do_not_wait_for_one_another(cache: Cache, source: Source) -> None:
    waiting = asyncio.create_task(cache.fetch("slow", source, 10))
    await source.begun.wait()

    assert await cache.fetch("quick", says(b"v"), 10) == b"v"

    source.go.set()
    await waiting


async def test_a_failure_reaches_all_who_wait_and_is_not_kept(cache: Cache) -> None:
    source = Source(LookupError("no such user"))
    waiting = [asyncio.create_task(cache.fetch("k", source, 10)) for _ in range(3)]
    await source.begun.wait()
    source.go.set()

    results = await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(result) for result in results] == [LookupError] * 3
    assert await cache.fetch("k", says(b"truth"), 10) == b"truth"


async def test_who_goes_away_takes_nothing_from_the_others(cache: Cache, source: Source) -> None:
    first, second = (asyncio.create_task(cache.fetch("k", source, 10)) for _ in range(2))
    await source.begun.wait()

    first.cancel()
    await asyncio.wait([first])
    source.go.set()

    assert first.cancelled()
    assert await second == b"truth"
    assert source.asked == 1


async def test_when_the_last_has_gone_the_make_ends_too(cache: Cache, source: Source) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(cache.fetch("k", source, 10), 0.01)

    assert source.begun.is_set()
    assert await asyncio.wait_for(cache.fetch("k", says(b"truth"), 10), 5) == b"truth"
    assert source.cancelled == 1


@pytest.mark.parametrize("change", ["drop", "set"])
async def test_a_make_that_began_before_a_change_is_not_kept_after_it(
    cache: Cache, source: Source, change: str
) -> None:
    waiting = asyncio.create_task(cache.fetch("k", source, 10))
    await source.begun.wait()

    await (cache.drop("k") if change == "drop" else cache.set("k", b"newer", 10))
    source.go.set()

    assert await waiting == b"truth"
    assert await cache.get("k") == (None if change == "drop" else b"newer")


async def test_who_comes_after_a_drop_does_not_get_what_was_begun_before(cache: Cache, source: Source) -> None:
    waiting = asyncio.create_task(cache.fetch("k", source, 10))
    await source.begun.wait()
    await cache.drop("k")

    assert await cache.fetch("k", says(b"newer"), 10) == b"newer"

    source.go.set()
    await waiting
    assert await cache.get("k") == b"newer"


async def test_closing_ends_what_is_under_way(source: Source) -> None:
    cache = Cache()
    waiting = asyncio.create_task(cache.fetch("k", source, 10))
    await source.begun.wait()

    await cache.close()

    await asyncio.wait([waiting])
    assert waiting.cancelled()
    assert source.cancelled == 1


# Levels together


async def test_what_the_far_level_has_is_near_afterwards(clock: FakeClock) -> None:
    far, near = Slow(), Memory(clock=clock)
    far.kept["k"] = Found(b"v", 3)
    cache = Cache(near, far)

    assert await cache.fetch("k", says(b"other"), 10) == b"v"

    assert near.get("k") == Found(b"v", 3)
    clock.advance(3)
    assert near.get("k") is None


async def test_what_was_made_is_kept_on_all_levels() -> None:
    far, near = Slow(), Memory()

    await Cache(near, far).fetch("k", says(b"v"), 10)

    assert far.kept == {"k": Found(b"v", 10)}
    assert near.get("k") is not None


async def test_a_drop_is_not_undone_by_a_lookup_that_was_under_way() -> None:
    far = Slow()
    far.kept["k"] = Found(b"old", 10)
    far.go.clear()
    cache = Cache(Memory(), far)
    looking = asyncio.create_task(cache.get("k"))
    await asyncio.sleep(0)

    await cache.drop("k")
    far.go.set()
    await looking

    assert await cache.get("k") is None


async def test_a_drop_holds_though_an_older_value_is_on_its_way_to_the_far_level() -> None:
    far = Slow()
    far.change.clear()
    cache = Cache(Memory(), far)
    looking = asyncio.create_task(cache.fetch("k", says(b"old"), 10))
    await far.changing.wait()

    await cache.drop("k")
    far.change.set()
    await looking

    assert far.kept == {}
    assert await cache.get("k") is None


# Disk


@pytest.fixture
async def disk(tmp_path: Path, clock: FakeClock) -> Disk:
    return await open_disk(tmp_path, clock)


async def open_disk(folder: Path, clock: FakeClock, room: int = 1 << 20) -> Disk:
    disk = Disk(folder, room=room, clock=clock)
    await disk.scan()
    return disk


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_a_file_survives_a_restart(tmp_path: Path, clock: FakeClock, disk: Disk) -> None:
    await disk.set("media/1", b"picture", FOR_EVER)

    again = await open_disk(tmp_path, clock)

    assert await again.get("media/1") == Found(b"picture", FOR_EVER)
    assert again.used == disk.used == HEAD.size + 7


async def test_a_file_grows_old(tmp_path: Path, clock: FakeClock, disk: Disk) -> None:
    await disk.set("k", b"v", 10)
    assert await disk.get("k") == Found(b"v", 10)

    clock.advance(10)

    assert await disk.get("k") is None
    assert files(tmp_path) == []
    assert disk.used == 0


def spoil(path: Path, how: str) -> None:
    whole = path.read_bytes()
    changes = {
        "a bit": whole[:-1] + bytes([whole[-1] ^ 1]),
        "its time": whole[: HEAD.size - 1] + b"\x01" + whole[HEAD.size :],
        "cut": whole[:-1],
        "cut in the head": whole[:10],
        "empty": b"",
        "foreign": b"something else, longer than a head would be, of another program",
    }
    path.write_bytes(changes[how])


@pytest.mark.parametrize("how", ["a bit", "its time", "cut", "cut in the head", "empty", "foreign"])
async def test_a_spoilt_file_is_a_miss_and_goes(tmp_path: Path, disk: Disk, how: str) -> None:
    await disk.set("k", b"picture", FOR_EVER)
    (path,) = files(tmp_path)
    await asyncio.to_thread(spoil, path, how)
    wrong = count("disk", "wrong")

    assert await disk.get("k") is None

    assert files(tmp_path) == []
    assert count("disk", "wrong") == wrong + 1
    assert await Cache(far=disk).fetch("k", says(b"picture"), FOR_EVER) == b"picture"


async def test_a_file_under_another_name_is_not_believed(tmp_path: Path, disk: Disk) -> None:
    await disk.set("mine", b"mine", FOR_EVER)
    (mine,) = files(tmp_path)
    await disk.set("ours", b"ours", FOR_EVER)
    (ours,) = set(files(tmp_path)) - {mine}

    ours.replace(mine)

    assert await disk.get("mine") is None


async def test_files_not_used_longest_make_room(tmp_path: Path, clock: FakeClock) -> None:
    disk = await open_disk(tmp_path, clock, room=4 * (HEAD.size + 100))
    for number in range(4):
        await disk.set(str(number), bytes(100), FOR_EVER)
    await disk.get("0")

    await disk.set("4", bytes(100), FOR_EVER)

    assert [number for number in range(5) if await disk.get(str(number))] == [0, 2, 3, 4]
    assert len(files(tmp_path)) == 4


async def test_the_order_of_use_survives_a_restart(tmp_path: Path, clock: FakeClock, disk: Disk) -> None:
    for number, path in enumerate(["a", "b", "c", "d"]):
        before = set(files(tmp_path))
        await disk.set(path, bytes(100), FOR_EVER)
        (written,) = set(files(tmp_path)) - before
        os.utime(written, (number, number))
    await disk.get("a")

    again = await open_disk(tmp_path, clock, room=2 * (HEAD.size + 100))

    assert [key for key in "abcd" if await again.get(key)] == ["a", "d"]


async def test_a_file_too_large_for_the_folder_is_not_kept(tmp_path: Path, clock: FakeClock) -> None:
    disk = await open_disk(tmp_path, clock, room=400)

    await disk.set("k", bytes(101), FOR_EVER)

    assert files(tmp_path) == []


async def test_what_a_crash_left_unfinished_goes_after_a_while(tmp_path: Path, clock: FakeClock, disk: Disk) -> None:
    await disk.set("k", b"v", FOR_EVER)
    (kept,) = files(tmp_path)
    old, young = kept.parent / "new-old", kept.parent / "new-young"
    for path, age in ((old, 4000), (young, 10)):
        path.touch()
        os.utime(path, (clock() - age, clock() - age))

    await open_disk(tmp_path, clock)

    assert set(files(tmp_path)) == {kept, young}


async def test_a_folder_that_cannot_be_written_costs_only_the_keeping(tmp_path: Path, clock: FakeClock) -> None:
    place = tmp_path / "file"
    place.write_bytes(b"in the way")
    cache = Cache(far=await open_disk(place, clock))

    assert await cache.fetch("k", says(b"v"), FOR_EVER) == b"v"
    assert await cache.fetch("k", says(b"w"), FOR_EVER) == b"w"


# As a whole


async def test_without_a_server_the_process_caches_alone(tmp_path: Path) -> None:
    async with opened(Secret(), tmp_path) as cache:
        assert await cache.lookups.fetch("k", says(b"v"), 10) == b"v"
        assert await cache.lookups.get("k") == b"v"
        assert await cache.files.fetch("f", says(b"file"), FOR_EVER) == b"file"
        assert await cache.files.get("f") == b"file"
        assert await cache.buckets.reserve("account/acme", 1, 1.0) is None
        await cache.hints.ring("outbox", b"acme")
        assert cache.trouble == ""


@pytest.mark.parametrize(
    "url", ["http://a.example/", "some-host:6379", "redis://127.0.0.1:port/0", "redis://a.example/0?wrong=1"]
)
async def test_an_address_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=r"cache\.url") as refused:
        await open_cache(Secret(url), tmp_path)

    assert url not in str(refused.value)


async def test_a_missing_driver_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("hints", "rates", "server", "shared"):
        monkeypatch.delitem(sys.modules, f"dragoman.cache.{name}", raising=False)
        monkeypatch.delattr(f"dragoman.cache.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)

    with pytest.raises(ConfigError, match=r"pip install 'dragoman\[cache\]'"):
        await open_cache(Secret("redis://127.0.0.1/0"), tmp_path)


def test_lookups_are_counted(clock: FakeClock) -> None:
    memory = Memory(clock=clock)
    hits, misses = count("memory", "hit"), count("memory", "miss")

    memory.get("k")
    memory.set("k", b"v", 1)
    memory.get("k")

    assert (count("memory", "hit"), count("memory", "miss")) == (hits + 1, misses + 1)
