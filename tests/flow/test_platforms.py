"""Each platform's whole way: its signed webhook in, the reply out through its API, and what happens in trouble."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dragoman.store.base import ParkedRow
from dragoman.testing import simulators
from dragoman.testing.process import configuration
from dragoman.testing.running import Running, running
from dragoman.testing.simulator import Fault, Simulator, serve
from dragoman.wire import Http

SEND = {"slack": "chat.postMessage", "telegram": "sendMessage", "feishu": "messages"}
PLATFORMS = tuple(SEND)
DIRECT = {"slack": "D00000007", "telegram": "7", "feishu": "oc_00000007"}


class Bench:
    """A running bot on one simulated platform."""

    def __init__(self, platform: str, simulator: Simulator, service: Running) -> None:
        self.platform = platform
        self.simulator: Any = simulator
        self.service = service

    async def post(self, request: Http) -> int:
        url = f"{self.service.url}/hooks/bench"
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=request.body, headers=request.headers) as answer,
        ):
            await answer.read()
            return answer.status

    async def say(self, text: str, **place: str) -> int:
        return await self.post(self.simulator.webhook(text, **{"channel": DIRECT[self.platform], **place}))

    def texts(self) -> list[str]:
        return [accepted.text for accepted in self.simulator.sent]

    async def until(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)

    async def parked(self) -> list[ParkedRow]:
        async with asyncio.timeout(20):
            while not (rows := await self.service.house.context.reader.parked(10)):
                await asyncio.sleep(0.01)
        return list(rows)


@contextlib.asynccontextmanager
async def bench(platform: str, folder: Path, **account: Any) -> AsyncIterator[Bench]:
    simulator = simulators.load(platform)()
    async with serve(simulator) as url:
        table = {"platform": platform, **simulator.settings(url), **account}
        async with running(folder, configuration({"bench": table}, plugins=["echo"])) as service:
            yield Bench(platform, simulator, service)


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_a_signed_message_is_answered_through_the_platforms_api(platform: str, tmp_path: Path) -> None:
    async with bench(platform, tmp_path) as bot:
        status = await bot.say("hello 你好")
        await bot.until(lambda: bool(bot.simulator.sent))

        assert status == 200
        assert bot.texts() == ["echo: hello 你好"]
        assert bot.simulator.refused == []


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_the_same_webhook_again_is_not_answered_again(platform: str, tmp_path: Path) -> None:
    async with bench(platform, tmp_path) as bot:
        request = bot.simulator.webhook("once", channel=DIRECT[platform])
        statuses = [await bot.post(request) for _ in range(5)]
        await bot.say("after")
        await bot.until(lambda: "echo: after" in bot.texts())

        assert statuses == [200] * 5
        assert bot.texts() == ["echo: once", "echo: after"]


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_a_forged_message_is_refused_and_nothing_is_stored(platform: str, tmp_path: Path) -> None:
    async with bench(platform, tmp_path) as bot:
        request = bot.simulator.webhook("forged", channel=DIRECT[platform])
        bare = Http(body=request.body, headers={"content-type": request.headers.get("content-type", "")})

        assert await bot.post(bare) == 401
        depths = await bot.service.house.context.reader.depths()
        assert (depths.inbox, depths.parked) == (0, 0)


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_order_holds_while_the_platform_refuses_for_a_while(platform: str, tmp_path: Path) -> None:
    async with bench(platform, tmp_path) as bot:
        bot.simulator.fail(Fault(times=2, method=SEND[platform], status=503, body=b"later"))
        for number in range(4):
            await bot.say(f"n{number}")
        await bot.until(lambda: len(bot.simulator.sent) == 4)

        assert bot.texts() == [f"echo: n{number}" for number in range(4)]


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_a_platform_that_took_the_reply_and_went_silent_gets_no_blind_repeat(
    platform: str, tmp_path: Path
) -> None:
    async with bench(platform, tmp_path) as bot:
        keyed = bool(bot.service.house.context.accounts.get("bench").adapter.capabilities.idempotent_send)  # type: ignore[union-attr]  # it is there
        bot.simulator.fail(Fault(method=SEND[platform], after=True, drop=True))
        await bot.say("silence")
        if keyed:
            await bot.until(lambda: bot.simulator.calls.count(SEND[platform]) == 2)
        else:
            assert "unsure" in (await bot.parked())[0].reason
        await bot.say("next")
        await bot.until(lambda: "echo: next" in bot.texts())

        assert bot.texts() == ["echo: silence", "echo: next"]


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_a_dead_token_pauses_the_account_and_loses_nothing(platform: str, tmp_path: Path) -> None:
    async with bench(platform, tmp_path) as bot:
        context = bot.service.house.context
        bot.simulator.fail(Fault(times=1, method=SEND[platform], status=401, body=b"{}"))
        await bot.say("kept")
        async with asyncio.timeout(20):
            while not await context.reader.paused():
                await asyncio.sleep(0.01)
        assert bot.texts() == []
        await context.store.resume("bench")
        await bot.until(lambda: bool(bot.simulator.sent))

        assert bot.texts() == ["echo: kept"]


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_who_is_not_permitted_is_not_answered(platform: str, tmp_path: Path) -> None:
    async with bench(platform, tmp_path, permit=["nobody"]) as bot:
        assert await bot.say("hello") == 200
        async with asyncio.timeout(20):
            while (await bot.service.house.context.reader.depths()).inbox:
                await asyncio.sleep(0.01)

        assert bot.texts() == []


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_a_long_answer_arrives_in_pieces_in_order(platform: str, tmp_path: Path) -> None:
    async with bench(platform, tmp_path) as bot:
        words = " ".join(f"word{number}" for number in range(1200))
        await bot.say(words)
        await bot.until(lambda: "word1199" in "".join(bot.texts()))

        assert len(bot.texts()) > 1
        assert " ".join(" ".join(bot.texts()).split()) == "echo: " + words


async def test_a_rotated_secret_counts_without_a_restart(tmp_path: Path) -> None:
    simulator: Any = simulators.load("slack")()
    async with serve(simulator) as url:
        settings = simulator.settings(url)
        secret = tmp_path / "secret"
        secret.write_text("an old secret", encoding="utf-8")
        table = {"platform": "slack", **settings, "signing_secret": "file:secret"}
        async with running(tmp_path, configuration({"bench": table}, plugins=["echo"])) as service:
            bot = Bench("slack", simulator, service)
            assert await bot.say("refused") == 401

            secret.write_text(settings["signing_secret"], encoding="utf-8")
            await service.house.attendants.follow()

            assert await bot.say("taken") == 200
            await bot.until(lambda: bot.texts() == ["echo: taken"])
