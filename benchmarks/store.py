"""How much a store can take: accepts, turns and deliveries a second, on a file or in a schema of its own.

Every figure is durable: a change counts when its transaction is on the disk (`synchronous=FULL`). `--in-flight 1` shows
what the same store does without group commit. The file is made where `TMPDIR` says: put it on the disk that matters.
`--postgres URL` measures PostgreSQL, in a schema that is made and dropped.
"""

import argparse
import asyncio
import contextlib
import itertools
import secrets
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from dragoman.adapter import Receipt
from dragoman.model import Address, Delivery, Event, Message, Say, Sender
from dragoman.store.base import Claim, Handled, OpenStore, Outgoing, Settled, Store, Times
from dragoman.store.sqlite import SqliteStore

ROUNDS: Final = 5
CONVERSATIONS: Final = 1000
T = TypeVar("T")
Take = Callable[[int], Awaitable[Sequence[T]]]


def event(number: int) -> Event:
    """Return a message of one of the conversations, about as large as real ones."""
    channel = f"D{number % CONVERSATIONS:08}"
    return Event(
        key=f"{channel}/{number}",
        account="bench",
        platform="slack",
        conversation=f"bench/T1/{channel}",
        address=Address(account="bench", workspace="T1", channel=channel),
        sender=Sender(id=f"U{number % CONVERSATIONS:08}", name="Kim"),
        message_id=str(number),
        text=f"message {number}: what is the weather like today?",
        text_as_sent=f"message {number}: what is the weather like today?",
        at=1_700_000_000.0 + number,
    )


def handled(claim: Claim) -> Handled:
    """Return a turn that says one reply."""
    stored = claim.events[0]
    reply = Outgoing(
        key=f"{stored.turn}:0:0", action=Say(message=Message(text="It is sunny.")), address=stored.event.address
    )
    return Handled(id=stored.id, handler="bench.say", state=claim.state, outgoing=(reply,))


async def accept_all(store: Store, count: int, in_flight: int) -> None:
    """Accept so many messages, each a webhook of its own, `in_flight` at a time."""
    numbers = iter(range(count))
    now = time.time()
    times = Times(received=now, authenticated=now, parsed=now)

    async def caller() -> None:
        for number in numbers:
            happened = event(number)
            await store.accept("bench", Receipt(events=(happened,), raw=happened.text.encode() * 10), times)

    await asyncio.gather(*(caller() for _ in range(in_flight)))


async def carry_all(
    take: Take[T], finish: Callable[[T], Coroutine[Any, Any, None]], count: int, in_flight: int
) -> None:
    """Take what is ready and finish it, as the loops of the service do, until so many are finished."""
    running: set[asyncio.Task[None]] = set()
    begun = 0
    while begun < count:
        free = in_flight - len(running)
        found = await take(free) if free else ()
        for item in found:
            task = asyncio.create_task(finish(item))
            running.add(task)
            task.add_done_callback(running.discard)
        begun += len(found)
        if running and not found:
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.gather(*running)


@contextlib.asynccontextmanager
async def opened(postgres: str) -> AsyncIterator[OpenStore]:
    """Open a new store."""
    if not postgres:
        with tempfile.TemporaryDirectory(prefix="dragoman-store-") as folder:
            store = await SqliteStore.open(Path(folder) / "dragoman.db", time.time)
            yield store
            await store.close()
        return
    import asyncpg  # noqa: PLC0415 - an extra

    from dragoman.store.postgres import PostgresStore  # noqa: PLC0415 - an extra

    connection = await asyncpg.connect(postgres)
    schema = f"bench_{secrets.token_hex(4)}"
    await connection.execute(f"CREATE SCHEMA {schema}")
    try:
        shared = await PostgresStore.open(f"{postgres}?search_path={schema}", time.time)
        yield shared
        await shared.close()
    finally:
        await connection.execute(f"DROP SCHEMA {schema} CASCADE")
        await connection.close()


async def one_round(store: Store, count: int, in_flight: int) -> Iterator[float]:
    """Take so many messages the whole way on a new store; returns what each step did a second."""

    async def commit(claim: Claim) -> None:
        await store.commit(claim, handled(claim))

    async def settle(delivery: Delivery) -> None:
        await store.settle(delivery, Settled(ids=(str(delivery.id),)))

    marks = [time.perf_counter()]
    await accept_all(store, count, in_flight)
    marks.append(time.perf_counter())
    await carry_all(store.claim, commit, count, in_flight)
    marks.append(time.perf_counter())
    await carry_all(store.take, settle, count, in_flight)
    marks.append(time.perf_counter())
    return (count / (after - before) for before, after in itertools.pairwise(marks))


async def measure(postgres: str, count: int, in_flight: int) -> list[list[float]]:
    """Return the figures of every round, by step."""
    rounds = []
    for _ in range(ROUNDS):
        async with opened(postgres) as store:
            rounds.append(list(await one_round(store, count, in_flight)))
    return [list(step) for step in zip(*rounds, strict=True)]


def main() -> None:
    """Print a table with the medians."""
    parser = argparse.ArgumentParser(description="Measure a store.")
    parser.add_argument("--count", type=int, default=20_000, help="messages a round")
    parser.add_argument("--in-flight", type=int, default=64, help="changes under way at the same time")
    parser.add_argument("--postgres", default="", metavar="URL", help="measure PostgreSQL instead of SQLite")
    options = parser.parse_args()
    print(f"{options.count} messages, {options.in_flight} in flight, median of {ROUNDS} rounds (least to most)")
    figures_of = asyncio.run(measure(options.postgres, options.count, options.in_flight))
    steps = ("accept", "claim + commit", "take + settle")
    for name, figures in zip(steps, figures_of, strict=True):
        print(f"  {name:<15} {statistics.median(figures):8.0f}/s  ({min(figures):.0f} to {max(figures):.0f})")


if __name__ == "__main__":
    main()
