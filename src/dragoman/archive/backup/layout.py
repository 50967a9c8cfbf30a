"""How a backup lies in a bucket: its names, and what its objects hold."""

import datetime as dt
import re
from collections.abc import Mapping
from typing import Final

import msgspec

from dragoman import crypto
from dragoman.errors import ArchiveDamaged

VERSION: Final = 1
LENGTH: Final = 4
"""Bytes that tell how long the head of a part is."""
OURS: Final = re.compile(r"\d{8}T\d{6}\.\d{6}Z-[^/]*/(log/\d+\.|snapshot/\d+/)")
NAME: Final = "%Y%m%dT%H%M%S.%fZ"


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What a part of the log says before its pages: their numbers, and the file's size in pages after them."""

    generation: str
    sequence: int
    at: float
    previous: str
    page_size: int
    size: int
    numbers: tuple[int, ...]
    version: int = VERSION


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One object of a snapshot: its path, and the checksum of the bytes in it before they were closed."""

    path: str
    checksum: str
    size: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot is: the file after a part of the log, its checksum, and how many rows its tables have."""

    generation: str
    sequence: int
    at: float
    chain: str
    page_size: int
    size: int
    checksum: str
    parts: tuple[Part, ...]
    counts: Mapping[str, int]
    release: str
    files: Mapping[str, str] = {}
    """Small files of the data folder, by name; only in an encrypted backup."""
    version: int = VERSION


_head = msgspec.json.Decoder(Head).decode
_manifest = msgspec.json.Decoder(Manifest).decode
encode: Final = msgspec.json.Encoder().encode


def generation_name(at: float, token: str) -> str:
    """Name a generation, so that a later one sorts after it."""
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime(NAME) + f"-{token}"


def begun(path: str) -> float:
    """Return when the generation of an object began, as its name says; 0 when it is of none."""
    try:
        return dt.datetime.strptime(path.partition("-")[0], NAME).replace(tzinfo=dt.UTC).timestamp()
    except ValueError:
        return 0.0


def log_path(generation: str, sequence: int, suffix: str) -> str:
    """Return where a part of the log lies."""
    return f"{generation}/log/{sequence:012d}.pages{suffix}"


def part_path(generation: str, sequence: int, number: int, suffix: str) -> str:
    """Return where a part of a snapshot lies."""
    return f"{generation}/snapshot/{sequence:012d}/{number:06d}.pages{suffix}"


def begun_path(generation: str, sequence: int, suffix: str) -> str:
    """Return where lies what is written before a snapshot."""
    return f"{generation}/snapshot/{sequence:012d}/begun{suffix}"


def manifest_path(generation: str, sequence: int, suffix: str) -> str:
    """Return where a snapshot's manifest lies."""
    return f"{generation}/snapshot/{sequence:012d}/manifest.json{suffix}"


def ours(path: str) -> bool:
    """Tell whether a path is one of these: others may keep things in the same place."""
    return OURS.match(path) is not None


def sequence_of(path: str) -> int:
    """Return the sequence number in a path of any of these; raises `ArchiveDamaged` where there is none."""
    _, kind, rest = (*path.split("/", 2), "", "")[:3]
    number = rest.partition(".")[0] if kind == "log" else rest.partition("/")[0]
    if not number.isdigit():
        raise ArchiveDamaged(f"{path} is no object of a backup")
    return int(number)


def checksum(*bodies: bytes) -> str:
    """Return the checksum of bytes: SHA-256 in hexadecimal."""
    return crypto.sha256_hex(*bodies)


def pack(head: Head, pages: Mapping[int, bytes]) -> bytes:
    """Write a part of the log."""
    written = encode(head)
    return b"".join([len(written).to_bytes(LENGTH, "big"), written, *(pages[number] for number in head.numbers)])


def unpack(path: str, body: bytes) -> tuple[Head, memoryview]:
    """Read a part of the log: its head, and its pages one after the other; raises `ArchiveDamaged`."""
    length = int.from_bytes(body[:LENGTH], "big")
    try:
        head = _head(body[LENGTH : LENGTH + length])
    except msgspec.DecodeError as error:
        raise ArchiveDamaged(f"{path} is damaged: its head cannot be read") from error
    pages = memoryview(body)[LENGTH + length :]
    if head.version > VERSION:
        raise ArchiveDamaged(f"{path} was written by a newer release; upgrade dragoman")
    if len(pages) != len(head.numbers) * head.page_size:
        raise ArchiveDamaged(f"{path} is damaged: it has not the pages that it names")
    return head, pages


def manifest(path: str, body: bytes) -> Manifest:
    """Read a snapshot's manifest; raises `ArchiveDamaged`."""
    try:
        found = _manifest(body)
    except msgspec.DecodeError as error:
        raise ArchiveDamaged(f"{path} is damaged: it cannot be read") from error
    if found.version > VERSION:
        raise ArchiveDamaged(f"{path} was written by a newer release; upgrade dragoman")
    return found
