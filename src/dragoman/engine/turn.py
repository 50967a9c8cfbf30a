"""A turn: one event handled. Handlers add effects to it; they are committed all together or not at all."""

import datetime as dt
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from dragoman.errors import MediaRefused, NoAnswer, PluginError
from dragoman.model import (
    Address,
    Answer,
    Attachment,
    Button,
    Cancel,
    Delete,
    Edit,
    Effect,
    Event,
    Line,
    Media,
    Message,
    React,
    Remember,
    Say,
    Schedule,
    Timer,
    Typing,
    Value,
    channel_of,
)
from dragoman.when import rhythm
from dragoman.wire import Http, Response

STATE_VERSION = 1
TIMER: Final = "timer"
"""The kind of an event that a timer brings."""


class Calling(Value):
    """Which handler of which plugin an event to come is for, with the arguments that it gets."""

    plugin: str
    handler: str
    bound: dict[str, Any] = {}


def to_come(event: Event, calling: Calling) -> Event:
    """Return the event that a timer brings into the conversation of another: from the same person, for a handler.

    Its address has no ticket: what a platform gives for replies has expired by then.
    """
    return Event(
        key="",  # each fire has its own
        kind=TIMER,
        account=event.account,
        platform=event.platform,
        conversation=event.conversation,
        address=msgspec.structs.replace(event.address, ticket={}),
        sender=event.sender,
        chat_kind=event.chat_kind,
        value=msgspec.to_builtins(calling),
    )


class World(Protocol):
    """What a turn may ask for while it runs; the service gives one backed by the store, tests one in memory."""

    async def once(
        self, turn: str, name: str, step: Callable[..., Awaitable[Any]], arguments: Sequence[Any], *, repeat: bool
    ) -> Any:
        """Run a step unless its result is journaled already."""

    async def history(self, conversation: str, limit: int) -> Sequence[Line]:
        """Read what was said before this event."""

    async def fetch(self, attachment: Attachment) -> Media:
        """Fetch an attachment into the media store."""

    async def call(self, request: Http) -> Response:
        """Make a request outside of any platform; raises `NoAnswer`."""

    async def memory(self, person: str, key: str) -> Any:
        """Read what is remembered of a person."""

    async def timers(self, person: str) -> Sequence[Timer]:
        """List a person's timers, the next one first."""

    def unreachable(self) -> str:
        """Say why nothing can be said later in the turn's conversation, unasked; empty when it can."""


class NoWorld:
    """The world of a turn without a store: nothing was said, nothing is remembered, nothing can be fetched."""

    async def once(
        self, turn: str, name: str, step: Callable[..., Awaitable[Any]], arguments: Sequence[Any], *, repeat: bool
    ) -> Any:
        """Run the step: without a store there is no replay either."""
        return await step(*arguments)

    async def history(self, conversation: str, limit: int) -> Sequence[Line]:
        """Return nothing."""
        return ()

    async def fetch(self, attachment: Attachment) -> Media:
        """Refuse."""
        raise MediaRefused("no platform is connected")

    async def call(self, request: Http) -> Response:
        """Refuse."""
        raise NoAnswer("no network is connected", sent=False)

    async def memory(self, person: str, key: str) -> Any:
        """Return nothing."""
        return None

    async def timers(self, person: str) -> Sequence[Timer]:
        """Return nothing."""
        return ()

    def unreachable(self) -> str:
        """Return nothing."""
        return ""


