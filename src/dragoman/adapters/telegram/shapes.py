"""What Telegram sends, as far as we read it (Bot API, "Available types" and "Getting updates").

Fields that are not named here are skipped; a field of the wrong type makes the update `Malformed`.
"""

from typing import Annotated, Any

import msgspec

from dragoman.model import Value

Id = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
"""Ids fit in 52 bits ("Chat", field `id`)."""
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class User(Value):
    """A person or a bot."""

    id: Id
    is_bot: bool = False
    first_name: str = ""
    last_name: str = ""
    language_code: str = ""


class Chat(Value):
    """A private chat, a group, a supergroup or a channel."""

    id: Id
    type: str
    title: str = ""


class Entity(Value):
    """A span of the text with a meaning; offset and length count UTF-16 code units."""

    type: str
    offset: Count
    length: Count
    user: User | None = None


class File(Value):
    """Any file; a photo is a list of them, with sizes in pixels."""

    file_id: str
    file_size: Count | None = None
    file_name: str = ""
    mime_type: str = ""
    width: int = 0
    height: int = 0


class Location(Value):
    """A point on the map."""

    latitude: float
    longitude: float


class Venue(Value):
    """A place with a name."""

    location: Location
    title: str = ""


class Quote(Value):
    """The part of the replied message that was quoted."""

    text: str


class Replied(Value):
    """The message that is replied to."""

    message_id: Id
    sender: User | None = msgspec.field(name="from", default=None)
    text: str = ""
    caption: str = ""


class Placed(Value):
    """Where a message lives; also all that is known of one that is too old (`InaccessibleMessage`)."""

    message_id: Id
    chat: Chat
    is_topic_message: bool = False
    message_thread_id: Id | None = None

    @property
    def thread(self) -> str:
        """Name the topic; without `is_topic_message` the thread id only marks a chain of replies."""
        return str(self.message_thread_id) if self.is_topic_message and self.message_thread_id else ""


class Message(Placed, kw_only=True):
    """A message, new or edited."""

    date: Count
    edit_date: Count = 0
    sender: User | None = msgspec.field(name="from", default=None)
    sender_chat: Chat | None = None
    is_automatic_forward: bool = False
    ephemeral_message_id: Id | None = None
    text: str = ""
    entities: tuple[Entity, ...] = ()
    caption: str = ""
    caption_entities: tuple[Entity, ...] = ()
    reply_to_message: Replied | None = None
    quote: Quote | None = None
    media_group_id: str = ""
    migrate_to_chat_id: Id | None = None
    photo: tuple[File, ...] = ()
    animation: File | None = None
    audio: File | None = None
    document: File | None = None
    sticker: File | None = None
    video: File | None = None
    video_note: File | None = None
    voice: File | None = None
    location: Location | None = None
    venue: Venue | None = None


class CallbackQuery(Value):
    """A pressed button; without `message` it was under an inline message, of which we send none."""

    id: str
    sender: User = msgspec.field(name="from")
    message: Placed | None = None
    data: str = ""


class ReactionType(Value):
    """An emoji, a custom emoji, or a paid star."""

    type: str
    emoji: str = ""
    custom_emoji_id: str = ""


class MessageReaction(Value):
    """Someone changed the reactions on a message."""

    chat: Chat
    message_id: Id
    date: Count
    user: User | None = None
    actor_chat: Chat | None = None
    old_reaction: tuple[ReactionType, ...] = ()
    new_reaction: tuple[ReactionType, ...] = ()


class Member(Value):
    """A member's standing in a chat."""

    status: str


class MemberUpdate(Value):
    """The bot's own standing in a chat changed."""

    chat: Chat
    date: Count
    sender: User = msgspec.field(name="from")
    new_chat_member: Member


class Parameters(Value):
    """What an error asks for."""

    retry_after: float | None = None
    migrate_to_chat_id: Id | None = None


class Answer(Value):
    """The answer to every call of ours ("Making requests")."""

    ok: bool
    result: Any = None
    error_code: int = 0
    description: str = ""
    parameters: Parameters = Parameters()


class Updates(Value):
    """The answer to `getUpdates`; each update is read by itself, so that a strange one harms no other."""

    ok: bool
    result: tuple[msgspec.Raw, ...] = ()
