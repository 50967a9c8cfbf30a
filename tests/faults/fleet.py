"""The service as an operator runs it: replicas as processes, restarted when they die, watched from outside."""

import asyncio
import contextlib
import dataclasses
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, Final

import psutil

from dragoman.testing.process import Service, configuration

SENDS: Final = 16
"""Deliveries that one process has under way at most: what one crash of it may duplicate."""
HERE: Final = Path(__file__).parent


@dataclasses.dataclass(kw_only=True)
class Blow:
    """Something was done to the service; `healed` is when nothing was wrong any more but what it left behind."""

    name: str
    at: float
    healed: float
    interrupts: int = 0
    """Processes whose sends may have been interrupted by it."""
    back: float = 0.0
    """Seconds until the process that it ended was ready again."""


class Replica(Service):
    """One process; `entry` is what Python is to run."""

    def __init__(self, folder: Path, settings: str, *, role: str, entry: Sequence[str]) -> None:
        super().__init__(folder, settings)
        self.starting = 90.0  # many start at once, on few processors
        self.role = role
        self.sizes: list[int] = []
        """Its memory, at every look."""
        self._entry = entry
        self.set_clock(0.0)

    async def start(self, *, crash: str = "") -> None:
        """Start it, and again when it gives up because the database is away, as an orchestrator does."""
        for left in (4, 3, 2, 1, 0):
            try:
                await super().start(crash=crash)
            except RuntimeError as error:
                if not left or "the database does not answer" not in str(error):
                    raise
                await asyncio.sleep(1.0)
            else:
                return

    def command(self) -> list[str]:
        """Return the command line, with a role."""
        arguments = super().command()[3:]
        return [sys.executable, *self._entry, *arguments, *(["--role", self.role] if self.role != "all" else [])]

    def become(self, source: Path) -> None:
        """Be the release of another source tree, from the next start on (see `release.py`)."""
        self._entry = (str(HERE / "release.py"), str(source))

    @property
    def release(self) -> str:
        """The source tree that the last start ran, if it was another one's."""
        marker = self.folder / "release"
        return marker.read_text(encoding="utf-8") if marker.exists() else ""

    def set_clock(self, ahead: float) -> None:
        """Set its wall clock so many seconds ahead of the real one (`clock.py` looks); its monotonic clock goes on."""
        self._write(f"{ahead:+.0f}", self.folder / "time")

    def die_at(self, point: str, count: int) -> None:
        """Order it to die at the n-th passing of a point."""
        self._write(f"{point}:{count}", self.folder / "crash")

    def _write(self, text: str, to: Path) -> None:
        order = self.folder / "order"
        order.write_text(text, encoding="utf-8")
        order.rename(to)  # all of it is there at once


