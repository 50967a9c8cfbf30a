"""What the commands ask about people and about the archive."""

from collections.abc import Awaitable
from typing import Any, Final

import msgspec

from dragoman.archive import erasure
from dragoman.archive.following import CURSOR, HEAD
from dragoman.errors import ArchiveError, Held
from dragoman.flow.context import Context

MOST: Final = 100
"""People that one search tells of, at most."""
HEADS: Final = 5_000
"""Newest files that one answer names, at most."""


async def find(context: Context, query: dict[str, str]) -> Any:
    """Search people by their id, or a part of their name."""
    return await context.store.people.found(query["text"], MOST)


async def export(context: Context, query: dict[str, str]) -> Any:
    """Hand out all that is kept of a person."""
    return await _unless_refused(_exported(context, query["person"]))


async def _exported(context: Context, person: str) -> Any:
    now = context.store.timers.time()
    return await erasure.export(context.store, context.archive, await context.store.people.who(person), now)


async def erase(context: Context, query: dict[str, str]) -> Any:
    """Erase a person."""
    return await _unless_refused(_erased(context, query["person"]))


async def _erased(context: Context, person: str) -> Any:
    who = await context.store.people.who(person)
    erased = await erasure.erase(context.store, context.archive, who, context.store.timers.time())
    if context.media is not None:
        await context.media.delete(erased.media)
    return {"person": str(who), "events": erased.events, "files": erased.files}


async def hold(context: Context, query: dict[str, str]) -> Any:
    """Let nothing of a person be deleted."""
    return await _unless_refused(_held(context, query["person"], query["reason"]))


async def _held(context: Context, person: str, reason: str) -> Any:
    who = await context.store.people.who(person)
    await context.store.people.hold(who, reason, context.store.timers.time())
    return {"person": str(who)}


async def release(context: Context, query: dict[str, str]) -> Any:
    """End a hold; says whether there was one."""
    return await _unless_refused(_released(context, query["person"]))


async def _released(context: Context, person: str) -> Any:
    who = await context.store.people.who(person)
    return {"person": str(who), "held": await context.store.people.release(who)}


async def holds(context: Context, _query: dict[str, str]) -> Any:
    """List those who are held."""
    return await context.store.people.holds()


async def status(context: Context, _query: dict[str, str]) -> Any:
    """Tell where the archive is, and how far it is behind."""
    storage = context.archive.storage
    if storage is None:
        return None
    cursor = int((await context.reader.recalled([CURSOR])).get(CURSOR) or 0)
    waiting = (await context.reader.follow(cursor, 1)).told
    late = max(0.0, context.clock() - waiting[0].at) if waiting else 0.0
    return {"archive": storage.bucket.name, "entries": cursor, "late": late}


async def heads(context: Context, query: dict[str, str]) -> Any:
    """Name the newest files, as the store remembers them, by their people's marks: some, after a mark."""
    rows = await context.store.people.ask("kept_from", first=HEAD + query["after"], end=HEAD[:-1] + ";", limit=HEADS)
    return {name.removeprefix(HEAD): msgspec.json.decode(value) for name, value in rows}


async def _unless_refused(asked: Awaitable[Any]) -> Any:
    """Return what was asked for, or the reason why not."""
    try:
        return {"answer": await asked}
    except (ValueError, Held, ArchiveError) as refusal:
        return {"error": str(refusal)}


QUESTIONS = {
    "user-find": find,
    "user-export": export,
    "user-erase": erase,
    "user-hold": hold,
    "user-release": release,
    "user-holds": holds,
    "archive-status": status,
    "archive-heads": heads,
}
