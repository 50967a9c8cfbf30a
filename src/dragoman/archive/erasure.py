"""The right of access and the right to be forgotten: what store and archive hold of a person, handed out or erased.

An erasure is noted in every bucket, under a mark that names nobody (`erased/MARK-TIME.json`), before anything goes: a
store that is restored from an older copy is erased again (`again`). The store notes it when it is done.
"""

import asyncio
import dataclasses
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from dragoman import crypto
from dragoman.archive import file
from dragoman.archive.bucket import Bucket
from dragoman.archive.following import HEAD, LEASE
from dragoman.archive.storage import ConversationStorage
from dragoman.errors import ArchiveAway, Held
from dragoman.model import Value
from dragoman.store.base import Store
from dragoman.store.people import TOMBSTONE
from dragoman.store.person import Person

ROOT: Final = "erased"
PATIENCE: Final = 60.0
"""Seconds for which the end of a look at what is to be archived is waited for."""
MICRO: Final = 1_000_000
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Archive:
    """Where conversations are archived, if anywhere, and all buckets that have to know of erasures."""

    storage: ConversationStorage | None = None
    buckets: tuple[Bucket, ...] = ()


class Erased(Value):
    """What an erasure took away."""

    events: int
    files: int
    media: tuple[str, ...] = ()
    """Names of files that the caller should delete from its own folder."""


async def export(store: Store, archive: Archive, person: Person, now: float) -> dict[str, Any]:
    """Hand out all that store and archive hold of a person, as plain data, with a word on each part."""
    parts = await store.people.told(await store.people.traces(person))
    archived = await archive.storage.load(str(person)) if archive.storage is not None else []
    hold = await store.people.held(person)
    whole = {**parts, "archive": archived, "hold": msgspec.to_builtins(hold) if hold is not None else None}
    return {"v": 1, "person": str(person), "exported_at": now, "about": ABOUT, **whole}


async def erase(store: Store, archive: Archive, person: Person, now: float) -> Erased:
    """Erase a person from store and archive, and note it in every bucket, so that a restore erases them again.

    Raises `Held` while they are held, and `ArchiveAway`: then begin again, what was done does not matter.
    """
    hold = await store.people.held(person)
    if hold is not None:
        raise Held(f"{person} is held: {hold.reason}")
    for bucket in archive.buckets:
        await bucket.put(_path(person.mark, now), msgspec.json.encode({"v": 1, "at": now}))
    return await _erase(store, archive.storage, person, now)


async def _erase(store: Store, storage: ConversationStorage | None, person: Person, now: float) -> Erased:
    """Erase while nobody archives: what is written meanwhile would stay."""
    owner = f"erase {person.mark[:16]}"
    await _alone(store, owner)
    try:
        traces = await store.people.traces(person)
        await store.people.erase(traces, {TOMBSTONE + person.mark: _text(now)}, [HEAD + person.mark])
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


async def again(store: Store, bucket: Bucket, storage: ConversationStorage | None = None) -> int:
    """Repeat every erasure that a bucket notes and this store has not had: after a restore, before the bot starts.

    Who is held in this store is left until they are released. With `storage`, the archive, files of before the erasure
    are deleted there, too. Returns how many people of the store were erased. Raises `ArchiveAway` or `StoreError`:
    then begin again.
    """
    noted = await _noted(bucket)
    kept = await store.people.ask("kept_values", names=[TOMBSTONE + mark for mark in noted])
    known = {row[0]: row[1] for row in kept}
    held = {crypto.fingerprint(hold.person) for hold in await store.people.holds()}
    due = {mark: at for mark, at in noted.items() if mark not in held}
    missed = {mark: at for mark, at in due.items() if float(known.get(TOMBSTONE + mark) or 0) < at}
    if not missed:
        return 0
    found = {person async for person in store.people.everyone() if person.mark in missed}
    for person in found:
        await _erase(store, None, person, missed[person.mark])
    if storage is not None:
        await _forget_files(storage, missed)
    for mark, at in missed.items():
        await store.people.keep(TOMBSTONE + mark, _text(at))
    return len(found)


async def _noted(bucket: Bucket) -> dict[str, float]:
    """Read which marks are noted as erased, and when last."""
    noted: dict[str, float] = {}
    async for entry in bucket.list(ROOT):
        mark, _, time = entry.path.rpartition("/")[2].removesuffix(".json").partition("-")
        if time.isdecimal():
            noted[mark] = max(noted.get(mark, 0.0), int(time) / MICRO)
    return noted


async def _forget_files(storage: ConversationStorage, missed: Mapping[str, float]) -> None:
    async for user, paths in storage.users():
        at = missed.get(crypto.fingerprint(user))
        old = [path for path in paths if at is not None and file.base(path) < file.name_of(at, "")]
        await storage.bucket.delete(old)


def _text(at: float) -> str:
    """Write a time as it is read from a note's name."""
    return str(round(at * MICRO) / MICRO)


def _path(mark: str, at: float) -> str:
    return f"{ROOT}/{mark}-{round(at * MICRO)}.json"
