"""E-mail: a mailbox read by IMAP (IDLE), and answers handed to an SMTP server.

Sources: RFC 3501 and 2177 (IMAP, IDLE), 5321 and 5322 (SMTP, messages), 2045-2047 and 2231 (MIME), 3464 (reports of
delivery), 3834 (automatic answers), 8601 (Authentication-Results), and what mail programs really send.
"""

from collections.abc import Sequence
from typing import ClassVar, Final, Literal

import msgspec

from dragoman.adapter import (
    Adapter,
    Capabilities,
    Known,
    Mode,
    Payload,
    Polled,
    Probe,
    Rate,
    Receipt,
    Token,
    platform,
    setting,
)
from dragoman.adapters.email import access, checks, headers, parse, poll, send
from dragoman.adapters.email.parse import Reader
from dragoman.adapters.email.poll import Folder, Read
from dragoman.adapters.email.write import From
from dragoman.errors import Malformed, Unreachable
from dragoman.model import Address, Attachment, Delivery, Media, Secret
from dragoman.wire import Credential, Exchange, Mail, Outcome, Server

__all__ = ["Email"]

Security = Literal["tls", "starttls", "none"]

IMAP_PORTS: Final = {"tls": 993, "starttls": 143, "none": 143}
SMTP_PORTS: Final = {"tls": 465, "starttls": 587, "none": 25}
LARGEST: Final = 100 << 20
"""Bytes of a mail that is parsed."""


