"""The model plugin against a model server on loopback that answers, hangs, cuts and talks garbage."""

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from dragoman.engine import route
from dragoman.engine.handler import MessageHandler, event_of
from dragoman.engine.plugin import Loaded
from dragoman.engine.turn import NoWorld, Turn
from dragoman.model import Event, Line, Say, Secret, Sender
from dragoman.plugins import llm
from dragoman.testing.logs import captured
from dragoman.testing.model_server import ModelServer, Reply, cut, garbage, hang, html, huge, says, status
from dragoman.testing.simulator import serve

KEY = "sk-canary-5f1e"


class Journal(NoWorld):
    """A world that remembers results, as the store does, and has a history."""

    def __init__(self, *lines: Line) -> None:
        self.lines = lines
        self.results: dict[tuple[str, str], Any] = {}
        self.arguments: list[Sequence[Any]] = []
        self.limits: list[int] = []

    async def once(
        self, turn: str, name: str, step: Callable[..., Awaitable[Any]], arguments: Sequence[Any], *, repeat: bool
    ) -> Any:
        self.arguments.append(arguments)
        if (turn, name) not in self.results:
            self.results[turn, name] = await step(*arguments)
        return self.results[turn, name]

    async def history(self, conversation: str, limit: int) -> Sequence[Line]:
        self.limits.append(limit)
        return self.lines[-limit:]


@pytest.fixture
def server() -> ModelServer:
    return ModelServer()


def settings_for(url: str, **other: Any) -> llm.Settings:
    return llm.Settings(base_url=f"{url}/v1", api_key=Secret(KEY), **{"deadline": 20.0, **other})


@contextlib.asynccontextmanager
async def loaded(server: ModelServer, **other: Any) -> AsyncIterator[Loaded]:
    """Serve the model, and enter the plugin's life as the service does."""
    async with serve(server) as url:
        settings = settings_for(url, **other)
        async with llm.life(settings) as resource:
            yield Loaded(name="llm", plugin=llm.plugin, settings=settings, resource=resource)


async def said(plugin: Loaded, message: str | Event, world: Journal | None = None) -> list[str]:
    event = event_of(message) if isinstance(message, str) else message
    turn = Turn("turn-1", event, world=world or Journal())
    await route.handle(turn, [plugin])
    return [effect.message.text for effect in turn.effects if isinstance(effect, Say)]


def line(by: Any, text: str, name: str = "") -> Line:
    return Line(by=by, text=text, at=0.0, id=text, name=name)


def in_group(text: str, name: str) -> Event:
    return replace(event_of(text), chat_kind="group", sender=Sender(id="u1", name=name))


async def test_free_text_is_answered_by_the_model(server: ModelServer) -> None:
    async with loaded(server, model="tiny", system="Be brief.", temperature=0.5) as plugin:
        answers = await said(plugin, "hello")
    assert answers == ["You said: hello"]
    asked = server.requests[0]
    assert asked.messages == [("system", "Be brief."), ("user", "hello")]
    assert (asked.body["model"], asked.body["temperature"], asked.authorization) == ("tiny", 0.5, f"Bearer {KEY}")


async def test_the_history_is_sent_oldest_first(server: ModelServer) -> None:
    world = Journal(line("person", "I am Kim"), line("bot", "Hello Kim"), line("person", "", name="Kim"))
    async with loaded(server, history=7) as plugin:
        await said(plugin, "who am I?", world)
    assert server.requests[0].messages[1:] == [
        ("user", "I am Kim"),
        ("assistant", "Hello Kim"),
        ("user", "who am I?"),
    ]
    assert world.limits == [7]


async def test_a_history_that_begins_with_the_bot_is_sent_too(server: ModelServer) -> None:
    async with loaded(server) as plugin:
        await said(plugin, "yes", Journal(line("bot", "Shall I?")))
    assert server.requests[0].messages[1:] == [("assistant", "Shall I?"), ("user", "yes")]


async def test_no_history_is_read_when_none_is_wanted(server: ModelServer) -> None:
    world = Journal(line("person", "before"))
    async with loaded(server, history=0) as plugin:
        await said(plugin, "now", world)
    assert world.limits == []
    assert len(server.requests[0].messages) == 2


