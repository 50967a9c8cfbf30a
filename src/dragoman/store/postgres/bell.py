"""Hints between replicas: something may be ready, a turn is over, a frame for who is connected there.

A hint that is lost costs latency only: polling is the truth. NOTIFY takes a lock of the whole database at its commit,
so it never rides in a transaction of the line: the first hint leaves at once, later ones are collected for a moment, a
longer one the more replicas live, and for longer still where this process does itself what it hints at. Where a shared
cache answers, it carries them instead.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Any, Final, Protocol

import asyncpg
import msgspec
from asyncpg.connect_utils import SessionAttribute

from dragoman import telemetry
from dragoman.cache import MISSED, Hints
from dragoman.errors import StoreAway
from dragoman.store.postgres.pool import AWAY, CONNECT, Pool, session_settings

CHANNEL: Final = "line"
SPACE: Final = 0.0015
"""Seconds between two notifications, whichever replica sends them: for each that lives a replica waits so long."""
LAZY: Final = 0.1
"""Seconds at most; and those where what is told is looked after here too: others only help."""
NOTIFY: Final = "SELECT set_config('synchronous_commit', 'off', true), pg_notify('dragoman_' || current_schema(), $1)"
"""Without a flush: it would be waited for under the lock."""
LARGEST: Final = 7000
"""Bytes of one notification; PostgreSQL takes 8,000."""
ALIVE: Final = 10.0
"""Seconds between two looks whether the listening connection still answers."""

log = telemetry.logger("store.bell")


class Light(Protocol):
    """A shared cache, as far as it carries hints."""

    @property
    def hints(self) -> Hints:
        """Ring and listen."""

    @property
    def trouble(self) -> str:
        """Why it is being left alone; empty while it answers."""


class Hint(msgspec.Struct, omit_defaults=True):
    """What one notification says; `sender` leaves it out for itself."""

    sender: str
    wakes: list[str] = []
    over: list[int] = []
    told: list[str] = []


class Bell:
    """Rings for the other replicas, and hears them."""

    def __init__(self, pool: Pool, url: str, owner: str, hear: Callable[[Hint], None], gap: Callable[[], None]) -> None:
        """`hear` takes another replica's hint; `gap` is called when hints may have been missed."""
        self._pool = pool
        self._url = url
        self._owner = owner
        self._hear = hear
        self._gap = gap
        self._next = Hint(owner)
        self._ringing: asyncio.Task[None] | None = None
        self._listening = {asyncio.create_task(self._listen())}
        self._light: Light | None = None
        self._others = self._engines = True
        """Whether there is anybody to ring for, and anybody to wake: as it was known last, until one is heard."""
        self._known = False
        self._period = 0.01
        """Seconds between two notifications of ours, at least."""
        self._soon = asyncio.Event()

    async def close(self) -> None:
        """Stop ringing and listening."""
        tasks = [*self._listening, *([self._ringing] if self._ringing else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def lighten(self, light: Light) -> None:
        """Let a shared cache carry the hints while it answers."""
        self._light = light
        self._listening.add(asyncio.create_task(self._listen_light(light)))

    def know(self, *, others: int, engines: bool) -> None:
        """Note how many other replicas live, and if engines do; the first time they are told that this one does."""
        if not self._known:
            self._known = self._others = self._engines = True
            self.ring("work")
        self._others, self._engines = others > 0, engines
        self._period = min(LAZY, SPACE * (others + 1))

    def ring(self, *wakes: str, over: int = 0, told: str = "", soon: bool = True) -> None:
        """Say that there may be something to do, that an event's turn is over, or what is told to all."""
        if not self._others or (wakes and not self._engines):
            return
        if soon:
            self._soon.set()
        self._next.wakes += [wake for wake in wakes if wake not in self._next.wakes]
        self._next.over += [over] if over else []
        self._next.told += [plain] if (plain := told.encode(errors="ignore").decode()) else []
        if self._ringing is None or self._ringing.done():
            self._ringing = asyncio.create_task(self._ring())

    async def _ring(self) -> None:
        while self._next != Hint(self._owner):
            hint, self._next = self._next, Hint(self._owner)
            self._soon.clear()
            for payload in _payloads(hint):
                await self._send(payload)
            await asyncio.sleep(self._period)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAZY - self._period):
                    await self._soon.wait()

    async def _send(self, payload: str) -> None:
        if self._light is not None and not self._light.trouble:
            await self._light.hints.ring(CHANNEL, payload.encode())
            return
        with contextlib.suppress(StoreAway):
            async with self._pool.session() as session:
                await session.ask(NOTIFY, payload)

    async def _listen_light(self, light: Light) -> None:
        async with contextlib.aclosing(light.hints.listen(CHANNEL)) as heard:
            async for payload in heard:
                self._gap() if payload == MISSED else self._take(payload)

    async def _listen(self) -> None:
        """Listen until cancelled, over a connection of its own that is made again when it dies."""
        failures = 0
        while True:
            try:
                await self._hold()
                failures = 0
            except AWAY as error:
                failures += 1
                log.warning("bell.silent", reason=type(error).__name__)
            await asyncio.sleep(min(5.0, 0.2 * 2.0 ** min(failures, 5)) * (0.5 + random.random() / 2))  # noqa: S311 - jitter

    async def _hold(self) -> None:
        connection: Any = await asyncpg.connect(
            self._url,
            timeout=CONNECT,
            command_timeout=CONNECT,
            target_session_attrs=SessionAttribute.read_write,
            server_settings=session_settings(f"dragoman bell {self._owner}"),
        )
        try:
            channel = await connection.fetchval("SELECT 'dragoman_' || current_schema()")
            closed = asyncio.Event()
            connection.add_termination_listener(lambda _: closed.set())
            await connection.add_listener(channel, self._heard)
            self._gap()
            while not closed.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(closed.wait(), ALIVE)
                await connection.fetchval("SELECT 1")
        finally:
            connection.terminate()

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        self._take(str(payload).encode())

    def _take(self, payload: bytes) -> None:
        try:
            hint = msgspec.json.decode(payload, type=Hint)
        except msgspec.DecodeError:
            return  # another release's word: polling is the truth
        if hint.sender != self._owner:
            self._others = self._engines = True
            self._hear(hint)


def _payloads(hint: Hint) -> list[str]:
    """Write a hint as one notification, or in several where it is too long for one."""
    whole = msgspec.json.encode(hint)
    if len(whole) <= LARGEST:
        return [whole.decode()]
    parts = [Hint(hint.sender, wakes=hint.wakes)]
    parts += [Hint(hint.sender, over=hint.over[start : start + 300]) for start in range(0, len(hint.over), 300)]
    parts += [Hint(hint.sender, told=[told]) for told in hint.told]
    return [text.decode() for part in parts if len(text := msgspec.json.encode(part)) <= LARGEST]
