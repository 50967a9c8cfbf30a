"""What the PostgreSQL store keeps of a person. Rows are locked as the line locks them: conversations, then lanes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dragoman.model import Address, Message, Say
from dragoman.store.people import BLANK, People, Traces, chunks, scrubbed
from dragoman.store.person import ERASED
from dragoman.store.postgres import outbox
from dragoman.store.postgres.inbox import plain, short
from dragoman.store.postgres.pool import Pool, Session
from dragoman.store.stored import encode, readable_state

SILENT = {"action": encode(Say(message=Message())), "address": encode(Address(account="-")), "erased": ERASED}
"""What stands in the place of an erased delivery."""


class PostgresPeople(People):
    """The contract `People` for many replicas; `over` is told of events that wait no more."""

    def __init__(self, pool: Pool, over: Callable[[int], None]) -> None:
        self._pool = pool
        self._over = over

    async def ask(self, statement: str, **bindings: Any) -> Sequence[Sequence[Any]]:
        """Run a named statement; names of people stand there as the line writes them."""
        if "people" in bindings:
            bindings["people"] = [short(name) for name in bindings["people"]]
        return [tuple(row) for row in await self._pool.rows(statement, **bindings)]

    async def blank(self, traces: Traces, events: Sequence[int]) -> None:
        """Blank some of a person's events, with all that answers them, in one transaction."""

        async def work(session: Session) -> list[int]:
            return await _blank(session, traces, list(events))

        for event in await self._pool.transact(work):
            self._over(event)

    async def clear(self, traces: Traces, kept: Mapping[str, str], gone: Sequence[str]) -> None:
        """Delete what is kept of a person beside their events; keep some values and forget others with it."""

        async def work(session: Session) -> None:
            await _clear(session, traces)
            await session.rows("forget_kept", names=list(gone))
            await session.rows("set_kept", names=list(kept), values=list(kept.values()))

        await self._pool.transact(work)

    async def keep(self, name: str, value: str | None) -> None:
        """Keep a value, or forget it."""
        if value is None:
            await self._pool.rows("forget_kept", names=[name])
        else:
            await self._pool.rows("set_kept", names=[name], values=[plain(value)])


async def _blank(session: Session, traces: Traces, events: list[int]) -> list[int]:
    """Blank events and what answers them; returns those that waited for a turn."""
    waiting = await session.rows("waiting_events_of", ids=events)
    conversations = sorted({*(row[1] for row in waiting), *traces.direct})
    await session.rows("lock_conversations", conversations=conversations)
    await session.rows("blank_events", blank=BLANK, erased=ERASED, ids=events)
    for name in conversations:
        await session.rows("settle_pending", conversation=name)
    await _silence(session, events, [])
    return [row[0] for row in waiting]


async def _silence(session: Session, ids: Sequence[int], conversations: Sequence[str]) -> None:
    """Blank deliveries, and let their lanes go on."""
    these = {"ids": list(ids), "conversations": list(conversations)}
    found = await session.rows("open_deliveries_to", **these)
    await outbox.lock(session, [row[1] for row in found])
    open_ = await session.rows("open_deliveries_to", **these)
    await session.rows("blank_deliveries", **SILENT, **these)
    at = await session.one("moment_now")
    await outbox.free(session, [outbox.Changed(row[0], row[1], gone=True, at=at) for row in open_])


async def _clear(session: Session, traces: Traces) -> None:
    direct = list(traces.direct)
    await session.rows("lock_conversations", conversations=sorted({*direct, *traces.groups}))
    await _clear_states(session, traces)
    await _silence(session, [], direct)
    person = {"person": str(traces.person), "conversations": direct}
    await session.rows("blank_recipients", **person, erased=ERASED, address=SILENT["address"])
    await session.rows("forget_timers", person=str(traces.person))
    await session.rows("forget_memory", people=[short(name) for name in traces.remembered])
    await session.rows("forget_payloads", ids=list(traces.payloads))
    for chunk in chunks(traces.turns):
        await session.rows("forget_journal", turns=list(chunk))
    for chunk in chunks(traces.receipts):
        await session.rows("blank_receipts", receipts=list(chunk))
    idle = [row[0] for row in await session.rows("idle_conversations", conversations=direct)]
    await session.rows("delete_conversations", conversations=idle)
    await session.rows("delete_lanes", conversations=idle)


async def _clear_states(session: Session, traces: Traces) -> None:
    """Forget the state of a person's own conversations, and in groups what is theirs."""
    for name in traces.direct:
        await session.rows("set_state", conversation=name, state="{}")
        await session.rows("settle_pending", conversation=name)
    for name, state in await session.rows("states_of", conversations=list(traces.groups)):
        left = scrubbed(readable_state(state), traces)
        if left is not None:
            await session.rows("set_state", conversation=name, state=encode(left))
            await session.rows("settle_pending", conversation=name)
