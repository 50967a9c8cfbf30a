"""What a caller may not do to the door: fill its memory, or stay without asking for anything."""

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from tests.web.test_door import ACCOUNTS, GATED, Wire, bare, connected, message, until_held
from uvicorn.server import ServerState

from dragoman.web import hooks, protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.web.conftest import Start

CHUNKED = "Transfer-Encoding: chunked"
UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


@pytest.fixture
async def wire(start: "Start") -> "AsyncIterator[Wire]":
    async with start(ACCOUNTS) as site, connected(site) as wire:
        yield wire


@pytest.mark.parametrize("path", ["/hooks/nobody", "/nothing"])
async def test_trailers_without_end_close_the_connection(wire: Wire, path: str) -> None:
    await wire.send(bare(path, "POST", CHUNKED), b"0\r\n", b"a:b\r\n" * 9000)
    assert (await wire.answer()).status == 404

    await wire.send(b"a:b\r\n" * 9000)

    assert (await wire.answer()).status == 400
    assert await wire.is_closed()


async def test_a_body_of_many_chunks_has_no_headers_too_large(wire: Wire) -> None:
    await wire.send(bare("/hooks/webhook", "POST", CHUNKED), *[b"1\r\nx\r\n" * 9000] * 3, b"0\r\n\r\n")

    assert (await wire.answer()).status == 401


@pytest.mark.parametrize("before", [b"", message("a"), bare("/health/live")], ids=["at once", "a hook", "a page"])
async def test_what_is_no_http_is_told_so_and_hung_up_on(wire: Wire, before: bytes) -> None:
    if before:
        await wire.send(before)
        assert (await wire.answer()).status == 200

    await wire.send(b"hello\r\n\r\n")
    answer = await wire.answer()

    assert (answer.status, answer.body) == (400, b"Invalid HTTP request received.")
    assert answer.headers["connection"] == "close"
    assert await wire.is_closed()


@pytest.mark.parametrize(
    ("request_", "then"),
    [
        (bare("/hooks/nobody", "POST", "Content-Length: 1000"), b"x"),
        (bare("/nothing", "POST", "Content-Length: 1000"), b"x"),
        (bare("/hooks/nobody"), b"GE"),
        (bare("/nothing"), b"\r\n"),
    ],
    ids=["rest of a hook's body", "rest of a page's body", "part of a request", "end of a line"],
)
async def test_bytes_that_are_no_request_do_not_keep_a_connection_open(
    wire: Wire, request_: bytes, then: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "BODY_SECONDS", 0.3)
    monkeypatch.setattr(protocol, "HEADER_SECONDS", 0.3)
    await wire.send(request_)
    assert (await wire.answer()).status == 404

    await wire.send(then)

    assert await wire.is_closed()


@pytest.mark.parametrize(("path", "status"), [("/hooks/webhook", 401), ("/chat/socket", 404)])
async def test_a_request_for_a_socket_with_a_body_is_answered(wire: Wire, path: str, status: int) -> None:
    await wire.send(bare(path, "GET", *UPGRADE, "Content-Length: 2") + b"{}")

    assert (await wire.answer()).status == status


async def test_of_a_caller_that_asks_faster_than_it_is_answered_one_reading_waits_at_most() -> None:
    loop = asyncio.get_running_loop()
    waiting: list[int] = []
    enough = loop.create_future()

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        waiting.append(len(door.pipeline))
        if len(waiting) == 50:
            enough.set_result(None)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(application, log_config=None, lifespan="off")
    door = protocol.BoundedProtocol(config=config, server_state=ServerState(), app_state={})
    server = await loop.create_server(lambda: door, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"GET / HTTP/1.1\r\n\r\n" * 100_000)
    await enough
    writer.transport.abort()
    door.transport.abort()
    server.close()

    assert max(waiting) <= 2**18 // 18 + 1


@pytest.fixture
def uncollected() -> "Iterator[None]":
    """Leave the collector of cycles out: what has gone has gone without it."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def doors_of(wire: Wire) -> list[protocol.HookProtocol]:
    """Return what the service still has of a connection."""
    return [each for each in gc.get_objects() if type(each) is protocol.HookProtocol and each.client == wire.address]


def left_of(wire: Wire) -> bool:
    """Tell whether the service still has anything of a connection."""
    return bool(doors_of(wire))


async def test_the_server_waits_for_the_hooks_that_are_under_way_and_for_no_others(start: "Start") -> None:
    async with start(ACCOUNTS, plugin=GATED) as site, connected(site) as wire:
        await wire.send(message("a") + bare("/hooks/nobody") + message("hold"))
        await until_held(site)
        [door] = doors_of(wire)
        under_way = len(door.tasks)
        site.open_gate()
        answers = [await wire.answer() for _ in range(3)]
        await site.until(lambda: asyncio.sleep(0, not door.tasks))

    assert under_way == 1
    assert [answer.status for answer in answers] == [200, 404, 200]


@pytest.mark.usefixtures("uncollected")
async def test_of_a_hook_that_is_cancelled_before_it_begins_nothing_is_left(start: "Start") -> None:
    async with start(ACCOUNTS, plugin=GATED) as site:
        async with connected(site) as wire:
            await wire.send(b"")
            [door] = doors_of(wire)
            door.data_received(message("never"))
            cancelled = [task.cancel() for task in door.tasks]
            del door
            await wire.send(b"")
            assert wire.is_silent()

        async def gone() -> bool:
            return not left_of(wire)

        await site.until(gone)

    assert cancelled == [True]
    assert site.turns() == []


LAST_WORDS = {
    "nothing": b"",
    "a hook": message("a"),
    "several": message("a") + bare("/health/live") + message("b"),
    "a page": bare("/health/live"),
    "a hook that is refused": bare("/hooks/nobody"),
    "half a hook": message("a")[:-1],
    "a socket": bare("/chat/socket", "GET", *UPGRADE),
    "no HTTP": b"hello\r\n\r\n",
}


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("said", LAST_WORDS.values(), ids=list(LAST_WORDS))
async def test_of_a_closed_connection_nothing_is_left(start: "Start", said: bytes) -> None:
    async with start(ACCOUNTS, plugin=GATED) as site:
        async with connected(site) as wire:
            await wire.send(b"")
            assert left_of(wire)
            await wire.send(said)

        async def gone() -> bool:
            return not left_of(wire)

        await site.until(gone)


@pytest.mark.usefixtures("uncollected")
async def test_of_a_caller_who_left_nothing_is_left_when_its_turn_is_over(start: "Start") -> None:
    async with start(ACCOUNTS, plugin=GATED) as site:
        async with connected(site) as wire:
            await wire.send(message("hold") + bare("/health/live") + message("behind"))
            await until_held(site)
        site.open_gate()

        async def gone() -> bool:
            return not left_of(wire)

        await site.until(gone)
