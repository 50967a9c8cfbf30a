"""Recurring tasks in real processes: killed, stopped for a while, and three of them on one PostgreSQL."""

import asyncio
import contextlib
import datetime as dt
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import apsw
import asyncpg
import pytest
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from dragoman.testing.process import Service, configuration
from dragoman.testing.simulator import respond, serve
from dragoman.testing.simulators.slack import SlackSimulator
from dragoman.wire import Response

pytestmark = pytest.mark.timeout(180)

TICK = '[tasks.tick]\nevery = "1s"\nmissed = "all"\noverlap = "queue"\nto = ["bench/C00000001"]\nsay = "{due}"\n'


@contextlib.asynccontextmanager
async def slack() -> AsyncIterator[tuple[SlackSimulator, dict[str, Any]]]:
    simulator = SlackSimulator()
    simulator.unlimited()
    async with serve(simulator) as url:
        yield simulator, {"platform": "slack", **simulator.settings(url), "sends_per_second": 100}


@contextlib.asynccontextmanager
async def service(folder: Path, account: dict[str, Any], tasks: str, **settings: Any) -> AsyncIterator[Service]:
    """Describe a service that is not started yet; it is stopped at the end."""
    bot = Service(folder, configuration({"bench": account}, plugins=["echo"], **settings) + tasks)
    try:
        yield bot
    finally:
        await bot.stop()


async def until(look: Callable[[], object], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not look():
            await asyncio.sleep(0.02)


def moments(simulator: SlackSimulator) -> list[int]:
    """Return the times for which something was said, in whole seconds, in the order in which it arrived."""
    return [round(dt.datetime.fromisoformat(sent.text).timestamp()) for sent in simulator.sent]


def without_gap(times: list[int]) -> bool:
    return sorted(set(times)) == list(range(min(times), max(times) + 1))


def fires(folder: Path, task: str) -> list[tuple[str, str, str]]:
    """Return what the file holds of a task's fires: key, status, handler."""
    connection = apsw.Connection(str(folder / "dragoman.db"), flags=apsw.SQLITE_OPEN_READONLY)
    found = list(
        connection.execute(
            "SELECT key, status, handler FROM inbox WHERE kind = 'timer' AND key LIKE ? ORDER BY id",
            (f"task/{task}/%",),
        )
    )
    connection.close()
    return found


@pytest.mark.parametrize("point", ["c12:2", "c6:2", "c8:2"])
async def test_a_process_that_dies_while_a_task_fires_brings_each_fire_once(tmp_path: Path, point: str) -> None:
    async with slack() as (simulator, account), service(tmp_path, account, TICK) as bot:
        await bot.start(crash=point)
        await bot.wait(30)
        dead = len(simulator.sent)
        await bot.start()
        await until(lambda: len(simulator.sent) >= dead + 4)
        await bot.stop()

    times = moments(simulator)
    assert without_gap(times)
    assert len(set(times)) == len(times)  # it died before anything was on its way to the platform
    assert len({key for key, _, _ in fires(tmp_path, "tick")}) == len(fires(tmp_path, "tick"))


async def test_processes_that_are_killed_at_any_moment_bring_each_fire_and_repeat_few(tmp_path: Path) -> None:
    chance = random.Random(7)  # noqa: S311 - a schedule of deaths, the same in every run
    async with slack() as (simulator, account), service(tmp_path, account, TICK, sends=4) as bot:
        for _ in range(4):
            begun, lifetime = len(simulator.sent), chance.uniform(0.0, 1.0)
            await bot.start()
            await until(lambda begun=begun: len(simulator.sent) > begun)  # type: ignore[misc]  # bound by its default
            killed = time.monotonic() + lifetime
            await until(lambda killed=killed: time.monotonic() > killed)  # type: ignore[misc]  # the same
            await bot.kill()
        await bot.start()
        begun = len(simulator.sent)
        await until(lambda: len(simulator.sent) >= begun + 3)
        await bot.stop()

    times = moments(simulator)
    assert without_gap(times)
    assert len(times) - len(set(times)) <= 4 * 4  # at most what was under way at each death


class Hook:
    """Somebody's webhook: it counts what it was asked by the key of each."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        await request.body()
        self.keys.append(request.headers["idempotency-key"])
        await respond(send, Response(status=204))


@pytest.mark.parametrize("point", ["c6:1", "c7:1", "c8:1"])
async def test_a_webhook_that_answered_is_not_called_again_after_a_crash(tmp_path: Path, point: str) -> None:
    hook = Hook()
    async with slack() as (_, account), serve(hook) as url:
        table = f'[tasks.hook]\nevery = "1s"\ncall = "{url}"\n'
        async with service(tmp_path, account, table, private_hosts=["127.0.0.1"]) as bot:
            await bot.start(crash=point)
            await bot.wait(30)
            await bot.start()
            await until(lambda: len([1 for _, status, _ in fires(tmp_path, "hook") if status == "done"]) >= 2)

    assert len(hook.keys) == len(set(hook.keys))
    assert fires(tmp_path, "hook")[0][1:] == ("done", "tasks.call: answered 204")


def moved_back(folder: Path, seconds: float) -> None:
    """Let a stopped service's timers be as if it had been stopped for so long."""
    connection = apsw.Connection(str(folder / "dragoman.db"))
    connection.execute("UPDATE timer SET at = at - ?, ready_at = ready_at - ?", (seconds, seconds))
    connection.close()


async def test_what_was_missed_while_it_was_stopped_goes_by_each_tasks_rule(tmp_path: Path) -> None:
    first = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=90)  # so that 90 and 30 minutes ago were times of it
    rule = f'every = "1h"\nat = "{first:%Y-%m-%d %H:%M:%S}"\nto = ["bench/C00000001"]\n'
    kinds = {
        "none": 'missed = "skip"\ngrace = "2h"\n',
        "last": 'missed = "once"\ngrace = "2h"\n',
        "each": 'missed = "all"\ngrace = "2h"\n',
        "stale": 'missed = "once"\n',  # within 15 minutes
    }
    tables = "".join(f'[tasks.{name}]\n{rule}{kind}say = "{name} {{due}}"\n' for name, kind in kinds.items())
    async with slack() as (simulator, account), service(tmp_path, account, tables + TICK) as bot:
        await bot.start()
        await until(lambda: simulator.sent)
        await bot.stop()
        simulator.sent.clear()
        moved_back(tmp_path, 2 * 3600)
        await bot.start()
        await until(lambda: len([sent for sent in simulator.sent if sent.text[:4] in {"last", "each"}]) == 3)
        begun = len(simulator.sent)
        await until(lambda: len(simulator.sent) >= begun + 2)
        await bot.stop()

    said = [sent.text for sent in simulator.sent if not sent.text.startswith("20")]
    due = [(first + dt.timedelta(minutes=ago)).strftime("%Y-%m-%dT%H:%M:%S+00:00") for ago in (0, 60)]
    assert sorted(said) == sorted([f"last {due[1]}", f"each {due[0]}", f"each {due[1]}"])
    assert fires(tmp_path, "none") == fires(tmp_path, "stale") == []


