"""A clock that stands still until it is told to go on."""

from typing import Final

START: Final = 1_700_000_000.0
"""2023-11-14 22:13:20 UTC."""


class FakeClock:
    """Epoch seconds on call, as every part of the house takes its clock."""

    def __init__(self, now: float = START) -> None:
        """Stand at `now`."""
        self.now = now

    def __call__(self) -> float:
        """Return the time in epoch seconds."""
        return self.now

    def advance(self, seconds: float) -> float:
        """Go on by so many seconds; returns the new time."""
        self.now += seconds
        return self.now
