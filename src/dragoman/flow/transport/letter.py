"""A letter as it goes over the wire: the adapter's message, with kept files added as attachments on the way."""

import base64
import os
import re
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Final

from dragoman.flow.media import MediaStore
from dragoman.wire import Part, Smtp

PIECE: Final = 57 * 1024
"""Bytes of a file that are encoded at a time: whole lines of 76 letters."""
LINE_END: Final = re.compile(rb"\r\n|\r|\n")
DOT: Final = re.compile(rb"(?m)^\.")
CONTENT: Final = re.compile(rb"(?:content-[a-z-]+|mime-version):", re.IGNORECASE)
MIME: Final = re.compile(r"[\w!#$&^.+-]{1,64}/[\w!#$&^.+-]{1,64}", re.ASCII)


class Letter:
    """What goes between DATA and the final dot."""

    def __init__(self, before: bytes, files: tuple[tuple[bytes, Path], ...], after: bytes, envelope: str) -> None:
        """Take the message up to its attachments, these with their headers, and what closes it."""
        header = before.partition(b"\r\n\r\n")[0]
        self._before, self._files, self._after = before, files, after
        self.international = not (envelope.isascii() and header.isascii())
        self.eight_bit = not before.isascii()
        self.size = len(before) + len(after) + sum(len(head) + _encoded(path) for head, path in files)

    @classmethod
    def make(cls, request: Smtp, media: MediaStore) -> "Letter":
        """Make the letter of a request; raises `MediaRefused` when a file is not kept any more."""
        envelope = "".join((request.sender, *request.recipients))
        message = LINE_END.sub(b"\r\n", request.message)
        message = message if message.endswith(b"\r\n") else message + b"\r\n"
        files = [(part, media.path(part.media)) for part in request.attachments if part.media is not None]
        if not files:
            return cls(message, (), b"", envelope)
        boundary = b"=_" + os.urandom(18).hex().encode()
        outer, inner, body = _parted(message)
        before = b"".join(
            (
                *outer,
                b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n boundary="' + boundary + b'"\r\n\r\n',
                b"--" + boundary + b"\r\n",
                *inner,
                b"\r\n",
                body,
            )
        )
        heads = tuple((b"\r\n--" + boundary + b"\r\n" + _head(part), path) for part, path in files)
        return cls(before, heads, b"\r\n--" + boundary + b"--\r\n", envelope)

    def pieces(self) -> Iterator[bytes]:
        """Give the letter's bytes, with leading dots doubled, and never an empty piece."""
        yield DOT.sub(b"..", self._before)
        for head, path in self._files:
            yield head
            with path.open("rb") as file:
                while piece := file.read(PIECE):
                    yield base64.encodebytes(piece).replace(b"\n", b"\r\n")
        if self._after:
            yield self._after


def _parted(message: bytes) -> tuple[list[bytes], list[bytes], bytes]:
    """Part a message into the fields of the whole, the fields of its content, and its body."""
    header, _, body = message.partition(b"\r\n\r\n")
    fields = re.findall(rb"[^\r\n]+\r\n(?:[ \t][^\r\n]*\r\n)*", header + b"\r\n")
    outer = [field for field in fields if not CONTENT.match(field)]
    inner = [field for field in fields if CONTENT.match(field) and not field.lower().startswith(b"mime-version")]
    return outer, inner, body


def _head(part: Part) -> bytes:
    """Write an attachment's fields; its name is encoded (RFC 2231), so it can break no line."""
    mime = part.media.mime if part.media else ""
    name = part.filename or (part.media.name if part.media else "") or "file"
    fields = Message()
    fields["Content-Type"] = mime if MIME.fullmatch(mime) else "application/octet-stream"
    fields["Content-Transfer-Encoding"] = "base64"
    encoded = ("utf-8", "", name) if not _plain(name) else name
    fields.add_header("Content-Disposition", "attachment", filename=encoded)
    return fields.as_bytes().replace(b"\n", b"\r\n")


def _plain(name: str) -> bool:
    return name.isascii() and name.isprintable()


def _encoded(path: Path) -> int:
    """Return how long a file is in base64 with its line ends."""
    size = path.stat().st_size
    return -(-size // 3) * 4 + -(-size // 57) * 2
