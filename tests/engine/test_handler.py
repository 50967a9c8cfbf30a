"""`MessageHandler`: the engine without a store, and plugins that are any object with `process`."""

from typing import Any

import pytest

from dragoman.engine import handler as handlers
from dragoman.engine.handler import MessageHandler
from dragoman.engine.plugin import Plugin, adopt
from dragoman.engine.turn import Turn
from dragoman.errors import Malformed, PluginError
from dragoman.model import Attachment

Context = dict[str, Any]


class Upper:
    """Answers in capitals."""

    async def process(self, context: Context) -> Context:
        context["response"] = context["content"].upper()
        return context


class Marks:
    """Answers nothing, and leaves a mark for the next."""

    async def process(self, context: Context) -> Context:
        return {**context, "marks": [*context.get("marks", []), "seen"]}


class ReadsMarks:
    """Answers with the marks that others left."""

    async def process(self, context: Context) -> Context:
        return {**context, "response": f"marks: {context.get('marks')}"}


class Keeps:
    """Keeps every context that it is given."""

    def __init__(self) -> None:
        self.contexts: list[Context] = []

    async def process(self, context: Context) -> Context:
        self.contexts.append(dict(context))
        return context


async def test_an_object_with_process_is_a_plugin() -> None:
    handler = MessageHandler()
    handler.register_plugin(Upper())
    assert await handler.handle("hello") == "HELLO"


async def test_a_class_with_process_is_a_plugin_too() -> None:
    assert await MessageHandler([Upper]).handle("hello") == "HELLO"


async def test_a_context_is_passed_on_from_plugin_to_plugin() -> None:
    assert await MessageHandler([Marks(), Marks(), ReadsMarks()]).handle("hi") == "marks: ['seen', 'seen']"


async def test_the_first_response_ends_the_round() -> None:
    keeps = Keeps()
    assert await MessageHandler([Upper(), keeps]).handle("hi") == "HI"
    assert keeps.contexts == []


async def test_a_context_does_not_outlive_its_message() -> None:
    handler = MessageHandler([Marks(), ReadsMarks()])
    assert await handler.handle("one") == await handler.handle("two") == "marks: ['seen']"


async def test_nobody_answering_gives_none() -> None:
    assert await MessageHandler().handle("hi") is None
    assert await MessageHandler([Keeps()]).handle("hi") is None


async def test_a_context_holds_the_common_message_form() -> None:
    keeps = Keeps()
    form = {
        "platform": "webhook",
        "sender_id": "u1",
        "sender_name": "Kim",
        "content": "hi",
        "timestamp": 12.5,
        "channel_id": "c1",
        "thread_id": "t1",
        "id": "m1",
    }
    picture = {"kind": "image", "url": "https://example.org/a.png"}
    await MessageHandler([keeps]).handle({**form, "attachments": [picture]})
    (context,) = keeps.contexts
    assert {name: context[name] for name in form} == form
    assert list(context["attachments"]) == [picture]
    assert (context["message_type"], context["response"]) == ("text", None)
    assert context["message"]["content"] == "hi"


async def test_both_forms_of_plugin_share_one_order() -> None:
    plugin = Plugin("greeter")

    @plugin.command("hello")
    async def hello(turn: Turn) -> None:
        turn.say("Hi!")

    handler = MessageHandler([plugin, Upper()])
    assert await handler.handle("hello") == "Hi!"
    assert await handler.handle("else") == "ELSE"


async def test_only_a_content_is_required() -> None:
    turn = await MessageHandler([Upper()]).turn({"content": "hi"})
    assert (turn.event.sender.id, turn.event.chat_kind, turn.event.at) == ("anonymous", "direct", 0.0)


async def test_several_answers_are_joined_by_a_blank_line() -> None:
    plugin = Plugin("twice")

    @plugin.on(lambda _event: True)
    async def twice(turn: Turn) -> None:
        turn.say("one")
        turn.say("two")

    assert await MessageHandler([plugin]).handle("hi") == "one\n\ntwo"


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"content": None},
        {"content": 7},
        {"content": ["hi"]},
        {"content": "hi", "timestamp": "soon"},
        {"content": "hi", "timestamp": True},
        {"content": "hi", "attachments": "a.png"},
        {"content": "hi", "attachments": [{"kind": "hologram"}]},
        {"content": "hi", "attachments": [{}]},
    ],
    ids=str,
)
async def test_a_message_that_is_not_of_the_common_form_is_malformed(form: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        await MessageHandler([Upper()]).handle(form)


async def test_attachments_reach_the_event() -> None:
    turn = await MessageHandler().turn({"content": "", "attachments": [{"kind": "file", "name": "a.pdf"}]})
    assert turn.event.attachments == (Attachment(kind="file", name="a.pdf"),)
    assert turn.event.message_type == "file"


async def test_a_repeated_message_is_the_same_turn_and_another_is_not() -> None:
    handler = MessageHandler()
    first, again, other = [await handler.turn({"content": "hi", "id": name}) for name in ("1", "1", "2")]
    assert first.id == again.id != other.id


@pytest.mark.parametrize("candidate", [None, 3, "echo", object(), {"process": 1}])
def test_what_is_no_plugin_is_refused(candidate: object) -> None:
    with pytest.raises(PluginError, match="neither a Plugin nor"):
        MessageHandler().register_plugin(candidate)


def test_a_plugin_is_adopted_as_itself() -> None:
    plugin = Plugin("x")
    assert adopt(plugin) is plugin
    assert adopt(Upper()).name == "Upper"
    assert adopt(Upper(), "shout").name == "shout"


async def test_the_conversation_silent_longest_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "REMEMBERED", 2)
    plugin = Plugin("counter")

    @plugin.on(lambda _event: True)
    async def count(turn: Turn) -> None:
        number = (await turn.recall("count") or 0) + 1
        turn.remember("count", number)
        turn.say(str(number))

    handler = MessageHandler([plugin])
    counts = [await handler.handle({"content": "hi", "sender_id": who}) for who in ("a", "b", "a", "c", "a", "b")]
    assert counts == ["1", "1", "2", "1", "3", "1"]
