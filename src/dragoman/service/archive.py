"""The archive beside the line: one replica at a time writes what was told; a storage that is away delays no message."""

import asyncio
import random
from typing import Final

from dragoman import telemetry
from dragoman.archive import erasure, retention
from dragoman.archive.erasure import Archive
from dragoman.archive.following import Follower, Looked, look
from dragoman.archive.storage import ConversationStorage
from dragoman.errors import ArchiveError, StoreError
from dragoman.flow.context import Context
from dragoman.service import backup
from dragoman.service.installation import Installation

LOOK: Final = 1.0
"""Seconds between two looks at what was told."""
LONGEST: Final = 30.0
"""Seconds between two tries while the storage is away, at most."""
TIDY: Final = 3600.0
"""Seconds between two looks for files that are too old."""

log = telemetry.logger("archive")


def open_archive(installation: Installation) -> Archive:
    """Open what `[archive]` names, and name all buckets that have to know of erasures; raises `ConfigError`."""
    settings, document = installation.settings, installation.document
    storage = None
    if settings.archive.url:
        storage = ConversationStorage.of(settings.archive, document.folder, document.where("archive.url"))
    copies = backup.buckets(installation)
    return Archive(storage=storage, buckets=tuple(copies if storage is None else [storage.bucket, *copies]))


async def erase_again(context: Context) -> None:
    """Repeat the erasures that a restored store has not had, once, as soon as the buckets answer."""
    archive, failures = context.archive, 0
    for bucket in archive.buckets:
        while True:
            try:
                erased = await erasure.again(context.store, bucket, archive.storage)
            except (ArchiveError, StoreError) as away:
                failures += 1
                log.warning("erasures.unknown", reason=str(away))
                await asyncio.sleep(_pause(failures))
            else:
                log.info("erasures.repeated", people=erased) if erased else None
                break


def _pause(failures: int) -> float:
    """Return how long to wait before the next try."""
    return min(LONGEST, 0.5 * 2.0 ** min(failures, 10)) * (0.5 + random.random() / 2)  # noqa: S311 - a pause, no secret


async def archive(context: Context, storage: ConversationStorage, days: int) -> None:
    """Archive what is told until cancelled; files older than `days` are deleted (0: never)."""
    follower = Follower(store=context.store, reader=context.reader, storage=storage, owner=context.replica)
    watch, tidied = Watch(context), context.clock() - TIDY + 60
    while True:
        pause = await watch.look(follower)
        if days and context.clock() - tidied >= TIDY:
            tidied = context.clock()
            await _tidy(follower, days, context.store.timers.time())
        await asyncio.sleep(pause)


class Watch:
    """Looks again and again, says once when the storage goes and comes back, and measures how late the archive is."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._failures = 0
        self._oldest = 0.0

    async def look(self, follower: Follower) -> float:
        """Look once; returns the seconds until the next look."""
        self._oldest = 0.0
        try:
            looked = await look(follower, self._found)
        except (ArchiveError, StoreError, TimeoutError) as away:
            return self._failed(str(away) or "it takes too long")
        except Exception as error:  # noqa: BLE001 - the outer loop: what cannot be archived now is there at the next look
            return self._failed(telemetry.where(error))
        return self._done(looked)

    def _found(self, oldest: float) -> None:
        self._oldest = oldest
        self._measure()

    def _measure(self) -> None:
        telemetry.archive_lag.set(max(0.0, self._context.clock() - self._oldest) if self._oldest else 0.0)

    def _failed(self, reason: str) -> float:
        self._measure()
        telemetry.archive_failures.inc()
        self._failures += 1
        if self._failures == 1:
            log.error("archive.away", reason=reason)
        return _pause(self._failures)

    def _done(self, looked: Looked) -> float:
        if self._failures and not looked.elsewhere:
            log.info("archive.back", failures=self._failures)
            self._failures = 0
        telemetry.archive_messages.inc(looked.messages)
        if not looked.more:
            telemetry.archive_lag.set(0.0)
        return 0.0 if looked.more else LOOK


async def _tidy(follower: Follower, days: int, now: float) -> None:
    try:
        deleted = await retention.tidy(follower, days, now)
    except (ArchiveError, StoreError) as away:
        log.error("archive.untidy", reason=str(away))
    else:
        log.info("archive.tidied", files=deleted) if deleted else None
