"""Reminders over the real process: killed before one is due and started again, it comes exactly once."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dragoman.testing import simulators
from dragoman.testing.process import Service, configuration
from dragoman.testing.simulator import serve

PATIENCE = 30.0


class Bot:
    """The process, on simulated Telegram."""

    def __init__(self, simulator: Any, service: Service) -> None:
        self.simulator = simulator
        self.service = service

    @property
    def texts(self) -> list[str]:
        return [accepted.text for accepted in self.simulator.sent]

    @property
    def reminders(self) -> list[str]:
        return [text for text in self.texts if text.startswith("⏰")]

    async def say(self, text: str, answer: str) -> None:
        """Say something, and wait for an answer that has these words."""
        request = self.simulator.webhook(text, sender="7", channel="7")
        url = f"{self.service.url}/hooks/bot"
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=request.body, headers=request.headers) as response,
        ):
            assert response.status == 200
        await self.until(lambda: any(answer in said for said in self.texts))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await asyncio.sleep(0.02)

    def age(self, seconds: float) -> None:
        """Let so much time have passed for the timers, while the process is down."""
        with sqlite3.connect(self.service.folder / "dragoman.db") as database:
            database.execute("UPDATE timer SET at = at - ?, ready_at = ready_at - ?", (seconds, seconds))
        database.close()


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    simulator = simulators.load("telegram")()
    async with serve(simulator) as url:
        accounts = {"bot": {"platform": "telegram", **simulator.settings(url)}}
        service = Service(tmp_path / "data", configuration(accounts, plugins=["remind", "echo"]))
        await service.start()
        yield Bot(simulator, service)
        await service.kill()


async def test_a_reminder_that_is_due_while_the_process_is_dead_comes_once_when_it_lives_again(bot: Bot) -> None:
    await bot.say("remind me in 2 seconds to stretch", "stretch")

    await bot.service.kill()
    await bot.service.start()
    await bot.until(lambda: bool(bot.reminders))
    await bot.say("anything more?", "echo: anything more?")
    await bot.service.kill()
    await bot.service.start()
    await bot.say("and now?", "echo: and now?")

    assert bot.reminders == ["⏰ stretch"]


async def test_a_reminder_that_comes_late_says_so(bot: Bot) -> None:
    await bot.say("我在上海", "Asia/Shanghai")
    await bot.say("半小时后提醒我喝水", "喝水")

    await bot.service.kill()
    bot.age(3600)
    await bot.service.start()
    await bot.until(lambda: bool(bot.reminders))
    await bot.say("现在呢", "echo: 现在呢")

    [reminder] = bot.reminders
    assert reminder.startswith("⏰ 喝水\n（提醒晚了，原定时间：")
