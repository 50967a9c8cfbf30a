"""One look at a folder, in the connection's thread: select, search, wait, fetch."""

import contextlib
import re
import time
from datetime import datetime
from typing import Final

from imap_tools.imap_utf7 import utf7_encode

from dragoman.errors import NoAnswer
from dragoman.flow.transport.imap_client import COMMAND, Found, ImapClient
from dragoman.wire import Imap, Mail, Mailbox, Response, json_response

RENEW: Final = 300.0
"""Seconds of one IDLE: address translators forget quiet connections, servers after 30 minutes (RFC 2177)."""
ASK_AGAIN: Final = 30.0
"""Seconds between two questions to a server without IDLE."""
BREATH: Final = 1.0
"""Seconds at least between two searches of which the first found nothing that was announced."""
BATCH: Final = 8 << 20
"""Bytes of mails in one answer; the mail that exceeds it is the last."""
HEADER: Final = 1 << 18
"""Bytes of a header that are fetched."""
SLOWEST: Final = 100_000.0
"""Bytes per second that a server must bring."""
PATIENCE: Final = 3
"""Times that a mail may be refused before it is handed on empty, so that it holds up no other."""

Refusals = dict[tuple[str, str, int, int], int]
"""How often a server refused a mail: host and user, folder, UIDVALIDITY, UID."""

UID: Final = re.compile(rb"\bUID (\d{1,10})\b")
SIZE: Final = re.compile(rb"\bRFC822\.SIZE (\d{1,15})\b")
DATE: Final = re.compile(rb'\bINTERNALDATE "([^"]{10,40})"')
SHORT: Final = re.compile(rb'BODY\[[^\]]*\](?:<\d+>)? "((?:[^"\\]|\\.)*)"', re.IGNORECASE | re.DOTALL)
"""A body that is no literal."""


def look(client: ImapClient, request: Imap, refusals: Refusals) -> Response:
    """Answer with a `Mailbox`: at once and without mails when `validity` is not the folder's.

    The folder is selected anew for every search: a session need not notice that it was deleted and made again.
    """
    until, seen, hasty = time.monotonic() + request.wait, sorted(request.seen), False
    while True:
        validity, following = _enter(client, request)
        if validity != request.validity:
            return json_response(Mailbox(validity=validity, next=following or max(client.above(0), default=0) + 1))
        client.mark(seen)
        seen = []
        uids = client.above(request.after, request.since)
        if uids or time.monotonic() >= until:
            break
        if hasty:  # what was announced is not there: a server that goes on like that is not asked all the time
            client.pause(min(BREATH, max(0.0, until - time.monotonic())))
        began = time.monotonic()
        if not client.news():
            _wait(client, until)
        hasty = time.monotonic() - began < BREATH
    mails, upto = _fetch(client, request, uids, refusals)
    following = max(following, upto + 1) if not uids or upto == uids[-1] else upto + 1
    return json_response(Mailbox(validity=validity, next=following, mails=tuple(mails)))


def _enter(client: ImapClient, request: Imap) -> tuple[int, int]:
    try:
        return client.enter(utf7_encode(request.folder))
    except LookupError as error:
        raise NoAnswer(f"IMAP: the folder {request.folder} cannot be opened: {error}", sent=False) from error


def _wait(client: ImapClient, until: float) -> None:
    now = min(time.monotonic(), until)
    if "IDLE" in client.capabilities:
        client.await_change(min(until, now + RENEW))
    else:
        client.pause(min(ASK_AGAIN, until - now))


def _fetch(client: ImapClient, request: Imap, uids: list[int], refusals: Refusals) -> tuple[list[Mail], int]:
    """Fetch the first mails; returns them, and the UID up to which nothing is left over."""
    chosen, upto, total = uids[: max(1, request.limit)], request.after, 0
    mails: list[Mail] = []
    facts = _facts(client, chosen)
    there: set[int] | None = None
    for uid in chosen:
        mail = _mail(client, uid, *facts[uid], request.largest) if uid in facts else None
        if mail is None and there is None:
            there = set(client.above(request.after, request.since))
        if mail is None and uid in (there or ()):  # refused, not expunged
            if mails:
                break
            mail = _refused(request, uid, refusals)
        upto = uid
        if mail is not None:
            mails.append(mail)
            total += len(mail.raw)
        if total > BATCH:
            break
    return mails, upto


def _refused(request: Imap, uid: int, refusals: Refusals) -> Mail:
    """Hand a mail on empty when the server has refused it often enough; before that there is no answer."""
    key = (f"{request.server.user}@{request.server.host}", request.folder, request.validity, uid)
    refusals[key] = refusals.get(key, 0) + 1
    if refusals[key] < PATIENCE:
        raise NoAnswer(f"IMAP: the server refuses mail {uid}", sent=False)
    del refusals[key]
    return Mail(uid=uid, at=0.0, size=0, raw=b"", whole=False)


def _facts(client: ImapClient, uids: list[int]) -> dict[int, tuple[int, float]]:
    """Return the size and the arrival of each mail that is still there."""
    facts: dict[int, tuple[int, float]] = {}
    if not uids:
        return facts
    for line in client.take(",".join(map(str, uids)), "UID RFC822.SIZE INTERNALDATE"):
        if isinstance(line, bytes) and (uid := UID.search(line)) and (size := SIZE.search(line)):
            facts[int(uid[1])] = (int(size[1]), _arrival(line))
    return facts


def _arrival(line: bytes) -> float:
    if found := DATE.search(line):
        with contextlib.suppress(ValueError, OverflowError):
            return datetime.strptime(found[1].decode("ascii", "replace").strip(), "%d-%b-%Y %H:%M:%S %z").timestamp()
    return 0.0


def _mail(client: ImapClient, uid: int, size: int, at: float, largest: int) -> Mail | None:
    """Fetch one mail, or its header when it is large (or longer than the server said); None: it is gone."""
    if size <= largest:
        seconds = COMMAND + size / SLOWEST
        raw = body(client.take(str(uid), f"UID BODY.PEEK[]<0.{largest + 1}>", seconds, largest + (1 << 20)))
        if raw is None or len(raw) <= largest:
            return None if raw is None else Mail(uid=uid, at=at, size=size, raw=raw)
    raw = body(client.take(str(uid), f"UID BODY.PEEK[HEADER]<0.{HEADER}>"))
    return None if raw is None else Mail(uid=uid, at=at, size=size, raw=raw, whole=False)


def body(found: Found) -> bytes | None:
    """Return the body among FETCH responses; None when there is none."""
    for piece in found:
        if isinstance(piece, tuple) and b"BODY[" in piece[0].upper():
            return piece[1]
    for piece in found:
        if isinstance(piece, bytes) and (short := SHORT.search(piece)):
            return re.sub(rb"\\(.)", rb"\1", short[1])
    return None
