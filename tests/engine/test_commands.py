"""Commands, patterns and buttons: which events a handler gets, and with which arguments."""

from typing import Any

import pytest

from dragoman.engine.handler import MessageHandler
from dragoman.engine.plugin import Plugin
from dragoman.engine.turn import Turn
from dragoman.errors import PluginError
from dragoman.model import Event
from dragoman.testing.play import play

plugin = Plugin("kit")


@plugin.command("weather", "Wetter")
async def weather(turn: Turn, city: str = "nowhere") -> None:
    """Tell the weather."""
    turn.say(f"weather in {city}")


@plugin.command("ping")
async def ping(turn: Turn) -> None:
    turn.say("pong")


@plugin.command("repeat")
async def repeat(turn: Turn, times: int = 1, words: str = "hm") -> None:
    turn.say(" ".join([words] * times))


@plugin.command("scale")
async def scale(turn: Turn, factor: float = 1.0) -> None:
    turn.say(str(factor * 2))


@plugin.message(r"order (?P<number>\d+)(?: for (?P<name>\w+))?")
async def order(turn: Turn, number: str, name: str = "nobody") -> None:
    turn.say(f"order {number} of {name}")


@plugin.action("yes")
async def pressed(turn: Turn) -> None:
    turn.answer("Noted")
    turn.say("You pressed yes")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("/weather", "weather in nowhere"),
        ("weather", "weather in nowhere"),
        ("  /Weather  Paris ", "weather in Paris"),
        ("weather New York City", "weather in New York City"),
        ("/wetter Köln", "weather in Köln"),
        ("/ping", "pong"),
        ("PING", "pong"),
        ("/ping please", "pong"),
        ("/repeat 3 a b", "a b a b a b"),
        ("/repeat 2", "hm hm"),
        ("scale 1.5", "3.0"),
        ("my ORDER 12 for Lee please", "order 12 of Lee"),
        ("order 7", "order 7 of nobody"),
    ],
)
async def test_words_reach_the_handler_as_its_arguments(text: str, answer: str) -> None:
    assert await play(plugin, text) == [answer]


@pytest.mark.parametrize("text", ["ping please", "pinging", "/weathers", "the weather", "", "/", "order x"])
async def test_what_is_no_command_is_left_alone(text: str) -> None:
    assert await play(plugin, text) == []


@pytest.mark.parametrize("kind", ["message", "command"])
@pytest.mark.parametrize("command", ["/weather", "weather", "/WEATHER"])
async def test_a_command_that_the_platform_named_wins_over_the_text(make_event: Any, kind: str, command: str) -> None:
    event = make_event("@bot something else", kind=kind, value={"command": command, "command_args": "Rome"})
    assert await MessageHandler([plugin]).handle(event) == "weather in Rome"


async def test_a_named_command_of_another_name_is_no_command_of_ours(make_event: Any) -> None:
    event = make_event("weather", kind="command", value={"command": "/other"})
    assert await MessageHandler([plugin]).handle(event) is None


@pytest.mark.parametrize("value", [{"action_value": "yes"}, {"action_id": "yes"}])
async def test_a_pressed_button_reaches_its_handler(make_event: Any, value: dict[str, Any]) -> None:
    event = make_event(kind="action", value=value)
    assert await MessageHandler([plugin]).handle(event) == "You pressed yes"


@pytest.mark.parametrize(
    ("kind", "value"), [("action", {"action_value": "no"}), ("message", {"action_value": "yes"}), ("reaction", {})]
)
async def test_another_button_or_kind_does_not(make_event: Any, kind: str, value: dict[str, Any]) -> None:
    assert await MessageHandler([plugin]).handle(make_event(kind=kind, value=value)) is None


async def test_a_filter_of_ones_own_admits_what_it_wants(make_event: Any) -> None:
    joined = Plugin("door")

    def newcomer(event: Event) -> bool:
        return event.kind == "membership"

    @joined.on(newcomer, title="Greets newcomers.")
    async def greet(turn: Turn) -> None:
        turn.say(f"Welcome {turn.event.sender.name}")

    handler = MessageHandler([joined])
    assert await handler.handle(make_event(kind="membership")) == "Welcome Kim"
    assert await handler.handle("hello") is None
    assert joined.routes[0].title == "Greets newcomers."


def test_a_commands_help_is_the_handlers_docstring() -> None:
    assert plugin.routes[0].title == "Tell the weather."


async def test_a_handler_whose_argument_nobody_can_give_is_named() -> None:
    wrong = Plugin("wrong")

    @wrong.on(lambda event: event.kind == "message")
    async def needy(turn: Turn, city: str) -> None:
        turn.say(city)

    with pytest.raises(PluginError, match="nothing fills it"):
        await play(wrong, "hello")
