"""Reminders in words: set, listed, moved, put off and cancelled, in English and Chinese, in any chat."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from dragoman.engine.plugin import UNHANDLED, Plugin, action_value, command_of
from dragoman.engine.turn import Turn
from dragoman.model import Event
from dragoman.plugins.remind import admission, buttons, choosing, firing, keeping, model, orders, people, setting, zones
from dragoman.plugins.remind.admission import Wish
from dragoman.plugins.remind.buttons import Press
from dragoman.plugins.remind.orders import Order
from dragoman.plugins.remind.settings import Settings
from dragoman.plugins.remind.texts import word
from dragoman.when import words
from dragoman.when.names import Language

__all__ = ["Settings", "plugin"]

plugin = Plugin("remind", settings=Settings, title="Reminders: set, listed, moved and cancelled in words.")

SET: Final = frozenset({"remind", "提醒"})
LIST: Final = frozenset({"reminders", "提醒列表", "我的提醒"})
ZONE: Final = frozenset({"timezone", "时区"})
CLOSE: Final = re.compile("/(提醒|时区)(.+)", re.DOTALL)
"""A Chinese command whose words follow without a space."""
PRESSES: Final[Mapping[str, Callable[[Turn, Press], Awaitable[object]]]] = {
    "undo": keeping.cancel_pressed,
    "cancel": keeping.cancel_pressed,
    "done": firing.pressed,
    "snooze10": firing.pressed,
    "snooze60": firing.pressed,
    "stop": firing.pressed,
}


@plugin.on(lambda event: _press(event) is not None)
async def pressed(turn: Turn) -> None:
    """Do what one of our buttons says; the answer to a question comes here only when that has expired."""
    press = _press(turn.event)
    if press is None or press.verb not in PRESSES:
        turn.say(word("expired", press.language if press else "en"))
        return
    await PRESSES[press.verb](turn, press)


@plugin.on(lambda event: _command(event, SET) is not None)
async def remind(turn: Turn) -> object:
    """Set a reminder: /remind tomorrow 9am call mum. Without words list those that there are."""
    said = _command(turn.event, SET) or ""
    language = await _language(turn, said)
    if not said:
        await keeping.listed(turn, language)
        return None
    if order := orders.read(said, direct=True):
        return await obey(turn, order, language)
    found = words.find(said)
    return await setting.wished(turn, Wish(kind="call", found=found, what=found.what if found else said), language)


@plugin.on(lambda event: _command(event, LIST) is not None)
async def reminders(turn: Turn) -> None:
    """List the reminders."""
    await keeping.listed(turn, await _language(turn, _command(turn.event, LIST) or ""))


@plugin.on(lambda event: _command(event, ZONE) is not None)
async def timezone(turn: Turn) -> object:
    """Tell or set the time zone: /timezone Europe/Berlin."""
    said = _command(turn.event, ZONE) or ""
    return await zones.said(turn, said, await _language(turn, said), command=True)


@plugin.on(lambda event: event.kind == "message" and not event.value.get("command") and bool(event.text.strip()))
async def heard(turn: Turn) -> object:
    """Do what a message says about reminders; what it does not is left to the next plugin."""
    direct = turn.event.chat_kind == "direct"
    language = words.language(turn.text)
    if order := orders.read(turn.text, direct=direct):
        return await obey(turn, order, language)
    wish = admission.read(turn.text, direct=direct)
    if wish is None:
        return UNHANDLED
    turn.remember(people.LANGUAGE, language)
    if wish.again and wish.found and (fired := await firing.last(turn)):
        await firing.put_off(turn, fired, wish.found.spec, language)
        return None
    return await setting.wished(turn, wish, language)


async def obey(turn: Turn, order: Order, language: Language) -> object:
    """Do what an order says."""
    if order.short and not await choosing.shown_lately(turn):
        return UNHANDLED
    turn.remember(people.LANGUAGE, language)
    if order.verb == "snooze":
        return await firing.snooze(turn, order.when, language, plainly=order.plain)
    if order.verb == "zone":
        return await zones.said(turn, order.when, language, command=False)
    if order.verb == "cancel":
        return await keeping.cancel(turn, order, language)
    if order.verb == "list":
        await keeping.listed(turn, language)
    elif order.verb == "clear":
        await keeping.clear(turn, language)
    else:
        await keeping.move(turn, order, language)
    return None


def _press(event: Event) -> Press | None:
    """Read a pressed button of ours; where there are only texts (the terminal) its value is typed."""
    if event.kind not in {"action", "message"}:
        return None
    return buttons.read(action_value(event) if event.kind == "action" else event.text.strip())


def _command(event: Event, names: frozenset[str]) -> str | None:
    """Return the words after one of these commands; without a slash it is none unless it stands alone."""
    words_after = command_of(event, names, bare_words=False)
    if words_after is None and event.kind == "message":
        found = CLOSE.match(event.text)
        words_after = found[2].strip() if found and found[1] in names else None
    return words_after


async def _language(turn: Turn, said: str) -> Language:
    """Return the language of a command: that of its words, else of its name, else of what was said before."""
    named = f"{turn.event.value.get('command', '')} {said} {turn.text}"
    language = await people.language(turn, words.language(named) if said or words.language(named) == "zh" else None)
    turn.remember(people.LANGUAGE, language)
    return language


plugin.lifespan(model.life)
for step in (firing.fire, setting.timed, setting.agreed, keeping.cleared):
    plugin.step(step)
