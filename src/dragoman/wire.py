"""Protocols as data: requests, responses, and exchanges that ask for them without doing any I/O.

An `Exchange[T]` is a generator: it yields what it wants sent, is resumed with the `Response`, and
returns a `T`. `flow.client.perform` drives it in the service; a test drives it with a list. When no
answer comes, `NoAnswer` is thrown in at the `yield`; an exchange that does not catch it ends in
`Retry` (the request never left, or repeating it is harmless) or `Unsure`.
"""

from collections.abc import Generator, Mapping
from typing import Any, Literal, TypeVar

import msgspec

from dragoman.errors import Malformed, Undecodable
from dragoman.model import Address, Media, Value

Scope = Literal["message", "conversation", "method", "account"]
Place = Literal["bearer", "basic", "path", "signature"]
T = TypeVar("T")

MAX_BODY = 1 << 20
"""Bytes of a webhook's body that are read; more is refused with 413."""


class Credential(Value):
    """Names a secret without carrying it: a field of the account's settings, or one of its grants."""

    name: str
    workspace: str = ""


class Part(Value):
    """One part of a multipart body: a text, or a file that we keep."""

    name: str
    value: str = ""
    media: Media | None = None
    filename: str = ""


class Http(Value):
    """An HTTP request: one that came in (`body` is raw, header names are lower case), or one to make.

    To make one give at most one of `body`, `json`, `form` and `parts`. A top-level value of `json` or
    `form` may be a `Credential`: the client puts the secret there. `place` says where `auth` goes:
    `Authorization: Bearer`, `Authorization: Basic` as the password of `user`, the text `{credential}` in the path,
    or a Standard Webhooks signature.
    """

    method: str = "POST"
    url: str = ""
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    body: bytes = b""
    json: dict[str, Any] | None = None
    form: dict[str, Any] | None = None
    parts: tuple[Part, ...] = ()
    upload: Media | None = None
    """A kept file that is the whole body."""
    auth: Credential | None = None
    place: Place = "bearer"
    user: str = ""
    """The user name of `basic`."""
    into: Literal["memory", "media"] = "memory"
    """`media` streams the answer's body into the media store; it comes back as `Response.media`."""
    timeout: float = 8.0
    """Seconds until it counts as unanswered."""
    repeatable: bool = False
    """True when sending it twice has no visible effect."""
    reach: Literal["any", "public"] = "any"
    """`public`: only addresses of the public internet are connected to, and hosts that the operator allows."""
    refers: bool = False
    """Whether the address and the last word of a header may be references (`env:NAME`), read as it is sent."""
    lane: str = ""
    """The method's name for rate limits and metrics, for example `chat.postMessage`."""


class Push(Value):
    """A frame for the people connected to us: the browser chat and the terminal."""

    channel: str
    frame: dict[str, Any]


class Server(Value):
    """A mail server and how to log in: with a password, or with an OAuth2 access token (`xoauth2`).

    `security`: TLS from the first byte, STARTTLS, or none (loopback and tests only). `auth` names the secret.
    """

    host: str
    port: int
    user: str
    auth: Credential
    security: Literal["tls", "starttls", "none"] = "tls"
    login: Literal["password", "xoauth2"] = "password"


class Smtp(Value):
    """A mail to hand to a server: the envelope, and the message as bytes; `attachments` are added on the way.

    The answer is a `Response` with SMTP's own code as status and its text as body.
    """

    server: Server
    sender: str
    recipients: tuple[str, ...]
    message: bytes
    attachments: tuple[Part, ...] = ()
    timeout: float = 60.0


class Imap(Value):
    """What is new in a folder: mails with a UID above `after`, waiting (IDLE) up to `wait` seconds for the first.

    `validity` is the UIDVALIDITY that `after` belongs to; 0: none is known yet. When it is not the folder's, no mails
    come, and nothing is flagged: only the folder's `validity` and `next`, at once. The answer's body is a `Mailbox` as
    JSON. Bodies of mails larger than `largest` bytes are not fetched, only their headers.
    """

    server: Server
    folder: str = "INBOX"
    validity: int = 0
    after: int = 0
    wait: float = 240.0
    limit: int = 50
    largest: int = 25 << 20
    seen: tuple[int, ...] = ()
    """UIDs that are stored by now: they get the flag `\\Seen`."""
    since: float = 0.0
    """Only mails that arrived then or later, in epoch seconds (0: all). IMAP counts days: some before may come."""


class ImapPart(Value):
    """One part of a mail, decoded, into the media store: it comes back as `Response.media`.

    `part` is the part's path as MIME numbers it from 1 (`2.1`).
    """

    server: Server
    folder: str
    validity: int
    uid: int
    part: str
    timeout: float = 120.0


class Mail(Value):
    """One mail as an IMAP server gave it; `whole` is False when only its header came."""

    uid: int
    at: float
    size: int
    raw: bytes
    whole: bool = True


class Mailbox(Value):
    """What a folder holds beyond a cursor; `next` is the UID that the next mail will get at least."""

    validity: int
    next: int
    mails: tuple[Mail, ...] = ()


class Frame(Value):
    """One message of a socket: a text or bytes."""

    data: str | bytes


class Response(Value):
    """An HTTP response: one to give, or one that came (header names are lower case)."""

    status: int = 200
    headers: dict[str, str] = {}
    body: bytes = b""
    media: Media | None = None


class Sent(Value, tag="sent"):
    """The platform has it, under these ids."""

    ids: tuple[str, ...] = ()


class Retry(Value, tag="retry"):
    """Not now; try again after so many seconds (None: the outbox's own backoff)."""

    reason: str
    after: float | None = None
    scope: Scope = "message"


class Refused(Value, tag="refused"):
    """The platform will never take this; with scope `account` the account needs its operator."""

    reason: str
    scope: Scope = "message"


class Moved(Value, tag="moved"):
    """The conversation lives elsewhere now; send there."""

    address: Address


class Expired(Value, tag="expired"):
    """The credential died. Yield it to have it renewed, then repeat the request once."""

    credential: Credential


class Unsure(Value, tag="unsure"):
    """It may or may not have arrived."""

    reason: str


Outcome = Sent | Retry | Refused | Moved | Expired | Unsure
Request = Http | Push | Smtp | Imap | ImapPart | Expired
Exchange = Generator[Request, Response, T]


def decode(body: bytes | str, kind: type[T]) -> T:
    """Decode JSON into `kind`; raises `Undecodable` for what is no JSON, `Malformed` for what is another shape."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise Malformed(f"not the documented JSON: {error}") from error
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise Undecodable("not JSON, or nested too deep") from error


def decode_object(body: bytes | str) -> dict[str, Any]:
    """Decode a JSON object of no particular shape; anything else is `Malformed`."""
    return decode(body, dict[str, Any])


def json_response(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Make a JSON response."""
    content = {"content-type": "application/json; charset=utf-8", **(headers or {})}
    return Response(status=status, headers=content, body=msgspec.json.encode(value))


def text_response(text: str, status: int = 200) -> Response:
    """Make a plain text response."""
    return Response(status=status, headers={"content-type": "text/plain; charset=utf-8"}, body=text.encode())


def run(exchange: Exchange[T], *answers: Response | Exception) -> T:
    """Drive an exchange with prepared answers, without a network: an exception is thrown in at the `yield`.

    Raises `IndexError` when it asks for more than was prepared.
    """
    queue = list(answers)
    try:
        next(exchange)
        while True:
            answer = queue.pop(0)
            if isinstance(answer, Exception):
                exchange.throw(answer)
            else:
                exchange.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result
