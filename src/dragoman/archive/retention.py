"""Files that were kept long enough are deleted, unless their person is held."""

from typing import Final

from dragoman.archive.conversations import ROOT, folder
from dragoman.archive.following import Follower

LEASE: Final = "archive-retention"
HELD: Final = 600.0
"""Seconds until another replica may do the same again."""
DAY: Final = 86_400.0
BATCH: Final = 200
"""Files that are deleted between two looks at who is held."""


async def tidy(follower: Follower, days: int, now: float) -> int:
    """Delete files that were written more than `days` before `now`, if this replica's turn it is; returns how many."""
    if not await follower.store.lease(LEASE, follower.owner, HELD):
        return 0
    bucket, before = follower.storage.bucket, now - days * DAY
    old = [entry.path async for entry in bucket.list(ROOT) if entry.at < before]
    deleted = 0
    for start in range(0, len(old), BATCH):
        held = {folder(hold.person) for hold in await follower.store.people.holds()}
        going = [path for path in old[start : start + BATCH] if path.rpartition("/")[0] not in held]
        await bucket.delete(going)
        deleted += len(going)
    return deleted
