"""The vocabulary of faults: each word returns an act, to be put on a scenario's timeline."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Any, Final

import aiohttp
from tests.faults.oracle import PostgresServer
from tests.faults.scenario import Act, Field

from dragoman.testing import model_server
from dragoman.testing.load import Sample
from dragoman.testing.simulator import Fault as Trouble

POSTING: Final = {"slack": "chat.postMessage", "feishu": "messages", "telegram": "sendMessage", "webhook": "callback"}
"""By which call a platform takes a message."""
PATIENCE: Final = 150.0
"""Seconds in which a crash point must be reached, on a machine that has much to do."""
HOUR: Final = 3600.0
FRESH: Final = 240.0
"""Seconds for which a signed request is good, at least."""
PARKED: Final = "SELECT count(*) FROM inbox WHERE status = 'parked'"
OWNER: Final = "SELECT owner FROM lease WHERE name LIKE 'connection:{}:%' AND until > 0"
INTERRUPTED: Final = "SELECT count(*) FROM conversation WHERE started >= 2 OR (started = 1 AND because = '')"
"""Conversations whose turn was in hand when a process died, and is not over yet."""


def kill(*numbers: int, down: float = 0.0) -> Act:
    """End replicas (none named: all) by `kill -9` at once, and start them together after `down` seconds."""

    async def act(field: Field) -> None:
        chosen = numbers or range(len(field.fleet.replicas))
        await asyncio.gather(*(field.fleet.kill(number, down=down) for number in chosen))

    return act


def kills(seconds: float, least: float, most: float) -> Act:
    """For so long, kill one replica or another: after random pauses, which begin when the last one is back."""

    async def act(field: Field) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await asyncio.sleep(field.random.uniform(least, most))
            await field.fleet.kill(field.random.randrange(len(field.fleet.replicas)))

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


def tours(points: Sequence[str], *, least: int, most: int) -> Act:
    """Let replicas die at each of these points, shared out among them, at a random passing of it.

    What one had in hand is handled before the next death: three in a row would park it.
    """

    async def tour(field: Field, number: int, points: Sequence[str]) -> None:
        await asyncio.sleep(number)
        for point in points:
            while (await field.database.rows(INTERRUPTED))[0][0]:
                await asyncio.sleep(0.1)
            await field.fleet.die_at(number, point, field.random.randint(least, most), PATIENCE)

    async def act(field: Field) -> None:
        replicas = len(field.fleet.replicas)
        async with asyncio.TaskGroup() as group:
            for number in range(replicas):
                group.create_task(tour(field, number, points[number::replicas]))

    return act


def owner_dies(platform: str, points: Sequence[str]) -> Act:
    """Let whoever has the long poll, or the socket, die at each point in turn; another takes it over."""

    async def act(field: Field) -> None:
        for point in points:
            while (owner := await _owner(field, platform)) is None:
                await asyncio.sleep(0.1)
            await field.fleet.die_at(owner, point, field.random.randint(2, 4), PATIENCE)

    return act


async def _owner(field: Field, platform: str) -> int | None:
    """Find the replica that has the connection; on SQLite there is one only."""
    if not field.proxies:
        return 0
    owners = [row[0] for row in await field.database.rows(OWNER.format(platform))]
    replicas = enumerate(field.fleet.replicas)
    return next((number for number, each in replicas if any(f"-{each.pid}-" in owner for owner in owners)), None)


def restart_database(times: int, least: float, most: float, *, down: float = 0.0) -> Act:
    """Crash PostgreSQL (`pg_ctl -m immediate`) again and again, at random intervals, and start it again."""

    async def act(field: Field) -> None:
        cluster = field.cluster
        for _ in range(times):
            await asyncio.sleep(field.random.uniform(least, most))
            blow = field.fleet.struck("database")
            await cluster.stop()
            await asyncio.sleep(down)
            await cluster.start()
            blow.healed = time.time()

    return act


def fail_over(down: float) -> Act:
    """Crash PostgreSQL, and lead everybody to its standby, which takes no writes for so many seconds."""

    async def act(field: Field) -> None:
        blow, standby = field.fleet.struck("failover"), field.standby
        await field.cluster.stop()
        for proxy in field.proxies:
            proxy.lead("127.0.0.1", standby.port)
        await asyncio.sleep(down)
        await standby.promote()
        field.database = PostgresServer(standby.url)
        blow.healed = time.time()

    return act


def jumps(number: int, every: float, *ahead: float) -> Act:
    """Set a replica's clock so many hours ahead, one after the other, kill it there too, and set it right."""

    async def act(field: Field) -> None:
        replica = field.fleet.replicas[number]
        for hours in ahead:
            field.fleet.struck("clock")
            replica.set_clock(hours * HOUR)
            await asyncio.sleep(every)
        await field.fleet.kill(number)
        await asyncio.sleep(every)
        field.fleet.struck("clock")
        replica.set_clock(0.0)

    return act


def network(number: int, seconds: float, *, interrupts: int = 0, **faults: Any) -> Act:
    """Let the network between a replica and PostgreSQL suffer (the fields of the proxy's `Faults`); -1: of all."""

    async def act(field: Field) -> None:
        proxies = field.proxies if number < 0 else [field.proxies[number]]
        blow = field.fleet.struck("network", interrupts=interrupts * len(proxies))
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
            field.fleet.struck("reset")
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


def duplicates(count: int, *, at_once: int = 32) -> Act:
    """Send one webhook so many times, over all replicas; each is repeated until it is taken."""

    async def act(field: Field) -> None:
        stream = next(stream for stream in field.streams if stream.account == "slack")
        sample = Sample(text="c9999 n1 say", conversation=9999, number=1, intended=time.time())
        request, left = stream.request(sample), iter(range(count))

        async def send(session: aiohttp.ClientSession) -> None:
            for number in left:
                while not await stream.offer(session, request):
                    if time.time() > sample.intended + FRESH:
                        raise RuntimeError(f"repeat {number} was not taken in {FRESH:.0f} s")

        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(send(session))
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
