"""Following what was told: in order, nothing skipped and nothing twice, whoever commits when."""

import asyncio
from typing import TYPE_CHECKING

import asyncpg

from dragoman.adapter import Receipt
from dragoman.model import Address, Event, Say, Sender
from dragoman.store.base import Later, Parked, Times
from dragoman.store.postgres import PostgresStore
from dragoman.store.postgres.reader import Horizon
from dragoman.store.told import Told
from dragoman.testing.clock import FakeClock

if TYPE_CHECKING:
    from tests.store.conftest import Line

DAY = 86_400.0


def text(told: Told) -> str:
    if told.event is not None:
        return told.event.key
    assert told.said is not None
    assert isinstance(told.said.action, Say)
    return told.said.action.message.text


async def followed(line: "Line", cursor: int = 0) -> list[str]:
    found = await line.store.reader.follow(cursor, 100)
    return [text(told) for told in found.told if told.event or told.said]


async def test_what_was_written_and_what_was_sent_are_told_in_order(line: "Line") -> None:
    await line.accept("c1", "k1")
    await line.accept("c1", "k2", kind="edit", wants_turn=False)
    await line.commit(await line.claim(), "hello", "again")

    assert await followed(line) == ["k1", "k2"]
    await line.send()
    assert await followed(line) == ["k1", "k2", "hello"]
    await line.send(Later(after=0, reason="503"))
    await line.send(Parked(reason="refused"))
    assert await followed(line) == ["k1", "k2", "hello"]


async def test_what_was_parked_is_told_when_it_was_sent_after_all(line: "Line") -> None:
    await line.answer("c1", "hello")
    delivery = await line.send(Parked(reason="refused"))
    await line.store.redrive(f"d{delivery.id}")
    await line.send()

    assert (await followed(line))[1:] == ["hello"]


async def test_a_repeat_is_told_once(line: "Line") -> None:
    await line.accept("c1", "k1")
    await line.accept("c1", "k1")

    assert await followed(line) == ["k1"]


async def test_what_is_refused_is_not_told_and_what_is_parked_is(line: "Line") -> None:
    line.store.most_pending = 1
    await line.accept("c1", "k1")
    await line.store.accept("acme", *line.arrival("k2"), surplus="refuse")
    await line.store.accept("acme", *line.arrival("k3"), surplus="park")

    assert await followed(line) == ["k1", "k3"]


async def test_a_follower_goes_on_where_it_was_and_can_read_the_same_again(line: "Line") -> None:
    for number in range(5):
        await line.accept("c1", f"k{number}")

    first = await line.store.reader.follow(0, 2)
    rest = await line.store.reader.follow(first.cursor, 100)
    await line.accept("c1", "later")
    again = await line.store.reader.follow(first.cursor, 100, rest.cursor)

    assert [text(told) for told in first.told] == ["k0", "k1"]
    assert [text(told) for told in rest.told] == ["k2", "k3", "k4"]
    assert again == rest
    assert await followed(line, rest.cursor) == ["later"]
    assert (await line.store.reader.follow(rest.cursor + 1, 100)).told == ()


async def test_what_the_bot_said_names_what_it_answers(line: "Line") -> None:
    await line.answer("c1", "hello")
    await line.send()

    said = (await line.store.reader.follow(0, 100)).told[-1].said
    assert said is not None
    assert said.answers is not None
    assert (said.answers.sender.id, said.conversation, said.ids, said.last) == ("u1", "c1", ("p1",), None)


async def test_what_answers_nobody_comes_with_the_last_message_of_its_conversation(line: "Line") -> None:
    await line.accept("c1", "k1")
    await line.commit(await line.claim())
    await line.accept("c1", "t@1", kind="timer")
    await line.commit(await line.claim(), "time is up")
    await line.send()

    said = (await line.store.reader.follow(0, 100)).told[-1].said
    assert said is not None
    assert said.last is not None
    assert said.last.key == "k1"


async def test_numbers_are_not_given_twice_after_everything_was_pruned(line: "Line") -> None:
    for number in range(3):
        await line.answer("c1", f"k{number}")
    cursor = (await line.store.reader.follow(0, 100)).cursor
    line.clock.advance(200 * DAY)
    await line.store.prune(line.clock() - 90 * DAY, line.clock() - 7 * DAY)

    await line.crash()
    await line.accept("c1", "young")

    assert await followed(line, cursor) == ["young"]


async def test_a_number_counts_when_all_who_were_writing_have_ended() -> None:
    horizon = Horizon()
    assert horizon.seen(5, frozenset({"a", "b"})) == 0
    assert horizon.seen(7, frozenset({"b", "c"})) == 0
    assert horizon.seen(9, frozenset({"c"})) == 5
    assert horizon.seen(11, frozenset()) == 11
    assert horizon.seen(3, frozenset({"d"})) == 0


async def test_nothing_above_an_open_transaction_is_given_out(database: str, clock: FakeClock) -> None:
    store = await PostgresStore.open(database, clock)
    hand = await asyncpg.connect(database)
    try:
        open_ = hand.transaction()
        await open_.start()
        await hand.execute("INSERT INTO told (at, inbox) VALUES (0, 1)")
        await store.accept("acme", Receipt(events=(event("after"),), raw=b"{}"), Times())

        assert (await store.reader.follow(0, 100)).told == ()  # nobody knows yet who of them was writing
        assert (await store.reader.follow(0, 100)).told == ()
        await open_.commit()
        assert [told.id for told in (await store.reader.follow(0, 100)).told] == [1, 2]
    finally:
        await hand.close()
        await store.close()


def event(key: str) -> Event:
    address = Address(account="acme", channel="c1")
    return Event(
        key=key, account="acme", platform="test", conversation="c1", address=address, sender=Sender(id="u1"), at=1.0
    )


async def test_while_many_write_at_once_nothing_is_skipped(line: "Line") -> None:
    """Conversations of their own, so that transactions overlap; the follower reads all the while."""
    seen: list[str] = []
    cursor, done = 0, False

    async def follow() -> None:
        nonlocal cursor
        while True:
            last = done
            found = await line.store.reader.follow(cursor, 7)
            seen.extend(text(told) for told in found.told)
            cursor = found.cursor
            if last and not found.told:
                return
            await asyncio.sleep(0.001)

    async def write(writer: int) -> None:
        for number in range(20):
            await line.accept(f"c{writer}", f"{writer}.{number}")

    following = asyncio.create_task(follow())
    await asyncio.gather(*(write(writer) for writer in range(10)))
    done = True
    async with asyncio.timeout(20):
        await following

    assert sorted(seen) == sorted(f"{writer}.{number}" for writer in range(10) for number in range(20))
    for writer in range(10):
        mine = [each for each in seen if each.startswith(f"{writer}.")]
        assert mine == [f"{writer}.{number}" for number in range(20)]