@platform
class Email(Adapter):
    """One mailbox, read and answered under one address."""

    platform: ClassVar[str] = "email"
    title: ClassVar[str] = "E-mail"
    capabilities: ClassVar[Capabilities] = Capabilities(
        max_text=50_000,
        actions=frozenset({"say"}),
        modes=frozenset({"poll"}),
        threads=True,
        media_in=True,
        media_out=True,
        # No `idempotent_send`: a repeat has the same Message-ID, but whether its receiver drops it is the
        # receiver's choice. What may have arrived is held for the operator.
        #
        # Five answers an hour to one address: what is left of a loop with a machine that says not that it is one.
        rates=(Rate(per="chat", count=5, seconds=3600.0), Rate(per="account", count=30, seconds=60.0)),
    )

    address: str = setting("The bot's address: whom people write to, and who answers.")
    display_name: str = setting("The name beside the address in answers.", default="")
    aliases: tuple[str, ...] = setting("Other addresses whose mail comes into this mailbox.", default=())
    imap_host: str = setting("The IMAP server's name.")
    imap_port: int = setting("Its port (0: 993, or 143 with starttls).", default=0)
    imap_security: Security = setting("TLS at once, after STARTTLS, or none (on this machine only).", default="tls")
    smtp_host: str = setting("The SMTP server's name.")
    smtp_port: int = setting("Its port (0: 465, or 587 with starttls).", default=0)
    smtp_security: Security = setting("TLS at once, after STARTTLS, or none (on this machine only).", default="tls")
    user: str = setting("The name to log in with (empty: the address).", default="")
    login: Literal["password", "xoauth2"] = setting(
        "Log in with a password, or with OAuth2 tokens.", default="password"
    )
    password: Secret = setting("The password, or an app password.", default=Secret())
    token_url: str = setting("OAuth2: where access tokens are granted.", default="")
    client_id: str = setting("OAuth2: the app's id.", default="")
    client_secret: Secret = setting("OAuth2: the app's secret, where it has one.", default=Secret())
    refresh_token: Secret = setting("OAuth2: the refresh token of the mailbox's owner.", default=Secret())
    scope: str = setting(
        "OAuth2: the scopes to ask for, with spaces between them (empty: those consented to).", default=""
    )
    folder: str = setting("The folder that is read.", default="INBOX")
    idle: float = setting("Seconds that one look waits for new mail, at most 1500.", default=240.0)
    largest: int = setting("Bytes of a mail that is read whole; of a larger one only the header.", default=25 << 20)
    authserv_id: str = setting(
        "The name under which your own mail server writes Authentication-Results (empty: nobody is verified).",
        default="",
    )
    only_verified: bool = setting("Leave mails alone whose sender your mail server did not verify.", default=False)
    accept_bcc: bool = setting("Answer mails that name the bot neither in To nor in Cc too.", default=False)
    reply_all: bool = setting("Answer everybody who got the mail, not its sender alone.", default=False)

    def check(self) -> Sequence[str]:
        """Return what is wrong with these settings together."""
        if self.login == "password":
            login = checks.password(given=bool(self.password), oauth=bool(self.refresh_token))
        else:
            login = checks.oauth(self.token_url, self.client_id, refresh_token=bool(self.refresh_token))
        return [
            *checks.addresses(self.address, self.aliases),
            *checks.name(self.display_name),
            *checks.server("imap", self.imap_host, self.imap_port, self.imap_security),
            *checks.server("smtp", self.smtp_host, self.smtp_port, self.smtp_security),
            *login,
            *checks.manners(self.folder, self.idle, self.largest, self.authserv_id, only_verified=self.only_verified),
        ]

    def mode(self) -> Mode:
        """Tell how this account receives."""
        return "poll"

    def parse(self, payload: Payload, known: Known) -> Receipt:
        """Turn one mail, as bytes, into events; the headers say where in the mailbox it is."""
        if len(payload.body) > LARGEST:
            raise Malformed(f"a mail of more than {LARGEST} bytes")
        return parse.mail(payload.body, self._reader(payload, known.now))

    def send(self, delivery: Delivery, known: Known) -> Exchange[Outcome]:
        """Write and send one mail; its Message-ID is the same however often it is tried."""
        return send.send(delivery, self._smtp(), From(address=self._own(), name=self.display_name), known.now)

    def unasked(self, address: Address) -> Address:
        """Return where a mail goes that answers nothing: its channel is the recipient's address."""
        channel = headers.address(address.channel)
        if not channel:
            raise Unreachable(f"{address.channel!r} is no e-mail address")
        return msgspec.structs.replace(address, channel=channel, ticket={})

    def fetch(self, attachment: Attachment, known: Known) -> Exchange[Media]:
        """Fetch an attachment out of the mailbox."""
        return access.fetch(attachment, self._folder())

    def grant(self, name: str, workspace: str, known: Known) -> Exchange[Token]:
        """Obtain an access token by the refresh token."""
        if name != "access_token":
            raise KeyError(name)
        return access.grant(self.token_url, self.client_id, secret=bool(self.client_secret), scope=self.scope)

    def poll(self, known: Known) -> Exchange[Polled]:
        """Look into the folder once, waiting for what is new; the first look only notes where it ends."""
        return poll.poll(self._folder(), known.cursor, known.now, self._read_at(known))

    def probe(self, known: Known) -> Exchange[Probe]:
        """Log in, and look at the folder."""
        return access.probe(self._folder(), self._own(), self.display_name)

    def connection(self) -> str:
        """Name the mailbox: two accounts that read the same one are one connection."""
        return f"{self.imap_host}/{self.user or self.address}/{self.folder}"

    def _read_at(self, known: Known) -> Read:
        def read(payload: Payload, mail: Mail) -> Receipt:
            return parse.mail(payload.body, self._reader(payload, mail.at or known.now))

        return read

    def _reader(self, payload: Payload, now: float) -> Reader:
        return Reader(
            adapter=self,
            addresses=(self._own(), *(alias.strip().lower() for alias in self.aliases)),
            server=self.authserv_id.strip(),
            accept_bcc=self.accept_bcc,
            only_verified=self.only_verified,
            reply_all=self.reply_all,
            now=now,
            place=payload.headers.get("place", ""),
            whole=payload.headers.get("whole") != "no",
        )

    def _own(self) -> str:
        return self.address.strip().lower()

    def _folder(self) -> Folder:
        server = self._server(self.imap_host, self.imap_port or IMAP_PORTS[self.imap_security], self.imap_security)
        return Folder(server=server, name=self.folder, wait=self.idle, largest=self.largest)

    def _smtp(self) -> Server:
        return self._server(self.smtp_host, self.smtp_port or SMTP_PORTS[self.smtp_security], self.smtp_security)

    def _server(self, host: str, port: int, security: Security) -> Server:
        name = "access_token" if self.login == "xoauth2" else "password"
        user = self.user or self.address
        return Server(host=host, port=port, user=user, auth=Credential(name=name), security=security, login=self.login)
