"""Hints between replicas: "look now". They may be lost, and are never the truth: a lost one costs latency only."""

import asyncio
import contextlib
import hashlib
import random
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final

from dragoman import telemetry
from dragoman.cache.server import BROKEN, Away, Line, Server
from dragoman.cache.together import MISSED

ALIVE: Final = 10.0
"""Seconds of silence after which the listening connection is asked whether it still lives."""
ANSWER: Final = 2.0
"""Seconds for its answer."""
PAUSE: Final = (0.2, 5.0)
"""Seconds between two attempts to listen: at first, and at most."""
PROOF: Final = 8

log = telemetry.logger("cache.hints")


class SharedHints:
    """Rings for other replicas, and hears them (see `Hints`), by the server's channels."""

    def __init__(self, server: Server, prefix: str, seal: bytes = b"", *, alive: float = ALIVE) -> None:
        """`seal` is the key of the proof that a hint is ours, at most 64 bytes; `alive` as `ALIVE`."""
        self._server = server
        self._prefix = f"{prefix}hint:"
        self._seal = seal
        self._alive = alive

    async def ring(self, channel: str, payload: bytes) -> None:
        """Tell everyone who listens to a channel, this process too, at most once."""
        name = self._prefix + channel
        with contextlib.suppress(Away):
            await self._server.ask(_ignored, ("PUBLISH", name, self._proof(name, payload) + payload))

    async def listen(self, channel: str) -> AsyncGenerator[bytes, None]:
        """Give what is rung on a channel, for ever; `MISSED` first, and whenever the connection had to be made again.

        What nobody of ours has rung is left out. Close the iterator (`contextlib.aclosing`) to end the connection.
        """
        failures = 0
        while True:
            try:
                async with contextlib.aclosing(self._hear(self._prefix + channel)) as heard:
                    async for payload in heard:
                        failures = 0
                        yield payload
            except BROKEN as error:
                failures += 1
                if failures == 1:
                    log.warning("cache.deaf", reason=type(error).__name__)
            await asyncio.sleep(min(PAUSE[1], PAUSE[0] * 2.0**failures) * random.uniform(0.5, 1.0))  # noqa: S311 - jitter

    async def _hear(self, name: str) -> AsyncGenerator[bytes, None]:
        """Give what is rung while one connection lives."""
        async with self._server.line() as line:
            await line.say(("SUBSCRIBE", name))
            while True:
                message = await self._next(line)
                if message[0] == b"subscribe":
                    yield MISSED
                elif message[0] == b"message" and (payload := self._proven(name, message)) is not None:
                    yield payload

    async def _next(self, line: Line) -> list[Any]:
        """Read on; a connection that is silent for long must show that it lives. Raises what `BROKEN` names."""
        message = await line.hear(self._alive)
        if message is None:
            await line.say(("PING",))
            message = await line.hear(ANSWER)
        if not isinstance(message, list) or not message:
            raise EOFError("the connection is dead, or says nonsense")
        return message

    def _proof(self, name: str, payload: bytes) -> bytes:
        whole = hashlib.blake2b(f"{len(name)}:{name}".encode(), digest_size=PROOF, key=self._seal)
        whole.update(payload)
        return whole.digest()

    def _proven(self, name: str, message: Sequence[Any]) -> bytes | None:
        whole = message[-1]
        if len(message) != 3 or not isinstance(whole, bytes) or whole[:PROOF] != self._proof(name, whole[PROOF:]):
            return None
        return whole[PROOF:]


def _ignored(_answers: Sequence[Any]) -> None:
    """Nobody needs to know how many heard it."""
