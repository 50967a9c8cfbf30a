"""`MessageHandler`: the engine without a store, for tests, notebooks and embedding."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from dragoman import crypto
from dragoman.engine import route
from dragoman.engine.plugin import Loaded, adopt
from dragoman.engine.turn import Turn, World
from dragoman.errors import Malformed, PluginError
from dragoman.model import Address, Attachment, ChatKind, Event, Message, Say, Sender, Value


class Form(Value):
    """The common message form, as it may be given to `MessageHandler`."""

    content: str
    platform: str = ""
    sender_id: str = "anonymous"
    sender_name: str = ""
    message_type: str = "text"
    timestamp: float | None = None
    attachments: tuple[Attachment, ...] = ()
    id: str = ""
    account: str = ""
    conversation_id: str = ""
    workspace_id: str = ""
    channel_id: str = ""
    thread_id: str = ""
    chat_kind: ChatKind = "direct"
    mentions_bot: bool = False
    reply_to: str = ""


REMEMBERED: Final = 10_000
"""Conversations whose state is kept; the one that was silent longest is forgotten first."""


class MessageHandler:
    """Answers messages with plugins, in the order in which they were registered.

    Await the messages of one conversation one after the other. `clock` gives epoch seconds to messages without a
    timestamp.
    """

    def __init__(
        self,
        plugins: Iterable[object] = (),
        *,
        world: World | None = None,
        clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Register plugins: `Plugin` values, or objects with `async process(context)`."""
        self._clock = clock
        self._plugins: list[Loaded] = []
        self._states: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._world = world
        for plugin in plugins:
            self.register_plugin(plugin)

    def register_plugin(self, plugin: object, *, settings: Any = None) -> None:
        """Add a plugin at the end of the order; raises `PluginError` when it is none."""
        adopted = adopt(plugin)
        if settings is None and adopted.settings is not None:
            try:
                settings = adopted.settings()
            except (TypeError, ValueError) as error:
                raise PluginError(f"{adopted.name} needs settings: {error}") from error
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

    async def turn(self, message: str | Mapping[str, Any] | Event, *, now: float | None = None) -> Turn:
        """Handle a message and return the finished turn, with all its effects; `now` is, if not given, its time."""
        event = message if isinstance(message, Event) else event_of(message, now=self._clock())
        name = crypto.fingerprint(event.account, event.kind, event.key)
        state = self._states.get(event.conversation)
        turn = Turn(name, event, state=state, now=event.at if now is None else now, world=self._world)
        await route.handle(turn, self._plugins)
        self._states[event.conversation] = turn.state
        self._states.move_to_end(event.conversation)
        if len(self._states) > REMEMBERED:
            self._states.popitem(last=False)
        return turn


def event_of(message: object, *, account: str = "local", platform: str = "local", now: float = 0.0) -> Event:
    """Read a text or the common message form into an event; only `content` is required. Raises `Malformed`.

    Without an `id` the event is named by the place, the sender, the words and the time.
    """
    if not isinstance(message, str | Mapping):
        raise Malformed("a message is a text, or the common message form")
    form = {"content": message} if isinstance(message, str) else dict(message)
    try:
        read = msgspec.convert(form, Form, strict=True)
    except msgspec.ValidationError as error:
        raise Malformed(str(error)) from error
    account = read.account or account
    channel = read.channel_id or read.conversation_id or read.sender_id
    at = now if read.timestamp is None else read.timestamp
    return Event(
        key=read.id or crypto.fingerprint(channel, read.sender_id, read.content, str(at)),
        account=account,
        platform=read.platform or platform,
        conversation=read.conversation_id or f"{account}/{channel}",
        address=Address(account=account, workspace=read.workspace_id, channel=channel, thread=read.thread_id),
        sender=Sender(id=read.sender_id, name=read.sender_name),
        chat_kind=read.chat_kind,
        message_id=read.id,
        text=read.content,
        text_as_sent=read.content,
        mentions_bot=read.mentions_bot,
        attachments=read.attachments,
        reply_to=read.reply_to,
        at=at,
    )
