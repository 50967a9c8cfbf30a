"""The reminders that somebody has: listed, cancelled, moved."""

import zoneinfo
from collections.abc import Sequence
from typing import Final

import msgspec

from dragoman.engine.plugin import UNHANDLED
from dragoman.engine.turn import Turn
from dragoman.model import Timer
from dragoman.plugins.remind import buttons, choosing, drafts, people, scheduling, setting, telling
from dragoman.plugins.remind.buttons import Press
from dragoman.plugins.remind.drafts import Draft, Placed
from dragoman.plugins.remind.orders import Order
from dragoman.plugins.remind.texts import word
from dragoman.when import rhythm, words
from dragoman.when.names import Language
from dragoman.when.questions import Question
from dragoman.when.spec import Spec

BUTTONS: Final = 5
"""Reminders among which buttons let somebody choose, at most."""


async def listed(turn: Turn, language: Language) -> None:
    """List this person's reminders; numbers refer to what was shown here."""
    mine = await people.reminders(turn)
    if not mine:
        turn.say(word("none", language))
        return
    zone = await people.zone_of(turn)
    choosing.show(turn, mine)
    heads = word("list", language)
    told = "\n".join([heads, "", *_numbered(mine, turn.now, zone, language), "", word("how", language)])
    turn.say(telling.with_hint(told, zone, language))


def _numbered(timers: Sequence[Timer], now: float, zone: people.Zone, language: Language) -> list[str]:
    return [f"{number}. {telling.shown(timer, now, zone, language)}" for number, timer in enumerate(timers, 1)]


async def cancel(turn: Turn, order: Order, language: Language) -> object:
    """Cancel the reminders that somebody means; asks where words fit several."""
    found = await choosing.chosen(turn, order.which)
    if not found and not order.plain:
        return UNHANDLED
    if not found:
        await _none(turn, language)
    elif len(found) > 1 and not choosing.numbered(order.which):
        offered = [
            buttons.button("cancel", language, timer.name, f"✕ {number}")
            for number, timer in enumerate(found[:BUTTONS], 1)
        ]
        turn.say(await _which(turn, found, language), buttons=offered)
    else:
        for timer in found:
            turn.cancel(timer.name)
        what = "; ".join(telling.titled(timer.title, language) for timer in found)
        turn.say(word("cancelled", language, what=what))
    return None


async def _none(turn: Turn, language: Language) -> None:
    turn.say(word("no_such" if await people.reminders(turn) else "none", language))


async def _which(turn: Turn, found: Sequence[Timer], language: Language) -> str:
    """Write the reminders among which somebody is to choose; their numbers count from now on."""
    zone = await people.zone_of(turn)
    choosing.show(turn, found)
    return "\n".join([word("which", language), "", *_numbered(found, turn.now, zone, language)])


async def cancel_pressed(turn: Turn, press: Press) -> None:
    """Cancel the reminder of a button: only one's own is found, whoever presses."""
    mine = await people.reminders(turn)
    timer = next((timer for timer in mine if timer.name == press.about), None)
    if timer is None:
        turn.say(word("gone", press.language))
        return
    turn.cancel(timer.name)
    turn.say(word("cancelled", press.language, what=telling.titled(timer.title, press.language)))


async def clear(turn: Turn, language: Language) -> None:
    """Ask before all reminders are cancelled."""
    mine = await people.reminders(turn)
    if not mine:
        turn.say(word("none", language))
        return
    offered = [buttons.button(verb, language) for verb in ("yes", "no")]
    turn.ask(word("all", language, count=len(mine)), cleared, buttons=offered, language=language)


async def cleared(turn: Turn, answer: str, language: Language) -> object:
    """Cancel all reminders once that is confirmed."""
    agreed = buttons.yes_or_no(answer)
    if agreed is None:
        return UNHANDLED
    mine = await people.reminders(turn) if agreed else []
    for timer in mine:
        turn.cancel(timer.name)
    turn.say(word("all_done", language, count=len(mine)) if agreed else word("kept", language))
    return None


async def move(turn: Turn, order: Order, language: Language) -> None:
    """Move a reminder to another time."""
    found = await choosing.chosen(turn, order.which)
    if not found:
        await _none(turn, language)
    elif len(found) > 1:
        turn.say(f"{await _which(turn, found, language)}\n\n{word('how', language)}")
    elif order.verb == "move" or not await _shift(turn, found[0], order, language):
        await _to(turn, found[0], order.when, language)


async def _shift(turn: Turn, timer: Timer, order: Order, language: Language) -> bool:
    """Move by so much ("by 10 minutes"); False when that is no length of time."""
    span = words.find(f"{order.when}后" if language == "zh" else f"in {order.when}")
    seconds = drafts.seconds(span.spec) if span else 0.0
    if not seconds:
        return False
    draft = _draft(turn, timer, language)
    at = timer.at + (seconds if order.verb == "later" else -seconds)
    if at > turn.now:
        await scheduling.settle(turn, draft, Placed(at=at))
    else:
        when = telling.time(at, turn.now, await people.zone_of(turn), language)
        setting.ask(turn, draft, word("passed", language, when=when))
    return True


def _draft(turn: Turn, timer: Timer, language: Language) -> Draft:
    return Draft(said_at=setting.said_at(turn), language=language, what=timer.title, timer=timer.name)


async def _to(turn: Turn, timer: Timer, when: str, language: Language) -> None:
    """Move to a time: a time of day alone is of the same day, or of all days of one that comes again."""
    draft = _draft(turn, timer, language)
    zone = (await people.zone_of(turn)).info
    found = drafts.heard(when) if when else None
    if found is None:
        day = None if timer.every else drafts.day_of(timer.at, zone)
        setting.ask(turn, msgspec.structs.replace(draft, spec=day), word("move_when", language))
        return
    spec = drafts.completed(drafts.day_of(timer.at, zone), found.spec)
    try:
        placed = _every_day(timer, found.spec, turn.now, zone) or drafts.place(spec, turn.now, zone, language)
    except Question as question:
        setting.ask_back(turn, msgspec.structs.replace(draft, spec=spec), question)
    else:
        if drafts.only_clock(found.spec) and drafts.by_days(timer.every):
            placed = msgspec.structs.replace(placed, every=timer.every)
        await scheduling.settle(turn, draft, placed)


def _every_day(timer: Timer, spec: Spec, now: float, zone: zoneinfo.ZoneInfo) -> Placed | None:
    """Return a rule with another time of day, where that is all that is said."""
    rule = drafts.rule_at(timer.every, spec.clock) if drafts.only_clock(spec) else None
    at = rhythm.after(rule, now, zone.key, 0.0) if rule else None
    return Placed(at=at, every=rule) if rule and at is not None else None
