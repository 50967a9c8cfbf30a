"""The shared server and all its failures: the truth comes all the same, hardly later, and the server is used again."""

import asyncio
import contextlib
import hashlib
import itertools
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import hypothesis
import hypothesis.strategies as st
import pytest

from dragoman import telemetry
from dragoman.adapter import Rate
from dragoman.cache import MISSED, Caches, opened, rates
from dragoman.cache import server as shared_server
from dragoman.cache.hints import SharedHints
from dragoman.flow.pace import Pacer
from dragoman.model import Address, Delivery, Secret, Typing
from dragoman.testing import redis_server
from dragoman.testing.proxy import Proxy, proxied
from dragoman.testing.redis_server import RedisServer

CALM: Final = {"connect": 5.0, "answer": 5.0}
"""Deadlines that hold on a busy machine, where a test asks for hits."""
BOUND: Final = 1.0
"""Seconds that no lookup may take longer than its make, whatever the server does."""


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    if not redis_server.installed():
        pytest.skip("no redis-server here")
    async with redis_server.redis_server() as server:
        yield server


@pytest.fixture
async def proxy(server: RedisServer) -> AsyncIterator[Proxy]:
    async with proxied("127.0.0.1", server.port) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave a server that failed alone for a shorter time than in real life."""
    monkeypatch.setattr(shared_server, "PAUSE", (0.3, 0.6))


OpenCache = Callable[..., Awaitable[Caches]]


@pytest.fixture
async def open_replica(server: RedisServer, tmp_path: Path) -> AsyncIterator[OpenCache]:
    """Give replicas: caches with memories of their own, at one server (or at a port of a proxy before it)."""
    async with contextlib.AsyncExitStack() as stack:

        async def open_one(port: int = 0, seal: bytes = b"s", **deadlines: float) -> Caches:
            url = Secret(f"redis://127.0.0.1:{port or server.port}/0")
            return await stack.enter_async_context(opened(url, tmp_path, seal=seal, **{**CALM, **deadlines}))

        yield open_one


@pytest.fixture
async def replica(open_replica: OpenCache) -> Caches:
    return await open_replica()


@pytest.fixture
async def other(open_replica: OpenCache) -> Caches:
    return await open_replica()


@pytest.fixture
async def suffering(open_replica: OpenCache, proxy: Proxy) -> Caches:
    """A replica behind the proxy, with the deadlines of real life."""
    return await open_replica(proxy.port, connect=shared_server.CONNECT, answer=shared_server.ANSWER)


def truth(value: bytes = b"truth") -> Callable[[], Awaitable[bytes]]:
    async def make() -> bytes:
        return value

    return make


async def never() -> bytes:
    raise AssertionError("this was to be found")


def count(level: str, outcome: str) -> float:
    value = telemetry.REGISTRY.get_sample_value("dragoman_cache_total", {"level": level, "outcome": outcome})
    assert value is not None
    return value


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.02)


NAME: Final = "dragoman:d:value:k"
NUMBERS: Final = itertools.count()


# Values


async def test_what_one_replica_made_another_finds(replica: Caches, other: Caches) -> None:
    await replica.lookups.fetch("k", truth(), 60)

    assert await other.lookups.fetch("k", never, 60) == b"truth"


async def test_a_value_is_bytes_of_any_kind(replica: Caches, other: Caches) -> None:
    for number, value in enumerate([b"", b"\r\n$5\r\n", bytes(range(256)) * 1000]):
        await replica.lookups.set(f"k{number}", value, 60)

        assert await other.lookups.get(f"k{number}") == value


async def test_what_was_dropped_is_gone_from_the_server(replica: Caches, other: Caches) -> None:
    await replica.lookups.set("k", b"old", 60)

    await replica.lookups.drop("k")

    assert await other.lookups.get("k") is None
    assert await replica.lookups.get("k") is None


async def test_a_value_grows_old_in_the_server(server: RedisServer, replica: Caches, other: Caches) -> None:
    await replica.lookups.set("k", b"v", 60)
    left = int((await server.call("PTTL", NAME))[1:])
    assert 50_000 < left <= 60_000

    await server.call("PEXPIRE", NAME, "1")

    async def gone() -> bool:
        return await other.lookups.get("k") is None

    await until(gone)


async def test_a_replica_keeps_a_found_value_no_longer_than_the_server(
    server: RedisServer, replica: Caches, other: Caches
) -> None:
    await replica.lookups.set("k", b"v", 60)
    await server.call("PEXPIRE", NAME, "300")
    assert await other.lookups.get("k") == b"v"

    async def gone() -> bool:
        return await other.lookups.get("k") is None

    await until(gone, seconds=5)


async def test_a_large_value_is_not_shared(server: RedisServer, replica: Caches) -> None:
    await replica.lookups.set("k", b"small", 60)
    await replica.lookups.set("k", bytes((1 << 20) + 1), 60)

    assert await server.call("EXISTS", NAME) == b":0"


# What is wrong in the server


@pytest.mark.parametrize(
    "command",
    [
        ("SET", NAME, "foreign"),
        ("SET", NAME, ""),
        ("APPEND", NAME, "x"),
        ("SETRANGE", NAME, "20", "x"),
        ("SETRANGE", NAME, "0", "\x02"),
        ("PERSIST", NAME),
        ("COPY", "dragoman:d:value:another", NAME, "REPLACE"),
        ("HSET", NAME, "a", "b"),
        ("LPUSH", NAME, "a"),
        ("ZADD", NAME, "1", "a"),
    ],
    ids=lambda command: " ".join(command[::2] if command[0] == "SET" else command[:1]),
)
async def test_what_we_have_not_written_is_a_miss(
    server: RedisServer, replica: Caches, other: Caches, command: tuple[str, ...]
) -> None:
    await replica.lookups.set("k", b"a truth of thirty bytes or more", 60)
    await replica.lookups.set("another", b"another truth", 60)
    if command[0] in {"HSET", "LPUSH", "ZADD"}:
        await server.call("DEL", NAME)
    wrong, missed = count("shared", "wrong"), count("shared", "miss")
    answer = await server.call(*command)
    assert not answer.startswith(b"-")

    assert await other.lookups.fetch("k", truth(b"made anew"), 60) == b"made anew"

    assert count("shared", "wrong") + count("shared", "miss") == wrong + missed + 1
    assert (count("shared", "miss") == missed) or command == ("SET", NAME, "")
    assert await other.lookups.get("k") == b"made anew"


async def test_after_wrong_data_the_right_is_shared_again(server: RedisServer, replica: Caches, other: Caches) -> None:
    await server.call("LPUSH", NAME, "a")

    await replica.lookups.fetch("k", truth(), 60)

    assert await other.lookups.fetch("k", never, 60) == b"truth"


async def test_a_value_with_another_seal_is_not_believed(open_replica: OpenCache, replica: Caches) -> None:
    await (await open_replica(seal=b"a stranger's")).lookups.set("k", b"forged", 60)

    assert await replica.lookups.fetch("k", truth(), 60) == b"truth"


async def test_a_flush_costs_one_make(server: RedisServer, replica: Caches, other: Caches) -> None:
    await replica.lookups.set("k", b"old", 60)
    await server.call("FLUSHALL")

    assert await other.lookups.fetch("k", truth(), 60) == b"truth"


async def test_a_server_that_takes_no_writes_is_read_no_more_than_that(server: RedisServer, replica: Caches) -> None:
    await server.call("REPLICAOF", "127.0.0.1", "1")

    assert await replica.lookups.fetch("k", truth(), 60) == b"truth"
    assert await replica.buckets.reserve("b", 1, 1.0) is None
    await replica.hints.ring("outbox", b"x")


# What is wrong on the way


async def look(replica: Caches, number: int) -> float:
    """Fetch one thing that nobody has, and return the seconds that it took."""
    clock = asyncio.get_running_loop().time
    began = clock()
    key = f"key {number}"
    assert await replica.lookups.fetch(key, truth(key.encode()), 60) == key.encode()
    return clock() - began


async def works(replica: Caches) -> bool:
    """Tell whether the shared level answers again, whatever the memory has."""
    before = count("shared", "hit")
    key = f"again {random.random()}"  # noqa: S311 - a name
    await replica.lookups.set(key, b"v", 60)
    near = replica.lookups._near
    assert near is not None
    near.drop(key)
    await replica.lookups.get(key)
    return count("shared", "hit") > before and replica.trouble == ""


FAULTS: Final = {
    "two seconds late": {"latency": 2.0},
    "requests stalled": {"stall": True, "on": "requests"},
    "answers stalled": {"stall": True},
    "cut at once": {"cut_after": 0},
    "cut in the answer": {"cut_after": 9},
    "half open": {"half_open": True},
    "reset": {"refuse": True},
}


@pytest.mark.parametrize("fresh", [False, True], ids=["connected", "not yet connected"])
@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
async def test_the_truth_comes_hardly_later_and_the_server_comes_back(
    proxy: Proxy, suffering: Caches, faults: dict[str, float], *, fresh: bool
) -> None:
    if not fresh:
        await look(suffering, -1)
    with proxy.suffering(**faults):
        if not fresh and "half_open" not in faults:
            await look(suffering, -2)
        proxy.reset() if "half_open" in faults or "refuse" in faults else None
        times = sorted([await look(suffering, number) for number in range(100)])

    assert times[-2] < BOUND
    assert sum(times) < 3 * BOUND  # the pause: most lookups did not wait at all
    await until(lambda: works(suffering))


async def test_many_at_once_wait_no_longer_than_one(proxy: Proxy, suffering: Caches) -> None:
    proxy.suffer(latency=2.0)

    times = await asyncio.gather(*(look(suffering, number) for number in range(200)))

    assert max(times) < 2 * BOUND


async def test_a_server_that_is_killed_comes_back(server: RedisServer, open_replica: OpenCache) -> None:
    replica = await open_replica(connect=0.2, answer=0.05)
    await look(replica, 0)

    await server.kill()
    times = [await look(replica, number) for number in range(1, 100)]
    assert max(times) < BOUND
    assert replica.trouble

    await server.start()
    await until(lambda: works(replica))


async def test_a_server_that_never_was_hinders_nobody(open_replica: OpenCache, server: RedisServer) -> None:
    await server.kill()
    replica = await open_replica()

    assert await look(replica, 0) < BOUND


@pytest.mark.parametrize("every", [1, 2, 3, 5, 7, 11, 13, 17, 29, 61, 101])
@pytest.mark.parametrize("way", ["answers", "requests"])
async def test_spoilt_bytes_never_become_a_value(
    proxy: Proxy, open_replica: OpenCache, replica: Caches, every: int, way: str
) -> None:
    numbers = range(12)
    for number in numbers:
        await replica.lookups.set(f"key {number}", f"key {number}".encode(), 60)
    suffering = await open_replica(proxy.port, connect=0.5, answer=0.1)
    with proxy.suffering(corrupt=every, on=way):
        times = []
        for number in numbers:
            times.append(await look(suffering, number))
            wait = await suffering.buckets.reserve("bucket", 1000, 1.0)
            assert wait is None or wait == 0
            await suffering.hints.ring("outbox", b"x")

    assert max(times) < 2 * BOUND
    await until(lambda: works(suffering))


async def test_a_late_answer_is_never_taken_for_another_key(proxy: Proxy, open_replica: OpenCache) -> None:
    suffering = await open_replica(proxy.port, connect=0.5, answer=0.1)
    for number in range(12):
        await look(suffering, number)
    near = suffering.lookups._near
    assert near is not None

    for number in range(12):
        near.drop(f"key {number}")
        proxy.suffer(latency=0.2 if number % 2 == 0 else 0.0)
        await look(suffering, number)


async def test_who_is_cancelled_leaves_the_connection_in_step(proxy: Proxy, open_replica: OpenCache) -> None:
    replica = await open_replica(proxy.port)
    for number in range(10):
        await look(replica, number)
    near = replica.lookups._near
    assert near is not None
    with proxy.suffering(latency=3600.0):
        near.drop("key 0")
        looking = asyncio.create_task(replica.lookups.get("key 0"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(looking), 0.05)
        looking.cancel()
        await asyncio.wait([looking])

    for number in range(10):
        near.drop(f"key {number}")
        assert await replica.lookups.fetch(f"key {number}", never, 60) == f"key {number}".encode()


@pytest.mark.parametrize("end", ["reset", "closed by the server"])
async def test_a_connection_that_ended_while_idle_costs_nothing(
    server: RedisServer, proxy: Proxy, open_replica: OpenCache, end: str
) -> None:
    replica = await open_replica(proxy.port)
    await look(replica, 0)
    away = count("shared", "away")

    if end == "reset":
        proxy.reset()
    else:
        assert await server.call("CLIENT", "KILL", "TYPE", "normal") == b":1"
    await until(idle_ended(replica))
    await look(replica, 1)

    assert count("shared", "away") == away
    assert proxy.accepted == 2


def idle_ended(replica: Caches) -> Callable[[], Awaitable[bool]]:
    server = replica.server
    assert server is not None

    async def ended() -> bool:
        return all([line.ended or await line._connection.can_read() for line in server._idle])

    return ended


async def test_a_drop_that_did_not_arrive_is_made_good_before_the_key_is_read(
    proxy: Proxy, open_replica: OpenCache, server: RedisServer
) -> None:
    replica = await open_replica(proxy.port, connect=0.2, answer=0.1)
    await replica.lookups.set("k", b"old", 60)
    with proxy.suffering(stall=True, on="requests"):
        proxy.reset()
        await replica.lookups.drop("k")
    await server.call("SETRANGE", NAME, "0", "\x01")
    assert await server.call("EXISTS", NAME) == b":1"

    assert await replica.lookups.fetch("k", truth(b"new"), 60) == b"new"


# Buckets


class Reserved:
    """A bucket, and beside it the pacer, asked at the very moments of the server's clock."""

    def __init__(self, server: RedisServer, replica: Caches, name: str, allowed: int, seconds: float) -> None:
        self.server, self.replica, self.name = server, replica, name
        self.rate = Rate(per="account", count=allowed, seconds=seconds)
        self.pacer = Pacer()
        self.slots: list[float] = []

    async def reserve(self) -> tuple[float, float]:
        """Return the bucket's wait and the pacer's."""
        wait = await self.replica.buckets.reserve(self.name, self.rate.count, self.rate.seconds)
        assert wait is not None
        found = await self.server.ask("LINDEX", f"dragoman:d:rate:{self.name}", "-1")
        if not found and self.rate.seconds < 1.0:  # forgotten before we looked: its window is over, for the pacer too
            self.pacer = Pacer()
            return wait, wait
        slot = int(found) / 1e6
        self.slots.append(slot)
        delivery = Delivery(
            id=len(self.slots), key="k", action=Typing(), address=Address(account="a"), conversation="c"
        )
        return wait, self.pacer.reserve(delivery, [self.rate], slot - wait)


