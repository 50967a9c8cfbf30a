"""SMTP submission: one mail in one transaction, with the server's own code and text as the answer.

The instant that matters is the final dot: before it nothing can have arrived, after it a lost
connection leaves us unsure. The body is written piece by piece, so that a big attachment needs no memory.
"""

import asyncio
import contextlib
import dataclasses
import ipaddress
import re
import ssl
from collections.abc import Callable, Iterator
from typing import Final

import aiosmtplib
from aiosmtplib.protocol import SMTPProtocol

from dragoman.errors import CredentialRefused, NoAnswer
from dragoman.flow.media import MediaStore
from dragoman.flow.transport.letter import Letter
from dragoman.flow.transport.pool import Pool
from dragoman.wire import Response, Server, Smtp

CONNECT: Final = 15.0
"""Seconds for the connection, TLS, the greeting, and each step of the login."""
MOST: Final = 2
"""Connections of one account; Microsoft allows three at a time."""
GREETING: Final = "[127.0.0.1]"
"""What we call ourselves: an address literal is always well-formed, and tells nothing about this machine."""
FAREWELL: Final = 0.5
"""Seconds that a closing connection has for its last words."""
LONGEST: Final = 1000
"""Bytes of the server's words that are kept."""
FORBIDDEN: Final = re.compile(r"[\s<>\x00-\x1f\x7f]")
"""What would end an address early, or begin another command."""


class SmtpTransport:
    """Carries `Smtp` requests; `trust` gives the certificates that servers are judged by."""

    def __init__(self, media: MediaStore, trust: Callable[[], ssl.SSLContext]) -> None:
        self._media = media
        self._trust = trust
        self._pool: Pool[SmtpConnection] = Pool(self._dial, MOST)

    async def carry(self, account: str, request: Smtp, secret: str) -> Response:
        """Hand over a mail; raises `NoAnswer` (sent: after the final dot), `CredentialRefused` or `MediaRefused`."""
        letter = await asyncio.to_thread(Letter.make, request, self._media)
        progress = Progress()
        try:
            async with (
                asyncio.timeout(request.timeout),
                self._pool.lend(account, request.server, secret) as connection,
            ):
                return await connection.hand_over(request, letter, progress)
        except (aiosmtplib.SMTPException, OSError) as error:
            if isinstance(error, aiosmtplib.SMTPResponseException) and error.code >= 200:
                return _response(error.code, error.message)  # of the greeting or the login
            raise NoAnswer(f"SMTP: {type(error).__name__}: {error}"[:300], sent=progress.ended) from error

    async def close(self, account: str) -> None:
        """Close an account's connections."""
        await self._pool.close(account)

    async def close_all(self) -> None:
        """Close all connections."""
        await self._pool.close_all()

    async def _dial(self, account: str, server: Server, secret: str) -> "SmtpConnection":
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            local_hostname=GREETING,
            timeout=CONNECT,
            use_tls=server.security == "tls",
            start_tls=server.security == "starttls",
            tls_context=None if server.security == "none" else await asyncio.to_thread(self._trust),
        )
        with contextlib.ExitStack() as undo:
            undo.callback(client.close)
            await client.connect()
            await client.ehlo()
            if server.security == "none":
                _be_local(client)
            if server.user:
                await _log_in(client, server, secret)
            connection = SmtpConnection(client)
            undo.pop_all()
        return connection


@dataclasses.dataclass
class Progress:
    """How far a transaction came."""

    ended: bool = False
    """The final dot was written: from here on the mail may have arrived."""


