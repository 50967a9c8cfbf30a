"""The plugin that the harness puts into the service: every answer says what an oracle needs to know.

A message is `c<conversation> n<number> <kind>`; each piece of its answer begins `c<conversation> n<number> p<part> of
<parts>`, and the first one names the message `after` which the bot believes this one to have come.
"""

import asyncio
import contextlib
import dataclasses
import os
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

from dragoman import Attachment, Plugin, Turn, telemetry

PARTS = 6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Where the model is, how long a turn takes at most, and the file that arms a crash point."""

    model: str = ""
    pause: float = 0.0
    crash: str = ""


plugin = Plugin("probe", settings=Settings)


@plugin.lifespan
@contextlib.asynccontextmanager
async def life(settings: Settings) -> AsyncIterator[None]:
    """Watch for the order to die at a point."""
    watching = asyncio.create_task(watch(Path(settings.crash)))
    try:
        yield
    finally:
        watching.cancel()


async def watch(order: Path) -> None:
    while True:
        if order.is_file():  # noqa: ASYNC240 - a look takes no time
            telemetry.crash.arm(order.read_text(encoding="utf-8"))  # noqa: ASYNC240 - the same
            order.unlink()  # noqa: ASYNC240 - the same
        await asyncio.sleep(0.05)


@plugin.message(r"^c\d+ n\d+ ")
async def answer(turn: Turn) -> None:
    conversation, number, kind = turn.text.split()[:3]
    before = await turn.recall("last") or 0
    turn.remember("last", int(number[1:]))
    await asyncio.sleep(turn.settings.pause * (zlib.crc32(turn.text.encode()) % 100) / 100)
    if kind == "poison":
        os._exit(9)
    after = f" after {before}"
    if kind == "long":
        text = await turn.once("ask", ask, turn.settings.model, turn.text)
        turn.say(text.replace("\n\n", f"{after}\n\n", 1))
        return
    media = [(found, await turn.fetch(found)) for found in turn.event.attachments]
    files = [Attachment(kind=found.kind, media=kept, name=found.name) for found, kept in media]
    turn.say(f"{conversation} {number} p1 of 1{after}", attachments=files)


async def ask(url: str, text: str) -> str:
    """Ask the model, and keep asking: what it does wrong is not what is tested here."""
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    while True:
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
                session.post(f"{url}/v1/chat/completions", json=body, raise_for_status=True) as response,
            ):
                said: str = (await response.json())["choices"][0]["message"]["content"]
                return said
        except (aiohttp.ClientError, TimeoutError):
            await asyncio.sleep(0.1)
