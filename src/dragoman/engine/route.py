"""Routing: may this sender speak, is the bot meant, and which handler answers. The first that handles wins."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal

from dragoman.engine.plugin import UNHANDLED, Handler, Loaded, parameters
from dragoman.engine.turn import Mark, Turn
from dragoman.errors import PluginError
from dragoman.model import Event

CANCEL: Final = frozenset({"cancel", "/cancel", "stop", "取消", "算了"})
"""Words that end a pending question."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Policy:
    """An account's manners: whom it answers, and when in a group."""

    answer: Literal["addressed", "always"] = "addressed"
    permit: Literal["everyone"] | frozenset[str] = "everyone"
    joins_threads: bool = False
    """A thread that the bot has spoken in counts as addressed (platforms with real threads)."""


def permitted(event: Event, policy: Policy) -> bool:
    """Tell whether this sender may be answered at all."""
    return policy.permit == "everyone" or event.sender.id in policy.permit


def addressed(event: Event, state: dict[str, Any], policy: Policy) -> bool:
    """Tell whether the bot is meant: always in a direct chat; in a group by mention, reply, command or thread."""
    return (
        policy.answer == "always"
        or event.chat_kind == "direct"
        or event.kind != "message"
        or event.mentions_bot
        or bool(event.value.get("reply_to_bot") or event.value.get("command"))
        or (policy.joins_threads and bool(event.address.thread) and bool(state.get("joined")))
    )


async def handle(turn: Turn, plugins: Sequence[Loaded]) -> str:
    """Let the first plugin that wants it handle the turn; returns `plugin.handler`, or the empty string."""
    pending = turn.state.get("ask")
    if pending and turn.event.kind in {"message", "action", "command"}:
        turn.forget_question()
        if turn.now <= pending.get("until", 0.0):
            return await _continue(turn, plugins, pending)
    for loaded, name, handler, bound in routes(turn.event, plugins):
        mark = Mark.of(turn)
        if await _call(turn, loaded, handler, bound) is not UNHANDLED:
            return f"{loaded.name}.{name}"
        mark.restore(turn)
    return ""


def routes(event: Event, plugins: Sequence[Loaded]) -> Iterator[tuple[Loaded, str, Handler, dict[str, Any]]]:
    """Yield, in order, the handlers that admit an event, each with its arguments."""
    for loaded in plugins:
        for route in loaded.plugin.routes:
            if route.admits(event):
                yield loaded, route.name, route.handler, dict(route.arguments(event))


async def _call(turn: Turn, loaded: Loaded, handler: Handler, bound: dict[str, Any]) -> object:
    turn.plugin, turn.settings, turn.resource = loaded.name, loaded.settings, loaded.resource
    missing = [p.name for p in parameters(handler) if p.default is p.empty and p.name not in bound]
    if missing:
        raise PluginError(f"{loaded.name} needs {', '.join(missing)}")
    return await handler(turn, **bound)


async def _continue(turn: Turn, plugins: Sequence[Loaded], pending: dict[str, Any]) -> str:
    """Hand the message to the handler that asked; a handler that is gone since is answered for politely."""
    if turn.text.strip().lower() in CANCEL:
        turn.say("Cancelled. 已取消。")
        return "dialog.cancel"
    name, plugin_name = str(pending.get("handler", "")), pending.get("plugin")
    loaded = next((candidate for candidate in plugins if candidate.name == plugin_name), None)
    handler = loaded.plugin.handler(name) if loaded else None
    if loaded is None or handler is None:
        turn.say("I asked you something before an upgrade and can no longer use the answer. Please start again.")
        return "dialog.gone"
    bound = dict(pending.get("bound", {}))
    free = next((p.name for p in parameters(handler) if p.name not in bound), None)
    if free is not None:
        bound[free] = str(turn.event.value.get("action_value") or turn.text)
    await _call(turn, loaded, handler, bound)
    return f"{plugin_name}.{name}"
