"""What keeps the database healthy and the operator in charge: park, redrive, the journal, leases, paces, pruning."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from dragoman.store.base import GRACE, Done, Fresh, InDoubt, Once
from dragoman.store.people import AFTER_HOLD, HOLD, MOST_HOLDS, free_to_go, read_holds
from dragoman.store.postgres import broadcasts, outbox
from dragoman.store.postgres.inbox import plain, short
from dragoman.store.postgres.pool import Pool, Session, columns
from dragoman.store.stored import encode, number_of

ALIVE: Final = 15.0
"""Seconds after its last beat at which a replica counts as gone."""
BATCH: Final = 500
"""Rows that one pruning transaction looks at: small, so that messages never wait for it."""
AGED: Final = ("delete_once", "delete_payloads", "delete_told")
"""The statements that delete what is older than messages are kept."""


async def park(pool: Pool, account: str, raw: bytes, reason: str) -> str:
    """Set a payload aside."""
    return f"p{await pool.one('park_payload', account=account, raw=raw, reason=plain(reason))}"


async def redrive(pool: Pool, name: str) -> str:
    """Put something parked back to work; raises `LookupError`."""

    async def work(session: Session) -> str:
        number = number_of(name, "e")
        event = await session.one("redrive_event", id=number)
        if event is not None:
            conversation, account = event
            await session.rows("requeue", conversation=conversation, account=account, event=number)
            return "event"
        if key := await outbox.redrive(session, number_of(name, "d")):
            await broadcasts.requeue(session, key)
            return "delivery"
        if await session.one("drop_payload", id=number_of(name, "p")) is not None:
            return "payload"
        raise LookupError(name)

    return await pool.transact(work)


async def begin(pool: Pool, turn: str, name: str, arguments: str) -> Once:
    """Begin a journaled step; one that was begun with other arguments starts afresh."""
    name, arguments = plain(name), plain(arguments)
    if await pool.one("begin_once", turn=turn, name=name, arguments=arguments) is not None:
        return Fresh()
    known, result = await pool.one("get_once", turn=turn, name=name)
    if known != arguments:
        await pool.rows("restart_once", turn=turn, name=name, arguments=arguments)
        return Fresh()
    return InDoubt() if result is None else Done(result=msgspec.json.decode(result))


async def finish(pool: Pool, turn: str, name: str, result: Any) -> None:
    """Journal a step's result."""
    await pool.rows("finish_once", turn=turn, name=plain(name), result=encode(result))


async def keep(pool: Pool, name: str, value: str) -> None:
    """Keep a value under a name."""
    await pool.rows("set_kept", names=[name], values=[value])


async def recall(pool: Pool, name: str) -> str:
    """Read a kept value."""
    return await pool.one("get_kept", name=name) or ""


async def memory(pool: Pool, person: str, key: str) -> Any:
    """Read what is remembered of a person."""
    value = await pool.one("get_memory", person=short(person), key=short(key))
    return None if value is None else msgspec.json.decode(value)


async def lease(pool: Pool, name: str, owner: str, seconds: float) -> int:
    """Take or prolong a named lease; returns its fence, 0 when another has it."""
    return await pool.one("take_lease", name=name, owner=owner, seconds=seconds, grace=GRACE) or 0


async def roles(pool: Pool) -> dict[str, list[str]]:
    """Name the replicas that have said lately that they live, with their roles."""
    return {name: text.split(",") for name, text in await pool.rows("replicas", alive=ALIVE)}


class Wanted(msgspec.Struct):
    """A slot that is asked for: at most `count` in `seconds`, not before `later` seconds from now."""

    name: str
    count: int
    seconds: float
    later: float


async def reserve(pool: Pool, wanted: Sequence[Wanted]) -> list[float | Exception]:
    """Reserve the next free slots of shared paces, together; returns the seconds until each."""
    waits: dict[int, float] = {}
    left = list(range(len(wanted)))
    while left:
        asked = [msgspec.structs.astuple(wanted[index]) for index in left]
        names, counts, seconds, later = columns(asked, 4)
        found = await pool.rows("reserve", names=names, counts=counts, seconds=seconds, later=later)
        waits |= {left[number - 1]: max(0.0, wait) for number, wait, _ in found}
        missing = set(names) - {names[number - 1] for number, *_ in found}
        if missing:
            await pool.rows("add_paces", names=sorted(missing))
        left = [index for index in left if index not in waits]
    return [waits[index] for index in range(len(wanted))]


async def prune_events(pool: Pool, before: float, after: int) -> tuple[int, int]:
    """Delete one batch of settled events older than `before`, with their replies.

    Returns the number to go on after (0: done), and how many were deleted.
    """
    found = await pool.rows("old_events", after=after, limit=BATCH)
    old = [row for row in found if row[2] < before]
    ids = [row[0] for row in old]
    if held := read_holds(await pool.rows("kept_from", first=HOLD, end=AFTER_HOLD, limit=MOST_HOLDS)):
        ids = sorted(free_to_go(await pool.rows("events_by_number", ids=ids), held))

    async def work(session: Session) -> int:
        gone = [row[0] for row in await session.rows("delete_events", ids=ids)]
        await session.rows("delete_replies", ids=gone)
        names = sorted({row[1] for row in old})
        idle = [row[0] for row in await session.rows("idle_conversations", conversations=names)]
        await session.rows("delete_conversations", conversations=idle)
        await session.rows("delete_lanes", conversations=idle)
        return len(gone)

    deleted = await pool.transact(work) if old else 0
    return (old[-1][0] if len(old) == BATCH else 0), deleted


async def prune_rest(pool: Pool, before: float, raw_before: float) -> int:
    """Delete one batch of raw payloads, journal entries, parked payloads, recipients; returns the largest's size."""
    sizes = [await broadcasts.prune(pool, before)]
    for statement, limit in (("delete_receipts", raw_before), *((name, before) for name in AGED)):
        sizes.append(len(await pool.rows(statement, before=limit, limit=BATCH)))
    await pool.rows("delete_paces")
    return max(sizes)