async def test_a_signal_makes_it_read_the_tasks_again(tmp_path: Path) -> None:
    async with slack() as (simulator, account), service(tmp_path, account, "") as bot:
        await bot.start()
        with (tmp_path / "dragoman.toml").open("a", encoding="utf-8") as file:
            file.write(TICK)
        os.kill(bot.pid, signal.SIGHUP)
        await until(lambda: len(simulator.sent) >= 2)

    assert without_gap(moments(simulator))


async def asked(database: str, statement: str) -> list[Any]:
    connection = await asyncpg.connect(database.partition("?")[0])
    try:
        await connection.execute(f"SET search_path TO {database.rpartition('=')[2]}")
        return [tuple(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


async def test_three_processes_bring_each_fire_once_though_one_is_killed(tmp_path: Path, database: str) -> None:
    many = {"store": database, "encryption_key": "a key that all of the replicas have", "sends": 4}
    async with slack() as (simulator, account), contextlib.AsyncExitStack() as stack:
        bots = [
            await stack.enter_async_context(service(tmp_path / name, account, TICK, **many))
            for name in ("one", "two", "three")
        ]
        await asyncio.gather(*(bot.start() for bot in bots))
        await until(lambda: len(simulator.sent) >= 4)
        await bots[0].kill()
        killed = moments(simulator)[-1]
        await until(lambda: max(moments(simulator)) >= killed + 3 and without_gap(moments(simulator)), 120)
    keys = await asked(database, "SELECT key FROM inbox WHERE kind = 'timer'")
    counts = await asked(database, "SELECT count(*) FROM timer WHERE task = 'tick'")

    times = moments(simulator)
    assert without_gap(times)
    assert len(times) - len(set(times)) <= 4  # at most what was under way in the one that died
    assert len(keys) == len(set(keys))
    assert counts == [(1,)]
