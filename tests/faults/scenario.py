"""A scenario as a value: a load, a timeline of faults, and bounds; run it, and figures come out, red or green."""

import asyncio
import contextlib
import dataclasses
import math
import random
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tests.faults import fleet, oracle, traffic
from tests.faults.cluster import Cluster, cluster, standby
from tests.faults.fleet import SENDS, Fleet
from tests.faults.traffic import Stream

from dragoman.testing.model_server import ModelServer
from dragoman.testing.proxy import Proxy, proxied
from dragoman.testing.simulator import serve

SETTLING: Final = 120.0
"""Seconds after the load and the last fault in which everything must have come to its end."""
LONGEST: Final = 3600.0
STARVED: Final = 2.0
"""When the harness waits for a processor as long as it works, a database that does not answer in time is no news."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Profile:
    """The load: messages a second by account; every so-manieth is a long answer of the model, or a file."""

    rates: Mapping[str, float] = dataclasses.field(
        default_factory=lambda: {"slack": 9.0, "feishu": 5.0, "webhook": 3.0, "telegram": 3.0}
    )
    seconds: float = 8.0
    """The load lasts at least so long, and until the faults are over."""
    conversations: float = 5.0
    """Conversations of an account, for each message a second."""
    kinds: tuple[str, ...] = (*["say"] * 12, "long", *["say"] * 12, "file")
    pause: float = 0.2
    """Seconds that a turn takes, at most."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bound:
    """What is allowed. Nothing may ever be lost, inverted, misremembered, spoilt, turned twice or left under way.

    Seconds are those of a machine that has time; where the harness waits for a processor they grow with its waiting.
    """

    interrupted: int = SENDS
    """Replies that one interrupted process may duplicate where the platform takes no keys."""
    doubtful: int = 0
    """Replies that a platform without keys makes us send twice: it took them, and said that it did not."""
    parked: int = 0
    charged: int = 0
    """Messages that one interrupted process may have had in hand at their third death: it runs suspects one by one."""
    stall: float = 90.0
    """Seconds for the slowest answer: three leases."""
    drain: float = 25.0
    back: float = math.inf
    """Seconds until a process that was killed is ready again."""
    refused: float = math.inf
    """Requests that may be answered with 5xx."""
    grown: float = math.inf
    """Megabytes by which a process may grow from the second quarter of the run to the last one."""


class Field:
    """Where a scenario takes place: everything that a fault can be done to."""

    def __init__(self, scenario: "Scenario", seed: int) -> None:
        self.scenario = scenario
        self.random = random.Random(seed)  # noqa: S311 - a schedule that can be repeated, not a secret
        self.platforms: dict[str, Any] = {}
        self.model = ModelServer(traffic.long_answer)
        self.fleet: Fleet = Fleet([])
        self.streams: list[Stream] = []
        self.proxies: list[Proxy] = []
        """Between each replica and PostgreSQL."""
        self.cluster: Cluster
        self.standby: Cluster
        self.database: oracle.Database


