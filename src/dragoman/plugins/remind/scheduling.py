"""The reminders as timers: one is set or moved, and what was understood is confirmed."""

import msgspec

from dragoman.engine.turn import Turn
from dragoman.model import Timer
from dragoman.plugins.remind import buttons, firing, people, telling
from dragoman.plugins.remind.drafts import Draft, Placed
from dragoman.plugins.remind.firing import Told
from dragoman.plugins.remind.people import Zone
from dragoman.plugins.remind.texts import word


async def settle(turn: Turn, draft: Draft, placed: Placed) -> None:
    """Set the reminder of a draft, or move the one that it names; says what was understood."""
    zone = await people.zone_of(turn)
    mine = await people.reminders(turn)
    if draft.timer:
        _move(turn, draft, placed, zone, next((timer for timer in mine if timer.name == draft.timer), None))
    elif turn.unreachable:
        turn.say(word("unreachable", draft.language))
    elif len(mine) >= turn.settings.most:
        turn.say(word("full", draft.language, most=turn.settings.most))
    else:
        _set(turn, draft, placed, zone)


def _set(turn: Turn, draft: Draft, placed: Placed, zone: Zone) -> None:
    name = turn.schedule(
        placed.at,
        firing.fire,
        every=placed.every,
        zone=zone.name,
        title=draft.what,
        told=msgspec.to_builtins(Told(language=draft.language, zone=zone.name, local=zone.assumed and draft.local)),
    )
    told = telling.confirmation(turn.now, draft.what, placed, zone, draft.language)
    turn.say(told, buttons=[buttons.button("undo", draft.language, name)])


def _move(turn: Turn, draft: Draft, placed: Placed, zone: Zone, timer: Timer | None) -> None:
    """Move a reminder; one that comes again moves as a whole by a new rule, else only its next time."""
    if timer is None:
        turn.say(word("gone", draft.language))
        return
    every = placed.every or timer.every
    anchor = placed.at if placed.every or not timer.every else timer.anchor
    turn.reschedule(timer, at=placed.at, every=every, anchor=anchor, zone=zone.name if placed.every else timer.zone)
    what = telling.titled(timer.title, draft.language)
    when = telling.time(placed.at, turn.now, zone, draft.language)
    name = "moved_every" if placed.every else "moved_once" if timer.every else "moved"
    described = telling.rule(every, draft.language) if every else ""
    told = word(name, draft.language, when=when, what=what, rule=described)
    turn.say(telling.with_hint(told, zone, draft.language))
