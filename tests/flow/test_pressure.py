"""Under pressure: what is shed at the door, a chat that floods, turns that are hurried, senders who send too much."""

import asyncio
import contextlib
import dataclasses
import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dragoman import telemetry
from dragoman.adapter import Receipt
from dragoman.engine.route import Policy
from dragoman.engine.turn import Turn
from dragoman.errors import Crowded
from dragoman.flow import pressure
from dragoman.flow.account import Account
from dragoman.flow.context import Context
from dragoman.flow.receive import accept
from dragoman.flow.skew import SkewWatch
from dragoman.flow.work import work
from dragoman.model import Address, Delivery, Event, Say, Sender
from dragoman.service.house import opened
from dragoman.service.installation import load, load_accounts, load_plugins
from dragoman.store.base import Accepted, Settled, Surplus, Times
from dragoman.store.sqlite import SqliteStore
from dragoman.testing.clock import FakeClock
from dragoman.testing.process import configuration
from dragoman.testing.running import running

TOKEN = "a-token-of-the-tests"
PLUGIN = """
from dragoman import Plugin, Turn

plugin = Plugin("own")


@plugin.command("pizza")
async def pizza(turn: Turn) -> None:
    turn.ask("Which one?", then=which)


@plugin.step
async def which(turn: Turn, kind: str) -> None:
    turn.say(f"{kind} it is")


@plugin.message()
async def answer(turn: Turn) -> None:
    if turn.hurried:
        turn.excuse("busy")
    else:
        turn.say(f"echo: {turn.text}")
"""


@pytest.fixture
def logs() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    telemetry.configure_logs("debug", stream)
    yield stream
    telemetry.configure_logs()


