"""Writing the content of a message: as text, as rich text, or as a card when it has buttons.

Source: open.feishu.cn, "Message content" of sent messages, "Card JSON 2.0 structure".
"""

from typing import Any

import msgspec

from dragoman import text
from dragoman.adapters.feishu.cards import OURS
from dragoman.model import Button, Message


def content(message: Message) -> tuple[str, str]:
    """Return a message's type, and its content: JSON in a text."""
    if message.buttons:
        return "interactive", card(message)
    marked = text.render(message.text, "feishu")
    if marked == text.render(message.text, "plain"):
        return "text", encoded({"text": marked})
    return "post", encoded({"zh_cn": {"title": "", "content": [[{"tag": "md", "text": marked}]]}})


def card(message: Message) -> str:
    """Write a card: one that everybody sees changed when it is changed (`update_multi`)."""
    body = [{"tag": "markdown", "content": text.render(message.text, "feishu")}] if message.text.strip() else []
    columns = [{"tag": "column", "width": "auto", "elements": [_button(button)]} for button in message.buttons]
    row = [{"tag": "column_set", "flex_mode": "flow", "columns": columns}] if columns else []
    return encoded({"schema": "2.0", "config": {"update_multi": True}, "body": {"elements": [*body, *row]}})


def _button(button: Button) -> dict[str, Any]:
    opens = {"type": "open_url", "default_url": button.url}
    answers = {"type": "callback", "value": {OURS: button.value or button.text}}
    label = {"tag": "plain_text", "content": button.text}
    return {"tag": "button", "text": label, "behaviors": [opens if button.url else answers]}


def encoded(value: dict[str, Any]) -> str:
    """Write JSON as a text."""
    return msgspec.json.encode(value).decode()


def apart(message: Message) -> tuple[Message, ...]:
    """Part the text, with its buttons, from the attachments: each is a message of its own."""
    if not message.attachments:
        return (message,)
    files = [Message(attachments=(attachment,)) for attachment in message.attachments]
    said = [msgspec.structs.replace(message, attachments=())] if message.text.strip() or message.buttons else []
    first, *others = [*said, *files]
    return msgspec.structs.replace(first, reply_to=message.reply_to), *others
