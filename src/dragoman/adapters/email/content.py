"""What a mail says: its text, chosen among its parts, and everything else as attachments."""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from dragoman.adapters.email import charsets, flowed, headers, html, mime
from dragoman.adapters.email.mime import Part
from dragoman.model import Attachment, AttachmentKind

MAX_TEXT: Final = 1 << 18
"""Characters of text that are kept; the whole mail is in the mailbox."""
LONGEST_NAME: Final = 120
READABLE: Final = frozenset({"text/plain", "text/html", "text/enriched", "text/markdown"})
"""What is text, and not a file, unless it says otherwise."""
SEALS: Final = frozenset(
    {"application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature", "text/rfc822-headers"}
)
"""Proofs and remains, which nobody attached."""
KINDS: Final[dict[str, AttachmentKind]] = {"image": "image", "audio": "audio", "video": "video"}
UNSAFE: Final = re.compile(r"[\\/:*?\"<>|\x00-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
"""Not in a file's name: separators, what shells and Windows read, and marks that turn the writing round."""


class Content(NamedTuple):
    """The text as sent, whether more of it was cut off, and the attachments."""

    text: str
    cut: bool
    attachments: tuple[Attachment, ...]


def of(mail: Part, place: str, *, whole: bool) -> Content:
    """Read a mail's parts; `place` names it in the mailbox, and `whole` is False when only its header came."""
    if not whole:
        return Content("", cut=True, attachments=())
    parts = list(_chosen(mail))
    text, cut = _joined([part for part in parts if _is_text(part)])
    attachments = tuple(_attachment(part, place) for part in parts if not _is_text(part))
    return Content(text, cut=cut, attachments=attachments)


def _joined(parts: Sequence[Part]) -> tuple[str, bool]:
    """Return the parts' text, and whether there was more of it; they share what is read of one mail."""
    found, left, cut = "", charsets.WINDOW, False
    for part in parts:
        if left <= 0 or len(found) > MAX_TEXT:
            return found[:MAX_TEXT], True
        text, more = _text(part)
        found += f"\n{text}" if found and text.strip() else text
        cut |= more
        left -= len(part.body) if part.mime == "text/plain" else max(len(part.body), charsets.WINDOW // 4)
    return found[:MAX_TEXT], cut or len(found) > MAX_TEXT


def _chosen(part: Part) -> Iterator[Part]:
    """Yield the parts that count, in order: of alternatives one text, and what is no text of all of them."""
    if part.mime == "multipart/alternative" and part.parts:
        yield from _alternative(part)
    elif part.parts:
        for below in part.parts:
            yield from _chosen(below)
    elif part.mime not in SEALS and not part.mime.startswith("multipart/"):
        yield part


def _alternative(part: Part) -> Iterator[Part]:
    """Prefer plain text that says something, then HTML, then whatever text there is."""
    choices = [list(_chosen(below)) for below in part.parts]
    ranked = [(_rank(choice), number) for number, choice in enumerate(choices)]
    _, best = min(ranked)
    for number, choice in enumerate(choices):
        for each in choice:
            if number == best or not _is_text(each):
                yield each


def _rank(choice: list[Part]) -> int:
    kinds = {part.mime for part in choice if _is_text(part)}
    if "text/plain" in kinds and any(part.body.strip() for part in choice if part.mime == "text/plain"):
        return 0
    return 1 if "text/html" in kinds else 2


def _is_text(part: Part) -> bool:
    disposition = part.get("content-disposition")
    how = disposition.partition(";")[0].strip().lower()
    named = "filename" in headers.parameters(disposition)
    return part.mime in READABLE and how != "attachment" and not named


def _text(part: Part) -> tuple[str, bool]:
    """Return a part as the text that its reader sees, and whether there was more of it than is read."""
    options = headers.parameters(part.get("content-type"))
    raw = part.content(3 * charsets.WINDOW)
    text = charsets.decode(raw, options.get("charset", ""))
    if part.mime in {"text/html", "text/enriched"}:
        return html.to_text(text)
    cut = len(text) > MAX_TEXT or len(raw) > charsets.WINDOW
    text = text[:MAX_TEXT]
    if options.get("format", "").lower() == "flowed":
        text = flowed.unwrap(text, delete_space=options.get("delsp", "").lower() == "yes")
    return text.strip("\n"), cut


def _attachment(part: Part, place: str) -> Attachment:
    content_id = part.get("content-id").strip("<> ")
    inline = part.get("content-disposition").strip().lower().startswith("inline") or bool(content_id)
    return Attachment(
        kind=KINDS.get(part.mime.partition("/")[0], "file"),
        id=f"{place}:{part.path}" if place else "",
        name=_name(part),
        mime=part.mime,
        size=_size(part),
        value={"inline": True, "content_id": content_id[:250]} if inline and content_id else {},
    )


def _name(part: Part) -> str:
    """Return an attachment's name, safe to save under; a mail is named by its subject."""
    given = headers.parameters(part.get("content-disposition")).get("filename", "")
    given = given or headers.parameters(part.get("content-type")).get("name", "")
    if not given and part.mime == "message/rfc822":
        given = headers.words(mime.header(part.body[: mime.MAX_HEADER]).get("subject")) + ".eml"
    if not given and part.mime == "text/calendar":
        given = "invite.ics"
    return safe(given)


def safe(name: str) -> str:
    """Return a file's name without what could lead out of a folder or mislead a reader; long ones keep their ending."""
    plain = UNSAFE.sub("_", charsets.line(name)).strip(". ")
    if len(plain) <= LONGEST_NAME:
        return plain
    stem, dot, ending = plain.rpartition(".")
    if not dot or len(ending) > 10:
        return plain[:LONGEST_NAME]
    return f"{stem[: LONGEST_NAME - len(ending) - 1]}.{ending}"


def _size(part: Part) -> int:
    """Return the bytes of an attachment; of base64 without decoding it."""
    if part.get("content-transfer-encoding").strip().lower() != "base64":
        return len(part.content())
    return len(part.body.translate(None, charsets.NOT_BASE64)) * 3 // 4
