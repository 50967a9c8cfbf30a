"""Calls of the Bot API: which methods and parameters there are, and how a request carries them."""

import dataclasses
import email
import email.policy
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from dragoman import wire
from dragoman.errors import Malformed
from dragoman.wire import Http, Response

SENDING: Final = (
    "business_connection_id message_thread_id direct_messages_topic_id receiver_user_id callback_query_id "
    "disable_notification protect_content allow_paid_broadcast message_effect_id suggested_post_parameters "
    "reply_parameters reply_markup"
)
CAPTION: Final = "caption parse_mode caption_entities"
SHOWN: Final = f"{CAPTION} show_caption_above_media has_spoiler"
TEXT: Final = "parse_mode entities link_preview_options"
EDITED: Final = "business_connection_id inline_message_id reply_markup"

METHODS: Final[dict[str, tuple[str, str]]] = {
    "getMe": ("", ""),
    "getUpdates": ("", "offset limit timeout allowed_updates"),
    "setWebhook": (
        "url",
        "certificate ip_address max_connections allowed_updates drop_pending_updates secret_token",
    ),
    "deleteWebhook": ("", "drop_pending_updates"),
    "getWebhookInfo": ("", ""),
    "getFile": ("file_id", ""),
    "sendMessage": ("chat_id", f"text {SENDING} {TEXT}"),
    "sendPhoto": ("chat_id photo", f"{SENDING} {SHOWN}"),
    "sendAudio": ("chat_id audio", f"{SENDING} {CAPTION} duration performer title thumbnail"),
    "sendDocument": ("chat_id document", f"{SENDING} {CAPTION} thumbnail disable_content_type_detection"),
    "sendVideo": (
        "chat_id video",
        f"{SENDING} {SHOWN} duration width height thumbnail cover start_timestamp supports_streaming",
    ),
    "sendSticker": ("chat_id sticker", f"{SENDING} emoji"),
    "sendLocation": (
        "chat_id latitude longitude",
        f"{SENDING} horizontal_accuracy live_period heading proximity_alert_radius",
    ),
    "editMessageText": ("chat_id message_id", f"text {EDITED} {TEXT} rich_message"),
    "editMessageCaption": ("chat_id message_id", f"{EDITED} {CAPTION} show_caption_above_media"),
    "deleteMessage": ("chat_id message_id", ""),
    "setMessageReaction": ("chat_id message_id", "reaction is_big"),
    "sendChatAction": ("chat_id action", "business_connection_id message_thread_id"),
    "answerCallbackQuery": ("callback_query_id", "text show_alert url cache_time"),
}
"""The required and the other parameters of each method (Bot API, "Available methods")."""

STRUCTURED: Final = frozenset(
    ["reply_parameters", "reply_markup", "link_preview_options", "entities", "reaction", "allowed_updates"]
)
"""Parameters that are JSON where the request is a form."""


class Problem(Exception):
    """A refusal, as the Bot API words it."""

    def __init__(self, status: int, description: str, **parameters: int) -> None:
        """Say the HTTP status, the description and what the client should do."""
        super().__init__(description)
        self.status = status
        self.description = description
        self.parameters = parameters

    def response(self) -> Response:
        """Return the answer that refuses."""
        answer = {"ok": False, "error_code": self.status, "description": self.description}
        headers = {"retry-after": str(after)} if (after := self.parameters.get("retry_after")) else {}
        extra = {"parameters": self.parameters} if self.parameters else {}
        return wire.json_response({**answer, **extra}, self.status, headers)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Upload:
    """A file in a multipart request."""

    name: str
    content: bytes


def bad_request(description: str) -> Problem:
    """Make the refusal that most mistakes get."""
    return Problem(400, f"Bad Request: {description}")


def parameters(request: Http, method: str) -> dict[str, Any]:
    """Read and check the parameters of a call; raises `Problem`."""
    if method not in METHODS:
        raise Problem(404, "Not Found")
    values = {**request.query, **_body(request)}
    required, others = (set(names.split()) for names in METHODS[method])
    if unknown := values.keys() - required - others:
        raise bad_request(f"unknown parameter {min(unknown)!r}")
    if missing := required - values.keys():
        raise bad_request(f"parameter {min(missing)!r} is required")
    return values


def _body(request: Http) -> dict[str, Any]:
    if not request.body:
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in READERS:
        raise bad_request(f"unsupported content type {kind!r}")
    try:
        return READERS[kind](request)
    except (Malformed, UnicodeDecodeError, ValueError) as error:
        raise bad_request(f"can't parse the request: {error}") from error


def _json(request: Http) -> dict[str, Any]:
    return wire.decode_object(request.body)


def _form(request: Http) -> dict[str, Any]:
    return _structured(dict(parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True)))


def _multipart(request: Http) -> dict[str, Any]:
    head = f"content-type: {request.headers['content-type']}\r\n\r\n".encode()
    values: dict[str, Any] = {}
    for part in email.message_from_bytes(head + request.body, policy=email.policy.HTTP).iter_parts():
        name = part.get_param("name", header="content-disposition")
        if not isinstance(name, str):
            raise bad_request("a part of the request has no name")
        content, filename = bytes(part.get_payload(decode=True)), part.get_filename()
        values[name] = content.decode() if filename is None else Upload(name=filename, content=content)
    return _structured(values)


def _structured(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: msgspec.json.decode(value) if name in STRUCTURED and isinstance(value, str) else value
        for name, value in values.items()
    }


READERS: Final[dict[str, Callable[[Http], dict[str, Any]]]] = {
    "application/json": _json,
    "application/x-www-form-urlencoded": _form,
    "multipart/form-data": _multipart,
}
