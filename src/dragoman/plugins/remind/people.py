"""Whose time it is: what a person said, else what the platform tells, else the operator's setting."""

import zoneinfo
from typing import Final

from dragoman.engine.turn import Turn
from dragoman.model import Timer, Value
from dragoman.when.names import Language

ZONE: Final = "zone"
"""Where a person's own word is remembered."""
LANGUAGE: Final = "language"


class Zone(Value):
    """A person's zone, and whether it is only the operator's guess."""

    name: str
    assumed: bool = False

    @property
    def info(self) -> zoneinfo.ZoneInfo:
        """Return the zone itself."""
        return zoneinfo.ZoneInfo(self.name)


async def zone_of(turn: Turn) -> Zone:
    """Find the zone of who speaks: the own word counts most, for who gives it means it."""
    for name in (await turn.recall(ZONE, of="person"), turn.event.sender.zone):
        if name and known(str(name)):
            return Zone(name=str(name))
    return Zone(name=turn.settings.zone, assumed=True)


def known(name: str) -> bool:
    """Tell whether there is such a zone here."""
    try:
        zoneinfo.ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        return False
    return True


async def reminders(turn: Turn) -> list[Timer]:
    """List this person's reminders, the next one first; the timers of other plugins are not ours."""
    return [timer for timer in await turn.timers() if timer.event.value.get("plugin") == turn.plugin]


async def language(turn: Turn, given: Language | None) -> Language:
    """Return the language of a command without words: that of what was said before, else the platform's word."""
    if given is not None:
        return given
    remembered = await turn.recall(LANGUAGE)
    if remembered in {"en", "zh"}:
        return "zh" if remembered == "zh" else "en"
    return "zh" if turn.event.sender.locale.lower().startswith("zh") else "en"
