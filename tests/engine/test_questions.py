"""Questions: the next message of the conversation goes to the handler that asked."""

from typing import Any

import pytest

from dragoman.engine import route
from dragoman.engine.handler import MessageHandler
from dragoman.engine.plugin import Loaded, Plugin
from dragoman.engine.turn import Turn
from dragoman.model import Event, Say
from dragoman.testing.clock import FakeClock
from dragoman.testing.play import play

plugin = Plugin("travel")


@plugin.command("weather")
async def weather(turn: Turn, city: str = "") -> None:
    if not city:
        turn.ask("Which city?", then=weather)
    else:
        turn.say(f"Sunny in {city}")


@plugin.command("book")
async def book(turn: Turn, city: str = "", day: str = "", nights: str = "") -> None:
    if not city:
        turn.ask("Where to?", then=book)
    elif not day:
        turn.ask("Which day?", then=book, city=city, buttons=["Monday", "Friday"])
    elif not nights:
        turn.ask("How many nights?", then=book, city=city, day=day)
    else:
        turn.say(f"{nights} nights in {city} from {day}")


@plugin.on(lambda event: event.kind == "message")
async def other(turn: Turn) -> None:
    turn.say(f"other: {turn.text}")


async def test_the_next_message_is_the_answer() -> None:
    assert await play(plugin, "weather", "Paris", "Paris") == ["Which city?", "Sunny in Paris", "other: Paris"]


async def test_a_dialog_keeps_what_was_answered_before() -> None:
    said = await play(plugin, "book", "Rome", "Monday", "3")
    assert said == ["Where to?", "Which day?", "How many nights?", "3 nights in Rome from Monday"]


async def test_the_answer_may_be_a_command_of_another_handler() -> None:
    assert await play(plugin, "book", "weather") == ["Where to?", "Which day?"]


@pytest.mark.parametrize("word", ["cancel", "/cancel", " CANCEL ", "stop", "取消", "算了"])
async def test_a_question_can_be_cancelled(word: str) -> None:
    said = await play(plugin, "weather", word, "Paris")
    assert said == ["Which city?", "Cancelled. 已取消。", "other: Paris"]


async def test_without_a_question_the_word_cancel_is_a_message() -> None:
    assert await play(plugin, "cancel") == ["other: cancel"]


@pytest.mark.parametrize(("seconds", "answer"), [(600.0, "Sunny in Paris"), (600.5, "other: Paris")])
async def test_a_question_expires(seconds: float, answer: str) -> None:
    clock = FakeClock()
    handler = MessageHandler([plugin])
    await handler.handle({"content": "weather", "timestamp": clock()})
    clock.advance(seconds)
    assert await handler.handle({"content": "Paris", "timestamp": clock()}) == answer


async def test_a_question_belongs_to_its_conversation() -> None:
    handler = MessageHandler([plugin])
    await handler.handle({"content": "weather", "sender_id": "u1"})
    assert await handler.handle({"content": "Paris", "sender_id": "u2"}) == "other: Paris"
    assert await handler.handle({"content": "Rome", "sender_id": "u1"}) == "Sunny in Rome"


async def test_a_pressed_button_is_the_answer(make_event: Any) -> None:
    handler = MessageHandler([plugin])
    await handler.handle(make_event("book Rome"))
    turn = await handler.turn(make_event(kind="action", value={"action_value": "Friday"}))
    assert [effect.message.text for effect in turn.effects if isinstance(effect, Say)] == ["How many nights?"]
    assert turn.state["ask"]["bound"] == {"city": "Rome", "day": "Friday"}


async def test_a_reaction_in_between_leaves_the_question_open(make_event: Any) -> None:
    handler = MessageHandler([plugin])
    await handler.handle(make_event("weather"))
    await handler.handle(make_event(kind="reaction"))
    assert await handler.handle(make_event("Paris")) == "Sunny in Paris"


def question(**changes: Any) -> dict[str, Any]:
    return {"ask": {"plugin": "travel", "handler": "weather", "bound": {}, "until": 99.0, **changes}}


async def continued(event: Event, state: dict[str, Any]) -> tuple[str, Turn]:
    turn = Turn("t", event, state=state, now=10.0)
    return await route.handle(turn, [Loaded(name="travel", plugin=plugin)]), turn


@pytest.mark.parametrize("gone", [{"handler": "removed"}, {"plugin": "removed"}])
async def test_a_question_whose_handler_is_gone_is_answered_politely(make_event: Any, gone: dict[str, str]) -> None:
    name, turn = await continued(make_event("Paris"), question(**gone))
    assert name == "dialog.gone"
    assert isinstance(turn.effects[0], Say)
    assert "start again" in turn.effects[0].message.text
    assert "ask" not in turn.state


async def test_a_question_stored_as_json_is_all_that_is_needed(make_event: Any) -> None:
    name, turn = await continued(make_event("Paris"), question())
    assert name == "travel.weather"
    assert isinstance(turn.effects[0], Say)
    assert turn.effects[0].message.text == "Sunny in Paris"


async def test_a_question_shows_its_choices_as_buttons(make_event: Any) -> None:
    (message,) = await MessageHandler([plugin]).replies(make_event("book Rome"))
    assert [(button.text, button.value) for button in message.buttons] == [("Monday", "Monday"), ("Friday", "Friday")]
