"""Where a store lies, as people name it, and what a copy asks of the store there."""

import dataclasses
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import parse_qs, urlsplit

from dragoman.errors import ConfigError, StoreError
from dragoman.model import Secret
from dragoman.store.copying.tables import Row, Table

FILE: Final = "dragoman.db"
"""The store's file in a data folder."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """A SQLite file, or a PostgreSQL database; `name` is for people and shows no password."""

    name: str
    path: Path = Path()
    url: Secret = Secret()


def read(role: str, text: str, environ: Mapping[str, str]) -> Place:
    """Read FROM or TO: a file, a data folder, a URL, or where one of these stands; raises `ConfigError`."""
    given = _referred(role, text, environ)
    if given.startswith(("postgresql://", "postgres://")):
        return Place(name=shown(given), url=Secret(given))
    if "://" in given or given.startswith("postgres"):
        raise ConfigError(
            role, "", "is no place of a store", "a file, a data folder, or postgresql://USER@HOST/DATABASE"
        )
    path = Path(given).expanduser().absolute()
    if path.is_dir() or not (path.suffix or path.exists()):
        path = path / FILE
    return Place(name=str(path), path=path)


def _referred(role: str, text: str, environ: Mapping[str, str]) -> str:
    scheme, _, rest = text.partition(":")
    if scheme == "env":
        if not environ.get(rest):
            raise ConfigError(role, "", f"the environment variable {rest} is not set")
        return environ[rest]
    if scheme == "file":
        try:
            return Path(rest).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise ConfigError(role, "", f"{rest} cannot be read: {reason}") from error
    return text


def shown(url: str) -> str:
    """Word a URL without what may be secret in it."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "postgresql://..."
    if "@" in parts.path + parts.query + parts.fragment:  # a password that is not quoted has broken it apart
        return "postgresql://..."
    user = f"{parts.username}@" if parts.username else ""
    schema = "".join(f" (schema {name})" for name in parse_qs(parts.query).get("search_path", ()))
    return f"postgresql://{user}{parts.hostname or ''}{port}{parts.path}{schema}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mark:
    """How far a table is copied: the key of the last row (empty: none yet), and how many rows."""

    after: Sequence[Any] = ()
    rows: int = 0


SAME: Final = "is the same store as FROM"


class Outdated(StoreError):
    """Rows that were copied contradict those that the source has now: it has been used since."""


class Source(Protocol):
    """A store that no service runs on, and none can start on while we read it."""

    name: str
    identity: str
    """The same for the same store, however it is named."""

    async def count(self, table: Table) -> int:
        """Count a table's rows."""

    def rows(self, table: Table, after: Sequence[Any] = ()) -> AsyncIterator[Row]:
        """Read a table in the order of its key, after a key."""

    async def alone(self) -> None:
        """Raise `StoreLocked` when a service runs on it."""


class Target(Source, Protocol):
    """A store that is being filled, and knows how far."""

    marks: Mapping[str, Mark]
    """How far an interrupted copy came, by table."""

    async def add(self, table: Table, rows: Sequence[Row]) -> None:
        """Add rows, and note the last one, in one transaction; raises `Outdated`."""

    def named(self, table: Table, row: Row) -> Row:
        """Return a row with its names as long as this store can hold them."""

    async def empty(self, tables: Sequence[Table]) -> None:
        """Forget what was copied of these tables, so that they are copied anew."""

    async def finish(self) -> None:
        """Make it a store that a service can run on."""
