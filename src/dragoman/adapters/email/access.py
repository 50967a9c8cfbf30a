"""What the account may do: its OAuth2 tokens, its identity, and the files of its mails."""

import re
from typing import Any, Final

import msgspec

from dragoman import wire
from dragoman.adapter import Me, Probe, Token
from dragoman.adapters.email import poll
from dragoman.adapters.email.poll import Cursor, Folder
from dragoman.errors import CredentialRefused, Malformed, MediaRefused, NoAnswer
from dragoman.model import Attachment, Media, Value
from dragoman.wire import Credential, Exchange, Http, ImapPart, Mailbox

PLACE: Final = re.compile(r"(\d{1,10}):(\d{1,10}):([1-9]\d{0,3}(?:\.[1-9]\d{0,3}){0,30})")
LIFETIME: Final = 3600.0
"""Seconds that a token is good for when the server does not say so."""


class Granted(Value):
    """The answer of an OAuth2 token endpoint (RFC 6749, 5.1 and 5.2)."""

    access_token: str = ""
    expires_in: float | None = None
    refresh_token: str = ""
    error: str = ""


def grant(token_url: str, client_id: str, *, secret: bool, scope: str) -> Exchange[Token]:
    """Ask for an access token by the refresh token (RFC 6749, section 6)."""
    form: dict[str, Any] = {
        "grant_type": "refresh_token",
        "refresh_token": Credential(name="refresh_token"),
        "client_id": client_id,
        **({"client_secret": Credential(name="client_secret")} if secret else {}),
        **({"scope": scope} if scope else {}),
    }
    response = yield Http(url=token_url, form=form, repeatable=True, lane="token")
    try:
        answer = wire.decode(response.body, Granted)
    except Malformed:
        answer = Granted()
    if response.status == 200 and answer.access_token:
        lifetime = LIFETIME if answer.expires_in is None else answer.expires_in
        return Token(value=answer.access_token, expires_in=lifetime, refresh=answer.refresh_token)
    reason = answer.error[:60] or f"HTTP {response.status}"
    if response.status in {400, 401, 403}:
        raise CredentialRefused(f"the token endpoint grants no access token: {reason}")
    raise NoAnswer(f"the token endpoint: {reason}", sent=False)


def probe(folder: Folder, address: str, name: str) -> Exchange[Probe]:
    """Log in and look at the folder."""
    me = Me(id=address, name=name)
    server = folder.server
    response = yield from poll.asked(server, folder.request(Cursor(), wait=0.0))
    if isinstance(response, str):
        remedy = "check user and password" if server.login == "password" else "consent anew, and take its refresh_token"
        return Probe(problems=(f"{response}: {remedy} (many providers take app passwords or OAuth2 only)",))
    try:
        mailbox = wire.decode(response.body, Mailbox)
    except Malformed:
        return Probe(problems=(f"{server.host} does not open the folder {folder.name}: check imap_host and folder",))
    if response.status != 200 or not mailbox.validity:
        return Probe(problems=(f"{server.host} does not open the folder {folder.name}: check imap_host and folder",))
    return Probe(me=me)


def fetch(attachment: Attachment, folder: Folder) -> Exchange[Media]:
    """Fetch an attachment, as long as the mail is in the folder; raises `MediaRefused`."""
    found = PLACE.fullmatch(attachment.id)
    if found is None:
        raise MediaRefused("the attachment names no part of a mail")
    request = ImapPart(
        server=folder.server, folder=folder.name, validity=int(found[1]), uid=int(found[2]), part=found[3]
    )
    try:
        response = yield request
    except CredentialRefused as refusal:
        raise MediaRefused(str(refusal)) from refusal
    if response.status != 200 or response.media is None:
        raise MediaRefused(f"the part could not be fetched: {response.status}")
    media = response.media
    named = {"name": attachment.name or media.name, "mime": attachment.mime or media.mime}
    return msgspec.structs.replace(media, **named)
