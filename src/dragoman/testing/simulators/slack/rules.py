"""What Slack refuses: arguments by method, texts and blocks by their limits, each with Slack's own error.

Source: docs.slack.dev, the page of each method, "Block Kit" (reference of blocks and elements).
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta, Struct

from dragoman import wire
from dragoman.errors import Malformed
from dragoman.wire import Http

JSON: Final = "application/json; charset=utf-8"
FORM: Final = "application/x-www-form-urlencoded"
TS: Final = re.compile(r"[0-9]{10}\.[0-9]{6}")
MAX_TEXT: Final = 40_000
MAX_BLOCK_TEXT: Final = 12_000


class Refusal(Exception):
    """A call is refused with an error's name, nearly always with status 200."""

    def __init__(self, error: str, status: int = 200, **headers: str) -> None:
        """Name the error as Slack does."""
        super().__init__(error)
        self.error = error
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Method:
    """A method of the Web API: its arguments with their types, and whether it takes a form only."""

    required: Mapping[str, type] = dataclasses.field(default_factory=dict)
    optional: Mapping[str, type] = dataclasses.field(default_factory=dict)
    form: bool = False


WORDS: Final = {"text": str, "blocks": list}

METHODS: Final = {
    "apps.connections.open": Method(form=True),
    "auth.revoke": Method(optional={"test": str}, form=True),
    "auth.test": Method(form=True),
    "chat.postMessage": Method(
        required={"channel": str},
        optional={**WORDS, "thread_ts": str, "reply_broadcast": bool, "unfurl_links": bool, "mrkdwn": bool},
    ),
    "chat.update": Method(required={"channel": str, "ts": str}, optional=WORDS),
    "chat.delete": Method(required={"channel": str, "ts": str}),
    "reactions.add": Method(required={"channel": str, "timestamp": str, "name": str}),
    "files.getUploadURLExternal": Method(required={"filename": str, "length": str}, form=True),
    "files.completeUploadExternal": Method(
        required={"files": list}, optional={"channel_id": str, "thread_ts": str, "initial_comment": str}
    ),
    "files.info": Method(required={"file": str}, form=True),
}
RESPONSE_URL: Final = Method(
    optional={**WORDS, "response_type": str, "replace_original": bool, "delete_original": bool, "thread_ts": str}
)


class Label(Struct, tag_field="type", tag="plain_text", forbid_unknown_fields=True):
    """The text of a button."""

    text: Annotated[str, Meta(min_length=1, max_length=75)]
    emoji: bool = True


class Words(Struct, tag_field="type", tag="mrkdwn", forbid_unknown_fields=True):
    """The text of a section."""

    text: Annotated[str, Meta(min_length=1, max_length=3000)]


class Button(Struct, tag_field="type", tag="button", forbid_unknown_fields=True):
    """A button; its id is unique within its block."""

    text: Label
    action_id: Annotated[str, Meta(min_length=1, max_length=255)]
    value: Annotated[str, Meta(max_length=2000)] = ""
    url: Annotated[str, Meta(max_length=3000)] = ""


class Section(Struct, tag_field="type", tag="section", forbid_unknown_fields=True):
    """A block of text."""

    text: Words


class Actions(Struct, tag_field="type", tag="actions", forbid_unknown_fields=True):
    """A row of buttons."""

    elements: Annotated[list[Button], Meta(min_length=1, max_length=25)]


def json_arguments(request: Http) -> dict[str, Any]:
    """Return a call's JSON arguments; Slack wants the character set named."""
    if request.headers.get("content-type", "").lower() != JSON:
        raise Refusal("invalid_post_type")
    try:
        return wire.decode_object(request.body)
    except Malformed as error:
        raise Refusal("invalid_json") from error


def form_arguments(request: Http) -> dict[str, Any]:
    """Return a call's form arguments; no body means none."""
    if request.body and request.headers.get("content-type", "").partition(";")[0] != FORM:
        raise Refusal("invalid_form_data")
    return dict(parse_qsl(request.body.decode(errors="replace"), keep_blank_values=True))


def check_arguments(method: Method, arguments: dict[str, Any]) -> None:
    """Refuse a missing, unknown or mistyped argument."""
    known = {**method.required, **method.optional}
    wrong = [name for name, value in arguments.items() if name not in known or not isinstance(value, known[name])]
    if wrong or set(method.required) - set(arguments):
        raise Refusal("invalid_arguments")


def check_content(arguments: dict[str, Any]) -> None:
    """Refuse a message without content, too long, or badly laid out."""
    text, blocks = arguments.get("text", ""), arguments.get("blocks", [])
    if not text and not blocks:
        raise Refusal("no_text")
    if len(text) > MAX_TEXT:
        raise Refusal("msg_too_long")
    _check_blocks(blocks)


def _check_blocks(blocks: list[Any]) -> None:
    try:
        laid = msgspec.convert(blocks, Annotated[list[Section | Actions], Meta(max_length=50)])
    except msgspec.ValidationError as error:
        raise Refusal("invalid_blocks") from error
    rows = [[button.action_id for button in block.elements] for block in laid if isinstance(block, Actions)]
    if any(len(row) != len(set(row)) for row in rows):
        raise Refusal("invalid_blocks")
    if sum(len(block.text.text) for block in laid if isinstance(block, Section)) > MAX_BLOCK_TEXT:
        raise Refusal("msg_blocks_too_long")


def check_thread(arguments: dict[str, Any]) -> None:
    """Refuse a thread that is no message's timestamp."""
    if not TS.fullmatch(arguments.get("thread_ts", "1000000000.000000")):
        raise Refusal("invalid_thread_ts")
