"""The replicas that come and go: real processes in haproxy's places, and the processor time that each really uses."""

import asyncio
import dataclasses
import time
from collections.abc import Sequence

import psutil
from tests.deploy.balancer import Haproxy, Site, address

from dragoman.testing.process import Service


@dataclasses.dataclass(kw_only=True)
class Place:
    """One place behind haproxy, and who is in it."""

    name: str
    service: Service
    ready: bool = False
    leaving: bool = False
    looked: float = 0.0
    used: float = 0.0
    """Seconds of a processor that it had used when it was last looked at."""

    def usage(self, requested: float) -> float | None:
        """Return what it used since the last look, in per cent of the processors that it asked for; None: unknown."""
        try:
            times = psutil.Process(self.service.pid).cpu_times()
        except psutil.NoSuchProcess:
            return None
        now, used = time.monotonic(), times.user + times.system
        before, self.looked = self.looked, now
        spent, self.used = used - self.used, used
        return 100 * spent / (now - before) / requested if before and self.ready else None


class Fleet:
    """Grows and shrinks, one replica at a time each; `requested` is the processors that a replica asks for."""

    def __init__(self, site: Site, balancer: Haproxy, places: Sequence[Place], requested: float) -> None:
        self.places = list(places)
        self.ends: list[int] = []
        """Exit codes of those who left."""
        self._site = site
        self._balancer = balancer
        self._requested = requested
        self._number = len(places)

    @property
    def staying(self) -> list[Place]:
        """The replicas that there shall be, whether they are ready yet or not."""
        return [place for place in self.places if not place.leaving]

    @property
    def ready(self) -> int:
        """How many take requests."""
        return sum(place.ready and not place.leaving for place in self.places)

    def usages(self) -> list[float | None]:
        """Look at what each replica uses."""
        return [place.usage(self._requested) for place in self.staying]

    async def grow(self) -> None:
        """Start a replica, and let it in when it is ready."""
        taken = {place.name for place in self.places}
        name = next(name for name in (f"replica-{number}" for number in range(1, 7)) if name not in taken)
        self._number += 1
        place = Place(name=name, service=self._site.replica(f"r{self._number}"))
        self.places.append(place)
        await place.service.start()
        await self._balancer.add(name, address(place.service))
        place.ready = True

    async def shrink(self) -> None:
        """Let the youngest go: no new requests, then SIGTERM, then its place is free."""
        place = self.staying[-1]
        place.leaving = True
        while not place.ready:
            await asyncio.sleep(0.05)
        await self._balancer.drain(place.name)
        self.ends.append(await place.service.stop())
        await self._balancer.remove(place.name)
        self.places.remove(place)

    async def end(self) -> None:
        """End all, however they are."""
        for place in self.places:
            await place.service.kill()
