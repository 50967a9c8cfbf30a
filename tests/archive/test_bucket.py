"""Object storage behind its five verbs, on a server that speaks S3's protocol and in a folder."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from dragoman import config
from dragoman.archive.bucket import Bucket
from dragoman.archive.seal import Seal
from dragoman.errors import ArchiveAway, ArchiveDamaged, ArchiveMissing, ConfigError
from dragoman.model import Secret


async def test_what_is_put_is_read_back_listed_and_deleted(bucket: Bucket) -> None:
    await bucket.put("log/2", b"two")
    await bucket.put("log/1", b"one" * 4_000_000)
    await bucket.put("other/1", b"")

    assert await bucket.get("log/2") == b"two"
    assert sorted([(entry.path, entry.size) async for entry in bucket.list("log")]) == [
        ("log/1", 12_000_000),
        ("log/2", 3),
    ]
    assert [entry.path async for entry in bucket.list("log", after="log/1")] == ["log/2"]
    assert await bucket.size("other/1") == 0

    await bucket.delete(["log/2", "log/3"])
    assert await bucket.size("log/2") is None
    with pytest.raises(ArchiveMissing, match="log/2 is not there"):
        await bucket.get("log/2")


async def test_a_new_object_never_replaces_another(bucket: Bucket) -> None:
    assert await bucket.put("log/1", b"first", new=True)
    assert not await bucket.put("log/1", b"second", new=True)
    assert await bucket.get("log/1") == b"first"


async def test_an_empty_place_lists_nothing(bucket: Bucket) -> None:
    assert [entry async for entry in bucket.list("nothing")] == []


async def test_a_bucket_that_is_not_there_is_told_in_a_line(place: Callable[[], config.Bucket], tmp_path: Path) -> None:
    absent = dataclasses.replace(place(), url="s3://absent/here")
    with pytest.raises(ArchiveAway, match=r"NoSuchBucket|404") as failure:
        await Bucket.open(absent, tmp_path, "", "backup").put("a", b"")
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [("ftp://there", "must begin with one of s3://, gs://, az://, file://"), ("s3://", "cannot be opened")],
)
def test_a_place_that_cannot_be_is_refused_with_its_key(url: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words) as refusal:
        Bucket.open(config.Bucket(url=url), tmp_path, "dragoman.toml", "backup")
    assert refusal.value.key == "backup.url"


KEY = "k" * 32


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("key", [Secret(), Secret(KEY)])
def test_what_was_closed_opens_again(key: Secret, compress: bool) -> None:
    seal = Seal(key, "archive", compress=compress)
    path = "a.json" + seal.suffix
    assert seal.open(path, seal.close(path, b"text" * 999)) == b"text" * 999


def test_a_rotated_key_still_opens_and_another_does_not() -> None:
    kept = Seal(Secret(KEY), "archive", compress=False).close("a.enc", b"text")
    assert Seal(Secret("n" * 32, KEY), "archive", compress=False).open("a.enc", kept) == b"text"
    with pytest.raises(ArchiveDamaged, match="a key that is not configured"):
        Seal(Secret("n" * 32), "archive", compress=False).open("a.enc", kept)


def test_a_damaged_a_cut_and_an_exchanged_object_are_recognised() -> None:
    seal = Seal(Secret(KEY), "archive", compress=True)
    path = "a.json" + seal.suffix
    kept = seal.close(path, b"text")
    for wrong in (kept[:-1], kept[:5], b"", bytes([*kept[:-1], kept[-1] ^ 1])):
        with pytest.raises(ArchiveDamaged):
            seal.open(path, wrong)
    with pytest.raises(ArchiveDamaged):
        seal.open("b.json" + seal.suffix, kept)
    with pytest.raises(ArchiveDamaged, match="does not decompress"):
        seal.open("c.gz", b"no gzip")
