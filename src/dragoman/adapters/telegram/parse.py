"""One update to events, by a table of its kinds (Bot API, "Update")."""

import dataclasses
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, Literal

import msgspec

from dragoman import wire
from dragoman.adapter import Adapter, Me, Receipt
from dragoman.adapters.telegram import attachments, entities
from dragoman.adapters.telegram.shapes import (
    CallbackQuery,
    Chat,
    MemberUpdate,
    Message,
    MessageReaction,
    ReactionType,
    Replied,
    User,
)
from dragoman.errors import Malformed
from dragoman.model import Address, ChatKind, Event, Sender

CHAT_KINDS: Final[dict[str, ChatKind]] = {"private": "direct", "channel": "channel"}
"""Any other type is a `group` or a `supergroup`."""

SERVICE: Final = frozenset(
    """
    new_chat_members left_chat_member chat_owner_left chat_owner_changed new_chat_title new_chat_photo
    delete_chat_photo group_chat_created supergroup_chat_created channel_chat_created
    message_auto_delete_timer_changed migrate_from_chat_id pinned_message successful_payment refunded_payment
    users_shared chat_shared gift unique_gift gift_upgrade_sent connected_website write_access_allowed passport_data
    proximity_alert_triggered boost_added chat_background_set checklist_tasks_done checklist_tasks_added
    community_chat_added community_chat_removed direct_message_price_changed forum_topic_created forum_topic_edited
    forum_topic_closed forum_topic_reopened general_forum_topic_hidden general_forum_topic_unhidden giveaway_created
    giveaway_completed managed_bot_created paid_message_price_changed poll_option_added poll_option_deleted
    suggested_post_approved suggested_post_approval_failed suggested_post_declined suggested_post_paid
    suggested_post_refunded video_chat_scheduled video_chat_started video_chat_ended video_chat_participants_invited
    """.split()  # noqa: SIM905 - fifty names read better as a block
)
"""Service messages: the chat's own news, which nobody said ("Message"). What is not listed is said by someone."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reader:
    """What reading needs to know: the account's adapter, which bot it is, the clock, and the update's number."""

    adapter: Adapter
    me: Me
    now: float
    update: int = 0


def update(body: bytes, reader: Reader) -> Receipt:
    """Read one update; raises `Malformed` for anything that is not one."""
    fields = wire.decode(body, dict[str, msgspec.Raw])
    number = wire.decode(bytes(fields.pop("update_id", b"")), int)
    numbered = dataclasses.replace(reader, update=number)
    return joined(_read(kind, bytes(raw), numbered) for kind, raw in fields.items())


def joined(receipts: Iterable[Receipt]) -> Receipt:
    """Make one receipt of several, in their order."""
    every = tuple(receipts)
    return Receipt(
        events=tuple(event for receipt in every for event in receipt.events),
        ignored=tuple(reason for receipt in every for reason in receipt.ignored),
        malformed=tuple(raw for receipt in every for raw in receipt.malformed),
    )


def _read(kind: str, raw: bytes, reader: Reader) -> Receipt:
    return READERS[kind](raw, reader) if kind in READERS else _ignored(f"kind:{kind}")


def _ignored(reason: str) -> Receipt:
    return Receipt(ignored=(reason,))


def _message(raw: bytes, reader: Reader, *, kind: Literal["message", "edit"] = "message") -> Receipt:
    message = wire.decode(raw, Message)
    if message.migrate_to_chat_id is not None:
        return Receipt(events=(_migration(message, message.migrate_to_chat_id, reader),))
    said = message.text or message.caption or attachments.of(message)
    reason = _reason_to_ignore(message, reader) or ("" if said else _service(raw))
    if reason:
        return _ignored(reason)
    event = _said(message, reader)
    return Receipt(events=(event if kind == "message" else _edit(event, message, reader),))


def _reason_to_ignore(message: Message, reader: Reader) -> str:
    """Name why nobody asked us anything; an anonymous administrator counts as a bot, but is a person."""
    if message.is_automatic_forward:
        return "automatic_forward"
    if message.chat.type == "channel":
        return "kind:channel_post"
    return _bot(message.sender, reader) if message.sender_chat is None else ""


def _bot(user: User | None, reader: Reader) -> str:
    if user is None:
        return ""
    if str(user.id) == reader.me.id:
        return "self"
    return "bot" if user.is_bot else ""


def _service(raw: bytes) -> str:
    """Name the service message, if it is one; what we do not know is a message with empty text."""
    news = SERVICE & wire.decode(raw, dict[str, msgspec.Raw]).keys()
    return f"kind:{min(news)}" if news else ""


def _said(message: Message, reader: Reader) -> Event:
    text = message.text or message.caption
    spans = message.entities if message.text else message.caption_entities
    chat_kind = CHAT_KINDS.get(message.chat.type, "group")
    reading = entities.read(text, spans, reader.me, in_group=chat_kind == "group")
    replied = _replied(message)
    event = Event(
        key=_key(message, reader),
        message_id=str(message.message_id),
        text=reading.clean,
        text_as_sent=text,
        mentions=reading.mentions,
        mentions_bot=reading.mentions_bot,
        attachments=attachments.of(message),
        reply_to=str(replied.message_id) if replied else "",
        value={**_command(reading), **_reply(message, replied, reader), **_facts(message, reader)},
        at=float(message.date),
        **_place(message.chat, _author(message), reader, thread=message.thread),
    )
    return _ephemeral(event, message)


def _edit(event: Event, message: Message, reader: Reader) -> Event:
    """Make an edit of it: one message is edited often, even twice in a second."""
    key = f"{event.key}/{message.edit_date}/{reader.update}"
    edited = float(message.edit_date or message.date)
    return msgspec.structs.replace(event, key=key, kind="edit", wants_turn=False, at=edited)


def _key(message: Message, reader: Reader) -> str:
    """Name a message by chat and id; an ephemeral one has no id of its own that is never used again."""
    if message.ephemeral_message_id is not None:
        return f"{message.chat.id}/ephemeral/{message.ephemeral_message_id}/{reader.update}"
    return f"{message.chat.id}/{message.message_id}"


def _ephemeral(event: Event, message: Message) -> Event:
    """Keep whom to answer privately: what only one person could see must not be answered before all."""
    if message.ephemeral_message_id is None:
        return event
    ticket = {"receiver_user_id": int(event.sender.id), "ephemeral_message_id": message.ephemeral_message_id}
    return msgspec.structs.replace(event, address=msgspec.structs.replace(event.address, ticket=ticket))


def _place(chat: Chat, sender: Sender, reader: Reader, *, thread: str = "") -> dict[str, Any]:
    """Return the fields that say whose event it is and where the answer will live."""
    adapter, channel = reader.adapter, str(chat.id)
    return {
        "account": adapter.account,
        "platform": adapter.platform,
        "sender": sender,
        "conversation": adapter.place(channel, thread=thread, sender=sender.id),
        "address": Address(account=adapter.account, channel=channel, thread=thread),
        "chat_kind": CHAT_KINDS.get(chat.type, "group"),
    }


def _author(message: Message) -> Sender:
    """Return who said it; a chat speaks where no person is named."""
    if message.sender is not None:
        return _person(message.sender)
    return _group(message.sender_chat or message.chat)


def _person(user: User) -> Sender:
    return Sender(id=str(user.id), name=entities.full_name(user), is_bot=user.is_bot, locale=user.language_code)


def _group(chat: Chat) -> Sender:
    return Sender(id=str(chat.id), name=chat.title)


def _command(reading: entities.Reading) -> dict[str, Any]:
    return {"command": reading.command, "command_args": reading.arguments} if reading.command else {}


def _replied(message: Message) -> Replied | None:
    """Return what is replied to; in a topic every message "replies" to the one that opened the topic."""
    replied = message.reply_to_message
    if replied and message.is_topic_message and replied.message_id == message.message_thread_id:
        return None
    return replied


def _reply(message: Message, replied: Replied | None, reader: Reader) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if replied:
        facts["reply_to_bot"] = _bot(replied.sender, reader) == "self"
        facts["quoted_text"] = replied.text or replied.caption
    if message.quote:
        facts["quoted_text"] = message.quote.text
    return facts


def _facts(message: Message, reader: Reader) -> dict[str, Any]:
    facts: dict[str, Any] = {"event_id": str(reader.update)}
    if message.media_group_id:
        facts["group_key"] = message.media_group_id
    if not (message.text or message.caption or attachments.of(message)):
        facts["unsupported"] = True
    return facts


def _migration(message: Message, to: int, reader: Reader) -> Event:
    return Event(
        key=f"{message.chat.id}/{message.message_id}",
        kind="migration",
        wants_turn=False,
        message_id=str(message.message_id),
        value={"new_conversation_id": str(to), "event_id": str(reader.update)},
        at=float(message.date),
        **_place(message.chat, _author(message), reader, thread=message.thread),
    )


def _callback(raw: bytes, reader: Reader) -> Receipt:
    query = wire.decode(raw, CallbackQuery)
    if query.message is None:
        return _ignored("kind:inline_callback")
    event = Event(
        key=query.id,
        kind="action",
        message_id=str(query.message.message_id),
        value={"action_value": query.data, "interaction_id": query.id, "event_id": str(reader.update)},
        at=reader.now,  # a callback says not when
        **_place(query.message.chat, _person(query.sender), reader, thread=query.message.thread),
    )
    return Receipt(events=(event,))


def _reaction(raw: bytes, reader: Reader) -> Receipt:
    reaction = wire.decode(raw, MessageReaction)
    reason = _bot(reaction.user, reader)
    if reason:
        return _ignored(reason)
    sender = _person(reaction.user) if reaction.user else _group(reaction.actor_chat or reaction.chat)
    event = Event(
        key=f"{reaction.chat.id}/{reaction.message_id}/{sender.id}/{reaction.date}/{reader.update}",
        kind="reaction",
        wants_turn=False,
        message_id=str(reaction.message_id),
        value={"emoji": _added(reaction), "event_id": str(reader.update)},
        at=float(reaction.date),
        **_place(reaction.chat, sender, reader),
    )
    return Receipt(events=(event,))


def _added(reaction: MessageReaction) -> str:
    """Return the emoji that was put on; empty when one was only taken off."""
    added = [_emoji(kind) for kind in reaction.new_reaction if kind not in reaction.old_reaction]
    return added[0] if added else ""


def _emoji(kind: ReactionType) -> str:
    return kind.emoji or kind.custom_emoji_id or kind.type


def _membership(raw: bytes, reader: Reader) -> Receipt:
    change = wire.decode(raw, MemberUpdate)
    sender = _person(change.sender)
    event = Event(
        key=f"{change.chat.id}/{change.date}/{reader.update}",
        kind="membership",
        wants_turn=False,
        value={"bot_status": change.new_chat_member.status, "event_id": str(reader.update)},
        at=float(change.date),
        **_place(change.chat, sender, reader),
    )
    return Receipt(events=(event,))


READERS: Final[dict[str, Callable[[bytes, Reader], Receipt]]] = {
    "message": _message,
    "edited_message": partial(_message, kind="edit"),
    "callback_query": _callback,
    "message_reaction": _reaction,
    "my_chat_member": _membership,
}
"""The kinds that we read, and thus ask for; any other is acknowledged and ignored."""


def tolerant(raw: msgspec.Raw, reader: Reader) -> Receipt:
    """Read one update of a poll: a strange one is parked and must not hold back those behind it."""
    try:
        return update(bytes(raw), reader)
    except Malformed:
        return Receipt(malformed=(bytes(raw),))
