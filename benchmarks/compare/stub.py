"""The platform's Web API as a stub on a bare protocol: it must cost much less than what is measured through it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import msgspec
from benchmarks.compare import workload

_ME: Final = msgspec.json.encode(
    {
        "ok": True,
        "url": "https://bench.slack.com/",
        "team": "bench",
        "user": "bench",
        "team_id": workload.TEAM,
        "user_id": workload.BOT,
        "bot_id": workload.BOT_ID,
        "app_id": workload.APP,
    }
)
_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s"
_POSTED: Final = b'{"ok":true,"channel":"D0","ts":"1700000000.%06d","message":{"text":""}}'


class Posted(msgspec.Struct):
    """What chat.postMessage is asked for, as far as it matters here."""

    text: str = ""


_decode: Final = msgspec.json.Decoder(Posted).decode


class _Line(asyncio.Protocol):
    """One connection: requests with a length, one after the other."""

    def __init__(self, said: Callable[[str], None]) -> None:
        self._said = said
        self._waiting = b""
        self._count = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        waiting = self._waiting + data if self._waiting else data
        while (end := waiting.find(b"\r\n\r\n")) >= 0:
            head = waiting[:end].lower()
            whole = end + 4 + _length(head)
            if len(waiting) < whole:
                break
            self._answer(head, waiting[end + 4 : whole])
            waiting = waiting[whole:]
        self._waiting = waiting

    def _answer(self, head: bytes, body: bytes) -> None:
        if b"/chat.postmessage " in head:
            self._said(_decode(body).text)
            self._count += 1
            answer = _POSTED % self._count
        else:
            answer = _ME
        self._transport.write(_HEAD % (len(answer), answer))


def _length(head: bytes) -> int:
    at = head.find(b"content-length:")
    if at < 0:
        return 0
    end = head.find(b"\r\n", at)
    return int(head[at + 15 : end if end >= 0 else len(head)])


@contextlib.asynccontextmanager
async def serving(said: Callable[[str], None]) -> AsyncIterator[str]:
    """Serve the stub on loopback; `said` is called with each text. Gives the API's base address."""
    server = await asyncio.get_running_loop().create_server(lambda: _Line(said), "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api"
    finally:
        server.close()
