"""The right of access and the right to be forgotten: what store and archive hold of a person, handed out or erased.

An erasure is noted in every bucket, under a mark that names nobody (`erased/MARK.json`), before anything is erased:
a store that is restored from an older copy is erased again (`again`). The store notes it when it is done.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from dragoman.archive.bucket import Bucket
from dragoman.archive.conversations import folder
from dragoman.archive.following import HEAD, LEASE
from dragoman.archive.storage import ConversationStorage
from dragoman.errors import ArchiveAway, Held
from dragoman.model import Value
from dragoman.store.base import Store
from dragoman.store.people import TOMBSTONE, Traces
from dragoman.store.person import Person

ROOT: Final = "erased"
PATIENCE: Final = 60.0
"""Seconds for which the end of a look at what is to be archived is waited for."""
LONG: Final = 600.0
"""Seconds that an erasure may take."""
ABOUT: Final = {
    "messages": "What the person wrote, and what else happened in their direct chats, in the common message form.",
    "replies": "What the bot answered them, and what broadcasts told them.",
    "remembered": "What is remembered of them: settings of their own, and whether they want broadcasts.",
    "timers": "Reminders and the like that they set.",
    "conversations": "The state of their direct chats: open questions, and what plugins remember there.",
    "broadcasts": "Broadcasts that they were to get.",
    "journal": "Results of dear steps of their turns, such as a model's answers.",
    "parked": "Payloads that were set aside and in which their id stands.",
    "media": "Files that they sent, by the SHA-256 of their bytes, as long as they are kept.",
    "archive": "Their files in the archive.",
    "hold": "Why nothing of this may be deleted, if so.",
}
"""What each part of an export is."""


class Erased(Value):
    """What an erasure took away."""

    events: int
    files: int
    media: tuple[str, ...] = ()
    """Names of files that the caller should delete from its own folder."""


async def export(store: Store, storage: ConversationStorage | None, person: Person, now: float) -> dict[str, Any]:
    """Hand out all that store and archive hold of a person, as plain data, with a word on each part."""
    parts = await store.people.told(await store.people.traces(person))
    archive = await storage.load(str(person)) if storage is not None else []
    hold = await store.people.held(person)
    whole = {**parts, "archive": archive, "hold": msgspec.to_builtins(hold) if hold is not None else None}
    return {"v": 1, "person": str(person), "exported_at": now, "about": ABOUT, **whole}


async def erase(
    store: Store, storage: ConversationStorage | None, buckets: Sequence[Bucket], person: Person, now: float
) -> Erased:
    """Erase a person from store and archive, and note it in `buckets`, so that a restore erases them again.

    Raises `Held` while they are held, and `ArchiveAway`: then begin again, what was done does not matter.
    """
    hold = await store.people.held(person)
    if hold is not None:
        raise Held(f"{person} is held: {hold.reason}")
    for bucket in buckets:
        await bucket.put(_path(person.mark), msgspec.json.encode({"v": 1, "at": now}))
    return await _erase(store, storage, person, now)


async def _erase(store: Store, storage: ConversationStorage | None, person: Person, now: float) -> Erased:
    """Erase while nobody archives: what is written meanwhile would stay."""
    owner = f"erase {person.mark[:16]}"
    await _alone(store, owner)
    try:
        traces = await store.people.traces(person)
        await store.people.erase(traces, {TOMBSTONE + person.mark: str(now)}, [HEAD + person.mark])
        files = await storage.delete(str(person)) if storage is not None else 0
    finally:
        await asyncio.shield(store.let_go(LEASE, owner))
    return Erased(events=len(traces.events), files=files, media=traces.media)


async def _alone(store: Store, owner: str) -> None:
    """Wait until nobody archives."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not await store.lease(LEASE, owner, LONG):  # noqa: ASYNC110 - another process may have it
                await asyncio.sleep(0.05)
    except TimeoutError as error:
        raise ArchiveAway("the archive is being written for too long: try again") from error


async def again(store: Store, storage: ConversationStorage | None, bucket: Bucket) -> int:
    """Repeat every erasure that a bucket notes and this store has not had: after a restore, before the bot starts.

    `storage` is the archive, if there is one: files of those who were erased are deleted there, too. Returns how many
    people were erased.
    """
    noted = {path: at async for path, at in _noted(bucket)}
    known = await store.reader_of_kept([TOMBSTONE + mark for mark in noted])
    missed = {mark: at for mark, at in noted.items() if float(known.get(TOMBSTONE + mark) or 0) < at}
    if not missed:
        return 0
    found = {person async for person in store.people.everyone() if person.mark in missed}
    if storage is not None:
        found |= {person async for person in _archived(storage) if person.mark in missed}
    for person in found:
        await _erase(store, storage, person, missed[person.mark])
    for mark, at in missed.items():
        await store.people.keep(TOMBSTONE + mark, str(at))
    return len(found)


def _traces_of(traces: Traces) -> int:
    return len(traces.events)


def _path(mark: str) -> str:
    return f"{ROOT}/{mark}.json"
