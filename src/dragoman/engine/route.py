"""Routing: may this sender speak, is the bot meant, and which handler answers. The first that handles wins."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from dragoman.engine.plugin import UNHANDLED, Handler, Loaded, action_value, convert, missing, parameters
from dragoman.engine.turn import TIMER, Calling, Turn
from dragoman.errors import BadArguments, PluginError
from dragoman.model import Event

CANCEL: Final = frozenset({"cancel", "/cancel", "stop", "取消", "算了"})
"""Words that end a pending question."""
ANSWERS: Final = frozenset({"message", "action", "command"})
"""The kinds of events that can answer one."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """An account's manners: whom it answers, and when in a group."""

    answer: Literal["addressed", "always"] = "addressed"
    permit: Literal["everyone"] | frozenset[str] = "everyone"
    joins_threads: bool = False
    """A thread that the bot has spoken in counts as addressed (platforms with real threads)."""


def permitted(event: Event, policy: Policy) -> bool:
    """Tell whether this sender may be answered at all."""
    own = event.kind == TIMER and not event.sender.id  # the operator's
    return own or policy.permit == "everyone" or event.sender.id in policy.permit


def addressed(event: Event, state: dict[str, Any], policy: Policy) -> bool:
    """Tell whether the bot is meant: always in a direct chat; in a group by mention, reply, command or thread.

    Who was asked something is heard without being told to name the bot.
    """
    return (
        policy.answer == "always"
        or event.chat_kind == "direct"
        or event.kind != "message"
        or event.mentions_bot
        or bool(event.value.get("reply_to_bot") or event.value.get("command"))
        or (policy.joins_threads and bool(event.address.thread) and bool(state.get("joined")))
        or _asked(event, state)
    )


def _asked(event: Event, state: dict[str, Any]) -> bool:
    """Tell whether a question is open for this sender."""
    pending = state.get("ask") or {}
    return bool(pending) and pending.get("sender", event.sender.id) == event.sender.id


async def handle(turn: Turn, plugins: Sequence[Loaded], others: Sequence[Loaded] = ()) -> str:
    """Let the first plugin that wants it handle the turn; returns `plugin.handler`, or the empty string.

    `others` are plugins that are loaded and not in this account's order: only the operator's timers call them.
    """
    if turn.event.kind in ANSWERS and _asked(turn.event, turn.state):
        pending = turn.state["ask"]
        turn.forget_question()
        if turn.now <= pending.get("until", 0.0) and (name := await _continue(turn, plugins, pending)):
            return name
    if turn.event.kind == TIMER:
        return await _fire(turn, plugins if turn.event.sender.id else [*plugins, *others])
    try:
        return await _first(turn, plugins)
    except BadArguments as error:
        turn.say(str(error))
        return f"{turn.plugin or 'dialog'}.usage"


async def _fire(turn: Turn, plugins: Sequence[Loaded]) -> str:
    """Hand a timer's event to the handler that it is for; raises `PluginError` when that is gone."""
    calling = msgspec.convert(turn.event.value, Calling)
    loaded, handler = _find(plugins, calling.plugin, calling.handler)
    if loaded is None or handler is None:
        raise PluginError(f"the timer is for {calling.plugin}.{calling.handler}, which this account does not have")
    await _call(turn, loaded, handler, calling.bound)
    return f"{calling.plugin}.{calling.handler}"


def _find(plugins: Sequence[Loaded], plugin: str, handler: str) -> tuple[Loaded | None, Handler | None]:
    """Find a handler by what a question or a timer stored."""
    loaded = next((candidate for candidate in plugins if candidate.name == plugin), None)
    return loaded, loaded.plugin.handler(handler) if loaded else None


async def _first(turn: Turn, plugins: Sequence[Loaded]) -> str:
    """Ask the handlers that admit the event, in order; raises `BadArguments`."""
    event = turn.event
    for loaded in plugins:
        for route in loaded.plugin.routes:
            if route.admits(event) and await _call(turn, loaded, route.handler, route.arguments(event)):
                return f"{loaded.name}.{route.name}"
    return ""


async def _call(turn: Turn, loaded: Loaded, handler: Handler, bound: Mapping[str, Any]) -> bool:
    """Run a handler; one that declines leaves no trace, and False is returned."""
    turn.plugin, turn.settings, turn.resource = loaded.name, loaded.settings, loaded.resource
    turn.handlers = loaded.plugin.names
    if absent := missing(handler, bound):
        raise PluginError(f"{loaded.name} gives {', '.join(absent)} no default, and nothing fills it")
    state, effects = dict(turn.state), len(turn.effects)
    if await handler(turn, **bound) is UNHANDLED:
        turn.state = state
        del turn.effects[effects:]
        return False
    return True


async def _continue(turn: Turn, plugins: Sequence[Loaded], pending: dict[str, Any]) -> str:
    """Hand the message to the handler that asked; one that is gone since is answered for politely."""
    if turn.text.strip().lower() in CANCEL:
        turn.say("Cancelled. 已取消。")
        return "dialog.cancel"
    name, plugin_name = str(pending.get("handler", "")), str(pending.get("plugin", ""))
    loaded, handler = _find(plugins, plugin_name, name)
    if loaded is None or handler is None:
        turn.say("I asked you something before an upgrade and can no longer use the answer. Please start again.")
        return "dialog.gone"
    bound = dict(pending.get("bound", {}))
    free = next((parameter for parameter in parameters(handler) if parameter.name not in bound), None)
    try:
        if free is not None:
            bound[free.name] = convert(free, str(action_value(turn.event) or turn.text))
    except BadArguments as error:
        turn.say(str(error))
        turn.ask_again(pending)
        return f"{plugin_name}.{name}"
    return f"{plugin_name}.{name}" if await _call(turn, loaded, handler, bound) else ""
