"""The contract of a platform: an adapter is a value, its fields are its settings, its methods are pure.

Write one module: a frozen dataclass under `Adapter` that says what the platform is (`platform`,
`title`, `capabilities`), proves requests (`verify`), reads them (`parse`) and speaks (`send`). It
does no I/O and reads no clock: all that it may know of the world comes in as `Known`, and all that it
wants sent goes out as an `Exchange`. `dragoman conformance` certifies it.
"""

import abc
import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final, Literal, dataclass_transform
from urllib.parse import quote

import msgspec

from dragoman import text
from dragoman.errors import Forged, Malformed, MediaRefused
from dragoman.model import Address, Attachment, Delivery, Event, Media, Message, Secret, Value, setting, split_with
from dragoman.wire import Credential, Exchange, Frame, Http, Outcome, Response

__all__ = [
    "Adapter",
    "Call",
    "Capabilities",
    "Dial",
    "Emit",
    "Ended",
    "Halt",
    "Installed",
    "Keep",
    "Known",
    "Me",
    "Mode",
    "Passive",
    "Payload",
    "Polled",
    "Probe",
    "Provider",
    "Rate",
    "Receipt",
    "Redial",
    "Send",
    "Session",
    "Step",
    "Token",
    "Unit",
    "header",
    "linked",
    "platform",
    "setting",
]

Mode = Literal["webhook", "poll", "socket", "local"]
Unit = Literal["", "thread", "channel", "sender"]


BRACKETS: Final = str.maketrans({"[": r"\[", "]": r"\]", "\\": r"\\"})
"""What a link's label escapes."""


class Rate(Value):
    """At most `count` sends in `seconds`, per chat (channel), per account, or per method."""

    per: Literal["chat", "account", "method"]
    count: int
    seconds: float


class Capabilities(Value):
    """What a platform can do, as data."""

    max_text: int
    """The longest text of one message, in the platform's rendered form, in `split`'s measure."""
    dialect: text.Dialect = "plain"
    actions: frozenset[str] = frozenset({"say"})
    """Which of say, edit, delete, react, typing, answer `send` understands."""
    modes: frozenset[Mode] = frozenset({"webhook"})
    threads: bool = False
    buttons: bool = False
    media_in: bool = False
    media_out: bool = False
    idempotent_send: float = 0.0
    """Seconds during which the platform drops a repeated key; 0 when it has no such key."""
    reply_window: float | None = None
    rates: tuple[Rate, ...] = ()


class Me(Value):
    """Which bot an account is, as the platform sees it."""

    id: str = ""
    name: str = ""
    app_id: str = ""
    bot_id: str = ""
    """A second id of the bot, where the platform has one (Slack's `bot_id`)."""


class Known(Value):
    """All that an adapter may know of the world: the clock, the bot's identity, the stored cursor."""

    now: float
    """Epoch seconds."""
    me: Me = Me()
    workspaces: dict[str, Me] = {}
    """Which bot the account is in each workspace that installed it."""
    keys: dict[str, Any] = {}
    cursor: str = ""
    nonce: str = ""
    """A fresh random text, for a happening that has no name of its own."""


class Payload(Value):
    """What `verify` proved: the decrypted body, and the headers and query that `parse` needs."""

    body: bytes
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    signed_at: float = 0.0
    """When this very request was signed, by the platform's clock (epoch seconds; 0: it does not say)."""


class Passive(Value):
    """The platform wants the answer in the response to its request.

    `seconds` from now until the request is answered without it; `hold` until an answer that nobody
    fetched takes the later path (through `send`). `hold` is never the shorter.
    """

    seconds: float
    hold: float


class Ended(Value):
    """The installation in a workspace has ended, and when: a later one is not meant."""

    workspace: str
    at: float


