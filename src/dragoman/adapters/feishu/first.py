"""Reading the events of the first envelope (v1), which apps of long ago still get: messages only.

Source: open.feishu.cn, "Receive message v1.0" (historic version).
"""

import dataclasses
import re
from typing import Any, Final

from dragoman import wire
from dragoman.adapter import Receipt
from dragoman.adapters.feishu.content import UNSUPPORTED, attachment
from dragoman.adapters.feishu.origin import Origin, brought, ignored, need
from dragoman.adapters.feishu.payloads import Ids, OldKind, OldMessage
from dragoman.model import Attachment, Event, Mention

AT: Final = re.compile(r'<at open_id\s*=\s*"([^"<>]*)"\s*>\s*@?([^<>]*)</at>')


def read(origin: Origin, inner: bytes) -> Receipt:
    """Read one event."""
    kind = wire.decode(inner, OldKind).type
    if kind != "message":
        return ignored(f"kind:{kind[:80]}")
    message = wire.decode(inner, OldMessage)
    if reason := origin.outsider(Ids(open_id=message.open_id)):
        return ignored(reason)
    return brought(_said(dataclasses.replace(origin, workspace=message.tenant_key or ""), message))


def _said(origin: Origin, message: OldMessage) -> Event:
    text = message.text or ""
    beside = text if message.text_without_at_bot is None else message.text_without_at_bot
    return origin.event(
        kind="message",
        channel=need(message.open_chat_id),
        sender=need(message.open_id),
        key=need(message.open_message_id),
        chat_kind="direct" if message.chat_type == "private" else "group",
        message_id=message.open_message_id,
        text=AT.sub(lambda found: f"@{found[2].strip()}", beside).strip(),
        text_as_sent=text,
        mentions=_mentions(text, origin.me.id),
        mentions_bot=bool(message.is_mention),
        attachments=_attachments(message),
        reply_to=message.parent_id or "",
        value={**_facts(message), "root_id": message.root_id or ""},
    )


def _mentions(text: str, bot: str) -> tuple[Mention, ...]:
    return tuple(
        Mention(id=person, name=name.strip(), is_bot=bool(bot) and person == bot) for person, name in AT.findall(text)
    )


def _attachments(message: OldMessage) -> tuple[Attachment, ...]:
    if message.image_key:
        return (attachment("image", message.image_key, message.open_message_id),)
    return (attachment("file", message.file_key, message.open_message_id),) if message.file_key else ()


def _facts(message: OldMessage) -> dict[str, Any]:
    empty = not (message.text or message.image_key or message.file_key)
    return UNSUPPORTED if empty and message.msg_type != "text" else {}
