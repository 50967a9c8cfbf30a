"""Conversations in object storage: written once, read back, and checked so that nothing is lost or changed unseen."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dragoman import ConversationStorage, Event, config
from dragoman.archive import file
from dragoman.archive import storage as storing
from dragoman.archive.bucket import Bucket
from dragoman.archive.conversations import folder, user_of
from dragoman.errors import ArchiveAway, ArchiveDamaged, ConfigError
from dragoman.model import Address, Sender

KEY = "k" * 32


def event(text: str = "hello", user: str = "u1") -> Event:
    address = Address(account="acme", channel="c1")
    return Event(
        key=text,
        account="acme",
        platform="test",
        conversation="acme/c1",
        address=address,
        sender=Sender(id=user, name="Kim"),
        text=text,
        at=1_764_000_000.25,
    )


@pytest.fixture
def storage(bucket: Bucket) -> ConversationStorage:
    """Storage in an empty bucket of each kind."""
    opened = ConversationStorage("here")
    opened.bucket = bucket
    return opened


def kept_in(tmp_path: Path) -> list[Path]:
    return sorted(path for path in tmp_path.rglob("*") if path.is_file())


async def test_what_is_saved_is_loaded_in_its_order(storage: ConversationStorage) -> None:
    first = await storage.save_conversation("acme//u1", [event("one"), {"content": "two", "timestamp": 2}])
    await storage.save_conversation("acme//u1", [{"content": "three", "timestamp": 3.0}])
    await storage.save_conversation("acme//u2", [{"content": "other"}])

    assert [message["content"] for message in await storage.load("acme//u1")] == ["one", "two", "three"]
    assert first.startswith("conversations/acme=2F=2Fu1/")
    assert first.endswith(".json")
    assert [user async for user, _ in storage.users()] == ["acme//u1", "acme//u2"]
    assert await storage.verify("acme//u1") == []


async def test_an_event_is_kept_in_the_common_form(storage: ConversationStorage) -> None:
    path = await storage.save_conversation("acme//u1", [event()])

    (message,) = json.loads(await storage.bucket.get(path))["messages"]

    assert message == {**event().to_json(), "by": "person", "kind": "message", "message_id": ""}


async def test_another_process_goes_on_where_the_last_one_stopped(storage: ConversationStorage) -> None:
    await storage.save_conversation("u", [{"content": "one"}])
    other = ConversationStorage("here")
    other.bucket = storage.bucket
    await other.save_conversation("u", [{"content": "two"}])

    assert await storage.verify("u") == []
    newest = await storage.read((await storage.files("u"))[-1])
    assert newest.previous == file.base((await storage.files("u"))[0])


async def test_of_many_users_only_the_last_are_remembered_and_every_chain_goes_on(
    storage: ConversationStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "REMEMBERED", 2)
    users = [f"u{number}" for number in range(4)]
    for text in ("one", "two"):
        for user in users:
            await storage.save_conversation(user, [{"content": text}])

    assert [len(await storage.files(user)) for user in users] == [2] * 4
    assert [await storage.verify(user) for user in users] == [[]] * 4
    assert (list(storage._heads), len(storage._locks)) == (users[-2:], 0)


async def test_two_that_write_at_once_lose_nothing(storage: ConversationStorage) -> None:
    other = ConversationStorage("here")
    other.bucket = storage.bucket
    await storage.save_conversation("u", [{"content": "one"}])
    other._heads = dict(storage._heads)  # it looked at the same moment
    await storage.save_conversation("u", [{"content": "two"}])
    await other.save_conversation("u", [{"content": "three"}])

    assert {message["content"] for message in await storage.load("u")} == {"one", "two", "three"}
    assert await storage.verify("u") == []


@pytest.mark.parametrize("compress", [True, False])
async def test_files_are_compressed_and_encrypted_on_request(tmp_path: Path, compress: bool) -> None:
    storage = ConversationStorage(tmp_path, compress=compress, key=KEY)
    path = await storage.save_conversation("u", [{"content": "canary"}])

    assert path.endswith(".json.gz.enc" if compress else ".json.enc")
    assert b"canary" not in (tmp_path / path).read_bytes()
    assert (await ConversationStorage(tmp_path, key=KEY).load("u"))[0]["content"] == "canary"
    with pytest.raises(ArchiveDamaged, match="a key that is not configured"):
        await ConversationStorage(tmp_path, key="n" * 32).load("u")


async def three(tmp_path: Path, user: str = "u") -> tuple[ConversationStorage, list[Path]]:
    storage = ConversationStorage(tmp_path)
    for word in ("one", "two", "three"):
        await storage.save_conversation(user, [{"content": word}])
    return storage, kept_in(tmp_path)


async def test_a_changed_file_is_found(tmp_path: Path) -> None:
    storage, files = await three(tmp_path)
    files[1].write_bytes(files[1].read_bytes().replace(b"two", b"too"))

    (trouble,) = await storage.verify("u")
    assert trouble.endswith("is damaged: its checksum is another")
    with pytest.raises(ArchiveDamaged):
        await storage.load("u")


async def test_a_file_that_was_changed_with_its_checksum_is_found(tmp_path: Path) -> None:
    storage, files = await three(tmp_path)
    forged = file.make("u", [{"content": "forged"}], None, file.read(files[1].name, files[1].read_bytes()).at)
    files[1].write_bytes(file.write(forged))
    assert "written under another name" in (await storage.verify("u"))[0]

    files[1].rename(files[1].with_name(f"{forged.head.name}.json"))
    assert "is missing" in (await storage.verify("u"))[0]


@pytest.mark.parametrize("cut", [0, 1, 40])
async def test_a_cut_file_is_found(tmp_path: Path, cut: int) -> None:
    storage, files = await three(tmp_path)
    files[2].write_bytes(files[2].read_bytes()[: cut or -2])

    (trouble,) = await storage.verify("u")
    assert "is damaged" in trouble


@pytest.mark.parametrize("lost", [0, 1])
async def test_a_lost_file_is_found_by_the_one_that_follows_it(tmp_path: Path, lost: int) -> None:
    storage, files = await three(tmp_path)
    files[lost].unlink()

    (trouble,) = await storage.verify("u")
    assert f"{files[lost].stem}.json is missing" in trouble


async def test_the_newest_file_is_missed_by_who_remembers_it(tmp_path: Path) -> None:
    storage, files = await three(tmp_path)
    head = (await storage.read(f"conversations/u/{files[2].name}")).head
    files[2].unlink()

    assert await storage.verify("u") == []
    (trouble,) = await storage.verify("u", head=head)
    assert "it is the newest" in trouble


async def test_the_oldest_may_be_gone_where_they_are_not_kept_for_ever(tmp_path: Path) -> None:
    storage, files = await three(tmp_path)
    files[0].unlink()

    assert await storage.verify("u", partly=True) == []


async def test_a_file_of_another_user_is_found(tmp_path: Path) -> None:
    storage, files = await three(tmp_path)
    (tmp_path / "conversations" / "v").mkdir()
    files[0].rename(tmp_path / "conversations" / "v" / files[0].name)

    (trouble,) = await storage.verify("v")
    assert "it is another user's" in trouble


async def test_what_is_deleted_is_gone_and_the_user_starts_afresh(storage: ConversationStorage) -> None:
    await storage.save_conversation("u", [{"content": "one"}])
    assert await storage.delete("u") == 1
    assert await storage.load("u") == []

    await storage.save_conversation("u", [{"content": "two"}])
    assert await storage.verify("u") == []


ODD = ("a/../../b", "..", ".", "/etc/passwd", "x y\\z", "\u00e4\u4e2d", "a=b~c", "", "\0", "conversations")


@pytest.mark.parametrize("user", ODD)
def test_a_user_is_one_folder_and_is_read_back_from_its_name(user: str) -> None:
    root, _, name = folder(user).partition("/")
    assert root == "conversations"
    assert "/" not in name
    assert "." not in name
    if user:
        assert user_of(name) == user


async def test_a_very_long_id_is_found_all_the_same(tmp_path: Path) -> None:
    storage, _ = await three(tmp_path, "\u4e2d" * 300)
    assert [user async for user, _ in storage.users()] == ["\u4e2d" * 300]
    assert len(await storage.load("\u4e2d" * 300)) == 3


async def test_a_place_that_is_away_is_told_and_nothing_counts_as_saved(
    place: Callable[[], config.Bucket],
) -> None:
    given = place()
    storage = ConversationStorage(
        "s3://absent/x", endpoint=given.endpoint, region=given.region, access_key="key", secret_key="secret"
    )
    with pytest.raises(ArchiveAway):
        await storage.save_conversation("u", [{"content": "one"}])


async def test_what_cannot_be_saved_is_refused(tmp_path: Path) -> None:
    storage = ConversationStorage(tmp_path)
    for user, messages in (("", [{"content": "x"}]), ("u", [])):
        with pytest.raises(ValueError, match="at least one message"):
            await storage.save_conversation(user, messages)
    with pytest.raises(TypeError):
        await storage.save_conversation("u", [{"content": object()}])
    with pytest.raises(ConfigError, match="32 characters or more"):
        ConversationStorage(tmp_path, key="short")


def test_names_sort_by_time_and_the_same_file_has_the_same_name() -> None:
    one = file.make("u", [{"content": "x"}], None, 1_764_000_000.0)
    again = file.make("u", [{"content": "x"}], None, 1_764_000_000.0)
    late = file.make("u", [{"content": "x"}], one.head, 1_763_000_000.0)  # a clock that was set back

    assert one == again
    assert one.head.name < late.head.name
    assert one.head.name.startswith("20251124T160000.000000Z-")
