"""One archived file: a user's messages, the file before it, and a checksum over both. Files are never changed."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from dragoman import crypto
from dragoman.errors import ArchiveDamaged
from dragoman.model import Value

VERSION: Final = 1
STAMP: Final = "%Y%m%dT%H%M%S.%fZ"
SHORT: Final = 12
"""Hexadecimal digits of the checksum that a name bears: two files of one moment have two names."""
TICK: Final = 0.000_001


class Head(Value):
    """The newest file of a user: its name without endings, its checksum, and the time in its name."""

    name: str
    sha256: str
    at: float


class File(Value):
    """A file as it was written."""

    v: int
    user_id: str
    at: float
    previous: str
    """The name of the file before it; empty: it is the first."""
    previous_sha256: str
    messages: tuple[dict[str, Any], ...]
    sha256: str = ""

    @property
    def head(self) -> Head:
        """Return what the next file names."""
        return Head(name=name_of(self.at, self.sha256), sha256=self.sha256, at=self.at)


def make(user_id: str, messages: Sequence[Mapping[str, Any]], head: Head | None, at: float) -> File:
    """Make the file that follows `head`; the same arguments make the same file, under the same name."""
    at = max(round(at, 6), round(head.at + TICK, 6)) if head is not None else round(at, 6)
    bare = File(
        v=VERSION,
        user_id=user_id,
        at=at,
        previous=head.name if head is not None else "",
        previous_sha256=head.sha256 if head is not None else "",
        messages=tuple(msgspec.json.decode(msgspec.json.encode(messages))),  # as they will be read
    )
    return msgspec.structs.replace(bare, sha256=_checksum(msgspec.to_builtins(bare)))


def write(file: File) -> bytes:
    """Return a file's bytes: JSON in UTF-8."""
    return msgspec.json.encode({name: getattr(file, name) for name in file.__struct_fields__}) + b"\n"


def read(path: str, body: bytes) -> File:
    """Read a file and compare its checksum and its name; raises `ArchiveDamaged`."""
    try:
        whole = msgspec.json.decode(body)
        file = msgspec.convert(whole, File)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ArchiveDamaged(f"{path} is damaged: it is not what an archived file looks like") from error
    if file.v != VERSION:
        raise ArchiveDamaged(f"{path} was written by another release (form {file.v})")
    if _checksum(whole) != file.sha256:
        raise ArchiveDamaged(f"{path} is damaged: its checksum is another")
    if base(path) != file.head.name:
        raise ArchiveDamaged(f"{path} is damaged: it was written under another name")
    return file


def name_of(at: float, checksum: str) -> str:
    """Name a file so that names sort by time."""
    return f"{dt.datetime.fromtimestamp(at, dt.UTC).strftime(STAMP)}-{checksum[:SHORT]}"


def base(path: str) -> str:
    """Return a file's name from its path, without endings."""
    return path.rpartition("/")[2].partition(".json")[0]


def _checksum(whole: Any) -> str:
    """Sum up a file: SHA-256 of its JSON without the checksum, keys sorted, no spaces."""
    bare = {name: value for name, value in whole.items() if name != "sha256"}
    return crypto.sha256_hex(msgspec.json.encode(bare, order="sorted"))
