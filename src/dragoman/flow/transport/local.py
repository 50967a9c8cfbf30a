"""The people connected to us: frames for the browser chat and the terminal."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from dragoman.wire import Push, Response

Ear = asyncio.Queue[dict[str, Any]]
LONGEST: Final = 5000
"""Bytes of a frame that other replicas are told; in place of a longer one they hear that there is something."""
AGAIN: Final[dict[str, Any]] = {"type": "again"}
"""The frame that says: something was said, read the history."""
QUEUE: Final = 1000
"""Frames that wait for one slow reader; it gets the rest from the history when it comes back."""


class Hub:
    """Knows who is connected to which channel of which account; other replicas are told what this one does not have."""

    def __init__(self) -> None:
        self._ears: dict[tuple[str, str], set[Ear]] = {}
        self.tell: Callable[[str], None] = lambda _: None
        """Tells the other replicas."""

    @contextlib.contextmanager
    def listen(self, account: str, channel: str) -> Iterator[Ear]:
        """Hear the frames of a channel while the context is open."""
        ear: Ear = asyncio.Queue(QUEUE)
        ears = self._ears.setdefault((account, channel), set())
        ears.add(ear)
        try:
            yield ear
        finally:
            ears.discard(ear)
            if not ears:
                self._ears.pop((account, channel), None)

    def carry(self, account: str, push: Push, *, but: Ear | None = None) -> Response:
        """Hand a frame to everyone connected (`but` one); whoever is not reads it in the history later."""
        self._hand(account, push, but)
        told = msgspec.json.encode([account, push.channel, push.frame])
        self.tell((told if len(told) <= LONGEST else msgspec.json.encode([account, push.channel, AGAIN])).decode())
        return Response()

    def hear(self, told: str) -> None:
        """Hand on what another replica told."""
        account, channel, frame = msgspec.json.decode(told, type=tuple[str, str, dict[str, Any]])
        self._hand(account, Push(channel=channel, frame=frame))

    def look_again(self) -> None:
        """Let everyone connected read the history: something may not have been heard."""
        for account, channel in list(self._ears):
            self._hand(account, Push(channel=channel, frame=AGAIN))

    def _hand(self, account: str, push: Push, but: Ear | None = None) -> None:
        for ear in self._ears.get((account, push.channel), ()):
            if ear is not but:
                with contextlib.suppress(asyncio.QueueFull):
                    ear.put_nowait(push.frame)
