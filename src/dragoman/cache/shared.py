"""The second level: values in the shared server, each proven by a hash over its key and itself.

A value that someone else wrote, that was cut, that belongs to another key or was spoilt on the way is a miss, counted
as `wrong`. With a seal (a key that only our replicas know) nobody else can write one that passes.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

from dragoman.cache.level import Found, Tally
from dragoman.cache.server import Away, Server, Wrong

LARGEST: Final = 1 << 20
"""Bytes of one value; a larger one is not shared."""
VERSION: Final = b"\x01"
HASH: Final = 16
HEAD: Final = len(VERSION) + HASH
LONGEST: Final = 30 * 86_400.0
"""Seconds after which the server forgets a value, however long it was to be kept."""
DOUBTFUL: Final = 10_000
"""Keys remembered whose value in the server may be an old one."""


class Shared:
    """Keeps values in the server, under names that begin with `prefix`."""

    def __init__(self, server: Server, prefix: str, seal: bytes = b"") -> None:
        """`seal` is the key of the hash: at most 64 bytes."""
        self._server = server
        self._prefix = f"{prefix}value:"
        self._seal = seal
        self._doubtful: OrderedDict[str, None] = OrderedDict()
        self._tally = Tally("shared")

    async def get(self, key: str) -> Found | None:
        """Return what is kept under a key."""
        if key in self._doubtful:
            await self.drop(key)
            self._tally("away")
            return None
        name = self._prefix + key

        def read(answers: Sequence[Any]) -> Found | None:
            return self._read(name, *answers)

        try:
            found = await self._server.ask(read, ("GETRANGE", name, 0, HEAD + LARGEST), ("PTTL", name))
        except Away:
            self._tally("away")
            return None
        except Wrong:
            self._tally("wrong")
            return None
        self._tally("miss" if found is None else "hit")
        return found

    async def set(self, key: str, value: bytes, seconds: float) -> None:
        """Keep a value for so many seconds."""
        name, milliseconds = self._prefix + key, int(min(seconds, LONGEST) * 1000)
        if milliseconds <= 0 or len(value) > LARGEST:
            await self.drop(key)
            return
        whole = VERSION + self._hash(name, value) + value
        await self._change(key, b"OK", "SET", name, whole, "PX", milliseconds)

    async def drop(self, key: str) -> None:
        """Forget a key."""
        await self._change(key, None, "UNLINK", self._prefix + key)

    async def _change(self, key: str, expected: bytes | None, *command: str | bytes | int) -> None:
        """Change what is kept under a key; when nobody knows whether it was done, the key is not read until it is."""

        def read(answers: Sequence[Any]) -> None:
            if expected is not None and answers != [expected]:
                raise Wrong

        self._doubtful[key] = None
        self._doubtful.move_to_end(key)
        try:
            await self._server.ask(read, command)
        except (Away, Wrong):
            while len(self._doubtful) > DOUBTFUL:
                self._doubtful.popitem(last=False)
            return
        self._doubtful.pop(key, None)

    def _read(self, name: str, whole: object, left: object) -> Found | None:
        if whole == b"" or left == -2:  # not there, or grown old between the two commands
            return None
        if not isinstance(whole, bytes) or not isinstance(left, int) or left < 0:
            raise Wrong
        value = whole[HEAD:]
        if whole[:HEAD] != VERSION + self._hash(name, value):
            raise Wrong
        return Found(value, left / 1000)

    def _hash(self, name: str, value: bytes) -> bytes:
        whole = hashlib.blake2b(f"{len(name)}:{name}".encode(), digest_size=HASH, key=self._seal)
        whole.update(value)
        return whole.digest()
