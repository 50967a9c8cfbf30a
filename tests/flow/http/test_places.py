"""Places for requests: as many as there are, each for one at a time, and in the order of those that wait."""

import asyncio
import contextlib

from dragoman.flow.transport.connections import Places


async def waiting(places: Places) -> asyncio.Task[None]:
    task = asyncio.create_task(places.wait())
    await asyncio.sleep(0)
    return task


async def given_up(task: asyncio.Task[None]) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_there_are_as_many_places_as_one_asks_for() -> None:
    places = Places(2)

    assert [places.take() for _ in range(3)] == [True, True, False]
    places.leave()
    assert [places.take() for _ in range(2)] == [True, False]


async def test_who_waits_gets_a_place_in_turn_and_before_who_comes_later() -> None:
    places = Places(1)
    places.take()
    first, second = await waiting(places), await waiting(places)

    places.leave()
    assert not places.take()
    await first
    await asyncio.sleep(0)
    assert not second.done()
    places.leave()
    await second

    places.leave()
    assert places.take()


async def test_who_gives_up_is_passed_over() -> None:
    places = Places(1)
    places.take()
    first, second, third = [await waiting(places) for _ in range(3)]

    first.cancel()
    await given_up(first)
    second.cancel()
    places.leave()
    await given_up(second)

    await third
    assert not places.take()


async def test_a_place_that_was_handed_to_who_gives_up_in_that_moment_goes_on() -> None:
    places = Places(1)
    places.take()
    first, second = await waiting(places), await waiting(places)

    places.leave()
    first.cancel()
    await given_up(first)
    await second
    places.leave()

    assert [places.take() for _ in range(2)] == [True, False]
