"""The plugin side of the test kit: `play`, the fake clock, the model server."""

import aiohttp
import pytest

from dragoman.engine.plugin import Plugin
from dragoman.engine.turn import Turn
from dragoman.model import Button
from dragoman.testing.clock import FakeClock
from dragoman.testing.model_server import ModelServer, cut, garbage, says, status
from dragoman.testing.play import play
from dragoman.testing.simulator import serve
from dragoman.testing.stage import Stage

clerk = Plugin("clerk")


@clerk.on(lambda event: event.kind == "message")
async def tell(turn: Turn) -> None:
    turn.say(f"{turn.event.sender.id} {turn.event.chat_kind} {turn.now:.0f}")
    turn.say(turn.text)


async def test_play_returns_all_that_is_said_in_order() -> None:
    said = await play(clerk, "a", "b", clock=FakeClock(5.0))
    assert said == ["player direct 5", "a", "player direct 5", "b"]


keeper = Plugin("keeper")


@keeper.on(lambda event: event.text.startswith("keep "))
async def keep(turn: Turn) -> None:
    turn.remember("word", turn.text.removeprefix("keep "), of="person")
    turn.remember("word", turn.text.removeprefix("keep "), of="channel")
    turn.schedule(turn.now + 10, again, every="1m", title="keep")


@keeper.on(lambda event: event.text == "tell")
async def recalled(turn: Turn) -> None:
    turn.say(f"{await turn.recall('word', of='person')} {await turn.recall('word', of='channel')}")


@keeper.on(lambda event: event.kind == "action")
async def end(turn: Turn) -> None:
    for timer in await turn.timers():
        turn.cancel(timer.name)


@keeper.step
async def again(turn: Turn) -> None:
    turn.say(f"{turn.event.sender.id} {turn.late:.0f}", buttons=["end"])


async def test_a_number_in_a_play_is_a_pause_in_which_timers_fire() -> None:
    assert await play(keeper, "keep it", 9.0, "tell", 1.0, 60.0) == ["it it", "player 0", "player 0"]


async def test_a_stage_remembers_of_people_and_of_the_group() -> None:
    stage = Stage(keeper)
    await stage.say("keep one", by="kim", chat_kind="group")
    await stage.say("keep two", by="lee", chat_kind="group")

    [kims] = await stage.say("tell", by="kim", chat_kind="group")
    [lees] = await stage.say("tell", by="lee", chat_kind="group")

    assert (kims.text, lees.text) == ("one two", "two two")


async def test_timers_of_a_stage_are_their_persons_and_late_after_an_absence() -> None:
    stage = Stage(keeper)
    await stage.say("keep it", by="kim")
    await stage.press(Button(text="end", value="end"), by="lee")

    [late] = await stage.away(15)
    await stage.press(late.buttons[0], by="kim")

    assert late.text == "kim 5"
    assert stage.set == {}
    assert await stage.wait(3600) == []


async def test_play_without_texts_says_nothing() -> None:
    assert await play(clerk) == []


def test_a_fake_clock_goes_on_only_when_told() -> None:
    clock = FakeClock(10.0)
    assert (clock(), clock()) == (10.0, 10.0)
    assert clock.advance(2.5) == 12.5
    assert clock() == 12.5


ASK = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}


async def test_the_model_server_answers_records_and_follows_its_script() -> None:
    server = ModelServer(lambda messages: f"{len(messages)} message")
    server.script(says("first"), status(429, retry_after="7"), garbage(b"{"))
    seen = []
    async with serve(server) as url, aiohttp.ClientSession(url) as client:
        for _ in range(4):
            async with client.post("/v1/chat/completions", json=ASK, headers={"Authorization": "Bearer k"}) as answer:
                seen.append((answer.status, answer.headers.get("retry-after"), await answer.text()))
    assert [code for code, _, _ in seen] == [200, 429, 200, 200]
    assert '"content":"first"' in seen[0][2]
    assert seen[1][1] == "7"
    assert seen[2][2] == "{"
    assert '"content":"1 message"' in seen[3][2]
    assert server.requests[0].messages == [("user", "hi")]
    assert {asked.authorization for asked in server.requests} == {"Bearer k"}


async def test_the_model_server_knows_no_other_path() -> None:
    async with serve(ModelServer()) as url, aiohttp.ClientSession(url) as client:
        answer = await client.post("/v1/completions", json=ASK)
        assert answer.status == 404


async def test_a_cut_connection_gives_no_whole_body() -> None:
    server = ModelServer()
    server.script(cut)
    async with serve(server) as url, aiohttp.ClientSession(url) as client:
        answer = await client.post("/v1/chat/completions", json=ASK)
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
