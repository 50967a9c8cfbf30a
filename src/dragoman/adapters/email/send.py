"""Sending: one mail, and what the server's word means for it (RFC 5321, RFC 3463, RFC 4954)."""

import re
from collections.abc import Mapping
from typing import Final

from dragoman.adapters.email import content, write
from dragoman.adapters.email.write import From
from dragoman.errors import CredentialRefused, Malformed
from dragoman.model import Delivery, Message, Say
from dragoman.wire import Exchange, Expired, Outcome, Part, Refused, Response, Retry, Scope, Sent, Server, Smtp, Unsure

MAX_SIZE: Final = 18 << 20
"""Bytes of attachments in one mail: servers take 20 to 25 MB, and base64 adds 37 in a hundred."""
BROKEN: Final = frozenset({500, 501, 502, 503})
"""The server did not understand us, or one of us lost the thread: no verdict on the mail."""
CREDENTIAL: Final = frozenset({530, 534, 535, 538})
ENHANCED: Final = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
SCOPES: Final[Mapping[int, Scope]] = {**dict.fromkeys(CREDENTIAL, "account")}
TEMPORARY: Final[Mapping[int, Scope]] = {421: "account", 432: "account", 454: "account"}
"""Passing troubles of the server itself: all mails of the account wait."""
LARGE: Final = frozenset({523, 552})
SAYING: Final = 200
"""Characters of the server's text that are kept."""


def send(delivery: Delivery, server: Server, sender: From, now: float) -> Exchange[Outcome]:
    """Send a message; a token that died is renewed once."""
    if not isinstance(delivery.action, Say):
        return Refused(reason=f"e-mail has no action {type(delivery.action).__name__.lower()}")
    try:
        request = _request(delivery.action.message, delivery, server, sender, now)
    except Malformed as error:
        return Refused(reason=str(error))
    if isinstance(request, Refused):
        return request
    ids = (write.own_id(delivery, sender),)
    response = yield from _handed_over(request)
    if _refuses_token(response, server):
        yield Expired(credential=server.auth)
        response = yield from _handed_over(request)
    return Refused(reason=response, scope="account") if isinstance(response, str) else judge(response, ids)


def _request(message: Message, delivery: Delivery, server: Server, sender: From, now: float) -> Smtp | Refused:
    files = tuple(
        Part(name="file", media=each.media, filename=content.safe(each.name or each.media.name) or "file")
        for each in message.attachments
        if each.media
    )
    size = sum(part.media.size for part in files if part.media)
    if size > MAX_SIZE:
        return Refused(reason=f"the files have {size} bytes; a mail takes {MAX_SIZE}")
    written = write.reply(message, delivery, sender, now)
    return Smtp(
        server=server,
        sender=sender.address,
        recipients=written.recipients,
        message=written.content,
        attachments=files,
        timeout=60.0 + size / 100_000,
    )


def _handed_over(request: Smtp) -> Exchange[Response | str]:
    """Hand a mail over; returns the server's answer, or why it refuses the login."""
    try:
        return (yield request)
    except CredentialRefused as refusal:
        return str(refusal)


def _refuses_token(response: Response | str, server: Server) -> bool:
    refused = isinstance(response, str) or response.status in CREDENTIAL
    return refused and server.login == "xoauth2"


def judge(response: Response, ids: tuple[str, ...]) -> Outcome:
    """Return what became of a mail, by the server's code; a mail that some recipients were refused is sent."""
    status, said = response.status, response.body.decode("utf-8", "replace")
    reason = f"{status} {' '.join(said.split())}"[:SAYING].strip()
    if status == 250:
        return Sent(ids=ids)
    if 200 <= status < 400:
        return Unsure(reason=f"{reason}: not what a server says when it has taken a mail")
    if status < 500 or status in BROKEN:
        return Retry(reason=reason, scope=TEMPORARY.get(status, "message"))
    if status in LARGE and _enhanced(said) not in {"2.1", "2.2"}:
        return Refused(reason=f"{reason}: the mail is too large for the server")
    return Refused(reason=reason, scope=SCOPES.get(status) or _scope(said))


def _enhanced(said: str) -> str:
    found = ENHANCED.search(said)
    return f"{found[2]}.{found[3]}" if found else ""


def _scope(said: str) -> Scope:
    """Tell from the enhanced code what is refused: an address that does not exist refuses every mail to it."""
    return "conversation" if _enhanced(said).startswith(("1.1", "1.2", "1.3", "1.6", "2.1")) else "message"
