"""The plugin of the rehearsal: each turn costs some processor time, as parsing, searching or drawing would."""

import dataclasses
import time

from dragoman import Plugin, Turn


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """How long it toils."""

    milliseconds: float


plugin = Plugin("toil", settings=Settings)


@plugin.message(r"^c\d+ n\d+$")
async def toil(turn: Turn) -> None:
    end = time.thread_time() + turn.settings.milliseconds / 1000
    while time.thread_time() < end:
        sum(range(1000))
    turn.say(f"echo: {turn.text}")
