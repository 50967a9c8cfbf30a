"""A turn: its effects, its memory, and what it asks of the world."""

from typing import Any

import pytest

from dragoman.engine.handler import MessageHandler
from dragoman.engine.plugin import Plugin
from dragoman.engine.turn import Turn
from dragoman.errors import MediaRefused, PluginError
from dragoman.model import (
    Answer,
    Attachment,
    Button,
    Delete,
    Edit,
    Line,
    Message,
    React,
    Remember,
    Say,
    Timer,
    Typing,
)


def test_effects_are_kept_in_the_order_in_which_they_were_wanted(make_event: Any) -> None:
    turn = Turn("t", make_event("hi", message_id="m1", value={"interaction_id": "i1"}))
    turn.typing()
    turn.say("one")
    turn.edit("m0", "better")
    turn.delete("m0")
    turn.react("eyes")
    turn.react("tada", "m0")
    turn.answer("ok")
    assert turn.effects == [
        Typing(),
        Say(message=Message(text="one")),
        Edit(message_id="m0", message=Message(text="better")),
        Delete(message_id="m0"),
        React(message_id="m1", emoji="eyes"),
        React(message_id="m0", emoji="tada"),
        Answer(interaction_id="i1", text="ok"),
    ]


def test_a_message_may_carry_buttons_attachments_and_what_it_replies_to(make_event: Any) -> None:
    turn = Turn("t", make_event())
    picture = Attachment(kind="image", url="https://example.org/a.png")
    link = Button(text="Read", url="https://example.org")
    turn.say(Message(text="Choose", buttons=(link,)), buttons=["Yes"], attachments=[picture], reply_to="m1")
    whole = Message(
        text="Choose", buttons=(link, Button(text="Yes", value="Yes")), attachments=(picture,), reply_to="m1"
    )
    assert turn.effects == [Say(message=whole)]


def test_a_message_is_as_it_was_said_whatever_becomes_of_what_it_was_made_of(make_event: Any) -> None:
    turn = Turn("t", make_event())
    choices = [Button(text="Yes", value="Yes")]
    made: dict[str, Any] = {"text": "Choose", "buttons": choices, "reply_to": None}  # as a plugin without types has it
    turn.say(Message(**made))
    choices.clear()
    assert turn.effects == [Say(message=Message(text="Choose", buttons=(Button(text="Yes", value="Yes"),)))]


async def test_what_is_remembered_of_a_conversation_is_recalled_in_it_only() -> None:
    plugin = Plugin("memory")

    @plugin.command("keep")
    async def keep(turn: Turn, key: str, value: str) -> None:
        turn.remember(key, value)

    @plugin.command("get")
    async def get(turn: Turn, key: str) -> None:
        turn.say(str(await turn.recall(key)))

    handler = MessageHandler([plugin])
    await handler.handle({"content": "keep city Rome", "sender_id": "u1"})
    await handler.handle({"content": "keep food rice", "sender_id": "u1"})
    assert await handler.handle({"content": "get city", "sender_id": "u1"}) == "Rome"
    assert await handler.handle({"content": "get city", "sender_id": "u2"}) == "None"


async def test_what_is_remembered_of_a_person_is_an_effect_and_read_from_the_world(make_event: Any, world: Any) -> None:
    world.memories["acme/w1/u1", "city"] = "Rome"
    turn = Turn("t", make_event(), world=world)
    turn.remember("city", "Oslo", of="person")
    assert turn.effects == [Remember(scope="person", key="city", value="Oslo")]
    assert await turn.recall("city", of="person") == "Rome"
    assert await turn.recall("city") is None
    assert turn.state == {}


def test_a_turn_does_not_change_the_state_that_it_was_given(make_event: Any) -> None:
    state = {"memory": {"a": 1}, "ask": {"plugin": "p"}}
    turn = Turn("t", make_event(), state=state)
    turn.remember("a", 2)
    turn.forget_question()
    assert state == {"memory": {"a": 1}, "ask": {"plugin": "p"}}
    assert turn.state == {"v": 1, "memory": {"a": 2}}


async def test_a_step_is_run_once_for_a_turn_however_often_it_is_replayed(make_event: Any, world: Any) -> None:
    paid: list[int] = []

    async def pay(amount: int) -> str:
        paid.append(amount)
        return f"receipt {len(paid)}"

    receipts = []
    for name in ("t1", "t1", "t2"):
        turn = Turn(name, make_event(), world=world)
        turn.plugin = "shop"
        receipts.append(await turn.once("pay", pay, 5))
    assert receipts == ["receipt 1", "receipt 1", "receipt 2"]
    assert set(world.results) == {("t1", "shop/pay"), ("t2", "shop/pay")}


async def test_the_history_is_that_of_the_turns_own_conversation(make_event: Any, world: Any) -> None:
    world.lines = [Line(by="person", text=text, at=0.0, id=text) for text in "abc"]
    turn = Turn("t", make_event(), world=world)
    assert [line.text for line in await turn.history(2)] == ["b", "c"]
    assert world.asked == [("acme/c1", 2)]


async def test_without_a_store_steps_run_and_nothing_else_is_known(make_event: Any) -> None:
    turn = Turn("t", make_event())

    async def double(number: int) -> int:
        return number * 2

    assert await turn.once("double", double, 4) == 8
    assert await turn.history() == ()
    assert await turn.recall("city", of="person") is None
    with pytest.raises(MediaRefused):
        await turn.fetch(Attachment(kind="file", id="f1"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"at": float("nan")},
        {"at": float("inf")},
        {"at": 1e18},
        {"every": "whenever"},
        {"every": "0 9 * * *", "zone": "Nowhere/City"},
        {"every": "0 9 * * *", "zone": "America"},
    ],
)
def test_a_timer_that_could_never_come_is_refused_when_it_is_set(make_event: Any, wrong: dict[str, Any]) -> None:
    async def ring(_turn: Turn) -> None:
        """Ring."""

    turn = Turn("t", make_event())
    turn.handlers = frozenset({"ring"})
    facts: dict[str, Any] = {"at": 1_800_000_000.0, **wrong}

    with pytest.raises(PluginError, match="no timer comes"):
        turn.schedule(facts.pop("at"), ring, **facts)
    with pytest.raises(PluginError, match="no timer comes"):
        turn.reschedule(Timer(name="t1", at=0.0, event=turn.event), **wrong)
    assert turn.effects == []
