"""Object storage behind five verbs: S3, Google, Azure or a folder, by obstore."""

import datetime as dt
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

from dragoman import config
from dragoman.errors import ArchiveAway, ArchiveMissing, ConfigError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

DEADLINE: Final = 60.0
"""Seconds for one request, body and all."""
PATIENCE: Final = 20.0
"""Seconds in which a failed request is tried again."""
SCHEMES: Final = ("s3", "gs", "az", "file")
EXTRA: Final = "pip install 'dragoman[archive]'"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One object: its path, its size in bytes, and when it was written (epoch seconds)."""

    path: str
    size: int
    at: float


class Bucket:
    """A place for objects. What is away raises `ArchiveAway`, what is not there `ArchiveMissing`."""

    def __init__(self, store: "ObjectStore", name: str) -> None:
        """Take an open store; `name` is for people."""
        self.name = name
        self._store = store

    @classmethod
    def open(cls, settings: config.Bucket, folder: Path, where: str, key: str) -> Self:
        """Open the place that settings name, a plain path from `folder`; nothing is asked of it yet.

        Raises `ConfigError` with `where` and `key` when there can be no such place.
        """
        try:
            from obstore.exceptions import BaseError  # noqa: PLC0415 - an extra
            from obstore.store import LocalStore, from_url  # noqa: PLC0415 - the same
        except ModuleNotFoundError as error:
            raise ConfigError(where, f"{key}.url", f"needs {error.name}", EXTRA) from error
        scheme, slashes, rest = settings.url.partition("://")
        if slashes and scheme not in SCHEMES:
            words = ", ".join(f"{known}://" for known in SCHEMES)
            raise ConfigError(where, f"{key}.url", f"must begin with one of {words}", "or be the path of a folder")
        try:
            if not slashes or scheme == "file":
                path = (folder / Path(rest if slashes else scheme).expanduser()).resolve()
                return cls(LocalStore(str(path), mkdir=True), str(path))
            options: dict[str, Any] = {"config": _options(settings) if scheme == "s3" else None}
            return cls(from_url(settings.url, **options, **_patience(settings)), settings.url)
        except (BaseError, ValueError, OSError) as error:
            raise ConfigError(where, f"{key}.url", f"cannot be opened: {_reason(error)}") from error

    async def put(self, path: str, body: bytes, *, new: bool = False) -> bool:
        """Write an object, whole or not at all; with `new` one that is there stays, and the answer is False."""
        from obstore.exceptions import AlreadyExistsError, BaseError  # noqa: PLC0415 - an extra

        try:
            mode: Any = "create" if new else "overwrite"
            await self._store.put_async(path, body, mode=mode, use_multipart=False if new else None)
        except (AlreadyExistsError, FileExistsError):
            return False
        except (BaseError, OSError, ValueError) as error:
            raise self._away(error) from error
        return True

    async def get(self, path: str) -> bytes:
        """Read an object whole."""
        from obstore.exceptions import BaseError  # noqa: PLC0415 - an extra

        try:
            found = await self._store.get_async(path)
            return bytes(await found.bytes_async())
        except FileNotFoundError as error:
            raise ArchiveMissing(f"{self.name}/{path} is not there") from error
        except (BaseError, OSError, ValueError) as error:
            raise self._away(error) from error

    async def size(self, path: str) -> int | None:
        """Return an object's size in bytes; None when it is not there."""
        from obstore.exceptions import BaseError  # noqa: PLC0415 - an extra

        try:
            return int((await self._store.head_async(path))["size"])
        except FileNotFoundError:
            return None
        except (BaseError, OSError, ValueError) as error:
            raise self._away(error) from error

    async def list(self, prefix: str, after: str = "") -> AsyncIterator[Entry]:
        """List the objects below a prefix, those whose path sorts after `after`; in no promised order."""
        from obstore.exceptions import BaseError  # noqa: PLC0415 - an extra

        try:
            async for page in self._store.list(prefix, offset=after or None):
                for item in page:
                    at: dt.datetime = item["last_modified"]
                    yield Entry(path=item["path"], size=item["size"], at=at.timestamp())
        except FileNotFoundError:
            return
        except (BaseError, OSError, ValueError) as error:
            raise self._away(error) from error

    async def delete(self, paths: Iterable[str]) -> None:
        """Delete objects; those that are gone already do not matter."""
        from obstore.exceptions import BaseError  # noqa: PLC0415 - an extra

        for path in paths:
            try:
                await self._store.delete_async(path)
            except FileNotFoundError:
                continue
            except (BaseError, OSError, ValueError) as error:
                raise self._away(error) from error

    def _away(self, error: Exception) -> ArchiveAway:
        return ArchiveAway(f"{self.name}: {_reason(error)}")


def _options(settings: config.Bucket) -> dict[str, Any]:
    """Say to an S3 client what the settings name; the rest comes from the environment, as its own tools have it."""
    named = {
        "endpoint": settings.endpoint,
        "region": settings.region,
        "access_key_id": settings.access_key.reveal(),
        "secret_access_key": settings.secret_key.reveal(),
    }
    return {name: value for name, value in named.items() if value}


def _patience(settings: config.Bucket) -> dict[str, Any]:
    seconds = dt.timedelta
    return {
        "client_options": {
            "timeout": seconds(seconds=DEADLINE),
            "connect_timeout": seconds(seconds=5),
            "allow_http": settings.endpoint.startswith("http://"),
        },
        "retry_config": {
            "max_retries": 3,
            "retry_timeout": seconds(seconds=PATIENCE),
            "backoff": {"init_backoff": seconds(milliseconds=200), "max_backoff": seconds(seconds=3), "base": 2},
        },
    }


def _reason(error: Exception) -> str:
    """Return the first line of a client's complaint: the rest are its internals."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300]
