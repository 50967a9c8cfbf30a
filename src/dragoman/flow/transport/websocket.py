"""A WebSocket that we open, over aiohttp; its types leak nowhere.

A task of its own reads all the time: it answers pings, sends ours, and so notices a peer that is gone
though its connection is not. What it reads waits in a short queue; while that is full nothing more is
read, and the peer has to wait.
"""

import asyncio
import contextlib
import struct
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, cast

import aiohttp
from aiohttp import WSMsgType

from dragoman.errors import NoAnswer
from dragoman.model import Value
from dragoman.wire import Frame

LARGEST_FRAME: Final = 4 << 20
"""Bytes of a frame; the socket is closed with 1009 when one is larger."""
WAITING: Final = 16
"""Frames that were read and not taken yet."""
LEAVE: Final = 2.0
"""Seconds that the other side has to answer our close; then the connection is cut."""
PINGS: Final = 3
"""Our pings within the time after which silence means death."""
ABNORMAL: Final = 1006
"""The code of a connection that ended without a close frame (RFC 6455, 7.4.1)."""


class Closed(Value):
    """The socket is closed: by which code, and why."""

    code: int
    reason: str = ""


class _Line(aiohttp.ClientWebSocketResponse):
    """A socket of aiohttp's that can be given up at once, whatever is still to be written."""

    def __init__(
        self, reader: Any, writer: Any, protocol: Any, response: aiohttp.ClientResponse, *more: Any, **named: Any
    ) -> None:
        super().__init__(reader, writer, protocol, response, *more, **named)
        self._carrier = response
        self._wire = response.connection.transport if response.connection else None

    def cut(self) -> None:
        """Give the connection up."""
        if self._wire is not None:
            self._wire.abort()

    def release(self) -> None:
        """Tell aiohttp that nobody needs it any more."""
        self._carrier.close()


class WebSocket:
    """One open socket; `connect` makes it."""

    def __init__(self, line: _Line, session: aiohttp.ClientSession, silence: float, heard: Callable[[], None]) -> None:
        self._line = line
        self._session = session
        self._silence = silence
        self._heard = heard
        self._frames: asyncio.Queue[Frame | Closed] = asyncio.Queue(WAITING)
        self._finishing = False
        self._deaf = False
        self._reader = asyncio.create_task(self._read())

    async def send(self, frame: Frame) -> None:
        """Write a frame; nothing happens when the socket is closed or being closed: `receive` tells of it."""
        if self._finishing or self._reader.done():
            return
        with contextlib.suppress(aiohttp.ClientError, ConnectionError):
            if isinstance(frame.data, str):
                await self._line.send_str(frame.data)
            else:
                await self._line.send_bytes(frame.data)

    async def receive(self) -> Frame | Closed:
        """Wait for the next frame; the last is `Closed`. May be cancelled without losing one."""
        return await self._frames.get()

    async def finish(self) -> None:
        """Say that we are leaving and send nothing more; what still comes can be received until `Closed`."""
        if self._finishing:
            return
        self._finishing = True
        asyncio.get_running_loop().call_later(LEAVE, self._line.cut)
        with contextlib.suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
            async with asyncio.timeout(LEAVE):
                await self._line.send_frame(struct.pack("!H", 1000), WSMsgType.CLOSE)

    async def close(self) -> None:
        """Close, in order or by force; returns only when the connection is gone, even when cancelled meanwhile."""
        self._deaf = True
        while not self._frames.empty():
            self._frames.get_nowait()
        leaving = asyncio.create_task(self.finish())
        await surely(self._reader)
        await surely(leaving)

    async def _read(self) -> None:
        """Read until the end, hang up, and tell it."""
        closed = await self._read_frames()
        self._finishing = True
        self._line.cut()
        await self._session.close()  # waits for the connection to be gone
        self._line.release()
        await self._give(closed)

    async def _read_frames(self) -> Closed:
        """Read until the end; says how it ended."""
        quiet = 0
        while True:
            try:
                async with asyncio.timeout(self._silence / PINGS):
                    message = await self._line.receive()
            except TimeoutError:
                quiet += 1
                if quiet == PINGS:
                    return Closed(code=ABNORMAL, reason=f"silent for {self._silence:g} s")
                await self._ping()
                continue
            quiet = 0
            if closed := await self._take(message):
                return closed

    async def _take(self, message: aiohttp.WSMessage) -> Closed | None:
        """Take one message: a sign of life, or the end."""
        match message.type:
            case WSMsgType.CLOSE:
                await self.finish()
                return Closed(code=message.data or 1005, reason=str(message.extra or ""))
            case WSMsgType.ERROR:
                code = getattr(message.data, "code", ABNORMAL)
                return Closed(code=code, reason=type(message.data).__name__)
            case WSMsgType.CLOSED | WSMsgType.CLOSING:
                return Closed(code=ABNORMAL, reason="the connection broke")
        self._heard()
        if message.type == WSMsgType.PING:
            await self._write(self._line.pong(message.data))
        elif message.type in {WSMsgType.TEXT, WSMsgType.BINARY}:
            await self._give(Frame(data=message.data))
        return None

    async def _give(self, item: Frame | Closed) -> None:
        if not self._deaf:
            await self._frames.put(item)

    async def _ping(self) -> None:
        await self._write(self._line.ping())

    async def _write(self, writing: Coroutine[Any, Any, None]) -> None:
        """Write a ping or pong, unless it cannot be written at once: a peer that takes nothing is as good as silent."""
        with contextlib.suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
            async with asyncio.timeout(1.0):
                await writing


async def connect(
    url: str,
    headers: Mapping[str, str],
    *,
    silence: float,
    heard: Callable[[], None] = lambda: None,
    within: float = 10.0,
) -> WebSocket:
    """Open a socket; raises `NoAnswer`.

    `within` so many seconds; `silence`: seconds without anything from the other side after which it counts as
    gone; `heard` is called at every sign of life. What is raised does not tell the address, which may hold a ticket.
    """
    session = aiohttp.ClientSession(trust_env=False, cookie_jar=aiohttp.DummyCookieJar(), ws_response_class=_Line)
    line = None
    try:
        async with asyncio.timeout(within):
            line = await session.ws_connect(
                url, headers=headers, autoclose=False, autoping=False, max_msg_size=LARGEST_FRAME
            )
    except aiohttp.WSServerHandshakeError as error:
        raise NoAnswer(f"the socket was refused: status {error.status}", sent=False) from None
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        raise NoAnswer(f"cannot open the socket: {type(error).__name__}", sent=False) from None
    finally:
        if line is None:
            await surely(asyncio.create_task(session.close()))
    return WebSocket(cast("_Line", line), session, silence, heard)


async def surely(task: asyncio.Task[None]) -> None:
    """Wait until a task has ended, even when we are cancelled meanwhile; the cancellation is raised afterwards."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    if not task.cancelled():
        task.result()