class Desk:
    """An open house whose store has the test's clock, and the words of these tests."""

    def __init__(self, context: Context, store: SqliteStore, clock: FakeClock) -> None:
        self.context = context
        self.store = store
        self.clock = clock
        self._number = 0

    @property
    def account(self) -> Account:
        account = self.context.accounts.get("acme")
        assert account is not None
        return account

    def event(self, text: str = "hello", *, channel: str = "room", **facts: Any) -> Event:
        self._number += 1
        whole: dict[str, Any] = {
            "key": f"k{self._number}",
            "account": "acme",
            "platform": "webhook",
            "conversation": f"acme/{channel}",
            "address": Address(account="acme", channel=channel),
            "sender": Sender(id="kim"),
            "chat_kind": "group",
            "message_id": f"m{self._number}",
            "text": text,
        }
        return Event(**{**whole, **facts})

    async def accept(self, *events: Event, surplus: Surplus = "park") -> tuple[Accepted, ...]:
        times = Times(received=self.clock(), authenticated=self.clock(), parsed=self.clock())
        return await accept(self.context, self.account, Receipt(events=events, raw=b"{}"), times, surplus=surplus)

    def crowd(self) -> None:
        """Let so much wait that intake sheds."""
        self.context = dataclasses.replace(
            self.context, limits=dataclasses.replace(self.context.limits, crowded=self.store.waiting())
        )

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Run turns while the context is open."""
        task = asyncio.create_task(work(self.context))
        try:
            yield
        finally:
            self.context.stopping.set()
            await task
            self.context.stopping.clear()

    async def finished(self, *accepted: Accepted) -> None:
        for item in accepted:
            assert await self.store.finished(item.id, 20)

    async def said(self) -> list[str]:
        """Take what was said since."""
        deliveries: list[Delivery] = []
        while taken := await self._taken():
            deliveries += taken
        return [delivery.action.message.text for delivery in deliveries if isinstance(delivery.action, Say)]

    async def _taken(self) -> list[Delivery]:
        deliveries = list(await self.store.take(100))
        for delivery in deliveries:
            await self.store.settle(delivery, Settled())
        return deliveries

    def counted(self, outcome: str) -> float:
        labels = {"account": "acme", "platform": "webhook", "outcome": outcome}
        return telemetry.REGISTRY.get_sample_value("dragoman_events_total", labels) or 0.0


@pytest.fixture
async def desk(
    tmp_path: Path,
    clock: FakeClock,
    logs: io.StringIO,  # noqa: ARG001 - not to the screen
) -> AsyncIterator[Desk]:
    (tmp_path / "own.py").write_text(PLUGIN, encoding="utf-8")
    account = {"platform": "webhook", "token": TOKEN, "messages_per_minute": 60}
    written = configuration({"acme": account}, plugins=["own"]) + '[plugin.own]\nuse = "own.py"\n'
    file = tmp_path / "dragoman.toml"
    file.write_text(written, encoding="utf-8")
    installation = load(data=str(tmp_path), configuration=str(file), environ={}, overrides={"port": 0})
    async with opened(installation) as house:
        store = await SqliteStore.open(tmp_path / "line.db", clock)
        context = dataclasses.replace(house.context, store=store, reader=store.reader, clock=clock)
        yield Desk(context, store, clock)
        await store.close()


async def test_a_trifle_is_acknowledged_and_gone_while_much_waits(desk: Desk) -> None:
    await desk.accept(desk.event("waiting", mentions_bot=True))
    shed = desk.counted("shed")
    desk.crowd()

    accepted = await desk.accept(desk.event(kind="reaction", wants_turn=False))

    assert accepted == ()
    assert desk.counted("shed") == shed + 1


async def test_a_trifle_is_kept_while_little_waits(desk: Desk) -> None:
    (accepted,) = await desk.accept(desk.event(kind="reaction", wants_turn=False))

    assert await desk.store.reader.status(accepted.id) == "done"


async def test_chatter_is_kept_for_the_history_without_a_turn(desk: Desk) -> None:
    await desk.accept(desk.event(channel="other", mentions_bot=True))
    shed = desk.counted("shed")
    desk.crowd()

    (accepted,) = await desk.accept(desk.event("among us"))

    assert await desk.store.reader.status(accepted.id) == "done"
    assert desk.store.waiting() == 1
    assert desk.counted("shed") == shed + 1
    assert [line.text for line in await desk.store.reader.history("acme/room", 10)] == ["among us"]


@pytest.mark.parametrize(
    "facts",
    [{"mentions_bot": True}, {"chat_kind": "direct"}, {"value": {"reply_to_bot": True}}, {"kind": "action"}],
    ids=["mention", "direct", "reply", "button"],
)
async def test_what_means_the_bot_gets_its_turn_however_much_waits(desk: Desk, facts: dict[str, Any]) -> None:
    await desk.accept(desk.event(channel="other", mentions_bot=True))
    desk.crowd()

    (accepted,) = await desk.accept(desk.event(**facts))

    assert await desk.store.reader.status(accepted.id) == "waiting"


async def test_an_answer_to_a_question_is_no_chatter(desk: Desk) -> None:
    asked = await desk.accept(desk.event("/pizza", value={"command": "pizza"}))
    async with desk.working():
        await desk.finished(*asked)
    await desk.accept(desk.event(channel="other", mentions_bot=True))
    desk.crowd()

    answer = await desk.accept(desk.event("Funghi"))
    async with desk.working():
        await desk.finished(*answer)

    assert await desk.said() == ["Which one?", "echo: hello", "Funghi it is"]


async def test_what_comes_while_an_earlier_message_is_open_is_no_chatter(desk: Desk) -> None:
    await desk.accept(desk.event("/pizza", value={"command": "pizza"}))
    desk.crowd()

    (answer,) = await desk.accept(desk.event("Funghi"))

    assert await desk.store.reader.status(answer.id) == "waiting"


async def test_an_edit_is_not_shed_because_the_history_shows_it(desk: Desk) -> None:
    await desk.accept(desk.event("wrogn", mentions_bot=True, message_id="m"))
    desk.crowd()

    await desk.accept(desk.event("right", kind="edit", wants_turn=False, message_id="m"))

    assert [line.text for line in await desk.store.reader.history("acme/room", 10)] == ["right"]


def test_chatter_where_everything_is_answered_is_none() -> None:
    event = Event(
        key="k",
        account="a",
        platform="p",
        conversation="c",
        address=Address(account="a"),
        sender=Sender(id="u"),
        chat_kind="group",
    )

    assert pressure.chatter(event, {}, Policy())
    assert not pressure.chatter(event, {}, Policy(answer="always"))


async def test_a_chat_that_floods_a_poll_has_its_surplus_parked_and_others_flow(desk: Desk) -> None:
    desk.store.most_pending = 2
    parked = desk.counted("parked")

    accepted = await desk.accept(*(desk.event(chat_kind="direct") for _ in range(3)), desk.event(channel="other"))

    assert [item.surplus for item in accepted] == [False, False, True, False]
    assert [row.id for row in await desk.store.reader.parked(10)] == [f"e{accepted[2].id}"]
    assert desk.counted("parked") == parked + 1


async def test_a_chat_that_floods_a_webhook_is_refused_alone_and_the_rest_is_stored(desk: Desk) -> None:
    desk.store.most_pending = 1
    other = desk.event(channel="other")
    await desk.accept(desk.event())

    with pytest.raises(Crowded):
        await desk.accept(desk.event(), other, surplus="refuse")

    assert (await desk.accept(other))[0].duplicate
    assert await desk.store.reader.parked(10) == []


async def test_a_refused_chat_is_told_to_come_again_and_others_are_answered(
    tmp_path: Path,
    logs: io.StringIO,  # noqa: ARG001 - not to the screen
) -> None:
    plugin = "import asyncio\nfrom dragoman import Plugin\nplugin = Plugin('own')\nGO = asyncio.Event()\n"
    plugin += "@plugin.message()\nasync def answer(turn):\n"
    plugin += "    turn.text != 'wait' or await GO.wait()\n    turn.text != 'go' or GO.set()\n    turn.say(turn.text)\n"
    (tmp_path / "own.py").write_text(plugin, encoding="utf-8")
    account = {"platform": "webhook", "token": TOKEN, "reply_within": 20}
    text = configuration({"acme": account}, plugins=["own"]) + '[plugin.own]\nuse = "own.py"\n'
    async with running(tmp_path, text) as service, aiohttp.ClientSession() as session:
        store: Any = service.house.context.store
        store.most_pending = 1

        async def post(content: str, chat: str, name: str = "") -> tuple[int, str]:
            form = {"content": content, "conversation_id": chat, "id": name or content}
            headers = {"authorization": f"Bearer {TOKEN}"}
            async with session.post(f"{service.url}/hooks/acme", json=form, headers=headers) as answer:
                return answer.status, answer.headers.get("retry-after", "")

        first = asyncio.create_task(post("wait", "a"))
        async with asyncio.timeout(20):
            while not store.waiting():
                await asyncio.sleep(0.01)
        refused = await post("more", "a")
        other = await post("go", "b")
        waited = await first
        again = await post("more", "a")

    assert (refused[0], int(refused[1]) > 0) == (503, True)
    assert (other[0], waited[0], again[0]) == (200, 200, 200)


def test_turns_are_hurried_when_the_delay_was_too_long_throughout() -> None:
    delay = pressure.observed(pressure.Delay(), 61, now=100)
    assert not delay.hurried_since
    delay = pressure.observed(delay, 90, now=104)
    assert not delay.hurried_since

    delay = pressure.observed(delay, 70, now=105)

    assert delay.hurried_since == 105
    assert pressure.observed(delay, 61, now=200).hurried_since == 105


def test_one_short_wait_ends_the_hurry_and_begins_the_count_anew() -> None:
    hurried = pressure.observed(pressure.observed(pressure.Delay(), 61, now=100), 61, now=105)

    calm = pressure.observed(hurried, 60, now=106)

    assert calm == pressure.Delay()
    assert not pressure.observed(calm, 61, now=107).hurried_since


async def test_messages_that_waited_too_long_get_one_excuse_in_each_conversation(desk: Desk) -> None:
    desk.context = dataclasses.replace(desk.context, limits=dataclasses.replace(desk.context.limits, turns=1))
    first = await desk.accept(desk.event("first", channel="a", chat_kind="direct"))
    rest = [
        *(await desk.accept(desk.event("second", channel="b", chat_kind="direct"))),
        *(await desk.accept(desk.event("third", channel="c", chat_kind="direct"))),
    ]
    desk.clock.advance(70)
    store: Any = desk.store
    commit = store.commit

    async def slow(claim: Any, handled: Any) -> None:
        desk.clock.advance(6)
        await commit(claim, handled)

    store.commit = slow
    async with desk.working():
        await desk.finished(*first, *rest)

    assert await desk.said() == ["echo: first", "busy", "busy"]


async def test_an_excuse_is_made_once_until_the_delay_is_over(desk: Desk) -> None:
    def said(state: dict[str, Any], now: float, since: float) -> tuple[int, dict[str, Any]]:
        turn = Turn("t", desk.event(), state=state, now=now, hurried_since=since)
        turn.excuse("busy") if turn.hurried else None
        return len(turn.effects), turn.state

    first, state = said({}, 110, 100)
    second, state = said(state, 120, 100)
    other_time, later = said(state, 510, 500)
    calm, state = said(state, 130, 0)

    assert (first, second, other_time, calm) == (1, 0, 1, 0)
    assert "excused" in later
    assert "excused" not in state


async def test_a_sender_who_sends_too_much_is_told_once_a_minute_and_gets_no_turns(desk: Desk) -> None:
    limited = telemetry.REGISTRY.get_sample_value("dragoman_turns_total", {"platform": "webhook", "outcome": "limited"})
    many = await desk.accept(*(desk.event(str(number), chat_kind="direct") for number in range(63)))
    async with desk.working():
        await desk.finished(*many)
    said = await desk.said()
    other = await desk.accept(desk.event("hi", chat_kind="direct", sender=Sender(id="ada"), channel="ada"))
    desk.clock.advance(60)
    later = await desk.accept(desk.event("later", chat_kind="direct"))
    async with desk.working():
        await desk.finished(*other, *later)

    assert said[:60] == [f"echo: {number}" for number in range(60)]
    assert len(said) == 61
    assert "请过一分钟再试" in said[60]
    assert sorted(await desk.said()) == ["echo: hi", "echo: later"]
    after = telemetry.REGISTRY.get_sample_value("dragoman_turns_total", {"platform": "webhook", "outcome": "limited"})
    assert (after or 0) - (limited or 0) == 3


def test_the_senders_that_are_counted_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pressure, "REMEMBERED", 2)
    senders = pressure.Senders()
    assert [senders.count(person, 0.0) for person in ("a", "b", "b", "c")] == [1, 1, 2, 1]

    assert senders.count("b", 1.0) == 3
    assert senders.count("a", 1.0) == 1


def test_the_generic_webhooks_callers_are_not_limited(tmp_path: Path) -> None:
    file = tmp_path / "dragoman.toml"
    ours = {"platform": "webhook", "token": TOKEN}
    text = configuration({"ours": ours, "set": {**ours, "messages_per_minute": 5}}, plugins=["echo"])
    file.write_text(text, encoding="utf-8")
    installation = load(data=str(tmp_path), configuration=str(file), environ={}, overrides={})

    limits = {
        account.name: account.messages_per_minute for account in load_accounts(installation, load_plugins(installation))
    }

    assert (limits["ours"], limits["set"], limits["web"]) == (0, 5, 60)


def test_a_clock_that_differs_is_told_once_a_minute(logs: io.StringIO) -> None:
    watch = SkewWatch()
    for now, skew in ((0, 60), (1, -3600), (2, -3600), (60.5, 61), (61, 61)):
        watch.compare("acme", skew, now)

    lines = [line for line in logs.getvalue().splitlines() if "clock.skewed" in line]
    assert len(lines) == 2
    assert '"ahead":-3600' in lines[0]


async def test_a_turn_that_waits_for_its_commit_leaves_its_place_and_as_many_again_may(desk: Desk) -> None:
    desk.context = dataclasses.replace(desk.context, limits=dataclasses.replace(desk.context.limits, turns=2))
    events = [desk.event(f"t{number}", channel=f"c{number}", chat_kind="direct") for number in range(9)]
    accepted = await desk.accept(*events)
    store: Any = desk.store
    commit, waiting, most, gate = store.commit, 0, 0, asyncio.Event()

    async def held(claim: Any, handled: Any) -> None:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        await gate.wait()
        waiting -= 1
        await commit(claim, handled)

    store.commit = held
    async with desk.working():
        async with asyncio.timeout(20):
            while waiting < 4:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)  # more would have come by now
        before = most
        gate.set()
        await desk.finished(*accepted)

    assert before == 4
    assert sorted(await desk.said()) == [f"echo: t{number}" for number in range(9)]
