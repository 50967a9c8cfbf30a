"""A Redis server of a test's own: on loopback, on its own port, with nothing on the disk, to be killed at will."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from typing import Final

from dragoman.testing.process import free_port

STARTING: Final = 10.0
"""Seconds until a server that does not answer counts as failed."""


def installed() -> bool:
    """Tell whether there is a `redis-server` here."""
    return shutil.which("redis-server") is not None


class RedisServer:
    """One `redis-server`; it keeps its port over restarts, and nothing else."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start and wait until it answers. Raises `RuntimeError` when it ends, or does not answer in time."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        quiet = asyncio.subprocess.DEVNULL
        self._process = await asyncio.create_subprocess_exec("redis-server", *options, stdout=quiet, stderr=quiet)
        deadline = asyncio.get_running_loop().time() + STARTING
        while not await self._answers():
            if self._process.returncode is not None or asyncio.get_running_loop().time() > deadline:
                raise RuntimeError("redis-server did not start")
            await asyncio.sleep(0.02)

    async def _answers(self) -> bool:
        try:
            return await self.call("PING") == b"+PONG"
        except OSError:
            return False

    async def call(self, *command: str | bytes) -> bytes:
        """Give one command over a connection of its own, past any proxy; returns the first line of the answer."""
        return (await self._lines(*command))[0]

    async def ask(self, *command: str | bytes) -> bytes:
        """Give one command and return its answer: a number, a status, or a text without line ends (none: empty)."""
        first, *rest = await self._lines(*command)
        return b"".join(rest) if first.startswith(b"$") else first[1:]

    async def _lines(self, *command: str | bytes) -> list[bytes]:
        parts = [part.encode() if isinstance(part, str) else part for part in command]
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
            first = await reader.readline()
            rest = [await reader.readline()] if first.startswith(b"$") and not first.startswith(b"$-") else []
            return [line.removesuffix(b"\r\n") for line in (first, *rest)]
        finally:
            writer.close()

    async def kill(self) -> None:
        """End it as `kill -9` does."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


@contextlib.asynccontextmanager
async def redis_server() -> AsyncIterator[RedisServer]:
    """Run a server while the context is open."""
    server = RedisServer()
    await server.start()
    try:
        yield server
    finally:
        await server.kill()
