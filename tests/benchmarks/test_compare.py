"""The comparison's own parts: the load and the stub against each other, the oracle, the ratios and the verdict."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

import aiohttp
import msgspec
import pytest
from aiohttp import web
from benchmarks.compare import chart, oracle, profile, regression, report, soak, stub, workload
from benchmarks.compare.load import Load, Phase
from benchmarks.compare.rounds import Plan

from dragoman.adapter import Known
from dragoman.adapters.slack import Slack
from dragoman.model import Secret
from dragoman.wire import Http

RECORDED: Final = Path(__file__).parents[2] / "benchmarks" / "results" / "recorded.json"
FIGURES: Final = {
    "replies_per_second": 1000.0,
    "cpu_us": 100.0,
    "load_cpu_us": 50.0,
    **{f"{kind}_{rate}": 2.0 for kind in ("p50_ms", "p99_ms", "cpu_us") for rate in (200, 1000)},
    **dict.fromkeys(report.COUNTS, 0.0),
}
MACHINE: Final = {
    "processor": "<a & b>",
    "cores": 2,
    "python": "3",
    "date": "2026-01-01",
    "flush_ms": 1.0,
    "load_before": 0.1,
    "load_after": 0.2,
}

STACKS: Final = """\
thread (7): Main;deliver (/x/src/dragoman/flow/deliver.py:9);info (/x/src/dragoman/telemetry.py:1) 3
thread (7): Main;run (/x/lib/python3.11/asyncio/runners.py:1) 1
thread (8): store-writer;_transact (/x/src/dragoman/store/sqlite/writer.py:1);claim (/x/src/i.py:2) 5
thread (9): Other;run (/x/lib/python3.11/asyncio/runners.py:1) 1
"""


def result(**ours: float) -> dict[str, Any]:
    found = {"dragoman": [FIGURES | ours], "naive": [FIGURES]}
    return report.result(Plan(rounds=1), found, MACHINE)


class Bot:
    """A bot that answers by the stub, and as badly as it is told."""

    def __init__(self) -> None:
        self.base = ""
        self.refuse = 0
        self.mute = False
        self.times = 1

    async def hook(self, request: web.Request) -> web.Response:
        if self.refuse:
            self.refuse -= 1
            return web.Response(status=503)
        event = (await request.json())["event"]
        if not self.mute:
            async with aiohttp.ClientSession() as session:
                for _ in range(self.times):
                    said = {"channel": event["channel"], "text": f"echo: {event['text']}"}
                    async with session.post(f"{self.base}/chat.postMessage", json=said) as answer:
                        assert (await answer.json())["ok"]
        return web.Response()


@contextlib.asynccontextmanager
async def playing(bot: Bot) -> AsyncIterator[Load]:
    application = web.Application()
    application.router.add_post("/hooks/bench", bot.hook)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    load = Load(runner.addresses[0][1])
    try:
        async with stub.serving(load.said) as bot.base:
            yield load
            load.close()
    finally:
        await runner.cleanup()


async def test_a_closed_loop_keeps_so_many_in_flight_and_ends_when_all_are_answered() -> None:
    async with playing(Bot()) as load:
        await load.play(Phase(name="p", seconds=0.3, conversations=3, in_flight=4))

    messages = load.messages.values()
    assert len(load.order) == len(messages) > 4
    assert (oracle.lost(messages), oracle.duplicates(messages), oracle.inversions(load.order)) == (0, 0, 0)


async def test_an_open_loop_sends_at_its_rate() -> None:
    async with playing(Bot()) as load:
        await load.play(Phase(name="p", seconds=0.5, conversations=10, rate=100))

    assert len(load.order) == 50
    assert len(oracle.latencies(load.order)) == 50


async def test_the_last_message_is_waited_for() -> None:
    async with playing(Bot()) as load:
        for _ in range(20):
            await load.play(Phase(name="p", seconds=0.01, conversations=10, rate=1000))

    assert load.wrong == []


async def test_a_long_message_is_known_by_its_beginning() -> None:
    async with playing(Bot()) as load:
        await load.play(Phase(name="p", seconds=0, conversations=2, in_flight=2, padding=" lorem ipsum"))

    assert [message.name for message in load.order] == ["p c0 n1", "p c1 n1"]


async def test_what_is_not_taken_is_sent_again() -> None:
    bot = Bot()
    bot.refuse = 2
    async with playing(bot) as load:
        await load.play(Phase(name="p", seconds=0, conversations=1, in_flight=3))

    assert len(load.order) == 3
    assert sum(message.attempts for message in load.messages.values()) == 5


async def test_what_is_never_answered_is_lost() -> None:
    bot = Bot()
    bot.mute = True
    async with playing(bot) as load:
        await load.play(Phase(name="p", seconds=0, conversations=2, in_flight=2, settle=0.2))

    assert oracle.lost(load.messages.values()) == len(load.wrong) == 2


async def test_what_is_answered_twice_is_a_duplicate() -> None:
    bot = Bot()
    bot.times = 2
    async with playing(bot) as load:
        await load.play(Phase(name="p", seconds=0, conversations=1, in_flight=1))

    assert oracle.duplicates(load.messages.values()) == 1


def test_a_reply_after_that_of_a_later_message_is_an_inversion() -> None:
    first, second, other = (
        workload.message("p", conversation, number, 0.0) for conversation, number in ((1, 1), (1, 2), (2, 1))
    )

    assert oracle.inversions([second, other, first]) == 1
    assert oracle.inversions([first, other, second]) == 0


def test_the_load_signs_as_the_adapter_verifies() -> None:
    head, _, body = workload.signed(workload.message("p", 7, 1, 0.0)).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    adapter = Slack(account="bench", signing_secret=Secret(workload.SIGNING_SECRET), bot_token=Secret("xoxb-1"))
    known = Known(now=float(headers["x-slack-request-timestamp"]))

    payload = adapter.verify(Http(method="POST", headers=headers, body=body), known)
    (event,) = adapter.parse(payload, known).events

    assert lines[0] == "POST /hooks/bench HTTP/1.1"
    assert (event.text, event.address.channel) == ("p c7 n1", "D00000007")


def test_each_account_has_a_hook_of_its_own() -> None:
    request = workload.signed(workload.message("p", 5, 1, 0.0, accounts=3))

    assert request.startswith(b"POST /hooks/bench2 HTTP/1.1\r\n")


def test_the_ratio_of_a_run_is_the_median_of_its_rounds() -> None:
    ours = [FIGURES | {"cpu_us": cost} for cost in (100.0, 300.0, 200.0)]
    theirs = [FIGURES | {"cpu_us": cost} for cost in (100.0, 100.0, 400.0)]

    assert report.ratios(ours, theirs)["cpu_us"] == 1.0


def test_what_must_not_happen_is_added_up() -> None:
    assert report.summary([FIGURES | {"lost": 1.0}, FIGURES, FIGURES])["lost"] == 1.0


def test_the_table_has_a_row_for_each_contestant_and_each_ratio() -> None:
    table = report.table(result(cpu_us=250.0))

    assert [line.strip().split("  ")[0] for line in table.splitlines()[5:]] == ["dragoman", "naive", "ratio to naive"]
    assert "2.50" in table


@pytest.mark.parametrize(
    ("figure", "value", "said"),
    [
        ("replies_per_second", 600.0, 0),
        ("replies_per_second", 400.0, 1),
        ("cpu_us", 190.0, 0),
        ("cpu_us", 210.0, 1),
        ("p99_ms_200", 100.0, 0),
        ("lost", 1.0, 1),
    ],
)
def test_only_what_is_more_than_twice_worse_is_a_regression(figure: str, value: float, said: int) -> None:
    assert len(regression.found(result(**{figure: value}), result())) == said


def test_the_picture_is_well_formed_and_names_the_machine() -> None:
    picture = ET.fromstring(chart.svg(result()))  # noqa: S314 - our own

    assert any("<a & b>" in (text.text or "") for text in picture.iter("{http://www.w3.org/2000/svg}text"))


def test_the_recorded_result_can_be_compared_with() -> None:
    recorded = msgspec.json.decode(RECORDED.read_bytes())

    assert regression.found(recorded, recorded) == []
    assert set(recorded["ratios"]) == {"naive", "slack-bolt"}


@pytest.mark.parametrize(("count", "said"), [(20, "1, 3, 5, 7, 9, 11, 13, 15, 17, 19"), (3, "0, 1, 2"), (0, "")])
def test_a_soak_tells_what_was_most_in_each_tenth(count: int, said: str) -> None:
    assert soak.tenths([float(number) for number in range(count)], max, ".0f") == said


def test_a_sample_belongs_to_the_innermost_stage() -> None:
    stages, _ = profile.read(STACKS, {7: 40.0, 8: 20.0})

    assert stages == {"logs": 30.0, profile.LOOP: 10.0, "store's thread: claim": 20.0}
