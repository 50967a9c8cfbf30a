"""Getting a PostgreSQL server's folder back: the base backup, and the log for the server to follow when it starts."""

import asyncio
import datetime as dt
import os
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from dragoman.archive.backup import programs
from dragoman.archive.backup.copies import Copies
from dragoman.archive.backup.postgres import Base, read_base
from dragoman.archive.bucket import Bucket, Entry
from dragoman.errors import ArchiveDamaged, ArchiveError, ArchiveMissing

LOG: Final = "dragoman_wal"
"""The folder, within the server's, from which it follows the log."""


class Found(msgspec.Struct, kw_only=True):
    """What the copies hold of one server: base backups by their moment, and segments of the log by their names."""

    bases: dict[float, str] = msgspec.field(default_factory=dict)
    segments: dict[str, str] = msgspec.field(default_factory=dict)
    newest_at: float = 0.0
    """When the newest segment was written, on the bucket's clock."""


async def find(buckets: Sequence[Bucket]) -> Found:
    """List what there is, of the server whose log was written last; raises `ArchiveError` when no copy answers."""
    systems: dict[str, Found] = {}
    failures: list[ArchiveError] = []
    for bucket in buckets:
        try:
            async for entry in bucket.list(""):
                system, _, rest = entry.path.partition("/")
                if system.startswith("pg-"):
                    _note(systems.setdefault(system, Found()), entry, rest)
        except ArchiveError as failure:
            failures.append(failure)
    if len(failures) == len(buckets):
        raise failures[0]
    usable = [found for found in systems.values() if found.bases]
    if not usable:
        raise ArchiveMissing(f"{buckets[0].name} has no base backup")
    return max(usable, key=lambda found: found.newest_at)


def _note(found: Found, entry: Entry, rest: str) -> None:
    kind, _, name = rest.partition("/")
    moment, _, rest = name.partition("/")
    if kind == "base" and rest.startswith("manifest.json") and moment.replace(".", "", 1).isdecimal():
        found.bases[float(moment)] = entry.path
    if kind == "wal":
        segment, _, ending = name.partition(".")
        ending = ending.partition(".")[0]
        if ending == "history":
            segment += ".history"
        if ending != "partial" or segment not in found.segments:
            found.segments[segment] = entry.path
        found.newest_at = max(found.newest_at, entry.at)


async def restore(copies: Copies, found: Found, folder: Path, at: float | None = None) -> Base:
    """Write a server's folder, from the newest base backup that is not after `at`; it follows the log when it starts.

    Raises `ArchiveMissing`, `ArchiveDamaged`, and `OSError` when the folder cannot be written.
    """
    moments = [moment for moment in sorted(found.bases, reverse=True) if at is None or moment <= at]
    for moment in moments:
        try:
            path = found.bases[moment]
            base = read_base(path, await copies.read(path))
            await _unpack(copies, base, folder)
        except ArchiveError:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            if moment == moments[-1]:
                raise
            continue
        await _fetch_log(copies, found, base, folder / LOG)
        beyond = at is not None and at >= found.newest_at  # a target that the log does not reach is an error
        await asyncio.to_thread(_configure, folder, None if beyond else at)
        return base
    raise ArchiveMissing("there is no base backup from before that moment")


async def _unpack(copies: Copies, base: Base, folder: Path) -> None:
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True, mode=0o700)
    packed = folder.with_name(folder.name + ".tar")
    try:
        with await asyncio.to_thread(packed.open, "wb") as file:
            for part in base.parts:
                await asyncio.to_thread(file.write, await copies.read(part.path, part.checksum))
        await asyncio.to_thread(_extract, packed, folder, base.checksums)
    except tarfile.TarError as error:
        raise ArchiveDamaged(f"the base backup does not unpack: {error}") from error
    finally:
        await asyncio.to_thread(packed.unlink, missing_ok=True)


def _extract(packed: Path, folder: Path, checksums: str) -> None:
    with tarfile.open(packed, "r:") as tar:
        tar.extractall(folder, filter="data")
    (folder / "backup_manifest").write_text(checksums)
    folder.chmod(0o700)


async def check(folder: Path) -> None:
    """Have PostgreSQL's own `pg_verifybackup` check every file of an unpacked base backup; raises `ArchiveError`."""
    ours = ("--ignore", LOG, "--ignore", "recovery.signal", "--ignore", "postgresql.auto.conf")
    words = ("--no-parse-wal", "--quiet", *ours, str(folder))
    await programs.run(programs.find("pg_verifybackup"), *words, env=dict(os.environ))


async def _fetch_log(copies: Copies, found: Found, base: Base, folder: Path) -> None:
    """Write the segments from the base backup's first one on; the one that was being written counts as whole.

    A gap ends it: what is beyond cannot be reached.
    """
    await asyncio.to_thread(folder.mkdir, mode=0o700, exist_ok=True)
    wanted = [name for name in sorted(found.segments) if name.endswith(".history") or name[8:] >= base.first[8:]]
    for name in wanted:
        try:
            body = await copies.read(found.segments[name])
        except ArchiveMissing:
            continue
        except ArchiveDamaged:  # the copies have noted it
            return
        await asyncio.to_thread((folder / name).write_bytes, body)


def _configure(folder: Path, at: float | None) -> None:
    lines = ["", "# Written by dragoman restore.", f'restore_command = \'cp "{folder / LOG}/%f" "%p"\'']
    lines += ["recovery_target_timeline = 'latest'"]
    if at is not None:
        moment = dt.datetime.fromtimestamp(at, dt.UTC).isoformat(sep=" ")
        lines += [f"recovery_target_time = '{moment}'", "recovery_target_action = 'promote'"]
    with (folder / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    (folder / "recovery.signal").touch()


async def prune(bucket: Bucket, now: float, seconds: float) -> int:
    """Delete base backups, and segments of the log, that no moment of the last `seconds` needs; returns how many."""
    entries: dict[str, list[Entry]] = {}
    async for entry in bucket.list(""):
        system, _, _ = entry.path.partition("/")
        if system.startswith("pg-"):
            entries.setdefault(system, []).append(entry)
    goners = [path for system in entries.values() for path in _outdated(system, now - seconds)]
    await bucket.delete(goners)
    return len(goners)


def _outdated(entries: list[Entry], before: float) -> list[str]:
    """Find what was written before the newest base backup that is old enough; its own log is kept from its start on."""
    bases = [entry.at for entry in entries if "/base/" in entry.path and "/manifest.json" in entry.path]
    needed = max((at for at in bases if at <= before), default=None)
    if needed is None:
        return []
    folder = next(
        entry.path.rpartition("/")[0] for entry in entries if entry.at == needed and "/manifest" in entry.path
    )
    began = min(entry.at for entry in entries if entry.path.startswith(folder))
    old = [entry for entry in entries if entry.at < began and not entry.path.startswith(folder)]
    kept = max((entry.path for entry in old if "/wal/" in entry.path), default="")  # it may hold the base's beginning
    goners = [entry.path for entry in old if entry.path != kept and not entry.path.partition(".")[2].startswith("hist")]
    return sorted(goners, key=lambda path: "/manifest.json" not in path)
