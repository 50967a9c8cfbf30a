"""One reply as bytes: a header that threads and never loops, and a body as text and as HTML.

Written by hand where the standard library goes wrong: its generator takes a random boundary, and it encodes
long message ids, which then thread nothing. The same delivery always gives the same ids.
"""

import base64
import binascii
import re
from email.utils import formatdate
from typing import Any, Final, NamedTuple

from dragoman import crypto, text
from dragoman.adapter import linked
from dragoman.adapters.email import charsets, headers
from dragoman.adapters.email.parse import MAX_REFERENCES, OURS, trimmed
from dragoman.errors import Malformed
from dragoman.model import Address, Button, Delivery, Message

WIDTH: Final = 76
REPLIED: Final = re.compile(
    r"(?:(?:re|aw|sv|vs|antw|odp|ynt|ref|r|回复|回覆|答复|答覆)\s?(?:\[\d{1,3}\]|\(\d{1,3}\))?\s?[:：]\s*)+",
    re.IGNORECASE,
)
"""How subjects of replies begin, in many languages."""
PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*")
MAX_FIRST_LINE: Final = 70
PAGE: Final = '<!DOCTYPE html>\n<html><head><meta charset="utf-8"></head><body>\n{}\n</body></html>'


class From(NamedTuple):
    """Who writes."""

    address: str
    name: str = ""


class Written(NamedTuple):
    """A mail ready to leave: its recipients, its id, its bytes."""

    recipients: tuple[str, ...]
    message_id: str
    content: bytes


class _Thread(NamedTuple):
    """What is known of the mail that is answered."""

    to: tuple[str, ...]
    cc: tuple[str, ...]
    subject: str
    message_id: str
    references: tuple[str, ...]


def reply(message: Message, delivery: Delivery, sender: From, now: float) -> Written:
    """Write a message as a mail; raises `Malformed` when there is nobody to write to, or a value that breaks a line."""
    thread = _thread(delivery.address)
    if not thread.to:
        raise Malformed("there is no address to write to")
    words = _worded(message)
    message_id = own_id(delivery, sender)
    references = trimmed((*thread.references, thread.message_id) if thread.message_id else thread.references)
    fields = {
        "From": _mailbox(sender),
        "To": ", ".join(map(headers.wired, thread.to)),
        "Cc": ", ".join(map(headers.wired, thread.cc)),
        "Subject": _subject(thread, words),
        "Date": formatdate(now),
        "Message-ID": message_id,
        "In-Reply-To": thread.message_id,
        "References": " ".join(references),
        "Auto-Submitted": "auto-replied" if thread.message_id else "auto-generated",
        "X-Auto-Response-Suppress": "All",
        "X-Loop": headers.wired(sender.address),
        "MIME-Version": "1.0",
    }
    boundary = f"=_{crypto.fingerprint(message_id)}"
    head = "".join(_field(name, value) for name, value in fields.items() if value)
    content = head.encode() + _alternatives(words, boundary)
    return Written(
        recipients=(*map(headers.wired, thread.to), *map(headers.wired, thread.cc)),
        message_id=message_id,
        content=content,
    )


def own_id(delivery: Delivery, sender: From) -> str:
    """Return the id of a delivery's mail: the same however often it is tried, and no other delivery's."""
    name = crypto.fingerprint(delivery.address.account, sender.address, delivery.key)
    return f"{OURS}{name}@{headers.wired(sender.address).rpartition('@')[2]}>"


def _thread(address: Address) -> _Thread:
    """Read the ticket; without one it is the beginning of a thread, or its continuation by the thread's root."""
    ticket = address.ticket
    to = tuple(map(headers.address, _texts(ticket, "to"))) or (headers.address(address.channel),)
    root = headers.ids(address.thread)
    return _Thread(
        to=tuple(each for each in dict.fromkeys(to) if each),
        cc=tuple(each for each in map(headers.address, _texts(ticket, "cc")) if each and each not in to),
        subject=_text(ticket, "subject"),
        message_id=next(iter(headers.ids(_text(ticket, "message_id"))), ""),
        references=headers.ids(" ".join(_texts(ticket, "references")[: 2 * MAX_REFERENCES])) or root,
    )


