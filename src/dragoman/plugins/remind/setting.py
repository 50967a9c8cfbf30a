"""A reminder is set or moved: its time is placed, what is open is asked back, what was understood is confirmed."""

import asyncio
import datetime as dt
import re
import zoneinfo
from typing import Any, Final

import msgspec

from dragoman.engine.plugin import UNHANDLED
from dragoman.engine.turn import Turn
from dragoman.plugins.remind import admission, buttons, drafts, model, orders, people, scheduling, telling
from dragoman.plugins.remind.admission import Wish
from dragoman.plugins.remind.drafts import Draft, Placed
from dragoman.plugins.remind.people import Zone
from dragoman.plugins.remind.texts import word
from dragoman.when import render, words
from dragoman.when.names import Language
from dragoman.when.questions import Passed, Question
from dragoman.when.spec import Spec

FRESH: Final = 86_400.0
"""Seconds for which "in 10 minutes" counts from when it was said, though it was heard later."""
SHORT: Final = 40
"""Characters of an answer that is taken for a time that was not understood; a longer one is about something else."""
TRIES: Final = 2
"""Times that an answer is asked for again."""
NEVER_MIND: Final = re.compile(
    r"(?:never ?mind|nvm|forget (?:it|about it))[.!]*|(?:不用|不要|不必|没事)了?[。！!]*", re.IGNORECASE
)


async def wished(turn: Turn, wish: Wish, language: Language) -> object:
    """Set the reminder that a message wants; one that only hints at it is left alone when its time is over."""
    spec = wish.found.spec if wish.found else None
    what = cut(wish.what, turn.settings.max_text)
    draft = Draft(said_at=said_at(turn), language=language, what=what, spec=spec)
    if spec is None:
        await _guess(turn, draft)
        return None
    try:
        await _place(turn, draft)
    except Passed as question:
        if wish.kind != "call" or wish.vague:
            return UNHANDLED
        ask_back(turn, draft, question)
    except Question as question:
        ask_back(turn, draft, question)
    return None


def said_at(turn: Turn) -> float:
    """Return when a message was said, as far as the platform's clock can be believed."""
    return turn.event.at if 0 <= turn.now - turn.event.at <= FRESH else turn.now


def cut(text: str, most: int) -> str:
    """Return a text of at most so many characters."""
    text = text.strip()
    return text if len(text) <= most else text[: most - 1] + "…"


async def _place(turn: Turn, draft: Draft) -> None:
    """Set what a draft says; raises `Question`."""
    zone = await people.zone_of(turn)
    placed = drafts.place(draft.spec or Spec(), draft.said_at, zone.info, draft.language)
    await scheduling.settle(turn, draft, placed)


async def _guess(turn: Turn, draft: Draft) -> None:
    """Ask the model what time is meant, where there is one; its guess is put to the person, who else is asked."""
    zone = await people.zone_of(turn)
    if (placed := await _date(draft, zone)) is not None:
        await scheduling.settle(turn, msgspec.structs.replace(draft, what=""), placed)
        return
    guess = await model.read(turn, zone)
    if guess is None:
        ask(turn, draft, word("when_of" if draft.what else "when", draft.language, what=draft.what))
        return
    draft = msgspec.structs.replace(draft, what=cut(guess.what or draft.what, turn.settings.max_text))
    when = telling.time(guess.placed.at, turn.now, zone, draft.language)
    if guess.placed.every:
        when = f"{telling.rule(guess.placed.every, draft.language)} ({when})"
    turn.ask(
        word("model", draft.language, when=when, what=telling.titled(draft.what, draft.language)),
        agreed,
        buttons=[buttons.button(verb, draft.language) for verb in ("yes", "no")],
        draft=msgspec.to_builtins(draft),
        placed=msgspec.to_builtins(guess.placed),
    )


async def _date(draft: Draft, zone: Zone) -> Placed | None:
    """Read what follows a call as a date in some rarer form; in a thread, because that is slow."""
    if not any(sign.isdigit() for sign in draft.what):
        return None
    now = dt.datetime.fromtimestamp(draft.said_at, zone.info)
    reading = await asyncio.to_thread(words.read, draft.what, now, zone.info)
    if reading.at is None or reading.what:
        return None
    return Placed(at=dt.datetime.fromisoformat(reading.at).timestamp(), every=reading.every or "")


