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
from dragoman.errors import ArchiveDamaged, ArchiveError
from dragoman.store.pages import Changes, Mark, PageLog

PART: Final = 8 << 20
"""Bytes of the file in one object of a snapshot."""
MOST: Final = 64 << 20
"""Bytes of changes that are kept while the bucket is away; with more it takes a snapshot when it is back."""
LOOK: Final = 60.0
"""Seconds between two looks whether the newest snapshot, and the newest object, are still there."""
MEANWHILE: Final = 5.0
"""Seconds between two parts of the log while a snapshot is on its way."""
PHOTO: Final = "backup.photo"
"""The copy of the file that goes into the bucket, while it does."""
LONG: Final = 64 << 20
"""Bytes of log (as kept) from which on a snapshot is taken early, if the last one was half as large at most."""

log = telemetry.logger("backup")


class State(msgspec.Struct, kw_only=True):
    """How far a process came, as it is kept in the data folder for the next one."""

    place: str = ""
    """Where the generation is, and under which key."""
    generation: str = ""
    sequence: int = 0
    chain: str = ""
    mark: Mark = Mark()
    snapshot: str = ""
    """The path of the newest snapshot's manifest; without one nothing can be restored yet."""
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
        self._place = f"{bucket.name} {seal.name}"
        known = recalled(folder)
        self.state = known if pages.continuous and known.place == self._place else State()
        self.restorable_at = self.state.at if self.state.snapshot else 0.0
        (folder / PHOTO).unlink(missing_ok=True)  # of a process that was killed
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
            try:
                await self._collect()
                await self._look()
                await self._send()
                if not self.state.snapshot:
                    await self._snapshot()
            finally:
                await self._pages.relieve()  # whatever the bucket does: the log must not fill the disk

    async def snapshot(self) -> Manifest:
        """Take a snapshot now."""
        async with self._one:
            await self._collect()
            await self._send()
            return await self._snapshot()

    async def proof(self) -> Proof:
        """Bring the bucket up to date, and tell what the file was at that moment."""
        async with self._one:
            await self._collect()
            waits = self._pending or self._segment or not self.state.snapshot
            age = self._clock() - self.restorable_at if waits and self.restorable_at else 0.0
            await self._send()
            if not self.state.snapshot:
                await self._snapshot()
            target, at = self._folder / PHOTO, self._clock()
            photo = await self._pages.photograph(target)
            self._take(photo.changes, at)
            try:
                checksum = await asyncio.to_thread(_checksum, target)
            finally:
                await asyncio.to_thread(target.unlink, missing_ok=True)
            await self._send()
            return Proof(at=at, checksum=checksum, counts=dict(photo.counts), age=max(0.0, age))

    def wants_snapshot(self, hours: float) -> bool:
        """Tell whether it is time for a snapshot (or the clock was set back), or the log since then has become long."""
        state = self.state
        long = state.logged > max(LONG, 2 * state.snapshot_size)
        return bool(state.snapshot) and (long or not 0 <= self._clock() - state.snapshot_at < hours * 3600)

    async def finish(self) -> None:
        """Ship the last changes, after the store was closed, and leave the mark of the file at rest."""
        async with self._one:
            at = self._clock()
            self._take(self._pages.rest(), at)
            await self._send()

    async def _collect(self) -> None:
        at = self._clock()
        self._take(await self._pages.changes(), at)
        if sum(map(len, self._pending.values())) > MOST:
            log.error("backup.behind", reason="too much has changed while the bucket was away: a snapshot comes next")
            self._break()

    def _take(self, changes: Changes, at: float) -> None:
        if changes.missed and self.state.generation:
            log.error("backup.missed", reason="somebody else let the store's log go: a new generation begins")
            self._break()
        self._pending.update(changes.pages)
        self._latest, self._collected_at = changes, at

    def _break(self) -> None:
        """End the generation: what is told from now on does not follow on what is in the bucket."""
        self.state, self._segment = State(), None
        self._pending.clear()

    async def _send(self) -> None:
        """Send what waits: first the part that is on its way already, then the rest."""
        if not self.state.generation:
            return
        while self._segment or self._pending:
            segment = self._segment
            if segment is None:
                segment = self._segment = await asyncio.to_thread(self._cut)
                self._pending = {}
            kept = await asyncio.to_thread(self._seal.close, segment.path, segment.plain)
            if not await self._bucket.put(segment.path, kept, new=True) and not await self._ours(segment):
                log.error("backup.fenced", path=segment.path, reason="somebody else wrote it: a new generation begins")
                self._break()
                return
            self._arrived(segment, len(kept), await asyncio.to_thread(layout.checksum, segment.plain))
        if self._latest is not None and self._latest.mark != self.state.mark:
            self.state.mark = self._latest.mark
            keep(self._folder, self.state)
        if self.state.snapshot:
            self.restorable_at = self._collected_at

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
        return Segment(path=path, plain=plain, mark=latest.mark, at=self._collected_at)

    async def _ours(self, segment: Segment) -> bool:
        """Tell whether what is there already is what we wanted to write: the answer to a try of ours was lost."""
        try:
            found = self._seal.open(segment.path, await self._bucket.get(segment.path))
        except ArchiveDamaged:
            return False
        return found == segment.plain

    def _arrived(self, segment: Segment, size: int, chain: str) -> None:
        state = self.state
        state.sequence += 1
        state.chain = chain
        state.mark, state.newest, state.at = segment.mark, segment.path, segment.at
        state.logged += size
        self._segment = None
        keep(self._folder, state)
        if state.snapshot:
            self.restorable_at = segment.at

    async def _look(self) -> None:
        """Notice a bucket that lost what it had: what a restore would begin with is looked for now and then."""
        state = self.state
        if not state.generation or 0 <= self._clock() - self._looked < LOOK:
            return
        self._looked = self._clock()
        for path in filter(None, (state.snapshot, state.newest)):
            if await self._bucket.size(path) is None:
                log.error("backup.lost", path=path, reason="it is gone: a new generation begins")
                self._break()
                return

    async def _snapshot(self) -> Manifest:
        """Copy the file, put it into the bucket in parts, and let the log go on meanwhile."""
        if not self.state.generation:
            await self._begin()
        await self._knock()
        at, target = self._clock(), self._folder / PHOTO
        photo = await self._pages.photograph(target)
        try:
            place = self._continued(photo.changes, at)
            parts, digest = await self._put_parts(target, place)
        finally:
            await asyncio.to_thread(target.unlink, missing_ok=True)
        manifest = Manifest(
            generation=place.generation,
            sequence=place.sequence,
            at=at,
            chain=place.chain,
            page_size=photo.changes.page_size,
            size=photo.changes.size,
            checksum=digest,
            parts=tuple(parts),
            counts=photo.counts,
            release=self._release,
            files=await asyncio.to_thread(self._files),
        )
        await self._finish_snapshot(manifest, place)
        return manifest

    async def _begin(self) -> None:
        """Begin a generation, whose name sorts after all that are there, whatever a clock said then or says now."""
        name = layout.generation_name(self._clock(), secrets.token_hex(3))
        later = [layout.begun(entry.path) async for entry in self._bucket.list("", after=name)]
        if newest := max(later, default=0.0):
            name = layout.generation_name(newest + 1, secrets.token_hex(3))
        self._pending.clear()
        self.state = State(generation=name, place=self._place)

    async def _knock(self) -> None:
        """Write something small first: a place that takes nothing is not worth a copy of the file."""
        path = layout.begun_path(self.state.generation, self.state.sequence, self._seal.suffix)
        await self._bucket.put(path, self._seal.close(path, b""))

    def _continued(self, changes: Changes, at: float) -> State:
        """Return where a snapshot stands: after the part of the log that ends with it, or at a new beginning.

        In a running generation the changes up to the copy are still to be sent, and the copy holds them already:
        they are sent after it, and make it no different.
        """
        generation = self.state.generation
        self._take(changes, at)
        self._same(generation)
        if not self.state.sequence and not self.state.snapshot:
            self._pending.clear()
            self.state.mark = changes.mark
        return msgspec.structs.replace(self.state)

    async def _put_parts(self, photo: Path, place: State) -> tuple[list[Part], str]:
        parts: list[Part] = []
        digest = hashlib.sha256()
        with photo.open("rb") as file:
            while body := await asyncio.to_thread(file.read, PART):
                await asyncio.to_thread(digest.update, body)
                path = layout.part_path(place.generation, place.sequence, len(parts), self._seal.suffix)
                kept = await asyncio.to_thread(self._seal.close, path, body)
                await self._bucket.put(path, kept)
                checksum = await asyncio.to_thread(layout.checksum, body)
                parts.append(Part(path=path, checksum=checksum, size=len(kept)))
                await self._meanwhile(place.generation)
        return parts, digest.hexdigest()

    async def _meanwhile(self, generation: str) -> None:
        """Go on with the log: a large store's snapshot is under way for long."""
        if 0 <= self._clock() - self._collected_at < MEANWHILE:
            return
        await self._collect()
        await self._send()
        self._same(generation)
        await self._pages.relieve()

    def _same(self, generation: str) -> None:
        if self.state.generation != generation:
            raise ArchiveError("the log broke off while a snapshot was taken: another one comes")

    async def _finish_snapshot(self, manifest: Manifest, place: State) -> None:
        """Write the manifest, and note that the snapshot is one."""
        path = layout.manifest_path(manifest.generation, manifest.sequence, self._seal.suffix)
        body = await asyncio.to_thread(lambda: self._seal.close(path, layout.encode(manifest)))
        await self._bucket.put(path, body)
        state = self.state
        state.snapshot, state.snapshot_at, state.logged = path, manifest.at, state.logged - place.logged
        state.snapshot_size = sum(part.size for part in manifest.parts)
        if state.sequence == place.sequence:
            state.at, state.newest = manifest.at, path
        keep(self._folder, state)
        self.restorable_at = state.at
        size = state.snapshot_size
        log.info("backup.snapshot", generation=state.generation, sequence=place.sequence, bytes=size)
        await self._send()


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
