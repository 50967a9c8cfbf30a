"""The words of the house as values: what people and the bot exchange, and what a turn wants done.

All of them are frozen and keyword-only, encode to JSON by themselves, and compare by value.
"""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal, Self, dataclass_transform

import msgspec

ChatKind = Literal["direct", "group", "channel"]
AttachmentKind = Literal["image", "audio", "video", "file", "location", "link", "sticker"]
Class = Literal["reply", "broadcast"]

MESSAGE_TYPES: Final = {"command": "command", "action": "command", "message": "text"}
"""`Event.kind` to the common form's `message_type`; any kind that is not listed is an `event`."""


class _Frozen(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What all values are."""


class _KeywordOnly(msgspec.StructMeta):
    """Makes every value keyword-only: msgspec hands that on to no subclass by itself.

    What it makes has msgspec's own metaclass, and `_Frozen` in place of `Value`: Python 3.11 takes two or three times
    as long to make an instance where the metaclass is written in Python.
    """

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **config: Any) -> Any:
        if bases == (_Frozen,):
            return super().__new__(cls, name, bases, namespace, **config)
        below = tuple(_Frozen if isinstance(base, _KeywordOnly) else base for base in bases)
        return msgspec.StructMeta(name, below, namespace, **{"kw_only": True, **config})

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _Frozen)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, _Frozen)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Value(_Frozen, metaclass=_KeywordOnly, frozen=True):
    """The base of all values: frozen, slotted, keyword-only; defaults are left out of the JSON.

    A value is in no cycle, so the collector of cycles is not told of it. One that is based on another value says
    `kw_only=True` itself.
    """


class Secret:
    """One or more live secrets (two during a rotation) that refuse to be printed.

    `reveal()` gives the newest; `candidates()` all that are still valid.
    """

    __slots__ = ("_values",)

    def __init__(self, *values: str) -> None:
        """Keep the values, newest first."""
        self._values = tuple(value for value in values if value)

    def reveal(self) -> str:
        """Return the newest secret, or the empty string when there is none."""
        return self._values[0] if self._values else ""

    def candidates(self) -> tuple[str, ...]:
        """Return every secret that is still accepted, newest first."""
        return self._values

    def __bool__(self) -> bool:
        """Tell whether there is a secret at all."""
        return bool(self._values)

    def __eq__(self, other: object) -> bool:
        """Compare by value (for configuration snapshots, never for authentication)."""
        return isinstance(other, Secret) and self._values == other._values

    def __hash__(self) -> int:
        """Hash by value, as equality does."""
        return hash(self._values)

    def __repr__(self) -> str:
        """Hide the value."""
        return "Secret(***)" if self._values else "Secret()"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        """Hide the value in f-strings too."""
        return format(repr(self), spec)

    def __reduce__(self) -> Any:
        """Refuse to be pickled or deep-copied into a place that prints it."""
        message = "a Secret is not serialised"
        raise TypeError(message)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Accept one text or a list of texts from the configuration (called by pydantic only)."""
        from pydantic_core import core_schema  # noqa: PLC0415 - pydantic is no dependency of the model

        texts = core_schema.union_schema(
            [core_schema.str_schema(), core_schema.list_schema(core_schema.str_schema(), min_length=1)]
        )
        build = core_schema.no_info_after_validator_function(cls._build, texts)
        instance = core_schema.is_instance_schema(cls)
        return core_schema.json_or_python_schema(
            json_schema=build,
            python_schema=core_schema.union_schema([instance, build]),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda _secret: ""),
        )

    @classmethod
    def _build(cls, value: str | list[str]) -> Self:
        return cls(value) if isinstance(value, str) else cls(*value)


def setting(meaning: str, *, default: Any = dataclasses.MISSING) -> Any:
    """Declare a setting of the service, an adapter or a plugin: `meaning` feeds the schema and the reference."""
    return dataclasses.field(default=default, metadata={"help": meaning})


class Address(Value):
    """Where a message lives or will live: the platform's own ids, and its opaque reply data."""

    account: str
    workspace: str = ""
    channel: str = ""
    thread: str = ""
    ticket: dict[str, Any] = {}
    """Opaque to everyone but the adapter: reply token, response URL, interaction token."""


