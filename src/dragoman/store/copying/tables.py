"""What a copy takes along: the tables, the columns that every store has, and a sum over rows in any order.

Left behind is what belongs to processes that are gone: leases and claims (what was claimed is ready again), the time
until which a send was under way (it has ended: the next sweep decides), replicas, and paces.
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from dragoman import crypto
from dragoman.store.named import numbered

Row = tuple[Any, ...]
NUL_SIGN: Final = "\u2400"
_encode: Final = msgspec.json.Encoder().encode


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Table:
    """A table by its columns; `read` words those that are not read as they lie there."""

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    read: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def select(self, placeholders: Sequence[str], *, source: str = "", after: bool = False) -> str:
        """Write the statement that reads it in the order of its key, from `source`, after a key if wanted."""
        columns = ", ".join(self.read.get(name, f'"{name}"') for name in self.columns)
        key = ", ".join(f'"{name}"' for name in self.key)
        beyond = f" WHERE ({key}) > ({', '.join(placeholders[: len(self.key)])})" if after else ""
        return f"SELECT {columns} FROM {source or self.name}{beyond} ORDER BY {key}"  # noqa: S608 - names of ours

    def key_of(self, row: Row) -> list[Any]:
        """Return a row's key."""
        return [row[self.columns.index(name)] for name in self.key]


def _table(name: str, key: str, columns: str, **read: str) -> Table:
    return Table(name=name, key=tuple(key.split()), columns=tuple(columns.split()), read=read)


WAITING_SINCE: Final = """coalesce((
    SELECT accepted_at FROM inbox
    WHERE inbox.conversation = conversation.id AND inbox.id >= conversation.head AND status = 'waiting'
    ORDER BY inbox.id LIMIT 1
), 0.0)"""
"""When what was claimed is ready again: since its event came, the same on both sides."""
LANE: Final = _table("lane", "conversation", "conversation account waiting ready_at holder")
"""On SQLite it is no table: the head row of a conversation's outbox has its `ready_at`."""
OUTBOX: Final = _table(
    "outbox",
    "id",
    "id key inbox account conversation action address class state withheld_until reason attempts fence window"
    " sure_until not_after created_at received_at sending_at settled_at ids",
)
TABLES: Final = (
    _table("receipt", "id", "id account at raw"),
    _table(
        "inbox",
        "id",
        "id account kind key conversation receipt event status reason handler duplicates"
        " received_at authenticated_at parsed_at accepted_at routed_at responded_at",
    ),
    _table(
        "conversation",
        "id",
        "id account state pending head ready_at because fence started errors",
        ready_at=f"CASE WHEN because = 'leased' THEN {WAITING_SINCE} ELSE ready_at END",
        because="CASE WHEN because = 'leased' THEN '' ELSE because END",
    ),
    OUTBOX,
    LANE,
    _table("told", "id", "id at inbox outbox"),
    _table("parked", "id", "id account at reason raw"),
    _table("account", "name", "name paused_until reason"),
    _table("once", "turn name", "turn name arguments at result"),
    _table("memory", "person key", "person key value"),
    _table("kept", "name", "name value"),
    _table("timer", "name", "name person task timer at ready_at fired missed last_at last_event"),
    _table("broadcast", "id", "id mark name message state start_at created_at ended_at total accounts counts"),
    _table(
        "recipient", "broadcast n", "broadcast n account conversation place address person name state reason chunks"
    ),
)
"""In the order in which they are copied: lanes follow their deliveries."""


class Sum:
    """How many rows, and a checksum that does not depend on their order."""

    def __init__(self) -> None:
        self.rows = 0
        self._total = 0

    def add(self, row: Row) -> None:
        """Count a row."""
        self.rows += 1
        self._total += int.from_bytes(hashlib.sha256(_canonical(row)).digest(), "big")

    @property
    def checksum(self) -> str:
        """The sum of the rows' SHA-256, as 64 hexadecimal digits."""
        return f"{self._total % (1 << 256):064x}"


def _canonical(row: Row) -> bytes:
    """Write a row as every database that holds it would; a NUL is written like the sign for it."""
    return _encode(row).replace(rb"\u0000", NUL_SIGN.encode())


def plain(value: Any) -> Any:
    """Show a text's NUL by the sign for it: PostgreSQL can hold no other."""
    return value.replace("\0", NUL_SIGN) if isinstance(value, str) and "\0" in value else value


def weight(row: Row) -> int:
    """Return about how many bytes of memory a row takes."""
    return 500 + sum(len(value) for value in row if isinstance(value, str | bytes))


def shipped(database: str) -> dict[int, str]:
    """Return the migrations of this release: number to digest."""
    return {number: crypto.sha256_hex(sql.encode()) for number, (_, sql) in numbered(database).items()}
