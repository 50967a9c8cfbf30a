"""The copies of an installation's store: which buckets there are, what goes along, and keeping them while it runs."""

import asyncio
import contextlib
import dataclasses
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from dragoman import __version__, config, telemetry
from dragoman.archive.backup import postgres_restore, programs, prune
from dragoman.archive.backup.keep import Keeper, Rhythm, Source
from dragoman.archive.backup.postgres import PostgresSource
from dragoman.archive.backup.ship import Shipper, recalled
from dragoman.archive.bucket import Bucket
from dragoman.archive.seal import LEAST, Seal
from dragoman.errors import ArchiveError, ConfigError, DragomanError, StoreError
from dragoman.flow.context import Context
from dragoman.service.installation import Installation
from dragoman.store.base import OpenStore, Shared
from dragoman.store.pages import Mark, PageLog

SMALL: Final = 64 << 10
"""Bytes of a file of the data folder that goes along with a snapshot, at most."""
NOT_ALONG: Final = ("dragoman.db", "backup.", "drill.json", "ballast")
LAST_SHIPPING: Final = 8.0
"""Seconds that the last changes may take after the service has stopped."""
NAME: Final = "backup"
LEASE: Final = 15.0
"""Seconds that a replica keeps the copies of a shared store without saying so again."""
PROGRAMS: Final = ("psql", "pg_basebackup", "pg_receivewal")
DRILL: Final = 6 * 3600.0
"""Seconds that a drill may take."""

log = telemetry.logger("backup")


class Drilled(msgspec.Struct, frozen=True, kw_only=True):
    """The last drill that succeeded."""

    at: float


def buckets(installation: Installation) -> list[Bucket]:
    """Open the buckets of the backup, the first one first; none when there is no backup. Raises `ConfigError`."""
    seal(installation)
    settings, document = installation.settings, installation.document
    if not settings.backup.url:
        if settings.backup_copy.url:
            where = document.where("backup_copy.url")
            raise ConfigError(where, "backup_copy.url", "copies a backup, and there is none", "set backup.url")
        return []
    places = [("backup", settings.backup), ("backup_copy", settings.backup_copy)]
    return [
        Bucket.open(place, document.folder, document.where(f"{key}.url"), key) for key, place in places if place.url
    ]


def without(installation: Installation) -> Installation:
    """Return the installation without what it keeps elsewhere."""
    settings = dataclasses.replace(
        installation.settings, archive=config.Archive(), backup=config.Backup(), backup_copy=config.Bucket()
    )
    return dataclasses.replace(installation, settings=settings)


def seal(installation: Installation) -> Seal:
    """Return what closes and opens the backup's objects; raises `ConfigError` for a key that can be guessed."""
    key = installation.settings.backup.key
    if any(len(text) < LEAST for text in key.candidates()):
        where = installation.document.where("backup.key")
        remedy = "make one with: openssl rand -base64 32"
        raise ConfigError(where, "backup.key", f"needs at least {LEAST} characters", remedy)
    return Seal(key, "backup", compress=True)


def mark(installation: Installation) -> Mark | None:
    """Return from where the store's changes are to be followed; None when there is no backup."""
    return recalled(installation.data).mark if installation.settings.backup.url else None


def shipper(installation: Installation, pages: PageLog, first: Bucket) -> Shipper:
    """Return what ships the embedded store's changes."""
    closing, key = seal(installation), installation.settings.backup.key

    def along() -> Mapping[str, str]:
        return small_files(installation.data) if key else {}

    return Shipper(pages, first, closing, installation.data, time.time, release=__version__, files=along)


def _source(installation: Installation, store: OpenStore, places: Sequence[Bucket]) -> Source | None:
    """Return what brings the first copy up to date: our own shipper, or PostgreSQL's programs where they are."""
    if not places:
        return None
    pages, url = getattr(store, "pages", None), installation.settings.store.reveal()
    if not url:
        return shipper(installation, pages, places[0]) if pages else None
    try:
        for program in PROGRAMS:
            programs.find(program)
    except ArchiveError as missing:
        log.warning("backup.elsewhere", reason=str(missing), remedy="install postgresql-client here, or where it runs")
        return None
    folder = installation.data / "backup.postgres"
    return PostgresSource(url, places[0], seal(installation), folder, time.time, release=__version__)


