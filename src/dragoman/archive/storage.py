"""Conversations in object storage: `conversations/{user_id}/{timestamp}.json`, written once and never changed.

Each file names the one before it and that one's checksum, so that a file that was altered, cut, exchanged or lost is
found. Lost without a trace is only the newest, unless somebody remembers it (`heads`): the service does.
"""

import asyncio
import time
import weakref
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from dragoman import config
from dragoman.archive import file
from dragoman.archive.bucket import Bucket
from dragoman.archive.conversations import ROOT, Record, folder, of_event, user_of
from dragoman.archive.file import File, Head
from dragoman.archive.seal import LEAST, Seal
from dragoman.errors import ArchiveDamaged, ArchiveMissing, ConfigError
from dragoman.model import Event, Secret

AT_ONCE: Final = 8
"""Requests that are under way at the same time."""
REMEMBERED: Final = 10_000
"""Users whose newest file is remembered; that of others is looked for before the next one is written."""


class ConversationStorage:
    """Keeps conversations in a bucket or a folder, one user's messages together.

    `where` is `s3://BUCKET/PREFIX`, `gs://`, `az://` or the path of a folder. What an S3-protocol server needs beside
    (`endpoint`, `region`, `access_key`, `secret_key`) may come from the environment, as its own tools have it.
    With `key`, of 32 characters or more, every file is encrypted; with `compress` it is compressed.
    """

    def __init__(
        self,
        where: str | Path,
        *,
        endpoint: str = "",
        region: str = "",
        access_key: str = "",
        secret_key: str = "",
        compress: bool = False,
        key: str = "",
    ) -> None:
        """Name the place; nothing is asked of it yet. Raises `ConfigError`."""
        settings = config.Archive(
            url=str(where),
            endpoint=endpoint,
            region=region,
            access_key=Secret(access_key),
            secret_key=Secret(secret_key),
            compress=compress,
            key=Secret(key),
        )
        self._open(settings, Path.cwd(), "ConversationStorage")

    @classmethod
    def of(cls, settings: config.Archive, base: Path, where: str) -> "ConversationStorage":
        """Open what `[archive]` names, a relative path from `base`; raises `ConfigError`."""
        storage = cls.__new__(cls)
        storage._open(settings, base, where)  # noqa: SLF001 - our own
        return storage

    def _open(self, settings: config.Archive, base: Path, where: str) -> None:
        if any(len(text) < LEAST for text in settings.key.candidates()):
            raise ConfigError(where, "archive.key", f"must have {LEAST} characters or more")
        self.bucket = Bucket.open(settings, base, where, "archive")
        self._seal = Seal(settings.key, "archive", compress=settings.compress)
        self._heads: dict[str, Head] = {}
        """Those that were written last stand last."""
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def save_conversation(self, user_id: str, messages: Iterable[Event | Mapping[str, Any]]) -> str:
        """Keep messages (events, or dictionaries in the common form) in a new file; returns its path.

        Raises `ArchiveAway` when the place does not answer; then nothing was kept.
        """
        records = [of_event(each) if isinstance(each, Event) else dict(each) for each in messages]
        if not user_id or not records:
            raise ValueError("a conversation has a user and at least one message")
        async with self._locks.setdefault(user_id, asyncio.Lock()):
            newest = self._heads.pop(user_id, None) or await self._newest(user_id)
            made = file.make(user_id, records, newest, time.time())
            path = await self.write(made)
            self._heads[user_id] = made.head
            if len(self._heads) > REMEMBERED:
                del self._heads[next(iter(self._heads))]
            return path

    async def write(self, made: File) -> str:
        """Write a file that was made, unless it is there already; returns its path."""
        path = f"{folder(made.user_id)}/{made.head.name}.json{self._seal.suffix}"
        body = await asyncio.to_thread(self._seal.close, path, file.write(made))
        await self.bucket.put(path, body, new=True)  # a file of this name has these very messages
        return path

    async def _newest(self, user_id: str) -> Head | None:
        paths = await self.files(user_id)
        return (await self.read(paths[-1])).head if paths else None

    async def read(self, path: str) -> File:
        """Read one file and check it; raises `ArchiveDamaged`, `ArchiveMissing` or `ArchiveAway`."""
        kept = await self.bucket.get(path)
        return file.read(path, await asyncio.to_thread(self._seal.open, path, kept))

    async def files(self, user_id: str) -> list[str]:
        """List the paths of a user's files, oldest first."""
        return sorted([entry.path async for entry in self.bucket.list(folder(user_id))])

    async def load(self, user_id: str) -> list[Record]:
        """Read all that is kept of a user, oldest first; raises `ArchiveDamaged` where a file is not as it was."""
        files = [await self.read(path) for path in await self.files(user_id)]
        return [message for each in files for message in each.messages]

    async def users(self) -> AsyncIterator[tuple[str, list[str]]]:
        """Go through all users, each with the paths of their files, oldest first."""
        paths: dict[str, list[str]] = {}
        async for entry in self.bucket.list(ROOT):
            name = entry.path.split("/")[1]
            paths.setdefault(name, []).append(entry.path)
        for name, mine in sorted(paths.items()):
            mine.sort()
            yield user_of(name) or (await self.read(mine[0])).user_id, mine

    async def delete(self, user_id: str) -> int:
        """Delete all that is kept of a user; returns how many files there were."""
        paths = await self.files(user_id)
        await self.bucket.delete(paths)
        self._heads.pop(user_id, None)
        return len(paths)

    async def verify(self, user_id: str, *, head: Head | None = None, partly: bool = False) -> list[str]:
        """Check every file of a user and that none is missing; returns one line for each trouble.

        `head` is the file that should be the newest. With `partly` the oldest may be gone, as they are after a time.
        """
        return await self.check(user_id, await self.files(user_id), head=head, partly=partly)

    async def check(self, user_id: str, paths: Sequence[str], *, head: Head | None, partly: bool) -> list[str]:
        """Check these files of a user, all that there are, oldest first."""
        troubles: list[str] = []
        sums: dict[str, str] = {}
        for path in paths:
            try:
                found = await self.read(path)
            except (ArchiveDamaged, ArchiveMissing) as error:
                troubles.append(str(error))
                sums[file.base(path)] = ""
                continue
            if found.user_id != user_id:
                troubles.append(f"{path} is damaged: it is another user's")
            troubles += _before(path, found, sums, partly=partly)
            sums[found.head.name] = found.sha256
        if head is not None and head.name not in sums and (paths or not partly):
            troubles.append(f"{folder(user_id)}/{head.name}.json is missing: it is the newest")
        return troubles


def _before(path: str, found: File, sums: Mapping[str, str], *, partly: bool) -> list[str]:
    """Compare what a file says of the one before it with what is there."""
    if not found.previous or (partly and not sums):
        return []
    if found.previous not in sums:
        return [f"{path.rpartition('/')[0]}/{found.previous}.json is missing: {file.base(path)} follows it"]
    known = sums[found.previous]
    return [f"{path} follows another {found.previous}"] if known and known != found.previous_sha256 else []


def read_head(text: str) -> Head | None:
    """Read a kept head; None when there is none."""
    return msgspec.json.decode(text, type=Head) if text else None
