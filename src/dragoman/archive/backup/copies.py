"""Reading a backup from whichever copy has it whole: what one has lost or has damaged, another may have."""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from dragoman.archive.backup import layout
from dragoman.archive.backup.layout import Head, Manifest
from dragoman.archive.bucket import Bucket
from dragoman.archive.seal import Seal
from dragoman.errors import ArchiveDamaged, ArchiveError, ArchiveMissing

MANIFEST: Final = "/manifest.json"


class Generation(msgspec.Struct, kw_only=True):
    """What is there of a generation, in any copy: paths of manifests and of parts of the log, by sequence."""

    name: str
    snapshots: dict[int, str] = msgspec.field(default_factory=dict)
    parts: dict[int, str] = msgspec.field(default_factory=dict)
    written_at: float = 0.0
    """When its newest object was written, in epoch seconds on the bucket's clock."""


class Copies:
    """The buckets that hold the same backup, asked in order."""

    def __init__(self, buckets: Sequence[Bucket], seal: Seal) -> None:
        self.buckets = tuple(buckets)
        self.trouble: list[str] = []
        """What one of them could not give, in words; empty when all is well."""
        self._seal = seal

    async def generations(self) -> list[Generation]:
        """List what is there, the newest generation first; raises `ArchiveError` when no copy answers."""
        found: dict[str, Generation] = {}
        failures: list[ArchiveError] = []
        for bucket in self.buckets:
            try:
                await _list(bucket, found)
            except ArchiveError as failure:
                self._note(str(failure))
                failures.append(failure)
        if len(failures) == len(self.buckets):
            raise failures[0]
        return [found[name] for name in sorted(found, reverse=True)]

    async def read(self, path: str, checksum: str = "") -> bytes:
        """Read an object's plain bytes from the first copy that has it whole; raises `ArchiveError`."""
        failure: ArchiveError | None = None
        for bucket in self.buckets:
            try:
                kept = await bucket.get(path)
                plain = await asyncio.to_thread(self._seal.open, path, kept)
                if checksum and layout.checksum(plain) != checksum:
                    raise ArchiveDamaged(f"{bucket.name}/{path} is damaged: its checksum differs")
            except ArchiveError as error:
                self._note(f"{bucket.name}: {error}")
                failure = failure if isinstance(failure, ArchiveDamaged) else error
            else:
                return plain
        raise failure or ArchiveMissing(f"{path} is nowhere")

    async def manifest(self, path: str) -> Manifest:
        """Read a snapshot's manifest."""
        return layout.manifest(path, await self.read(path))

    async def part(self, path: str) -> tuple[Head, memoryview, str]:
        """Read a part of the log: its head, its pages, and its checksum."""
        plain = await self.read(path)
        head, pages = layout.unpack(path, plain)
        return head, pages, layout.checksum(plain)

    def _note(self, words: str) -> None:
        if words not in self.trouble:
            self.trouble.append(words)


async def _list(bucket: Bucket, found: dict[str, Generation]) -> None:
    async for entry in bucket.list(""):
        name, _, rest = entry.path.partition("/")
        log = rest.startswith("log/")
        if not layout.ours(entry.path) or not (log or MANIFEST in entry.path):
            continue
        generation = found.setdefault(name, Generation(name=name))
        kind = generation.parts if log else generation.snapshots
        kind[layout.sequence_of(entry.path)] = entry.path
        generation.written_at = max(generation.written_at, entry.at)
