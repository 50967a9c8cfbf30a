"""The commands' way to the running service: questions and a chat over its control socket."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from dragoman.errors import DragomanError, NoAnswer

PATIENCE: Final = aiohttp.ClientTimeout(total=3600.0)
"""A snapshot of a large store takes its time."""


async def ask(control: Path, question: str, *, body: str = "", **query: str) -> Any:
    """Ask the running service; what is long goes into the body.

    Raises `NoAnswer` when none runs, `DragomanError` when it could not answer.
    """
    try:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(control)), timeout=PATIENCE) as session,
            session.post(f"http://dragoman/{question}", params=query, data=body.encode()) as answer,
        ):
            if answer.status != 200:
                raise DragomanError(f"the running service could not answer: status {answer.status}; see its log")
            return msgspec.json.decode(await answer.read())
    except (aiohttp.ClientError, OSError) as error:
        raise NoAnswer(f"no service answers at {control}: {type(error).__name__}", sent=False) from error


class Talk:
    """An open chat: frames out and in."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def say(self, frame: dict[str, Any]) -> None:
        """Send a frame."""
        await self._socket.send_str(msgspec.json.encode(frame).decode())

    async def hear(self) -> dict[str, Any] | None:
        """Wait for the next frame; None when the service has closed the chat."""
        message = await self._socket.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            return None
        frame: dict[str, Any] = msgspec.json.decode(message.data)
        return frame


@contextlib.asynccontextmanager
async def talk(control: Path, channel: str) -> AsyncIterator[Talk]:
    """Open a chat with the running service; raises `NoAnswer` when none runs."""
    connector = aiohttp.UnixConnector(str(control))
    async with aiohttp.ClientSession(connector=connector) as session:
        try:
            socket = await session.ws_connect(f"http://dragoman/chat/{channel}")
        except (aiohttp.ClientError, OSError) as error:
            raise NoAnswer(f"no service answers at {control}: {type(error).__name__}", sent=False) from error
        async with socket:
            yield Talk(socket)
