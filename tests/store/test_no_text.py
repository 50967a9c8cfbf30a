"""Bodies whose bytes are no text any more: a flipped bit that SQLite does not see, and that must not stop the line."""

import asyncio
from typing import TYPE_CHECKING, Final

import pytest
from tests.store.conftest import said
from tests.store.test_broadcasts import feed, running
from tests.store.test_trouble import begins_anew, die

from dragoman.errors import Malformed
from dragoman.model import Sender, Timer
from dragoman.store.person import Person
from dragoman.testing.logs import captured

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


async def test_lines_that_are_no_texts_any_more_are_left_out_of_a_history(line: "Line") -> None:
    await line.answer("c1", "damaged", "whole")
    await line.accept("c1", key="edit", kind="edit", wants_turn=False)
    await line.database.change(f"UPDATE inbox SET event = {NO_TEXT}")  # noqa: S608 - of ours
    await line.database.change(f"UPDATE outbox SET action = {NO_TEXT} WHERE id = 1")  # noqa: S608 - of ours

    assert [told.text for told in await line.store.reader.history("c1", 10)] == ["whole"]


async def test_an_event_that_is_no_text_any_more_is_parked_and_stops_nobody(line: "Line") -> None:
    damaged = await line.accept("c1")
    await line.database.change(f"UPDATE inbox SET event = {NO_TEXT}")  # noqa: S608 - of ours
    await line.accept("c1")
    await line.accept("c2")

    assert await line.claimed() == ["c2"]
    assert await line.claimed() == ["c1"]
    assert await line.store.reader.status(damaged.id) == "parked"


@pytest.mark.parametrize("column", ["action", "address", "ids", "key", "conversation", "class"])
async def test_a_delivery_that_is_no_text_any_more_is_parked_and_the_next_leaves(line: "Line", column: str) -> None:
    await line.answer("c1", "damaged", "next")
    await line.answer("c2", "another's")
    await line.database.change(f"UPDATE outbox SET {column} = {NO_TEXT} WHERE id = 1")  # noqa: S608 - of ours

    assert await line.taken() == ["another's"]
    assert await line.taken() == ["next"]
    (parked,) = await line.store.reader.parked(10)
    assert (parked.id, parked.reason) == ("d1", "this release cannot read it")
    await line.answer("c1", "later")
    assert (await line.store.reader.depths()).outbox == 3  # two are being sent


async def test_what_cannot_be_told_any_more_fills_no_place_of_what_can(line: "Line") -> None:
    for number in range(20):
        await line.answer(f"bad{number}", "damaged")
    await line.database.change(f"UPDATE outbox SET key = {NO_TEXT} || id")  # noqa: S608 - of ours
    await line.answer("good", "good")
    line.clock.advance(1)

    taken: list[str] = []
    async with asyncio.timeout(5):
        while not taken:
            taken = said(await line.store.take(2, (), 60))  # looks by itself only after a minute

    assert taken == ["good"]
    assert (await line.store.reader.depths()).parked == 20


@pytest.mark.parametrize("column", ["key", "conversation"])
async def test_a_broadcast_ends_though_a_delivery_of_it_cannot_be_told_any_more(line: "Line", column: str) -> None:
    broadcast = await running(line, "a", "b")
    await feed(line, broadcast)
    await line.database.change(f"UPDATE outbox SET {column} = {NO_TEXT} WHERE id = 1")  # noqa: S608 - of ours
    await line.send()
    broadcasts = line.store.broadcasts

    assert dict(await broadcasts.collect()) == {"sent": 1, "unknown" if column == "key" else "failed": 1}

    assert await broadcasts.finish() == [broadcast.id]
    assert len(await broadcasts.recipients(broadcast.id, ["sent", "failed", "unknown"], 0, 10)) == 2


async def test_a_pause_withdraws_what_can_be_told_beside_what_cannot(line: "Line") -> None:
    broadcast = await running(line, "a", "b")
    await feed(line, broadcast)
    await line.database.change(f"UPDATE outbox SET conversation = {NO_TEXT} WHERE id = 1")  # noqa: S608 - of ours

    assert await line.store.broadcasts.change(broadcast.id, "paused")

    assert await line.taken() == []
    assert await line.rows("outbox") == []


@pytest.mark.parametrize("cls", ["reply", "broadcast"])
async def test_an_interrupted_send_that_cannot_be_told_any_more_keeps_no_store_closed(line: "Line", cls: str) -> None:
    await line.answer("c1", "damaged", "next", cls=cls)
    await line.answer("c2", "another's", cls=cls)
    assert await line.taken() == ["damaged", "another's"]
    await line.database.change(f"UPDATE outbox SET conversation = {NO_TEXT} WHERE id = 1")  # noqa: S608 - of ours

    await line.crash()

    assert "next" in await line.taken()
    assert "d1" in [row.id for row in await line.store.reader.parked(10)]


async def test_one_that_waits_behind_another_and_cannot_be_told_any_more_is_set_aside_at_the_next_start(
    line: "Line",
) -> None:
    await line.answer("c1", "first", "damaged", "next")
    await line.database.change(f"UPDATE outbox SET conversation = {NO_TEXT} WHERE id = 2")  # noqa: S608 - of ours

    await line.crash()

    assert [row.id for row in await line.store.reader.parked(10)] == ["d2"]
    await line.send()
    assert await line.taken() == ["next"]


