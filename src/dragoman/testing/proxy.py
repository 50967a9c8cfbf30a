"""A TCP proxy that fails on command: stands between a client and a real server, and does what networks do.

    async with proxied("127.0.0.1", 6379) as proxy:
        client = connect("127.0.0.1", proxy.port)
        proxy.suffer(latency=2.0)                   # every answer comes two seconds late
        with proxy.suffering(stall=True): ...       # nothing passes; what was held passes afterwards
        proxy.suffer(cut_after=100, on="requests")  # each connection breaks at its hundredth byte from now
        proxy.heal()                                # from now on all is well; held bytes leave at once
        proxy.reset()                               # the open connections die by RST, now
        await proxy.down(); await proxy.up()        # nobody listens (connection refused), and again, on the same port
    proxy.lead("127.0.0.1", 6380)               # new connections go to another server, as after a failover

It knows no protocol: PostgreSQL, Redis, HTTP and TLS pass alike. Faults are one value (`Faults`) that is replaced as a
whole; it holds for connections that are open and for those to come, except where its fields say otherwise.
"""

import asyncio
import contextlib
import dataclasses
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final, Literal

Way = Literal["requests", "answers"]

PIECE: Final = 1 << 16
"""Bytes that are read at once."""
HELD: Final = 256
"""Pieces of one way that may be under way (late, or stalled) until no more is read."""
CONNECT: Final = 5.0
"""Seconds for a connection to the server behind."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Faults:
    """What the network does wrong; the default is nothing."""

    on: Literal["requests", "answers", "both"] = "answers"
    """The way that `latency`, `stall`, `cut_after` and `corrupt` concern. A lost request differs from a lost answer."""
    latency: float = 0.0
    """Seconds by which every byte is late. It delays and does not throttle: pieces under way overlap."""
    stall: bool = False
    """Hold all bytes until the faults change; connections stay open, and nothing is lost."""
    cut_after: int | None = None
    """Pass so many bytes of each connection, counted from now, then close it, in the middle of whatever it is."""
    corrupt: int = 0
    """Flip the lowest bit of every so-manieth byte of each connection, counted from now; 0 never."""
    half_open: bool = False
    """Accept new connections, and neither answer nor read: as a frozen host, or a firewall that swallows."""
    refuse: bool = False
    """Reset new connections as soon as they are accepted. (`down` refuses them before that.)"""

    def concern(self, way: Way) -> bool:
        """Tell whether bytes that go this way suffer."""
        return self.on in {way, "both"}


class _Link:
    """One connection through the proxy: the client's side and the server's, and what has passed under the faults."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self.sides = [client]
        self.task: asyncio.Task[None] | None = None
        self._passed: dict[Way, tuple[Faults, int]] = {}

    def passed(self, way: Way, faults: Faults) -> int:
        """Return the bytes that went this way since these faults began."""
        since, count = self._passed.get(way, (faults, 0))
        return count if since is faults else 0

    def count(self, way: Way, faults: Faults, size: int) -> None:
        """Note that so many bytes have passed."""
        self._passed[way] = (faults, self.passed(way, faults) + size)

    def close(self) -> None:
        """End both sides in order: what was written leaves first."""
        for side in self.sides:
            side.close()

    def reset(self) -> None:
        """End both sides by RST; what was written and has not left is lost."""
        for side in self.sides:
            _reset(side)