class Turn:
    """The one argument of every handler: the event, what is remembered, and what is wanted.

    `id` stays the same when a crash replays the turn: use it as idempotency key for calls outside.
    `settings` are the plugin's; `resource` is what its lifespan yielded; `now` is in epoch seconds.
    """

    def __init__(
        self,
        turn_id: str,
        event: Event,
        *,
        state: Mapping[str, Any] | None = None,
        now: float = 0.0,
        world: World | None = None,
        hurried_since: float = 0.0,
    ) -> None:
        self.id = turn_id
        self.event = event
        self.now = now
        self.state: dict[str, Any] = {"v": STATE_VERSION, **state} if state else {}
        self.effects: list[Effect] = []
        self.plugin = ""
        self.handlers: frozenset[str] = frozenset()
        """The names of the plugin's handlers: what a question may go on with."""
        self.settings: Any = None
        self.resource: Any = None
        self.remark = ""
        """A word on how it went, which `dragoman trace` shows beside the handler."""
        self.context: dict[str, Any] | None = None
        """The context that plugins with `process` pass on to one another."""
        self._world: World = world or NoWorld()
        self._hurried_since = hurried_since
        if not hurried_since:
            self.state.pop("excused", None)

    @property
    def hurried(self) -> bool:
        """Whether messages wait for too long: a handler that is slow or dear then makes it short."""
        return self._hurried_since > 0

    @property
    def text(self) -> str:
        """What was said, without the bot's own mention."""
        return self.event.text

    @property
    def person(self) -> str:
        """Who this is: the identity under which a person's memory is kept."""
        return f"{self.event.account}/{self.event.address.workspace}/{self.event.sender.id}"

    @property
    def channel(self) -> str:
        """Where this is: the name under which a channel's memory is kept, whichever workspace it is in."""
        return channel_of(self.event.address)

    def remembered_under(self, scope: str) -> tuple[str, ...]:
        """Name those of whom something is remembered; a direct chat also by its person's id, as one may write to it."""
        if scope == "person":
            return (self.person,)
        direct = self.event.chat_kind == "direct"
        other = channel_of(Address(account=self.event.account, channel=self.event.sender.id))
        return tuple(dict.fromkeys((self.channel, other))) if direct else (self.channel,)

    def say(
        self,
        message: str | Message,
        *,
        buttons: Iterable[Button | str] = (),
        attachments: Iterable[Attachment] = (),
        reply_to: str = "",
    ) -> None:
        """Say something in the conversation: CommonMark, with buttons (a text is its own value) and attachments."""
        if isinstance(message, str):
            message = Message(text=message)
            if not (buttons or attachments or reply_to):
                self.effects.append(Say(message=message))
                return
        extra = [button if isinstance(button, Button) else Button(text=button, value=button) for button in buttons]
        message = Message(  # a new one: what its maker gave as a list may be changed later
            text=message.text,
            attachments=(*message.attachments, *attachments),
            buttons=(*message.buttons, *extra),
            reply_to=message.reply_to or reply_to,
        )
        self.effects.append(Say(message=message))

    def excuse(self, message: str) -> None:
        """Say why there is no better answer, once in a conversation until turns are not hurried any more."""
        if self.state.get("excused", 0.0) < self._hurried_since:
            self.say(message)
            self._set(excused=self.now)

    def edit(self, message_id: str, text: str) -> None:
        """Replace the text of a message that the bot sent."""
        self.effects.append(Edit(message_id=message_id, message=Message(text=text)))

    def delete(self, message_id: str) -> None:
        """Take back a message that the bot sent."""
        self.effects.append(Delete(message_id=message_id))

    def react(self, emoji: str, message_id: str = "") -> None:
        """Put an emoji on a message: by default on the one that this turn handles."""
        self.effects.append(React(message_id=message_id or self.event.message_id, emoji=emoji))

    def typing(self) -> None:
        """Show that an answer is being written, where the platform can."""
        self.effects.append(Typing())

    def answer(self, text: str = "") -> None:
        """Answer the pressed button that this turn handles, with a short notice where the platform shows one."""
        self.effects.append(Answer(interaction_id=str(self.event.value.get("interaction_id", "")), text=text))

    def remember(self, key: str, value: Any, *, of: str = "conversation") -> None:
        """Keep a JSON value of the conversation, of the person across conversations, or of the channel."""
        if of in {"person", "channel"}:
            self.effects.append(Remember(scope="person" if of == "person" else "channel", key=key, value=value))
            return
        memory = {**self.state.get("memory", {}), key: value}
        self._set(memory=memory)

    async def recall(self, key: str, *, of: str = "conversation") -> Any:
        """Read a remembered value; None when nothing is."""
        if of in {"person", "channel"}:
            return await self._world.memory(self.person if of == "person" else self.channel, key)
        return self.state.get("memory", {}).get(key)

    def ask(
        self,
        question: str | Message,
        then: Callable[..., Awaitable[object]],
        *,
        within: float = 600.0,
        buttons: Iterable[Button | str] = (),
        **bound: Any,
    ) -> None:
        """Ask, and hand the next message of this conversation to `then`, as its first unbound argument.

        `bound` are JSON values for other arguments of it. The question expires after `within` seconds, and is this
        person's: in a group the next message of the same sender answers it. Raises `PluginError` when `then` is no
        handler of the plugin: an answer can come after a restart, so it is found again by its name.
        """
        name = getattr(then, "__name__", "")
        if name not in self.handlers:
            raise PluginError(f"{self.plugin} has no handler {name!r}: decorate it, for example with @plugin.step")
        self.say(question, buttons=buttons)
        asked = {"plugin": self.plugin, "handler": name, "bound": bound, "until": self.now + within}
        self._set(ask={**asked, "sender": self.event.sender.id})

    def schedule(
        self,
        at: float,
        then: Callable[..., Awaitable[object]],
        *,
        every: str = "",
        zone: str = "UTC",
        title: str = "",
        name: str = "",
        **bound: Any,
    ) -> str:
        """Let `then` handle an event to come, in this conversation, at `at` (epoch seconds); returns the timer's name.

        It comes again by `every`, a cron expression or an interval, in the zone `zone`. `bound` are JSON values for
        arguments of `then`; `turn.late` tells how late it is. The timer is this person's, as `title` says; one of the
        same `name` is replaced. Raises `PluginError` when `then` is no handler of the plugin, as for a question, and
        for a time, rule or zone that is none.
        """
        handler = getattr(then, "__name__", "")
        if handler not in self.handlers:
            raise PluginError(f"{self.plugin} has no handler {handler!r}: decorate it, for example with @plugin.step")
        number = sum(isinstance(effect, Schedule) for effect in self.effects)
        timer = Timer(
            name=name or f"{self.id}.{number}",
            at=at,
            event=to_come(self.event, Calling(plugin=self.plugin, handler=handler, bound=bound)),
            every=every,
            zone=zone,
            anchor=at,
            title=title,
            person=self.person,
        )
        self.effects.append(Schedule(timer=_readable(timer)))
        return timer.name

    def reschedule(self, timer: Timer, **changes: Any) -> None:
        """Set a timer that `timers` gave anew, with changes such as `at`, `every` or `title`; raises `PluginError`."""
        self.effects.append(Schedule(timer=_readable(msgspec.structs.replace(timer, **changes))))

    def cancel(self, name: str) -> None:
        """Take a timer away."""
        self.effects.append(Cancel(name=name))

    async def timers(self) -> Sequence[Timer]:
        """List this person's timers, of all plugins and conversations, the next one first."""
        return await self._world.timers(self.person)

    @property
    def unreachable(self) -> str:
        """Why a timer of this conversation could say nothing here, where nobody asks; empty when it can."""
        return self._world.unreachable()

    @property
    def late(self) -> float:
        """How long after its time (seconds) the timer's event is handled; 0 for other events."""
        due = self.event.value.get("due") if self.event.kind == TIMER else None
        return max(0.0, self.now - due) if due is not None else 0.0

    def ask_again(self, pending: dict[str, Any]) -> None:
        """Leave a question open whose answer could not be read."""
        self._set(ask=pending)

    def forget_question(self) -> None:
        """Drop the pending question, if there is one."""
        self.state.pop("ask", None)

    async def once(self, name: str, step: Callable[..., Awaitable[Any]], *arguments: Any, repeat: bool = True) -> Any:
        """Run a dear step (a model call, a payment) and journal its JSON result under this name.

        A replay of the turn gets the result without running it again. If the process died while it ran, it is
        run again, or with `repeat=False` refused as `PluginError`, because nobody knows whether it happened.
        """
        return await self._world.once(self.id, f"{self.plugin}/{name}", step, arguments, repeat=repeat)

    async def history(self, limit: int = 20) -> Sequence[Line]:
        """Read the last lines of this conversation, oldest first, without the message of this turn."""
        return await self._world.history(self.event.conversation, limit)

    async def fetch(self, attachment: Attachment) -> Media:
        """Fetch an attachment of the event into the media store; raises `MediaRefused`."""
        return await self._world.fetch(attachment)

    async def call(self, request: Http) -> Response:
        """Make an HTTP request through the service's one client; raises `NoAnswer`.

        A turn that is replayed makes it again: put it into `once`, and give it a key made of `turn.id`.
        """
        return await self._world.call(request)

    def _set(self, **values: Any) -> None:
        self.state = {"v": STATE_VERSION, **self.state, **values}


def _readable(timer: Timer) -> Timer:
    """Return a timer whose times can be told; raises `PluginError` now, in place of a timer that never comes."""
    try:
        if timer.every:
            rhythm.after(timer.every, timer.at, timer.zone, timer.anchor)
        dt.datetime.fromtimestamp(timer.at, dt.UTC)
    except (ValueError, LookupError, OSError, OverflowError) as error:  # OSError: a zone that is a folder
        raise PluginError(f"no timer comes at {timer.at} by {timer.every!r} in {timer.zone!r}: {error}") from error
    return timer
