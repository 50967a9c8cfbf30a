"""Broadcasts on the running service: pace, segments, opt-outs, missed starts, and who stays out of whose way."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from dragoman import telemetry
from dragoman.adapter import Rate
from dragoman.flow import audience
from dragoman.flow.audience import Misnamed, Named, Segment
from dragoman.flow.broadcast import ahead, look, personal
from dragoman.flow.context import Context
from dragoman.model import Address, Button, Event, Message, Sender
from dragoman.store.broadcasts import Fate, Report
from dragoman.testing import simulators
from dragoman.testing.process import configuration
from dragoman.testing.running import Running, running
from dragoman.testing.simulator import Fault, serve
from dragoman.testing.simulators.telegram import TelegramSimulator

MINUTE, DAY = 60.0, 86_400.0


class Bot:
    """A running bot on simulated Telegram."""

    def __init__(self, platform: TelegramSimulator, service: Running) -> None:
        self.platform = platform
        self.service = service
        self.context: Context = service.house.context
        self.broadcasts = self.context.store.broadcasts

    async def write(self, text: str, sender: int) -> None:
        """Let a person write, and wait for the answer."""
        request = self.platform.webhook(text, sender=str(sender))
        url, before = f"{self.service.url}/hooks/bench", len(self.got(sender))
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=request.body, headers=request.headers) as answer,
        ):
            assert answer.status == 200
        async with asyncio.timeout(20):
            while len(self.got(sender)) == before:
                await asyncio.sleep(0.01)

    def got(self, *people: int) -> list[str]:
        """Return what these people got, in order."""
        return [each.text for each in self.platform.sent if int(each.channel) in people]

    async def prepared(self, *people: int, text: str = "news", start_at: float = 0.0, **facts: Any) -> int:
        named = [Named(account="bench", channel=str(each), **facts) for each in people]
        number = await self.broadcasts.create("", Message(text=text), start_at)
        await self.broadcasts.add(number, audience.recipients(named, self.context.accounts))
        return number

    async def send(self, *people: int, **facts: Any) -> int:
        number = await self.prepared(*people, **facts)
        await self.broadcasts.ready(number)
        return number

    async def report(self, number: int) -> Report:
        report = await self.broadcasts.report(number)
        assert report is not None
        return report

    async def done(self, number: int) -> dict[Fate, int]:
        async with asyncio.timeout(20):
            while (report := await self.report(number)).broadcast.state != "done":
                await asyncio.sleep(0.02)
        return report.counts


@contextlib.asynccontextmanager
async def bot(folder: Path, **account: Any) -> AsyncIterator[Bot]:
    platform = TelegramSimulator()
    platform.unlimited()
    async with serve(platform) as url:
        table = {"platform": "telegram", **platform.settings(url), "sends_per_second": 500, **account}
        async with running(folder, configuration({"bench": table})) as service:
            yield Bot(platform, service)


def count_of(registry: CollectorRegistry, name: str, **labels: str) -> float:
    return registry.get_sample_value(name, labels) or 0.0


async def test_a_broadcast_reaches_everybody_and_who_blocked_the_bot_is_told_of(tmp_path: Path) -> None:
    async with bot(tmp_path) as here:
        here.platform.blocked = {"3"}

        number = await here.send(1, 2, 3, 4)

        assert await here.done(number) == {"sent": 3, "failed": 1}
        assert here.got(1, 2, 4) == ["news"] * 3
        (failed,) = await here.broadcasts.recipients(number, ["failed"], 0, 10)
        assert (failed.address.channel, "blocked" in failed.reason) == ("3", True)


PLACES = {"slack": "D00000007", "telegram": "7", "feishu": "oc_00000007"}


async def test_one_broadcast_reaches_several_platforms(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        platforms = {name: simulators.load(name)() for name in PLACES}
        tables = {
            name: {"platform": name, **each.settings(await stack.enter_async_context(serve(each)))}
            for name, each in platforms.items()
        }
        service = await stack.enter_async_context(running(tmp_path, configuration(tables)))
        here = Bot(TelegramSimulator(), service)
        number = await here.broadcasts.create("", Message(text="**news**", buttons=(Button(text="Yes", value="y"),)), 0)
        named = [Named(account=name, channel=channel) for name, channel in PLACES.items()]
        await here.broadcasts.add(number, audience.recipients(named, here.context.accounts))
        await here.broadcasts.ready(number)

        assert await here.done(number) == {"sent": 3}
        assert {name: len(each.sent) for name, each in platforms.items()} == dict.fromkeys(PLACES, 1)


async def test_an_account_that_its_platform_refuses_holds_no_other_up(tmp_path: Path) -> None:
    refusing, good = TelegramSimulator(), TelegramSimulator()
    good.unlimited()
    unauthorized = b'{"ok": false, "error_code": 401, "description": "Unauthorized"}'
    refusing.fail(Fault(times=1000, method="sendMessage", status=401, body=unauthorized))
    async with serve(refusing) as first, serve(good) as second:
        tables = {
            name: {"platform": "telegram", **each.settings(url), "sends_per_second": 200}
            for name, each, url in (("first", refusing, first), ("second", good, second))
        }
        async with running(tmp_path, configuration(tables)) as service:
            here = Bot(good, service)
            number = await here.broadcasts.create("", Message(text="news"), 0)
            named = [Named(account=name, channel=str(n)) for n in range(1, 21) for name in tables]
            await here.broadcasts.add(number, audience.recipients(named, here.context.accounts))
            await here.broadcasts.ready(number)
            async with asyncio.timeout(20):
                while (report := await here.report(number)).counts.get("sent", 0) < 20:
                    await asyncio.sleep(0.02)

    assert (len(good.sent), refusing.sent, report.broadcast.state) == (20, [], "running")


async def test_a_name_is_filled_in(tmp_path: Path) -> None:
    async with bot(tmp_path) as here:
        number = await here.send(1, text="Dear {name|friend}!", name="Kim *K*")
        await here.done(number)
        number = await here.send(2, text="Dear {name|friend}!")
        await here.done(number)

        assert here.got(1, 2) == ["Dear Kim *K*!", "Dear friend!"]


async def test_a_long_message_arrives_in_parts_and_counts_once(tmp_path: Path) -> None:
    async with bot(tmp_path) as here:
        number = await here.send(1, text="word " * 1500)

        assert (await here.done(number), len(here.got(1))) == ({"sent": 1}, 2)


async def test_who_unsubscribes_gets_none_by_whichever_name_they_are_known(tmp_path: Path) -> None:
    async with bot(tmp_path) as here:
        await here.write("unsubscribe", 1)
        await here.write("hello", 2)

        number = await here.send(1, 2)

        assert await here.done(number) == {"sent": 1, "skipped": 1}
        await here.write("/start", 1)
        number = await here.send(1, text="again")
        assert await here.done(number) == {"sent": 1}
        assert here.got(1)[-1] == "again"


async def test_a_segment_is_found_in_the_inbox_each_person_once(tmp_path: Path) -> None:
    async with bot(tmp_path) as here:
        for person in (1, 2, 1):
            await here.write("hello", person)

        found = [
            each
            async for batch in audience.found(here.context, Segment(account=frozenset({"bench"})))
            for each in batch
        ]

        assert [(each.address.channel, each.person, each.name) for each in found] == [
            ("1", "bench//1", "Guest 1"),
            ("2", "bench//2", "Guest 2"),
        ]
        nobody = Segment(account=frozenset({"bench"}), locale=frozenset({"zh"}))
        assert [batch async for batch in audience.found(here.context, nobody)] == []


async def test_only_a_moment_of_an_accounts_pace_is_under_way(tmp_path: Path) -> None:
    async with bot(tmp_path, sends_per_second=10) as here:
        number = await here.send(*range(1, 101))
        async with asyncio.timeout(20):
            while not here.got(*range(1, 101)):
                await asyncio.sleep(0.01)

        most = (await here.report(number)).counts["queued"]
        await here.broadcasts.change(number, "paused")
        async with asyncio.timeout(20):
            while (counts := (await here.report(number)).counts).get("queued"):
                await asyncio.sleep(0.01)

        assert most <= 2
        assert (counts["sent"] + counts["waiting"], counts["sent"] < 30) == (100, True)


async def test_a_reply_does_not_wait_for_the_broadcast(tmp_path: Path) -> None:
    async with bot(tmp_path, sends_per_second=20) as here:
        await here.send(*range(1, 401))
        await here.write("hello", 1000)

        assert len(here.platform.sent) < 200


async def test_a_start_that_was_missed_is_counted_and_nothing_is_sent(tmp_path: Path) -> None:
    async with bot(tmp_path) as here:
        before = count_of(telemetry.REGISTRY, "dragoman_broadcasts_missed_total")
        number = await here.send(1, start_at=here.context.store.timers.time() - 3700)
        async with asyncio.timeout(20):
            while (await here.report(number)).broadcast.state != "missed":
                await asyncio.sleep(0.02)
            while count_of(telemetry.REGISTRY, "dragoman_broadcasts_missed_total") != before + 1:
                await asyncio.sleep(0.02)  # it is counted a moment after it is so

        assert here.got(1) == []


async def test_recipients_of_an_account_that_is_gone_fail_with_the_reason(tmp_path: Path) -> None:
    async with bot(tmp_path) as here:
        number = await here.prepared(1)
        await here.broadcasts.ready(number)
        here.context.accounts.replace("bench", None)

        assert await here.done(number) == {"failed": 1}
        (failed,) = await here.broadcasts.recipients(number, ["failed"], 0, 10)
        assert failed.reason == "its account is not configured any more"


async def test_there_is_nothing_to_do_without_a_broadcast(tmp_path: Path) -> None:
    async with bot(tmp_path) as here:
        assert not await look(here.context)


async def test_the_first_that_cannot_be_a_recipient_is_named(tmp_path: Path) -> None:
    async with bot(tmp_path) as here:
        named = [Named(account="bench", channel="1"), Named(account="bench", channel="no number")]

        with pytest.raises(Misnamed, match="is no chat of Telegram's") as wrong:
            audience.recipients(named, here.context.accounts)

        assert wrong.value.place == 1


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("Hi {name}!", "Kim", "Hi Kim!"),
        ("Hi {name}!", "", "Hi !"),
        ("Hi {name|there}!", "", "Hi there!"),
        ("Hi {name}", "[a](http://b)\n# c", "Hi \\[a\\](http://b) \\# c"),
        ("Hi {other}", "Kim", "Hi {other}"),
    ],
)
def test_a_placeholder_is_filled_plainly(text: str, name: str, said: str) -> None:
    assert personal(Message(text=text), name).text == said


class Paced:
    """An account's pace."""

    def __init__(self, *rates: Rate) -> None:
        self.rates = rates


