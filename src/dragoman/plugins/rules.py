"""Answers from a file of rules, which may be edited while the bot runs."""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import functools
import zoneinfo
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from dragoman import telemetry
from dragoman.engine.plugin import UNHANDLED, Plugin, action_value
from dragoman.engine.turn import Turn
from dragoman.errors import PluginError
from dragoman.model import Event, setting
from dragoman.plugins import phrases, rulebook
from dragoman.text import templates
from dragoman.when import names

SHIPPED: Final = Path(__file__).with_name("rules.yaml")
LOOK_SECONDS: Final = 2.0
"""How often the file is looked at for a change."""

log = telemetry.logger("plugin.rules")

Stamp = tuple[int, int] | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Where the rules are, and whose time it is."""

    file: Path | None = setting("The file of rules (without one: the rules that ship).", default=None)
    zone: str = setting("Time zone for people whose platform does not tell theirs.", default="UTC")

    def __post_init__(self) -> None:
        """Refuse a time zone that does not exist."""
        if zone_of(self.zone) is None:
            raise ValueError(f"zone: {self.zone!r} is no time zone (write one such as Europe/Berlin)")


class Shelf:
    """The rule book in use: read again when its file changes, kept when the change is a mistake."""

    def __init__(self, path: Path) -> None:
        """Read the file; raises `PluginError` when it cannot be used."""
        self.path = path
        self.stamp = stamp_of(path)
        self.book = rulebook.read(path)

    async def refresh(self) -> bool:
        """Take up the file if it has changed since; returns whether other rules are in use now."""
        stamp = await asyncio.to_thread(stamp_of, self.path)
        if stamp == self.stamp:
            return False
        self.stamp = stamp
        try:
            self.book = await asyncio.to_thread(rulebook.read, self.path)
        except PluginError as error:
            log.warning("rules.kept", reason=str(error))
            return False
        log.info("rules.reread", file=str(self.path))
        return True

    async def watch(self) -> None:
        """Refresh for as long as the plugin lives."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.refresh()


plugin = Plugin("rules", settings=Settings, title="Answers from a file of rules.")


@plugin.lifespan
@contextlib.asynccontextmanager
async def life(settings: Settings) -> AsyncIterator[Shelf]:
    """Open the rules, and watch their file."""
    shelf = await asyncio.to_thread(Shelf, settings.file or SHIPPED)
    watching = asyncio.create_task(shelf.watch())
    try:
        yield shelf
    finally:
        watching.cancel()
        await asyncio.wait([watching])


@plugin.on(lambda event: event.kind in {"message", "command", "action"})
async def answer(turn: Turn) -> object:
    """Answer by the first rule that fits what was said, or leave it to the next plugin."""
    shelf: Shelf = turn.resource or _unwatched(turn.settings.file or SHIPPED)
    said = said_in(turn.event)
    rule = shelf.book.find(said)
    if rule is None:
        return UNHANDLED
    if turn.event.value.get("interaction_id"):
        turn.answer()
    text = rule.answer.of(said)
    told = await turn.recall("zone", of="person") if "{" in text else None  # as the reminders were told
    turn.say(templates.fill(text, values(turn, said, told)), buttons=rule.buttons.of(said))
    return None


@functools.lru_cache(maxsize=16)
def _unwatched(path: Path) -> Shelf:
    """Open the rules where no service runs the lifespan: in tests, notebooks and programs that embed the engine."""
    return Shelf(path)


def said_in(event: Event) -> str:
    """Return what somebody said by an event: a text, a command with its words, or the value of a button."""
    if event.kind == "action":
        return str(action_value(event) or "")
    if event.value.get("command"):
        return f"{event.value['command']} {event.value.get('command_args', '')}".strip()
    return event.text


def values(turn: Turn, said: str, told: str | None = None) -> dict[str, str]:
    """Return what the placeholders of an answer stand for, in the language of what was said.

    `told` is the zone that the person named: it counts more than the platform's.
    """
    zone = zone_of(told or "") or zone_of(turn.event.sender.zone) or zone_of(turn.settings.zone) or dt.UTC
    now = dt.datetime.fromtimestamp(turn.now, zone)
    chinese = phrases.is_chinese(said)
    return {
        "name": turn.event.sender.name or ("朋友" if chinese else "there"),
        "text": said,
        "time": f"{now:%H:%M}",
        "date": _date_zh(now) if chinese else _date_en(now),
        "zone": str(zone),
    }


def zone_of(name: str) -> zoneinfo.ZoneInfo | None:
    """Return the time zone of an IANA name, or None when there is none."""
    try:
        return zoneinfo.ZoneInfo(name) if name else None
    except (LookupError, ValueError, OSError):
        return None


def stamp_of(path: Path) -> Stamp:
    """Return what changes when a file is written: its time and its size; None while it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _date_en(day: dt.datetime) -> str:
    return f"{names.WEEKDAYS['en'][day.weekday()]}, {day.day} {names.MONTHS[day.month - 1]} {day.year}"


def _date_zh(day: dt.datetime) -> str:
    return f"{day.year}年{day.month}月{day.day}日 {names.WEEKDAYS['zh'][day.weekday()]}"