async def test_a_conversation_that_cannot_be_named_any_more_is_set_aside_and_stops_nobody(line: "Line") -> None:
    waiting = [await line.accept("c1"), await line.accept("c1")]
    await line.accept("c2")
    await line.database.change(f"UPDATE conversation SET id = {NO_TEXT} WHERE id = 'c1'")  # noqa: S608 - of ours
    await line.accept("c1")

    assert await line.claimed() == ["c1", "c2"]

    parked = await line.store.reader.parked(10)
    assert {row.id for row in parked} == {f"e{accepted.id}" for accepted in waiting}
    assert {row.reason for row in parked} == {"its conversation cannot be read"}
    assert line.store.waiting() == 2


async def test_what_was_set_aside_with_its_conversation_can_be_put_back(line: "Line") -> None:
    accepted = await line.accept("c1")
    await line.database.change(f"UPDATE conversation SET id = {NO_TEXT}")  # noqa: S608 - of ours
    assert await line.claimed() == []

    await line.store.redrive(f"e{accepted.id}")

    claim = await line.claim()
    assert (claim.conversation, claim.events[0].id) == ("c1", accepted.id)


async def test_a_suspect_that_cannot_be_named_any_more_is_set_aside(line: "Line") -> None:
    await line.accept("c1")
    await die(line, 2)
    await line.accept("c2")
    await line.database.change(f"UPDATE conversation SET id = {NO_TEXT} WHERE id = 'c1'")  # noqa: S608 - of ours

    assert await line.claimed() == ["c2"]
    assert (await line.store.reader.depths()).parked == 1


async def test_a_reason_that_is_no_text_any_more_stops_nobody(line: "Line") -> None:
    await line.accept("c1")
    await line.accept("c1")
    await line.accept("c2")
    await line.database.change(f"UPDATE inbox SET reason = {NO_TEXT}")  # noqa: S608 - of ours

    claims = {claim.conversation: claim for claim in await line.store.claim(10)}
    assert set(claims) == {"c1", "c2"}
    await line.commit(claims["c1"])
    assert await line.claimed() == ["c1"]


async def test_what_cannot_be_told_any_more_stays_parked(line: "Line") -> None:
    await line.answer("c1", "damaged")
    await line.database.change(f"UPDATE outbox SET key = {NO_TEXT}")  # noqa: S608 - of ours
    assert await line.taken() == []

    with pytest.raises(Malformed):
        await line.store.redrive("d1")

    assert [row.id for row in await line.store.reader.parked(10)] == ["d1"]


@pytest.mark.parametrize("held", [False, True], ids=["", "while somebody is held"])
@pytest.mark.parametrize("column", ["conversation", "status", "event"])
async def test_an_event_that_is_no_text_any_more_keeps_nothing_from_being_pruned(
    line: "Line", column: str, *, held: bool
) -> None:
    for name in ("c1", "c2"):
        await line.answer(name)
    await line.database.change(f"UPDATE inbox SET {column} = {NO_TEXT} WHERE id = 1")  # noqa: S608 - of ours
    line.clock.advance(1)
    if held:
        await line.store.people.hold(Person.read("acme//another"), "asked", line.clock())

    assert await line.store.prune(line.clock(), line.clock()) > 0

    assert await line.rows("inbox") == []


@pytest.mark.parametrize("column", ["key", "conversation"])
async def test_who_follows_what_was_told_gets_past_what_cannot_be_told_any_more(line: "Line", column: str) -> None:
    await line.answer("c1", "hello")
    await line.send()
    await line.database.change(f"UPDATE outbox SET {column} = {NO_TEXT}")  # noqa: S608 - of ours
    await line.accept("c2", text="whole")

    told = (await line.store.reader.follow(0, 10)).told

    assert [entry.said for entry in told] == [None, None, None]
    assert [entry.event is None for entry in told] == [False, True, False]


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


async def test_people_are_found_beside_an_event_that_is_no_text_any_more(line: "Line") -> None:
    for name in ("c1", "c2"):
        await line.accept(name, sender=Sender(id=name, name=name))
    await line.database.change(
        "UPDATE inbox SET event = CAST(CAST(event AS BLOB) || x'ff' AS TEXT) WHERE id = 1"  # SQLite finds in it
    )
    people = line.store.people

    assert [person.id async for person in people.everyone()] == ["c2"]
    assert [match.name for match in await people.found("c", 10)] == ["c2"]
    assert len((await people.traces(Person.read("acme//c2"))).events) == 1


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


async def test_a_timer_that_cannot_be_named_any_more_rests_and_holds_no_other_up(line: "Line") -> None:
    timers = line.store.timers
    event = line.event(kind="timer", key="to be given")
    await timers.set([Timer(name=name, at=line.clock() + 10, event=event, person="p") for name in ("damaged", "whole")])
    await line.database.change(f"UPDATE timer SET name = {NO_TEXT} WHERE name = 'damaged'")  # noqa: S608 - of ours
    line.clock.advance(10)

    with captured() as lines:
        found = [await timers.due(10, 10) for _ in range(2)]

    assert [[standing.timer.name for standing in due.timers] for due in found] == [["whole"], ["whole"]]
    assert [entry["event"] for entry in lines] == ["timer.unreadable"]
