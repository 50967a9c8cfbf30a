"""A wall clock that jumps while the service runs changes nothing but what a signature is compared with."""

import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dragoman import telemetry
from dragoman.testing import simulators
from dragoman.testing.process import configuration
from dragoman.testing.running import Running, running
from dragoman.testing.simulator import serve

TOKEN = "a-token-of-the-tests"
HOUR = 3600.0
DAY = 86_400.0
YEARS = 16 * 365 * DAY
"""From 2026 beyond 2038."""
PLUGIN = """
import asyncio
from dragoman import Plugin

plugin = Plugin("own")
GATE = asyncio.Event()
TURNS = []


@plugin.message()
async def answer(turn):
    TURNS.append(turn.text)
    if turn.text == "wait":
        await GATE.wait()
    turn.say(f"{turn.text} {TURNS.count(turn.text)}")
    if turn.text == "go":
        GATE.set()
"""


class Wall:
    """The machine's wall clock, which somebody sets."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self._real = time.time

    def __call__(self) -> float:
        return self._real() + self.ahead


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    wall = Wall()
    monkeypatch.setattr(time, "time", wall)
    return wall


async def post(service: Running, text: str) -> str:
    form = {"content": text, "sender_id": text, "conversation_id": text}
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{service.url}/hooks/acme", json=form, headers=headers) as answer,
    ):
        body: Any = await answer.json()
        return str(body["reply"])


@pytest.mark.parametrize("jump", [HOUR, -HOUR, -DAY, YEARS], ids=["hour", "hour-back", "day-back", "beyond-2038"])
async def test_a_jump_of_the_wall_clock_ends_no_lease_and_stops_no_loop(
    tmp_path: Path, wall: Wall, jump: float
) -> None:
    (tmp_path / "own.py").write_text(PLUGIN, encoding="utf-8")
    account = {"platform": "webhook", "token": TOKEN, "reply_within": 20}
    text = configuration({"acme": account}, plugins=["own"]) + '[plugin.own]\nuse = "own.py"\n'
    async with running(tmp_path, text) as service:
        context = service.house.context
        waiting = asyncio.create_task(post(service, "wait"))
        async with asyncio.timeout(20):
            while not (await context.reader.depths()).inbox:
                await asyncio.sleep(0.01)
        assert await context.store.lease("ours", "us", 60)
        before, since = context.clock(), time.monotonic()

        wall.ahead = jump

        assert abs((context.clock() - before) - (time.monotonic() - since)) < 5.0
        assert await context.store.sweep() == 0
        assert not await context.store.lease("ours", "them", 60)
        assert await post(service, "meanwhile") == "meanwhile 1"
        assert await post(service, "go") == "go 1"
        assert await waiting == "wait 1"  # its lease held: there was one turn
        assert await context.reader.parked(10) == []


@pytest.mark.parametrize(
    ("ahead", "status", "told"),
    [(30.0, 200, 0), (120.0, 200, 1), (-120.0, 200, 1), (HOUR, 401, 1)],
    ids=["a-little", "ahead", "behind", "refused"],
)
async def test_a_signature_is_compared_with_the_wall_clock_and_a_skew_is_told_once_a_minute(
    tmp_path: Path, wall: Wall, ahead: float, status: int, told: int
) -> None:
    simulator: Any = simulators.load("slack")()
    before = skews()
    async with serve(simulator) as url:
        account = {"platform": "slack", **simulator.settings(url)}
        async with running(tmp_path, configuration({"bench": account}, plugins=["echo"])) as service:
            requests = [simulator.webhook(f"hello {number}", channel="D00000001") for number in range(3)]
            wall.ahead = ahead
            async with aiohttp.ClientSession() as session:
                for request in requests:
                    hook = f"{service.url}/hooks/bench"
                    async with session.post(hook, data=request.body, headers=request.headers) as answer:
                        assert answer.status == status

    assert skews() - before == told


async def test_a_skew_that_nobody_signed_is_not_told(tmp_path: Path, wall: Wall) -> None:
    simulator: Any = simulators.load("slack")()
    before = skews()
    async with serve(simulator) as url:
        account = {"platform": "slack", **simulator.settings(url), "signing_secret": "0" * 32}
        async with running(tmp_path, configuration({"bench": account}, plugins=["echo"])) as service:
            request = simulator.webhook("hello", channel="D00000001")
            wall.ahead = HOUR
            async with (
                aiohttp.ClientSession() as session,
                session.post(f"{service.url}/hooks/bench", data=request.body, headers=request.headers) as answer,
            ):
                assert answer.status == 401

    assert skews() == before


def skews() -> float:
    return telemetry.REGISTRY.get_sample_value("dragoman_clock_skew_total", {"account": "bench"}) or 0.0
