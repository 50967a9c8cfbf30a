"""The follower: everything that is said is archived once, whatever dies or goes away in between."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dragoman import ConversationStorage, telemetry
from dragoman.adapter import Receipt
from dragoman.archive import erasure, following, retention
from dragoman.archive.bucket import Bucket
from dragoman.archive.following import Follower, look
from dragoman.errors import ArchiveAway, Held
from dragoman.model import Address, Event, Message, Say, Sender
from dragoman.store.base import Handled, OpenStore, Outgoing, Settled, Store, Times
from dragoman.store.person import Person
from dragoman.store.postgres import PostgresStore
from dragoman.store.sqlite import SqliteStore

KIM, LEE = Person(account="acme", workspace="", id="u1"), Person(account="acme", workspace="", id="u2")


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """Where a store of each kind is; empty: in the test's folder."""
    return str(request.getfixturevalue("database")) if request.param == "postgres" else ""


@pytest.fixture
async def store(url: str, tmp_path: Path) -> AsyncIterator[OpenStore]:
    opened: OpenStore
    if url:
        opened = await PostgresStore.open(url, time.time)
    else:
        opened = await SqliteStore.open(tmp_path / "dragoman.db", time.time)
    yield opened
    await opened.close()


@pytest.fixture
def follower(store: OpenStore, bucket: Bucket) -> Follower:
    storage = ConversationStorage("kept")
    storage.bucket = bucket
    return Follower(store=store, reader=store.reader, storage=storage, owner=store.owner)


def said(key: str, who: Person = KIM, *, chat: str = "c1", **facts: object) -> Event:
    address = Address(account="acme", channel=chat)
    whole = {"key": key, "account": "acme", "platform": "test", "conversation": chat, "address": address, "text": key}
    return Event(**{**whole, "sender": Sender(id=who.id, name="Kim"), **facts})  # type: ignore[arg-type]


async def say(store: Store, *events: Event) -> None:
    await store.accept("acme", Receipt(events=events, raw=b"{}"), Times())


async def answer(store: Store, *texts: str) -> None:
    """Answer what waits, and deliver the answers."""
    for claim in await store.claim(10):
        event = claim.events[0].event
        outgoing = tuple(
            Outgoing(key=f"{event.key}:{text}", action=Say(message=Message(text=text)), address=event.address)
            for text in texts
        )
        await store.commit(claim, Handled(id=claim.events[0].id, handler="", state={}, outgoing=outgoing))
    while taken := await store.take(10):
        for delivery in taken:
            await store.settle(delivery, Settled(ids=("p1",)))


async def archive(follower: Follower) -> int:
    """Look until nothing is left; returns how many messages were archived."""
    messages = 0
    while True:
        looked = await look(follower, lambda _: None)
        assert not looked.elsewhere
        messages += looked.messages
        if not looked.more:
            return messages


async def contents(follower: Follower, who: Person = KIM) -> list[str]:
    return [message["content"] for message in await follower.storage.load(str(who))]


async def test_both_directions_are_archived_under_the_person(follower: Follower) -> None:
    await say(follower.store, said("hello"))
    await answer(follower.store, "hi", "how are you")

    assert await archive(follower) == 3

    messages = await follower.storage.load(str(KIM))
    assert [(each["by"], each["content"]) for each in messages] == [
        ("person", "hello"),
        ("bot", "hi"),
        ("bot", "how are you"),
    ]
    assert {each["platform"] for each in messages} == {"test"}
    assert messages[1]["message_id"] == "p1"
    assert await archive(follower) == 0
    assert await follower.storage.verify(str(KIM)) == []


async def test_in_a_group_everybody_has_their_own_words_and_the_replies_to_them(follower: Follower) -> None:
    await say(follower.store, said("from kim", chat="g", chat_kind="group"))
    await answer(follower.store, "to kim")
    await say(follower.store, said("from lee", LEE, chat="g", chat_kind="group"))
    await answer(follower.store, "to lee")
    await archive(follower)

    assert await contents(follower) == ["from kim", "to kim"]
    assert await contents(follower, LEE) == ["from lee", "to lee"]