class SmtpConnection:
    """A client that is logged in."""

    def __init__(self, client: aiosmtplib.SMTP) -> None:
        self._client = client
        if client.transport is None or client.protocol is None:
            raise aiosmtplib.SMTPServerDisconnected("the connection is gone")
        self._protocol: SMTPProtocol = client.protocol
        self._transport = client.transport
        self._writer = asyncio.StreamWriter(self._transport, self._protocol, None, asyncio.get_running_loop())  # type: ignore[arg-type] # aiosmtplib types it as the base

    async def alive(self) -> bool:
        """Ask with RSET, which also forgets a transaction that was left off."""
        try:
            async with asyncio.timeout(5.0):
                return (await self._client.rset()).code == 250
        except (aiosmtplib.SMTPException, OSError):
            return False

    def drop(self) -> None:
        """Close it; a QUIT goes before if the connection is still good."""
        if not self._transport.is_closing():
            with contextlib.suppress(aiosmtplib.SMTPException, OSError, RuntimeError):
                self._writer.write(b"QUIT\r\n")
        self._client.close()
        self._writer.close()

    async def ended(self) -> None:
        """Give the farewell a moment, then cut the connection."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL):
                while self._protocol.transport is not None:  # noqa: ASYNC110 - the library tells it by an attribute
                    await asyncio.sleep(0.01)
        self._writer.transport.abort()

    async def hand_over(self, request: Smtp, letter: Letter, progress: Progress) -> Response:
        """Run one transaction. Recipients that are refused beside others come back in the header `refused`."""
        if any(FORBIDDEN.search(address) for address in (request.sender, *request.recipients)):
            return _response(553, "5.1.3 an address has characters that no address has")
        options = self._options(letter)
        if isinstance(options, Response):
            return options
        encoding = "utf-8" if "SMTPUTF8" in options else "ascii"
        answer = await self._ask(b"MAIL FROM:", request.sender, encoding, *options)
        if answer.code != 250:
            return _response(answer.code, answer.message)
        refused: dict[str, aiosmtplib.SMTPResponse] = {}
        for recipient in request.recipients:
            answer = await self._ask(b"RCPT TO:", recipient, encoding)
            if answer.code not in {250, 251}:
                refused[recipient] = answer
        if len(refused) == len(request.recipients):
            first = next(iter(refused.values()), answer)
            return _response(first.code, first.message)
        answer = await self._client.execute_command(b"DATA", timeout=None)
        if answer.code != 354:
            return _response(answer.code, answer.message)
        answer = await self._write(letter, progress)
        headers = {"refused": ", ".join(refused)} if refused else {}
        return _response(answer.code, answer.message, headers)

    def _options(self, letter: Letter) -> list[str] | Response:
        """Return MAIL's parameters, or why this server cannot take the letter."""
        offers = self._client.supports_extension
        if letter.international and not offers("smtputf8"):
            return _response(553, "5.6.7 the server takes no addresses or headers beyond ASCII")
        if letter.eight_bit and not offers("8bitmime"):
            return _response(554, "5.6.3 the server takes no 8-bit text")
        return [
            *([f"SIZE={letter.size}"] if offers("size") else []),
            *(["BODY=8BITMIME"] if letter.eight_bit else []),
            *(["SMTPUTF8"] if letter.international else []),
        ]

    async def _ask(self, verb: bytes, address: str, encoding: str, *options: str) -> aiosmtplib.SMTPResponse:
        command = verb + b"<" + address.encode(encoding) + b">"
        return await self._client.execute_command(command, *(option.encode() for option in options), timeout=None)

    async def _write(self, letter: Letter, progress: Progress) -> aiosmtplib.SMTPResponse:
        """Write the body and wait for the verdict, which a server may also speak before the end."""
        verdict = asyncio.ensure_future(self._protocol.read_response())
        try:
            with contextlib.suppress(aiosmtplib.SMTPServerDisconnected, ConnectionError):
                await self._body(letter.pieces(), progress, verdict)
            answer = await verdict
        finally:
            verdict.cancel()
        if answer.code < 400 and not progress.ended:
            raise aiosmtplib.SMTPServerDisconnected("an answer came before its question")
        return answer

    async def _body(
        self, pieces: Iterator[bytes], progress: Progress, verdict: "asyncio.Future[aiosmtplib.SMTPResponse]"
    ) -> None:
        while piece := await asyncio.to_thread(next, pieces, b""):
            if verdict.done():
                self._transport.close()  # it answered early: what follows would be taken for commands
                return
            self._writer.write(piece)
            await self._writer.drain()
        progress.ended = True
        self._writer.write(b".\r\n")


async def _log_in(client: aiosmtplib.SMTP, server: Server, secret: str) -> None:
    """Log in with the one way that fits; raises `CredentialRefused`."""
    wanted = ("xoauth2",) if server.login == "xoauth2" else ("plain", "login")
    ways = {"xoauth2": client.auth_xoauth2, "plain": client.auth_plain, "login": client.auth_login}
    way = next((name for name in wanted if name in client.server_auth_methods), None)
    if way is None:
        raise CredentialRefused(f"the SMTP server offers no login by {' or '.join(wanted)} over this connection")
    try:
        await ways[way](server.user, secret)
    except aiosmtplib.SMTPAuthenticationError as error:
        if error.code < 500:
            raise
        said = error.message.replace(secret or "\0", "***")
        raise CredentialRefused(f"the SMTP server refuses the login: {error.code} {said[:200]}") from error


def _be_local(client: aiosmtplib.SMTP) -> None:
    peer = str(client.get_transport_info("peername")[0])
    if not ipaddress.ip_address(peer.partition("%")[0]).is_loopback:
        raise NoAnswer("SMTP: without TLS only this machine is spoken to", sent=False)


def _response(code: int, text: str, headers: dict[str, str] | None = None) -> Response:
    return Response(status=code, headers=headers or {}, body=text.encode("utf-8", "replace")[:LONGEST])
