"""The real service as a process of its own: started by the real command, killed as a crash would, started again."""

import asyncio
import atexit
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp

STARTING: Final = 30.0
"""Seconds until a service that does not answer counts as failed."""


def toml(value: Any) -> str:
    """Write a plain value as TOML (texts, numbers, booleans, lists and inline tables of them)."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{toml(name)} = {toml(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    if isinstance(value, int | float):
        return str(value)
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def configuration(accounts: Mapping[str, Mapping[str, Any]], **settings: Any) -> str:
    """Write a configuration: settings of the service, and one table for each account."""
    lines = [f"{name} = {toml(value)}" for name, value in settings.items()]
    for account, table in accounts.items():
        lines += [f"[accounts.{account}]", *(f"{name} = {toml(value)}" for name, value in table.items())]
    return "\n".join(lines) + "\n"


_KEPT: Final[list[socket.socket]] = []
"""Sockets that keep ports for this process; they do not listen, so whoever is told the port may."""


def free_port() -> int:
    """Return a loopback port that nobody else is given before this process ends, also while nobody listens there."""
    if not _KEPT:
        atexit.register(_let_go)
    keeper = socket.socket()
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    keeper.bind(("127.0.0.1", 0))
    _KEPT.append(keeper)
    port: int = keeper.getsockname()[1]
    return port


def _let_go() -> None:
    for keeper in _KEPT:
        keeper.close()


class Service:
    """`dragoman run` on a data folder and a port that stay the same over restarts."""

    def __init__(self, folder: Path, configuration: str) -> None:
        """Write the configuration into the folder."""
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "service.log"
        self.starting = STARTING
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "dragoman.toml").write_text(configuration, encoding="utf-8")
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, *, crash: str = "") -> None:
        """Start and wait until it is ready; raises `RuntimeError` with its last words.

        `crash` is `point:count`: one that has died there by then has started, too.
        """
        environ = {name: value for name, value in os.environ.items() if not name.startswith("DRAGOMAN_")}
        if crash:
            environ["DRAGOMAN_CRASH"] = crash
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.command(), stdout=log, stderr=log, env=environ, cwd=self.folder
            )
        try:
            await self._until_ready()
        except RuntimeError:
            if not crash or self._process.returncode != -signal.SIGKILL:
                raise

    def command(self) -> list[str]:
        """Return the command line, the same at every start."""
        place = ["--data", str(self.folder), "--config", str(self.folder / "dragoman.toml")]
        return [sys.executable, "-m", "dragoman", "run", *place, "--port", str(self.port)]

    async def _until_ready(self) -> None:
        deadline = asyncio.get_running_loop().time() + self.starting
        async with aiohttp.ClientSession() as session:
            while asyncio.get_running_loop().time() < deadline:
                if self.exited:
                    break
                try:
                    async with session.get(self.url + "/health/ready") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.02)
        raise RuntimeError("the service did not start: " + self.last_words())

    @property
    def exited(self) -> bool:
        """Tell whether the process has ended."""
        return self._process is None or self._process.returncode is not None

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid if self._process else 0

    async def wait(self, seconds: float) -> int:
        """Wait for the process to end; returns its exit code (negative: the signal). Raises `TimeoutError`."""
        process = self._process
        if process is None:
            return 0
        async with asyncio.timeout(seconds):
            return await process.wait()

    async def kill(self) -> None:
        """End it as `kill -9` does."""
        if self._process is not None and not self.exited:
            self._process.kill()
            await self._process.wait()

    async def stop(self, seconds: float = 25.0) -> int:
        """End it by SIGTERM; returns the exit code. Raises `TimeoutError` when it does not end in time."""
        if self._process is not None and not self.exited:
            self._process.send_signal(signal.SIGTERM)
        return await self.wait(seconds)

    def last_words(self) -> str:
        """Return the end of its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:]