@hypothesis.settings(max_examples=25, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@hypothesis.given(
    allowed=st.integers(1, 6),
    seconds=st.sampled_from([0.02, 0.1, 60.0]),
    pauses=st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.005, 0.02, 0.06]), min_size=1, max_size=20),
)
async def test_a_bucket_gives_the_slots_that_the_pacer_gives(
    server: RedisServer, replica: Caches, allowed: int, seconds: float, pauses: list[float]
) -> None:
    bucket = Reserved(server, replica, f"b{next(NUMBERS)}", allowed, seconds)

    for pause in pauses:
        await asyncio.sleep(pause)  # the server's clock is real
        wait, expected = await bucket.reserve()

        assert wait == pytest.approx(expected, abs=1e-5)
    for first in bucket.slots:
        assert sum(first <= slot < first + seconds - 1e-5 for slot in bucket.slots) <= allowed


REPLICA: Final = """
import asyncio, pathlib, sys
from dragoman.cache import opened
from dragoman.model import Secret

async def main():
    async with opened(Secret(sys.argv[1]), pathlib.Path(sys.argv[2]), connect=5.0, answer=5.0) as cache:
        for _ in range(30):
            print(await cache.buckets.reserve("shared", 9, 600.0))

asyncio.run(main())
"""


async def test_processes_keep_a_rate_together(server: RedisServer, tmp_path: Path) -> None:
    command = [sys.executable, "-c", REPLICA, server.url, str(tmp_path)]
    processes = [await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE) for _ in range(3)]
    written = [(await process.communicate())[0].decode().split() for process in processes]

    windows = Counter(round(float(wait) / 600.0) for waits in written for wait in waits)

    assert windows == dict.fromkeys(range(10), 9)


