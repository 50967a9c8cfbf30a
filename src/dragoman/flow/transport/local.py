"""The people connected to us: frames for the browser chat and the terminal."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any, Final

from dragoman.wire import Push, Response

Ear = asyncio.Queue[dict[str, Any]]
QUEUE: Final = 1000
"""Frames that wait for one slow reader; it gets the rest from the history when it comes back."""


class Hub:
    """Knows who is connected to which channel of which account."""

    def __init__(self) -> None:
        self._ears: dict[tuple[str, str], set[Ear]] = {}

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
        for ear in self._ears.get((account, push.channel), ()):
            if ear is not but:
                with contextlib.suppress(asyncio.QueueFull):
                    ear.put_nowait(push.frame)
        return Response()
