"""Reports that a mail of ours did not arrive, or not yet (RFC 3464), and what looks like one without the form."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from dragoman.adapters.email import automatic, charsets, headers
from dragoman.adapters.email.mime import Part

MAX_REPORT: Final = 1 << 16
"""Bytes of a report that are read."""
DAEMON: Final = re.compile(r"(?:mailer-?daemon|postmaster)(?:[-_.+=].*)?")
ORIGINALS: Final = frozenset({"message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers"})
STATUS: Final = re.compile(r"(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?![\d.])")
RECIPIENT: Final = re.compile(r"<([^\s<>@]{1,128}@[^\s<>@]{1,255})>")
MESSAGE_ID: Final = re.compile(r"^message-id:[ \t]*(<[^<>\s]{1,250}>)", re.IGNORECASE | re.MULTILINE)
WORST_FIRST: Final = ("failed", "delayed", "expanded", "relayed", "delivered", "")


def read(mail: Part, sender: str) -> dict[str, Any] | None:
    """Return what a report says, under the names of `Event.value`; None when the mail is none."""
    status = next((part for part in mail.walk() if part.mime == "message/delivery-status"), None)
    kind = headers.parameters(mail.get("content-type")).get("report-type", "").lower()
    if status is not None and (mail.mime == "multipart/report" or status is mail):
        return {**_formal(status), "original_message_id": _original(mail)}
    if mail.mime == "multipart/report" and kind not in {"", "delivery-status"}:
        return None
    told = mail.has("x-failed-recipients")
    if told or (_daemon(sender) and (mail.mime == "multipart/report" or _unsent(mail))):
        return {**_informal(mail), "original_message_id": _original(mail)}
    return None


def _daemon(sender: str) -> bool:
    return DAEMON.fullmatch(sender.rpartition("@")[0][:200]) is not None


def _unsent(mail: Part) -> bool:
    """Tell whether a daemon's mail has a bounce's envelope, or none that we were told."""
    return automatic.from_nobody(mail) or not mail.has(*automatic.ENVELOPES)


def _formal(status: Part) -> dict[str, Any]:
    """Read the report's fields: of several recipients the worst one's."""
    text = charsets.guess(status.content(MAX_REPORT))
    groups = [_group(part) for part in re.split(r"\n[ \t]*\n", text)]
    told = [group for group in groups if "action" in group or "final-recipient" in group] or [{}]
    worst = min(told, key=lambda group: WORST_FIRST.index(_action(group)))
    recipient = worst.get("final-recipient") or worst.get("original-recipient", "")
    return {
        "action": _action(worst),
        "status": worst.get("status", "").split(" ")[0][:20],
        "final_recipient": headers.address(recipient.rpartition(";")[2]),
        "diagnostic": worst.get("diagnostic-code", "")[:500],
    }


def _action(group: Mapping[str, str]) -> str:
    action = group.get("action", "").lower()
    return action if action in WORST_FIRST else ""


def _group(text: str) -> dict[str, str]:
    unfolded = re.sub(r"\n[ \t]+", " ", text)
    pairs = (line.partition(":") for line in unfolded.split("\n"))
    found: dict[str, str] = {}
    for name, _, value in pairs:
        found.setdefault(name.strip().lower(), value.strip())
    return found


def _informal(mail: Part) -> dict[str, Any]:
    """Guess from a report that only people can read."""
    text = "\n".join(_texts(mail))[:MAX_REPORT]
    named = headers.addresses(mail.get("x-failed-recipients"))
    recipient = RECIPIENT.search(text)
    status = STATUS.search(text)
    code = status[0] if status else ""
    return {
        "action": "delayed" if code.startswith("4") else "failed",
        "status": code,
        "final_recipient": named[0].address if named else headers.address(recipient[1]) if recipient else "",
        "diagnostic": "",
    }


def _original(mail: Part) -> str:
    """Return the id of the mail that did not arrive: from what is enclosed of it, else from the text."""
    for part in mail.walk():
        if part.mime in ORIGINALS and (found := MESSAGE_ID.search(charsets.guess(part.content(MAX_REPORT)))):
            return found[1]
    texts: Sequence[str] = list(_texts(mail))
    return next((found[1] for text in texts if (found := MESSAGE_ID.search(text))), "")


def _texts(mail: Part) -> Iterator[str]:
    for part in mail.walk():
        if part.mime.startswith("text/") and not part.parts:
            yield charsets.guess(part.content(MAX_REPORT))
