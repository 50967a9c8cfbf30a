"""The chat socket, frame by frame: what is accepted, what is refused, and what a page gets when it comes back."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

if TYPE_CHECKING:
    from tests.web.conftest import Site, Start

Socket = aiohttp.ClientWebSocketResponse


@contextlib.asynccontextmanager
async def chat(site: "Site", channel: str = "c1") -> AsyncIterator[Socket]:
    headers = {"origin": site.url, "cookie": f"dragoman_chat={channel}"}
    async with site.session.ws_connect(f"{site.url}/chat/socket", headers=headers) as socket:
        yield socket


async def frames(socket: Socket, count: int) -> list[dict[str, Any]]:
    return [await socket.receive_json(timeout=10) for _ in range(count)]


async def said(socket: Socket, frame: dict[str, Any]) -> dict[str, Any]:
    """Send a frame and return the bot's message that answers it."""
    await socket.send_json(frame)
    while True:
        (answer,) = await frames(socket, 1)
        if answer["type"] in {"message", "error"}:
            return answer


async def test_a_message_is_accepted_and_answered(site: "Site") -> None:
    async with chat(site) as socket:
        await socket.send_json({"id": "f1", "text": "hello"})
        history, *rest = await frames(socket, 3)

    accepted = next(frame for frame in rest if frame["type"] == "accepted")
    message = next(frame for frame in rest if frame["type"] == "message")
    assert history == {"type": "history", "lines": []}
    assert accepted["about"] == "f1"
    assert message["by"] == "bot"
    assert message["text"] == "counted hello"


async def test_a_frame_sent_again_is_accepted_as_the_same_and_answered_once(site: "Site") -> None:
    async with chat(site) as socket:
        for _ in range(2):
            await socket.send_json({"id": "f1", "text": "hello"})
        _, *rest = await frames(socket, 4)
        await said(socket, {"id": "f2", "text": "more"})

    accepted = [frame["id"] for frame in rest if frame["type"] == "accepted"]
    assert accepted[0] == accepted[1]
    assert site.turns() == ["hello", "more"]


async def test_a_page_that_comes_back_gets_the_history_with_the_same_ids(site: "Site") -> None:
    async with chat(site) as socket:
        message = await said(socket, {"id": "f1", "text": "hello"})
    async with chat(site) as socket:
        (history,) = await frames(socket, 1)

    person, bot = history["lines"]
    assert (person["by"], person["text"]) == ("person", "hello")
    assert (bot["by"], bot["id"], bot["html"]) == ("bot", message["id"], message["html"])


async def test_another_cookie_is_another_conversation(site: "Site") -> None:
    async with chat(site, "c1") as socket:
        await said(socket, {"id": "f1", "text": "hello"})
    async with chat(site, "c2") as socket:
        (history,) = await frames(socket, 1)

    assert history["lines"] == []


async def test_both_pages_of_one_person_get_the_answer(site: "Site") -> None:
    async with chat(site) as one, chat(site) as two:
        await frames(two, 1)
        answer = await said(one, {"id": "f1", "text": "hello"})

        while (other := (await frames(two, 1))[0])["by"] != "bot":
            pass

    assert other == answer


async def test_the_other_page_of_a_person_is_shown_what_was_said_in_the_first(site: "Site") -> None:
    async with chat(site) as one, chat(site) as two:
        await frames(two, 1)
        await said(one, {"id": "f1", "text": "hello"})
        first, second = await frames(two, 2)

    assert (first["by"], first["text"]) == ("person", "hello")
    assert (second["by"], second["text"]) == ("bot", "counted hello")


async def test_a_pressed_button_says_its_value(start: "Start") -> None:
    async with start() as site, chat(site) as socket:
        helped = await said(socket, {"id": "f1", "text": "help"})
        button = next(button for button in helped["buttons"] if button["text"] == "Time")
        answer = await said(socket, {"id": "f2", "text": button["text"], "value": button["value"]})

    assert answer["text"].startswith("It is ")


async def test_the_time_is_the_person_s_own(start: "Start") -> None:
    async with start() as site, chat(site) as socket:
        answer = await said(socket, {"id": "f1", "text": "time", "zone": "Asia/Shanghai"})

    assert "(Asia/Shanghai)" in answer["text"]


