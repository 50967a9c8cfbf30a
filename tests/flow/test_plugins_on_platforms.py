"""What a plugin may want, on each platform and through the whole service: files both ways, buttons, edits, groups."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dragoman.testing import simulators
from dragoman.testing.process import configuration
from dragoman.testing.running import Running, running
from dragoman.testing.simulator import serve
from dragoman.wire import Http

PLATFORMS = ("slack", "telegram", "feishu")
CONTENT = b"%PDF-1.7 a small file\n" * 50

PLUGIN = """
from dragoman import Attachment, Plugin, Turn

plugin = Plugin("desk")


@plugin.on(lambda event: bool(event.attachments))
async def mirror(turn: Turn) -> None:
    found = turn.event.attachments[0]
    media = await turn.fetch(found)
    turn.say("", attachments=[Attachment(kind=found.kind, media=media, name=found.name)])


@plugin.message("^menu$")
async def menu(turn: Turn) -> None:
    turn.say("Pick one", buttons=["yes", "no"])


@plugin.action("yes")
async def yes(turn: Turn) -> None:
    turn.edit(turn.event.message_id, "You said yes")
    turn.react("thumbsup")


@plugin.message()
async def heard(turn: Turn) -> None:
    turn.say(f"heard {turn.text}")
"""


class Desk:
    """A running bot with the plugin on one simulated platform."""

    def __init__(self, simulator: Any, service: Running) -> None:
        self.simulator = simulator
        self.service = service

    async def post(self, request: Http) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.service.url}/hooks/desk", data=request.body, headers=request.headers) as answer,
        ):
            assert answer.status == 200

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.01)

    async def idle(self) -> None:
        """Wait until everything accepted is handled and delivered."""
        async with asyncio.timeout(20):
            while (depths := await self.service.house.context.reader.depths()).inbox or depths.outbox:
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def desk(platform: str, folder: Path) -> AsyncIterator[Desk]:
    simulator = simulators.load(platform)()
    (folder / "desk.py").write_text(PLUGIN, encoding="utf-8")
    async with serve(simulator) as url:
        accounts = {"desk": {"platform": platform, **simulator.settings(url)}}
        text = configuration(accounts, plugins=["desk"]) + '[plugin.desk]\nuse = "desk.py"\n'
        async with running(folder, text) as service:
            yield Desk(simulator, service)


def file_message(platform: str, simulator: Any) -> Http:
    """A person's message with a file in a direct chat, in the platform's own shape."""
    if platform != "telegram":
        request: Http = simulator.shared("paper.pdf", CONTENT, mime="application/pdf")
        return request
    update = simulator.message("", sender="7", channel="7")
    update["message"].pop("text")
    file_id = simulator.keep(CONTENT, "paper.pdf")
    document = {"file_id": file_id, "file_unique_id": "u1", "file_name": "paper.pdf", "mime_type": "application/pdf"}
    update["message"]["document"] = {**document, "file_size": len(CONTENT)}
    signed: Http = simulator.signed(update)
    return signed


def uploads(platform: str, simulator: Any) -> list[bytes]:
    """The bytes of every file that the platform has, the person's own among them."""
    kept = simulator.resources if platform == "feishu" else simulator.files
    return [file.content for file in kept.values()]


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_a_file_comes_in_and_goes_out_again(platform: str, tmp_path: Path) -> None:
    async with desk(platform, tmp_path) as bot:
        await bot.post(file_message(platform, bot.simulator))
        await bot.until(lambda: bool(bot.simulator.sent))

        assert bot.simulator.refused == []
        assert len(bot.simulator.sent) == 1
        assert CONTENT in uploads(platform, bot.simulator)
        kept = [path for path in (tmp_path / "media").glob("*/*") if path.read_bytes() == CONTENT]
        assert len(kept) == 1


def pressed(platform: str, simulator: Any, message_id: str) -> Http:
    """The press of the button `yes` under one of the bot's messages."""
    if platform == "slack":
        request: Http = simulator.button("choice-0", "yes", message_ts=message_id)
    elif platform == "telegram":
        request = simulator.signed(simulator.press("yes", message_id=int(message_id), sender="7", channel="7"))
    else:
        request = simulator.pressed({"dragoman": "yes"}, message_id=message_id)
    return request


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_a_pressed_button_comes_back_and_its_message_is_edited(platform: str, tmp_path: Path) -> None:
    async with desk(platform, tmp_path) as bot:
        channel = {"channel": "7", "sender": "7"} if platform == "telegram" else {}
        await bot.post(bot.simulator.webhook("menu", **channel))
        await bot.until(lambda: bool(bot.simulator.sent))
        asked = bot.simulator.sent[0]
        await bot.post(pressed(platform, bot.simulator, asked.id))
        await bot.until(lambda: any("You said yes" in accepted.text for accepted in bot.simulator.sent))
        await bot.idle()

        assert "Pick one" in asked.text
        assert len(bot.simulator.refused) == (platform == "feishu")  # an id does not tell a card: PUT first, then PATCH
        if platform == "telegram":
            assert "answerCallbackQuery" in bot.simulator.calls


GROUPS = {"slack": "C00000009", "telegram": "-100500", "feishu": "oc_group"}


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_in_a_group_the_bot_answers_only_when_it_is_meant(platform: str, tmp_path: Path) -> None:
    async with desk(platform, tmp_path) as bot:
        await bot.post(in_group(platform, bot.simulator, "chatter", mention=False))
        await bot.post(in_group(platform, bot.simulator, "hello", mention=True))
        await bot.until(lambda: bool(bot.simulator.sent))
        await bot.idle()

        assert [accepted.text for accepted in bot.simulator.sent] == ["heard hello"]


def in_group(platform: str, simulator: Any, words: str, *, mention: bool) -> Http:
    """A message in a group, with the bot's mention or without."""
    if platform == "slack":
        request: Http = simulator.webhook(words, channel=GROUPS[platform])
        if not mention:
            request = simulator.event(plain_slack(simulator, words))
    elif platform == "telegram":
        text = f"@{simulator.username} {words}" if mention else words
        request = simulator.webhook(text, sender="7", channel=GROUPS[platform])
    else:
        plain = simulator.message("text", {"text": words}, channel=GROUPS[platform], chat_type="group")
        request = simulator.asked(words, channel=GROUPS[platform]) if mention else plain
    return request


def plain_slack(simulator: Any, words: str) -> dict[str, Any]:
    message: dict[str, Any] = simulator._message(words, "U00000007", GROUPS["slack"], "")
    return message