async def test_a_bucket_is_forgotten_when_it_is_full_of_room_again(server: RedisServer, replica: Caches) -> None:
    assert [await replica.buckets.reserve("b", 2, 0.1) for _ in range(2)] == [0, 0]

    async def gone() -> bool:
        return await server.ask("EXISTS", "dragoman:d:rate:b") == b"0"

    await until(gone)


async def test_a_flushed_or_restarted_server_begins_anew(server: RedisServer, open_replica: OpenCache) -> None:
    replica = await open_replica()
    assert [await replica.buckets.reserve("b", 1, 600.0) for _ in range(2)] == [0, pytest.approx(600, abs=60)]
    await server.call("FLUSHALL")
    assert await replica.buckets.reserve("b", 1, 600.0) == 0

    await server.kill()
    assert await replica.buckets.reserve("b", 1, 600.0) is None
    await server.start()

    async def answers() -> bool:
        return await replica.buckets.reserve("b", 1, 600.0) is not None

    await until(answers)


@pytest.mark.parametrize(
    "command",
    [("SET", "x"), ("HSET", "a", "b"), ("RPUSH", "nonsense"), ("RPUSH", "9999999999999999"), ("RPUSH", "")],
    ids=["a text", "a hash", "words", "the far future", "nothing"],
)
async def test_a_bucket_of_nonsense_begins_anew(server: RedisServer, replica: Caches, command: tuple[str, ...]) -> None:
    verb, *values = command
    await server.call(verb, "dragoman:d:rate:b", *values)

    first, second = [await replica.buckets.reserve("b", 1, 600.0) for _ in range(2)]

    assert first == 0
    assert second == pytest.approx(600, abs=60)


