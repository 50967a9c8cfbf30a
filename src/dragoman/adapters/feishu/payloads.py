"""What Feishu sends, as types: envelopes, events, the contents of messages. Unlisted fields are left alone.

Source: open.feishu.cn, "Event callback structure", "Receive message", "Card callback structure", and the
pages of the other events; "Message content" of received messages.
"""

from typing import Any, Final

import msgspec

NOTHING: Final = b""
"""What a raw field holds that was not sent."""

HANDSHAKE: Final = "url_verification"


class Sealed(msgspec.Struct):
    """The outermost object, when an encrypt key is set."""

    encrypt: str | None = None


class Header(msgspec.Struct):
    """The header of a v2 envelope."""

    event_id: str | None = None
    event_type: str | None = None
    create_time: str | None = None
    token: str | None = None
    tenant_key: str | None = None


class Envelope(msgspec.Struct):
    """The object around everything: v2 has a `header`, v1 a `uuid`, the card callback of old an `action`."""

    type: str | None = None
    token: str | None = None
    challenge: str = ""
    header: Header | None = None
    uuid: str | None = None
    ts: str | None = None
    event: msgspec.Raw = msgspec.Raw(NOTHING)
    action: msgspec.Raw = msgspec.Raw(NOTHING)

    @property
    def is_handshake(self) -> bool:
        """Tell whether it only asks whether we are there."""
        return self.type == HANDSHAKE

    @property
    def is_old_card(self) -> bool:
        """Tell whether it is a card callback of the old kind, whose `token` is not the app's."""
        bare = self.header is None and self.uuid is None and bytes(self.event) == NOTHING
        return bare and not self.is_handshake and bytes(self.action) != NOTHING

    @property
    def proof(self) -> str:
        """The token by which Feishu says that it knows the app: v2 has it in the header, v1 beside the event."""
        return (self.header.token if self.header else None) or self.token or ""


class Ids(msgspec.Struct):
    """The three ids of a user; `open_id` is the app's own and always there, the others need a scope."""

    open_id: str | None = None
    union_id: str | None = None
    user_id: str | None = None

    @property
    def id(self) -> str:
        """The first id that there is."""
        return self.open_id or self.union_id or self.user_id or ""


class Author(msgspec.Struct):
    """Who sent a message."""

    sender_id: Ids | None = None
    sender_type: str | None = None


class Named(msgspec.Struct):
    """Someone named in a message, under the placeholder that stands in its text."""

    key: str
    id: Ids | None = None
    name: str | None = None


class Message(msgspec.Struct):
    """A message; its `content` is JSON in a text."""

    message_id: str
    chat_id: str
    message_type: str
    content: str = ""
    chat_type: str | None = None
    root_id: str | None = None
    parent_id: str | None = None
    thread_id: str | None = None
    create_time: str | None = None
    mentions: list[Named] | None = None


class MessageEvent(msgspec.Struct):
    """`im.message.receive_v1`."""

    sender: Author
    message: Message


class RecallEvent(msgspec.Struct):
    """`im.message.recalled_v1`."""

    message_id: str
    chat_id: str
    recall_time: str | None = None
    recall_type: str | None = None


class Emoji(msgspec.Struct):
    """Which emoji."""

    emoji_type: str


class ReactionEvent(msgspec.Struct):
    """`im.message.reaction.created_v1` and `deleted_v1`: they name no chat."""

    message_id: str
    reaction_type: Emoji
    operator_type: str | None = None
    user_id: Ids | None = None
    app_id: str | None = None
    action_time: str | None = None


class ChatEvent(msgspec.Struct):
    """What befell a chat, and who did it."""

    chat_id: str
    operator_id: Ids | None = None


class Operator(msgspec.Struct):
    """Who chose an entry of the bot's menu."""

    operator_id: Ids | None = None
    operator_name: str | None = None


class MenuEvent(msgspec.Struct):
    """`application.bot.menu_v6`."""

    event_key: str
    operator: Operator


class Chosen(msgspec.Struct):
    """The element of a card that was used, and what it carries, by its kind."""

    name: str | None = None
    value: Any = None
    option: str | None = None
    options: list[str] | None = None
    checked: bool | None = None
    input_value: str | None = None
    form_value: dict[str, Any] | None = None


class Context(msgspec.Struct):
    """Where the card stands."""

    open_message_id: str | None = None
    open_chat_id: str | None = None


class CardEvent(msgspec.Struct):
    """`card.action.trigger`."""

    operator: Ids
    action: Chosen
    token: str | None = None
    context: Context = msgspec.field(default_factory=Context)


class OldCard(msgspec.Struct):
    """The card callback of old: all in one object."""

    action: Chosen
    open_id: str | None = None
    open_message_id: str | None = None
    open_chat_id: str | None = None
    tenant_key: str | None = None
    token: str | None = None


class OldKind(msgspec.Struct):
    """The one field that every event of a v1 envelope has."""

    type: str


class OldMessage(msgspec.Struct):
    """A v1 `message`; its text names people by `<at open_id="...">@name</at>`."""

    open_message_id: str
    open_chat_id: str
    open_id: str
    msg_type: str
    chat_type: str | None = None
    tenant_key: str | None = None
    root_id: str | None = None
    parent_id: str | None = None
    text: str | None = None
    text_without_at_bot: str | None = None
    is_mention: bool | None = None
    image_key: str | None = None
    file_key: str | None = None


class Text(msgspec.Struct):
    """Content of `text`."""

    text: str | None = None


class Element(msgspec.Struct):
    """A piece of rich text, of whatever tag: each tag fills in its own fields."""

    tag: str = ""
    text: str | None = None
    href: str | None = None
    user_id: str | None = None
    user_name: str | None = None
    image_key: str | None = None
    file_key: str | None = None
    emoji_type: str | None = None


class Post(msgspec.Struct):
    """Content of `post`: paragraphs of elements, without a locale around them."""

    title: str | None = None
    content: list[list[Element]] | None = None


class Card(msgspec.Struct):
    """Content of `interactive`: a card, reduced to rich text."""

    title: str | None = None
    elements: list[list[Element]] | None = None


class File(msgspec.Struct):
    """Content of `image`, `file`, `audio`, `media` and `sticker`."""

    image_key: str | None = None
    file_key: str | None = None
    file_name: str | None = None


class Location(msgspec.Struct):
    """Content of `location`: its numbers are texts."""

    longitude: str
    latitude: str
    name: str | None = None


class Shared(msgspec.Struct):
    """Content of `share_chat` and `share_user`."""

    chat_id: str | None = None
    user_id: str | None = None