class Receipt(Value):
    """What one request brought: events, and what to answer at once."""

    events: tuple[Event, ...] = ()
    response: Response = Response()
    passive: Passive | None = None
    ignored: tuple[str, ...] = ()
    """Why something was left out (`self`, `bot`, `kind:typing`): counted, not stored."""
    ended: tuple[Ended, ...] = ()
    """Installations that have ended."""
    malformed: tuple[bytes, ...] = ()
    """Parts that are genuine and not understood, as they came: parked, while the rest goes on."""
    raw: bytes = b""
    """The payload as it was verified; `flow` fills it in, and it is stored once per receipt."""


class Polled(Value):
    """One answer of a poll: what it brought, and the cursor stored with it in one transaction.

    `halt` names a reason for which the account needs its operator; `after` is how long to wait then.
    """

    receipt: Receipt = Receipt()
    cursor: str = ""
    halt: str = ""
    after: float = 0.0


class Dial(Value):
    """Where to open a socket. The address may hold a single-use ticket, so it is a secret."""

    url: Secret
    headers: dict[str, str] = {}
    silence: float = 30.0
    """Seconds without anything from the other side (our pings are answered too) after which the socket is dead."""
    tick: float = 5.0
    """Seconds between two calls of `Session.tick`."""
    keys: dict[str, Any] = {}
    """What dialling learned of this socket; its session finds it in its first `Known.keys`."""


class Send(Value):
    """Write a frame."""

    frame: Frame


class Emit(Value):
    """Accept what came, with the cursor (None: unchanged) in the same transaction."""

    receipt: Receipt
    cursor: str | None = None


class Call(Value):
    """Perform an exchange; its result comes back by `Session.called` under this id."""

    id: str
    exchange: Exchange[Any]


class Keep(Value):
    """Store the cursor."""

    cursor: str


class Redial(Value):
    """Open a new socket after so many seconds; `overlap`: close this one only when the new one is open."""

    after: float = 0.0
    reason: str = ""
    overlap: bool = False


class Halt(Value):
    """The account needs its operator, for this reason; the socket is closed, and tried again after a long time."""

    reason: str
    after: float = 300.0


Step = Send | Emit | Call | Keep | Redial | Halt
"""What a session wants done. Steps run in order: a `Send` after an `Emit` leaves only when that is committed."""


class Session:
    """One connection's state machine, in h11's manner: told what happened, it says what to do. It does no I/O.

    Every input brings what is `Known` now. A new socket gets a new session; what must outlive it is the cursor.
    """

    def opened(self, known: Known) -> Iterable[Step]:
        """Take note that the socket is open."""
        return ()

    def received(self, frame: Frame, known: Known) -> Iterable[Step]:
        """Take a frame; what is not documented becomes `Receipt.malformed`, never an exception."""
        return ()

    def tick(self, known: Known) -> Iterable[Step]:
        """Take note of the time: heartbeats, and liveness judged by progress."""
        return ()

    def called(self, id: str, result: Any, known: Known) -> Iterable[Step]:  # noqa: A002 - the word of `Call.id`
        """Take the result of a `Call`; a `DragomanError` when it failed."""
        return ()

    def closed(self, code: int, reason: str, known: Known) -> Iterable[Step]:
        """Take note that the other side closed; what is returned beside `Redial` and `Halt` is not sent any more."""
        return ()


class Probe(Value):
    """Which bot the credentials belong to, and what is missing: each problem, a colon, and its remedy."""

    me: Me = Me()
    problems: tuple[str, ...] = ()


class Token(Value):
    """An access token that the platform granted, good for `expires_in` seconds (None: until it is revoked)."""

    value: str
    expires_in: float | None
    refresh: str = ""
    """What the next one is asked for with, where the platform gives such a thing; it is good once."""

    def __repr__(self) -> str:
        """Hide both tokens."""
        return f"Token(***, expires_in={self.expires_in})"


