"""How reminders are told: their times in the person's zone and language, their lists, their confirmations."""

import datetime as dt
from typing import Final

from dragoman.model import Timer
from dragoman.plugins.remind.drafts import Placed
from dragoman.plugins.remind.people import Zone
from dragoman.plugins.remind.texts import word
from dragoman.when import describe, render
from dragoman.when.names import Language

SHOWN: Final = 200
"""Characters of a reminder's text in a list."""


def time(at: float, now: float, zone: Zone, language: Language) -> str:
    """Write a time in a zone; the zone is named where it is only assumed."""
    info = zone.info
    written = render.render(dt.datetime.fromtimestamp(at, info), dt.datetime.fromtimestamp(now, info), info, language)
    return f"{written} ({zone.name})" if zone.assumed and language == "en" else f"{written}{_named(zone)}"


def _named(zone: Zone) -> str:
    return f"（{zone.name}）" if zone.assumed else ""


def confirmation(now: float, what: str, placed: Placed, zone: Zone, language: Language) -> str:
    """Confirm a reminder that was set, with what was understood."""
    when = time(placed.at, now, zone, language)
    if placed.every:
        text = word("set_every", language, rule=rule(placed.every, language), what=titled(what, language), when=when)
    else:
        text = word("set", language, when=when, what=what) if what else word("set_bare", language, when=when)
    return with_hint(text, zone, language)


def with_hint(text: str, zone: Zone, language: Language) -> str:
    """Add how to set the zone, while it is only assumed."""
    return f"{text}\n\n{word('assumed', language, zone=zone.name)}" if zone.assumed else text


def rule(every: str, language: Language) -> str:
    """Say a rule in words."""
    return describe.describe(every, language)


def titled(what: str, language: Language) -> str:
    """Return a reminder's text, or what stands for none."""
    return what or word("untitled", language)


def shown(timer: Timer, now: float, zone: Zone, language: Language) -> str:
    """Write one line of a list: when, by which rule, and what."""
    what = " ".join(titled(timer.title, language).split())
    what = what if len(what) <= SHOWN else what[: SHOWN - 1] + "…"
    when = time(timer.at, now, Zone(name=zone.name), language)
    if not timer.every:
        return f"{when}: {what}" if language == "en" else f"{when}：{what}"
    described = rule(timer.every, language)
    return f"{described} (next: {when}): {what}" if language == "en" else f"{described}（下一次：{when}）：{what}"
