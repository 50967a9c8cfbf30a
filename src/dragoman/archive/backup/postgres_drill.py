"""Proving that a PostgreSQL store can be got back: verify what the copies hold, and start a server on it."""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

from dragoman.archive.backup import postgres_restore, programs
from dragoman.archive.backup.copies import Copies
from dragoman.archive.backup.postgres import Base, read_base
from dragoman.archive.backup.postgres_restore import Found
from dragoman.archive.backup.verify import Verified, Watch
from dragoman.archive.bucket import Bucket
from dragoman.archive.seal import Seal
from dragoman.errors import ArchiveError

SEGMENTS: Final = 256
"""Segments of 16 MB in one of the log's numbered files, as names count them."""
RECOVERED: Final = 3600
"""Seconds that a server may take to follow the log."""
SETTINGS: Final = """
listen_addresses = ''
unix_socket_directories = '{folder}'
hot_standby = off
shared_buffers = 32MB
archive_mode = off
logging_collector = off
ssl = off
"""


async def verify(bucket: Bucket, seal: Seal, watch: Watch = lambda _done, _all: None) -> Verified:
    """Read one copy whole: base backups, and the log from the first of them on. Raises `ArchiveAway`."""
    verified, copies = Verified(name=bucket.name), Copies([bucket], seal)
    found = await postgres_restore.find([bucket])
    total, done = len(found.bases) + len(found.segments), 0
    firsts: list[str] = []
    for _, path in sorted(found.bases.items()):
        try:
            base = read_base(path, await copies.read(path))
            for part in base.parts:
                await copies.read(part.path, part.checksum)
            verified.snapshots += 1
            verified.newest_at = max(verified.newest_at, base.at)
            firsts.append(base.first[8:])
        except ArchiveError as error:
            verified.problems.append(str(error))
        watch(done := done + 1, total)
    await _log(copies, found, firsts, verified)
    watch(total, total)
    return verified


async def _log(copies: Copies, found: Found, firsts: list[str], verified: Verified) -> None:
    """Read the segments, and see that none is missing from a base backup on up to the next one."""
    first = expected = min(firsts, default="")
    for name in sorted(name for name in found.segments if not name.endswith(".history")):
        try:
            await copies.read(found.segments[name])
            verified.parts += 1
        except ArchiveError as error:
            verified.problems.append(str(error))
        if first and name[8:] > expected and not any(expected < begun <= name[8:] for begun in firsts):
            verified.problems.append(f"the log has a gap: {name[:8]}{expected} is missing")
        if name[8:] >= expected:
            expected = following(name)[8:]
    if not verified.problems:
        verified.newest_at = max(verified.newest_at, found.newest_at)


def following(segment: str) -> str:
    """Name the segment after one: eight digits each of time line, file and segment."""
    number = int(segment[8:16], 16) * SEGMENTS + int(segment[16:24], 16) + 1
    return f"{segment[:8]}{number // SEGMENTS:08X}{number % SEGMENTS:08X}"


@contextlib.asynccontextmanager
async def restored(copies: Copies, user: str, database: str) -> AsyncIterator[tuple[str, Base]]:
    """Run a server on what the copies hold, in a folder of its own that goes with it; gives its URL.

    It listens in that folder only. Raises `ArchiveError`.
    """
    home = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="dragoman-drill-"))
    folder, runs_as = home / "server", programs.owner()
    try:
        found = await postgres_restore.find(copies.buckets)
        base = await postgres_restore.restore(copies, found, folder)
        await postgres_restore.check(folder)
        await asyncio.to_thread(_prepare, home, folder, runs_as)
        control = (programs.find("pg_ctl"), "--pgdata", str(folder), "--wait", f"--timeout={RECOVERED}", "--silent")
        log = ("--log", str(home / "server.log"))
        try:
            await _run_detached(*control, *log, "start", user=runs_as)
            await _recovered(home)
            yield f"postgresql://{quote(user)}@/{quote(database)}?host={quote(str(home), safe='')}", base
        finally:
            await _run_detached(*control, "--mode=immediate", "stop", user=runs_as)
    finally:
        await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)


def _prepare(home: Path, folder: Path, runs_as: str) -> None:
    """Give the folder to who runs the server, with settings that let nobody else in."""
    (folder / "postgresql.conf").write_text(SETTINGS.format(folder=home))
    (folder / "pg_hba.conf").write_text("local all all trust\n")
    (folder / "pg_ident.conf").touch()
    if runs_as:
        for path in [home, *home.rglob("*")]:
            shutil.chown(path, user=runs_as)


async def _recovered(home: Path) -> None:
    """Wait until the server has followed the log and lets people in; raises `ArchiveError`."""
    asking = (programs.find("pg_isready"), "--quiet", "--host", str(home))
    quiet = asyncio.subprocess.DEVNULL
    for _ in range(10 * RECOVERED):
        process = await asyncio.create_subprocess_exec(*asking, stdout=quiet, stderr=quiet)
        if not await process.wait():
            return
        await asyncio.sleep(0.1)
    raise ArchiveError(f"the restored server has not followed the log within {RECOVERED} seconds")


async def _run_detached(*words: str, user: str) -> None:
    """Run `pg_ctl`: its server inherits what it writes to, and a pipe would never end. Raises `ArchiveError`."""
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *words, stdin=quiet, stdout=quiet, stderr=quiet, env=dict(os.environ), user=user or None, cwd="/"
    )
    if await process.wait():
        raise ArchiveError(f"the restored server does not {words[-1]}: see the log of PostgreSQL")
