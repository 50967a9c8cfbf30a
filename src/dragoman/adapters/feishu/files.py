"""Feishu's files, both ways: an upload that gives a key, and a download that needs the message.

Source: open.feishu.cn, "Upload image", "Upload file", "Get the resource of a message".
"""

from typing import Final
from urllib.parse import quote

import msgspec

from dragoman.adapters.feishu import api
from dragoman.adapters.feishu.api import Api, message_path
from dragoman.adapters.feishu.writing import encoded
from dragoman.errors import MediaRefused
from dragoman.model import Attachment, Media
from dragoman.wire import Exchange, Http, Outcome, Part, Refused, Retry, Unsure

MAX_IMAGE: Final = 10 << 20
"""A larger picture goes as a file."""

MAX_FILE: Final = 30 << 20

IMAGES: Final = frozenset(
    f"image/{kind}" for kind in ("jpeg", "png", "webp", "gif", "bmp", "tiff", "heic", "x-icon", "vnd.microsoft.icon")
)
FILE_TYPES: Final = {
    "opus": "opus",
    "mp4": "mp4",
    "pdf": "pdf",
    "doc": "doc",
    "docx": "doc",
    "xls": "xls",
    "xlsx": "xls",
    "ppt": "ppt",
    "pptx": "ppt",
}
"""Feishu's type of a file, by the ending of its name; any other is a `stream`."""

ENDINGS: Final = {"audio/opus": "opus", "video/mp4": "mp4", "application/pdf": "pdf"}
MESSAGE_TYPES: Final = {"opus": "audio", "mp4": "media"}
"""How a file is shown, by Feishu's type; any other is a `file`."""

Content = tuple[str, str]
"""A message's type and its content."""


def upload(calls: Api, attachment: Attachment) -> Exchange[Content | Outcome]:
    """Bring a file to Feishu, where nobody sees it yet; returns the message that shows it."""
    media = attachment.media or Media(ref="")
    name = attachment.name or media.name or attachment.kind
    if media.mime in IMAGES and attachment.kind != "file" and media.size <= MAX_IMAGE:
        return (yield from _upload_image(calls, media, name))
    if media.size > MAX_FILE:
        return Refused(reason=f"the file has {media.size} bytes; Feishu takes {MAX_FILE}")
    return (yield from _upload_file(calls, media, name))


def _upload_image(calls: Api, media: Media, name: str) -> Exchange[Content | Outcome]:
    parts = (Part(name="image_type", value="message"), Part(name="image", media=media, filename=name))
    reply = yield from api.call(calls.upload("images", "/open-apis/im/v1/images", parts))
    key = reply.data.image_key if reply.data else None
    return ("image", encoded({"image_key": key})) if key else _unseen(reply.failure())


def _upload_file(calls: Api, media: Media, name: str) -> Exchange[Content | Outcome]:
    kind = _file_type(name, media.mime)
    texts = (Part(name="file_type", value=kind), Part(name="file_name", value=name))
    parts = (*texts, Part(name="file", media=media, filename=name))
    reply = yield from api.call(calls.upload("files", "/open-apis/im/v1/files", parts))
    key = reply.data.file_key if reply.data else None
    return (MESSAGE_TYPES.get(kind, "file"), encoded({"file_key": key})) if key else _unseen(reply.failure())


def _file_type(name: str, mime: str) -> str:
    ending = name.rpartition(".")[2].lower()
    return FILE_TYPES.get(ENDINGS.get(mime, ending), "stream")


def _unseen(outcome: Outcome) -> Outcome:
    """Whatever became of a step that nobody sees, it may be repeated."""
    return Retry(reason=outcome.reason) if isinstance(outcome, Unsure) else outcome


def fetch(calls: Api, attachment: Attachment) -> Exchange[Media]:
    """Fetch what a person sent; stickers, and what was forwarded in one message, cannot be fetched."""
    message_id, kind = attachment.value.get("message_id"), attachment.value.get("resource_type")
    if not (isinstance(message_id, str) and kind in {"image", "file"} and attachment.id):
        raise MediaRefused(f"Feishu hands out no file for this {attachment.kind}")
    reply = yield from api.call(_download(calls, message_id, attachment.id, str(kind)))
    if reply.status != 200 or reply.media is None:
        raise MediaRefused(f"the file could not be fetched: {getattr(reply.failure(), 'reason', reply.status)}")
    named = {"name": attachment.name or reply.media.name, "mime": attachment.mime or reply.media.mime}
    return msgspec.structs.replace(reply.media, **named)


def _download(calls: Api, message_id: str, key: str, kind: str) -> Http:
    path = message_path(message_id, "resources", quote(key, safe=""))
    return calls.get("resources", path, query={"type": kind}, into="media", timeout=api.PATIENCE)
