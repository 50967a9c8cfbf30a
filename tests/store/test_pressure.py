"""A conversation that floods: what is more than may wait is parked or refused, alone; and how long a claim waited."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dragoman.adapter import Receipt
from dragoman.model import Event
from dragoman.store.base import Accepted, Surplus, Times

if TYPE_CHECKING:
    from tests.store.conftest import Line


async def bring(line: "Line", *events: Event, surplus: Surplus = "park") -> Sequence[Accepted]:
    """Accept what one request brought."""
    times = Times(received=line.clock(), authenticated=line.clock(), parsed=line.clock())
    return await line.store.accept("acme", Receipt(events=events, raw=b"{}"), times, surplus=surplus)


async def full_of(line: "Line", count: int, conversation: str = "c1") -> None:
    """Let a conversation be full."""
    line.store.most_pending = count
    await line.receive(*(line.event(conversation) for _ in range(count)))


async def texts(line: "Line") -> list[str]:
    """Take everything the whole way; returns what was said to the bot, in order."""
    heard = []
    while claims := await line.store.claim(10):
        for claim in claims:
            heard.append(claim.events[0].event.text)
            await line.commit(claim)
    return heard


async def test_what_is_more_than_may_wait_is_parked_with_a_reason(line: "Line") -> None:
    await full_of(line, 3)

    (surplus,) = await bring(line, line.event(text="fourth"))

    assert surplus.surplus
    assert not surplus.duplicate
    (parked,) = await line.store.reader.parked(10)
    assert (parked.id, parked.reason) == (f"e{surplus.id}", "3 messages of this conversation wait already")
    assert (await line.store.reader.depths()).inbox == 3
    assert line.store.waiting() == 3


async def test_a_parked_surplus_is_redriven_and_gets_its_turn(line: "Line") -> None:
    await full_of(line, 2)
    (surplus,) = await bring(line, line.event(text="third"))
    assert await texts(line) == ["", ""]

    await line.store.redrive(f"e{surplus.id}")

    assert await texts(line) == ["third"]


async def test_a_refused_surplus_leaves_nothing_and_is_taken_when_it_comes_again(line: "Line") -> None:
    await full_of(line, 2)
    third = line.event(text="third")

    (refused,) = await bring(line, third, surplus="refuse")

    assert (refused.id, refused.surplus, refused.duplicate) == (0, True, False)
    assert await line.store.reader.parked(10) == []
    assert await line.store.reader.trace(third.key) is None
    assert await texts(line) == ["", ""]
    (again,) = await bring(line, third, surplus="refuse")
    assert not again.surplus
    assert not again.duplicate
    assert await texts(line) == ["third"]


async def test_a_conversation_that_floods_holds_up_no_other(line: "Line") -> None:
    await full_of(line, 2, "c1")

    surplus, other = await bring(line, line.event("c1"), line.event("c2", text="other"), surplus="refuse")

    assert surplus.surplus
    assert not other.surplus
    assert other.id > 0
    assert await line.claimed() == ["c1", "c2"]


async def test_one_request_may_fill_a_conversation_and_no_more(line: "Line") -> None:
    line.store.most_pending = 3

    accepted = await bring(line, *(line.event(text=str(number)) for number in range(5)))

    assert [item.surplus for item in accepted] == [False, False, False, True, True]
    assert await texts(line) == ["0", "1", "2"]


async def test_a_repeat_of_what_waits_is_a_repeat_however_much_waits(line: "Line") -> None:
    line.store.most_pending = 1
    first = line.event()
    (accepted,) = await bring(line, first)

    (repeat,) = await bring(line, first, surplus="refuse")

    assert (repeat.id, repeat.duplicate, repeat.surplus) == (accepted.id, True, False)


async def test_a_repeat_of_a_parked_surplus_is_a_repeat(line: "Line") -> None:
    await full_of(line, 1)
    second = line.event()
    (parked,) = await bring(line, second)

    (repeat,) = await bring(line, second)

    assert (repeat.id, repeat.duplicate, repeat.surplus) == (parked.id, True, False)


async def test_what_wants_no_turn_is_kept_however_much_waits(line: "Line") -> None:
    await full_of(line, 1)

    (edit,) = await bring(line, line.event(kind="edit", wants_turn=False), surplus="refuse")

    assert not edit.surplus
    assert await line.store.reader.status(edit.id) == "done"


async def test_there_is_room_again_after_a_turn(line: "Line") -> None:
    await full_of(line, 2)
    await line.commit(await line.claim())

    (accepted,) = await bring(line, line.event())

    assert not accepted.surplus


async def test_a_claim_says_how_long_its_conversation_was_ready(line: "Line") -> None:
    await line.accept("c1")
    await line.accept("c1")
    line.clock.advance(70)

    first = await line.claim()
    line.clock.advance(20)
    await line.commit(first)
    line.clock.advance(5)
    second = await line.claim()

    assert first.waited == 70
    assert second.waited == 5  # its own conversation's turn is no delay of the queue


async def test_a_conversation_at_rest_shows_its_state(line: "Line") -> None:
    assert await line.store.reader.at_rest("c1") == {}
    await line.accept("c1")
    assert await line.store.reader.at_rest("c1") is None
    claim = await line.claim()
    assert await line.store.reader.at_rest("c1") is None

    await line.commit(claim, state={"v": 1, "joined": True})

    assert await line.store.reader.at_rest("c1") == {"v": 1, "joined": True}
