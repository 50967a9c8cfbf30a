"""Files by content: streamed in under a cap, named by their hash, deleted when nobody wrote them lately."""

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dragoman.errors import MediaRefused
from dragoman.flow import media
from dragoman.flow.media import MediaStore
from dragoman.model import Media

PIECES = (b"one ", b"two ", b"three")
WHOLE = b"".join(PIECES)


async def stream(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def broken(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
    raise ConnectionResetError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "media"


@pytest.fixture
def store(folder: Path) -> MediaStore:
    return MediaStore(folder)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


async def test_a_file_is_kept_under_its_hash(store: MediaStore) -> None:
    kept = await store.save(stream(*PIECES), "image/png", "cat.png")

    ref = hashlib.sha256(WHOLE).hexdigest()
    assert kept == Media(ref=ref, size=len(WHOLE), mime="image/png", name="cat.png")
    assert store.path(kept).read_bytes() == WHOLE


async def test_a_file_of_no_known_type_is_bytes(store: MediaStore) -> None:
    assert (await store.save(stream(WHOLE))).mime == "application/octet-stream"


async def test_an_empty_file_is_a_file(store: MediaStore) -> None:
    kept = await store.save(stream())

    assert kept.size == 0
    assert store.path(kept).read_bytes() == b""


async def test_the_same_bytes_are_kept_once(store: MediaStore, folder: Path) -> None:
    first = await store.save(stream(WHOLE), name="a")
    second = await store.save(stream(*PIECES), name="b")

    assert first.ref == second.ref
    assert files(folder) == [first.ref]


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a\0b", "CON", "x" * 300])
async def test_a_name_is_never_a_path(store: MediaStore, folder: Path, name: str) -> None:
    kept = await store.save(stream(WHOLE), name=name)

    assert files(folder) == [kept.ref]


async def test_only_the_service_reads_the_files(store: MediaStore) -> None:
    kept = await store.save(stream(WHOLE))

    assert store.path(kept).stat().st_mode & 0o077 == 0


async def test_a_file_past_the_cap_is_refused_and_leaves_nothing(store: MediaStore, folder: Path) -> None:
    piece = bytes(media.LARGEST // 4)

    with pytest.raises(MediaRefused, match="larger than 50 MiB"):
        await store.save(stream(piece, piece, piece, piece, b"!"))

    assert files(folder) == []


async def test_a_stream_that_breaks_off_leaves_nothing(store: MediaStore, folder: Path) -> None:
    with pytest.raises(ConnectionResetError):
        await store.save(broken(*PIECES))

    assert files(folder) == []


@pytest.mark.parametrize("ref", ["", ".", "..", "../secret", "/etc/passwd", "0" * 64, "ab/../../secret"])
async def test_what_is_not_kept_has_no_path(store: MediaStore, folder: Path, ref: str) -> None:
    await store.save(stream(WHOLE))
    folder.with_name("secret").write_text("secret")

    with pytest.raises(MediaRefused, match="not kept"):
        store.path(Media(ref=ref))


async def test_files_that_nobody_wrote_lately_are_deleted(store: MediaStore, folder: Path) -> None:
    old = await store.save(stream(b"old"))
    young = await store.save(stream(b"young"))
    os.utime(store.path(old), (100, 100))

    assert await store.prune(200) == 1

    assert files(folder) == [young.ref]


async def test_a_file_that_came_again_is_young_again(store: MediaStore) -> None:
    kept = await store.save(stream(WHOLE))
    os.utime(store.path(kept), (100, 100))

    await store.save(stream(WHOLE))

    assert await store.prune(200) == 0
    assert store.path(kept).read_bytes() == WHOLE


async def test_what_a_killed_process_was_writing_is_deleted_too(store: MediaStore, folder: Path) -> None:
    await store.save(stream(WHOLE))
    left = folder / "tmp1234"
    left.write_bytes(b"half")
    os.utime(left, (100, 100))

    await store.prune(200)

    assert left.name not in files(folder)


async def test_pruning_an_absent_folder_deletes_nothing(store: MediaStore) -> None:
    assert await store.prune(200) == 0
