"""Mail that nobody wrote, or that nobody wrote to us: it is never answered (RFC 3834), for two machines never tire."""

import re
from collections.abc import Callable, Iterable
from typing import Final

from dragoman.adapters.email import headers
from dragoman.adapters.email.mime import Part

NOBODY: Final = re.compile(
    r"(?:mailer-?daemon|postmaster|(?:no|not|do-?not|dont)[-_.]?reply|bounces?|auto-?reply|autoresponder)(?:[-_.+=].*)?"
)
"""Local parts behind which nobody reads."""
BULK: Final = frozenset({"bulk", "junk", "list", "auto_reply"})
LISTS: Final = ("list-id", "list-unsubscribe", "list-post")
ANSWERERS: Final = ("x-auto-response-suppress", "x-autoreply", "x-autorespond", "x-auto-reply-from")
ENVELOPES: Final = ("return-path", "x-envelope-from")
LOOPS: Final = ("x-loop", "x-gateway-id")
REPORTS: Final = frozenset({"multipart/report", "message/delivery-status", "message/disposition-notification"})


def reason(mail: Part, sender: str, mine: Callable[[str], bool]) -> str:
    """Say why a mail must not be answered; empty when it may be. `mine` tells our own addresses."""
    if mine(sender):
        return "self"
    if looped(mail, mine):
        return "loop"
    if mail.has(*LISTS):
        return "list"
    return next((f"automatic:{sign}" for sign in _signs(mail, sender)), "")


def _signs(mail: Part, sender: str) -> Iterable[str]:
    if (submitted(mail) or "no") != "no":
        yield "auto-submitted"
    if from_nobody(mail):
        yield "null-sender"
    if nobody(sender):
        yield "sender"
    if mail.mime in REPORTS:
        yield "report"
    if mail.get("precedence").strip().lower() in BULK:
        yield "precedence"
    if mail.has(*ANSWERERS):
        yield "answerer"


def submitted(mail: Part) -> str:
    """Return the word of `Auto-Submitted`, without comments and parameters; empty when it is not there."""
    value = re.sub(r"\([^()]*\)", " ", mail.get("auto-submitted")).partition(";")[0].split()
    return value[0].lower() if value else ""


def from_nobody(mail: Part) -> bool:
    """Tell whether the envelope had the empty sender, as bounces and answering machines have."""
    return any(value.strip() == "<>" for name in ENVELOPES for value in mail.every(name))


def nobody(address: str) -> bool:
    """Tell whether nobody reads what is sent to an address."""
    return NOBODY.fullmatch(address.rpartition("@")[0][:200]) is not None


def looped(mail: Part, mine: Callable[[str], bool]) -> bool:
    """Tell whether a mail is one of ours that came back."""
    values = [value for name in LOOPS for value in mail.every(name)[:50]]
    return any(mine(mailbox.address) for value in values for mailbox in headers.addresses(value))
