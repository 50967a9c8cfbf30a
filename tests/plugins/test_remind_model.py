"""A model as the last resort of reminders: asked once, checked, and never believed without the person's word."""

import contextlib
import datetime as dt
from collections.abc import AsyncIterator

import msgspec
import pytest

from dragoman.model import Secret
from dragoman.plugins import remind
from dragoman.testing.clock import FakeClock
from dragoman.testing.model_server import ModelServer, Reply, garbage, html, says, status
from dragoman.testing.simulator import serve
from dragoman.testing.stage import Stage

MORNING = dt.datetime(2026, 11, 26, 10, 0, tzinfo=dt.UTC).timestamp()
UNCLEAR = "remind me to water the plants once it gets dark"
MEANT = '{"what": "water the plants", "at": "2026-11-26T16:30", "every": null}'


@contextlib.asynccontextmanager
async def asking(server: ModelServer) -> AsyncIterator[Stage]:
    async with serve(server) as url:
        settings = remind.Settings(model="tiny", base_url=f"{url}/v1", api_key=Secret("key"))
        stage = Stage(remind.plugin, clock=FakeClock(MORNING), settings=settings)
        await stage.say("my time zone is Europe/Berlin")
        yield stage


async def said(stage: Stage, text: str) -> list[str]:
    return [message.text for message in await stage.say(text)]


async def test_what_the_grammar_does_not_understand_is_asked_of_the_model_and_confirmed() -> None:
    server = ModelServer()
    server.script(says(f"```json\n{MEANT}\n```"))
    async with asking(server) as stage:
        question = await said(stage, UNCLEAR)
        set_before = dict(stage.set)
        answer = await said(stage, "yes")

    assert question == ["Did you mean today, Thursday 26 November, 16:30: water the plants"]
    assert set_before == {}
    assert answer == ["OK, today, Thursday 26 November, 16:30: water the plants"]
    [(_, instructions), (_, request)] = server.requests[0].messages
    assert "JSON" in instructions
    assert "Thursday 2026-11-26T11:00 (Europe/Berlin)" in request
    assert request.endswith(UNCLEAR)


async def test_a_rule_of_the_model_is_confirmed_in_words() -> None:
    server = ModelServer()
    server.script(says('{"what": "water the plants", "at": "2026-11-30T18:00", "every": "0 18 * * 1"}'))
    async with asking(server) as stage:
        question = await said(stage, UNCLEAR)
        await stage.say("yes")

    assert question == ["Did you mean every Monday at 18:00 (Monday 30 November, 18:00): water the plants"]
    [timer] = stage.set.values()
    assert (timer.every, timer.zone) == ("0 18 * * 1", "Europe/Berlin")


async def test_who_says_no_is_asked_for_the_time() -> None:
    server = ModelServer()
    server.script(says(MEANT))
    async with asking(server) as stage:
        await stage.say(UNCLEAR)
        assert await said(stage, "no") == ["Then please say it with a time, for example: tomorrow at 9:00."]
        assert await said(stage, "at 5pm") == ["OK, today, Thursday 26 November, 17:00: water the plants"]


@pytest.mark.parametrize(
    "reply",
    [
        says("I would do that at sunset."),
        says('{"what": "x", "at": "2026-11-26T09:00", "every": null}'),
        says('{"what": "x", "at": "2099-11-26T09:00", "every": null}'),
        says('{"what": "x", "at": "sunset", "every": null}'),
        says('{"what": "x", "at": null, "every": null}'),
        says('{"what": "x", "at": null, "every": "* * * * * *"}'),
        says('{"what": "x", "at": null, "every": "30s"}'),
        says('{"what": "x", "at": null, "every": "0 0 31 2 *"}'),
        says('{"what": 7, "at": [], "every": {}}'),
        says("{" * 500),
        status(500),
        garbage(),
        html(),
    ],
)
async def test_without_a_sane_answer_the_person_is_asked(reply: Reply) -> None:
    server = ModelServer()
    server.script(reply, reply)
    async with asking(server) as stage:
        question = await said(stage, UNCLEAR)

    assert question == ["When shall I remind you: water the plants once it gets dark"]
    assert stage.set == {}


async def test_the_model_is_not_asked_about_what_the_grammar_understands() -> None:
    server = ModelServer()
    async with asking(server) as stage:
        await stage.say("remind me in 10 minutes to stretch")
        await stage.say("what a nice day")

    assert server.requests == []


async def test_a_replayed_turn_does_not_ask_the_model_again() -> None:
    server = ModelServer()
    server.script(says(MEANT))
    async with asking(server) as stage:
        event = msgspec.structs.replace(stage.event(UNCLEAR), key="replayed")
        first = await stage.bring(event)
        await stage.say("cancel")
        second = await stage.bring(event)

    assert first == second
    assert len(server.requests) == 1