def channel_of(address: Address) -> str:
    """Name a channel as those are named of whom something is remembered."""
    return f"{address.account}//{address.channel}"


class Sender(Value):
    """Who caused an event, as the platform names them."""

    id: str
    name: str = ""
    is_bot: bool = False
    locale: str = ""
    zone: str = ""


class Mention(Value):
    """Someone named in a message."""

    id: str
    name: str = ""
    is_bot: bool = False
    """True when it is this bot."""


class Media(Value):
    """Bytes kept by content in the media store; `ref` is their SHA-256 in hexadecimal."""

    ref: str
    size: int = 0
    mime: str = "application/octet-stream"
    name: str = ""


class Attachment(Value):
    """Something beside the text: by the platform's id, by address, or by bytes that we keep."""

    kind: AttachmentKind
    id: str = ""
    url: str = ""
    name: str = ""
    mime: str = ""
    size: int | None = None
    latitude: float | None = None
    longitude: float | None = None
    media: Media | None = None
    value: dict[str, Any] = {}
    """What else the adapter needs to fetch it (a message id, a resource type)."""


class Button(Value):
    """A choice under a message: pressing it brings back `value`, or opens `url`."""

    text: str
    value: str = ""
    url: str = ""


class Message(Value):
    """What is said: portable rich text (CommonMark), attachments, buttons."""

    text: str = ""
    attachments: tuple[Attachment, ...] = ()
    buttons: tuple[Button, ...] = ()
    reply_to: str = ""


class Event(Value):
    """Something that happened on a platform, in the common form.

    `key` names the happening, not its delivery: unique per account and kind. `conversation` is the
    ordering and memory unit. `text` has the bot's own mention removed; `text_as_sent` has not.
    `at` is in epoch seconds with milliseconds. `value` holds the facts of rarer kinds, under the
    names of the vectors' page (`command`, `command_args`, `action_id`, `action_value`, `emoji`, ...).
    """

    key: str
    account: str
    platform: str
    conversation: str
    address: Address
    sender: Sender
    kind: str = "message"
    wants_turn: bool = True
    chat_kind: ChatKind = "direct"
    message_id: str = ""
    text: str = ""
    text_as_sent: str = ""
    mentions: tuple[Mention, ...] = ()
    mentions_bot: bool = False
    attachments: tuple[Attachment, ...] = ()
    reply_to: str = ""
    value: dict[str, Any] = {}
    at: float = 0.0
    hold: float = 0.0
    """Replies within so many seconds belong into the response of the request that brought the event."""

    @property
    def message_type(self) -> str:
        """Name the common form's type: the first attachment's when there is no text."""
        if self.kind == "message" and self.value.get("command"):
            return "command"
        if self.kind == "message" and not self.text and self.attachments:
            kind = self.attachments[0].kind
            return kind if kind not in {"link", "sticker"} else "file"
        return MESSAGE_TYPES.get(self.kind, "event")

    def to_json(self) -> dict[str, Any]:
        """Return the common message form, for plugins, the generic webhook, archives and the API."""
        return {
            "platform": self.platform,
            "sender_id": self.sender.id,
            "message_type": self.message_type,
            "content": self.text,
            "timestamp": self.at,
            "attachments": msgspec.to_builtins(list(self.attachments)),
            "id": self.key,
            "account": self.account,
            "conversation_id": self.conversation,
            "workspace_id": self.address.workspace,
            "channel_id": self.address.channel,
            "thread_id": self.address.thread,
            "chat_kind": self.chat_kind,
            "sender_name": self.sender.name,
            "mentions_bot": self.mentions_bot,
            "reply_to": self.reply_to,
        }


class Say(Value, tag="say"):
    """Say a message in the conversation."""

    message: Message


class Edit(Value, tag="edit"):
    """Replace the text of a message that the bot sent."""

    message_id: str
    message: Message


class Delete(Value, tag="delete"):
    """Take back a message that the bot sent."""

    message_id: str