class Provider(Value):
    """An OAuth2 authorisation server, as data: RFC 6749 with its client, RFC 7636 (PKCE), RFC 7009 (revocation)."""

    authorize: str
    """Where people allow the app what it asks for."""
    token: str
    """Where codes and refresh tokens are exchanged."""
    client_id: str
    scopes: tuple[str, ...] = ()
    separator: str = " "
    """What stands between two scopes."""
    secret: Credential = Credential(name="client_secret")
    """Names the client's secret."""
    proof: Literal["basic", "post"] = "basic"
    """How the client proves itself: by Basic authentication (the secret as it is), or by fields of the form."""
    pkce: bool = True
    query: dict[str, str] = {}
    """What else the authorisation address carries."""
    revoke: str = ""
    """Where tokens are revoked; empty: nowhere."""
    revoke_by: Literal["form", "bearer"] = "form"
    """How: the token as a field of the form (RFC 7009), or the token as the request's own authorisation."""
    dead: frozenset[str] = frozenset({"invalid_grant"})
    """Errors that say that a refresh token will never be good again."""
    public: bool = False
    """Whether everyone who reaches our page may install the app."""


class Installed(Value):
    """What came of an installation: in which workspace, as which bot, with which tokens by credential."""

    workspace: str
    name: str = ""
    me: Me = Me()
    tokens: dict[str, Token] = {}


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(setting, dataclasses.field))
def platform(cls: type) -> type:
    """Make a class an adapter value: a frozen, keyword-only dataclass."""
    return dataclasses.dataclass(frozen=True, kw_only=True)(cls)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adapter(abc.ABC):
    """The base of all adapters: what every account has, and defaults for what a platform lacks."""

    platform: ClassVar[str]
    title: ClassVar[str]
    capabilities: ClassVar[Capabilities]
    unit: ClassVar[Unit] = "thread"
    """What a conversation is on this platform, unless the account's `conversation` says otherwise."""
    explains: ClassVar[bool] = False
    """True when the caller is our own user: what is not understood gets a 422 with the reason, instead of parking."""
    replies_in_response: ClassVar[bool] = False
    """True when requests may be held until their reply can be written into the response."""

    account: str = setting("The account's name; it is the table's own name.", default="")
    api_base: str = setting("Address of the platform's API: its own, a self-hosted one, or a simulator.", default="")
    conversation: Unit = setting(
        "What shares one memory and one order: a thread, a channel or a sender (empty: the platform's default).",
        default="",
    )

    def check(self) -> Sequence[str]:
        """Return what is wrong with these settings together, each as one line; empty when all is well."""
        return ()

    def mode(self) -> Mode:
        """Tell how this account receives: by its hook, or by a connection that we open."""
        return "webhook"

    def verify(self, request: Http, known: Known) -> Payload:
        """Return the authentic payload of a request; raises `Forged` when the proof is absent or wrong."""
        raise Forged("this account takes no webhooks")

    @abc.abstractmethod
    def parse(self, payload: Payload, known: Known) -> Receipt:
        """Turn what `verify` returned into events; raises `Malformed` for anything it does not document."""

    @abc.abstractmethod
    def send(self, delivery: Delivery, known: Known) -> Exchange[Outcome]:
        """Carry out one action; never raises for a status, every answer ends in an `Outcome`."""

    def answer(self, messages: Sequence[Message], event: Event) -> Response:
        """Write the passive reply to an event into the response (platforms with `Receipt.passive`)."""
        return Response()

    def defer(self, event: Event) -> Response:
        """Write the response for a passive reply that comes later (platforms with `Receipt.passive`)."""
        return Response(status=202)

    def fetch(self, attachment: Attachment, known: Known) -> Exchange[Media]:
        """Fetch an attachment into the media store; raises `MediaRefused`."""
        raise MediaRefused(f"{self.platform} attachments cannot be fetched")
        yield  # makes this a generator, as the contract has it

    def grant(self, name: str, workspace: str, known: Known) -> Exchange[Token]:
        """Obtain a named access token; the client keeps, shares and renews it."""
        raise KeyError(name)
        yield  # makes this a generator, as the contract has it

    def oauth(self) -> Provider | None:
        """Name the authorisation server by which workspaces install this account's app; None when none do."""
        return None

    def installed(self, answer: dict[str, Any]) -> Installed:
        """Read the authorisation server's answer to a code; raises `Malformed`."""
        raise Malformed(f"{self.platform} has no installations")

    def poll(self, known: Known) -> Exchange[Polled]:
        """Ask the platform once for what is new since `known.cursor` (mode `poll`)."""
        return Polled()
        yield  # makes this a generator, as the contract has it

    def dial(self, known: Known) -> Exchange[Dial | Halt]:
        """Find out where to open the account's socket (mode `socket`); `Halt` when the credentials are refused."""
        return Halt(reason=f"{self.platform} has no socket")
        yield  # makes this a generator, as the contract has it

    def session(self, known: Known) -> Session:
        """Begin a socket's state machine (mode `socket`)."""
        return Session()

    def connection(self) -> str:
        """Name the one connection that this account may have, the same in every account with the same token.

        At most one of that name is open among all replicas; a secret in it is hashed first.
        """
        return self.account

    def probe(self, known: Known) -> Exchange[Probe]:
        """Ask the platform who we are and whether the credentials are good."""
        return Probe()
        yield  # makes this a generator, as the contract has it

    def unasked(self, address: Address) -> Address:
        """Return where a message that answers nothing goes, for an address of an event's or of an operator's.

        Raises `Unreachable` with the reason when none can go there.
        """
        return msgspec.structs.replace(address, ticket={})

    def split(self, message: Message) -> tuple[Message, ...]:
        """Cut a message into pieces whose rendered text fits `max_text`."""
        limit, dialect = self.capabilities.max_text, self.capabilities.dialect
        return split_with(message, lambda body: text.split(body, limit, lambda t: len(text.render(t, dialect))))

    def place(self, channel: str, *, workspace: str = "", thread: str = "", sender: str = "") -> str:
        """Write the conversation's name: `account/[workspace/]channel[/thread]`, by the account's unit."""
        unit = self.conversation or self.unit
        last = thread if unit == "thread" else sender if unit == "sender" else ""
        name = _kept if len(workspace) + len(channel) + len(last) <= SHORT else _joined
        where = name(self.account, workspace, channel)
        if not last:
            return where
        return f"{where}/{name(last)}" if where else name(last)