@pytest.mark.parametrize(
    ("rates", "most"),
    [
        ((), 64),
        ((Rate(per="account", count=30, seconds=1.0), Rate(per="chat", count=1, seconds=1.0)), 7),
        ((Rate(per="account", count=30, seconds=60.0),), 1),
        ((Rate(per="account", count=2000, seconds=1.0),), 64),
    ],
)
def test_how_much_is_under_way_goes_by_the_pace(rates: tuple[Rate, ...], most: int) -> None:
    assert ahead(Paced(*rates), 32) == most  # type: ignore[arg-type]  # all that is asked of an account


def event(**facts: Any) -> Event:
    whole: dict[str, Any] = {
        "key": "k",
        "account": "team",
        "platform": "slack",
        "conversation": "team/D1",
        "address": Address(account="team", channel="D1"),
        "sender": Sender(id="U1", locale="zh-CN"),
    }
    return Event(**{**whole, **facts})


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("", True),
        ("account=team", True),
        ("account=other|team, platform=slack", True),
        ("account=other", False),
        ("chat_kind=group", False),
        ("locale=zh", True),
        ("locale=zh-cn", True),
        ("locale=z", False),
    ],
)
def test_a_segment_fits_by_every_filter(text: str, fits: bool) -> None:
    assert Segment.read(text).fits(event()) is fits


def test_a_bot_is_in_no_segment() -> None:
    assert not Segment().fits(event(sender=Sender(id="B1", is_bot=True)))


@pytest.mark.parametrize(("text", "seconds"), [("active_within=90m", 90 * MINUTE), ("active_within=2w", 14 * DAY)])
def test_a_span_has_a_unit(text: str, seconds: float) -> None:
    assert Segment.read(text).active_within == seconds


@pytest.mark.parametrize("text", ["age=3", "account", "account=", "active_within=30", "chat_kind=private"])
def test_a_segment_that_is_wrong_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"filter|span|none of"):
        Segment.read(text)
