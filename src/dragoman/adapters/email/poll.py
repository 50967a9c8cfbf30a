r"""The mailbox as a long poll: what is new above the last UID, and what to do when the UIDs begin anew.

The cursor is stored with the events, so a mail is fetched again until it is stored; only then, in the poll after,
it gets the flag `\Seen`. What was not stored (automatic mail, lists) keeps it off, for people to look at.
"""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from dragoman import crypto, wire
from dragoman.adapter import Payload, Polled, Receipt
from dragoman.errors import CredentialRefused, Malformed
from dragoman.model import Value
from dragoman.wire import Exchange, Expired, Imap, Mail, Mailbox, Response, Server

VERSION: Final = 1
PAUSE: Final = 5.0
REFUSED: Final = 300.0
"""Seconds to wait after an answer that is none, and after a login that was refused."""
LATE: Final = 2 * 86_400.0
"""Seconds that a mail may have been on its way when the UIDs begin anew; one that was written earlier is an old one."""

Read = Callable[[Payload, Mail], Receipt]


class Cursor(Value):
    """How far the folder was read: to which UID, to which arrival; and what is to be flagged."""

    v: int = 0
    mark: str = ""
    """Names the folder: after a change of settings the UIDs are another one's."""
    validity: int = 0
    uid: int = 0
    date: float = 0.0
    """The latest arrival (INTERNALDATE) of all mails that were read."""
    seen: tuple[int, ...] = ()
    again: int = 0
    """The UIDs began anew, and those below this one may be of mails that we know: only later ones are new."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Folder:
    """Where an account's mail is."""

    server: Server
    name: str
    wait: float
    largest: int

    @property
    def mark(self) -> str:
        """Name the folder in few letters."""
        return crypto.fingerprint(self.server.host, self.server.user, self.name)[:12]

    def request(self, cursor: Cursor, wait: float | None = None) -> Imap:
        """Ask for what is beyond a cursor."""
        return Imap(
            server=self.server,
            folder=self.name,
            validity=cursor.validity,
            after=cursor.uid,
            wait=self.wait if wait is None else wait,
            largest=self.largest,
            seen=cursor.seen,
            since=cursor.date if cursor.again else 0.0,
        )


def poll(folder: Folder, text: str, now: float, read: Read) -> Exchange[Polled]:
    """Ask once; a login that is refused halts the account, once a token was renewed in vain."""
    cursor = parsed(text, folder.mark)
    response = yield from asked(folder.server, folder.request(cursor))
    if isinstance(response, str):
        return Polled(cursor=text, halt="login_refused", after=REFUSED)
    try:
        mailbox = wire.decode(response.body, Mailbox) if response.status == 200 else None
    except Malformed:
        mailbox = None
    if mailbox is None or not mailbox.validity:
        return Polled(cursor=text, after=PAUSE)
    if mailbox.validity != cursor.validity:
        return Polled(cursor=_written(_begun(cursor, mailbox, now)))
    return _polled(cursor, mailbox, read)


def asked(server: Server, request: Imap) -> Exchange[Response | str]:
    """Ask the mailbox; returns its answer, or why it refuses the login."""
    response = yield from _tried(request)
    if isinstance(response, str) and server.login == "xoauth2":
        yield Expired(credential=server.auth)
        response = yield from _tried(request)
    return response


def _tried(request: Imap) -> Exchange[Response | str]:
    try:
        return (yield request)
    except CredentialRefused as refusal:
        return str(refusal)


def parsed(text: str, mark: str) -> Cursor:
    """Read a cursor; what is none of ours, or another folder's, is the beginning."""
    try:
        cursor = wire.decode(text, Cursor) if text else Cursor(mark=mark)
    except Malformed:
        return Cursor(mark=mark)
    return cursor if cursor.v == VERSION and cursor.mark == mark else Cursor(mark=mark)


def _written(cursor: Cursor) -> str:
    return msgspec.json.encode(msgspec.structs.replace(cursor, v=VERSION)).decode()


def _begun(cursor: Cursor, mailbox: Mailbox, now: float) -> Cursor:
    """Begin at the folder's end, or, when its UIDs began anew, at its beginning with what arrived since.

    Arrivals are told in whole seconds, so the bot's time begins with the second that has begun: else mail of the
    same second would be taken for older.
    """
    if not cursor.validity:
        begun = float(int(now))
        return Cursor(mark=cursor.mark, validity=mailbox.validity, uid=max(0, mailbox.next - 1), date=begun)
    return Cursor(mark=cursor.mark, validity=mailbox.validity, uid=0, date=cursor.date, again=mailbox.next)


def _polled(cursor: Cursor, mailbox: Mailbox, read: Read) -> Polled:
    """Read the mails in their order; `n:*` brings the last one even when its UID is lower."""
    mails = sorted((mail for mail in mailbox.mails if mail.uid > cursor.uid), key=lambda mail: mail.uid)
    receipts = [_read(cursor, mailbox, mail, read) for mail in mails]
    stored = tuple(mail.uid for mail, got in zip(mails, receipts, strict=True) if got.events or got.malformed)
    if not mails:
        ended = cursor.again and not mailbox.mails
        changed = msgspec.structs.replace(cursor, seen=(), again=0 if ended else cursor.again)
        return Polled(cursor=_written(changed))
    last = mails[-1].uid
    moved = msgspec.structs.replace(
        cursor,
        uid=last,
        date=max((cursor.date, *(mail.at for mail in mails))),
        seen=stored,
        again=cursor.again if last < cursor.again - 1 else 0,
    )
    return Polled(receipt=_joined(receipts), cursor=_written(moved))


def _read(cursor: Cursor, mailbox: Mailbox, mail: Mail, read: Read) -> Receipt:
    """Read one mail; a strange one is parked, and holds up no other."""
    known = mail.uid < cursor.again
    if known and mail.at < cursor.date:
        return Receipt(ignored=("old",))
    place = {"place": f"{mailbox.validity}:{mail.uid}", "whole": "yes" if mail.whole else "no"}
    try:
        receipt = read(Payload(body=mail.raw, headers=place), mail)
    except Malformed:
        return Receipt(malformed=(mail.raw,))
    if known and any(event.at < cursor.date - LATE for event in receipt.events):
        return Receipt(ignored=("old",))
    return receipt


def _joined(receipts: Iterable[Receipt]) -> Receipt:
    every = tuple(receipts)
    return Receipt(
        events=tuple(event for receipt in every for event in receipt.events),
        ignored=tuple(reason for receipt in every for reason in receipt.ignored),
        malformed=tuple(raw for receipt in every for raw in receipt.malformed),
    )
