"""Bodies whose bytes are no text any more: a flipped bit that SQLite does not see, and that must not stop the line."""

from typing import TYPE_CHECKING, Final

import pytest
from tests.store.test_trouble import begins_anew

from dragoman.model import Timer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.store.conftest import Line, MakeLine


@pytest.fixture
def make_line(make_line_on: "Callable[[str], MakeLine]") -> "MakeLine":
    """Give lines on files only: PostgreSQL refuses such a text."""
    return make_line_on("sqlite")


NO_TEXT: Final = "CAST(x'7b22ff223a317d' AS TEXT)"
"""A text to SQLite, which looks at no byte of it; a character that there is not to everybody else."""


async def test_a_state_that_is_no_text_any_more_begins_anew_and_stops_nobody(line: "Line") -> None:
    await begins_anew(line, NO_TEXT)


async def test_a_state_that_is_no_text_any_more_is_none_to_who_asks_about_a_conversation(line: "Line") -> None:
    await line.accept("c1")
    await line.commit(await line.claim(), state={"v": 1})
    await line.database.change(f"UPDATE conversation SET state = {NO_TEXT}")  # noqa: S608 - of ours

    assert await line.store.reader.at_rest("c1") == {}


async def test_an_event_that_is_no_text_any_more_is_parked_and_stops_nobody(line: "Line") -> None:
    damaged = await line.accept("c1")
    await line.database.change(f"UPDATE inbox SET event = {NO_TEXT}")  # noqa: S608 - of ours
    await line.accept("c1")
    await line.accept("c2")

    assert await line.claimed() == ["c2"]
    assert await line.claimed() == ["c1"]
    assert await line.store.reader.status(damaged.id) == "parked"


@pytest.mark.parametrize("column", ["action", "address", "ids"])
async def test_a_delivery_that_is_no_text_any_more_is_parked_and_the_next_leaves(line: "Line", column: str) -> None:
    await line.answer("c1", "damaged", "next")
    await line.answer("c2", "another's")
    await line.database.change(f"UPDATE outbox SET {column} = {NO_TEXT} WHERE id = 1")  # noqa: S608 - of ours

    assert await line.taken() == ["another's"]
    assert await line.taken() == ["next"]
    (parked,) = await line.store.reader.parked(10)
    assert (parked.id, parked.reason) == ("d1", "this release cannot read it")


async def test_who_follows_what_was_told_is_not_stopped_by_what_is_no_text_any_more(line: "Line") -> None:
    await line.answer("c1", "hello")
    await line.send()
    await line.database.change(f"UPDATE outbox SET action = {NO_TEXT}")  # noqa: S608 - of ours
    await line.accept("c2", text="whole")

    told = (await line.store.reader.follow(0, 10)).told

    assert [(entry.event and entry.event.conversation, entry.said) for entry in told] == [
        ("c1", None),
        (None, None),
        ("c2", None),
    ]


async def test_a_timer_that_is_no_text_any_more_is_named_and_holds_no_other_up(line: "Line") -> None:
    timers = line.store.timers
    event = line.event(kind="timer", key="to be given")
    both = [Timer(name=name, at=line.clock() + 10, event=event, person="p", task="t") for name in ("damaged", "whole")]
    await timers.set(both)
    await line.database.change(f"UPDATE timer SET timer = {NO_TEXT} WHERE name = 'damaged'")  # noqa: S608 - of ours
    line.clock.advance(10)

    due = await timers.due(10, 10)

    assert due.unreadable == ("damaged",)
    for found in (
        [standing.timer for standing in [*due.timers, *await timers.of_tasks()]],
        await timers.of_person("p", 9),
    ):
        assert {timer.name for timer in found} == {"whole"}
