"""Rows with a text that is none any more (a flipped bit, which SQLite does not see): set aside, and they stop nobody.

They are looked for at the start, and when a statement could not give one. Bodies are not meant: they are read as bytes.
"""

from collections.abc import Iterable

from dragoman import telemetry
from dragoman.store.sqlite.statements import Connection, rows, run
from dragoman.store.stored import UNREADABLE, read_text

log = telemetry.logger("store")


def deliveries(connection: Connection) -> list[int]:
    """Find the deliveries that cannot be told any more; one behind another in its lane is met by no statement."""
    return [number for number, *texts in rows(connection, "delivery_texts") if not _are_texts(texts)]


def set_deliveries_aside(connection: Connection, now: float) -> None:
    """Park the deliveries that cannot be told any more, and let every lane that waits for one of them go on."""
    for number in deliveries(connection):
        run(connection, "park_unreadable", id=number, now=now)
    run(connection, "wake_lanes", at=now)


def set_conversations_aside(connection: Connection) -> list[int]:
    """Let the conversations that cannot be named any more rest; returns their events, which are parked."""
    parked: list[int] = []
    for name, head in rows(connection, "conversation_names"):
        if not _are_texts([name]):
            log.error("conversation.unreadable", conversation=name.decode(errors="replace"))
            run(connection, "rest_unreadable", conversation=name)
            parked += [number for (number,) in rows(connection, "park_orphans", head=head)]
    return parked


def set_timers_aside(connection: Connection) -> None:
    """Let the timers that cannot be named any more rest, as paused ones do."""
    for (name,) in rows(connection, "timer_names"):
        if not _are_texts([name]):
            log.error("timer.unreadable", timer=name.decode(errors="replace"), reason="its name is no text any more")
            run(connection, "rest_unreadable_timer", name=name)


def _are_texts(found: Iterable[bytes]) -> bool:
    try:
        for text in found:
            read_text(text)
    except UNREADABLE:
        return False
    return True
