"""Mail in and out: the two protocols behind one door, loaded when an account first needs them."""

import ssl
from typing import TYPE_CHECKING

from dragoman.flow.media import MediaStore
from dragoman.wire import Imap, ImapPart, Response, Smtp

if TYPE_CHECKING:
    from dragoman.flow.transport.imap import ImapTransport
    from dragoman.flow.transport.smtp import SmtpTransport


class MailTransport:
    """Carries mail requests. Servers must prove who they are; no setting switches that off.

    `trust` is for a test's own authority; without it the system's certificates count, or those of
    OpenSSL's own variables SSL_CERT_FILE and SSL_CERT_DIR.
    """

    def __init__(self, media: MediaStore, trust: ssl.SSLContext | None = None) -> None:
        self._media = media
        self._trust = trust
        self._imap: ImapTransport | None = None
        self._smtp: SmtpTransport | None = None

    async def carry(self, account: str, request: Smtp | Imap | ImapPart, secret: str) -> Response:
        """Make a request on the account's connection; raises `NoAnswer`, `CredentialRefused` or `MediaRefused`."""
        if isinstance(request, Smtp):
            return await self._open_smtp().carry(account, request, secret)
        return await self._open_imap().carry(account, request, secret)

    async def close_account(self, account: str) -> None:
        """Close an account's connections, and return when they are closed: its settings have changed."""
        for transport in (self._imap, self._smtp):
            if transport is not None:
                await transport.close(account)

    async def close(self) -> None:
        """Close all connections."""
        for transport in (self._imap, self._smtp):
            if transport is not None:
                await transport.close_all()

    def _open_imap(self) -> "ImapTransport":
        if self._imap is None:
            from dragoman.flow.transport.imap import ImapTransport  # noqa: PLC0415 - only who has a mailbox loads it

            self._imap = ImapTransport(self._media, self._context)
        return self._imap

    def _open_smtp(self) -> "SmtpTransport":
        if self._smtp is None:
            from dragoman.flow.transport.smtp import SmtpTransport  # noqa: PLC0415 - only who sends mail loads it

            self._smtp = SmtpTransport(self._media, self._context)
        return self._smtp

    def _context(self) -> ssl.SSLContext:
        if self._trust is None:
            self._trust = ssl.create_default_context()
        return self._trust
