"""A conversation's history: what people and the bot said, as it reads today."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from dragoman.model import Line as Said
from dragoman.model import React
from dragoman.store.base import Parked
from dragoman.testing.logs import captured

if TYPE_CHECKING:
    from tests.store.conftest import Line


async def say(line: "Line", text: str, *replies: str, conversation: str = "c1", message_id: str = "") -> int:
    """Let a person say something, and the bot answer; returns the event's number."""
    accepted = await line.accept(conversation, text=text, message_id=message_id or text)
    await line.commit(await line.claim(), *replies)
    return accepted.id


async def change(line: "Line", message_id: str, text: str | None) -> None:
    """Edit a message, or delete it."""
    kind = "edit" if text is not None else "delete"
    await line.accept(kind=kind, message_id=message_id, text=text or "", wants_turn=False)


def texts(lines: Sequence[Said]) -> list[tuple[str, str]]:
    return [(said.by, said.text) for said in lines]


async def test_history_is_told_oldest_first(line: "Line") -> None:
    await say(line, "hello", "hi", "how are you?")
    await say(line, "fine")

    assert texts(await line.store.reader.history("c1", 10)) == [
        ("person", "hello"),
        ("bot", "hi"),
        ("bot", "how are you?"),
        ("person", "fine"),
    ]


async def test_what_the_bot_said_when_a_timer_fired_is_told_and_nobody_said_the_timer(line: "Line") -> None:
    await say(line, "remind me", "OK")
    await line.accept(kind="timer", key="t1@1")
    await line.commit(await line.claim(), "it is time")

    assert texts(await line.store.reader.history("c1", 10)) == [
        ("person", "remind me"),
        ("bot", "OK"),
        ("bot", "it is time"),
    ]


@pytest.mark.parametrize("body", ["{damaged", '{"of": "another release"}'])
async def test_what_cannot_be_read_any_more_is_left_out_and_told_to_the_operator(line: "Line", body: str) -> None:
    first = await say(line, "hello", "hi")
    await say(line, "how are you?", "fine")
    await change(line, "how are you?", "who are you?")
    await line.database.change(f"UPDATE inbox SET event = '{body}' WHERE id = {first} OR kind = 'edit'")  # noqa: S608 - of ours
    await line.database.change(f"UPDATE outbox SET action = '{body}' WHERE id = 2")  # noqa: S608 - of ours

    with captured() as logs:
        told = texts(await line.store.reader.history("c1", 10))

    assert told == [("bot", "hi"), ("person", "how are you?")]
    assert [(entry["event"], entry["id"]) for entry in logs] == [
        ("history.unreadable", "e3"),
        ("history.unreadable", "d2"),
        ("history.unreadable", "e1"),
    ]


async def test_a_line_says_who_and_when(line: "Line") -> None:
    event = await say(line, "hello")

    assert list(await line.store.reader.history("c1", 10)) == [
        Said(by="person", text="hello", at=line.clock(), id=f"e{event}", name="Kim")
    ]


async def test_the_last_lines_are_given(line: "Line") -> None:
    for text in ("one", "two", "three"):
        await say(line, text, f"{text}!")

    assert texts(await line.store.reader.history("c1", 3)) == [("bot", "two!"), ("person", "three"), ("bot", "three!")]


async def test_history_can_end_before_an_event(line: "Line") -> None:
    await say(line, "one", "one!")
    second = await say(line, "two", "two!")

    assert texts(await line.store.reader.history("c1", 10, before=second)) == [("person", "one"), ("bot", "one!")]


async def test_conversations_are_told_apart(line: "Line") -> None:
    await say(line, "mine")
    await say(line, "yours", conversation="c2")

    assert texts(await line.store.reader.history("c1", 10)) == [("person", "mine")]
    assert await line.store.reader.history("c3", 10) == []


async def test_an_edit_replaces_what_was_said(line: "Line") -> None:
    await say(line, "helo", "hi", message_id="m1")
    await say(line, "more", message_id="m2")
    await change(line, "m1", "hallo")
    await change(line, "m1", "hello")

    assert texts(await line.store.reader.history("c1", 10)) == [("person", "hello"), ("bot", "hi"), ("person", "more")]


async def test_what_was_deleted_is_not_told(line: "Line") -> None:
    await say(line, "secret", message_id="m1")
    await say(line, "hello", message_id="m2")
    await change(line, "m1", "less secret")
    await change(line, "m1", None)

    assert texts(await line.store.reader.history("c1", 10)) == [("person", "hello")]


async def test_edits_and_reactions_do_not_crowd_out_what_was_said(line: "Line") -> None:
    await say(line, "helo", message_id="m1")
    for text in ("hel", "hell", "hello"):
        await change(line, "m1", text)
    await line.accept(kind="reaction", wants_turn=False)

    assert texts(await line.store.reader.history("c1", 2)) == [("person", "hello")]


async def test_a_message_that_waits_is_told_too(line: "Line") -> None:
    await line.accept(text="hello")

    assert texts(await line.store.reader.history("c1", 10)) == [("person", "hello")]


async def test_only_what_was_said_is_told(line: "Line") -> None:
    await line.accept(text="hello")
    await line.commit(await line.claim(), "x", action=React(message_id="m1", emoji="eyes"))
    await line.accept(kind="reaction", text="eyes", wants_turn=False)

    assert texts(await line.store.reader.history("c1", 10)) == [("person", "hello")]


async def test_a_reply_that_never_left_is_not_told(line: "Line") -> None:
    await say(line, "hello", "hi")
    await line.send(Parked(reason="refused"))

    assert texts(await line.store.reader.history("c1", 10)) == [("person", "hello")]
