"""The plugin by which the tests keep a replica busy: it answers `/hold NAME` when a file of that name is there."""

import asyncio
import dataclasses
from pathlib import Path

from dragoman import Plugin, Turn


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Where the files would be."""

    folder: str


plugin = Plugin("gate", settings=Settings)


@plugin.command("hold")
async def hold(turn: Turn, name: str) -> None:
    while not (Path(turn.settings.folder) / name).exists():
        await asyncio.sleep(0.02)
    turn.say(f"held {name}")