def _text(ticket: dict[str, Any], name: str) -> str:
    value = ticket.get(name)
    return value if isinstance(value, str) else ""


def _texts(ticket: dict[str, Any], name: str) -> list[str]:
    value = ticket.get(name)
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _worded(message: Message) -> str:
    """Return the text with what has no place of its own in a mail: links, and the words of buttons."""
    words = linked(message).text
    choices = "\n".join(f"- {_choice(button)}" for button in message.buttons)
    return "\n\n".join(part for part in (words, choices) if part)


def _choice(button: Button) -> str:
    label = re.sub(r"([\\\[\]*_`<>])", r"\\\1", charsets.line(button.text))
    return f"[{label}](<{button.url}>)" if button.url else label


def _subject(thread: _Thread, words: str) -> str:
    """Return the subject of a reply, with `Re:` once; of a new thread its first words."""
    if thread.subject or thread.message_id or thread.references:
        subject = charsets.line(thread.subject)
        answered = REPLIED.match(subject)
        bare = subject[answered.end() :] if answered else subject
        return f"Re: {bare}".strip()
    first = charsets.line(next((line for line in text.render(words, "plain").split("\n") if line.strip()), ""))
    return first if len(first) <= MAX_FIRST_LINE else f"{first[:MAX_FIRST_LINE].rstrip()}…"


def _mailbox(sender: From) -> str:
    name = charsets.line(sender.name)
    if not name:
        return headers.wired(sender.address)
    if name.isascii():
        quoted = name if PLAIN_NAME.fullmatch(name) else '"' + re.sub(r'(["\\])', r"\\\1", name) + '"'
        return f"{quoted} <{headers.wired(sender.address)}>"
    return f"{_encoded(name)} <{headers.wired(sender.address)}>"


def _field(name: str, value: str) -> str:
    """Write a field, folded between its words; raises `Malformed` for a value that would begin another one."""
    if re.search(r"[\r\n\x00]", value):
        raise Malformed(f"a line break in the field {name}")
    if name == "Subject" and not value.isascii():
        value = _encoded(value)
    lines, line = [], f"{name}:"
    for word in _words(value):
        if len(line) + 1 + len(word) > WIDTH and line != f"{name}:":
            lines.append(line)
            line = ""
        line += f" {word}"
    return "\r\n".join((*lines, line)) + "\r\n"


def _words(value: str) -> list[str]:
    """Part a value at single spaces; words that are too long for any line are cut."""
    words = value.split(" ")
    return [word[start : start + 900] for word in words for start in range(0, len(word), 900) or (0,)]


def _encoded(value: str) -> str:
    """Write a text as encoded words (RFC 2047), none of which cuts a letter in two."""
    words, chunk = [], b""
    for letter in value:
        piece = letter.encode("utf-8", "replace")
        if len(chunk) + len(piece) > 42:
            words.append(chunk)
            chunk = b""
        chunk += piece
    return " ".join(f"=?utf-8?B?{base64.b64encode(word).decode()}?=" for word in (*words, chunk))


def _alternatives(words: str, boundary: str) -> bytes:
    """Write the body twice: as text, and as HTML, which mail programs prefer."""
    page = PAGE.format(text.render(words, "html"))
    parts = (_part("text/plain", text.render(words, "plain")), _part("text/html", page))
    head = f'Content-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n\r\n'
    middle = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts)
    return f"{head}{middle}--{boundary}--\r\n".encode()


def _part(mime: str, body: str) -> str:
    """Write a part, in whichever transfer encoding is shorter; both keep the lines short and the text 7-bit."""
    raw = charsets.clean(body).replace("\n", "\r\n").encode("utf-8", "replace") + b"\r\n"
    quoted = binascii.b2a_qp(raw)
    sextets = base64.encodebytes(raw).replace(b"\n", b"\r\n")
    name, encoded = ("quoted-printable", quoted) if len(quoted) <= len(sextets) else ("base64", sextets)
    return f"Content-Type: {mime}; charset=utf-8\r\nContent-Transfer-Encoding: {name}\r\n\r\n{encoded.decode()}"
