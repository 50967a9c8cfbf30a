"""The copies of a PostgreSQL store, by its own programs: a base backup now and then, and the log as it grows.

    pg-SYSTEM/wal/SEGMENT.wal             a finished segment of the log
    pg-SYSTEM/wal/SEGMENT.partial         the segment that is being written, again and again
    pg-SYSTEM/base/MOMENT/PART.tar        a base backup
    pg-SYSTEM/base/MOMENT/manifest.json   written last: what has none is no base backup

A replication slot keeps on the server what has not been fetched; the server's `max_slot_wal_keep_size` bounds it.
"""

import asyncio
import contextlib
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

import msgspec

from dragoman import telemetry
from dragoman.archive.backup import layout, programs
from dragoman.archive.backup.keep import Proof
from dragoman.archive.backup.layout import Part
from dragoman.archive.bucket import Bucket
from dragoman.archive.seal import Seal
from dragoman.errors import ArchiveDamaged, ArchiveError

PART: Final = 8 << 20
SLOT: Final = "dragoman"
SEGMENT: Final = 24
"""Characters of a segment's name."""
STOP: Final = 5.0
"""Seconds that the receiver has to end."""
CAUGHT_UP: Final = 20
"""Times, 0.1 s apart, that it is asked whether the receiver has all up to a moment; else the next round asks again."""
POSITION: Final = "SELECT restart_lsn >= '%s' FROM pg_replication_slots WHERE slot_name = 'dragoman' AND active"
RESERVE: Final = "SELECT pg_create_physical_replication_slot('dragoman', true)"
FORGET: Final = "SELECT pg_drop_replication_slot('dragoman')"
TAKE_OVER: Final = "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'dragoman'"
STATE: Final = "SELECT wal_status, pg_walfile_name(restart_lsn) FROM pg_replication_slots WHERE slot_name = 'dragoman'"

log = telemetry.logger("backup")


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """What a base backup is: a tar of the server's folder; the log is to be followed from its `first` segment on."""

    system: str
    at: float
    first: str
    parts: tuple[Part, ...]
    checksums: str
    """PostgreSQL's own list of the files' checksums, for `pg_verifybackup`."""
    release: str
    version: int = layout.VERSION


_base = msgspec.json.Decoder(Base).decode


def read_base(path: str, body: bytes) -> Base:
    """Read a base backup's manifest; raises `ArchiveDamaged`."""
    try:
        return _base(body)
    except msgspec.DecodeError as error:
        raise ArchiveDamaged(f"{path} is damaged: it cannot be read") from error


