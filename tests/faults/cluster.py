"""A private PostgreSQL: made once per session, copied for every scenario, restarted at will.

As root it runs as the user postgres, in a folder that this user may enter. It flushes (`fsync` is on), so that what is
tested is what an operator has; a power failure is not tested.
"""

import asyncio
import contextlib
import os
import pwd
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from dragoman.testing.process import free_port

SETTINGS: Final = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_buffers = 32MB
max_wal_size = 256MB
logging_collector = off
"""
USER: Final = "postgres"


def binary(name: str) -> str:
    """Find a program of the server."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    found = shutil.which(name, path=os.pathsep.join([*map(str, reversed(folders)), os.environ.get("PATH", "")]))
    if found is None:
        raise RuntimeError(f"{name} is not installed: install the package postgresql")
    return found


async def _run(*command: str) -> None:
    """Run a program as the server's user; raises `RuntimeError` with what it said."""
    prefix = ["runuser", "-u", USER, "--"] if os.geteuid() == 0 else []
    with tempfile.TemporaryFile() as said:  # a file: the server inherits it, and a pipe would never end
        process = await asyncio.create_subprocess_exec(*prefix, *command, stdout=said, stderr=said, cwd="/")
        if await process.wait():
            said.seek(0)
            raise RuntimeError(f"{command[0]}: {said.read().decode(errors='replace')[-1000:]}")


def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="dgm-pg-"))
    if os.geteuid() == 0:
        os.chown(folder, pwd.getpwnam(USER).pw_uid, -1)
    return folder


@contextlib.asynccontextmanager
async def template() -> AsyncIterator[Path]:
    """Make an empty cluster to copy from."""
    folder = _folder()
    try:
        await _run(binary("initdb"), "-D", str(folder / "data"), "-A", "trust", "-U", USER, "-E", "UTF8", "--no-sync")
        yield folder / "data"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Cluster:
    """One server on a loopback port that stays the same."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"postgresql://{USER}@127.0.0.1:{self.port}/{USER}"
        self._data = folder / "data"

    async def control(self, action: str, *options: str) -> None:
        """Run `pg_ctl`, and wait until it is done."""
        await _run(binary("pg_ctl"), action, "-D", str(self._data), "-w", "-t", "60", *options)

    async def start(self) -> None:
        """Start the server; after a crash it recovers first."""
        await self.control("start", "-l", str(self._data / "server.log"))

    async def stop(self, mode: str = "immediate") -> None:
        """Stop the server: `immediate` is a crash of it."""
        await self.control("stop", "-m", mode)

    async def promote(self) -> None:
        """Let a standby become the server that takes writes."""
        await self.control("promote")

    async def wait_for_standbys(self) -> None:
        """Call nothing committed from now on that is not on a standby's disk too."""
        self.configure("synchronous_standby_names = '*'")
        await self.control("reload")

    async def admit(self, rule: str) -> None:
        """Put a rule about who comes in, and how, before all others."""
        file = self._data / "pg_hba.conf"
        file.write_text(f"{rule}\n{file.read_text(encoding='utf-8')}", encoding="utf-8")
        await self.control("reload")

    def configure(self, settings: str) -> None:
        """Add settings, for the next start or reload."""
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(settings + "\n")


@contextlib.asynccontextmanager
async def _served(settings: str, *making: str) -> AsyncIterator[Cluster]:
    """Run a cluster while the context is open; `making` is the command that makes its folder, but for the folder."""
    folder = _folder()
    try:
        await _run(*making, str(folder / "data"))
        server = Cluster(folder)
        server.configure(f"{settings}port = {server.port}")
        await server.start()
        try:
            yield server
        finally:
            with contextlib.suppress(RuntimeError):  # a scenario may leave it down
                await server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def cluster(source: Path, *, connections: int = 50) -> AsyncIterator[Cluster]:
    """Run a copy of the empty cluster while the context is open."""
    async with _served(f"{SETTINGS}max_connections = {connections}\n", "cp", "-a", str(source)) as server:
        yield server


@contextlib.asynccontextmanager
async def standby(primary: Cluster) -> AsyncIterator[Cluster]:
    """Run a standby that the primary waits for."""
    async with _served("", binary("pg_basebackup"), "-d", primary.url, "-R", "-c", "fast", "-D") as server:
        await primary.wait_for_standbys()
        yield server