Act = Callable[[Field], Awaitable[None]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
    """Something to be done, so many seconds after the load began."""

    at: float
    act: Act


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scenario:
    """A load, what is done under it, and bounds."""

    name: str
    timeline: tuple[Fault, ...] = ()
    load: Profile = Profile()
    bound: Bound = Bound()
    stores: tuple[str, ...] = ("sqlite", "postgres")
    roles: tuple[str, ...] = ("all", "all", "all")
    """The replicas on PostgreSQL; on SQLite there is one."""
    connections: int = 50
    standby: bool = False
    """PostgreSQL has one, and waits for it."""
    clock: bool = False
    """The replicas' clocks can be set."""
    settling: float = SETTLING
    release: Path | None = None
    """The source tree of the release that all replicas begin with; None: this one."""


async def run(scenario: Scenario, store: str, seed: int, source: Path, *, broken: str = "") -> dict[str, Any]:
    """Run a scenario on a store; returns the figures, and under `red` what is wrong. `source`: the cluster to copy."""
    began = time.monotonic()
    field = Field(scenario, seed)
    findings, red = oracle.Findings(), ["it did not begin"]
    with tempfile.TemporaryDirectory(prefix="dgm-") as folder:
        try:
            async with _opened(field, store, source, Path(folder), broken):
                trouble = await _performed(field)
                findings = await oracle.judge(field.database, field.streams)
                red = [*trouble, *_verdict(field, findings)]
        except* RuntimeError as error:
            red = [str(leaf) for leaf in leaves(error)]
        if red:
            kept = Path("build/faults") / f"{broken or scenario.name}-{store}-{seed}"
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(folder, kept, ignore=shutil.ignore_patterns("media", "*.sock"))
    name = {"fault": scenario.name, "broken": broken, "store": store, "seed": seed, "sha": _sha()}
    return {**name, **_figures(field, findings), "seconds": round(time.monotonic() - began, 1), "red": red}


async def _performed(field: Field) -> list[str]:
    """Play the load and the faults to their end, and stop the service in order; returns what went wrong in that."""
    watching = asyncio.create_task(field.fleet.watch())
    wrong: list[str] = []
    try:
        for step in (_play, _settle, lambda _: field.fleet.stop()):  # what follows is of interest even then
            try:
                await step(field)
            except* (RuntimeError, TimeoutError, OSError) as broke:
                wrong += [f"{type(error).__name__}: {error}" for error in leaves(broke)]
    finally:
        watching.cancel()
        await field.fleet.end()
    return wrong


def leaves(error: BaseException) -> list[BaseException]:
    """Return the exceptions of a group and of the groups in it."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for each in error.exceptions for leaf in leaves(each)]


@contextlib.asynccontextmanager
async def _opened(field: Field, store: str, source: Path, folder: Path, broken: str) -> AsyncIterator[None]:
    """Open platforms, model, database and replicas."""
    scenario = field.scenario
    async with contextlib.AsyncExitStack() as stack:
        accounts = {}
        for name in scenario.load.rates:
            field.platforms[name] = traffic.platform(name)
            url = await stack.enter_async_context(serve(field.platforms[name]))
            accounts[name] = traffic.settings(name, field.platforms[name], url)
        probe = {"model": await stack.enter_async_context(serve(field.model)), "pause": scenario.load.pause}
        roles: tuple[str, ...] = ("all",)
        urls = [""]
        if store == "postgres":
            field.cluster = await stack.enter_async_context(cluster(source, connections=scenario.connections))
            roles = scenario.roles
            host, port = "127.0.0.1", field.cluster.port
            if scenario.standby:
                field.standby = await stack.enter_async_context(standby(field.cluster))
            field.proxies = [await stack.enter_async_context(proxied(host, port)) for _ in roles]
            urls = [f"postgresql://postgres@{host}:{proxy.port}/postgres" for proxy in field.proxies]
            field.database = oracle.PostgresServer(field.cluster.url)
        else:
            field.database = oracle.SqliteFile(folder / "r0" / "dragoman.db")
        field.fleet = Fleet(
            [
                fleet.replica(
                    folder / f"r{number}",
                    accounts,
                    probe,
                    store=url,
                    role=role,
                    broken=broken,
                    clock=scenario.clock,
                    release=scenario.release,
                )
                for number, (role, url) in enumerate(zip(roles, urls, strict=True))
            ]
        )
        stack.push_async_callback(field.fleet.end)
        await field.fleet.start()
        field.streams = [_stream(field, name) for name in scenario.load.rates]
        yield


def _stream(field: Field, name: str) -> Stream:
    load = field.scenario.load
    stream = traffic.stream(
        name, field.platforms[name], field.fleet.doors, max(8, round(load.rates[name] * load.conversations))
    )
    plain = name != "slack"
    stream.kinds = tuple("say" if kind == "file" and plain else kind for kind in load.kinds)
    return stream


async def _play(field: Field) -> None:
    """Run the load, and the timeline beside it, until both are over."""
    scenario, stop = field.scenario, asyncio.Event()
    rates = [(stream, scenario.load.rates[stream.account]) for stream in field.streams]
    async with asyncio.TaskGroup() as group:
        group.create_task(traffic.run(rates, LONGEST, stop))
        try:
            async with asyncio.TaskGroup() as acts:
                acts.create_task(asyncio.sleep(scenario.load.seconds))
                for fault in scenario.timeline:
                    acts.create_task(_strike(field, fault))
        finally:
            stop.set()


async def _strike(field: Field, fault: Fault) -> None:
    await asyncio.sleep(fault.at)
    await fault.act(field)


async def _settle(field: Field) -> None:
    """Wait until the database has nothing under way any more; what then is not answered, never will be."""
    deadline = time.monotonic() + field.scenario.settling
    quiet = 0
    while time.monotonic() < deadline and quiet < 3:  # thrice: a stage may be between two tables' looks
        await asyncio.sleep(0.3)
        waiting = any(not sample.acknowledged for stream in field.streams for sample in stream.samples)
        polled = any(getattr(platform, "_updates", ()) for platform in field.platforms.values())
        idle = not waiting and not polled and (await field.database.rows(oracle.UNDER_WAY))[0][0] == 0
        quiet = quiet + 1 if idle else 0


def _verdict(field: Field, findings: oracle.Findings) -> list[str]:
    """Say everything that breaks an invariant or a bound."""
    bound, fleet = field.scenario.bound, field.fleet
    interrupted = sum(blow.interrupts for blow in fleet.blows)
    allowed, parked = _allowed(field), bound.parked + bound.charged * interrupted
    keyed, others = findings.again(keyed=True), findings.again(keyed=False)
    figures = _figures(field, findings)
    stretch = figures["stretch"]
    unused = sum(fault.times for platform in field.platforms.values() for fault in platform.faults)
    checks = {
        f"{len(findings.lost)} lost: {findings.lost[:3]}": findings.lost,
        f"{len(findings.unstored)} acknowledged and not stored": findings.unstored,
        f"{findings.sent - findings.acked} never taken": findings.sent > findings.acked,
        f"{len(findings.turned_twice)} turned twice": findings.turned_twice,
        f"{len(findings.inversions)} out of order: {findings.inversions[:3]}": findings.inversions,
        f"{len(findings.misremembered)} answered from a wrong state": findings.misremembered,
        f"{findings.spoilt} files spoilt": findings.spoilt,
        f"{findings.under_way} still under way": findings.under_way,
        f"{len(keyed)} duplicates in spite of keys": keyed,
        f"{len(others)} duplicates, {allowed} allowed: {others[:3]}": len(others) > allowed,
        f"{len(findings.parked)} parked, {parked} allowed: {findings.parked[:3]}": len(findings.parked) > parked,
        f"a stall of {figures['stall_max']} s": figures["stall_max"] > bound.stall * stretch,
        f"a stop took {figures['drain_max']} s": figures["drain_max"] > bound.drain * stretch,
        f"ready again after {figures['back_max']} s": figures["back_max"] > bound.back * stretch,
        f"{figures['5xx']} times 5xx": figures["5xx"] > bound.refused and stretch < STARVED,
        f"grown by {figures['rss_grown']} MB": figures["rss_grown"] > bound.grown,
        f"logged: {fleet.complaints()[:2]}": fleet.complaints(),
        f"{unused} faults of a platform were never met": unused,
        "nothing was sent": not findings.sent,
    }
    return [words for words, wrong in checks.items() if wrong]


def stretched() -> float:
    """Say how many times longer than its work this process took, because it waited for a processor (1: not at all)."""
    worked, waited, _ = map(int, Path("/proc/self/schedstat").read_text(encoding="ascii").split())
    return (worked + waited) / worked


def _allowed(field: Field) -> int:
    bound = field.scenario.bound
    return bound.doubtful + bound.interrupted * sum(blow.interrupts for blow in field.fleet.blows)


def _figures(field: Field, findings: oracle.Findings) -> dict[str, Any]:
    """Sum up a run in figures: counts, seconds, megabytes."""
    fleet = field.fleet
    recovered = oracle.recoveries(findings, [blow.healed for blow in fleet.blows])
    statuses = sum((stream.statuses for stream in field.streams), Counter[int]())
    return {
        "sent": findings.sent,
        "acked": findings.acked,
        "lost": len(findings.lost) + len(findings.unstored),
        "dup_keyed": len(findings.again(keyed=True)),
        "dup_unkeyed": len(findings.again(keyed=False)),
        "dup_bound": _allowed(field),
        "inversions": len(findings.inversions),
        "parked": len(findings.parked),
        "blows": len(fleet.blows),
        "stall_p99": round(oracle.quantile(findings.latencies, 0.99), 1),
        "stall_max": round(max(findings.latencies, default=0.0), 1),
        "recover_p50": round(oracle.quantile(recovered, 0.5), 1),
        "recover_p99": round(oracle.quantile(recovered, 0.99), 1),
        "back_max": round(max((blow.back for blow in fleet.blows), default=0.0), 1),
        "drain_max": round(max(fleet.drains, default=0.0), 1),
        "5xx": sum(count for status, count in statuses.items() if status >= 500),
        "unanswered": statuses[0],
        "stretch": round(stretched(), 1),
        "rss_max": fleet.rss >> 20,
        "rss_grown": round(fleet.grown / (1 << 20), 1),
    }


def _sha() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]  # the program that built this tree
    found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    return found.stdout.strip()
