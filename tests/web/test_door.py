"""Hooks on the wire, byte by byte: how requests come, in which order answers leave, and who goes away meanwhile."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from dragoman import telemetry
from dragoman.model import Delivery
from dragoman.web import hooks, protocol
from dragoman.web.visit import header_lines
from dragoman.wire import Http, Response

if TYPE_CHECKING:
    from tests.web.conftest import Site, Start

MIB = 1 << 20
TOKEN = "a-token-of-the-tests"
SECRET = "a-secret-of-the-tests"
TELEGRAM = {"platform": "telegram", "bot_token": "1:test", "secret_token": SECRET, "api_base": "http://127.0.0.1:9"}
ACCOUNTS = {"webhook": {"platform": "webhook", "token": TOKEN, "reply_within": 20}, "tg": TELEGRAM}

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
    while turn.text == "hold" and not GATE.exists():
        await asyncio.sleep(0.01)
    turn.say(f"said {turn.text}")
"""


class Answer:
    """One answer as it came."""

    def __init__(self, line: bytes, headers: dict[str, str], body: bytes) -> None:
        self.line = line
        self.status = int(line.split()[1])
        self.headers = headers
        self.body = body

    @property
    def reply(self) -> str:
        reply: str = msgspec.json.decode(self.body)["reply"]
        return reply


