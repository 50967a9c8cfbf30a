"""Actions to calls: what each asks of the Bot API, and what to change when it is refused for its form."""

import dataclasses
import html
import re
from typing import Any, Final, Literal

import msgspec

from dragoman import text
from dragoman.adapters.telegram import api, entities, verdict
from dragoman.model import (
    Address,
    Answer,
    Attachment,
    AttachmentKind,
    Button,
    Delete,
    Delivery,
    Edit,
    Message,
    React,
    Say,
    Typing,
    split_with,
)
from dragoman.wire import Exchange, Http, Outcome, Part, Refused, Response

MAX_TEXT: Final = 4096
MAX_CAPTION: Final = 1024
MAX_ANSWER: Final = 200
MAX_BUTTON_BYTES: Final = 64
MAX_PHOTO: Final = 10 << 20
"""A larger picture goes as a document ("Sending files")."""

GENERAL: Final = "1"
"""The General topic has an id, and is written to without one (tdlib/telegram-bot-api, Client.cpp)."""

FIELDS: Final[dict[AttachmentKind, tuple[str, str]]] = {
    "image": ("sendPhoto", "photo"),
    "audio": ("sendAudio", "audio"),
    "video": ("sendVideo", "video"),
    "file": ("sendDocument", "document"),
    "sticker": ("sendSticker", "sticker"),
}
"""Method and field by the kind of attachment."""

CAPTIONED: Final = frozenset({"image", "audio", "video", "file"})

EMOJI: Final = {
    "thumbsup": "👍",
    "+1": "👍",
    "thumbsdown": "👎",
    "-1": "👎",
    "heart": "❤",
    "fire": "🔥",
    "clap": "👏",
    "thinking": "🤔",
    "tada": "🎉",
    "pray": "🙏",
    "ok_hand": "👌",
    "eyes": "👀",
    "100": "💯",
    "cry": "😢",
}
"""Common names among the emoji that bots may react with ("ReactionTypeEmoji"); others come as themselves."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Form:
    """How a text is written: in which dialect, and into which field of an edited message."""

    dialect: text.Dialect = "telegram"
    edits: Literal["text", "caption"] = "text"


def send(delivery: Delivery, base: str) -> Exchange[Outcome]:
    """Carry out one action; asks again, in another form, when the form alone was refused."""
    form: Form | None = Form()
    while form is not None:
        request = _request(delivery, form, base)
        if isinstance(request, Refused):
            return request
        response = yield request
        form = _better(form, response)
    return verdict.judge(response, delivery.address)


def _better(form: Form, response: Response) -> Form | None:
    """Return the form to try next: plain text for broken markup, the caption for an edited picture."""
    description = api.read(response).description if response.status == 400 else ""
    if verdict.UNREADABLE in description and form.dialect != "plain":
        return dataclasses.replace(form, dialect="plain")
    if "no text in the message to edit" in description and form.edits != "caption":
        return dataclasses.replace(form, edits="caption")
    return None


def _request(delivery: Delivery, form: Form, base: str) -> Http | Refused:
    address = delivery.address
    match delivery.action:
        case Say(message=message):
            return _say(message, address, form, base)
        case Edit(message_id=message_id, message=message):
            return _edit(message, _target(address, message_id), form, base)
        case Delete(message_id=message_id):
            return api.call(base, "deleteMessage", _target(address, message_id), repeatable=True)
        case React(message_id=message_id, emoji=emoji):
            return _react(emoji, _target(address, message_id), base)
        case Typing():
            return api.call(base, "sendChatAction", {**_place(address), "action": "typing"}, repeatable=True)
        case Answer(interaction_id=interaction_id, text=notice):
            return _answer(interaction_id, notice, base)


def _say(message: Message, address: Address, form: Form, base: str) -> Http | Refused:
    if len(message.attachments) > 1:
        return Refused(reason="one attachment goes with one message: split it first")
    keyboard = _keyboard(message.buttons)
    if isinstance(keyboard, Refused):
        return keyboard
    body = {**_place(address), **_reply(message, address), **keyboard}
    if not message.attachments:
        return api.call(base, "sendMessage", {**body, **_written(message.text, form)})
    return _attach(message.attachments[0], {**body, **_caption(message.text, form)}, base)


def _edit(message: Message, body: dict[str, Any], form: Form, base: str) -> Http | Refused:
    keyboard = _keyboard(message.buttons)
    if isinstance(keyboard, Refused):
        return keyboard
    if form.edits == "caption":
        body = {**body, **_caption(message.text, form), **keyboard}
        return api.call(base, "editMessageCaption", body, repeatable=True)
    return api.call(base, "editMessageText", {**body, **_written(message.text, form), **keyboard}, repeatable=True)


def _react(emoji: str, body: dict[str, Any], base: str) -> Http:
    """Set the bot's reaction; no emoji takes it off."""
    reaction = [{"type": "emoji", "emoji": EMOJI.get(emoji.strip(":"), emoji)}] if emoji else []
    return api.call(base, "setMessageReaction", {**body, "reaction": reaction}, repeatable=True)


