"""One mail to events: who wrote what, in which thread, and whether anybody is to answer."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Final

from dragoman import crypto
from dragoman.adapter import Adapter, Receipt
from dragoman.adapters.email import automatic, bounce, content, headers, mime, proof, reply
from dragoman.adapters.email.content import Content
from dragoman.adapters.email.headers import Mailbox
from dragoman.adapters.email.mime import Part
from dragoman.errors import Malformed
from dragoman.model import Address, ChatKind, Event, Sender

MAX_SUBJECT: Final = 500
MAX_REFERENCES: Final = 20
"""Ids of a thread that a reply names: the first, and the last ones."""
OURS: Final = "<dragoman."
"""How the ids of our own mails begin."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reader:
    """What reading needs to know: the account, its addresses and manners, the clock, and the mail's place."""

    adapter: Adapter
    addresses: tuple[str, ...]
    server: str
    accept_bcc: bool
    only_verified: bool
    reply_all: bool
    now: float
    place: str = ""
    """UIDVALIDITY and UID, as attachments are fetched by."""
    whole: bool = True

    @property
    def domain(self) -> str:
        """The domain of the ids that we make."""
        return headers.wired(self.addresses[0]).rpartition("@")[2] or "localhost"

    def mine(self, address: str) -> bool:
        """Tell whether an address is the bot's, with or without a +tag."""
        local, at, domain = address.rpartition("@")
        return address in self.addresses or f"{local.partition('+')[0]}{at}{domain}" in self.addresses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Letter:
    """A mail's header, read."""

    sender: Mailbox
    alone: bool
    """False when more than one sender is named: then it is anybody's guess whom a server vouched for."""
    reply_to: str
    to: tuple[str, ...]
    cc: tuple[str, ...]
    subject: str
    message_id: str
    synthesised: bool
    """True when the mail has no id, and this is one that we made for it."""
    in_reply_to: str
    references: tuple[str, ...]
    at: float

    @property
    def root(self) -> str:
        """The thread: its first mail's id."""
        return next(iter(self.references), "") or self.in_reply_to or self.message_id


def mail(raw: bytes, reader: Reader) -> Receipt:
    """Read one mail; raises `Malformed` when nobody is named who could be answered."""
    whole = mime.parse(raw)
    letter = _letter(whole, reader)
    report = bounce.read(whole, letter.sender.address)
    if report is not None:
        return Receipt(events=(_bounce(whole, letter, report, reader),))
    if not letter.sender.address:
        raise Malformed("the mail names no sender")
    verified = letter.alone and proof.verified(whole, letter.sender.address, reader.server)
    reason = automatic.reason(whole, letter.sender.address, reader.mine) or _uninvited(letter, reader)
    if reader.only_verified and not verified:
        reason = reason or "unverified"
    if reason:
        return Receipt(ignored=(reason,))
    said = content.of(whole, reader.place, whole=reader.whole)
    return Receipt(events=(_message(letter, said, {"verified": verified}, reader),))


def _letter(whole: Part, reader: Reader) -> Letter:
    senders = headers.addresses(whole.get("from"))
    sender = senders[0] if senders else Mailbox(name="", address="")
    message_id = _message_id(whole)
    return Letter(
        sender=sender,
        alone=len(senders) == 1 and len(whole.every("from")) == 1,
        reply_to=_answerable(whole, sender, reader),
        to=_recipients(whole, "to"),
        cc=_recipients(whole, "cc"),
        subject=headers.words(whole.get("subject"))[:MAX_SUBJECT],
        message_id=message_id or _synthesised(whole, reader),
        synthesised=not message_id,
        in_reply_to=next(iter(headers.ids(whole.get("in-reply-to"))), ""),
        references=headers.ids(" ".join(whole.every("references"))),
        at=headers.moment(whole.get("date")) or reader.now,
    )


def _recipients(whole: Part, field: str) -> tuple[str, ...]:
    found = [mailbox.address for value in whole.every(field)[:10] for mailbox in headers.addresses(value)]
    return tuple(dict.fromkeys(found))[: headers.MOST_ADDRESSES]


def _answerable(whole: Part, sender: Mailbox, reader: Reader) -> str:
    """Return where an answer goes: `Reply-To`, unless that is ourselves or nobody at all."""
    named = headers.addresses(whole.get("reply-to"))
    address = named[0].address if named else ""
    return sender.address if not address or reader.mine(address) or automatic.nobody(address) else address


def _message_id(whole: Part) -> str:
    value = whole.get("message-id").strip()
    found = headers.ids(value) or headers.ids(f"<{value}>")
    return found[0] if found else ""