class Proxy:
    """Passes bytes between clients and one server, and lets them suffer."""

    def __init__(self, host: str, port: int) -> None:
        """Name the server; `up` begins to listen."""
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._changed = asyncio.Event()
        self.host = "127.0.0.1"
        self.port = 0
        """The loopback port to connect to; it stays the same over `down` and `up`."""
        self.faults = Faults()
        """What is wrong now; change it by `suffer` and `heal`."""
        self.accepted = 0
        """Connections that clients have made so far."""
        self.cuts = 0
        """Connections that were closed at their `cut_after` so far."""

    def lead(self, host: str, port: int) -> None:
        """Lead the connections to come to another server; those that are open stay where they are."""
        self._target = (host, port)

    @property
    def open(self) -> int:
        """The connections that are open now."""
        return len(self._links)

    async def up(self) -> None:
        """Listen (again)."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, self.host, self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        """Stop listening and reset the open connections: the server's host is there, its process is not."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await asyncio.gather(*self.reset(), return_exceptions=True)

    def suffer(self, **faults: Any) -> None:
        """Replace the faults by these (the fields of `Faults`); those that are not named are healed."""
        self.faults = Faults(**faults)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def heal(self) -> None:
        """End all faults; what was held leaves at once. Half-open connections stay dead, as their client knows them."""
        self.suffer()

    @contextlib.contextmanager
    def suffering(self, **faults: Any) -> Iterator[None]:
        """Suffer while the context is open."""
        self.suffer(**faults)
        try:
            yield
        finally:
            self.heal()

    def reset(self) -> list[asyncio.Task[None]]:
        """Reset all connections that are open now, on both sides; returns what then ends."""
        tasks = [link.task for link in self._links if link.task is not None]
        for link in self._links:
            link.reset()
        for task in tasks:
            task.cancel()
        return tasks

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self.faults.refuse:
            _reset(writer)
            return
        link = _Link(writer)
        self._links.add(link)
        link.task = asyncio.create_task(self._join(link, reader))
        link.task.add_done_callback(lambda _: self._links.discard(link))

    async def _join(self, link: _Link, reader: asyncio.StreamReader) -> None:
        """Connect to the server and pass bytes both ways until either side ends."""
        try:
            if self.faults.half_open:
                link.sides[0].transport.pause_reading()  # type: ignore[attr-defined]  # a TCP transport has it
                await asyncio.Event().wait()
            async with asyncio.timeout(CONNECT):
                answers, requests = await asyncio.open_connection(*self._target)
            link.sides.append(requests)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass(link, reader, requests, "requests"))
                both.create_task(self._pass(link, answers, link.sides[0], "answers"))
        except* (OSError, TimeoutError):
            link.reset()
        except* _Cut:
            pass
        finally:
            link.close()

    async def _pass(self, link: _Link, source: asyncio.StreamReader, sink: asyncio.StreamWriter, way: Way) -> None:
        """Read on while pieces are late, so that latency does not throttle."""
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(HELD)
        async with asyncio.TaskGroup() as both:
            both.create_task(_read(source, pieces))
            both.create_task(self._write(link, pieces, sink, way))

    async def _write(
        self, link: _Link, pieces: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter, way: Way
    ) -> None:
        while True:
            arrived, piece = await pieces.get()
            faults = await self._wait(arrived, way)
            if not piece:
                sink.write_eof()
                return
            passed = link.passed(way, faults)
            whole = _spoilt(piece, passed, faults) if faults.concern(way) else piece
            sink.write(whole)
            link.count(way, faults, len(piece))
            await sink.drain()
            if len(whole) < len(piece):
                self.cuts += 1
                link.close()
                raise _Cut

    async def _wait(self, arrived: float, way: Way) -> Faults:
        """Hold a piece as long as the faults want it; returns those under which it leaves."""
        clock = asyncio.get_running_loop().time
        while True:
            faults, changed = self.faults, self._changed
            left = arrived + faults.latency - clock()
            if not faults.concern(way) or (left <= 0 and not faults.stall):
                return faults
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if faults.stall else left):
                    await changed.wait()


class _Cut(Exception):
    """The connection has passed as many bytes as it may."""


async def _read(source: asyncio.StreamReader, pieces: asyncio.Queue[tuple[float, bytes]]) -> None:
    """Put what arrives, and when, into the queue; the end is an empty piece."""
    clock = asyncio.get_running_loop().time
    while True:
        piece = await source.read(PIECE)
        await pieces.put((clock(), piece))
        if not piece:
            return


def _spoilt(piece: bytes, passed: int, faults: Faults) -> bytes:
    """Return what becomes of a piece; a shorter one is the last of its connection."""
    spoilt = bytearray(piece)
    if faults.corrupt:
        for place in range(-(passed + 1) % faults.corrupt, len(spoilt), faults.corrupt):
            spoilt[place] ^= 1
    if faults.cut_after is not None and passed + len(spoilt) > faults.cut_after:
        del spoilt[max(0, faults.cut_after - passed) :]
    return bytes(spoilt)


def _reset(side: asyncio.StreamWriter) -> None:
    """Close with RST in place of FIN (a socket that lingers for no time)."""
    peer = side.get_extra_info("socket")
    with contextlib.suppress(OSError):
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    side.transport.abort()


@contextlib.asynccontextmanager
async def proxied(host: str, port: int) -> AsyncIterator[Proxy]:
    """Run a proxy before a server on a free loopback port while the context is open."""
    proxy = Proxy(host, port)
    await proxy.up()
    try:
        yield proxy
    finally:
        await proxy.down()