def _answer(interaction_id: str, notice: str, base: str) -> Http:
    body = {"callback_query_id": interaction_id}
    if notice:
        body["text"] = notice if len(notice) <= MAX_ANSWER else notice[: MAX_ANSWER - 1] + "…"
    return api.call(base, "answerCallbackQuery", body, repeatable=True)


def _attach(attachment: Attachment, body: dict[str, Any], base: str) -> Http | Refused:
    if attachment.kind == "location":
        point = {"latitude": attachment.latitude, "longitude": attachment.longitude}
        return api.call(base, "sendLocation", {**body, **point})
    if attachment.kind not in FIELDS:
        return Refused(reason=f"Telegram has no attachment of kind {attachment.kind}")
    too_large = attachment.media is not None and attachment.media.size > MAX_PHOTO
    method, field = FIELDS["file" if attachment.kind == "image" and too_large else attachment.kind]
    if attachment.media is not None:
        file = Part(name=field, media=attachment.media, filename=attachment.name or attachment.media.name or "file")
        return api.call(base, method, {}, parts=(*_parts(body), file), timeout=60.0)
    source = attachment.url or attachment.id
    return api.call(base, method, {**body, field: source}) if source else Refused(reason="the attachment is empty")


def _parts(body: dict[str, Any]) -> tuple[Part, ...]:
    """Write a body as the text parts of a multipart one: whatever is no text is JSON there."""
    return tuple(
        Part(name=name, value=value if isinstance(value, str) else msgspec.json.encode(value).decode())
        for name, value in body.items()
    )


def _place(address: Address) -> dict[str, Any]:
    body: dict[str, Any] = {"chat_id": _number(address.channel)}
    if address.thread and address.thread != GENERAL:
        body["message_thread_id"] = _number(address.thread)
    return body


def _target(address: Address, message_id: str) -> dict[str, Any]:
    return {"chat_id": _number(address.channel), "message_id": _number(message_id)}


def _number(name: str) -> int | str:
    """Return an id as Telegram writes it; what is no number is left for the API to refuse."""
    return int(name) if re.fullmatch(r"-?[0-9]{1,18}", name) else name


def _reply(message: Message, address: Address) -> dict[str, Any]:
    """Point to the message that is answered; an ephemeral one is answered to its reader alone ("ReplyParameters")."""
    ticket = address.ticket
    if "ephemeral_message_id" in ticket:
        reply = {"ephemeral_message_id": ticket["ephemeral_message_id"]}
        return {"receiver_user_id": ticket["receiver_user_id"], "reply_parameters": reply}
    if not message.reply_to:
        return {}
    reply = {"message_id": _number(message.reply_to), "allow_sending_without_reply": True}
    return {"reply_parameters": reply}


def _keyboard(buttons: tuple[Button, ...]) -> dict[str, Any] | Refused:
    """Write the buttons one below the other, so that long ones stay readable."""
    rows: list[list[dict[str, str]]] = []
    for button in buttons:
        value = button.value or button.text
        if not button.url and len(value.encode()) > MAX_BUTTON_BYTES:
            return Refused(reason=f"the value of button {button.text!r} has more than {MAX_BUTTON_BYTES} bytes")
        rows.append([{"text": button.text, **({"url": button.url} if button.url else {"callback_data": value})}])
    return {"reply_markup": {"inline_keyboard": rows}} if rows else {}


def _written(body: str, form: Form) -> dict[str, Any]:
    return {**_marked("text", body, form), "link_preview_options": {"is_disabled": True}}


def _caption(body: str, form: Form) -> dict[str, Any]:
    return _marked("caption", body, form) if body else {}


def _marked(field: str, body: str, form: Form) -> dict[str, Any]:
    marked = {field: text.render(body, form.dialect)}
    return {**marked, "parse_mode": "HTML"} if form.dialect == "telegram" else marked


def measure(body: str) -> int:
    """Count what is seen of a text, in UTF-16 units: limits hold "after entities parsing" ("sendMessage")."""
    visible = re.sub(r"<[^>]*>", "", text.render(body, "telegram"))
    return entities.units(html.unescape(visible))


def split(message: Message) -> tuple[Message, ...]:
    """Cut a message into pieces that are one call each: files first, then the text.

    A text that fits stands under the first file, where that kind of file can have one.
    """
    if not message.attachments:
        return split_with(message, _pieces)
    first, *others = message.attachments
    if first.kind in CAPTIONED and measure(message.text) <= MAX_CAPTION:
        pieces = [Message(text=message.text, attachments=(first,)), *(Message(attachments=(each,)) for each in others)]
    else:
        texts = _pieces(message.text) if message.text.strip() else ()
        files = [Message(attachments=(each,)) for each in message.attachments]
        pieces = [*files, *(Message(text=body) for body in texts)]
    pieces[0] = msgspec.structs.replace(pieces[0], reply_to=message.reply_to)
    pieces[-1] = msgspec.structs.replace(pieces[-1], buttons=message.buttons)
    return tuple(pieces)


def _pieces(body: str) -> tuple[str, ...]:
    return tuple(text.split(body, MAX_TEXT, measure))
