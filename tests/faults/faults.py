"""The vocabulary of faults: each word returns an act, to be put on a scenario's timeline."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Sequence
from typing import Any, Final

import aiohttp
from tests.faults.scenario import Act, Field

from dragoman.testing import model_server
from dragoman.testing.load import Sample
from dragoman.testing.simulator import Fault as Trouble

POSTING: Final = {"slack": "chat.postMessage", "feishu": "messages", "telegram": "sendMessage", "webhook": "callback"}
"""By which call a platform takes a message."""
PATIENCE: Final = 150.0
"""Seconds in which a crash point must be reached, on a machine that has much to do."""
FRESH: Final = 240.0
"""Seconds for which a signed request is good, at least."""
PARKED: Final = "SELECT count(*) FROM inbox WHERE status = 'parked'"
POLLING: Final = "SELECT owner FROM lease WHERE name LIKE 'connection:telegram:%' AND until > 0"
INTERRUPTED: Final = "SELECT count(*) FROM conversation WHERE started >= 2 OR (started = 1 AND because = '')"
"""Conversations whose turn was in hand when a process died, and is not over yet."""


def kill(number: int, *, down: float = 0.0) -> Act:
    """End a replica by `kill -9`, and start it again after `down` seconds."""

    async def act(field: Field) -> None:
        await field.fleet.kill(number, down=down)

    return act


def kills(number: int, times: int, least: float, most: float) -> Act:
    """Kill a replica so many times, at random intervals."""

    async def act(field: Field) -> None:
        for _ in range(times):
            await asyncio.sleep(field.random.uniform(least, most))
            await field.fleet.kill(number)

    return act


def kill_all(*, down: float = 0.0) -> Act:
    """Kill all replicas at once, and start them together: a power cut, and the stampede after it."""

    async def act(field: Field) -> None:
        await asyncio.gather(*(field.fleet.kill(number, down=down) for number in range(len(field.fleet.replicas))))

    return act


def terminate(number: int) -> Act:
    """End a replica by SIGTERM, and start it again when it has drained."""

    async def act(field: Field) -> None:
        await field.fleet.terminate(number)

    return act


def rolling() -> Act:
    """Restart all replicas by SIGTERM, one after the other."""

    async def act(field: Field) -> None:
        for number in range(len(field.fleet.replicas)):
            await field.fleet.terminate(number)

    return act


def suspend(number: int, seconds: float) -> Act:
    """Stop a process (SIGSTOP) for so many seconds."""

    async def act(field: Field) -> None:
        await field.fleet.suspend(number, seconds)

    return act


def tour(number: int, points: Sequence[str], *, least: int, most: int) -> Act:
    """Let a replica die at each point in turn, at a random passing of it.

    What it had in hand is handled before the next death: three in a row would park it.
    """

    async def act(field: Field) -> None:
        for point in points:
            while (await field.database.rows(INTERRUPTED))[0][0]:
                await asyncio.sleep(0.1)
            await field.fleet.die_at(number, point, field.random.randint(least, most), PATIENCE)

    return act


def poller_dies(points: Sequence[str]) -> Act:
    """Let whoever has the long poll die at each point in turn; another takes it over."""

    async def act(field: Field) -> None:
        for point in points:
            while (owner := await _owner(field)) is None:
                await asyncio.sleep(0.1)
            await field.fleet.die_at(owner, point, field.random.randint(2, 4), PATIENCE)

    return act


async def _owner(field: Field) -> int | None:
    """Find the replica that has the long poll; on SQLite there is one only."""
    if field.cluster is None:
        return 0
    owners = [row[0] for row in await field.database.rows(POLLING)]
    replicas = enumerate(field.fleet.replicas)
    return next((number for number, each in replicas if any(f"-{each.pid}-" in owner for owner in owners)), None)


def restart_database(times: int, least: float, most: float, *, down: float = 0.0) -> Act:
    """Crash PostgreSQL (`pg_ctl -m immediate`) again and again, at random intervals, and start it again."""

    async def act(field: Field) -> None:
        if field.cluster is None:
            raise RuntimeError("this scenario needs PostgreSQL")
        for _ in range(times):
            await asyncio.sleep(field.random.uniform(least, most))
            blow = field.fleet.struck("database", unsettled=len(field.fleet.replicas))
            await field.cluster.stop()
            await asyncio.sleep(down)
            await field.cluster.start()
            blow.healed = time.time()

    return act


def network(number: int, seconds: float, *, interrupts: int = 0, **faults: Any) -> Act:
    """Let the network between a replica and PostgreSQL suffer (the fields of the proxy's `Faults`); -1: of all."""

    async def act(field: Field) -> None:
        proxies = field.proxies if number < 0 else [field.proxies[number]]
        blow = field.fleet.struck("network", interrupts=interrupts * len(proxies), unsettled=len(proxies))
        for proxy in proxies:
            proxy.suffer(**faults)
        await asyncio.sleep(seconds)
        for proxy in proxies:
            proxy.heal()
        blow.healed = time.time()

    return act


def resets(number: int, times: int, least: float, most: float) -> Act:
    """Reset a replica's connections to PostgreSQL again and again."""

    async def act(field: Field) -> None:
        for _ in range(times):
            await asyncio.sleep(field.random.uniform(least, most))
            field.fleet.struck("reset", unsettled=1)
            field.proxies[number].reset()

    return act


def platform(account: str, times: int, **trouble: Any) -> Act:
    """Let a platform fail at the next calls by which it takes a message (the fields of the simulator's `Fault`)."""

    async def act(field: Field) -> None:
        field.fleet.struck("platform")
        field.platforms[account].fail(Trouble(times=times, method=POSTING[account], **trouble))

    return act


def model(*replies: model_server.Reply) -> Act:
    """Let the model give these answers next."""

    async def act(field: Field) -> None:
        field.fleet.struck("model")
        field.model.script(*replies)

    return act


def duplicates(count: int, *, at_once: int = 64) -> Act:
    """Send one webhook so many times, over all replicas; each is repeated until it is taken."""

    async def act(field: Field) -> None:
        stream = next(stream for stream in field.streams if stream.account == "slack")
        sample = Sample(text="c9999 n1 say", conversation=9999, number=1, intended=time.time())
        request = stream.request(sample)
        turns = itertools.count()

        async def send(session: aiohttp.ClientSession, many: int) -> None:
            while many and time.time() < sample.intended + FRESH:
                hook = stream.hooks[next(turns) % len(stream.hooks)]
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with session.post(hook, data=request.body, headers=request.headers) as answer:
                        stream.statuses[answer.status] += 1
                        many -= answer.status == 200
            if many:
                raise RuntimeError(f"{many} repeats were not taken in {FRESH:.0f} s")

        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(send(session, count // at_once))
        sample.acknowledged = time.time()
        stream.samples.append(sample)

    return act


def poison(deaths: int = 3) -> Act:
    """Send a message that kills whoever handles it, and start again whoever it kills, until it is set aside."""

    async def act(field: Field) -> None:
        stream = next(stream for stream in field.streams if stream.account == "slack")
        request = stream.request(Sample(text="c9998 n1 poison", conversation=9998, number=1, intended=time.time()))
        async with aiohttp.ClientSession() as session:
            await session.post(stream.hook, data=request.body, headers=request.headers)
        for _ in range(deaths):
            while not (dead := [replica for replica in field.fleet.replicas if replica.exited]):
                await asyncio.sleep(0.05)
            field.fleet.struck("poison", interrupts=1)
            with contextlib.suppress(RuntimeError):  # it may die of it before it is ready
                await dead[0].start()
        while not (await field.database.rows(PARKED))[0][0]:
            await asyncio.sleep(0.1)

    return act
