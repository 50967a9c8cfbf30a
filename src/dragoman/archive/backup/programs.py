"""PostgreSQL's own programs: where they are, whom they run as, and how they are told where the server is."""

import asyncio
import os
import pwd
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from dragoman.errors import ArchiveError

FOLDERS: Final = ("/usr/lib/postgresql", "/usr/pgsql")
"""Where Debian and others put programs that are not on the path, a folder for each release."""
PASSED: Final = ("sslmode", "sslrootcert", "sslcert", "sslkey")


def find(name: str) -> str:
    """Find a program, the newest release's; raises `ArchiveError` with the remedy."""
    if there := shutil.which(name):
        return there
    found = [path for folder in FOLDERS for path in Path(folder).parent.glob(f"{Path(folder).name}*/**/bin/{name}")]
    if not found:
        raise ArchiveError(f"{name} is not installed: backups of PostgreSQL are made by its own programs")
    return str(max(found, key=lambda path: [int(part) for part in path.parts if part.isdigit()]))


def environ(url: str) -> dict[str, str]:
    """Tell the programs where the server is by their environment, so that no password stands in a process list."""
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    named = {
        "PGHOST": parts.hostname or options.get("host", ""),
        "PGPORT": str(parts.port or options.get("port", "")),
        "PGUSER": unquote(parts.username or options.get("user", "")),
        "PGPASSWORD": unquote(parts.password or options.get("password", "")),
        "PGDATABASE": unquote(parts.path.strip("/")),
        "PGCONNECT_TIMEOUT": "5",
        "PGAPPNAME": "dragoman backup",
        **{f"PG{name.upper()}": options[name] for name in PASSED if name in options},
    }
    return {**os.environ, **{name: value for name, value in named.items() if value}}


async def run(*words: str, env: Mapping[str, str]) -> bytes:
    """Run a program to its end and return what it wrote; raises `ArchiveError` with its complaint."""
    process = await start(*words, env=env)
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:  # nobody waits for it any more
            process.kill()
            await process.wait()
    if process.returncode:
        raise ArchiveError(f"{Path(words[0]).name}: {complaint(err)}")
    return out


async def start(*words: str, env: Mapping[str, str]) -> asyncio.subprocess.Process:
    """Start a program."""
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*words, stdout=pipe, stderr=pipe, env=env)


def complaint(err: bytes) -> str:
    """Return the last line of what a program complained."""
    lines = err.decode(errors="replace").strip().splitlines() or ["no reason given"]
    return lines[-1][:300]


def owner() -> str:
    """Return whom a server has to run as: PostgreSQL refuses root. Empty: ourselves."""
    if os.geteuid():
        return ""
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError as error:
        raise ArchiveError("a server is not started as root, and there is no user postgres") from error
