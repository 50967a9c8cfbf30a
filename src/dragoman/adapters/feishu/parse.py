"""One payload to events: the envelopes, and the events of a v2 envelope by a table of their types.

Source: open.feishu.cn, "Event callback structure", "Receive message", "Message recalled", "Message
reaction", "Card callback structure", "Bot added to a chat", "Bot menu event".
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from dragoman import wire
from dragoman.adapter import Receipt
from dragoman.adapters.feishu import cards, content, first, mentions
from dragoman.adapters.feishu.origin import Origin, brought, ignored, need
from dragoman.adapters.feishu.payloads import (
    NOTHING,
    ChatEvent,
    Envelope,
    Header,
    Ids,
    MenuEvent,
    Message,
    MessageEvent,
    ReactionEvent,
    RecallEvent,
)
from dragoman.errors import Malformed, Undecodable

Reader = Callable[[Origin, bytes], Receipt]


def receipt(origin: Origin, body: bytes) -> Receipt:
    """Read a verified body; what cannot be decoded within a genuine envelope is `Malformed`, to be parked.

    As `Undecodable` it would be sent back, and Feishu would repeat for hours what never gets better.
    """
    envelope = wire.decode(body, Envelope)
    try:
        return _opened(origin, envelope, body)
    except Undecodable as error:
        raise Malformed(f"within the envelope: {error}") from error


def _opened(origin: Origin, envelope: Envelope, body: bytes) -> Receipt:
    if envelope.is_handshake:
        return ignored(envelope.type or "", wire.json_response({"challenge": envelope.challenge}))
    if envelope.is_old_card:
        return cards.pressed_of_old(origin, body)
    inner = bytes(envelope.event)
    if inner == NOTHING:
        raise Malformed("an envelope without an event")
    if envelope.header is None:
        return first.read(dataclasses.replace(origin, event_id=envelope.uuid or "", created=envelope.ts or ""), inner)
    return _current(origin, envelope.header, inner)


def _current(origin: Origin, header: Header, inner: bytes) -> Receipt:
    kind = need(header.event_type)
    reader = READERS.get(kind)
    if reader is None:
        return ignored(f"kind:{kind[:80]}")
    surrounded = dataclasses.replace(
        origin,
        workspace=header.tenant_key or "",
        event_id=header.event_id or "",
        created=header.create_time or "",
    )
    return reader(surrounded, inner)


def _message(origin: Origin, inner: bytes) -> Receipt:
    event = wire.decode(inner, MessageEvent)
    author = event.sender.sender_id
    if reason := origin.outsider(author, person=event.sender.sender_type == "user"):
        return ignored(reason)
    return brought(
        origin.event(
            kind="message",
            channel=event.message.chat_id,
            sender=need(author.id if author else ""),
            **_words(origin, event.message),
        )
    )


def _words(origin: Origin, message: Message) -> dict[str, Any]:
    """Return what a message says, as facts of an event.

    It is named by its own id: pushed again in another mode it may come under another event's id.
    """
    said, named = content.read(message), message.mentions or ()
    meant = mentions.read(named, origin.me.id)
    return {
        "key": need(message.message_id),
        "thread": message.thread_id or "",
        "chat_kind": "direct" if message.chat_type == "p2p" else "group",
        "message_id": message.message_id,
        "text": mentions.clean(said.text, named, origin.me.id),
        "text_as_sent": said.text,
        "mentions": meant,
        "mentions_bot": any(mention.is_bot for mention in meant),
        "attachments": said.attachments,
        "reply_to": message.parent_id or "",
        "value": {**said.facts, "root_id": message.root_id or ""},
        "stamp": message.create_time,
    }


def _recalled(origin: Origin, inner: bytes) -> Receipt:
    event = wire.decode(inner, RecallEvent)
    return brought(
        origin.event(
            kind="delete",
            wants_turn=False,
            channel=event.chat_id,
            sender="",
            key=need(event.message_id),
            message_id=event.message_id,
            value={"recall_type": event.recall_type or ""},
            stamp=event.recall_time,
        )
    )


def _reaction(origin: Origin, inner: bytes, *, put: bool) -> Receipt:
    """Read a reaction; the event does not say in which chat the message stands."""
    event = wire.decode(inner, ReactionEvent)
    if reason := origin.outsider(event.user_id, person=event.operator_type != "app", app_id=event.app_id):
        return ignored(reason)
    return brought(
        origin.event(
            kind="reaction",
            wants_turn=False,
            channel="",
            sender=_id(event.user_id),
            message_id=event.message_id,
            value={"emoji": event.reaction_type.emoji_type if put else ""},
            stamp=event.action_time,
        )
    )


def _membership(origin: Origin, inner: bytes, *, change: str) -> Receipt:
    event = wire.decode(inner, ChatEvent)
    return brought(
        origin.event(
            kind="membership",
            wants_turn=False,
            channel=event.chat_id,
            sender=_id(event.operator_id),
            chat_kind="group",
            value={"bot_status": change},
        )
    )


def _entered(origin: Origin, inner: bytes) -> Receipt:
    """Read that a person opened the direct chat: an occasion to say hello."""
    event = wire.decode(inner, ChatEvent)
    value = {"event": "p2p_chat_entered"}
    return brought(
        origin.event(kind="platform_event", channel=event.chat_id, sender=_id(event.operator_id), value=value)
    )


def _menu(origin: Origin, inner: bytes) -> Receipt:
    """Read the choice of a menu entry; there is no chat in it, so the answer goes to the person."""
    event = wire.decode(inner, MenuEvent)
    person = need(_id(event.operator.operator_id))
    return brought(
        origin.event(
            kind="platform_event",
            channel=person,
            sender=person,
            sender_name=event.operator.operator_name or "",
            value={"event": "menu", "action_id": event.event_key},
        )
    )


def _id(ids: Ids | None) -> str:
    return ids.id if ids else ""


READERS: Final[dict[str, Reader]] = {
    "im.message.receive_v1": _message,
    "im.message.recalled_v1": _recalled,
    "im.message.reaction.created_v1": partial(_reaction, put=True),
    "im.message.reaction.deleted_v1": partial(_reaction, put=False),
    "im.chat.member.bot.added_v1": partial(_membership, change="added"),
    "im.chat.member.bot.deleted_v1": partial(_membership, change="deleted"),
    "im.chat.access_event.bot_p2p_chat_entered_v1": _entered,
    "application.bot.menu_v6": _menu,
    "card.action.trigger": cards.pressed,
}
"""The types that we read; any other (read receipts among them) is acknowledged and ignored."""
