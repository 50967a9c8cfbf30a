"""A person's time zone: said once, remembered, told."""

import datetime as dt
import zoneinfo

import msgspec

from dragoman.engine.plugin import UNHANDLED
from dragoman.engine.turn import Turn
from dragoman.model import Timer
from dragoman.plugins.remind import people, places, telling
from dragoman.plugins.remind.firing import Told
from dragoman.plugins.remind.people import Zone
from dragoman.plugins.remind.texts import word
from dragoman.when import render, rhythm
from dragoman.when import zones as changes
from dragoman.when.names import Language

FORGET: tuple[str, ...] = ("auto", "automatic", "default", "自动", "默认")


async def said(turn: Turn, name: str, language: Language, *, command: bool) -> object:
    """Remember the zone that somebody names; without a name tell which one counts."""
    if not name:
        zone = await people.zone_of(turn)
        turn.say(word("zone_now", language, zone=zone.name, when=_now(turn, zone, language)))
        return None
    if name.strip().casefold() in FORGET:
        turn.remember(people.ZONE, None, of="person")
        turn.say(word("zone_auto", language, zone=turn.event.sender.zone or turn.settings.zone))
        return None
    found = places.find(name)
    if found is None:
        if not command and len(name) > 20:
            return UNHANDLED
        turn.say(word("zone_unknown", language, name=name))
        return None
    turn.remember(people.ZONE, found, of="person")
    zone = Zone(name=found)
    lines = [word("zone", language, zone=found, when=_now(turn, zone, language))]
    if moved := await _follow(turn, zone):
        lines += ["", word("zone_moved", language), ""]
        lines += [f"- {telling.shown(timer, turn.now, zone, language)}" for timer in moved]
    turn.say("\n".join(lines))
    return None


async def _follow(turn: Turn, zone: Zone) -> list[Timer]:
    """Move the reminders whose time was read in an assumed zone to the same time of day in the right one."""
    moved = []
    for timer in await people.reminders(turn):
        told = msgspec.convert(timer.event.value["bound"]["told"], Told)
        at = _same_clock(timer, told, turn.now, zone) if told.local else None
        if at is None:
            continue
        bound = {"told": msgspec.to_builtins(Told(language=told.language, zone=zone.name))}
        event = msgspec.structs.replace(timer.event, value={**timer.event.value, "bound": bound})
        turn.reschedule(timer, at=at, anchor=at, zone=zone.name, event=event)
        moved.append(msgspec.structs.replace(timer, at=at))
    return moved


def _same_clock(timer: Timer, told: Told, now: float, zone: Zone) -> float | None:
    """Return the same time of day in another zone; None when that has passed."""
    local = dt.datetime.fromtimestamp(timer.at, zoneinfo.ZoneInfo(told.zone)).replace(tzinfo=None)
    at = changes.resolve(local, zone.info).timestamp()
    if at > now:
        return at
    return rhythm.after(timer.every, now, zone.name, at) if timer.every else None


def _now(turn: Turn, zone: Zone, language: Language) -> str:
    now = dt.datetime.fromtimestamp(turn.now, zone.info)
    return render.render(now, now, zone.info, language)
