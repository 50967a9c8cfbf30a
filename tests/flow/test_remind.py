"""Reminders on the real line: a platform's messages and buttons, on both stores, with real time."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from tests.store.conftest import server

from dragoman.testing import simulators
from dragoman.testing.process import configuration
from dragoman.testing.running import Running, running
from dragoman.testing.simulator import serve
from dragoman.wire import Http

KIM, LEE, ROOM = "7", "8", "-100200300"


class Chat:
    """A running bot on simulated Telegram."""

    def __init__(self, simulator: Any, service: Running) -> None:
        self.simulator = simulator
        self.service = service

    async def post(self, request: Http) -> None:
        url = f"{self.service.url}/hooks/bot"
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=request.body, headers=request.headers) as answer,
        ):
            assert answer.status == 200

    async def say(self, text: str, *, sender: str = KIM, channel: str = KIM) -> None:
        await self.post(self.simulator.webhook(text, sender=sender, channel=channel))

    async def press(self, label: str, *, sender: str = KIM, channel: str = KIM) -> None:
        """Press a button of the last message."""
        last = self.said()[-1]
        keyboard = last.body["reply_markup"]["inline_keyboard"]
        data = next(button["callback_data"] for row in keyboard for button in row if button["text"] == label)
        update = self.simulator.press(data, message_id=int(last.id), sender=sender, channel=channel)
        await self.post(self.simulator.signed(update))

    def said(self) -> list[Any]:
        return [accepted for accepted in self.simulator.sent if accepted.method == "sendMessage"]

    async def texts(self, count: int) -> list[str]:
        await self.until(lambda: len(self.said()) >= count)
        return [accepted.text for accepted in self.said()]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.sleep(0.01)

    async def idle(self) -> None:
        """Wait until everything accepted is handled and delivered."""
        async with asyncio.timeout(30):
            while (depths := await self.service.house.context.reader.depths()).inbox or depths.outbox:
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def place(kind: str) -> AsyncIterator[dict[str, str]]:
    """Give the setting of a store of its own."""
    if kind == "sqlite":
        yield {}
        return
    url, schema = server(), f"t{secrets.token_hex(6)}"
    connection = await asyncpg.connect(url)
    await connection.execute(f"CREATE SCHEMA {schema}")
    try:
        yield {"store": f"{url}?search_path={schema}"}
    finally:
        await connection.execute(f"DROP SCHEMA {schema} CASCADE")
        await connection.close()


@pytest.fixture(params=["sqlite", "postgres"])
async def chat(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Chat]:
    """The bot's pace is no part of these tests: at Telegram's, one message a second, they would mostly wait."""
    simulator = simulators.load("telegram")()
    simulator.unlimited()
    async with serve(simulator) as url, place(request.param) as store:
        account = {"platform": "telegram", "answer": "always", "sends_per_second": 100, **simulator.settings(url)}
        accounts = {"bot": account}
        text = configuration(accounts, plugins=["remind", "rules", "echo"], **store)
        async with running(tmp_path, text) as service:
            yield Chat(simulator, service)


async def test_a_reminder_comes_once_and_its_buttons_work(chat: Chat) -> None:
    await chat.say("my time zone is Europe/Berlin")
    await chat.say("remind me in 1 second to stretch")
    *_, confirmation, reminder = await chat.texts(3)
    await chat.press("Snooze 10 min")
    *_, snoozed = await chat.texts(4)
    await chat.press("Undo")
    *_, undone = await chat.texts(5)
    await chat.say("something else")

    assert confirmation.startswith("OK, today, ")
    assert confirmation.endswith(": stretch")
    assert reminder == "⏰ stretch"
    assert snoozed.startswith("OK, again ")
    assert undone == "Cancelled: stretch"
    assert (await chat.texts(6))[-1] == "echo: something else"
    await chat.idle()
    assert len(chat.said()) == 6


async def test_the_list_the_zone_and_the_numbers_outlive_the_turns(chat: Chat) -> None:
    await chat.say("我在上海")
    await chat.say("明天下午3点提醒我开会")
    await chat.say("每个工作日9:00站会")
    await chat.say("我的提醒")
    await chat.say("取消提醒1")
    await chat.say("取消提醒2")
    await chat.say("我的提醒")
    await chat.say("几点了")

    *_, listed, first, second, empty, clock = await chat.texts(8)
    assert "15:00：开会" in listed
    assert {first, second} == {"已取消：开会", "已取消：站会"}
    assert empty.startswith("你还没有提醒")
    assert clock.endswith("（Asia/Shanghai）。")


async def test_in_a_group_a_reminder_is_its_owners(chat: Chat) -> None:
    await chat.say("remind me in 1 second to stretch", sender=KIM, channel=ROOM)
    await chat.texts(2)
    await chat.press("Done", sender=LEE, channel=ROOM)
    *_, refused = await chat.texts(3)

    assert refused == "That reminder is somebody else's."
