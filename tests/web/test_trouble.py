"""When things go wrong inside: a full store, a plugin that breaks, a sender who is not permitted."""

import asyncio
import io
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.web.conftest import Site, Start

TOKEN = "a-token-of-the-tests"

GATED = """
import asyncio
from pathlib import Path

from dragoman import Plugin, Turn

plugin = Plugin("gated")
GATE = Path(__file__).with_name("gate")


@plugin.message()
async def wait(turn: Turn) -> None:
    while not GATE.exists():
        await asyncio.sleep(0.01)
    turn.say(f"late {turn.text}")
"""

BROKEN = """
from pathlib import Path

from dragoman import Plugin, Turn

plugin = Plugin("broken")
MENDED = Path(__file__).with_name("gate")


@plugin.message()
async def answer(turn: Turn) -> None:
    if turn.text == "poison" and not MENDED.exists():
        raise ValueError(f"cannot digest {turn.text}")
    turn.say(f"fine {turn.text}")
"""

SILENT = """
from dragoman import Plugin

plugin = Plugin("silent")
"""


async def test_a_full_store_asks_callers_to_come_back(start: "Start") -> None:
    async with start(plugin=GATED, most_waiting=1) as site:
        waiting = asyncio.create_task(site.post({"content": "first"}))

        async def full() -> bool:
            return (await site.get("/health/ready")).status == 503

        await site.until(full)
        refused = await site.post({"content": "second", "id": "m2"})
        ready = await site.get("/health/ready")
        site.open_gate()
        first = await waiting
        accepted = await site.post({"content": "second", "id": "m2"})

    assert refused.status == 503
    assert int(refused.headers["retry-after"]) > 0
    assert "wait" in ready.json["reason"]
    assert first.json["reply"] == "late first"
    assert accepted.json["reply"] == "late second"


@pytest.mark.timeout(90)
async def test_a_message_that_always_fails_is_parked_and_its_caller_is_told(start: "Start", logs: io.StringIO) -> None:
    account = {"platform": "webhook", "token": TOKEN, "reply_within": 60}
    async with start({"webhook": account}, plugin=BROKEN) as site:
        answer = await site.post({"content": "poison", "id": "m1"})
        trace = await site.ask("trace", id="m1")
        parked = await site.ask("parked")
        neighbour = await site.post({"content": "water"})
        site.open_gate()
        redriven = await site.ask("redrive", id=trace["id"])
        again = await site.post({"content": "poison", "id": "m1"})

    assert answer.status == 500
    assert trace["id"] in answer.json["detail"]
    assert trace["status"] == "parked"
    assert [(row["id"], row["kind"]) for row in parked] == [(trace["id"], "event")]
    assert "ValueError" in parked[0]["reason"]
    assert neighbour.json["reply"] == "fine water"
    assert redriven == {"kind": "event"}
    assert again.json["reply"] == "fine poison"
    assert "poison" not in logs.getvalue()


async def test_a_message_that_nobody_handles_is_answered_empty(start: "Start") -> None:
    async with start(plugin=SILENT) as site:
        answer = await site.post({"content": "hello", "id": "m1"})
        trace = await site.ask("trace", id="m1")

    assert answer.status == 200
    assert answer.json["reply"] == ""
    assert answer.json["replies"] == []
    assert trace["status"] == "done"


async def test_a_sender_who_is_not_permitted_gets_no_answer(start: "Start") -> None:
    account: dict[str, Any] = {"platform": "webhook", "token": TOKEN, "permit": ["ada"]}
    async with start({"webhook": account}) as site:
        permitted = await site.post({"content": "hello", "sender_id": "ada"})
        refused = await site.post({"content": "hello", "sender_id": "bob"})

    assert permitted.json["reply"]
    assert refused.json["reply"] == ""


async def test_in_a_group_only_what_is_addressed_is_answered(site: "Site") -> None:
    form = {"content": "hello", "chat_kind": "group", "conversation_id": "room"}

    passing = await site.post(form)
    addressed = await site.post({**form, "mentions_bot": True})

    assert passing.json["reply"] == ""
    assert addressed.json["reply"] == "counted hello"


async def test_redriving_what_is_not_parked_finds_nothing(site: "Site") -> None:
    assert await site.ask("redrive", id="e99") is None
    assert await site.ask("redrive", id="nonsense") is None


async def test_redriving_a_payload_that_is_still_not_understood_says_so(start: "Start") -> None:
    account = {"platform": "telegram", "bot_token": "1:test", "secret_token": "s", "api_base": "http://127.0.0.1:9"}
    async with start({"tg": account}) as site:
        taken = await site.post(
            {"update_id": "no number"}, path="/hooks/tg", token="", x_telegram_bot_api_secret_token="s"
        )
        parked = await site.ask("parked")
        answer = await site.ask("redrive", id=parked[0]["id"])

    assert taken.status == 200
    assert "stays parked" in answer["error"]
