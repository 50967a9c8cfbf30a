"""Getting a store back from its copies: restore it into a folder, and drill doing so."""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, quote, unquote, urlsplit

import msgspec

from dragoman.archive.backup import postgres_drill, postgres_restore, restore
from dragoman.archive.backup.copies import Copies
from dragoman.archive.backup.keep import Proof
from dragoman.archive.backup.postgres import Base
from dragoman.archive.backup.restore import Restored
from dragoman.archive.bucket import Bucket
from dragoman.errors import ArchiveDamaged, ArchiveError, ArchiveMissing, ConfigError
from dragoman.service import backup
from dragoman.service.installation import Installation
from dragoman.store.restored import Held, Restoration
from dragoman.store.sqlite import pages, restored

DATABASE: Final = "dragoman.db"
STARTED: Final = 60.0
"""Seconds in which a held bot has to answer."""
NOT_ANSWERED: Final = "the restored bot did not start: "

Watch = Callable[[int, int], None]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a restore gave: the moment, how much was set aside, and what the copies could not give."""

    at: float
    until: float
    generation: str
    sequence: int
    bytes: int
    held: Held
    files: tuple[str, ...]
    broken: str
    trouble: tuple[str, ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a drill found: `lost_seconds` would have been lost (RPO), `seconds` did it take to be back (RTO)."""

    at: float
    lost_seconds: float
    seconds: float
    bytes: int
    rows: int
    compared: str
    """With what the restored file was compared: the running store, or the snapshot alone."""
    copies: tuple[str, ...]
    trouble: tuple[str, ...]


def places(installation: Installation, only: str = "") -> list[Bucket]:
    """Open the copies, or `only` the first or the second; raises `ConfigError` when there is none."""
    found = backup.buckets(installation)
    if only:
        found = found[1:2] if only == "second" else found[:1]
    if not found:
        key = "backup_copy.url" if only == "second" else "backup.url"
        raise ConfigError(installation.document.where(key), key, "is not set: there is no such copy")
    return found


async def into(
    installation: Installation,
    folder: Path,
    buckets: Sequence[Bucket],
    *,
    at: float | None = None,
    until: float | None = None,
    watch: Watch = lambda _done, _all: None,
) -> Outcome:
    """Restore the newest state, or that of a moment, into a folder without a store, and hold what waits in it.

    Raises `ConfigError` where there is a store already, `ArchiveError`, `StoreError`.
    """
    database = folder / DATABASE
    for there in (database, folder / f"{DATABASE}-wal"):
        if there.exists():
            remedy = f"move {DATABASE} and {DATABASE}-wal away together, or name another folder with --to"
            raise ConfigError(str(there), "", "is there already: a restore never overwrites a store", remedy)
    copies = Copies(buckets, backup.seal(installation))
    waiting = folder / f"{DATABASE}.restored"
    await asyncio.to_thread(_clear, waiting)  # of a restore that was killed: its log would change what we write
    found = await _unfolded(copies, waiting, at, watch)
    restoration = Restoration(since=found.at, until=time.time() if until is None else until)
    held = await asyncio.to_thread(restored.hold, waiting, restoration)
    files = await asyncio.to_thread(_along, folder, found.snapshot.files)
    await asyncio.to_thread(waiting.replace, database)  # only now can a bot be started on it
    await asyncio.to_thread(_clear, waiting)
    return Outcome(
        at=found.at,
        until=restoration.until,
        generation=found.generation,
        sequence=found.sequence,
        bytes=found.bytes,
        held=held,
        files=tuple(files),
        broken=found.broken,
        trouble=tuple(copies.trouble),
    )


def _clear(database: Path) -> None:
    for ending in ("", "-wal", "-shm", ".lock", ".restoring"):
        database.with_name(database.name + ending).unlink(missing_ok=True)


async def _unfolded(copies: Copies, database: Path, at: float | None, watch: Watch) -> Restored:
    try:
        await asyncio.to_thread(database.parent.mkdir, parents=True, exist_ok=True, mode=0o700)
        return await restore.restore(copies, await restore.find(copies, at), database, at, watch)
    except OSError as error:
        raise ConfigError(str(database.parent), "", f"cannot be written: {error.strerror}") from error


