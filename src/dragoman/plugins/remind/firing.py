"""A reminder's time has come: it is said, and may be put off, ended, or let go."""

from typing import Any, Final

import msgspec

from dragoman.engine.plugin import UNHANDLED
from dragoman.engine.turn import Turn
from dragoman.model import Value
from dragoman.plugins.remind import buttons, drafts, people, telling
from dragoman.plugins.remind.buttons import Press
from dragoman.plugins.remind.people import Zone
from dragoman.plugins.remind.texts import word
from dragoman.when import words
from dragoman.when.names import Language
from dragoman.when.questions import Question
from dragoman.when.spec import Amount, Spec

LATE: Final = 60.0
"""Seconds after which a reminder says that it is late."""
KEPT: Final = 20
"""Reminders that came lately, of which a conversation knows what they were about."""
RECENT: Final = 3600.0
"""Seconds for which "later" means the reminder that came last."""
MINUTES: Final = {"snooze10": 10, "snooze60": 60}
AGAIN: Final = "+"
"""What is added to the name of a reminder that is put off: to put it off once more replaces it."""
FIRED: Final = "fired"
"""Where a conversation remembers what came lately."""


class Told(Value):
    """What a reminder knows of how it was set."""

    language: Language
    zone: str
    local: bool = False
    """Whether its time was said as a time of day, in a zone that was only assumed."""


class Fired(Value):
    """A reminder that came: whose it was, and what it was about."""

    name: str
    person: str
    what: str
    at: float


async def fire(turn: Turn, told: dict[str, Any]) -> None:
    """Say what was to be remembered, how late that is, and what may be done about it."""
    value, known = turn.event.value, msgspec.convert(told, Told)
    name, what, language = str(value["timer"]), str(value.get("title", "")), known.language
    repeats = any(timer.name == name for timer in await people.reminders(turn))
    lines = [word("fired", language, what=_addressed(turn, what or word("time_is_up", language), language))]
    if turn.late > LATE:
        zone = Zone(name=known.zone if people.known(known.zone) else turn.settings.zone)
        lines.append(word("late", language, when=telling.time(value["due"], turn.now, zone, language)))
    verbs = ["done", "snooze10", "snooze60", *(["stop"] if repeats else [])]
    turn.say("\n".join(lines), buttons=[buttons.button(verb, language, name) for verb in verbs])
    came = Fired(name=name, person=turn.person, what=what, at=turn.now)
    others = [one for one in await _fired(turn) if one.name != name]
    turn.remember(FIRED, msgspec.to_builtins([*others, came][-KEPT:]))


def _addressed(turn: Turn, what: str, language: Language) -> str:
    """Name the person whose reminder it is, where others read it too."""
    name = turn.event.sender.name if turn.event.chat_kind != "direct" else ""
    if not name:
        return what
    return f"{name}：{what}" if language == "zh" else f"{name}: {what}"


async def _fired(turn: Turn) -> list[Fired]:
    remembered: Any = await turn.recall(FIRED)
    return msgspec.convert(remembered or [], list[Fired])


async def last(turn: Turn) -> Fired | None:
    """Return the reminder of this person that came last, if that was lately."""
    own = [one for one in await _fired(turn) if one.person == turn.person and turn.now - one.at <= RECENT]
    return own[-1] if own else None


async def pressed(turn: Turn, press: Press) -> None:
    """Do what a button under a reminder says; it is the person's own."""
    fired = next((one for one in await _fired(turn) if one.name == press.about), None)
    if fired is None:
        turn.say(word("forgotten", press.language))
    elif fired.person != turn.person:
        turn.say(word("not_yours", press.language))
    elif press.verb == "stop":
        turn.cancel(fired.name)
        turn.say(word("stopped", press.language, what=telling.titled(fired.what, press.language)))
    elif press.verb in MINUTES:
        await again(turn, fired, turn.now + 60 * MINUTES[press.verb], press.language)
    else:
        turn.say(word("done", press.language, what=telling.titled(fired.what, press.language)))


async def again(turn: Turn, fired: Fired, at: float, language: Language) -> None:
    """Let a reminder come once more."""
    zone = await people.zone_of(turn)
    if len(await people.reminders(turn)) >= turn.settings.most:
        turn.say(word("full", language, most=turn.settings.most))
        return
    name = turn.schedule(
        at,
        fire,
        zone=zone.name,
        title=fired.what,
        name=fired.name.rstrip(AGAIN) + AGAIN,
        told=msgspec.to_builtins(Told(language=language, zone=zone.name)),
    )
    what = telling.titled(fired.what, language)
    told = word("snoozed", language, when=telling.time(at, turn.now, zone, language), what=what)
    turn.say(told, buttons=[buttons.button("undo", language, name)])


async def snooze(turn: Turn, when: str, language: Language, *, plainly: bool) -> object:
    """Put off the reminder that came last; without one nothing else was meant, where the words say so plainly."""
    fired = await last(turn)
    if fired is None:
        if not plainly:
            return UNHANDLED
        turn.say(word("no_snooze", language))
        return None
    spec = _span(when) if when else Spec(after=(Amount(count=10, unit="minute"),))
    if spec is None:
        return UNHANDLED
    await put_off(turn, fired, spec, language)
    return None


async def put_off(turn: Turn, fired: Fired, spec: Spec, language: Language) -> None:
    """Let a reminder that came lately come once more when a phrase says."""
    try:
        placed = drafts.place(spec, turn.now, (await people.zone_of(turn)).info, language)
    except Question as question:
        turn.say(question.ask)
    else:
        await again(turn, fired, placed.at, language)


def _span(when: str) -> Spec | None:
    """Read how long, or until when."""
    for text in (f"in {when}", f"{when}后", when):
        if (found := words.find(text)) and found.spec.every is None:
            return found.spec
    return None
