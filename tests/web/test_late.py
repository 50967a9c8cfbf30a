"""Replies that are not ready in time: 202, asking again, the signed callback, and a stop while a caller waits."""

import asyncio
import base64
import hashlib
import hmac
import socket
import struct
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dragoman.testing.simulator import serve

if TYPE_CHECKING:
    from tests.web.conftest import Site, Start

TOKEN = "a-token-of-the-tests"
SECRET = "a plain secret of the tests"

GATED = """
import asyncio
from pathlib import Path

from dragoman import Plugin, Turn

plugin = Plugin("gated")
GATE = Path(__file__).with_name("gate")
TURNS = Path(__file__).with_name("turns")


@plugin.message()
async def wait(turn: Turn) -> None:
    with TURNS.open("a") as file:
        file.write(turn.text + "\\n")
    while not GATE.exists():
        await asyncio.sleep(0.01)
    turn.say(f"late {turn.text}")
    turn.say("and more")
"""


def account(**settings: Any) -> dict[str, Any]:
    return {"webhook": {"platform": "webhook", "token": TOKEN, **settings}}


class Receiver:
    """Takes callbacks; answers with the prepared statuses first, then 204."""

    def __init__(self) -> None:
        self.taken: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        self.open = asyncio.Event()
        self.open.set()
        self.app = Starlette(routes=[Route("/late", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        self.taken.append((dict(request.headers), await request.body()))
        await self.open.wait()
        return Response(status_code=self.statuses.pop(0) if self.statuses else 204)

    async def has(self, count: int) -> bool:
        return len(self.taken) >= count


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[Receiver, str]]:
    receiver = Receiver()
    async with serve(receiver.app) as url:
        yield receiver, f"{url}/late"


async def test_a_late_reply_is_promised_and_returned_when_asked_again(start: "Start") -> None:
    form = {"content": "hello", "id": "m1"}
    async with start(account(reply_within=0.2), plugin=GATED) as site:
        first = await site.post(form)
        site.open_gate()

        async def answered() -> Any:
            again = await site.post(form)
            return again if again.status == 200 else None

        later = await site.until(answered)
        last = await site.post(form)

    assert first.status == 202
    assert first.json["id"] == "m1"
    assert first.json["status"] == "pending"
    assert later.json["reply"] == "late hello\n\nand more"
    assert last.json == later.json
    assert site.turns() == ["hello"]


async def test_a_caller_that_never_waits_gets_the_reply_when_it_asks_again(start: "Start") -> None:
    form = {"content": "hello", "id": "m1"}
    async with start(account(reply_within=0), plugin=GATED) as site:
        first = await site.post(form)
        site.open_gate()
        await site.until(lambda: finished(site, "m1"))
        later = await site.post(form)

    assert first.status == 202
    assert later.status == 200
    assert later.json["reply"] == "late hello\n\nand more"


async def finished(site: "Site", name: str) -> bool:
    trace = await site.ask("trace", id=name)
    return trace is not None and trace["status"] == "done"


async def test_a_late_reply_goes_to_the_callback_signed(start: "Start", receiver: tuple[Receiver, str]) -> None:
    taken, url = receiver
    async with start(account(secret=SECRET, reply_within=0.2, callback_url=url), plugin=GATED) as site:
        first = await site.post({"content": "hello", "id": "m1", "conversation_id": "desk"})
        site.open_gate()
        await site.until(lambda: taken.has(2))

    headers, body = taken.taken[0]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()
    assert first.status == 202
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    assert headers["content-type"] == "application/json"
    assert msgspec.json.decode(body) == {
        "reply": "late hello",
        "replies": [{"text": "late hello"}],
        "id": "m1",
        "conversation_id": "desk",
    }
    assert msgspec.json.decode(taken.taken[1][1])["reply"] == "and more"
    assert taken.taken[1][0]["webhook-id"] != headers["webhook-id"]


async def test_a_repeat_is_not_answered_while_the_callback_is_under_way(
    start: "Start", receiver: tuple[Receiver, str]
) -> None:
    taken, url = receiver
    taken.open.clear()
    form = {"content": "hello", "id": "m1"}
    async with start(account(reply_within=0.1, callback_url=url), plugin=GATED) as site:
        await site.post(form)
        site.open_gate()
        await site.until(lambda: taken.has(1))
        meanwhile = await site.post(form)
        taken.open.set()

        async def answered() -> Any:
            again = await site.post(form)
            return again if again.status == 200 else None

        again = await site.until(answered)

    assert meanwhile.status == 503
    assert "retry-after" in meanwhile.headers
    assert again.json["reply"] == "late hello\n\nand more"


async def test_a_callback_without_a_secret_carries_the_token(start: "Start", receiver: tuple[Receiver, str]) -> None:
    taken, url = receiver
    async with start(account(reply_within=0.1, callback_url=url), plugin=GATED) as site:
        await site.post({"content": "hello"})
        site.open_gate()
        await site.until(lambda: taken.has(1))

    assert taken.taken[0][0]["authorization"] == f"Bearer {TOKEN}"


async def test_a_callback_that_fails_is_repeated_under_the_same_id(
    start: "Start", receiver: tuple[Receiver, str]
) -> None:
    taken, url = receiver
    taken.statuses = [503]
    async with start(account(secret=SECRET, reply_within=0.1, callback_url=url), plugin=GATED) as site:
        await site.post({"content": "hello"})
        site.open_gate()
        await site.until(lambda: taken.has(3))

    ids = [headers["webhook-id"] for headers, _ in taken.taken]
    assert ids[0] == ids[1]
    assert ids[1] != ids[2]


async def test_a_reply_in_time_does_not_go_to_the_callback_too(start: "Start", receiver: tuple[Receiver, str]) -> None:
    taken, url = receiver
    async with start(account(reply_within=10, callback_url=url), plugin=GATED) as site:
        site.open_gate()
        answer = await site.post({"content": "hello", "id": "m1"})
        await site.until(lambda: delivered(site, "m1"))

    assert answer.status == 200
    assert taken.taken == []


async def delivered(site: "Site", name: str) -> bool:
    stages = (await site.ask("trace", id=name))["stages"]
    outcomes = [stage["outcome"] for stage in stages if stage["name"] == "deliver"]
    return len(outcomes) == 2 and all(" sent" in outcome for outcome in outcomes)


async def test_a_caller_that_leaves_gets_its_reply_by_asking_again(start: "Start") -> None:
    form = {"content": "hello", "id": "m1"}
    async with start(account(reply_within=20), plugin=GATED) as site:
        asking = asyncio.create_task(site.post(form))
        await site.until(lambda: known(site, "m1"))
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        site.open_gate()
        again = await site.post(form)

    assert again.json["reply"] == "late hello\n\nand more"
    assert site.turns() == ["hello"]


def pipelined(*names: str) -> bytes:
    """Write requests one behind the other, as they come on one connection."""
    bodies = [msgspec.json.encode({"content": "hello", "id": name, "conversation_id": name}) for name in names]
    head = f"POST /hooks/webhook HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: "
    return b"".join(f"{head}{len(body)}\r\n\r\n".encode() + body for body in bodies)


@pytest.mark.parametrize("way", ["closed", "reset"])
async def test_a_caller_that_leaves_with_a_second_request_behind_gets_its_reply_by_the_callback(
    start: "Start", receiver: tuple[Receiver, str], way: str
) -> None:
    taken, url = receiver
    async with start(account(reply_within=2, callback_url=url), plugin=GATED) as site:
        _, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(pipelined("m1", "m2"))
        await site.until(lambda: known(site, "m1"))
        if way == "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()
        await writer.wait_closed()
        site.open_gate()
        await site.until(lambda: delivered(site, "m1"))
        again = await site.post({"content": "hello", "id": "m1", "conversation_id": "m1"})

    replies = [msgspec.json.decode(body) for _, body in taken.taken]
    assert [reply["reply"] for reply in replies if reply["id"] == "m1"] == ["late hello", "and more"]
    assert again.json["reply"] == "late hello\n\nand more"


async def test_callers_that_ask_for_two_at_once_and_stay_get_both_answers(
    start: "Start", receiver: tuple[Receiver, str]
) -> None:
    taken, url = receiver
    async with start(account(reply_within=20, callback_url=url), plugin=GATED) as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(pipelined("m1", "m2"))
        await site.until(lambda: known(site, "m1"))
        site.open_gate()
        bodies = []
        for _ in range(2):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            bodies.append(msgspec.json.decode(await reader.readexactly(length)))
        writer.close()

    assert [body["id"] for body in bodies] == ["m1", "m2"]
    assert taken.taken == []


async def known(site: "Site", name: str) -> bool:
    return await site.ask("trace", id=name) is not None


async def test_a_stop_answers_the_callers_that_wait_with_the_later_path(start: "Start") -> None:
    async with start(account(reply_within=60), plugin=GATED) as site:
        asking = asyncio.create_task(site.post({"content": "hello", "id": "m1"}))
        await site.until(lambda: known(site, "m1"))

    answer = await asking
    assert answer.status == 202
    assert answer.json["id"] == "m1"