@pytest.mark.parametrize(
    "frame",
    [
        "hello",
        "[]",
        "7",
        "{",
        '{"id": "f1"}',
        '{"text": "hello"}',
        '{"id": "f1", "text": " "}',
        '{"id": 7, "text": "x"}',
    ],
)
async def test_a_frame_that_is_not_understood_gets_an_error_and_the_chat_goes_on(site: "Site", frame: str) -> None:
    async with chat(site) as socket:
        await frames(socket, 1)
        await socket.send_str(frame)
        (error,) = await frames(socket, 1)
        answer = await said(socket, {"id": "f9", "text": "hello"})

    assert error["type"] == "error"
    assert answer["text"] == "counted hello"


async def test_deep_nesting_gets_an_error(site: "Site") -> None:
    async with chat(site) as socket:
        await frames(socket, 1)
        await socket.send_str('{"id": "f1", "text": ' + "[" * 30_000)
        (error,) = await frames(socket, 1)

    assert error["type"] == "error"


async def test_a_message_that_is_too_long_gets_an_error_that_names_it(site: "Site") -> None:
    async with chat(site) as socket:
        answer = await said(socket, {"id": "f1", "text": "x" * 40_000})

    assert answer["type"] == "error"
    assert site.turns() == []


async def test_a_frame_cannot_speak_in_another_conversation(site: "Site") -> None:
    async with chat(site, "mine") as socket:
        await said(socket, {"id": "f1", "text": "hello", "channel": "yours"})
    async with chat(site, "yours") as socket:
        (history,) = await frames(socket, 1)

    assert history["lines"] == []


async def test_a_giant_frame_ends_the_connection(site: "Site") -> None:
    async with chat(site) as socket:
        await frames(socket, 1)
        with contextlib.suppress(ConnectionError):
            await socket.send_str("x" * 1_000_000)
        await closed(socket)

    assert socket.close_code in {1006, 1009}


async def closed(socket: Socket) -> None:
    async with asyncio.timeout(10):
        while (await socket.receive()).type is aiohttp.WSMsgType.TEXT:
            pass


async def test_a_binary_frame_is_refused_in_order(site: "Site", caplog: pytest.LogCaptureFixture) -> None:
    async with chat(site) as socket:
        await frames(socket, 1)
        await socket.send_bytes(b"hello")
        message = await socket.receive(timeout=10)

    assert message.type is aiohttp.WSMsgType.TEXT or socket.close_code in {1003, 1007, 1008}
    assert "Traceback" not in caplog.text
    assert [record for record in caplog.records if record.exc_info] == []


async def test_a_full_store_gets_an_error_that_says_to_try_again(start: "Start", logs: io.StringIO) -> None:
    source = "import asyncio\nfrom dragoman import Plugin, Turn\nplugin = Plugin('slow')\n"
    source += "@plugin.message()\nasync def wait(turn: Turn) -> None:\n    await asyncio.Event().wait()\n"
    async with start(plugin=source, most_waiting=1, turn_seconds=1) as site, chat(site) as socket:
        await socket.send_json({"id": "f1", "text": "hello"})
        await frames(socket, 2)
        answer = await said(socket, {"id": "f2", "text": "secret words"})

    assert answer == {"type": "error", "about": "f2", "text": answer["text"]}
    assert "again" in answer["text"]
    assert "secret words" not in logs.getvalue()


@pytest.mark.parametrize(
    "words",
    [
        "<img src=x onerror=alert(1)>",
        "<script>alert(1)</script>",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](data:text/html,<script>alert(1)</script>)",
        "![x](javascript:alert(1))",
        "<a href='javascript:alert(1)'>x</a>",
        "`<img src=x onerror=alert(1)>`",
        "<javascript:alert(1)>",
        '[x](https://example.org "\\"onmouseover=alert(1) x=\\"")',
    ],
)
async def test_what_a_person_writes_is_never_live_html_in_the_answer(site: "Site", words: str) -> None:
    async with chat(site) as socket:
        answer = await said(socket, {"id": "f1", "text": words})

    html = answer["html"].lower()
    assert "<img" not in html
    assert "<script" not in html
    assert 'href="javascript' not in html
    assert 'href="data:' not in html
    assert " onmouseover" not in html.replace("&quot;onmouseover", "")
