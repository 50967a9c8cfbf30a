"""What the Bot API refuses about the values of a call; each check raises `Problem` with the server's words."""

import re
from typing import Any, Final
from urllib.parse import urlsplit

from dragoman.testing.simulators.telegram import markup
from dragoman.testing.simulators.telegram.calls import bad_request

LIMITS: Final = {"text": (4096, "message is too long"), "caption": (1024, "message caption is too long")}
MAX_DATA: Final = 64
MAX_NOTICE: Final = 200
PORTS: Final = frozenset({None, 443, 80, 88, 8443})
REACTIONS: Final = frozenset("👍 👎 ❤ 🔥 🥰 👏 😁 🤔 🤯 😱 😢 🎉 🤩 🙏 👌 😍 💯 🤣 ⚡ 🏆 💔 👀 🤝 🤗 🫡 🆒 😎".split())  # noqa: SIM905 - emoji read better in a row
"""Some of the emoji that bots may react with ("ReactionTypeEmoji")."""
ACTIONS: Final = frozenset(
    f"{deed}_{what}" for deed in ("upload", "record") for what in ("video", "voice", "video_note")
) | {"typing", "upload_photo", "upload_document", "choose_sticker", "find_location"}


def number(value: Any) -> int:
    """Return a message's number."""
    if not re.fullmatch(r"[0-9]{1,16}", str(value)):
        raise bad_request("message identifier is not specified")
    return int(value)


def text(values: dict[str, Any], field: str) -> str:
    """Return a text as people will see it: not empty (a caption may be), not too long, its markup sound."""
    body = values.get(field, "")
    if not isinstance(body, str):
        raise bad_request(f"parameter {field!r} must be a string")
    seen = _parsed(body, values.get("parse_mode"))
    limit, refusal = LIMITS[field]
    if markup.units(seen) > limit:
        raise bad_request(refusal)
    if field == "text" and not seen.strip():
        raise bad_request("message text is empty")
    return seen


def _parsed(body: str, mode: Any) -> str:
    if mode is None:
        return body
    if mode != "HTML":
        raise bad_request(f"parse_mode {mode!r} is not supported by the simulator")
    try:
        return markup.visible(body)
    except ValueError as error:
        raise bad_request(f"can't parse entities: {error}") from error


def keyboard(values: dict[str, Any]) -> Any:
    """Return the inline keyboard: rows of buttons, each with a text and exactly one deed."""
    reply_markup = values.get("reply_markup")
    if reply_markup is None:
        return None
    rows = reply_markup.get("inline_keyboard") if isinstance(reply_markup, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise bad_request("can't parse inline keyboard")
    for button in (button for row in rows for button in row):
        _button(button)
    return rows


def _button(button: Any) -> None:
    deeds = button.keys() - {"text"} if isinstance(button, dict) else set()
    if deeds not in ({"callback_data"}, {"url"}) or not button.get("text"):
        raise bad_request("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
    if not 1 <= len(button.get("callback_data", "x").encode()) <= MAX_DATA:
        raise bad_request("BUTTON_DATA_INVALID")


def reaction(values: dict[str, Any]) -> str:
    """Return the one emoji that is put on; empty when it is taken off."""
    kinds = values.get("reaction") or []
    if len(kinds) > 1:
        raise bad_request("REACTIONS_TOO_MANY")
    if not kinds:
        return ""
    emoji = kinds[0].get("emoji", "")
    if kinds[0].get("type") != "emoji" or emoji not in REACTIONS:
        raise bad_request("REACTION_INVALID")
    return str(emoji)


def chat_action(values: dict[str, Any]) -> None:
    """Refuse an action that no client shows."""
    if values["action"] not in ACTIONS:
        raise bad_request("wrong parameter action in request")


def notice(values: dict[str, Any]) -> None:
    """Refuse an answer to a callback that is too long to show."""
    if len(values.get("text", "")) > MAX_NOTICE:
        raise bad_request("MESSAGE_TOO_LONG")


def webhook(values: dict[str, Any]) -> None:
    """Refuse an address that Telegram would not call, and a secret that no header can carry."""
    address = urlsplit(values["url"])
    if values["url"] and address.scheme != "https":
        raise bad_request("bad webhook: An HTTPS URL must be provided for webhook")
    if address.port not in PORTS:
        raise bad_request("bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443")
    if not re.fullmatch(r"[A-Za-z0-9_-]{0,256}", values.get("secret_token", "")):
        raise bad_request("secret token contains unallowed characters")
