"""Verifying a copy: every object is read, opened and summed up, and every log followed from its snapshots."""

from collections.abc import Callable

import msgspec

from dragoman.archive.backup.copies import Copies, Generation
from dragoman.archive.bucket import Bucket
from dragoman.archive.seal import Seal
from dragoman.errors import ArchiveError

Watch = Callable[[int, int], None]


class Verified(msgspec.Struct, kw_only=True):
    """What a copy holds, and what is wrong with it."""

    name: str
    generations: int = 0
    snapshots: int = 0
    parts: int = 0
    newest_at: float = 0.0
    """The newest moment to which it can be restored without another copy, in epoch seconds; 0: none."""
    problems: list[str] = msgspec.field(default_factory=list)


async def verify(bucket: Bucket, seal: Seal, watch: Watch = lambda _done, _all: None) -> Verified:
    """Read one copy whole; what is missing or damaged is told, and does not end it. Raises `ArchiveAway`."""
    found, copies = Verified(name=bucket.name), Copies([bucket], seal)
    generations = await copies.generations()
    total = sum(len(generation.snapshots) + len(generation.parts) for generation in generations)
    done = 0
    for generation in generations:
        found.generations += 1
        chains = await _snapshots(copies, generation, found)
        await _log(copies, generation, found, chains)
        done += len(generation.snapshots) + len(generation.parts)
        watch(done, total)
    if not found.snapshots:
        found.problems.append(f"{bucket.name} has no snapshot: nothing can be restored from it")
    return found


async def _snapshots(copies: Copies, generation: Generation, found: Verified) -> dict[int, str]:
    """Read a generation's snapshots; returns the log's checksum at each."""
    chains: dict[int, str] = {}
    for sequence, path in sorted(generation.snapshots.items()):
        try:
            manifest = await copies.manifest(path)
            for part in manifest.parts:
                await copies.read(part.path, part.checksum)
        except ArchiveError as error:
            found.problems.append(str(error))
            continue
        chains[sequence] = manifest.chain
        found.snapshots += 1
        found.newest_at = max(found.newest_at, manifest.at)
    return chains


async def _log(copies: Copies, generation: Generation, found: Verified, chains: dict[int, str]) -> None:
    """Follow a generation's log from its first snapshot on."""
    sequence, chain = min(chains.items(), default=(-1, ""))
    whole = bool(chains)
    for number, path in sorted(generation.parts.items()):
        if number <= sequence and whole:
            continue  # from before the first snapshot that is kept: it will be deleted
        try:
            head, _, checksum = await copies.part(path)
        except ArchiveError as error:
            found.problems.append(str(error))
            whole = False
            continue
        if whole and (head.sequence, head.previous) != (sequence + 1, chain):
            found.problems.append(f"{path} does not follow on part {sequence} of the log")
        whole = True
        sequence, chain = head.sequence, checksum
        found.parts += 1
        found.newest_at = max(found.newest_at, head.at)