def _along(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Write the small files that came along, those that are not there."""
    written = []
    for name, text in files.items():
        path = folder / Path(name).name
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(text, encoding="utf-8")
            written.append(path.name)
    return written


async def drill(installation: Installation, proof: Proof | None, buckets: Sequence[Bucket]) -> Report:
    """Restore into an empty place, check, compare, and start a held bot on it; raises what went wrong.

    `proof` is what the running store was at a moment that the copies hold; without one the snapshot's own sums count.
    """
    begun = time.monotonic()
    copies = Copies(buckets, backup.seal(installation))
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="dragoman-drill-"))
    try:
        database = folder / DATABASE
        found = await _unfolded(copies, database, proof.at if proof else None, lambda _done, _all: None)
        if found.broken:
            raise ArchiveDamaged(found.broken)
        counts = await asyncio.to_thread(pages.count, database)
        _compare(found, counts, proof)
        await asyncio.to_thread(restored.hold, database, Restoration(since=found.at, until=time.time()))
        await _start(installation, folder)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    return Report(
        at=found.at,
        lost_seconds=round(proof.age if proof else time.time() - found.at, 1),
        seconds=round(time.monotonic() - begun, 2),
        bytes=found.bytes,
        rows=sum(counts.values()),
        compared="the running store" if proof else "the snapshot",
        copies=tuple(bucket.name for bucket in buckets),
        trouble=tuple(copies.trouble),
    )


def _compare(found: Restored, counts: Mapping[str, int], proof: Proof | None) -> None:
    """Compare what was restored with what there was; raises `ArchiveDamaged`."""
    if proof is None:
        return
    if counts != proof.counts:
        differing = [f"{name}: {counts.get(name)} for {rows}" for name, rows in proof.counts.items()]
        raise ArchiveDamaged(f"the restored store has other rows than the running one ({', '.join(differing)})")
    if found.checksum != proof.checksum:
        raise ArchiveDamaged("the restored file is not, byte for byte, what the running one was")


async def drill_postgres(installation: Installation, proof: Proof | None, buckets: Sequence[Bucket]) -> Report:
    """The same for PostgreSQL: its server follows the log, its own program checks the files, our bot is held on it."""
    from dragoman.store.postgres import restored as held  # noqa: PLC0415 - an extra

    begun, copies = time.monotonic(), Copies(buckets, backup.seal(installation))
    named = urlsplit(installation.settings.store.reveal())
    user, database = unquote(named.username or "postgres"), unquote(named.path.strip("/")) or "postgres"
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="dragoman-drill-"))
    try:
        async with postgres_drill.restored(copies, user, database) as (plain_url, base):
            url = _same_schema(plain_url, named.query)
            rows, size = await held.measure(url)
            await held.hold(url, Restoration(since=base.at, until=time.time()), alone=False)
            await _start(installation, folder, {"DRAGOMAN_STORE": url})
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    return Report(
        at=time.time() if proof is None else proof.at,
        lost_seconds=round(proof.age if proof else 0.0, 1),
        seconds=round(time.monotonic() - begun, 2),
        bytes=size,
        rows=rows,
        compared="PostgreSQL's own checksums",
        copies=tuple(bucket.name for bucket in buckets),
        trouble=tuple(copies.trouble),
    )


def _same_schema(url: str, query: str) -> str:
    """Look into the schema of the running store's URL."""
    schema = parse_qs(query).get("search_path", [""])[-1]
    return f"{url}&search_path={quote(schema)}" if schema else url


async def _start(installation: Installation, folder: Path, other: Mapping[str, str] | None = None) -> None:
    """Start a held bot on a restored folder, wait until it answers, and stop it; raises `ArchiveDamaged`."""
    words = [sys.executable, "-m", "dragoman", "run", "--held", "--port", "0", "--data", str(folder)]
    if installation.path.exists():
        words += ["--config", str(installation.path)]
    environ = {**installation.environ, "DRAGOMAN_METRICS_PORT": "0", "DRAGOMAN_HOST": "127.0.0.1", **(other or {})}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*words, stdout=pipe, stderr=pipe, env=environ)
    try:
        async with asyncio.timeout(STARTED):
            greeting = await _greeting(process)
    except TimeoutError:
        raise ArchiveDamaged(f"{NOT_ANSWERED}nothing within {STARTED:.0f} seconds") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        _, complaint = await process.communicate()
    if b"is held" not in greeting:
        raise ArchiveDamaged(NOT_ANSWERED + complaint.decode(errors="replace").strip()[-300:])


