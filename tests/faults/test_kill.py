"""The promise under `kill -9`: the real command, killed at every step of the straight line, under load.

Each case proves that its point was reached, starts the same command again, and lets an oracle judge that
reads the simulator's record and the database only.
"""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import apsw
import pytest

from dragoman.testing import simulators
from dragoman.testing.bench import CHANNELS
from dragoman.testing.load import Load
from dragoman.testing.process import Service, configuration
from dragoman.testing.simulator import Simulator, serve

RATE = 200.0
SECONDS = 1.5
CONVERSATIONS = 50
SENDS = 16
ROUNDS = int(os.environ.get("FAULT_ROUNDS", "1"))
POINTS = ("c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9", "c10", "c11")

pytestmark = pytest.mark.timeout(120 * ROUNDS)


def settings(platform: str, simulator: Simulator, url: str) -> str:
    account: dict[str, Any] = {"platform": platform, "sends_per_second": 100_000.0, **simulator.settings(url)}
    return configuration({"bench": account}, plugins=["echo"], sends=SENDS)


async def under_load(platform: str, folder: Path, crash: str) -> tuple[Load, Service]:
    """Kill the service at a point while messages come in, start it again, and wait for the last answer."""
    simulator = simulators.load(platform)()
    simulator.unlimited()
    async with serve(simulator) as url:
        service = Service(folder, settings(platform, simulator, url))
        await service.start(crash=crash)
        load = Load(simulator, f"{service.url}/hooks/bench", conversations=CONVERSATIONS, channel=CHANNELS[platform])
        try:
            running = asyncio.create_task(load.run(RATE, SECONDS))
            assert await service.wait(30) == -signal.SIGKILL
            await service.start()
            await running
            await load.settle(30)
        finally:
            assert await service.stop() == 0
    return load, service


def database(service: Service) -> apsw.Connection:
    return apsw.Connection(str(service.folder / "dragoman.db"), flags=apsw.SQLITE_OPEN_READONLY)


def count(connection: apsw.Connection, sql: str) -> int:
    number: int = connection.execute(sql).get
    return number


def assert_the_promise_held(load: Load, service: Service, duplicates: int) -> None:
    verdict = load.judge()
    connection = database(service)
    assert verdict.lost == ()
    assert verdict.inversions == 0
    assert verdict.duplicates <= duplicates
    assert count(connection, "SELECT count(*) FROM inbox") == len(load.samples)
    assert count(connection, "SELECT count(*) FROM inbox WHERE status != 'done'") == 0
    assert count(connection, "SELECT count(*) FROM outbox WHERE state = 'sent'") == len(load.samples)
    assert count(connection, "SELECT count(*) FROM outbox") == len(load.samples)
    assert all(sample.acknowledged for sample in load.samples)
    assert '"level": "error"' not in service.log.read_text(encoding="utf-8")


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("round_", range(ROUNDS))
async def test_nothing_is_lost_or_reordered_when_killed_at(point: str, round_: int, tmp_path: Path) -> None:
    load, service = await under_load("slack", tmp_path, f"{point}:{40 + 7 * round_}")

    assert f"crash point {point} reached" in service.log.read_text(encoding="utf-8")
    assert_the_promise_held(load, service, SENDS)


@pytest.mark.parametrize("point", ["c9", "c10"])
async def test_a_platform_with_keys_gets_every_reply_exactly_once_when_killed_at(point: str, tmp_path: Path) -> None:
    load, service = await under_load("feishu", tmp_path, f"{point}:40")

    assert f"crash point {point} reached" in service.log.read_text(encoding="utf-8")
    assert_the_promise_held(load, service, 0)


@pytest.mark.parametrize("point", ["p1", "p2"])
async def test_no_update_is_lost_when_the_poller_is_killed_at(point: str, tmp_path: Path) -> None:
    simulator: Any = simulators.load("telegram")()
    simulator.unlimited()
    async with serve(simulator) as url:
        polling = {name: value for name, value in simulator.settings(url).items() if name != "secret_token"}
        account = {"platform": "telegram", "sends_per_second": 100_000.0, **polling}
        service = Service(tmp_path, configuration({"bench": account}, plugins=["echo"], sends=SENDS))
        texts = [f"c{number % 10} n{number // 10 + 1}" for number in range(200)]
        await service.start(crash=f"{point}:3")
        try:
            for number, text in enumerate(texts):
                simulator.deliver(text, sender=str(100 + number % 10), channel=str(100 + number % 10))
                await asyncio.sleep(1 / RATE)
            assert await service.wait(30) == -signal.SIGKILL
            await service.start()
            load = Load(simulator, "", conversations=10, channel="{}")
            await until_answered(simulator, texts)
        finally:
            assert await service.stop() == 0

    verdict = load.judge()
    assert f"crash point {point} reached" in service.log.read_text(encoding="utf-8")
    assert verdict.answered == len(texts)
    assert verdict.inversions == 0
    assert verdict.duplicates <= SENDS
    assert count(database(service), "SELECT count(*) FROM inbox WHERE status = 'done'") == len(texts)


async def until_answered(simulator: Simulator, texts: list[str]) -> None:
    expected = {f"echo: {text}" for text in texts}
    async with asyncio.timeout(30):
        while not expected <= {accepted.text for accepted in simulator.sent}:
            await asyncio.sleep(0.05)


POISON = """
import os
from dragoman import Plugin, Turn

plugin = Plugin("poison")


@plugin.message()
async def answer(turn: Turn) -> None:
    if turn.text == "poison":
        os._exit(9)
    turn.say(f"echo: {turn.text}")
"""


async def test_a_message_that_kills_the_process_is_parked_and_its_neighbours_are_answered(tmp_path: Path) -> None:
    simulator = simulators.load("slack")()
    simulator.unlimited()
    (tmp_path / "poison.py").write_text(POISON, encoding="utf-8")
    async with serve(simulator) as url:
        account = {"platform": "slack", **simulator.settings(url)}
        table = '[plugin.poison]\nuse = "poison.py"\n'
        service = Service(tmp_path, configuration({"bench": account}, plugins=["poison"]) + table)
        await service.start()
        load = Load(simulator, f"{service.url}/hooks/bench", conversations=CONVERSATIONS, channel="D{:08}")
        running = asyncio.create_task(load.run(RATE, SECONDS))
        deaths = 0
        try:
            await send_poison(simulator, load)
            while deaths < 3:
                await service.wait(30)
                deaths += 1
                await start_again(service)
            await running
            await load.settle(30)
        finally:
            await service.stop()

    verdict = load.judge()
    connection = database(service)
    assert verdict.lost == ()
    assert verdict.inversions == 0
    parked = connection.execute("SELECT reason FROM inbox WHERE status = 'parked'").fetchall()
    assert parked == [("the process died 3 times while handling it",)]


async def send_poison(simulator: Simulator, load: Load) -> None:
    """Send the poison as its own conversation, once other messages are on their way."""
    import aiohttp  # noqa: PLC0415 - the only request that the load does not make

    request = simulator.webhook("poison", sender="U99999999", channel="D99999999")
    async with aiohttp.ClientSession() as session, asyncio.timeout(30):
        while len(load.samples) < 20:
            await asyncio.sleep(0.01)
        async with session.post(load.hook, data=request.body, headers=request.headers) as answer:
            assert answer.status == 200


async def start_again(service: Service) -> None:
    """Start the service; the poison may end it again before it is ready."""
    try:
        await service.start()
    except RuntimeError:
        assert service.exited
