"""What an archived conversation consists of: messages in the common form, whose they are, and in which folder."""

import re
from typing import Any, Final

import msgspec

from dragoman import crypto
from dragoman.model import Answer, Delete, Edit, Event, React, Say
from dragoman.store.person import ERASED, Person, place_of, sender_of
from dragoman.store.told import Said, Told

ROOT: Final = "conversations"
LONGEST: Final = 180
"""Characters of a folder's name; a longer id is named by its beginning and its fingerprint."""
PLAIN: Final = re.compile(rb"[A-Za-z0-9_@-]")
"""The bytes that stand for themselves in a folder's name. A dot does not: no folder is `..`."""

Record = dict[str, Any]


def folder(user_id: str) -> str:
    """Name the folder of a user: `=XX` stands for each byte that might mean something in a path."""
    name = "".join(chr(byte) if PLAIN.match(bytes([byte])) else f"={byte:02X}" for byte in user_id.encode())
    if len(name) > LONGEST:
        name = f"{name[: LONGEST - 70]}~{crypto.sha256_hex(user_id.encode())}"
    return f"{ROOT}/{name}"


def user_of(name: str) -> str | None:
    """Return the user of a folder's name; None for an id so long that the name does not hold it."""
    if "~" in name:
        return None
    pieces = name.split("=")
    whole = pieces[0].encode() + b"".join(bytes.fromhex(piece[:2]) + piece[2:].encode() for piece in pieces[1:])
    return whole.decode(errors="replace")


def whose(told: Told) -> Person | None:
    """Return in whose folder an entry belongs: who said it, or whom the bot answered; None when nobody said it."""
    if told.event is not None:
        return None if told.event.kind == "timer" else sender_of(told.event)
    if told.said is None or told.said.conversation == ERASED:
        return None
    asked = sender_of(told.said.answers) if told.said.answers is not None else None
    if asked is None and told.said.last is not None and told.said.last.chat_kind == "direct":
        asked = sender_of(told.said.last)
    return asked or (place_of(told.said.address) if told.said.address.channel else None)


def record(told: Told) -> Record | None:
    """Return an entry in the common message form, and a little more; None when there is nothing to keep of it."""
    if told.event is not None:
        return of_event(told.event)
    return _of_said(told.said, told.at) if told.said is not None else None


def of_event(event: Event) -> Record:
    """Return what a person said; beside the common form stand `by`, `kind`, `message_id`, and `value` if it has any."""
    more = {"value": msgspec.to_builtins(event.value)} if event.value else {}
    return {**event.to_json(), "by": "person", "kind": event.kind, "message_id": event.message_id, **more}


def _of_said(said: Said, at: float) -> Record | None:
    """Return what the bot said, at the time at which it was sent; None for a sign that says nothing."""
    about = said.answers or said.last
    whole: Record = {
        "platform": about.platform if about is not None else "",
        "sender_id": said.address.account,
        "message_type": "text",
        "content": "",
        "timestamp": at,
        "attachments": [],
        "id": said.key,
        "account": said.address.account,
        "conversation_id": said.conversation,
        "workspace_id": said.address.workspace,
        "channel_id": said.address.channel,
        "thread_id": said.address.thread,
        "chat_kind": about.chat_kind if about is not None else "",
        "sender_name": "",
        "mentions_bot": False,
        "reply_to": "",
        "by": "bot",
        "kind": "message",
        "message_id": said.ids[0] if said.ids else "",
    }
    changes = _action(said)
    return None if changes is None else {**whole, **changes}


def _action(said: Said) -> Record | None:
    """Return what an action says differently from a plain message."""
    match said.action:
        case Say(message=message):
            buttons = {"value": {"buttons": msgspec.to_builtins(message.buttons)}} if message.buttons else {}
            files = msgspec.to_builtins(message.attachments)
            kind = "text" if message.text or not message.attachments else message.attachments[0].kind
            named = kind if kind not in {"link", "sticker"} else "file"
            says = {"content": message.text, "attachments": list(files), "reply_to": message.reply_to}
            return {"message_type": named, **says, **buttons}
        case Edit(message_id=edited, message=message):
            return {"message_type": "event", "kind": "edit", "message_id": edited, "content": message.text}
        case Delete(message_id=deleted):
            return {"message_type": "event", "kind": "delete", "message_id": deleted}
        case React(message_id=message, emoji=emoji):
            return {"message_type": "event", "kind": "reaction", "message_id": message, "value": {"emoji": emoji}}
        case Answer(text=text) if text:
            return {"message_type": "event", "kind": "answer", "content": text}
    return None