class Receiver:
    """`pg_receivewal`, started again when it has ended: it writes the log into a folder as the server does."""

    def __init__(self, url: str, folder: Path) -> None:
        self.folder = folder
        self._env = programs.environ(url)
        self._process: asyncio.subprocess.Process | None = None

    async def tend(self) -> None:
        """See that it runs; raises `ArchiveError` with its complaint when it has ended."""
        process, program = self._process, programs.find("pg_receivewal")
        if process is not None and process.returncode is None:
            return
        if process is not None:
            self._process = None
            _, err = await process.communicate()
            raise ArchiveError(f"pg_receivewal: {programs.complaint(err)}")
        await self.ask(TAKE_OVER)  # one of a process that was killed may hold the slot
        await asyncio.to_thread(self.folder.mkdir, parents=True, exist_ok=True, mode=0o700)
        words = ("--directory", str(self.folder), "--no-loop", "--synchronous", "--status-interval=2", "--slot", SLOT)
        self._process = await programs.start(program, *words, env=self._env)

    @property
    def runs(self) -> bool:
        """Tell whether it runs."""
        return self._process is not None and self._process.returncode is None

    async def ask(self, question: str) -> str:
        """Ask the server by `psql`; raises `ArchiveError`."""
        words = ("--no-psqlrc", "-At", "-c", question)
        return (await programs.run(programs.find("psql"), *words, env=self._env)).decode().strip()

    async def follows(self) -> bool:
        """Tell whether what comes next follows on what is in the folder: the slot has kept it for us."""
        status, _, oldest = (await self.ask(STATE)).partition("|")
        newest = max((path.name[8:24] for path in await asyncio.to_thread(_files, self.folder)), default="")
        return bool(status) and status != "lost" and newest >= oldest[8:24]

    async def begin(self) -> None:
        """Begin anew: with an empty folder, and a slot that keeps all from now on."""
        if (await self.ask(STATE)).startswith("lost"):
            await self.ask(FORGET)
        if not await self.ask(STATE):
            await self.ask(RESERVE)
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)

    async def caught_up(self, position: str) -> bool:
        """Tell whether it has fetched all up to a position of the log, which it may take a moment to."""
        for _ in range(CAUGHT_UP):
            if await self.ask(POSITION % position) == "t":
                return True
            await asyncio.sleep(0.1)
        return False

    async def stop(self) -> None:
        """End it."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(STOP):
                await process.communicate()
        except TimeoutError:
            process.kill()
            await process.communicate()


class PostgresSource:
    """Brings the first copy of a PostgreSQL store up to date. Its methods run one at a time."""

    generation = ""

    def __init__(
        self, url: str, bucket: Bucket, seal: Seal, folder: Path, clock: Callable[[], float], *, release: str
    ) -> None:
        """`folder` is our own, for what is on its way; `clock` gives epoch seconds."""
        self.restorable_at = 0.0
        self.base_at = 0.0
        self._env = programs.environ(url)
        self._bucket = bucket
        self._seal = seal
        self._folder = folder
        self._clock = clock
        self._release = release
        self._system = ""
        self._sent: dict[str, float] = {}
        self._receiver = Receiver(url, folder / "wal")
        self._one = asyncio.Lock()

    async def ship(self) -> None:
        """Fetch and send what the log has more of; raises `ArchiveError`."""
        async with self._one:
            await self._begin()
            if not self._receiver.runs and not await self._receiver.follows():
                await self._begin_anew()
            await self._receiver.tend()
            at, position = self._clock(), await self._receiver.ask("SELECT pg_current_wal_flush_lsn()")
            there = await self._receiver.caught_up(position)
            await self._send()
            if not self.base_at:
                await self._take_base()
            elif there:
                self.restorable_at = at

    async def _begin_anew(self) -> None:
        """Send what was received, and begin with a base backup again: the server has not kept what follows."""
        if self.base_at:
            log.error("backup.missed", reason="the replication slot has not kept the log: a base backup comes next")
        await self._send()
        await self._receiver.begin()
        self.base_at, self._sent = 0.0, {}

    async def snapshot(self) -> Base:
        """Take a base backup now."""
        async with self._one:
            await self._begin()
            return await self._take_base()

    def wants_snapshot(self, hours: float) -> bool:
        """Tell whether it is time for a base backup."""
        return bool(self.base_at) and self._clock() - self.base_at >= hours * 3600

    async def proof(self) -> Proof:
        """Bring the copy up to date; what the running server has goes on changing, so there is nothing to compare."""
        age = self._clock() - self.restorable_at if self.restorable_at else 0.0
        await self.ship()
        return Proof(at=self._clock(), checksum="", counts={}, age=max(0.0, age))

    async def finish(self) -> None:
        """Send the last of it, and let the receiver end."""
        async with self._one:
            await self._receiver.stop()
            if self._system:
                await self._send()

    async def _begin(self) -> None:
        """Learn which server it is, and what is in the bucket already."""
        if self._system:
            return
        system = await self._receiver.ask("SELECT system_identifier FROM pg_control_system()")
        async for entry in self._bucket.list(f"pg-{system}/base"):
            if entry.path.partition("/manifest.json")[1]:
                body = await asyncio.to_thread(self._seal.open, entry.path, await self._bucket.get(entry.path))
                self.base_at = max(self.base_at, read_base(entry.path, body).at)
        if not await asyncio.to_thread(_files, self._folder / "wal"):
            self.base_at = 0.0  # what was on its way may be lost with the folder: the log may have a gap
        self._system = system

    async def _send(self) -> None:
        """Send finished segments, which then go from here, and the one that is being written, if it has changed."""
        paths = sorted(await asyncio.to_thread(_files, self._folder / "wal"))
        last = max((path.name for path in paths if len(path.name) >= SEGMENT), default="")
        self._sent = {path.name: self._sent[path.name] for path in paths if path.name in self._sent}
        for path in paths:
            try:
                changed = (await asyncio.to_thread(path.stat)).st_mtime_ns
                body = await asyncio.to_thread(path.read_bytes)
            except FileNotFoundError:
                continue  # it has just been finished, and is there under its last name in the next round
            done = not path.suffix and path.name != last  # the newest stays: the receiver goes on after it
            if self._sent.get(path.name) == changed:
                await asyncio.to_thread(path.unlink, missing_ok=True) if done else None
                continue
            ending = "" if path.suffix else ".wal"
            name = f"pg-{self._system}/wal/{path.name}{ending}{self._seal.suffix}"
            await self._bucket.put(name, await asyncio.to_thread(self._seal.close, name, body))
            self._sent[path.name] = changed
            if done:
                await asyncio.to_thread(path.unlink, missing_ok=True)

    async def _take_base(self) -> Base:
        """Have the server copied, and put the copy into the bucket in parts."""
        target = self._folder / "base"
        await asyncio.to_thread(shutil.rmtree, target, ignore_errors=True)
        words = ("-D", str(target), "-F", "tar", "-X", "fetch", "-c", "fast", "--no-password")
        await programs.run(programs.find("pg_basebackup"), *words, env=self._env)
        at = self._clock()  # of its end: to a moment before that PostgreSQL does not restore from it
        try:
            with await asyncio.to_thread((target / "base.tar").open, "rb") as file:
                first = await asyncio.to_thread(_first_segment, file)
                parts = await self._put_parts(f"pg-{self._system}/base/{at:017.6f}", file)
            checksums = await asyncio.to_thread((target / "backup_manifest").read_text)
        finally:
            await asyncio.to_thread(shutil.rmtree, target, ignore_errors=True)
        base = Base(
            system=self._system, at=at, first=first, parts=tuple(parts), checksums=checksums, release=self._release
        )
        path = f"pg-{self._system}/base/{at:017.6f}/manifest.json{self._seal.suffix}"
        await self._bucket.put(path, self._seal.close(path, layout.encode(base)))
        self.base_at, self.restorable_at = at, max(at, self.restorable_at)
        log.info("backup.snapshot", system=self._system, bytes=sum(part.size for part in parts))
        return base

    async def _put_parts(self, folder: str, file: IO[bytes]) -> list[Part]:
        parts: list[Part] = []
        file.seek(0)
        while body := await asyncio.to_thread(file.read, PART):
            path = f"{folder}/{len(parts):06d}.tar{self._seal.suffix}"
            kept = await asyncio.to_thread(self._seal.close, path, body)
            await self._bucket.put(path, kept)
            parts.append(Part(path=path, checksum=layout.checksum(body), size=len(kept)))
        return parts


def _files(folder: Path) -> list[Path]:
    """List the segments (and time lines' histories) that are there; the receiver's own lock is none."""
    return [path for path in folder.iterdir() if path.is_file() and path.name[:8].isalnum()] if folder.is_dir() else []


def _first_segment(file: IO[bytes]) -> str:
    """Read from a base backup which segment of the log it is to be followed from; raises `ArchiveDamaged`."""
    with contextlib.suppress(tarfile.TarError, KeyError), tarfile.open(fileobj=file, mode="r:") as tar:
        label = tar.extractfile("backup_label")
        text = label.read().decode() if label else ""
        if "(file " in text:
            return text.partition("(file ")[2].partition(")")[0]
    raise ArchiveDamaged("the base backup has no label")
