"""What the engine says to people whose words do not fit, and whose answer it takes."""

import pytest

from dragoman import UNHANDLED, MessageHandler, Plugin, Turn
from dragoman.engine import route
from dragoman.engine.plugin import Loaded
from dragoman.engine.route import Policy
from dragoman.errors import PluginError
from dragoman.model import Address, Event, Sender
from dragoman.testing.play import play


def said(text: str, sender: str = "ann", number: int = 1) -> Event:
    return Event(
        key=f"{sender}-{number}",
        account="a",
        platform="p",
        conversation="a/room",
        address=Address(account="a", channel="room"),
        sender=Sender(id=sender),
        chat_kind="group",
        text=text,
        at=float(number),
    )


@pytest.fixture
def timer() -> Plugin:
    plugin = Plugin("timer")

    @plugin.command("timer")
    async def start(turn: Turn, minutes: int = 0) -> None:
        if not minutes:
            turn.ask("How long?", then=start)
        else:
            turn.say(f"{minutes * 60} seconds")

    @plugin.command("city")
    async def city(turn: Turn, name: str) -> None:
        turn.say(name)

    return plugin


async def test_a_word_that_is_no_number_is_answered_and_not_an_error(timer: Plugin) -> None:
    assert await play(timer, "/timer soon") == ["minutes should be a number, not 'soon'"]


async def test_a_missing_word_is_asked_for(timer: Plugin) -> None:
    assert await play(timer, "/city") == ["Please add: name"]


async def test_an_answer_is_read_as_the_parameters_type(timer: Plugin) -> None:
    assert await play(timer, "timer", "5") == ["How long?", "300 seconds"]


async def test_a_question_stays_open_until_its_answer_can_be_read(timer: Plugin) -> None:
    assert await play(timer, "timer", "long", "2") == [
        "How long?",
        "minutes should be a number, not 'long'",
        "120 seconds",
    ]


@pytest.mark.parametrize("text", ["/city\n北京", "/city　北京", "/city   北京 "])
async def test_any_white_space_ends_a_command(timer: Plugin, text: str) -> None:
    assert await play(timer, text) == ["北京"]


async def test_a_handler_that_declines_an_answer_leaves_it_to_the_others() -> None:
    plugin = Plugin("shy")

    @plugin.command("ask")
    async def ask(turn: Turn) -> None:
        turn.ask("Number?", then=take)

    @plugin.step
    async def take(turn: Turn, number: str) -> object:
        turn.say("never seen")
        return None if number.isdecimal() else UNHANDLED

    @plugin.message("hello")
    async def hello(turn: Turn) -> None:
        turn.say("Hello!")

    assert await play(plugin, "ask", "hello") == ["Number?", "Hello!"]


async def test_a_question_can_only_go_on_with_a_handler() -> None:
    plugin = Plugin("loose")

    async def helper(turn: Turn, text: str) -> None:
        turn.say(text)

    @plugin.command("ask")
    async def ask(turn: Turn) -> None:
        turn.ask("What?", then=helper)

    with pytest.raises(PluginError, match="no handler 'helper'"):
        await play(plugin, "ask")


def test_two_handlers_of_one_name_are_refused() -> None:
    plugin = Plugin("twins")

    @plugin.command("one")
    async def answer(turn: Turn) -> None:
        turn.say("one")

    async def another(turn: Turn) -> None:
        turn.say("two")

    another.__name__ = "answer"
    with pytest.raises(PluginError, match="two handlers named answer"):
        plugin.command("two")(another)


async def test_in_a_group_only_who_was_asked_answers(timer: Plugin) -> None:
    loaded = [Loaded(name="timer", plugin=timer)]
    asking = Turn("t1", said("/timer"), now=1.0)
    await route.handle(asking, loaded)

    assert route.addressed(said("5", "ann", 2), asking.state, Policy())
    assert not route.addressed(said("5", "bob", 3), asking.state, Policy())
    other = Turn("t2", said("5", "bob", 3), state=asking.state, now=3.0)
    assert await route.handle(other, loaded) == ""
    assert "ask" in other.state


async def test_an_empty_response_is_no_answer() -> None:
    class Silent:
        async def process(self, context: dict[str, object]) -> dict[str, object]:
            return {**context, "response": ""}

    assert await MessageHandler([Silent()]).handle("hi") is None
