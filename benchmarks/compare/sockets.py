"""Idle people: chat pages that are open, each a WebSocket of its own person, held by a bare protocol."""

import asyncio
import base64
import os
from typing import Any, Final

from benchmarks.compare import processes
from benchmarks.compare.rounds import started

AT_A_TIME: Final = 100
_HEAD: Final = (
    "GET /chat/socket HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nOrigin: http://127.0.0.1:%d\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\nCookie: dragoman_chat=%s\r\n\r\n"
)


class _Page(asyncio.Protocol):
    """One open page: it reads its first frame, the history, and then says nothing."""

    def __init__(self, port: int, number: int) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        self._hello = (_HEAD % (port, port, key, f"idle-{number:012}")).encode()
        self._read = b""
        self.greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        transport.write(self._hello)

    def data_received(self, data: bytes) -> None:
        if self.greeted.done():
            return
        self._read += data
        if not self._read.startswith(b"HTTP/1.1 101"):
            self.greeted.set_exception(ConnectionError(self._read[:100].decode(errors="replace")))
        elif b'"history"' in self._read:
            self.greeted.set_result(None)
            self._read = b""


async def idle(count: int) -> str:
    """Open so many chats; say what they cost in memory and, for ten seconds, in CPU time."""
    async with started("dragoman") as bout:
        before = processes.resident_bytes(bout.pids)
        transports = []
        for first in range(0, count, AT_A_TIME):
            numbers = range(first, min(first + AT_A_TIME, count))
            transports += await asyncio.gather(*(_open(bout.port, number) for number in numbers))
        grown = processes.resident_bytes(bout.pids) - before
        used = processes.cpu_seconds(bout.pids)
        await asyncio.sleep(10)
        share = (processes.cpu_seconds(bout.pids) - used) / 10
        for transport in transports:
            transport.close()
    return f"{count} idle chats: {grown / count / 1000:.1f} kB each, {grown / 1e6:.0f} MB; {share:.1%} of a core"


async def _open(port: int, number: int) -> Any:
    loop = asyncio.get_running_loop()
    transport, page = await loop.create_connection(lambda: _Page(port, number), "127.0.0.1", port)
    await page.greeted
    return transport