def _joined(*parts: str) -> str:
    return "/".join([quote(part, safe=":@+-=") for part in parts if part])


_kept: Final = functools.lru_cache(maxsize=4096)(_joined)
SHORT: Final = 200
"""Characters of a name that is kept quoted: a caller of our own may name a conversation by a megabyte."""


def header(headers: Mapping[str, str], name: str) -> str:
    """Return a header of a request that came in, or raise `Forged` when it is absent."""
    value = headers.get(name, "")
    if not value:
        raise Forged(f"header {name} is missing")
    return value


def linked(message: Message) -> Message:
    """Write attachments that are only an address (or a spot on the map) into the text."""
    if not message.attachments:
        return message
    kept = tuple(attachment for attachment in message.attachments if attachment.media)
    lines = [_line(attachment) for attachment in message.attachments if not attachment.media]
    body = "\n\n".join(part for part in (message.text, *lines) if part)
    return msgspec.structs.replace(message, text=body, attachments=kept)


def _line(attachment: Attachment) -> str:
    """Write an attachment that has no bytes of ours as portable text."""
    if attachment.url:
        return f"[{(attachment.name or attachment.url).translate(BRACKETS)}](<{attachment.url}>)"
    if attachment.latitude is None or attachment.longitude is None:
        return attachment.name
    return f"{attachment.name} {attachment.latitude}, {attachment.longitude}".strip()
