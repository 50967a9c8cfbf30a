"""One timer rings for all that is due, each at its time."""

import asyncio
from typing import Self

from dragoman.flow.alarm import Alarm


class Bell:
    """Writes down when it rang, and rings again as often as it is to."""

    def __init__(self, alarm: Alarm, name: str, after: float, rang: list[str], again: float = 0.0) -> None:
        self.due = alarm.loop.time() + after
        self._alarm = alarm
        self._name = name
        self._rang = rang
        self._again = again

    def added(self) -> Self:
        self._alarm.add(self)
        return self

    def ring(self, now: float) -> None:
        assert now >= self.due
        self._rang.append(self._name)
        if self._again:
            self.due, self._again = now + self._again, 0.0
        else:
            self._alarm.drop(self)


async def test_what_is_due_first_rings_first_whenever_it_was_added() -> None:
    alarm, rang = Alarm(asyncio.get_running_loop()), list[str]()
    Bell(alarm, "late", 0.15, rang).added()
    Bell(alarm, "early", 0.05, rang).added()
    Bell(alarm, "between", 0.1, rang).added()

    await asyncio.sleep(0.3)

    assert rang == ["early", "between", "late"]


async def test_what_was_dropped_does_not_ring_and_the_others_do() -> None:
    alarm, rang = Alarm(asyncio.get_running_loop()), list[str]()
    dropped = Bell(alarm, "dropped", 0.02, rang).added()
    Bell(alarm, "kept", 0.06, rang).added()
    alarm.drop(dropped)

    await asyncio.sleep(0.2)

    assert rang == ["kept"]


async def test_what_has_another_time_when_it_rang_rings_then() -> None:
    alarm, rang = Alarm(asyncio.get_running_loop()), list[str]()
    Bell(alarm, "twice", 0.02, rang, again=0.1).added()
    Bell(alarm, "once", 0.06, rang).added()

    await asyncio.sleep(0.3)

    assert rang == ["twice", "once", "twice"]


async def test_one_that_is_added_when_all_have_rung_rings_too() -> None:
    alarm, rang = Alarm(asyncio.get_running_loop()), list[str]()
    Bell(alarm, "first", 0.02, rang).added()
    await asyncio.sleep(0.1)
    Bell(alarm, "second", 0.02, rang).added()
    await asyncio.sleep(0.1)

    assert rang == ["first", "second"]
