"""`MessageHandler`: the engine without a store, for tests, notebooks and embedding."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from dragoman import crypto
from dragoman.engine import route
from dragoman.engine.plugin import Loaded, adopt
from dragoman.engine.turn import Turn, World
from dragoman.errors import Malformed
from dragoman.model import Address, Attachment, Event, Message, Say, Sender

REMEMBERED: Final = 10_000
"""Conversations whose state is kept; the one that was silent longest is forgotten first."""


class MessageHandler:
    """Answers messages with plugins, in the order in which they were registered."""

    def __init__(self, plugins: Iterable[object] = (), *, world: World | None = None) -> None:
        """Register plugins: `Plugin` values, or objects with `async process(context)`."""
        self._plugins: list[Loaded] = []
        self._states: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._world = world
        for plugin in plugins:
            self.register_plugin(plugin)

    def register_plugin(self, plugin: object, *, settings: Any = None) -> None:
        """Add a plugin at the end of the order; raises `PluginError` when it is none."""
        adopted = adopt(plugin)
        if settings is None and adopted.settings is not None:
            settings = adopted.settings()
        self._plugins.append(Loaded(name=adopted.name, plugin=adopted, settings=settings))

    async def handle(self, message: str | Mapping[str, Any] | Event) -> str | None:
        """Answer a message (a text, the common message form, or an event); None when nobody answers.

        Several answers of one turn are joined by a blank line. Raises `Malformed` for a message without content.
        """
        said = await self.replies(message)
        return "\n\n".join(reply.text for reply in said) if said else None

    async def replies(self, message: str | Mapping[str, Any] | Event) -> list[Message]:
        """Answer a message with all that is said to it, in order."""
        turn = await self.turn(message)
        return [effect.message for effect in turn.effects if isinstance(effect, Say)]

    async def turn(self, message: str | Mapping[str, Any] | Event) -> Turn:
        """Handle a message and return the finished turn, with all its effects."""
        event = message if isinstance(message, Event) else event_of(message)
        name = crypto.fingerprint(event.account, event.kind, event.key)
        state = self._states.get(event.conversation)
        turn = Turn(name, event, state=state, now=event.at, world=self._world)
        await route.handle(turn, self._plugins)
        self._states[event.conversation] = turn.state
        self._states.move_to_end(event.conversation)
        if len(self._states) > REMEMBERED:
            self._states.popitem(last=False)
        return turn


def event_of(message: str | Mapping[str, Any], *, account: str = "local", platform: str = "local") -> Event:
    """Read the common message form into an event; only `content` is required. Raises `Malformed`."""
    form = {"content": message} if isinstance(message, str) else dict(message)
    content = form.get("content")
    if not isinstance(content, str):
        raise Malformed("content: a text is required")
    sender = str(form.get("sender_id") or "anonymous")
    channel = str(form.get("channel_id") or form.get("conversation_id") or sender)
    try:
        attachments = msgspec.convert(form.get("attachments") or (), tuple[Attachment, ...])
    except msgspec.ValidationError as error:
        raise Malformed(f"attachments: {error}") from error
    return Event(
        key=str(form.get("id") or crypto.fingerprint(channel, sender, content, str(form.get("timestamp", "")))),
        account=str(form.get("account") or account),
        platform=str(form.get("platform") or platform),
        conversation=str(form.get("conversation_id") or f"{account}/{channel}"),
        address=Address(account=account, channel=channel, thread=str(form.get("thread_id") or "")),
        sender=Sender(id=sender, name=str(form.get("sender_name") or "")),
        message_id=str(form.get("message_id") or ""),
        text=content,
        text_as_sent=content,
        attachments=attachments,
        at=_seconds(form.get("timestamp")),
    )


def _seconds(value: object) -> float:
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Malformed("timestamp: epoch seconds are required")
    return float(value)
