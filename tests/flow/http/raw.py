"""A server below HTTP: it reads requests as bytes, and answers, or does worse, as a test tells it."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Talk:
    """One connection, as the server sees it."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.reader = reader
        self._writer = writer

    async def request(self) -> bytes:
        """Read one whole request; empty when the client has closed."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""
        lines = head.lower().split(b"\r\n")
        length = next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")), 0)
        return head + await self.reader.readexactly(length)

    def say(self, data: bytes) -> None:
        self._writer.write(data)

    def hang_up(self) -> None:
        self._writer.close()

    def reset(self) -> None:
        line: socket.socket = self._writer.get_extra_info("socket")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def half_close(self) -> None:
        self._writer.write_eof()

    async def left(self) -> None:
        """Wait until the client has closed, whatever it says before."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(1 << 16):
                pass


Act = Callable[[Talk], Awaitable[None]]


class Raw:
    """What was heard: the requests in order, and on how many connections."""

    def __init__(self, act: Act) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.left = asyncio.Event()
        """Set when a client has closed a connection."""
        self.port = 0
        self.tls = False
        self.listening: asyncio.Server | None = None
        self._act = act
        self._talks: set[asyncio.Task[None] | None] = set()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        self._talks.add(task)
        talk = Talk(self.connections, reader, writer)
        try:
            await self._act(talk)
            await talk.left()
            self.left.set()
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            self._talks.discard(task)
            writer.transport.abort()

    def shut(self) -> None:
        """Take no more connections."""
        if self.listening:
            self.listening.close()

    async def end(self) -> None:
        for task in list(self._talks):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])


@contextlib.asynccontextmanager
async def serving(act: Act, context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncIterator[Raw]:
    """Serve on loopback: `act` is called with each connection."""
    raw = Raw(act)
    raw.listening = listening = await asyncio.start_server(raw.serve, host, 0, ssl=context)
    raw.port, raw.tls = listening.sockets[0].getsockname()[1], context is not None
    try:
        yield raw
    finally:
        listening.close()
        await raw.end()
        await listening.wait_closed()


def saying(*answers: bytes) -> tuple[Act, list[bytes]]:
    """Answer the requests of all connections one after the other; gives the list of what was asked too."""
    heard: list[bytes] = []

    async def act(talk: Talk) -> None:
        while request := await talk.request():
            heard.append(request)
            talk.say(answers[min(len(heard), len(answers)) - 1])

    return act, heard
