"""After a restore the store is older than the world: what it would do now may have been done already.

So nothing of it is done by itself. Deliveries and messages that wait are set aside, running broadcasts are paused; and
whatever comes that happened before the restore (a platform's repeat, a reminder's time) is set aside too. An operator
sees all of it with `dragoman parked` and puts back what is wanted.
"""

from typing import Final

import msgspec

NAME: Final = "restored"
"""The name under which the store keeps it."""
UNSURE: Final = "unsure: the store was restored from a backup; it may have been sent since"


class Restoration(msgspec.Struct, frozen=True, kw_only=True):
    """The moment to which the store was restored, and that until which another may have gone on from it."""

    since: float
    until: float


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """How much was set aside."""

    deliveries: int
    events: int
    broadcasts: int


_read = msgspec.json.Decoder(Restoration).decode


def until_of(kept: str) -> float:
    """Return until when another may have gone on, in epoch seconds, from the kept value; 0 when there is none."""
    try:
        return _read(kept).until if kept else 0.0
    except msgspec.DecodeError:
        return 0.0
