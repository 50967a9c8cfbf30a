"""Too much of everything on real platforms: what is shed, put off, answered shortly or slowed down, and not lost."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dragoman import telemetry
from dragoman.service import house
from dragoman.testing import simulators
from dragoman.testing.model_server import ModelServer
from dragoman.testing.process import configuration
from dragoman.testing.running import Running, running
from dragoman.testing.simulator import serve
from dragoman.testing.simulators.slack import TEAM
from dragoman.wire import Http

GATED = """
import asyncio
from pathlib import Path

from dragoman import UNHANDLED, Plugin, Turn

plugin = Plugin("gated")
FOLDER = Path(__file__).parent


@plugin.message()
async def wait(turn: Turn) -> object:
    if turn.text.startswith("model"):
        return UNHANDLED
    word, _, gate = turn.text.partition(" ")
    while word == "hold" and not (FOLDER / gate).exists():
        await asyncio.sleep(0.01)
    turn.say(f"said {turn.text}")
    return None
"""
"""A plugin that holds its turn at "hold GATE" until a file of that name is there; it leaves "model" to the next."""


class Clock:
    """The steady clock, which can be pushed ahead."""

    ahead = 0.0

    def __call__(self) -> float:
        return 1_700_000_000.0 + time.monotonic() + self.ahead


class Bot:
    """A running service on a simulated platform, with the account `bench`."""

    def __init__(self, folder: Path, simulator: Any, service: Running) -> None:
        self.simulator = simulator
        self.context = service.house.context
        self.store: Any = self.context.store
        self.folder = folder
        self._url = service.url

    async def post(self, request: Http) -> tuple[int, Mapping[str, str]]:
        """Hand the platform's request over; returns the status and the headers."""
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self._url}/hooks/bench", data=request.body, headers=request.headers) as answer,
        ):
            return answer.status, answer.headers

    async def say(self, text: str, channel: str = "D00000001", **facts: str) -> int:
        """Say something as a person; returns the status of the answer."""
        return (await self.post(self.simulator.webhook(text, channel=channel, **facts)))[0]

    def open(self, gate: str) -> None:
        (self.folder / gate).touch()

    async def sent(self, count: int) -> list[str]:
        """Wait until so much was sent; returns all the texts."""
        await self.until(lambda: len(self.simulator.sent) >= count)
        return [accepted.text for accepted in self.simulator.sent]

    async def until(self, look: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not look():
                await asyncio.sleep(0.01)

    async def running(self, turns: int) -> None:
        """Wait until so many turns run."""
        await self.until(lambda: leased(self.folder) == turns)


def leased(folder: Path) -> int:
    import apsw  # noqa: PLC0415 - the only look into the file

    connection = apsw.Connection(str(folder / "dragoman.db"), flags=apsw.SQLITE_OPEN_READONLY)
    number: int = connection.execute("SELECT count(*) FROM conversation WHERE because = 'leased'").get
    connection.close()
    return number


@contextlib.asynccontextmanager
async def bot(
    folder: Path,
    platform: str = "slack",
    *,
    account: Mapping[str, Any] | None = None,
    model: str = "",
    options: Mapping[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[Bot]:
    """Run a bot with the gated plugin, and with the model plugin behind it where there is a model."""
    simulator = simulators.load(platform)(**(options or {}))
    (folder / "gated.py").write_text(GATED, encoding="utf-8")
    async with serve(simulator) as url:
        table = {"platform": platform, **simulator.settings(url), **(account or {})}
        plugins = ["gated", "llm"] if model else ["gated"]
        text = configuration({"bench": table}, plugins=plugins, **settings) + '[plugin.gated]\nuse = "gated.py"\n'
        if model:
            text += f'[plugin.llm]\nbase_url = "{model}/v1"\nmodel = "tiny"\nbusy = "Busy. 忙。"\n'
        async with running(folder, text) as service:
            yield Bot(folder, simulator, service)


def counted(name: str, **labels: str) -> float:
    return telemetry.REGISTRY.get_sample_value(f"dragoman_{name}_total", labels) or 0.0


def events(outcome: str) -> float:
    return counted("events", account="bench", platform="slack", outcome=outcome)


def chatter(text: str, ts: str, thread: str = "") -> dict[str, Any]:
    """Make what people say to one another in a channel."""
    message = {"type": "message", "user": "U00000042", "text": text, "ts": ts, "event_ts": ts, "channel": "C00000001"}
    return {**message, "channel_type": "channel", **({"thread_ts": thread} if thread else {})}


def reaction(ts: str) -> dict[str, Any]:
    item = {"type": "message", "channel": "C00000001", "ts": ts}
    return {"type": "reaction_added", "user": "U00000042", "reaction": "eyes", "item": item, "event_ts": ts}


# What is shed


async def test_trifles_and_chatter_are_shed_while_much_waits_and_nothing_else(tmp_path: Path) -> None:
    shed, accepted = events("shed"), events("accepted")
    async with bot(tmp_path, most_waiting=5) as slack:
        await slack.say("hold gate")
        trifle, _ = await slack.post(slack.simulator.event(reaction("1700000001.000100")))
        talk, _ = await slack.post(slack.simulator.event(chatter("lunch?", "1700000002.000100")))
        asked = await slack.say("hold hello", "C00000001")
        waiting = slack.context.store.waiting()
        slack.open("gate")
        slack.open("hello")
        sent = await slack.sent(2)
        lines = await slack.context.reader.history(f"bench/{TEAM}/C00000001/1700000002.000100", 10)

    assert (trifle, talk, asked) == (200, 200, 200)
    assert waiting == 2
    assert sorted(sent) == ["said hold gate", "said hold hello"]
    assert events("shed") - shed == 2
    assert events("accepted") - accepted == 3  # the two messages, and the chatter as a line of the history
    assert [line.text for line in lines] == ["lunch?"]


async def test_nothing_is_shed_while_little_waits(tmp_path: Path) -> None:
    shed = events("shed")
    async with bot(tmp_path, most_waiting=10) as slack:
        await slack.say("hold gate")
        await slack.post(slack.simulator.event(reaction("1700000001.000100")))
        await slack.post(slack.simulator.event(chatter("lunch?", "1700000002.000100")))
        slack.open("gate")
        await slack.sent(1)

    assert events("shed") == shed


async def test_who_speaks_in_a_thread_that_the_bot_is_in_is_answered_however_much_waits(tmp_path: Path) -> None:
    thread = "1700000003.000100"
    async with bot(tmp_path, most_waiting=5) as slack:
        mention = chatter(f"<@{slack.simulator.oauth.bot(TEAM)}> hello", thread)
        await slack.post(slack.simulator.event(mention))
        await slack.sent(1)
        await slack.say("hold gate")
        await slack.post(slack.simulator.event(chatter("and I?", "1700000004.000100", thread)))
        slack.open("gate")
        sent = await slack.sent(3)

    assert sorted(sent) == ["said and I?", "said hello", "said hold gate"]


# What is put off


async def test_a_poll_stops_while_no_more_can_be_taken_and_goes_on_afterwards(tmp_path: Path) -> None:
    async with bot(tmp_path, "telegram", options={"secret": ""}, most_waiting=1) as telegram:
        telegram.simulator.deliver("hold gate", channel="1")
        await telegram.until(telegram.context.store.full)
        asked = telegram.simulator.calls.count("getUpdates")
        telegram.simulator.deliver("next", channel="2")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.5):
                await telegram.until(lambda: telegram.simulator.calls.count("getUpdates") > asked)
        meanwhile = telegram.simulator.calls.count("getUpdates")
        telegram.open("gate")
        sent = await telegram.sent(2)

    assert meanwhile == asked
    assert sent == ["said hold gate", "said next"]


async def test_a_conversation_that_floods_is_asked_to_come_back_and_others_are_answered(tmp_path: Path) -> None:
    full = counted("refusals", account="bench", reason="conversation_full")
    async with bot(tmp_path, turns=8) as slack:
        slack.store.most_pending = 2
        await slack.say("hold gate")
        await slack.say("second")
        third = slack.simulator.webhook("third", channel="D00000001")
        refused, headers = await slack.post(third)
        other = await slack.say("other", "D00000002")
        first = await slack.sent(1)
        slack.open("gate")
        await slack.sent(3)
        again, _ = await slack.post(third)
        sent = await slack.sent(4)

    assert (refused, other, again) == (503, 200, 200)
    assert int(headers["retry-after"]) > 0
    assert first == ["said other"]
    assert sent == ["said other", "said hold gate", "said second", "said third"]
    assert counted("refusals", account="bench", reason="conversation_full") - full == 1


async def test_what_a_poll_brings_too_much_of_one_conversation_is_parked_and_can_be_redriven(tmp_path: Path) -> None:
    async with bot(tmp_path, "telegram", options={"secret": ""}) as telegram:
        telegram.simulator.unlimited()
        telegram.store.most_pending = 2
        for text in ("hold gate", "second", "third"):
            telegram.simulator.deliver(text, channel="1")
        telegram.simulator.deliver("other", channel="2")
        await telegram.sent(1)
        parked = await telegram.context.reader.parked(10)
        telegram.open("gate")
        await telegram.sent(3)
        await telegram.context.store.redrive(parked[0].id)
        sent = await telegram.sent(4)

    assert [row.reason for row in parked] == ["2 messages of this conversation wait already"]
    assert sent == ["said other", "said hold gate", "said second", "said third"]


# What is answered shortly


async def test_while_messages_wait_too_long_the_model_is_not_asked_and_people_are_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, model = Clock(), ModelServer()
    monkeypatch.setattr(house, "steady_clock", lambda: clock)
    async with serve(model) as url, bot(tmp_path, model=url, turns=1) as slack:
        await slack.say("hold one", "D00000001")
        await slack.running(1)
        for channel in ("D00000002", "D00000003", "D00000004"):
            await slack.say("hold two" if channel == "D00000002" else "model?", channel)
        clock.ahead += 70
        slack.open("one")
        await slack.sent(1)
        await slack.until(lambda: (telemetry.REGISTRY.get_sample_value("dragoman_queue_delay_seconds") or 0.0) > 60)
        clock.ahead += 6  # it has been too long for more than a moment
        slack.open("two")
        hurried = await slack.sent(4)
        asked_meanwhile = len(model.requests)
        await slack.until(lambda: slack.context.store.waiting() == 0)
        await slack.say("model now", "D00000003")
        sent = await slack.sent(5)

    assert hurried == ["said hold one", "said hold two", "Busy. 忙。", "Busy. 忙。"]
    assert asked_meanwhile == 0
    assert sent[4:] == ["You said: model now"]


# Who is slowed down


async def test_who_writes_too_much_is_told_once_and_nobody_else_is_concerned(tmp_path: Path) -> None:
    async with bot(tmp_path, account={"messages_per_minute": 3}) as slack:
        slack.simulator.unlimited()
        for number in range(6):
            await slack.say(f"m{number}", sender="U00000001")
        await slack.until(lambda: slack.context.store.waiting() == 0)
        await slack.say("hello", "D00000002", sender="U00000002")
        sent = await slack.sent(5)

    assert sorted(sent[:3]) == ["said m0", "said m1", "said m2"]
    assert sent[3].startswith("You are writing faster than I can answer.")
    assert sent[4:] == ["said hello"]


async def test_who_was_too_fast_is_answered_again_a_minute_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(house, "steady_clock", lambda: clock)
    async with bot(tmp_path, account={"messages_per_minute": 1}) as slack:
        await slack.say("one")
        await slack.say("two")
        await slack.sent(2)
        clock.ahead += 61
        await slack.say("three")
        sent = await slack.sent(3)

    assert [sent[0], sent[2]] == ["said one", "said three"]
