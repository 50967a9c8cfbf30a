"""The tutorial, followed to the letter, with a simulator in Telegram's place."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dragoman.testing.process import Service
from dragoman.testing.simulator import serve
from dragoman.testing.simulators.telegram import TelegramSimulator

if TYPE_CHECKING:
    from tests.docs.conftest import Page

PERSON = "7527593"


class Reader:
    """Somebody who follows the tutorial: a simulated Telegram, and the service on the first configuration."""

    def __init__(self, telegram: TelegramSimulator, service: Service) -> None:
        self.telegram = telegram
        self.service = service

    async def until_said(self, words: str, *, asking: str) -> str:
        """Write to the bot until its answer has these words; raises `TimeoutError`."""
        async with asyncio.timeout(30):
            while True:
                seen = len(self.telegram.sent)
                self.telegram.deliver(asking, sender=PERSON)
                while len(self.telegram.sent) == seen:
                    await asyncio.sleep(0.02)
                if words in self.telegram.sent[-1].text:
                    return self.telegram.sent[-1].text

    async def command(self, *words: str) -> str:
        """Run a command in another terminal."""
        place = ["--data", str(self.service.folder)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "dragoman", *words, *place, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        assert process.returncode == 0
        return out.decode()


@pytest.fixture
def tutorial(pages: "dict[str, Page]") -> "Page":
    return pages["docs/tutorial/telegram.md"]


@pytest.fixture
async def reader(
    tutorial: "Page", desk: "Callable[[Page], Path]", monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Reader]:
    telegram = TelegramSimulator(secret="")
    telegram.unlimited()
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", telegram.token)
    folder = desk(tutorial)
    first = (folder / "dragoman.toml").read_text(encoding="utf-8")
    async with serve(telegram) as url:
        service = Service(folder, f'{first}\n{tutorial.of("toml")[0].text}api_base = "{url}"\n')
        await service.start()
        try:
            yield Reader(telegram, service)
        finally:
            assert await service.stop() == 0
            telegram.deliver("wake the poll that waits", sender=PERSON)


async def test_the_bot_greets_and_says_back_what_it_does_not_know(reader: Reader) -> None:
    assert "Hello" in await reader.until_said("", asking="hello")
    assert "xyzzy" in await reader.until_said("", asking="xyzzy")


async def test_a_changed_rule_is_in_use_without_a_restart(reader: Reader, tutorial: "Page") -> None:
    rules = reader.service.folder / "rules.yaml"
    before = rules.read_text(encoding="utf-8")
    assert "9 to 17" not in await reader.until_said("", asking="opening hours")

    await asyncio.to_thread(rules.write_text, tutorial.of("yaml")[0].text + before, encoding="utf-8")

    assert "9 to 17" in await reader.until_said("9 to 17", asking="opening hours")


async def test_the_trace_and_the_parked_list_say_what_became_of_a_message(reader: Reader) -> None:
    await reader.until_said("", asking="hello")

    log = reader.service.last_words()
    assert '"event":"accepted"' in log
    assert '"events":[1]' in log
    trace = await reader.command("trace", "e1")
    assert re.search(r"route .* rules\.answer", trace)
    assert await reader.command("parked") == "Nothing is parked.\n"


@pytest.mark.parametrize(("trouble", "reason"), [("token", "unauthorized"), ("hook", "webhook_active")])
async def test_the_log_says_why_nothing_arrives(reader: Reader, trouble: str, reason: str) -> None:
    setattr(reader.telegram, trouble, "https://elsewhere.example/")
    reader.telegram.deliver("wake the poll that waits", sender=PERSON)

    async with asyncio.timeout(30):
        while "poll.halted" not in reader.service.last_words():
            await asyncio.sleep(0.05)

    assert f'"reason":"{reason}"' in reader.service.last_words()