async def test_edits_and_deletions_are_events(follower: Follower) -> None:
    await say(follower.store, said("hello", message_id="m1"))
    await say(follower.store, said("e", kind="edit", message_id="m1", wants_turn=False, text="hullo"))
    await say(follower.store, said("d", kind="delete", message_id="m1", wants_turn=False, text=""))
    await archive(follower)

    messages = await follower.storage.load(str(KIM))
    assert [(each["kind"], each["message_type"], each["message_id"]) for each in messages] == [
        ("message", "text", "m1"),
        ("edit", "event", "m1"),
        ("delete", "event", "m1"),
    ]


async def test_a_reminder_and_a_task_are_archived_where_they_are_heard(follower: Follower) -> None:
    await say(follower.store, said("hello"))
    await answer(follower.store)
    await say(follower.store, said("timer@1", kind="timer", text=""))
    await answer(follower.store, "your reminder")
    await say(follower.store, said("task@1", kind="timer", text="", sender=Sender(id="")))
    await answer(follower.store, "from a task")
    await say(follower.store, said("task@2", kind="timer", text="", sender=Sender(id=""), chat="room"))
    await answer(follower.store, "to a room")
    await archive(follower)

    assert await contents(follower) == ["hello", "your reminder", "from a task"]
    assert await contents(follower, Person(account="acme", workspace="", id="room")) == ["to a room"]


class Died(Exception):
    """The process ends here."""


def die(_: str) -> None:
    raise Died


