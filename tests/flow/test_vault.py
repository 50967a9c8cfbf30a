"""The encryption of what is kept: which key, where it comes from, and what happens with a wrong one."""

import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dragoman.errors import ConfigError
from dragoman.flow.vault import FILE, Vault
from dragoman.model import Secret
from dragoman.store.sqlite import SqliteStore
from dragoman.testing.clock import FakeClock

OLD = "an old key of more than thirty-two characters"
NEW = "a new key of more than thirty-two characters"


@pytest.fixture
async def store(tmp_path: Path, clock: FakeClock) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(tmp_path / "dragoman.db", clock)
    yield opened
    await opened.close()


def vault(store: SqliteStore, folder: Path, *keys: str, alone: bool = True) -> Vault:
    return Vault(Secret(*keys), folder, store, alone=alone)


async def test_a_key_of_our_own_is_made_with_the_first_secret_and_for_its_owner_only(
    store: SqliteStore, tmp_path: Path
) -> None:
    place = vault(store, tmp_path)
    await place.check()
    assert not (tmp_path / FILE).exists()

    sealed = await place.seal("token:a", b"secret words")

    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert "secret" not in sealed
    again = vault(store, tmp_path)
    await again.check()
    assert again.open("token:a", sealed) == b"secret words"


async def test_a_value_opens_under_its_own_name_only_and_unchanged_only(store: SqliteStore, tmp_path: Path) -> None:
    place = vault(store, tmp_path, NEW)
    sealed = await place.seal("token:a", b"secret words")

    assert place.open("token:a", sealed) == b"secret words"
    assert place.open("token:b", sealed) is None
    assert place.open("attempts:a", sealed) is None
    assert place.open("token:a", sealed[:-6] + ("A" if sealed[-6] != "A" else "B") + sealed[-5:]) is None
    assert [place.open("token:a", rubbish) for rubbish in ("", ".", "1.x", sealed + "é", "1.." + sealed)] == [None] * 5


async def test_the_same_words_are_never_sealed_alike(store: SqliteStore, tmp_path: Path) -> None:
    place = vault(store, tmp_path, NEW)

    assert await place.seal("token:a", b"words") != await place.seal("token:a", b"words")


async def test_a_rotated_key_seals_and_the_old_one_still_opens(store: SqliteStore, tmp_path: Path) -> None:
    before = vault(store, tmp_path, OLD)
    await before.check()
    sealed = await before.seal("token:a", b"secret words")
    rotated = vault(store, tmp_path, NEW, OLD)
    await rotated.check()

    assert rotated.open("token:a", sealed) == b"secret words"
    fresh = await rotated.seal("token:a", b"new words")
    assert before.open("token:a", fresh) is None
    await vault(store, tmp_path, NEW).check()


async def test_another_key_than_that_in_use_is_refused_with_the_remedy(store: SqliteStore, tmp_path: Path) -> None:
    await vault(store, tmp_path, OLD).check()

    with pytest.raises(ConfigError, match=r"encryption_key: is not the key .* same encryption_key"):
        await vault(store, tmp_path, NEW).check()


async def test_a_replica_without_key_is_refused_where_others_have_one(store: SqliteStore, tmp_path: Path) -> None:
    await vault(store, tmp_path, OLD).check()

    with pytest.raises(ConfigError, match="is empty, and other replicas use a key"):
        await vault(store, tmp_path, alone=False).check()


async def test_two_replicas_with_key_files_of_their_own_are_told_at_the_first_secret(
    store: SqliteStore, tmp_path: Path
) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    first, second = (vault(store, folder, alone=False) for folder in folders)
    await first.check()
    await second.check()
    await first.seal("token:a", b"words")

    with pytest.raises(ConfigError, match="give all replicas the same encryption_key"):
        await second.seal("token:b", b"words")


async def test_a_single_service_that_lost_its_key_file_begins_anew(store: SqliteStore, tmp_path: Path) -> None:
    before = vault(store, tmp_path)
    await before.check()
    sealed = await before.seal("token:a", b"words")
    (tmp_path / FILE).unlink()
    place = vault(store, tmp_path)

    await place.check()

    assert place.open("token:a", sealed) is None
    assert place.open("token:a", await place.seal("token:a", b"new words")) == b"new words"


async def test_a_key_that_can_be_guessed_is_refused(store: SqliteStore, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 32 characters"):
        await vault(store, tmp_path, "hunter2").check()
