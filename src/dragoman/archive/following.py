"""The follower: what was told since the last look goes to the archive, each message once, however often it dies.

The cursor moves only after the files were written. Before they are, it is noted up to where this look went: who looks
next after a death reads the very same entries, makes the very same files, and finds them there.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from dragoman import telemetry
from dragoman.adapter import Receipt
from dragoman.archive import file
from dragoman.archive.conversations import Record, record, whose
from dragoman.archive.file import File
from dragoman.archive.storage import AT_ONCE, ConversationStorage, read_head
from dragoman.errors import StoreError
from dragoman.model import Value
from dragoman.store.base import Reader, Store, Times
from dragoman.store.person import Person
from dragoman.store.told import Told

LEASE: Final = "archive"
HELD: Final = 45.0
"""Seconds for which a look has the lease."""
ROUND: Final = 30.0
"""Seconds that a look may take."""
BATCH: Final = 500
"""Entries of one look, at most."""
CURSOR: Final = "archive:cursor"
PLAN: Final = "archive:plan"
HEAD: Final = "archive:head:"


class Looked(Value):
    """What one look did: how much, and whether there is more."""

    messages: int = 0
    files: int = 0
    more: bool = False
    elsewhere: bool = False
    """Another replica is at it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Follower:
    """Who follows: the store, its reader, the archive, and this replica's name."""

    store: Store
    reader: Reader
    storage: ConversationStorage
    owner: str


async def look(follower: Follower, found: Callable[[float], None]) -> Looked:
    """Archive what was told since the last look, unless another replica does.

    `found` hears the time of the oldest entry as soon as it is known. Raises `ArchiveAway`, `StoreError` or
    `TimeoutError`: then the next look does the same again.
    """
    if not await _anything(follower.reader):  # looking costs no write
        return Looked()
    if not await follower.store.lease(LEASE, follower.owner, HELD):
        return Looked(elsewhere=True)
    try:
        async with asyncio.timeout(ROUND):
            return await _look(follower, found)
    finally:
        with contextlib.suppress(StoreError):
            await asyncio.shield(follower.store.let_go(LEASE, follower.owner))


async def _anything(reader: Reader) -> bool:
    """Tell whether there is something to archive."""
    kept = await reader.recalled([CURSOR, PLAN])
    return bool(kept.get(PLAN)) or bool((await reader.follow(int(kept.get(CURSOR) or 0), 1)).told)


async def _look(follower: Follower, heard: Callable[[float], None]) -> Looked:
    kept = await follower.reader.recalled([CURSOR, PLAN])
    planned = int(kept.get(PLAN) or 0)
    found = await follower.reader.follow(int(kept.get(CURSOR) or 0), BATCH, planned)
    if not found.told:
        await follower.store.keep(PLAN, "") if planned else None
        return Looked(more=planned > 0)
    heard(found.told[0].at)
    if not planned:
        await follower.store.keep(PLAN, str(found.cursor))
    files = await _made(follower.reader, found.told)
    await _written(follower.storage, list(files.values()))
    telemetry.crash.passed("a1") if files else None
    await _noted(follower.store, found.cursor, files)
    messages = sum(len(made.messages) for made in files.values())
    return Looked(messages=messages, files=len(files), more=planned > 0 or len(found.told) >= BATCH)


async def _made(reader: Reader, told: Sequence[Told]) -> dict[Person, File]:
    """Make one file for each person of whom there is something."""
    mine: dict[Person, list[Record]] = {}
    since: dict[Person, float] = {}
    for entry in told:
        person, said = whose(entry), record(entry)
        if person is not None and said is not None:
            mine.setdefault(person, []).append(said)
            since.setdefault(person, entry.at)
    heads = await reader.recalled([HEAD + person.mark for person in mine])
    return {
        person: file.make(str(person), said, read_head(heads.get(HEAD + person.mark, "")), since[person])
        for person, said in mine.items()
    }


async def _written(storage: ConversationStorage, files: Sequence[File]) -> None:
    """Write files, some at the same time; raises the first failure when all are over."""
    room = asyncio.Semaphore(AT_ONCE)

    async def write(made: File) -> None:
        async with room:
            await storage.write(made)

    for failure in await asyncio.gather(*(write(made) for made in files), return_exceptions=True):
        if isinstance(failure, BaseException):
            raise failure


async def _noted(store: Store, cursor: int, files: Mapping[Person, File]) -> None:
    """Move the cursor, and remember the newest file of each, in one transaction."""
    heads = {HEAD + person.mark: msgspec.json.encode(made.head).decode() for person, made in files.items()}
    await store.accept("", Receipt(), Times(), {**heads, CURSOR: str(cursor), PLAN: ""})
