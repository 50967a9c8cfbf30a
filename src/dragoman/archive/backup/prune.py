"""Forgetting: what is not needed to restore any moment of the last days is deleted."""

import itertools
from collections.abc import Iterator
from typing import Final

from dragoman.archive.backup import layout
from dragoman.archive.backup.copies import MANIFEST
from dragoman.archive.bucket import Bucket, Entry

ABANDONED: Final = 86_400.0
"""Seconds after which a snapshot without a manifest, or a generation without a snapshot, is given up."""


async def prune(bucket: Bucket, now: float, seconds: float) -> int:
    """Delete what is older than is needed to restore any moment of the last `seconds`; returns how many objects.

    Ages go by the bucket's own clock. Raises `ArchiveAway`.
    """
    entries: dict[str, list[Entry]] = {}
    async for entry in bucket.list(""):
        if layout.ours(entry.path):
            entries.setdefault(entry.path.partition("/")[0], []).append(entry)
    goners = list(_outdated(entries, now, now - seconds))
    await bucket.delete(goners)
    return len(goners)


def _outdated(entries: dict[str, list[Entry]], now: float, before: float) -> Iterator[str]:
    """Find what is not needed any more, manifests first: a snapshot that is being deleted must not look whole."""
    names = sorted(entries)
    for name, after in itertools.zip_longest(names, names[1:], fillvalue=""):
        manifests = {layout.sequence_of(entry.path): entry.at for entry in entries[name] if MANIFEST in entry.path}
        successor = min((entry.at for entry in entries.get(after, ()) if MANIFEST in entry.path), default=now)
        base = max((number for number, at in manifests.items() if at <= before), default=None)
        for entry in sorted(entries[name], key=lambda entry: MANIFEST not in entry.path):
            number = layout.sequence_of(entry.path)
            superseded = bool(after) and successor <= before
            older = base is not None and (number < base or (number == base and "/log/" in entry.path))
            old = entry.at <= before and (superseded or older)  # two may write in one place
            if old or _abandoned(entry, manifests, number, now):
                yield entry.path


def _abandoned(entry: Entry, manifests: dict[int, float], number: int, now: float) -> bool:
    """Tell whether an object belongs to a snapshot, or a generation, that was never finished."""
    unfinished = not manifests or ("/snapshot/" in entry.path and number not in manifests)
    return unfinished and entry.at <= now - ABANDONED
