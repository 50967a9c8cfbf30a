"""Leaving broadcasts and coming back: which words mean it, where, and what is remembered."""

from collections.abc import Callable
from typing import Any

import pytest

from dragoman.engine import route
from dragoman.engine.plugin import Loaded
from dragoman.engine.turn import NoWorld, Turn
from dragoman.model import OPTED_OUT, Address, Event, Remember, Say, Sender
from dragoman.plugins.optout import plugin


class Memory(NoWorld):
    """What is remembered of people and channels."""

    def __init__(self, *gone: str) -> None:
        self.gone = gone

    async def memory(self, person: str, key: str) -> Any:
        return person in self.gone if key == OPTED_OUT else None


def turn(text: str, *gone: str, **facts: Any) -> Turn:
    whole: dict[str, Any] = {
        "key": "k",
        "account": "team",
        "platform": "slack",
        "conversation": "team/T1/D1",
        "address": Address(account="team", workspace="T1", channel="D1"),
        "sender": Sender(id="U1"),
        "text": text,
    }
    return Turn("t", Event(**{**whole, **facts}), world=Memory(*gone))


async def handle(turn: Turn) -> str:
    return await route.handle(turn, [Loaded(name="optout", plugin=plugin)])


def remembered(turn: Turn) -> list[tuple[str, Any]]:
    return [(effect.scope, effect.value) for effect in turn.effects if isinstance(effect, Remember)]


def said(turn: Turn) -> str:
    (say,) = [effect for effect in turn.effects if isinstance(effect, Say)]
    return say.message.text


@pytest.mark.parametrize("text", ["/stop", "/unsubscribe", "Unsubscribe", "unsubscribe.", "退订", "退订。", "取消订阅"])
async def test_who_asks_to_leave_is_remembered_as_a_person_and_as_a_chat(text: str) -> None:
    leaving = turn(text)

    assert await handle(leaving) == "optout.leave"

    assert remembered(leaving) == [("person", True), ("channel", True)]


@pytest.mark.parametrize("text", ["stop", "please unsubscribe me from life", "/stopwatch", "how do I unsubscribe?"])
async def test_what_may_mean_something_else_is_left_alone(text: str) -> None:
    assert await handle(turn(text)) == ""


async def test_a_platforms_own_command_counts() -> None:
    assert await handle(turn("", kind="command", value={"command": "/stop"})) == "optout.leave"


async def test_in_a_group_nobody_leaves_for_the_others() -> None:
    assert await handle(turn("/stop", chat_kind="group")) == ""


@pytest.mark.parametrize("text", ["/start", "/subscribe", "subscribe", "订阅"])
async def test_who_left_can_come_back(text: str) -> None:
    coming = turn(text, "team/T1/U1")

    assert await handle(coming) == "optout.come_back"

    assert remembered(coming) == [("person", False), ("channel", False)]


async def test_a_start_of_one_who_never_left_is_for_others_to_answer() -> None:
    assert await handle(turn("/start")) == ""


async def test_a_subscription_of_one_who_never_left_is_confirmed() -> None:
    coming = turn("subscribe")

    assert await handle(coming) == "optout.come_back"

    assert (remembered(coming), said(coming)[:16]) == ([], "You will get bro")


@pytest.mark.parametrize(
    ("make", "chinese"),
    [
        (lambda: turn("退订"), True),
        (lambda: turn("/stop", sender=Sender(id="U1", locale="zh-CN")), True),
        (lambda: turn("/stop", sender=Sender(id="U1", locale="de")), False),
    ],
)
async def test_the_answer_is_in_the_persons_language(make: Callable[[], Turn], chinese: bool) -> None:
    leaving = make()

    await handle(leaving)

    assert ("您" in said(leaving)) is chinese


def test_a_channel_has_the_same_name_in_every_workspace() -> None:
    assert turn("hello").channel == "team//D1"


def test_a_direct_chat_is_known_by_its_person_too_and_a_group_is_not() -> None:
    assert turn("hello").remembered_under("channel") == ("team//D1", "team//U1")
    assert turn("hello", chat_kind="group").remembered_under("channel") == ("team//D1",)
    assert turn("hello").remembered_under("person") == ("team/T1/U1",)
