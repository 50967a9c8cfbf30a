"""One part of a mail, fetched piece by piece and decoded as it comes."""

import binascii
import re
from collections.abc import Callable
from email import message_from_bytes
from typing import Final, NamedTuple, Protocol

from imap_tools.imap_utf7 import utf7_encode

from dragoman.errors import MediaRefused, NoAnswer
from dragoman.flow.media import LARGEST
from dragoman.flow.transport.imap_client import ANSWER, PASSING, ImapClient
from dragoman.flow.transport.imap_look import HEADER, body
from dragoman.wire import ImapPart

PIECE: Final = 1 << 20
"""Bytes that are fetched at a time."""
PATH: Final = re.compile(r"[1-9]\d{0,3}(?:\.[1-9]\d{0,3}){0,30}")
NOT_BASE64: Final = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))


class Kind(NamedTuple):
    """What a part says of itself."""

    mime: str
    encoding: str


class Decode(Protocol):
    """Decodes a transfer encoding piece by piece."""

    def __call__(self, piece: bytes, *, last: bool) -> bytes:
        """Return what can be decoded by now."""


def check(request: ImapPart) -> None:
    """Refuse what is no path of a part."""
    if not PATH.fullmatch(request.part):
        raise MediaRefused("the attachment has no part of that name")


def starts() -> range:
    """Return where the pieces begin: as many as the largest file may have, encoded."""
    return range(0, LARGEST * 2, PIECE)


def find(client: ImapClient, request: ImapPart) -> Kind:
    """Select the folder and read the part's header; raises `MediaRefused` when it is not there any more."""
    try:
        validity, _ = client.enter(utf7_encode(request.folder))
    except LookupError as error:
        if PASSING.search(str(error)):
            raise NoAnswer("IMAP: the folder cannot be opened now", sent=False) from error
        raise MediaRefused("the mail's folder is gone") from error
    if validity != request.validity:
        raise MediaRefused("the mail's folder was made anew")
    head = body(client.take(str(request.uid), f"UID BODY.PEEK[{request.part}.MIME]<0.{HEADER}>"))
    if not head and request.part == "1":  # a mail of one part: some servers say only "HEADER" to that
        head = body(client.take(str(request.uid), f"UID BODY.PEEK[HEADER]<0.{HEADER}>"))
    if not head:  # a part without fields has an empty line; one that is not there has nothing, or NIL
        raise MediaRefused("the mail, or this part of it, is gone")
    parsed = message_from_bytes(head)
    return Kind(parsed.get_content_type(), str(parsed.get("content-transfer-encoding", "")).strip().lower())


def piece(client: ImapClient, request: ImapPart, start: int) -> bytes:
    """Fetch a piece of the part as it is encoded."""
    found = body(client.take(str(request.uid), f"UID BODY.PEEK[{request.part}]<{start}.{PIECE}>", size=PIECE + ANSWER))
    if found is None:
        raise MediaRefused("the mail, or this part of it, is gone")
    return found[:PIECE]


def decoder(encoding: str) -> Decode:
    """Return what decodes a transfer encoding; an unknown one is left as it is."""
    kinds: dict[str, Callable[[], Decode]] = {"base64": _Base64, "quoted-printable": _Quoted}
    return kinds.get(encoding, lambda: _plain)()


def _plain(piece: bytes, *, last: bool) -> bytes:  # noqa: ARG001 - the shape of `Decode`
    return piece


class _Base64:
    """Takes four letters at a time, over line ends and whatever does not belong there."""

    def __init__(self) -> None:
        self._rest = b""

    def __call__(self, piece: bytes, *, last: bool) -> bytes:
        letters = self._rest + piece.translate(None, NOT_BASE64)
        whole = len(letters) // 4 * 4
        self._rest = letters[whole:]
        if last and len(self._rest) > 1:
            return binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))
        return binascii.a2b_base64(letters[:whole])


class _Quoted:
    """Takes whole lines, so that no `=XY` is cut in two."""

    def __init__(self) -> None:
        self._rest = b""

    def __call__(self, piece: bytes, *, last: bool) -> bytes:
        lines = self._rest + piece
        end = len(lines) if last else lines.rfind(b"\n") + 1
        self._rest = lines[end:]
        return binascii.a2b_qp(lines[:end])