class Fleet:
    """All replicas of a scenario, and what was done to them."""

    def __init__(self, replicas: Sequence[Replica]) -> None:
        self.replicas = list(replicas)
        self.blows: list[Blow] = []
        self.drains: list[float] = []

    @property
    def doors(self) -> list[str]:
        """The addresses at which webhooks are taken."""
        return [replica.url for replica in self.replicas if replica.role in {"all", "gateway"}]

    async def start(self) -> None:
        """Start all at once, as an orchestrator does."""
        async with asyncio.TaskGroup() as group:
            for replica in self.replicas:
                group.create_task(replica.start())

    def struck(self, name: str, interrupts: int = 0) -> Blow:
        """Note that something was done."""
        now = time.time()
        blow = Blow(name=name, at=now, healed=now, interrupts=interrupts)
        self.blows.append(blow)
        return blow

    async def kill(self, number: int, *, down: float = 0.0) -> None:
        """End a replica as `kill -9` does, and start it again."""
        replica = self.replicas[number]
        blow = self.struck("kill", interrupts=1)
        await replica.kill()
        await asyncio.sleep(down)
        await replica.start()
        blow.back = time.time() - blow.at

    async def terminate(self, number: int) -> None:
        """End a replica by SIGTERM, and start it again."""
        replica = self.replicas[number]
        blow = self.struck("terminate")
        await self._stop(replica)
        await replica.start()
        blow.healed = time.time()

    async def _stop(self, replica: Replica) -> None:
        began = time.monotonic()
        code = await replica.stop(40.0)
        self.drains.append(time.monotonic() - began)
        if code != 0:
            raise RuntimeError(f"a replica ended with {code}: {replica.last_words()}")

    async def suspend(self, number: int, seconds: float) -> None:
        """Stop a replica's process for a while, as a host that swaps or a virtual machine that moves."""
        replica = self.replicas[number]
        blow = self.struck("suspend", interrupts=1)
        psutil.Process(replica.pid).send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            psutil.Process(replica.pid).send_signal(signal.SIGCONT)
        blow.healed = time.time()

    async def die_at(self, number: int, point: str, count: int, patience: float) -> None:
        """Let a replica die at the n-th passing of a point, and start it again.

        Raises `TimeoutError` when it does not come there.
        """
        replica = self.replicas[number]
        replica.die_at(point, count)
        try:
            code = await replica.wait(patience)
        except TimeoutError:
            raise TimeoutError(f"the crash point {point} was not reached") from None
        if code != -signal.SIGKILL:
            raise RuntimeError(f"a replica ended with {code}: {replica.last_words()}")
        self.struck(point, interrupts=1)
        await replica.start()

    async def watch(self) -> None:
        """Note how much memory each replica has, until cancelled."""
        while True:
            for replica in self.replicas:
                with contextlib.suppress(psutil.Error):
                    replica.sizes.append(psutil.Process(replica.pid).memory_info().rss)
            await asyncio.sleep(0.5)

    @property
    def rss(self) -> int:
        """The most memory that any replica had."""
        return max((size for replica in self.replicas for size in replica.sizes), default=0)

    @property
    def grown(self) -> float:
        """By how many bytes a replica's memory was larger in the last quarter than in the second, at most."""
        quarters = [(each.sizes, len(each.sizes) // 4) for each in self.replicas if len(each.sizes) >= 8]
        means = [(mean(sizes[many : 2 * many]), mean(sizes[-many:])) for sizes, many in quarters]
        return max((late - early for early, late in means), default=0.0)

    async def stop(self) -> None:
        """Stop all in order; raises `RuntimeError` when one does not end well."""
        await asyncio.gather(*(self._stop(replica) for replica in self.replicas if not replica.exited))

    async def end(self) -> None:
        """End what still runs, however it is."""
        for replica in self.replicas:
            await replica.kill()

    def complaints(self) -> list[str]:
        """Return what was logged as a bug of ours (a store that is away is none)."""
        bugs = ("broke", "hook.failed", "tick.failed", "Traceback", "exception")
        lines = [line for replica in self.replicas for line in replica.log.read_text(errors="replace").splitlines()]
        return [line for line in lines if "StoreAway" not in line and any(bug in line for bug in bugs)]


def shared(folder: Path) -> Path:
    """Make the volume on which all replicas keep their files: who delivers an answer need not be who made it."""
    volume = folder.parent / "media"
    volume.mkdir(exist_ok=True)
    return volume


def replica(
    folder: Path,
    accounts: Mapping[str, Mapping[str, Any]],
    plugin: Mapping[str, Any],
    *,
    store: str = "",
    role: str = "all",
    broken: str = "",
    clock: bool = False,
    release: Path | None = None,
) -> Replica:
    """Write the configuration of a replica: these accounts, answered by the harness's plugin.

    `broken` names the way in which its build is broken on purpose; `clock` lets its clock be set; `release` is the
    source tree of another release.
    """
    entry = ("-m", "dragoman")
    if broken:
        entry = (str(HERE / "broken.py"), broken)
    elif clock:
        entry = (str(HERE / "clock.py"), str(folder / "time"))
    elif release:
        entry = (str(HERE / "release.py"), str(release))
    tables = {name: {"sends_per_second": 100_000.0, **settings} for name, settings in accounts.items()}
    settings: dict[str, Any] = {"plugins": ["probe"], "sends": SENDS}
    if store:
        settings |= {"store": store, "encryption_key": "Z" * 43 + "="}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "media").symlink_to(shared(folder))
    probe = configuration({}, use=str(HERE / "probe.py"), crash=str(folder / "crash"), **plugin)
    text = configuration(tables, **settings) + "[plugin.probe]\n" + probe
    return Replica(folder, text, role=role, entry=entry)