def test_no_spoilt_bit_of_an_answer_passes_for_a_wait() -> None:
    text = "run-7 1500000"
    whole = f"{text} {hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()}".encode()
    assert rates._read("run-7", whole) == 1.5

    for place, bit in itertools.product(range(len(whole)), range(8)):
        spoilt = bytearray(whole)
        spoilt[place] ^= 1 << bit
        with pytest.raises(shared_server.Wrong):
            rates._read("run-7", bytes(spoilt))


async def test_a_bucket_that_does_not_answer_in_time_says_so(proxy: Proxy, suffering: Caches) -> None:
    await look(suffering, 0)
    away = count("rates", "away")
    clock = asyncio.get_running_loop().time
    with proxy.suffering(latency=2.0):
        began = clock()
        waits = [await suffering.buckets.reserve("b", 1, 1.0) for _ in range(50)]

    assert waits == [None] * 50
    assert clock() - began < 3 * BOUND
    assert count("rates", "away") == away + 50


# Hints


@contextlib.asynccontextmanager
async def listening(replica: Caches) -> AsyncIterator[Callable[[], Coroutine[Any, Any, bytes]]]:
    async with contextlib.aclosing(replica.hints.listen("outbox")) as heard:

        async def hear() -> bytes:
            return await asyncio.wait_for(anext(heard), 20)

        assert await hear() == MISSED
        yield hear