async def test_a_death_between_the_files_and_the_cursor_repeats_no_message(
    follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    await say(follower.store, said("one"), said("two", LEE, chat="c2"))

    monkeypatch.setattr(telemetry.crash, "passed", die)
    with pytest.raises(Died):
        await look(follower, lambda _: None)
    monkeypatch.undo()
    assert len(await follower.storage.files(str(KIM))) == 1
    await say(follower.store, said("three"))

    await archive(follower)

    assert await contents(follower) == ["one", "three"]
    assert await contents(follower, LEE) == ["two"]
    assert len(await follower.storage.files(str(KIM))) == 2
    assert await follower.storage.verify(str(KIM)) == []


async def test_a_storage_that_is_away_is_caught_up_with(follower: Follower) -> None:
    nowhere = ConversationStorage("s3://absent/x", endpoint="http://127.0.0.1:9", access_key="k", secret_key="s")
    nowhere.bucket.put = _away  # type: ignore[method-assign]
    away = dataclasses.replace(follower, storage=nowhere)
    await say(follower.store, said("one"))
    heard: list[float] = []
    for number in range(3):
        with pytest.raises(ArchiveAway):
            await look(away, heard.append)
        await say(follower.store, said(f"more{number}"))

    assert time.time() - heard[-1] < 60
    assert heard[0] == heard[-1]
    await archive(follower)
    assert await contents(follower) == ["one", "more0", "more1", "more2"]


async def _away(*_: object, **__: object) -> bool:
    raise ArchiveAway("away")


async def test_one_replica_does_it(follower: Follower) -> None:
    other = dataclasses.replace(follower, owner="other")
    await say(follower.store, said("hello"))
    assert await follower.store.lease(following.LEASE, "other", 30)
    assert (await look(follower, lambda _: None)).elsewhere
    await follower.store.let_go(following.LEASE, "other")
    assert not (await look(follower, lambda _: None)).elsewhere
    assert not (await look(other, lambda _: None)).elsewhere


async def test_many_replicas_that_look_at_once_archive_everything_once(follower: Follower) -> None:
    replicas = [dataclasses.replace(follower, owner=f"r{number}") for number in range(3)]
    done = False

    async def go_on(replica: Follower) -> None:
        while True:
            last = done
            looked = await look(replica, lambda _: None)
            if last and not looked.elsewhere and not looked.more:
                return
            await asyncio.sleep(0)

    looking = [asyncio.create_task(go_on(replica)) for replica in replicas]
    for number in range(60):
        await say(follower.store, said(f"{number}", chat=f"c{number % 4}"))
    done = True
    async with asyncio.timeout(20):
        await asyncio.gather(*looking)
    await archive(follower)

    assert sorted(await contents(follower), key=int) == [f"{number}" for number in range(60)]
    assert await follower.storage.verify(str(KIM)) == []


async def test_much_is_archived_in_bounded_batches(follower: Follower, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "BATCH", 10)
    for number in range(25):
        await say(follower.store, said(f"{number}", chat=f"c{number % 3}"))

    assert await archive(follower) == 25
    assert len(await contents(follower)) == 25


# Erasing, holding, keeping


async def test_who_is_erased_is_gone_from_store_and_archive_and_starts_afresh(follower: Follower) -> None:
    await say(follower.store, said("canary"))
    await answer(follower.store, "canary too")
    await archive(follower)
    kept = erasure.Archive(storage=follower.storage, buckets=(follower.storage.bucket,))

    erased = await erasure.erase(follower.store, kept, KIM, time.time())

    assert (erased.events, erased.files) == (1, 1)
    assert await follower.storage.load(str(KIM)) == []
    names = [entry.path async for entry in follower.storage.bucket.list("")]
    assert [name.partition("-")[0] for name in names] == [f"erased/{KIM.mark}"]
    bodies = [await follower.storage.bucket.get(name) for name in names]
    assert not any(b"canary" in body or b"u1" in body for body in bodies)

    await say(follower.store, said("back"))
    await archive(follower)
    assert await contents(follower) == ["back"]
    assert await follower.storage.verify(str(KIM)) == []


async def test_what_was_said_and_not_archived_yet_is_not_archived_after_an_erasure(follower: Follower) -> None:
    await say(follower.store, said("canary"))
    await erasure.erase(follower.store, erasure.Archive(storage=follower.storage), KIM, time.time())

    assert await archive(follower) == 0


async def test_an_erasure_is_repeated_on_a_store_that_was_restored(
    follower: Follower, store: OpenStore, tmp_path: Path
) -> None:
    """The restored store is one that has the messages, and has not heard of the erasure."""
    bucket = follower.storage.bucket
    kept = erasure.Archive(storage=follower.storage, buckets=(bucket,))
    await erasure.erase(store, kept, KIM, time.time())
    await say(store, said("after"))
    await archive(follower)
    assert await erasure.again(store, bucket) == 0  # this store has had it
    assert len(await store.people.found("u1", 10)) == 1

    restored = await SqliteStore.open(tmp_path / "restored.db", time.time)
    await say(restored, said("before"), said("theirs", LEE, chat="c2"))
    await restored.people.hold(KIM, "a lawsuit", time.time())
    assert await erasure.again(restored, bucket, follower.storage) == 0
    await restored.people.release(KIM)
    assert await erasure.again(restored, bucket, follower.storage) == 1
    assert await restored.people.found("u1", 10) == []
    assert len(await restored.people.found("u2", 10)) == 1
    assert await erasure.again(restored, bucket, follower.storage) == 0
    await restored.close()
    assert await contents(follower) == ["after"]  # what came since is not of before the erasure


async def test_who_is_held_is_neither_erased_nor_deleted_when_it_is_old(follower: Follower) -> None:
    await say(follower.store, said("hello"), said("theirs", LEE, chat="c2"))
    await archive(follower)
    await follower.store.people.hold(KIM, "a lawsuit", time.time())

    with pytest.raises(Held, match="a lawsuit"):
        await erasure.erase(follower.store, erasure.Archive(storage=follower.storage), KIM, time.time())
    assert await retention.tidy(follower, 30, time.time() + 31 * 86_400) == 1
    assert await contents(follower) == ["hello"]
    assert await contents(follower, LEE) == []

    await follower.store.people.release(KIM)
    await follower.store.let_go(retention.LEASE, follower.owner)
    assert await retention.tidy(follower, 30, time.time() + 31 * 86_400) == 1
    assert await contents(follower) == []


async def test_an_export_has_everything_with_a_word_on_each_part(follower: Follower) -> None:
    await say(follower.store, said("hello"))
    await answer(follower.store, "hi")
    await archive(follower)

    whole = await erasure.export(follower.store, erasure.Archive(storage=follower.storage), KIM, 1.0)

    assert whole["person"] == "acme//u1"
    assert [each["content"] for each in whole["archive"]] == ["hello", "hi"]
    assert set(whole["about"]) == set(whole) - {"v", "person", "exported_at", "about"}