async def _greeting(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    return await process.stdout.readline()


def moment(text: str, option: str) -> float:
    """Read a moment, ISO 8601, of this machine's time zone where it names none; raises `ConfigError`."""
    try:
        return dt.datetime.fromisoformat(text).astimezone().timestamp()
    except ValueError as error:
        raise ConfigError(
            option, "", f"{text!r} is no moment", "write 2026-11-26T09:30, or 2026-11-26T08:30Z"
        ) from error


def shown(at: float) -> str:
    """Word a moment."""
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat(sep=" ", timespec="seconds").replace("+00:00", " UTC")


def plain(value: Any) -> dict[str, Any]:
    """Return a report as plain data."""
    found: dict[str, Any] = msgspec.to_builtins(value)
    return found


async def newest(installation: Installation, bucket: Bucket) -> tuple[int, str]:
    """Tell of one copy how many snapshots it has, and its newest moment in words; for a list."""
    if installation.settings.store:
        try:
            found = await postgres_restore.find([bucket])
        except ArchiveMissing:
            return 0, "nothing to restore from"
        return len(found.bases), shown(found.newest_at)
    copies = Copies([bucket], backup.seal(installation))
    generations = await copies.generations()
    snapshots = sum(len(generation.snapshots) for generation in generations)
    if not snapshots:
        return 0, "nothing to restore from"
    try:
        point = await restore.find(copies)
        last = (await copies.part(point.parts[-1]))[0].at if point.parts else point.manifest.at
    except ArchiveError as error:
        return snapshots, str(error)
    return snapshots, shown(last)


async def server_into(
    installation: Installation, folder: Path, buckets: Sequence[Bucket], at: float | None
) -> tuple[Base, tuple[str, ...]]:
    """Restore the folder of a PostgreSQL server; gives the base backup, and what the copies could not give.

    Raises `ConfigError` where there is anything already, and `ArchiveError`.
    """
    if await asyncio.to_thread(_occupied, folder):
        raise ConfigError(str(folder), "", "is not empty", "name a folder that is not there yet with --to")
    copies = Copies(buckets, backup.seal(installation))
    try:
        found = await postgres_restore.find(buckets)
        base = await postgres_restore.restore(copies, found, folder, at)
        await postgres_restore.check(folder)
    except OSError as error:
        raise ConfigError(str(folder), "", f"cannot be written: {error.strerror}") from error
    return base, tuple(copies.trouble)


def _occupied(folder: Path) -> bool:
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


async def hold(installation: Installation, until: float | None) -> Held:
    """Set aside what waits in a PostgreSQL store that was restored; raises `StoreError`."""
    from dragoman.store.postgres import restored as held  # noqa: PLC0415 - an extra

    now = time.time()
    restoration = Restoration(since=now, until=now if until is None else until)
    return await held.hold(installation.settings.store.reveal(), restoration)


def in_data(installation: Installation, to: str | None) -> Path:
    """Return the folder to restore into."""
    return Path(to).expanduser().absolute() if to else installation.data


def bare(installation: Installation, url: str) -> Installation:
    """Return the installation with another place of the backup."""
    named = dataclasses.replace(installation.settings.backup, url=url)
    settings = dataclasses.replace(
        installation.settings, backup=named, backup_copy=type(installation.settings.backup_copy)()
    )
    return dataclasses.replace(installation, settings=settings)
