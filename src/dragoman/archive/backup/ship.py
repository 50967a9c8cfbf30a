"""Shipping: what changes in the store's file goes to the bucket, part by part, and now and then the whole file.

The rule that everything here keeps: a part is whole in the bucket before the next one is begun, and the mark that a
restarted process goes on from is written after it. Whatever breaks that chain ends the generation.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from dragoman import telemetry
from dragoman.archive.backup import layout
from dragoman.archive.backup.keep import Proof
from dragoman.archive.backup.layout import Head, Manifest, Part
from dragoman.archive.bucket import Bucket
from dragoman.archive.seal import Seal
from dragoman.errors import ArchiveDamaged
from dragoman.store.pages import Changes, Mark, PageLog

PART: Final = 8 << 20
"""Bytes of the file in one object of a snapshot."""
MOST: Final = 64 << 20
"""Bytes of changes that are kept while the bucket is away; with more it takes a snapshot when it is back."""
LOOK: Final = 60.0
"""Seconds between two looks whether the newest object is still there, when nothing changes."""
LONG: Final = 64 << 20
"""Bytes of log (as kept) from which on a snapshot is taken early, if the last one was half as large at most."""

log = telemetry.logger("backup")


class State(msgspec.Struct, kw_only=True):
    """How far a process came, as it is kept in the data folder for the next one."""

    generation: str = ""
    sequence: int = 0
    chain: str = ""
    mark: Mark = Mark()
    snapshot_at: float = 0.0
    snapshot_size: int = 0
    logged: int = 0
    """Bytes of log since the last snapshot."""
    at: float = 0.0
    """The moment of the newest object."""
    newest: str = ""
    """The path of the newest object."""


class Segment(msgspec.Struct, kw_only=True):
    """A part of the log on its way: it stays as it is until it has arrived."""

    path: str
    plain: bytes
    mark: Mark
    at: float


class Shipper:
    """Ships one store's changes. Its methods run one at a time."""

    def __init__(
        self,
        pages: PageLog,
        bucket: Bucket,
        seal: Seal,
        folder: Path,
        clock: Callable[[], float],
        *,
        release: str,
        files: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """`folder` is the data folder; `clock` gives epoch seconds; `files` are small files to go with snapshots."""
        self.state = recalled(folder) if pages.continuous else State()
        self.restorable_at = self.state.at
        self._pages = pages
        self._bucket = bucket
        self._seal = seal
        self._folder = folder
        self._clock = clock
        self._release = release
        self._files = files
        self._pending: dict[int, bytes] = {}
        self._latest: Changes | None = None
        self._collected_at = 0.0
        self._segment: Segment | None = None
        self._looked = 0.0
        self._one = asyncio.Lock()

    @property
    def generation(self) -> str:
        """The generation that is being written."""
        return self.state.generation

    async def ship(self) -> None:
        """Bring the bucket up to date; raises `ArchiveError` or `StoreError`, and goes on there the next time."""
        async with self._one:
            await self._collect()
            if self.state.generation:
                await self._send()
            if self.state.generation:
                await self._look()
            if not self.state.generation:
                await self._snapshot()
            await self._pages.relieve()

    async def snapshot(self) -> Manifest:
        """Take a snapshot now."""
        async with self._one:
            await self._collect()
            if self.state.generation:
                await self._send()
            return await self._snapshot()

    async def proof(self) -> Proof:
        """Bring the bucket up to date, and tell what the file was at that moment."""
        async with self._one:
            await self._collect()
            waits = self._pending or self._segment or not self.state.generation
            age = self._clock() - self.restorable_at if waits and self.restorable_at else 0.0
            if self.state.generation:
                await self._send()
            if not self.state.generation:
                await self._snapshot()
            target, at = self._folder / "backup.photo", self._clock()
            photo = await self._pages.photograph(target)
            self._take(photo.changes, at)
            try:
                checksum = await asyncio.to_thread(_checksum, target)
            finally:
                await asyncio.to_thread(target.unlink, missing_ok=True)
            await self._send()
            return Proof(at=at, checksum=checksum, counts=dict(photo.counts), age=max(0.0, age))

    def wants_snapshot(self, hours: float) -> bool:
        """Tell whether it is time for a snapshot, or the log since the last one has become long."""
        state = self.state
        long = state.logged > max(LONG, 2 * state.snapshot_size)
        return bool(state.generation) and (long or self._clock() - state.snapshot_at >= hours * 3600)

    async def finish(self) -> None:
        """Ship the last changes, after the store was closed, and leave the mark of the file at rest."""
        async with self._one:
            at = self._clock()
            self._take(self._pages.rest(), at)
            if self.state.generation:
                await self._send()

    async def _collect(self) -> None:
        at = self._clock()
        self._take(await self._pages.changes(), at)
        if sum(map(len, self._pending.values())) > MOST:
            log.error("backup.behind", reason="too much has changed while the bucket was away: a snapshot comes next")
            self._break()

    def _take(self, changes: Changes, at: float) -> None:
        self._pending.update(changes.pages)
        self._latest, self._collected_at = changes, at

    def _break(self) -> None:
        """End the generation: what is told from now on does not follow on what is in the bucket."""
        self.state, self._segment = State(), None
        self._pending.clear()

    async def _send(self) -> None:
        """Send what waits: first the part that is on its way already, then the rest."""
        while self._segment or self._pending:
            segment = self._segment = self._segment or self._cut()
            kept = await asyncio.to_thread(self._seal.close, segment.path, segment.plain)
            if not await self._bucket.put(segment.path, kept, new=True) and not await self._ours(segment):
                log.error("backup.fenced", path=segment.path, reason="somebody else wrote it: a new generation begins")
                self._break()
                return
            self._arrived(segment, len(kept))
        if self._latest is not None and self._latest.mark != self.state.mark:
            self.state.mark = self._latest.mark
            keep(self._folder, self.state)
        self.restorable_at = max(self.restorable_at, self._collected_at)

    def _cut(self) -> Segment:
        latest, state = self._latest, self.state
        assert latest is not None  # noqa: S101 - what is pending was told by it
        numbers = tuple(sorted(number for number in self._pending if number <= latest.size))
        head = Head(
            generation=state.generation,
            sequence=state.sequence + 1,
            at=self._collected_at,
            previous=state.chain,
            page_size=latest.page_size,
            size=latest.size,
            numbers=numbers,
        )
        plain, path = (
            layout.pack(head, self._pending),
            layout.log_path(head.generation, head.sequence, self._seal.suffix),
        )
        self._pending = {}
        return Segment(path=path, plain=plain, mark=latest.mark, at=self._collected_at)

    async def _ours(self, segment: Segment) -> bool:
        """Tell whether what is there already is what we wanted to write: the answer to a try of ours was lost."""
        try:
            found = self._seal.open(segment.path, await self._bucket.get(segment.path))
        except ArchiveDamaged:
            return False
        return found == segment.plain

    def _arrived(self, segment: Segment, size: int) -> None:
        state = self.state
        state.sequence += 1
        state.chain = layout.checksum(segment.plain)
        state.mark, state.newest, state.at = segment.mark, segment.path, segment.at
        state.logged += size
        self._segment = None
        keep(self._folder, state)
        self.restorable_at = max(self.restorable_at, segment.at)
        self._looked = self._clock()

    async def _look(self) -> None:
        """Notice a bucket that lost what it had: the newest object is looked for now and then."""
        if self._clock() - self._looked < LOOK:
            return
        self._looked = self._clock()
        if await self._bucket.size(self.state.newest) is None:
            log.error("backup.lost", path=self.state.newest, reason="it is gone: a new generation begins")
            self._break()

    async def _snapshot(self) -> Manifest:
        """Copy the file, put it into the bucket in parts, and let the log go on after it."""
        at, target = self._clock(), self._folder / "backup.photo"
        photo = await self._pages.photograph(target)
        try:
            state = self._continued(photo.changes, at)
            parts, digest = await self._put_parts(target, state)
        finally:
            await asyncio.to_thread(target.unlink, missing_ok=True)
        manifest = Manifest(
            generation=state.generation,
            sequence=state.sequence,
            at=at,
            chain=state.chain,
            page_size=photo.changes.page_size,
            size=photo.changes.size,
            checksum=digest,
            parts=tuple(parts),
            counts=photo.counts,
            release=self._release,
            files=await asyncio.to_thread(self._files),
        )
        path = layout.manifest_path(state.generation, state.sequence, self._seal.suffix)
        await self._bucket.put(path, self._seal.close(path, layout.encode(manifest)))
        state.snapshot_at, state.at, state.newest, state.logged = at, at, path, 0
        state.snapshot_size = sum(part.size for part in parts)
        self.state = state
        keep(self._folder, state)
        self.restorable_at = max(self.restorable_at, at)
        log.info("backup.snapshot", generation=state.generation, sequence=state.sequence, bytes=state.snapshot_size)
        return manifest

    def _continued(self, changes: Changes, at: float) -> State:
        """Return where a snapshot stands: after the part of the log that ends with it, or at a new beginning.

        In a running generation the changes up to the copy are still to be sent, and the copy holds them already:
        they are sent after it, and make it no different.
        """
        if self.state.generation:
            self._take(changes, at)
            return msgspec.structs.replace(self.state)
        self._pending.clear()
        self._latest, self._collected_at = changes, at
        name = layout.generation_name(at, secrets.token_hex(3))
        return State(generation=name, mark=changes.mark)

    async def _put_parts(self, photo: Path, state: State) -> tuple[list[Part], str]:
        parts: list[Part] = []
        digest = hashlib.sha256()
        with photo.open("rb") as file:
            while body := await asyncio.to_thread(file.read, PART):
                digest.update(body)
                path = layout.part_path(state.generation, state.sequence, len(parts), self._seal.suffix)
                kept = await asyncio.to_thread(self._seal.close, path, body)
                await self._bucket.put(path, kept)
                parts.append(Part(path=path, checksum=layout.checksum(body), size=len(kept)))
        return parts, digest.hexdigest()


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


FILE: Final = "backup.json"
_state = msgspec.json.Decoder(State).decode


def recalled(folder: Path) -> State:
    """Read how far the process before us came; nothing when it left nothing that can be read."""
    try:
        return _state((folder / FILE).read_bytes())
    except (OSError, msgspec.DecodeError):
        return State()


def keep(folder: Path, state: State) -> None:
    """Keep how far we came, whole or not at all."""
    temporary = folder / f"{FILE}.new"
    temporary.write_bytes(layout.encode(state))
    temporary.chmod(0o600)
    temporary.replace(folder / FILE)