async def keep(context: Context) -> None:
    """Keep the copies until cancelled; of the replicas that share a store one does."""
    keeping, store = context.keeper, context.store
    if keeping is None:
        return
    if not isinstance(store, Shared):
        await keeping.run()
        return
    while True:
        if not await _leased(context):
            await asyncio.sleep(LEASE / 3)
            continue
        running = asyncio.create_task(keeping.run())
        try:
            while not running.done() and await _leased(context):
                await asyncio.wait({running}, timeout=LEASE / 3)
        finally:
            running.cancel()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_SHIPPING):
                    await asyncio.gather(running, keeping.source.finish(), return_exceptions=True)
            with contextlib.suppress(StoreError):  # it ends by itself then
                await store.let_go(NAME, context.replica)


async def _leased(context: Context) -> bool:
    """Take or prolong the lease; one that cannot be asked for counts as lost."""
    try:
        return bool(await context.store.lease(NAME, context.replica, LEASE))
    except StoreError:
        return False


def small_files(folder: Path) -> dict[str, str]:
    """Read the small text files of a data folder: its configuration and its keys. Encrypted backups have them."""
    found: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if not path.is_file() or path.name.startswith(NOT_ALONG) or path.name.endswith((".lock", ".new")):
            continue
        if path.stat().st_size <= SMALL:
            with contextlib.suppress(UnicodeDecodeError, OSError):
                found[path.name] = path.read_text(encoding="utf-8")
    return found


def keeper(installation: Installation, store: OpenStore, places: Sequence[Bucket]) -> Keeper | None:
    """Return what keeps the copies of an open store; None when there are none, or not from here."""
    settings = installation.settings.backup
    source = _source(installation, store, places)
    if source is None:
        return None
    rhythm = Rhythm(
        seconds=settings.seconds,
        snapshot_hours=settings.snapshot_hours,
        days=settings.days,
        drill_days=settings.drill_days,
    )
    return Keeper(
        source,
        places[0],
        places[1] if len(places) > 1 else None,
        rhythm,
        time.time,
        postgres_restore.prune if installation.settings.store else prune.prune,
        drill=lambda: drill(installation),
        drilled_at=lambda: drilled_at(installation.data),
    )


async def close(store: OpenStore, keeping: Keeper | None) -> None:
    """Close the store and ship its last changes, if that is quick; what is not shipped is a snapshot later."""
    await store.close()
    if keeping is None:
        return
    try:
        async with asyncio.timeout(LAST_SHIPPING):
            await keeping.source.finish()
            await keeping.copy()
    except (DragomanError, OSError) as error:  # TimeoutError is one
        log.error("backup.unfinished", reason=str(error) or "it took too long")


async def drill(installation: Installation) -> bool:
    """Hold a drill in a process of its own; tells whether it succeeded."""
    words = [sys.executable, "-m", "dragoman", "drill", "--json", "--data", str(installation.data)]
    words += ["--config", str(installation.path)]
    process = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=dict(installation.environ)
    )
    try:
        async with asyncio.timeout(DRILL):
            out, err = await process.communicate()
    except TimeoutError:
        out, err = b"", b"it took too long"
    finally:
        await _interrupt(process)
    if process.returncode:
        log.error("backup.drill_failed", reason=err.decode(errors="replace").strip()[-500:])
    else:
        log.info("backup.drilled", **msgspec.json.decode(out))
    return process.returncode == 0


async def _interrupt(process: asyncio.subprocess.Process) -> None:
    """End a drill that nobody waits for any more; asked so, it takes its bot, its server and its folder with it."""
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        async with asyncio.timeout(LAST_SHIPPING):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def drilled_at(folder: Path) -> float:
    """Return when a drill last succeeded, in epoch seconds; 0: never."""
    try:
        return msgspec.json.decode((folder / "drill.json").read_bytes(), type=Drilled).at
    except (OSError, msgspec.DecodeError):
        return 0.0


def note_drill(folder: Path, at: float) -> None:
    """Note that a drill succeeded."""
    (folder / "drill.json").write_bytes(msgspec.json.encode(Drilled(at=at)))
