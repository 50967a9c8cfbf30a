"""Files in: what a message carries, and how one of them is fetched (Bot API, "getFile")."""

from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

import msgspec

from dragoman.adapters.telegram import api
from dragoman.adapters.telegram.shapes import File, Message
from dragoman.errors import MediaRefused
from dragoman.model import Attachment, AttachmentKind, Media
from dragoman.wire import Exchange, Http

MAX_DOWNLOAD: Final = 20 << 20
"""Bots can download files of up to 20 MB ("getFile"); a self-hosted API server has no such limit."""

KINDS: Final[tuple[tuple[str, AttachmentKind], ...]] = (
    # An animation is a silent video, and comes as a `document` too, for clients that know no better.
    ("animation", "video"),
    ("video", "video"),
    ("video_note", "video"),
    ("audio", "audio"),
    ("voice", "audio"),
    ("sticker", "sticker"),
    ("document", "file"),
)


def of(message: Message) -> tuple[Attachment, ...]:
    """Return what a message carries beside its text; a message carries one thing (an album is many messages)."""
    return next(_candidates(message), ())


def _candidates(message: Message) -> Iterator[tuple[Attachment, ...]]:
    if message.photo:
        largest = max(message.photo, key=lambda size: (size.width * size.height, size.file_size or 0))
        yield (_file(largest, "image"),)
    for field, kind in KINDS:
        file = getattr(message, field)
        if file is not None:
            yield (_file(file, kind),)
    place = message.venue.location if message.venue else message.location
    if place is not None:
        name = message.venue.title if message.venue else ""
        yield (Attachment(kind="location", name=name, latitude=place.latitude, longitude=place.longitude),)


def _file(file: File, kind: AttachmentKind) -> Attachment:
    return Attachment(
        kind=kind,
        id=file.file_id,
        name=file.file_name,
        mime=file.mime_type,
        size=file.file_size,
        value={"downloadable": False} if (file.file_size or 0) > MAX_DOWNLOAD else {},
    )


def fetch(attachment: Attachment, base: str) -> Exchange[Media]:
    """Ask where a file is and stream it into the media store; raises `MediaRefused`.

    The file's address holds the token: it stays in the request and is never told to anyone.
    """
    if not attachment.id:
        raise MediaRefused("the attachment has no file id")
    if (attachment.size or 0) > MAX_DOWNLOAD:
        raise MediaRefused(f"the file has {attachment.size} bytes; bots may download {MAX_DOWNLOAD}")
    answer = api.read((yield api.call(base, "getFile", {"file_id": attachment.id}, repeatable=True)))
    path = answer.result.get("file_path") if answer.ok and isinstance(answer.result, dict) else None
    if not isinstance(path, str):
        raise MediaRefused(f"no file path: {answer.description or 'not the documented answer'}")
    response = yield Http(
        method="GET",
        url=f"{base}/file/bot{{credential}}/{quote(path)}",
        auth=api.BOT_TOKEN,
        place="path",
        into="media",
        timeout=60.0,
        repeatable=True,
        lane="file",
    )
    if response.status != 200 or response.media is None:
        raise MediaRefused(f"the file could not be downloaded: HTTP {response.status}")
    return _named(response.media, attachment)


def _named(media: Media, attachment: Attachment) -> Media:
    """Name a file as its message does: `getFile` knows neither name nor type."""
    return msgspec.structs.replace(media, name=attachment.name or media.name, mime=attachment.mime or media.mime)