async def test_in_a_group_the_model_is_told_who_speaks(server: ModelServer) -> None:
    world = Journal(line("person", "tea", name="Kim"), line("bot", "Noted"))
    async with loaded(server) as plugin:
        await said(plugin, in_group("coffee", "Lee"), world)
    assert server.requests[0].messages[1:] == [
        ("user", "Kim: tea"),
        ("assistant", "Noted"),
        ("user", "Lee: coffee"),
    ]


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        ([cut, cut], "ModelConnectionError"),
        ([garbage()], "ModelAPIError"),
        ([garbage(b"null")], "UnexpectedModelBehavior"),
        ([garbage(b"[]")], "UnexpectedModelBehavior"),
        ([garbage(b'{"choices": []}')], "UnexpectedModelBehavior"),
        ([garbage(b"\xff\xfe")], "ModelAPIError"),
        ([html()], "UnexpectedModelBehavior"),
        ([html(502), html(502)], "ModelServerError 502"),
        ([status(429, retry_after="0"), status(429, retry_after="0")], "ModelRateLimitError 429"),
        ([status(500), status(503)], "ModelUnavailableError 503"),
        ([status(401, text=f"wrong key {KEY}")], "ModelAuthenticationError 401"),
        ([status(400)], "ModelRequestRejectedError 400"),
        ([says("")], "UnexpectedModelBehavior"),
        ([says("  \n")], "an empty answer"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_model_that_fails_is_answered_for_once(server: ModelServer, replies: list[Reply], reason: str) -> None:
    server.script(*replies)
    world = Journal()
    with captured() as logs:
        async with loaded(server, fallback="Later.") as plugin:
            answers = await said(plugin, "a secret question", world)
    assert answers == ["Later."]
    assert len(server.requests) == len(replies)
    assert [line["reason"] for line in logs] == [reason]
    assert "secret question" not in str(logs)
    assert KEY not in str(logs)
    assert world.results == {}


async def test_a_model_that_hangs_is_answered_for_within_the_deadline(server: ModelServer) -> None:
    async with loaded(server, fallback="Later.") as plugin:
        await plugin.resource
        quick = settings_for("http://unused", deadline=2.0, fallback="Later.")
        server.script(hang)
        answers = await said(Loaded(name="llm", plugin=llm.plugin, settings=quick, resource=plugin.resource), "hello")
    assert answers == ["Later."]
    assert len(server.requests) == 1


async def test_the_first_answer_after_trouble_counts(server: ModelServer) -> None:
    server.script(status(500))
    async with loaded(server) as plugin:
        assert await said(plugin, "hello") == ["You said: hello"]


async def test_a_wait_longer_than_the_deadline_ends_in_the_fall_back(server: ModelServer) -> None:
    server.script(status(429, retry_after="30"))
    async with loaded(server, fallback="Later.") as plugin:
        await plugin.resource
        quick = settings_for("http://unused", deadline=2.0, fallback="Later.")
        answers = await said(Loaded(name="llm", plugin=llm.plugin, settings=quick, resource=plugin.resource), "hello")
    assert answers == ["Later."]
    assert len(server.requests) == 1


async def test_an_answer_that_is_too_long_is_cut_and_marked(server: ModelServer) -> None:
    server.script(huge())
    async with loaded(server, max_answer=100) as plugin:
        (answer,) = await said(plugin, "tell me everything")
    assert len(answer) == 100
    assert answer.endswith(" […]")


async def test_a_replayed_turn_does_not_pay_twice(server: ModelServer) -> None:
    world = Journal()
    async with loaded(server) as plugin:
        first = await said(plugin, "hello", world)
        second = await said(plugin, "hello", world)
    assert first == second == ["You said: hello"]
    assert len(server.requests) == 1
    assert world.arguments == [("hello",), ("hello",)]


async def test_a_replay_after_a_fall_back_asks_again(server: ModelServer) -> None:
    world = Journal()
    server.script(status(400))
    async with loaded(server, fallback="Later.") as plugin:
        assert await said(plugin, "hello", world) == ["Later."]
        assert await said(plugin, "hello", world) == ["You said: hello"]


async def test_one_client_serves_many_turns(server: ModelServer) -> None:
    async with loaded(server) as plugin:
        assert await said(plugin, "one") == ["You said: one"]
        assert await said(plugin, "two") == ["You said: two"]


async def test_the_key_is_in_no_log_line_of_any_library(
    server: ModelServer, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    server.script(status(401, text=f"Incorrect API key provided: {KEY}"), cut, cut, garbage())
    async with loaded(server) as plugin:
        for _ in range(3):
            await said(plugin, "hello")
        assert KEY not in repr(plugin.settings)
    printed = capsys.readouterr()
    assert KEY not in printed.out + printed.err
    assert any(record.name.startswith("openai") for record in caplog.records)
    assert KEY not in caplog.text


async def test_without_a_service_the_plugin_opens_a_client_for_the_turn(server: ModelServer) -> None:
    async with serve(server) as url:
        handler = MessageHandler()
        handler.register_plugin(llm.plugin, settings=settings_for(url))
        assert await handler.handle("hello") == "You said: hello"


async def test_commands_and_empty_texts_are_left_to_others(server: ModelServer) -> None:
    async with loaded(server) as plugin:
        assert await said(plugin, "  ") == []
    assert server.requests == []


async def test_the_environments_key_goes_to_no_other_endpoint(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    async with serve(server) as url:
        settings = llm.Settings(base_url=f"{url}/v1")
        async with llm.life(settings) as resource:
            await said(Loaded(name="llm", plugin=llm.plugin, settings=settings, resource=resource), "hello")
    assert KEY not in server.requests[0].authorization


def test_the_default_endpoint_needs_a_key() -> None:
    with pytest.raises(ValueError, match="api_key is required"):
        llm.Settings()


@pytest.mark.parametrize(
    "wrong", [{"deadline": 0}, {"history": -1}, {"max_answer": 0}, {"base_url": "localhost:8000"}], ids=str
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="should be"):
        llm.Settings(**{"api_key": Secret(KEY), **wrong})


def test_a_local_server_needs_no_key() -> None:
    assert not llm.Settings(base_url="http://127.0.0.1:8000/v1").api_key
