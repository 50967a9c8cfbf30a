"""The processes that are measured: started on their core, read in /proc, ended by their ids."""

import asyncio
import contextlib
import dataclasses
import os
import signal
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Final

TICKS: Final = os.sysconf("SC_CLK_TCK")
PAGE: Final = os.sysconf("SC_PAGE_SIZE")
STARTING: Final = 60.0
"""Seconds until a server that does not answer counts as failed."""
CORES: Final = tuple(sorted(os.sched_getaffinity(0)))
LOAD_CORES: Final = frozenset(CORES[:1])
SERVER_CORES: Final = frozenset(CORES[1:2] or CORES)
"""The server has a core of its own where there are two; one core is one core for every contestant."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """How a process is started."""

    arguments: Sequence[str]
    environ: Mapping[str, str] = dataclasses.field(default_factory=dict)


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def running(
    commands: Sequence[Command], folder: Path, cores: frozenset[int] = SERVER_CORES
) -> AsyncIterator[list[int]]:
    """Run commands on the server's cores, with their words in `server.log`; gives their process ids."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DRAGOMAN_")}
    processes = []
    with (folder / "server.log").open("ab") as log:
        try:
            for command in commands:
                os.sched_setaffinity(0, cores)  # the child inherits it
                processes.append(
                    await asyncio.create_subprocess_exec(
                        *command.arguments, env={**environ, **command.environ}, cwd=folder, stdout=log, stderr=log
                    )
                )
                os.sched_setaffinity(0, LOAD_CORES)
            yield [process.pid for process in processes]
        finally:
            for process in processes:
                await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(30):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def ready(port: int, path: str, pids: Sequence[int], log: Path) -> None:
    """Wait until a server answers a GET; raises `RuntimeError` with its last words."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + STARTING
    while loop.time() < deadline and _alive(pids):
        if await _status(port, path) not in {0, 503}:
            return
        await asyncio.sleep(0.01)
    raise RuntimeError("the server did not start: " + _last_words(log))


def _alive(pids: Sequence[int]) -> bool:
    """Tell whether all processes run (a child that ended is no zombie: asyncio has waited for it)."""
    return all(Path(f"/proc/{pid}/stat").exists() for pid in pids)


def _last_words(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-2000:]


async def _status(port: int, path: str) -> int:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return 0
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
        line = await reader.readline()
        return int(line.split()[1]) if line else 0
    except OSError:
        return 0
    finally:
        writer.close()


def tree(pids: Sequence[int]) -> list[int]:
    """Return processes with all that they started."""
    found = []
    for pid in pids:
        found.append(pid)
        for task in Path(f"/proc/{pid}/task").iterdir():
            children = (task / "children").read_text(encoding="ascii").split()
            found += tree([int(child) for child in children])
    return found


def cpu_seconds(pids: Sequence[int]) -> float:
    """Return the CPU time that processes and their children have used."""
    total = 0
    for pid in tree(pids):
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def resident_bytes(pids: Sequence[int]) -> int:
    """Return the memory that processes and their children hold."""
    pages = (int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) for pid in tree(pids))
    return sum(pages) * PAGE