async def test_who_listens_hears_what_another_rings(replica: Caches, other: Caches) -> None:
    async with listening(replica) as hear:
        for payload in (b"acme", bytes(range(256)), b""):
            await other.hints.ring("outbox", payload)
            assert await hear() == payload


async def test_other_channels_and_strangers_are_not_heard(
    server: RedisServer, replica: Caches, open_replica: OpenCache
) -> None:
    stranger = await open_replica(seal=b"a stranger's")
    async with listening(replica) as hear:
        await replica.hints.ring("inbox", b"elsewhere")
        await stranger.hints.ring("outbox", b"forged")
        assert await server.call("PUBLISH", "dragoman:d:hint:outbox", "foreign") == b":1"
        await replica.hints.ring("outbox", b"ours")

        assert await hear() == b"ours"


@pytest.mark.parametrize("end", ["reset", "killed"])
async def test_who_listens_hears_again_after_a_break_and_is_told_of_it(
    server: RedisServer, proxy: Proxy, replica: Caches, open_replica: OpenCache, end: str
) -> None:
    async with listening(await open_replica(proxy.port)) as hear:
        if end == "reset":
            proxy.reset()
        else:
            await server.kill()
            await replica.hints.ring("outbox", b"lost")
            await server.start()

        assert await hear() == MISSED
        await (await open_replica()).hints.ring("outbox", b"acme")
        assert await hear() == b"acme"


async def test_a_connection_that_died_in_silence_is_found_out(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, open_replica: OpenCache
) -> None:
    monkeypatch.setattr("dragoman.cache.hints.ANSWER", 0.2)
    replica = await open_replica(proxy.port)
    assert isinstance(replica.hints, SharedHints)
    replica.hints._alive = 0.2
    async with listening(replica) as hear:
        connected = proxy.accepted
        proxy.suffer(stall=True)

        async def again() -> bool:
            return proxy.accepted > connected

        hearing = asyncio.create_task(hear())
        await until(again)
        proxy.heal()
        assert await hearing == MISSED


async def test_a_silent_connection_that_lives_is_kept(proxy: Proxy, replica: Caches, open_replica: OpenCache) -> None:
    quiet = await open_replica(proxy.port)
    assert isinstance(quiet.hints, SharedHints)
    quiet.hints._alive = 0.05
    async with listening(quiet) as hear:
        hearing = asyncio.create_task(hear())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(hearing), 0.5)

        await replica.hints.ring("outbox", b"acme")
        assert await hearing == b"acme"
    assert proxy.accepted == 1