class Wire:
    """One connection, on which bytes are written as they are."""

    def __init__(self, site: "Site", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._site, self._reader, self._writer = site, reader, writer
        self.address: tuple[str, int] = writer.get_extra_info("sockname")
        """By which the service knows the connection."""

    async def send(self, *pieces: bytes) -> None:
        """Write pieces, each when the service has read the one before."""
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()
            await self._site.get("/health/live")

    async def answer(self, *, bodiless: bool = False) -> Answer:
        """Read one answer."""
        async with asyncio.timeout(20):
            head = await self._reader.readuntil(b"\r\n\r\n")
            line, *lines = head.rstrip(b"\r\n").split(b"\r\n")
            headers = {name.decode(): value.decode() for name, _, value in (each.partition(b": ") for each in lines)}
            length = 0 if bodiless else int(headers.get("content-length", 0))
            return Answer(line, headers, await self._reader.readexactly(length))

    async def is_closed(self) -> bool:
        """Wait until the service has closed the connection; False when it says something instead."""
        async with asyncio.timeout(20):
            return await self._reader.read(1) == b""

    def is_silent(self) -> bool:
        """Tell whether nothing has come."""
        return not self._reader._buffer  # type: ignore[attr-defined]  # nothing else tells it without waiting

    def leave(self) -> None:
        self._writer.transport.abort()


@contextlib.asynccontextmanager
async def connected(site: "Site") -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    try:
        yield Wire(site, reader, writer)
    finally:
        writer.transport.abort()


@pytest.fixture
async def site(start: "Start") -> AsyncIterator["Site"]:
    """A service with a hook that holds its callers and one that does not; the message "hold" waits for the gate."""
    async with start(ACCOUNTS, plugin=GATED) as running:
        yield running


@pytest.fixture
async def wire(site: "Site") -> AsyncIterator[Wire]:
    async with connected(site) as wire:
        yield wire


def message(
    text: str, *lines: str, path: str = "/hooks/webhook", version: str = "1.1", length: int | None = None
) -> bytes:
    """Write a request with a message; `lines` are further headers, `length` another length than the body's."""
    body = msgspec.json.encode({"content": text, "id": f"m-{text}", "sender_id": text})
    declared = () if length == -1 else (f"Content-Length: {len(body) if length is None else length}",)
    head = (f"POST {path} HTTP/{version}", "Host: localhost", f"Authorization: Bearer {TOKEN}", *declared, *lines)
    return "\r\n".join((*head, "", "")).encode() + body


def bare(path: str, method: str = "GET", *lines: str) -> bytes:
    """Write a request without a body."""
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", "")).encode()


def chunked(request: bytes, size: int) -> list[bytes]:
    """Cut the body of a request into chunks of this size."""
    head, _, body = request.partition(b"\r\n\r\n")
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return [head + b"\r\n\r\n", *(b"%x\r\n%s\r\n" % (len(part), part) for part in parts), b"0\r\n\r\n"]


def refusals(account: str, reason: str) -> float:
    return telemetry.REGISTRY.get_sample_value("dragoman_refusals_total", {"account": account, "reason": reason}) or 0.0


async def until_held(site: "Site") -> None:
    async def held() -> bool:
        return "hold" in site.turns()

    await site.until(held)


# How requests come


@pytest.mark.parametrize("size", [1, 7, 100])
async def test_a_request_is_understood_however_it_is_cut(wire: Wire, size: int) -> None:
    request = message("cut")
    pieces = [request[start : start + size] for start in range(0, len(request), size)]

    await wire.send(*pieces)

    assert (await wire.answer()).reply == "said cut"


@pytest.mark.parametrize("size", [1, 1000])
async def test_a_body_may_come_in_chunks(wire: Wire, size: int) -> None:
    await wire.send(*chunked(message("chunks", "Transfer-Encoding: chunked", length=-1), size))

    assert (await wire.answer()).reply == "said chunks"


async def test_trailers_are_no_headers(wire: Wire) -> None:
    request = message("trailers", "Transfer-Encoding: chunked", length=-1).replace(TOKEN.encode(), b"wrong")
    *chunks, _ = chunked(request, 1000)

    await wire.send(*chunks, f"0\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())

    assert (await wire.answer()).status == 401


async def test_a_header_s_name_is_read_whatever_its_case(wire: Wire) -> None:
    await wire.send(message("case").replace(b"Authorization", b"AUTHORIZATION"))

    assert (await wire.answer()).reply == "said case"


@pytest.mark.parametrize(
    "path", ["/%68ooks/webhook", "http://localhost/hooks/webhook", "/hooks/webhook/", "/webhook?a=b&c"]
)
async def test_a_hook_is_known_by_its_path_however_it_is_written(wire: Wire, path: str) -> None:
    await wire.send(message("path", path=path))

    assert (await wire.answer()).reply == "said path"


async def test_a_caller_that_wants_to_be_told_to_go_on_is_told_so_once(wire: Wire) -> None:
    head, _, body = message("expected", "Expect: 100-continue").partition(b"\r\n\r\n")

    await wire.send(head + b"\r\n\r\n")
    told = await wire.answer()
    await wire.send(body[:5], body[5:])

    assert (told.line, told.headers) == (b"HTTP/1.1 100 Continue", {})
    assert (await wire.answer()).reply == "said expected"


@pytest.mark.parametrize(("path", "length", "status"), [("/hooks/webhook", MIB + 1, 413), ("/hooks/nobody", 10, 404)])
async def test_a_caller_is_not_told_to_go_on_with_what_is_refused(
    wire: Wire, path: str, length: int, status: int
) -> None:
    await wire.send(bare(path, "POST", "Expect: 100-continue", f"Content-Length: {length}"))

    assert (await wire.answer()).status == status


async def test_a_caller_of_the_old_protocol_is_answered_and_hung_up_on(wire: Wire) -> None:
    await wire.send(message("old", version="1.0"))
    answer = await wire.answer()

    assert answer.reply == "said old"
    assert answer.headers["connection"] == "close"
    assert await wire.is_closed()


async def test_a_connection_is_closed_when_the_caller_wants_it(wire: Wire) -> None:
    await wire.send(message("last", "Connection: close"))
    answer = await wire.answer()

    assert answer.reply == "said last"
    assert answer.headers["connection"] == "close"
    assert await wire.is_closed()


async def test_a_request_for_the_head_alone_gets_no_body(wire: Wire) -> None:
    await wire.send(bare("/hooks/webhook", "HEAD"), message("next"))
    head, following = await wire.answer(bodiless=True), await wire.answer()

    assert head.status == 401
    assert int(head.headers["content-length"]) > 0
    assert following.reply == "said next"


async def test_an_answer_says_its_date_and_no_server(wire: Wire) -> None:
    await wire.send(message("date"))
    answer = await wire.answer()

    assert answer.line == b"HTTP/1.1 200 OK"
    assert list(answer.headers) == ["date", "content-type", "content-length"]
    assert answer.headers["date"].endswith("GMT")


async def test_a_method_that_is_not_allowed_is_answered_with_those_that_are(wire: Wire) -> None:
    await wire.send(bare("/hooks/webhook", "DELETE"))
    answer = await wire.answer()

    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD, POST, PUT"


async def test_a_socket_at_a_hook_is_refused(site: "Site") -> None:
    async with site.session.get(
        f"{site.url}/hooks/webhook",
        headers={
            "connection": "Upgrade",
            "upgrade": "websocket",
            "sec-websocket-version": "13",
            "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        },
    ) as answer:
        assert answer.status in {403, 404}


async def test_an_upgrade_to_something_else_is_served_as_if_it_were_not_asked_for(wire: Wire) -> None:
    await wire.send(bare("/hooks/webhook", "GET", "Connection: Upgrade", "Upgrade: h2c"))

    assert (await wire.answer()).status == 401


# Several requests on one connection


async def test_hooks_and_pages_take_turns_on_a_connection(wire: Wire) -> None:
    for number in range(3):
        await wire.send(message(f"n{number}"))
        assert (await wire.answer()).reply == f"said n{number}"
        await wire.send(bare("/health/live"))
        assert (await wire.answer()).body == b'{"status":"live"}'


async def test_requests_that_come_at_once_are_answered_in_their_order(wire: Wire) -> None:
    await wire.send(
        message("a") + bare("/health/live") + message("b") + message("c") + bare("/hooks/nobody") + bare("/health/live")
    )

    answers = [await wire.answer() for _ in range(6)]

    assert [answer.status for answer in answers] == [200, 200, 200, 200, 404, 200]
    assert [answers[number].reply for number in (0, 2, 3)] == ["said a", "said b", "said c"]
    assert answers[1].body == answers[5].body == b'{"status":"live"}'


async def test_what_comes_behind_a_held_request_waits_for_its_answer(site: "Site", wire: Wire) -> None:
    await wire.send(message("hold") + bare("/health/live") + message("behind"))
    await until_held(site)
    before = site.turns()
    assert wire.is_silent()

    site.open_gate()
    answers = [await wire.answer() for _ in range(3)]

    assert before == ["hold"]
    assert [answers[0].reply, answers[1].body, answers[2].reply] == ["said hold", b'{"status":"live"}', "said behind"]


async def test_a_body_behind_a_held_request_is_waited_for_when_its_turn_comes(site: "Site", wire: Wire) -> None:
    head, _, body = message("behind", "Expect: 100-continue").partition(b"\r\n\r\n")
    await wire.send(message("hold") + head + b"\r\n\r\n")
    await until_held(site)
    site.open_gate()

    held, told = await wire.answer(), await wire.answer()
    await wire.send(body)

    assert held.reply == "said hold"
    assert told.status == 100
    assert (await wire.answer()).reply == "said behind"


async def test_nothing_is_served_behind_a_request_that_closes_the_connection(site: "Site", wire: Wire) -> None:
    await wire.send(message("last", "Connection: close") + message("behind"))

    assert (await wire.answer()).reply == "said last"
    assert await wire.is_closed()
    assert site.turns() == ["last"]


async def test_a_caller_that_asks_without_reading_is_waited_for_and_gets_every_answer(wire: Wire) -> None:
    count = 3000
    await wire.send(bare("/hooks/nobody") * count + message("last"))

    answers = [await wire.answer() for _ in range(count)]

    assert {answer.status for answer in answers} == {404}
    assert (await wire.answer()).reply == "said last"


@pytest.mark.parametrize(
    "last",
    [[message("second")], [bare("/hooks/nobody", "POST", "Content-Length: 5"), b"later"], [bare("/health/live")]],
    ids=["served", "refused", "page"],
)
async def test_a_connection_on_which_nothing_comes_is_closed(wire: Wire, last: list[bytes]) -> None:
    loop = asyncio.get_running_loop()
    await wire.send(message("first"))
    await wire.answer()
    await wire.send(*last)
    await wire.answer()
    since = loop.time()

    assert await wire.is_closed()
    assert 4.5 < loop.time() - since < 10


# What is refused


async def test_a_refused_request_does_not_end_its_connection(wire: Wire) -> None:
    await wire.send(bare("/hooks/webhook", "POST", f"Content-Length: {MIB + 1}"))
    refused = await wire.answer()
    await wire.send(b"x" * (MIB + 1) + message("next"))

    assert refused.status == 413
    assert (await wire.answer()).reply == "said next"


async def test_a_body_that_grows_too_large_does_not_end_its_connection(wire: Wire) -> None:
    before = refusals("webhook", "too_large")
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"

    await wire.send(bare("/hooks/webhook", "POST", "Transfer-Encoding: chunked"), *[chunk] * 17)
    refused = await wire.answer()
    await wire.send(chunk, b"0\r\n\r\n", message("next"))

    assert refused.status == 413
    assert (await wire.answer()).reply == "said next"
    assert refusals("webhook", "too_large") == before + 1


async def test_a_body_too_large_behind_a_held_request_is_refused_in_its_turn(site: "Site", wire: Wire) -> None:
    await wire.send(message("hold") + bare("/hooks/webhook", "POST", f"Content-Length: {MIB + 1}"))
    await until_held(site)
    site.open_gate()

    assert (await wire.answer()).reply == "said hold"
    assert (await wire.answer()).status == 413


async def test_a_body_that_does_not_come_is_refused_and_the_connection_closed(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "BODY_SECONDS", 0.3)
    before = refusals("webhook", "too_slow")

    await wire.send(message("slow", length=10_000), b" ", b" ")
    answer = await wire.answer()

    assert answer.status == 408
    assert answer.headers["connection"] == "close"
    assert await wire.is_closed()
    assert refusals("webhook", "too_slow") == before + 1


async def test_a_body_that_came_in_time_is_not_hurried_when_its_answer_takes_longer(
    site: "Site", wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "BODY_SECONDS", 0.2)
    loop = asyncio.get_running_loop()
    request = message("hold")
    await wire.send(request[:-5], request[-5:])
    since = loop.time()

    async def long() -> bool:
        return loop.time() - since > 0.5

    await site.until(long)
    site.open_gate()

    assert (await wire.answer()).reply == "said hold"


async def test_a_body_that_is_no_http_is_refused(wire: Wire) -> None:
    before = refusals("webhook", "disconnected")

    await wire.send(bare("/hooks/webhook", "POST", "Transfer-Encoding: chunked"), b"no chunk\r\n")

    assert (await wire.answer()).status == 400
    assert await wire.is_closed()
    assert refusals("webhook", "disconnected") == before + 1


def test_a_header_that_would_be_two_is_not_written() -> None:
    with pytest.raises(ValueError, match="x-note"):
        header_lines((("x-note", "one\r\nx-other: two"),))
    with pytest.raises(ValueError, match="x note"):
        header_lines((("x note", "one"),))
    assert header_lines((("X-Note", "one"), ("allow", "GET"))) == b"x-note: one\r\nallow: GET\r\n"


# Who goes away


async def test_a_caller_that_leaves_within_its_body_is_counted(site: "Site", wire: Wire) -> None:
    before = refusals("webhook", "disconnected")

    await wire.send(message("cut short", length=10_000))
    wire.leave()

    async def counted() -> bool:
        return refusals("webhook", "disconnected") == before + 1

    await site.until(counted)
    assert site.turns() == []


@pytest.mark.parametrize("behind", [b"", bare("/health/live"), message("behind")], ids=["nothing", "page", "hook"])
async def test_the_reply_of_a_caller_that_left_is_given_to_the_one_that_asks_again(
    site: "Site", wire: Wire, logs: Any, behind: bytes
) -> None:
    await wire.send(message("hold") + behind)
    await until_held(site)
    wire.leave()
    if not behind:  # a connection that is not read from does not show that it was left

        async def noticed() -> bool:
            return "caller.left" in logs.getvalue()

        await site.until(noticed)
    site.open_gate()
    async with connected(site) as other:
        await other.send(message("hold"))
        again = await other.answer()

    assert again.reply == "said hold"
    assert site.turns()[0] == "hold"
    assert site.turns().count("hold") == 1


async def test_a_reply_that_another_request_gives_back_between_two_looks_is_given(
    site: "Site", wire: Wire, logs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = site.house.context.store
    read = store.replies
    await wire.send(message("hold"))
    await until_held(site)
    wire.leave()

    async def noticed() -> bool:
        return "caller.left" in logs.getvalue()

    await site.until(noticed)
    site.open_gate()
    taken = await site.until(lambda: store.reply(1))

    async def given_back_first(event: int) -> Sequence[Delivery] | None:
        await store.hand_back(taken)
        return await read(event)

    monkeypatch.setattr(type(store), "replies", staticmethod(given_back_first))
    async with connected(site) as other:
        await other.send(message("hold"))

        assert (await other.answer()).reply == "said hold"


async def test_what_a_caller_sent_that_did_not_wait_for_the_answer_is_taken(site: "Site", wire: Wire) -> None:
    update = msgspec.json.encode(
        {
            "update_id": 1,
            "message": {
                "message_id": 2,
                "date": 1_700_000_000,
                "text": "hello",
                "chat": {"id": 3, "type": "private"},
                "from": {"id": 3, "is_bot": False, "first_name": "Kim"},
            },
        }
    )
    head = bare("/hooks/tg", "POST", f"X-Telegram-Bot-Api-Secret-Token: {SECRET}", f"Content-Length: {len(update)}")
    await wire.send(head + update)
    assert (await wire.answer()).status == 200

    async def said() -> bool:
        return site.turns() == ["hello"]

    await site.until(said)


class Reader:
    """A caller who has gone before the answer, or goes while it is written."""

    def __init__(self, *, gone: bool) -> None:
        self._gone = gone

    def leaving(self) -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_future()

    def ready(self) -> bool:
        return not self._gone

    async def writable(self) -> None:
        if self._gone:
            raise hooks.Disconnected

    def write(self, response: Response) -> bool:
        assert response.status == 200
        return False

    def end(self) -> None:
        pass


async def asked(site: "Site", reader: Reader) -> None:
    """Let a caller ask who is not there for the whole answer."""
    account = site.house.context.accounts.get("webhook")
    assert account is not None
    body = msgspec.json.encode({"content": "hello", "id": "m1"})
    request = Http(url="/hooks/webhook", headers={"authorization": f"Bearer {TOKEN}"}, body=body)
    await hooks.hook(site.house.context, account, request, reader)


async def test_a_reply_that_was_not_begun_is_given_to_the_one_that_asks_again(site: "Site") -> None:
    await asked(site, Reader(gone=True))
    again = await site.post({"content": "hello", "id": "m1"})

    assert again.json["reply"] == "said hello"
    assert await site.ask("parked") == []


async def test_a_reply_whose_connection_closed_while_it_was_written_is_parked_as_unsure(site: "Site") -> None:
    await asked(site, Reader(gone=False))
    [parked] = await site.ask("parked")

    assert parked["kind"] == "delivery"
    assert parked["reason"].startswith("unsure")


@pytest.mark.parametrize("path", ["/hooks/nobody", "/health/live"])
async def test_a_caller_that_reads_no_answers_is_let_go(
    site: "Site", monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(protocol, "READ_SECONDS", 0.2)
    loop = asyncio.get_running_loop()

    async def ask_on(deaf: socket.socket) -> None:
        async with asyncio.timeout(30):
            while True:
                await loop.sock_sendall(deaf, 1000 * bare(path))

    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.settimeout(0)
        await loop.sock_connect(deaf, ("127.0.0.1", site.port))
        with pytest.raises(ConnectionError):
            await ask_on(deaf)

    assert (await site.get("/health/live")).status == 200


# A stop


async def test_a_stop_answers_who_is_held_and_closes_the_connection(start: "Start") -> None:
    async with start(ACCOUNTS, plugin=GATED) as site, connected(site) as wire:
        await wire.send(message("hold"))
        await until_held(site)
        waiting = asyncio.create_task(wire.answer())
        site.house.context.stopping.set()
        answer = await waiting
        site.open_gate()

    assert answer.status == 202


async def test_a_request_that_became_whole_during_the_stop_is_answered_and_the_connection_closed(
    start: "Start",
) -> None:
    async with contextlib.AsyncExitStack() as open_:
        request = message("late")
        async with start(ACCOUNTS, plugin=GATED) as site:
            wire = await open_.enter_async_context(connected(site))
            await wire.send(request[:-5])
            answering = asyncio.create_task(finish(site, wire, request[-5:]))

        answer = await answering
        assert answer.status in {200, 202}
        assert answer.headers["connection"] == "close"
        assert await wire.is_closed()


async def finish(site: "Site", wire: Wire, rest: bytes) -> Answer:
    """Send the rest of a request when the doors are closing."""

    async def closing() -> bool:
        try:
            async with connected(site):
                return False
        except ConnectionError:  # refused, or reset in the very moment
            return True

    await site.until(closing)
    wire._writer.write(rest)
    return await wire.answer()