class React(Value, tag="react"):
    """Put an emoji (a name such as `thumbsup`, or the character itself) on a message."""

    message_id: str
    emoji: str


class Typing(Value, tag="typing"):
    """Show that an answer is being written."""


class Answer(Value, tag="answer"):
    """Answer a callback (a pressed button), so that the client stops waiting."""

    interaction_id: str
    text: str = ""


OPTED_OUT: Final = "opted_out"
"""The key under which it is remembered of a person, or of a channel, that no broadcast may reach them."""


class Remember(Value, tag="remember"):
    """Keep a value under a key: of the conversation, of the person across conversations, or of the channel."""

    scope: Literal["conversation", "person", "channel"]
    key: str
    value: Any = None


Missed = Literal["skip", "once", "all"]
"""What becomes of fires that could not happen in time: none, the last one, or all of them."""
Overlap = Literal["queue", "skip"]
"""What becomes of a fire while the turn of the one before is not over."""


class Timer(Value):
    """An event to come, once or by a rule.

    At each fire `event` is accepted with the key `name@at`, so that one fire is one turn on any number of replicas;
    one whose event has a key comes once, however often it is set.
    `at` is the next fire by the rule, in epoch seconds on the store's wall clock. `every` is empty (once), a cron
    expression or an interval, read in `zone`; an interval counts from `anchor`.
    """

    name: str
    at: float
    event: Event
    every: str = ""
    zone: str = "UTC"
    anchor: float = 0.0
    title: str = ""
    """What it is about, for people."""
    person: str = ""
    """Whose it is; empty: the operator's."""
    task: str = ""
    """The operator's task that it belongs to."""
    source: Literal["turn", "file", "command"] = "turn"
    missed: Missed = "once"
    grace: float = 86_400.0
    """Seconds after which a missed fire is not made up for any more."""
    overlap: Overlap = "queue"
    jitter: float = 0.0
    """Fires come up to so many seconds later than the rule says, each by its own share."""


class Schedule(Value, tag="schedule"):
    """Set a timer, in the place of one with the same name."""

    timer: Timer


class Cancel(Value, tag="cancel"):
    """Take a timer away."""

    name: str


Action = Say | Edit | Delete | React | Typing | Answer
"""What may be asked of a platform; what it cannot do is declared in its capabilities."""

Effect = Say | Edit | Delete | React | Typing | Answer | Remember | Schedule | Cancel
"""What a turn wants done; committed all together or not at all."""


class Delivery(Value):
    """One action on its way to a platform.

    `key` is the idempotency key, `turn:effect:chunk`, the same however often it is tried. `at` and
    `not_after` are epoch seconds. `attempt` counts from 1. `ids` are the platform's, once sent.
    """

    id: int
    key: str
    action: Action
    address: Address
    conversation: str
    cls: Class = "reply"
    attempt: int = 1
    fence: int = 0
    at: float = 0.0
    received_at: float = 0.0
    """When the message that it answers was received (0: it answers none)."""
    not_after: float = 0.0
    until: float = 0.0
    """When its lease ends, on this process's steady clock, counted from before it was asked for (0: it has none)."""
    slot: float = 0.0
    """When it may leave by the platform's pace, if it waited for that (0: nothing is reserved for it)."""
    ids: tuple[str, ...] = ()


class Line(Value):
    """One line of a conversation's history, oldest first; `by` is `person` or `bot`."""

    by: Literal["person", "bot"]
    text: str
    at: float
    id: str
    name: str = ""
    buttons: tuple[Button, ...] = ()


def split_with(message: Message, pieces: Callable[[str], Iterable[str]]) -> tuple[Message, ...]:
    """Cut a message's text into several messages; attachments stay with the first, buttons with the last."""
    texts = tuple(pieces(message.text))
    if len(texts) <= 1:
        return (message,)
    last = len(texts) - 1
    return tuple(
        Message(
            text=text,
            attachments=message.attachments if number == 0 else (),
            buttons=message.buttons if number == last else (),
            reply_to=message.reply_to if number == 0 else "",
        )
        for number, text in enumerate(texts)
    )
