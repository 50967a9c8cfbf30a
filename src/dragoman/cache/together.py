"""What replicas do together by the shared server besides keeping values, and what is left of it without one."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final, Protocol

MISSED: Final = b""
"""What `listen` gives when hints may have been missed: look everywhere."""


class Buckets(Protocol):
    """Rates that replicas keep together."""

    async def reserve(self, key: str, count: int, seconds: float) -> float | None:
        """Reserve the next free slot of a rate and return the seconds until it; 0 when it is now.

        None when there is no answer in time (a slot may be reserved all the same): the caller keeps to its own pace.
        Name the rate in the key, as two rates do not share a bucket.
        """


class Hints(Protocol):
    """Hints between replicas: "look now". They may be lost, and are never the truth: that costs latency only."""

    async def ring(self, channel: str, payload: bytes) -> None:
        """Tell everyone who listens to a channel, this process too, at most once."""

    def listen(self, channel: str) -> AsyncGenerator[bytes, None]:
        """Give what is rung on a channel, for ever; `MISSED` first, and whenever hints may have been missed.

        Close the generator (`contextlib.aclosing`) to end its connection.
        """


class Alone:
    """Buckets and hints of a process that shares nothing: no answer, and nobody who rings."""

    async def reserve(self, _key: str, _count: int, _seconds: float) -> float | None:
        """Give no answer."""
        return None

    async def ring(self, channel: str, payload: bytes) -> None:
        """Reach nobody."""

    async def listen(self, _channel: str) -> AsyncGenerator[bytes, None]:
        """Hear nothing, for ever."""
        await asyncio.Event().wait()
        yield MISSED
