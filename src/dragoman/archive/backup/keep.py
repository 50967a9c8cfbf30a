"""Keeping the copies up to date while the service runs: ship, snapshot, mirror, forget, and drill now and then."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from dragoman import telemetry
from dragoman.archive.backup.layout import Manifest
from dragoman.archive.backup.mirror import Mirror
from dragoman.archive.bucket import Bucket
from dragoman.errors import ArchiveAway, DragomanError

if TYPE_CHECKING:
    from dragoman.archive.backup.postgres import Base

MIRRORED: Final = 6.0
"""Rounds of the first copy to one of the second."""
FORGET: Final = 6 * 3600.0
AGAIN: Final = 3600.0
"""Seconds until a drill that failed is held again."""
DAY: Final = 86_400.0
LOOK: Final = 5.0
"""Seconds between two looks whether a drill is due."""

log = telemetry.logger("backup")


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What the store was at a moment that the copies hold: a restore to that moment must give the same."""

    at: float
    checksum: str
    counts: dict[str, int]
    age: float
    """Seconds since the newest moment that could be restored, before the copies were brought up to date for this."""


class Source(Protocol):
    """What brings the first copy up to date."""

    restorable_at: float

    @property
    def generation(self) -> str:
        """What is being written now; empty where that cannot be told."""

    async def ship(self) -> None:
        """Bring it up to date."""

    async def snapshot(self) -> "Manifest | Base":
        """Take a snapshot now."""

    def wants_snapshot(self, hours: float) -> bool:
        """Tell whether it is time for one."""

    async def proof(self) -> Proof:
        """Bring it up to date, and tell what the store was at that moment."""

    async def finish(self) -> None:
        """Bring it up to date a last time, after the store was closed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rhythm:
    """How often, and how long."""

    seconds: float
    snapshot_hours: float
    days: int
    drill_days: float


class Keeper:
    """The loops that keep the copies; each goes on by itself when another fails."""

    def __init__(
        self,
        source: Source,
        first: Bucket,
        second: Bucket | None,
        rhythm: Rhythm,
        clock: Callable[[], float],
        prune: Callable[[Bucket, float, float], Awaitable[int]],
        drill: Callable[[], Awaitable[bool]] | None = None,
        drilled_at: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`drill` holds a drill and tells whether it succeeded; `drilled_at` tells when one did, in epoch seconds."""
        self.source = source
        self.mirror = Mirror(first, second, clock) if second else None
        self._buckets = [first, *([second] if second else [])]
        self._rhythm = rhythm
        self._clock = clock
        self._prune = prune
        self._drill = drill
        self._drilled_at = drilled_at
        self._failing: dict[str, str] = {}

    async def run(self) -> None:
        """Keep the copies until cancelled."""
        self.measure()
        loops = [self._loop("first", self._rhythm.seconds, self._ship), self._loop("prune", FORGET, self._forget)]
        if self.mirror is not None:
            loops.append(self._loop("second", MIRRORED * self._rhythm.seconds, self.copy))
        if self._drill is not None and self._rhythm.drill_days:
            loops.append(self._loop("drill", LOOK, self._drill_if_due))
        async with asyncio.TaskGroup() as group:
            for loop in loops:
                group.create_task(loop)

    def measure(self) -> None:
        """Let the metrics tell the copies' ages, as they are whenever they are asked."""
        telemetry.restorable_age.labels("first").set_function(lambda: self._age(self.source.restorable_at))
        if (mirror := self.mirror) is not None:
            telemetry.restorable_age.labels("second").set_function(lambda: self._age(mirror.restorable_at))
        if drilled := self._drilled_at():
            telemetry.drilled_at.labels("any").set(drilled)

    def _age(self, at: float) -> float:
        """Return how old a moment is; one that never was is as old as the epoch."""
        return max(0.0, self._clock() - at)

    async def now(self) -> "Manifest | Base":
        """Bring all copies up to date and take a snapshot; raises `ArchiveError` or `StoreError`."""
        manifest = await self.source.snapshot()
        if self.mirror is not None:
            await self.copy()
        return manifest

    async def prove(self) -> Proof:
        """Bring all copies up to date, and tell what the store was at that moment."""
        proof = await self.source.proof()
        if self.mirror is not None:
            await self.copy()
        return proof

    async def _loop(self, what: str, seconds: float, step: Callable[[], Awaitable[object]]) -> None:
        while True:
            try:
                await step()
            except Exception as error:  # noqa: BLE001 - the outer loop: it tries again in the next round
                self._failed(what, error)
            else:
                if self._failing.pop(what, ""):
                    log.info("backup.again", part=what)
            await asyncio.sleep(seconds)

    def _failed(self, what: str, error: Exception) -> None:
        """Count every failure; log one that is not the same as before."""
        telemetry.backup_failures.labels(what).inc()
        reason = str(error) if isinstance(error, DragomanError) else telemetry.where(error)
        if self._failing.get(what) != reason:
            log.error("backup.failed", part=what, reason=reason)
        self._failing[what] = reason

    async def _ship(self) -> None:
        await self.source.ship()
        if self.source.wants_snapshot(self._rhythm.snapshot_hours):
            await self.source.snapshot()

    async def copy(self) -> None:
        """Bring the third copy up to what the second has."""
        if self.mirror is not None and self.source.restorable_at:
            await self.mirror.sync(self.source.restorable_at, self.source.generation)

    async def _forget(self) -> None:
        for bucket in self._buckets:
            try:
                await self._prune(bucket, self._clock(), self._rhythm.days * DAY)
            except ArchiveAway as refusal:
                if bucket is self._buckets[0]:
                    raise
                log.info("backup.kept", reason=str(refusal))  # we may have no right to delete there

    async def _drill_if_due(self) -> None:
        """Hold a drill when the last one that succeeded is too long ago; a failure is tried again in an hour."""
        due = self._drilled_at() + self._rhythm.drill_days * DAY
        if self._drill is None or self._clock() < due or not self.source.restorable_at:
            return
        if await self._drill():
            telemetry.drilled_at.labels("any").set(self._drilled_at())
        else:
            telemetry.backup_failures.labels("drill").inc()
            await asyncio.sleep(AGAIN)
