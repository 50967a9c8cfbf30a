"""Restoring: the newest snapshot before a point in time, and the log up to it, put together into a file."""

import asyncio
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

import msgspec

from dragoman.archive.backup.copies import Copies, Generation
from dragoman.archive.backup.layout import Head, Manifest
from dragoman.errors import ArchiveDamaged, ArchiveError, ArchiveMissing

Watch = Callable[[int, int], None]
"""Told how many objects are read, and how many there are."""
CHUNK: Final = 8 << 20


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A moment to which the store can be restored: a snapshot, and the parts of the log after it."""

    manifest: Manifest
    parts: tuple[str, ...]


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What was restored: the moment (epoch seconds), and the whole file's checksum."""

    at: float
    generation: str
    sequence: int
    checksum: str
    bytes: int
    snapshot: Manifest
    broken: str
    """Why the log could not be followed to its end; empty when it was."""


async def find(copies: Copies, at: float | None = None) -> Point:
    """Find from what to restore the newest state, or that of a moment.

    Raises `ArchiveMissing` when there is nothing from before it, and `ArchiveError` when no copy answers.
    """
    generations = await copies.generations()
    candidates: list[tuple[float, Point]] = []
    for generation in generations:
        point = await _newest(copies, generation, at)
        if point is not None:
            candidates.append((await _ends_at(copies, point, at), point))
        if candidates and at is None:
            break
    if not candidates:
        when = "" if at is None else " from before that moment"
        raise ArchiveMissing(f"{copies.buckets[0].name} has no snapshot{when}")
    return max(candidates, key=lambda found: found[0])[1]


async def _before(copies: Copies, point: Point) -> Point | None:
    """Return the snapshot before that of a point, with the longer log after it."""
    for generation in await copies.generations():
        if generation.name == point.manifest.generation:
            return await _newest(copies, generation, None, point.manifest.sequence)
    return None


async def _newest(copies: Copies, generation: Generation, at: float | None, below: int | None = None) -> Point | None:
    """Return the generation's newest snapshot that can be read and is not after a moment, with the log after it."""
    for sequence in sorted(generation.snapshots, reverse=True):
        if below is not None and sequence >= below:
            continue
        try:
            manifest = await copies.manifest(generation.snapshots[sequence])
        except ArchiveError:
            continue  # the copies have noted it; the snapshot before it, and the log since, serve as well
        if at is None or manifest.at <= at:
            after = sorted(number for number in generation.parts if number > sequence)
            return Point(manifest=manifest, parts=tuple(generation.parts[number] for number in after))
    return None


async def _ends_at(copies: Copies, point: Point, at: float | None) -> float:
    """Return the moment of the last part of the log that can be read, no later than `at`."""
    if at is not None:
        return point.manifest.at
    for path in reversed(point.parts):
        try:
            return (await copies.part(path))[0].at
        except ArchiveError:
            continue
    return point.manifest.at


async def restore(
    copies: Copies, point: Point, target: Path, at: float | None = None, watch: Watch = lambda _done, _all: None
) -> Restored:
    """Write the file of a point, or of the last moment before `at`, to `target`, which is there when it is whole.

    A log that is damaged in the middle is followed up to there: `broken` says why. Raises `ArchiveError` when no
    snapshot of the generation can be read, and `OSError` when the file cannot be written.
    """
    partial = target.with_name(target.name + ".restoring")
    partial.touch(mode=0o600)
    with partial.open("wb+") as file:
        point = await _begun(copies, point, file, watch)
        head, broken = await _follow(copies, point, file, at, watch)
        digest, size = await asyncio.to_thread(_settle, file)
    manifest = point.manifest
    await asyncio.to_thread(partial.replace, target)
    return Restored(
        at=head.at if head else manifest.at,
        generation=manifest.generation,
        sequence=head.sequence if head else manifest.sequence,
        checksum=digest,
        bytes=size,
        snapshot=manifest,
        broken=broken,
    )


async def _begun(copies: Copies, point: Point, file: IO[bytes], watch: Watch) -> Point:
    """Write the snapshot that a restore begins with: if it cannot be read, the one before it, and so on."""
    while True:
        try:
            await _unfold(copies, point.manifest, file, watch, len(point.parts))
        except ArchiveError:
            before = await _before(copies, point)
            if before is None:
                raise
            point = before
            await asyncio.to_thread(file.seek, 0)
            await asyncio.to_thread(file.truncate)
        else:
            return point


async def _unfold(copies: Copies, manifest: Manifest, file: IO[bytes], watch: Watch, more: int) -> None:
    digest = hashlib.sha256()
    for number, part in enumerate(manifest.parts):
        body = await copies.read(part.path, part.checksum)
        digest.update(body)
        await asyncio.to_thread(file.write, body)
        watch(number + 1, len(manifest.parts) + more)
    if digest.hexdigest() != manifest.checksum:
        raise ArchiveDamaged(f"the snapshot {manifest.generation}/{manifest.sequence} is damaged")


async def _follow(
    copies: Copies, point: Point, file: IO[bytes], at: float | None, watch: Watch
) -> tuple[Head | None, str]:
    """Apply the parts of the log that follow on one another; returns the last one, and what broke the chain."""
    chain, last = point.manifest.chain, None
    sequence, there = point.manifest.sequence, len(point.manifest.parts)
    for number, path in enumerate(point.parts):
        try:
            head, pages, checksum = await copies.part(path)
        except ArchiveError as error:
            return last, str(error)
        if (head.sequence, head.previous) != (sequence + 1, chain):
            return last, f"{path} does not follow on part {sequence} of the log"
        if at is not None and head.at > at:
            return last, ""
        await asyncio.to_thread(_apply, file, head, pages)
        chain, sequence, last = checksum, head.sequence, head
        watch(there + number + 1, there + len(point.parts))
    return last, ""


def _apply(file: IO[bytes], head: Head, pages: memoryview) -> None:
    size = head.page_size
    for index, number in enumerate(head.numbers):
        file.seek((number - 1) * size)
        file.write(pages[index * size : (index + 1) * size])
    file.truncate(head.size * size)


def _settle(file: IO[bytes]) -> tuple[str, int]:
    """Bring a file to the disk; returns its checksum and size."""
    file.flush()
    os.fsync(file.fileno())
    file.seek(0)
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest(), file.tell()
