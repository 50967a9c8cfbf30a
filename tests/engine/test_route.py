"""Routing: the order of plugins, declining, who may speak, and when the bot is meant."""

from typing import Any

import pytest

from dragoman.engine import route
from dragoman.engine.plugin import UNHANDLED, Loaded, Plugin
from dragoman.engine.route import Policy, addressed, permitted
from dragoman.engine.turn import Turn
from dragoman.model import Address, Event, Say, Sender


def says(name: str, *, declines: bool = False) -> Plugin:
    plugin = Plugin(name)

    @plugin.on(lambda event: event.kind == "message")
    async def answer(turn: Turn) -> object:
        turn.say(name)
        turn.remember("last", name)
        return UNHANDLED if declines else None

    return plugin


async def handled(event: Event, *plugins: Plugin, **other: Any) -> tuple[str, Turn]:
    turn = Turn("t", event)
    name = await route.handle(turn, [Loaded(name=plugin.name, plugin=plugin, **other) for plugin in plugins])
    return name, turn


async def test_the_first_plugin_that_handles_an_event_wins(make_event: Any) -> None:
    name, turn = await handled(make_event("hi"), says("first"), says("second"))
    assert name == "first.answer"
    assert [effect.message.text for effect in turn.effects if isinstance(effect, Say)] == ["first"]


async def test_a_handler_that_declines_leaves_no_trace(make_event: Any) -> None:
    name, turn = await handled(make_event("hi"), says("first", declines=True), says("second"))
    assert name == "second.answer"
    assert [effect.message.text for effect in turn.effects if isinstance(effect, Say)] == ["second"]
    assert turn.state["memory"] == {"last": "second"}


async def test_when_all_decline_nothing_is_said_or_remembered(make_event: Any) -> None:
    name, turn = await handled(make_event("hi"), says("only", declines=True))
    assert (name, turn.effects, turn.state) == ("", [], {})


async def test_a_handler_sees_its_own_plugins_settings_and_resource(make_event: Any) -> None:
    seen: list[tuple[str, Any, Any]] = []
    plugin = Plugin("kind")

    @plugin.on(lambda event: event.kind == "message")
    async def look(turn: Turn) -> None:
        seen.append((turn.plugin, turn.settings, turn.resource))

    turn = Turn("t", make_event("hi"))
    await route.handle(turn, [Loaded(name="mine", plugin=plugin, settings={"a": 1}, resource="pool")])
    assert seen == [("mine", {"a": 1}, "pool")]


async def test_what_a_handler_raises_is_not_swallowed(make_event: Any) -> None:
    plugin = Plugin("broken")

    @plugin.on(lambda event: event.kind == "message")
    async def fail(turn: Turn) -> None:
        turn.say("half an answer")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await handled(make_event("hi"), plugin, says("next"))


THREAD = Address(account="acme", channel="c1", thread="t1")


@pytest.mark.parametrize(
    ("facts", "state", "policy", "meant"),
    [
        ({}, {}, Policy(), True),
        ({"chat_kind": "group"}, {}, Policy(), False),
        ({"chat_kind": "channel"}, {}, Policy(), False),
        ({"chat_kind": "group"}, {}, Policy(answer="always"), True),
        ({"chat_kind": "group", "mentions_bot": True}, {}, Policy(), True),
        ({"chat_kind": "group", "value": {"reply_to_bot": True}}, {}, Policy(), True),
        ({"chat_kind": "group", "value": {"command": "/time"}}, {}, Policy(), True),
        ({"chat_kind": "group", "kind": "command"}, {}, Policy(), True),
        ({"chat_kind": "group", "kind": "action"}, {}, Policy(), True),
        ({"chat_kind": "group", "address": THREAD}, {"joined": True}, Policy(joins_threads=True), True),
        ({"chat_kind": "group", "address": THREAD}, {"joined": True}, Policy(), False),
        ({"chat_kind": "group", "address": THREAD}, {}, Policy(joins_threads=True), False),
        ({"chat_kind": "group"}, {"joined": True}, Policy(joins_threads=True), False),
    ],
)
def test_in_a_group_the_bot_is_meant_only_when_addressed(
    make_event: Any, facts: dict[str, Any], state: dict[str, Any], policy: Policy, *, meant: bool
) -> None:
    assert addressed(make_event("hi", **facts), state, policy) is meant


@pytest.mark.parametrize(
    ("permit", "allowed"),
    [("everyone", True), (frozenset({"u1"}), True), (frozenset({"u2"}), False), (frozenset(), False)],
)
def test_only_permitted_senders_are_answered(make_event: Any, permit: Any, *, allowed: bool) -> None:
    event = make_event("hi", sender=Sender(id="u1"))
    assert permitted(event, Policy(permit=permit)) is allowed