def ask_back(turn: Turn, draft: Draft, question: Question) -> None:
    """Ask what a time leaves open, with buttons for the times between which it asks."""
    choices = tuple(choice.timestamp() for choice in question.choices)
    offered = [(at, _choice(choice, draft)) for at, choice in zip(choices, question.choices, strict=True)]
    ask(turn, msgspec.structs.replace(draft, choices=choices), question.ask, offered)


def _choice(at: dt.datetime, draft: Draft) -> str:
    zone = at.tzinfo or dt.UTC
    return render.render(at, dt.datetime.fromtimestamp(draft.said_at, zone), zone, draft.language)


def ask(turn: Turn, draft: Draft, question: str, offered: list[tuple[float, str]] | None = None) -> None:
    """Ask for a time; the answer goes on with what is known."""
    pressed = [buttons.button("at", draft.language, f"{at:.0f}", label) for at, label in offered or ()]
    turn.ask(question, timed, buttons=pressed, draft=msgspec.to_builtins(draft))


async def timed(turn: Turn, answer: str, draft: dict[str, Any]) -> object:
    """Go on with the answer to a question about the time."""
    if _speaks_anew(turn, answer):
        return UNHANDLED
    known = msgspec.convert(draft, Draft)
    if buttons.read(answer) is None and (NEVER_MIND.fullmatch(answer.strip()) or buttons.yes_or_no(answer) is False):
        turn.say(word("kept", known.language))
        return None
    zone = await people.zone_of(turn)
    completed = _completed(turn, answer, known, zone.info)
    if completed is None:
        return _unclear(turn, answer, known)
    try:
        placed = drafts.place(completed.spec or Spec(), completed.said_at, zone.info, known.language)
    except Question as question:
        ask_back(turn, completed, question)
    else:
        await _settle(turn, completed, placed)
    return None


def _speaks_anew(turn: Turn, answer: str) -> bool:
    """Tell whether somebody orders something else in place of an answer."""
    order = orders.read(answer, direct=False)
    if turn.event.value.get("command") or answer.startswith("/") or (order and order.verb != "snooze"):
        return True
    wish = admission.read(answer, direct=False)
    return wish is not None and wish.kind == "call" and bool(wish.what)


async def _settle(turn: Turn, draft: Draft, placed: Placed) -> None:
    """Set what was agreed on, unless its time has passed meanwhile."""
    if placed.at > turn.now or (draft.spec is not None and draft.spec.after):
        await scheduling.settle(turn, draft, placed)
        return
    when = telling.time(placed.at, turn.now, await people.zone_of(turn), draft.language)
    ask(turn, msgspec.structs.replace(draft, spec=None), word("passed", draft.language, when=when))


def _completed(turn: Turn, answer: str, known: Draft, zone: zoneinfo.ZoneInfo) -> Draft | None:
    """Put an answer into what was known: a pressed button, a half of the day, or a time in words."""
    press = buttons.read(answer)
    if press is not None:
        at = float(press.about) if press.verb == "at" and press.about.isdigit() else None
    else:
        at = drafts.chosen(answer, known.choices, zone)
    if at is not None and known.spec is not None:
        return msgspec.structs.replace(known, spec=drafts.narrowed(known.spec, at, zone), choices=())
    found = drafts.heard(answer) if press is None else None
    if found is None:
        return None
    spec = drafts.completed(known.spec, found.spec)
    fresh = known.spec is None or bool(found.spec.after) or found.spec.day is not None
    when = said_at(turn) if fresh else known.said_at
    what = known.what or cut(found.what, turn.settings.max_text)
    return msgspec.structs.replace(known, spec=spec, said_at=when, what=what, choices=())


def _unclear(turn: Turn, answer: str, known: Draft) -> object:
    """Ask once more where an answer may have been a time; what is longer is about something else."""
    if len(answer) > SHORT or known.tries >= TRIES or buttons.read(answer) or answer.rstrip().endswith(("?", "？")):
        return UNHANDLED
    ask(turn, msgspec.structs.replace(known, tries=known.tries + 1), word("when_unclear", known.language))
    return None


async def agreed(turn: Turn, answer: str, draft: dict[str, Any], placed: dict[str, Any]) -> object:
    """Set what the model understood, once the person says that it is right."""
    known = msgspec.convert(draft, Draft)
    match buttons.yes_or_no(answer):
        case True:
            await _settle(turn, known, msgspec.convert(placed, Placed))
        case False:
            ask(turn, known, word("model_no", known.language))
        case None:
            return await timed(turn, answer, draft) if words.find(answer) else UNHANDLED
    return None
