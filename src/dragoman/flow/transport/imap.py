"""IMAP as a long poll: what is new in a folder, waiting for it in IDLE, and single parts of mails.

A connection has its own thread, since the client blocks. Whoever waits can be cancelled at any moment:
the socket is then shut from outside, which ends whatever the thread was reading.
"""

import asyncio
import contextlib
import functools
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from dragoman.errors import MediaRefused, NoAnswer
from dragoman.flow.media import MediaStore
from dragoman.flow.transport import imap_look, imap_part
from dragoman.flow.transport.imap_client import TROUBLE, ImapClient
from dragoman.flow.transport.pool import Pool
from dragoman.wire import Imap, ImapPart, Response, Server

T = TypeVar("T")

CONNECT: Final = 10.0
"""Seconds for the connection, shared by the host's addresses."""
MOST: Final = 3
"""Connections of one account: one waits, two fetch; some servers allow no more than 10 over all programs."""
ENDING: Final = 2.0
"""Seconds in which the thread of a dropped connection must have noticed."""
KEEPALIVE: Final = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""A peer that vanished while nothing was to be said is noticed after two minutes."""


class ImapTransport:
    """Carries `Imap` and `ImapPart` requests; `trust` gives the certificates that servers are judged by."""

    def __init__(self, media: MediaStore, trust: Callable[[], ssl.SSLContext]) -> None:
        self._media = media
        self._trust = trust
        self._pool: Pool[ImapConnection] = Pool(self._dial, MOST)
        self._refusals: imap_look.Refusals = {}

    async def carry(self, account: str, request: Imap | ImapPart, secret: str) -> Response:
        """Make a request; raises `NoAnswer` (never sent), `CredentialRefused` or `MediaRefused`."""
        try:
            async with self._pool.lend(account, request.server, secret) as connection:
                if isinstance(request, Imap):
                    return await connection.run(lambda client: imap_look.look(client, request, self._refusals))
                async with asyncio.timeout(request.timeout):
                    return await self._part(connection, request)
        except TimeoutError as error:
            raise NoAnswer("IMAP: the server took too long", sent=False) from error

    async def close(self, account: str) -> None:
        """Close an account's connections."""
        await self._pool.close(account)

    async def close_all(self) -> None:
        """Close all connections."""
        await self._pool.close_all()

    async def _part(self, connection: "ImapConnection", request: ImapPart) -> Response:
        imap_part.check(request)
        kind = await connection.run(lambda client: imap_part.find(client, request))
        decode = imap_part.decoder(kind.encoding)

        async def chunks() -> AsyncIterator[bytes]:
            for start in imap_part.starts():
                chunk = await connection.run(functools.partial(imap_part.piece, request=request, start=start))
                yield decode(chunk, last=len(chunk) < imap_part.PIECE)
                if len(chunk) < imap_part.PIECE:
                    return
            raise MediaRefused("the attachment is too large")

        return Response(media=await self._media.save(chunks(), kind.mime))

    async def _dial(self, account: str, server: Server, secret: str) -> "ImapConnection":
        connection = ImapConnection(account, await _connect(server))
        with contextlib.ExitStack() as undo:
            undo.callback(connection.drop)
            await connection.open(server, secret, self._trust)
            undo.pop_all()
        return connection


class ImapConnection:
    """A client and its thread."""

    def __init__(self, account: str, sock: socket.socket) -> None:
        self._sock = sock
        self._handle = sock.dup()  # reaches the connection whatever TLS has made of the socket meanwhile
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"imap-{account}")
        self._running: asyncio.Future[Any] | None = None
        self._client: ImapClient | None = None

    async def open(self, server: Server, secret: str, trust: Callable[[], ssl.SSLContext]) -> None:
        """Hear the greeting and log in."""
        self._client = await self._do(lambda: _begin(self._sock, server, secret, trust))

    async def run(self, work: Callable[[ImapClient], T]) -> T:
        """Work with the client in its thread; a cancelled wait drops the connection."""
        client = self._client
        if client is None:
            raise NoAnswer("IMAP: the connection was closed", sent=False)
        return await self._do(lambda: work(client))

    async def _do(self, work: Callable[[], T]) -> T:
        running = asyncio.get_running_loop().run_in_executor(self._thread, work)
        running.add_done_callback(_note)
        self._running = running
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            self.drop()
            await self.ended()
            raise
        except TROUBLE as error:
            raise NoAnswer(f"IMAP: {type(error).__name__}: {error}"[:300], sent=False) from error

    async def alive(self) -> bool:
        """Ask with NOOP."""
        try:
            await self.run(ImapClient.greet)
        except NoAnswer:
            return False
        return True

    def drop(self) -> None:
        """Shut the connection, which wakes the thread; the thread closes the socket as its last act."""
        client, self._client = self._client, None
        if client is not None and self._running is not None and self._running.done():
            client.part()
        with contextlib.suppress(OSError):
            self._handle.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(RuntimeError):  # dropped before
            self._thread.submit(self._close, client)
        self._thread.shutdown(wait=False)

    def _close(self, client: ImapClient | None) -> None:
        if client is not None:
            client.shutdown()
        self._sock.close()
        self._handle.close()

    async def ended(self) -> None:
        """Wait until the thread has noticed."""
        if self._running is not None:
            await asyncio.wait({self._running}, timeout=ENDING)


def _note(ended: asyncio.Future[Any]) -> None:
    """Look at how the thread ended, also when nobody waits for it any more."""
    if not ended.cancelled():
        ended.exception()


async def _connect(server: Server) -> socket.socket:
    """Connect to the first address that answers, without blocking the loop."""
    loop = asyncio.get_running_loop()
    trouble: OSError = OSError("the host has no address")
    try:
        async with asyncio.timeout(CONNECT):
            found = await loop.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
        for family, kind, protocol, _, address in found:
            try:
                return await _reach(socket.socket(family, kind, protocol), address, CONNECT / len(found))
            except OSError as error:
                trouble = error
    except (OSError, UnicodeError) as error:
        raise NoAnswer(f"IMAP: no address: {type(error).__name__}", sent=False) from error
    raise NoAnswer(f"IMAP: cannot connect: {type(trouble).__name__}", sent=False) from trouble


async def _reach(sock: socket.socket, address: Any, seconds: float) -> socket.socket:
    with contextlib.ExitStack() as undo:
        undo.callback(sock.close)
        sock.setblocking(False)  # noqa: FBT003 - the standard library has it so
        async with asyncio.timeout(seconds):
            await asyncio.get_running_loop().sock_connect(sock, address)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE.items():
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        undo.pop_all()
    return sock


def _begin(sock: socket.socket, server: Server, secret: str, trust: Callable[[], ssl.SSLContext]) -> ImapClient:
    """Do what comes before the first command, in the thread."""
    sock.settimeout(CONNECT)
    if server.security == "none" and not ipaddress.ip_address(sock.getpeername()[0].split("%")[0]).is_loopback:
        raise OSError("without TLS only this machine is spoken to")
    if server.security == "tls":
        sock = trust().wrap_socket(sock, server_hostname=server.host)
    with contextlib.ExitStack() as undo:
        undo.callback(sock.close)
        client = ImapClient(sock)
        undo.callback(client.shutdown)
        if server.security == "starttls":
            client.secure(trust(), server.host)
        client.log_in(server, secret)
        undo.pop_all()
    return client