def _synthesised(whole: Part, reader: Reader) -> str:
    """Make an id of what the mail is made of: the same whenever it is fetched."""
    parts = [*(whole.get(field).encode("utf-8", "replace") for field in ("date", "from", "subject"))]
    body = b"".join(part.body for part in whole.walk()) if reader.whole else b""
    digest = crypto.sha256_hex(*(b"%d:" % len(part) + part for part in (*parts, body)))
    return f"<{digest}@{reader.domain}>"


def _uninvited(letter: Letter, reader: Reader) -> str:
    """Say that a mail names the bot nowhere: it came by a blind copy, a list or a forwarding."""
    named = any(reader.mine(address) for address in (*letter.to, *letter.cc))
    return "" if named or reader.accept_bcc else "bcc"


def _message(letter: Letter, said: Content, facts: dict[str, Any], reader: Reader) -> Event:
    others = _others(letter, reader)
    bare = not said.text.strip() and not said.attachments and not letter.in_reply_to
    text = letter.subject if bare and reader.whole else reply.alone(said.text)
    return Event(
        text=text,
        text_as_sent=said.text or text,
        attachments=said.attachments,
        reply_to=letter.in_reply_to,
        mentions_bot=bool(others) and any(reader.mine(address) for address in letter.to),
        value={**_facts(letter, reader), **facts, **({"truncated": True} if said.cut else {}), **_unread(reader)},
        **_place(letter, others, reader),
    )


def _unread(reader: Reader) -> dict[str, Any]:
    return {} if reader.whole else {"unsupported": True}


def _others(letter: Letter, reader: Reader) -> list[str]:
    """Return who else got the mail."""
    return [
        address
        for address in dict.fromkeys((*letter.to, *letter.cc))
        if not reader.mine(address) and address not in {letter.sender.address, letter.reply_to}
    ]


def _facts(letter: Letter, reader: Reader) -> dict[str, Any]:
    return {
        "subject": letter.subject,
        "to": list(letter.to),
        "cc": list(letter.cc),
        "thread_root": letter.root,
        "reply_to_bot": letter.in_reply_to.startswith(OURS) and letter.in_reply_to.endswith(f"@{reader.domain}>"),
    }


def _place(letter: Letter, others: Sequence[str], reader: Reader) -> dict[str, Any]:
    """Return the fields that say whose event it is and where the answer will live."""
    adapter, sender = reader.adapter, letter.sender
    shared = reader.reply_all and bool(others)
    channel, thread = (letter.root, "") if shared else (sender.address, letter.root)
    kind: ChatKind = "group" if others else "direct"
    ticket = _ticket(letter, others if shared else ())
    return {
        "key": letter.message_id,
        "account": adapter.account,
        "platform": adapter.platform,
        "conversation": adapter.place(channel, thread=thread),
        "address": Address(account=adapter.account, channel=channel, thread=thread, ticket=ticket),
        "sender": Sender(id=sender.address, name=sender.name[:200]),
        "chat_kind": kind,
        "message_id": letter.message_id,
        "at": letter.at,
    }


def _ticket(letter: Letter, others: Sequence[str]) -> dict[str, Any]:
    """Keep what a reply needs: whom to write to, the subject, and the thread so far."""
    before = letter.references or ((letter.in_reply_to,) if letter.in_reply_to else ())
    own = () if letter.synthesised else (letter.message_id,)
    return {
        "v": 1,
        "to": [letter.reply_to],
        "cc": [address for address in others if not automatic.nobody(address)],
        "subject": letter.subject,
        "message_id": own[0] if own else "",
        "references": list(trimmed((*before, *own))),
    }


def trimmed(references: Sequence[str]) -> tuple[str, ...]:
    """Return a thread's ids, each once; of many the first and the last ones."""
    each = tuple(dict.fromkeys(references))
    return each if len(each) <= MAX_REFERENCES else (each[0], *each[1 - MAX_REFERENCES :])


def _bounce(whole: Part, letter: Letter, report: dict[str, Any], reader: Reader) -> Event:
    """Make an event of a report; it is never answered, whatever it says."""
    adapter = reader.adapter
    channel = report["final_recipient"] or letter.sender.address or "mailer-daemon"
    facts = {"subject": letter.subject, "auto": True, "auto_submitted": automatic.submitted(whole)}
    return Event(
        key=letter.message_id,
        kind="bounce",
        wants_turn=False,
        account=adapter.account,
        platform=adapter.platform,
        conversation=adapter.place(channel),
        address=Address(account=adapter.account, channel=channel),
        sender=Sender(id=letter.sender.address or "mailer-daemon", name=letter.sender.name[:200], is_bot=True),
        message_id=letter.message_id,
        value={**report, "about": report["original_message_id"], **facts},
        at=letter.at,
    )
