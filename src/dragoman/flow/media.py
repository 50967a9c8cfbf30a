"""Files kept by content on the disk: named by their SHA-256, never by what someone called them."""

import asyncio
import errno
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Final

from dragoman.errors import MediaRefused
from dragoman.model import Media
from dragoman.store.disk import Disk

LARGEST: Final = 50 << 20
"""Bytes of one file, at most."""
NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE})
"""What a folder says that can take no more files."""


class MediaStore:
    """A folder of files. `save` streams in with a cap; `path` finds one for reading."""

    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        self._folder = folder
        self._disk = disk

    def path(self, media: Media) -> Path:
        """Return where a kept file is; raises `MediaRefused` when it is gone or never was."""
        path = self._folder / media.ref[:2] / media.ref
        if not media.ref.isalnum() or not path.is_file():
            raise MediaRefused("the file is not kept any more")
        return path

    async def save(self, chunks: AsyncIterator[bytes], mime: str = "", name: str = "") -> Media:
        """Keep a stream of bytes; raises `MediaRefused` when it is longer than the cap, or the disk has no room."""
        if self._disk is not None and (trouble := self._disk.trouble()):
            raise MediaRefused(trouble)
        try:
            return await self._save(chunks, mime, name)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise  # the stream broke off
            raise MediaRefused(f"the file cannot be kept: {error.strerror}") from error

    async def _save(self, chunks: AsyncIterator[bytes], mime: str, name: str) -> Media:
        await asyncio.to_thread(self._folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        handle, temporary = await asyncio.to_thread(tempfile.mkstemp, dir=self._folder)
        digest, size = hashlib.sha256(), 0
        try:
            with os.fdopen(handle, "wb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > LARGEST:
                        raise MediaRefused(f"the file is larger than {LARGEST >> 20} MiB")
                    digest.update(chunk)
                    await asyncio.to_thread(file.write, chunk)
            ref = digest.hexdigest()
            target = self._folder / ref[:2] / ref
            await asyncio.to_thread(target.parent.mkdir, exist_ok=True)
            await asyncio.to_thread(os.replace, temporary, target)
        finally:
            await asyncio.to_thread(Path(temporary).unlink, missing_ok=True)
        return Media(ref=ref, size=size, mime=mime or "application/octet-stream", name=name)

    async def delete(self, refs: Iterable[str]) -> None:
        """Delete files by the name of their bytes; those that are gone do not matter."""
        for ref in refs:
            if ref.isalnum():
                await asyncio.to_thread((self._folder / ref[:2] / ref).unlink, missing_ok=True)

    async def prune(self, before: float) -> int:
        """Delete files that nobody wrote since `before` (epoch seconds); returns how many."""
        return await asyncio.to_thread(self._prune, before)

    def _prune(self, before: float) -> int:
        files = [*self._folder.glob("*/*"), *(path for path in self._folder.glob("*") if path.is_file())]
        old = [path for path in files if path.stat().st_mtime < before]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)
