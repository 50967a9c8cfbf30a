"""Connections of our own: what comes of every answer, and of every server that gives none."""

import asyncio
import contextlib
import gc
import gzip
import socket
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from tests.flow.http.raw import OK, Act, Raw, Talk, saying, serving
from tests.mail.conftest import Authority

from dragoman.errors import NoAnswer
from dragoman.flow.alarm import Alarm
from dragoman.flow.media import MediaStore
from dragoman.flow.transport import connection, connections
from dragoman.flow.transport.connection import Connection
from dragoman.flow.transport.http import HttpTransport
from dragoman.wire import Http, Response

PATIENCE = 20.0
RAW_DEFLATE = zlib.compress(b"packed", wbits=-15)
TWICE = gzip.compress(b"pac") + gzip.compress(b"ked")


def post(server: Raw, **facts: Any) -> Http:
    return Http(url=f"{server.url}/hook", json={"a": 1}, **facts)


def answer(head: bytes, body: bytes = b"", status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 " + status + b"\r\n" + head + b"\r\n" + body


def sized(body: bytes, head: bytes = b"", status: bytes = b"200 OK") -> bytes:
    return answer(head + b"Content-Length: %d\r\n" % len(body), body, status)


WHOLE = {
    "with a length": (OK, 200, b"ok"),
    "in chunks": (answer(b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"), 200, b"abcde"),
    "in chunks, with a trailer": (
        answer(b"Transfer-Encoding: chunked\r\n", b"1\r\na\r\n0\r\nX-Late: 1\r\n\r\n"),
        200,
        b"a",
    ),
    "an empty one": (sized(b""), 200, b""),
    "204": (answer(b"", status=b"204 No Content"), 204, b""),
    "304 with a length": (answer(b"Content-Length: 5\r\n", status=b"304 Not Modified"), 304, b""),
    "announced by 100 and 103": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK,
        200,
        b"ok",
    ),
    "without a reason": (b"HTTP/1.1 500\r\nContent-Length: 2\r\n\r\nno", 500, b"no"),
    "HTTP/1.0 that stays": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
        200,
        b"ok",
    ),
    "lines that end in LF": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 200, b"ok"),
    "gzip": (sized(gzip.compress(b"packed"), b"Content-Encoding: gzip\r\n"), 200, b"packed"),
    "gzip in two pieces": (sized(TWICE, b"Content-Encoding: GZIP\r\n"), 200, b"packed"),
    "deflate": (sized(zlib.compress(b"packed"), b"Content-Encoding: deflate\r\n"), 200, b"packed"),
    "deflate without its frame": (sized(RAW_DEFLATE, b"Content-Encoding: deflate\r\n"), 200, b"packed"),
    "a packing that is none": (sized(b"ok", b"Content-Encoding: identity\r\n"), 200, b"ok"),
}
"""Answers after which the connection goes on."""

LAST = {
    "that closes": (sized(b"ok", b"Connection: close\r\n"), b"ok"),
    "of HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    "with bytes behind it": (OK + b"HTTP/1.1 200 OK", b"ok"),
    "with another behind it": (OK + OK, b"ok"),
    "that closes, with bytes behind it": (sized(b"ok", b"Connection: close\r\n") + b"more", b"ok"),
}
"""Answers after which it is closed."""


@pytest.mark.parametrize("said", WHOLE.values(), ids=list(WHOLE))
async def test_an_answer_is_read_and_the_connection_used_again(
    transport: HttpTransport, said: tuple[bytes, int, bytes]
) -> None:
    act, heard = saying(said[0])
    async with serving(act) as server:
        found = [await transport.carry(post(server)) for _ in range(3)]

    assert [(one.status, one.body) for one in found] == [said[1:]] * 3
    assert (server.connections, len(heard)) == (1, 3)


@pytest.mark.parametrize("said", LAST.values(), ids=list(LAST))
async def test_the_last_answer_of_a_connection_is_read_and_the_next_request_takes_another(
    transport: HttpTransport, said: tuple[bytes, bytes]
) -> None:
    act, _ = saying(said[0])
    async with serving(act) as server:
        found = [await transport.carry(post(server)) for _ in range(2)]

    assert [one.body for one in found] == [said[1]] * 2
    assert server.connections == 2


@pytest.mark.parametrize("head", [b"", b"Transfer-Encoding: gzip\r\n"], ids=["no length", "another coding"])
async def test_a_body_may_end_with_the_connection(transport: HttpTransport, head: bytes) -> None:
    async def act(talk: Talk) -> None:
        await talk.request()
        talk.say(answer(head, b"all that there is"))
        talk.hang_up()

    async with serving(act) as server:
        found = await transport.carry(post(server))

    assert found.body == b"all that there is"


async def test_the_answer_to_head_has_no_body(transport: HttpTransport) -> None:
    act, _ = saying(answer(b"Content-Length: 1000\r\n"))
    async with serving(act) as server:
        found = await transport.carry(Http(method="HEAD", url=server.url))

    assert (found.status, found.headers, found.body) == (200, {"content-length": "1000"}, b"")


async def test_names_of_headers_are_lower_case_and_of_several_the_last_counts(transport: HttpTransport) -> None:
    head = b"X-A: 1\r\nx-a:  2 \t\r\nSet-Cookie: a\r\nX-Name: J\xc3\xb6rg\r\nX-Odd: \xff\r\n"
    act, _ = saying(sized(b"", head))
    async with serving(act) as server:
        ours = await transport.carry(post(server))
        theirs = await transport._particular(post(server))
        await transport._sessions.pop(False).close()

    assert ours.headers == theirs.headers
    assert (ours.headers["x-a"], ours.headers["x-name"]) == ("2", "Jörg")


async def test_an_answer_may_come_byte_by_byte() -> None:
    for said, status, body in WHOLE.values():
        line = await wired()
        asked = await asking(line, PATIENCE)
        for byte in said:
            line.data_received(bytes([byte]))

        found = await asked
        packed = "content-encoding" in found.headers
        assert (found.status, line.ready()) == (status, True)
        assert packed or found.body == body
        assert "x-late" not in found.headers


class Wire(asyncio.Transport):
    """A transport that leads nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = False

    def write(self, data: Any) -> None:
        """Send nothing."""

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


async def wired() -> Connection:
    line = Connection(Alarm(asyncio.get_running_loop()))
    line.connection_made(Wire())
    return line


def soon(seconds: float) -> float:
    """Return the loop's time in so many seconds."""
    return asyncio.get_running_loop().time() + seconds


SILENT = {
    "no HTTP": b"220 mail.example.org ESMTP\r\n",
    "two lengths": answer(b"Content-Length: 2\r\nContent-Length: 3\r\n", b"abc"),
    "a length and chunks": answer(b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    "a chunk of no number": answer(b"Transfer-Encoding: chunked\r\n", b"zz\r\n"),
    "another protocol": answer(b"Upgrade: x\r\nConnection: upgrade\r\n", b"", b"101 Switching Protocols"),
    "a head without an end": b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * (1 << 19),
    "a broken packing": sized(b"no gzip", b"Content-Encoding: gzip\r\n"),
    "a packing of a thousand pieces": sized(gzip.compress(b"") * 1000, b"Content-Encoding: gzip\r\n"),
    "half a packing": sized(gzip.compress(b"packed")[:-4], b"Content-Encoding: gzip\r\n"),
}


@pytest.mark.parametrize("said", SILENT.values(), ids=list(SILENT))
async def test_what_is_not_understood_is_no_answer_and_may_have_arrived(transport: HttpTransport, said: bytes) -> None:
    async def act(talk: Talk) -> None:
        await talk.request()
        talk.say(said)

    async with serving(act) as server:
        with pytest.raises(NoAnswer) as silence:
            await transport.carry(post(server))

    assert silence.value.sent


async def hang_up(talk: Talk) -> None:
    talk.hang_up()


async def reset(talk: Talk) -> None:
    talk.reset()


async def in_the_head(talk: Talk) -> None:
    talk.say(b"HTTP/1.1 200 OK\r\nContent-")
    talk.hang_up()


async def in_the_body(talk: Talk) -> None:
    talk.say(answer(b"Content-Length: 5\r\n", b"abc"))
    talk.hang_up()


async def in_a_chunk(talk: Talk) -> None:
    talk.say(answer(b"Transfer-Encoding: chunked\r\n", b"5\r\nabc"))
    talk.hang_up()


async def silent(talk: Talk) -> None:
    await talk.left()


async def silent_in_the_body(talk: Talk) -> None:
    talk.say(answer(b"Content-Length: 5\r\n", b"abc"))
    await talk.left()


@pytest.mark.parametrize("then", [hang_up, reset, in_the_head, in_the_body, in_a_chunk, silent, silent_in_the_body])
async def test_a_connection_that_ends_or_falls_silent_is_no_answer_and_the_request_may_have_arrived(
    transport: HttpTransport, then: Act
) -> None:
    async def act(talk: Talk) -> None:
        await talk.request()
        await then(talk)

    async with serving(act) as server:
        with pytest.raises(NoAnswer) as silence:
            await transport.carry(post(server, timeout=0.2 if "silent" in then.__name__ else PATIENCE))
        async with asyncio.timeout(PATIENCE):
            await server.left.wait()

    assert silence.value.sent
    assert server.connections == 1


async def asking(line: Connection, seconds: float) -> asyncio.Future[Response]:
    asked = line.ask(b"", soon(seconds))
    await asyncio.sleep(0)
    return asked


async def passed(when: float) -> None:
    while soon(0) < when:
        await asyncio.sleep(0.01)


async def test_the_time_of_a_request_does_not_end_the_next_of_its_connection() -> None:
    line = await wired()
    first = await asking(line, 0.05)
    line.data_received(OK)
    await first

    second = await asking(line, PATIENCE)
    await passed(soon(0.1))
    line.data_received(OK)

    assert (await second).body == b"ok"


@pytest.mark.parametrize(
    ("before", "pause"), [(PATIENCE, 0.0), (0.05, 0.0), (0.05, 0.1)], ids=["shorter", "longer", "later"]
)
async def test_a_request_on_a_kept_connection_ends_in_its_own_time(before: float, pause: float) -> None:
    line = await wired()
    first = await asking(line, before)
    line.data_received(OK)
    await first
    await passed(soon(pause))

    began = soon(0)
    with pytest.raises(NoAnswer, match="TimeoutError"):
        await (await asking(line, 0.15))

    assert 0.149 <= soon(0) - began < PATIENCE / 2  # uvloop's clock has milliseconds, and their difference is rounded


async def test_a_body_that_a_reset_cuts_is_none_even_where_only_the_end_tells_its_length() -> None:
    line = await wired()
    asked = await asking(line, PATIENCE)
    line.data_received(answer(b"", b"half of"))
    line.connection_lost(ConnectionResetError())

    with pytest.raises(NoAnswer, match="ConnectionResetError"):
        await asked


async def all_said(talk: Talk) -> None:
    await talk.request()
    talk.say(LAST["that closes"][0])


@pytest.mark.parametrize("act", [all_said, hang_up, reset, in_the_body, silent])
async def test_of_a_closed_connection_nothing_is_left_to_the_collector_of_cycles(
    transport: HttpTransport, act: Act
) -> None:
    gc.collect()
    gc.disable()
    try:
        async with serving(act) as server:
            for _ in range(3):
                with contextlib.suppress(NoAnswer):
                    await transport.carry(post(server, timeout=0.1 if act is silent else PATIENCE))
            async with asyncio.timeout(PATIENCE):
                while any(type(each) is Connection for each in gc.get_objects()):
                    await asyncio.sleep(0.01)
    finally:
        gc.enable()

    assert server.connections == 3


async def test_what_nobody_listens_to_was_not_sent(transport: HttpTransport) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"

        with pytest.raises(NoAnswer, match="cannot connect: ConnectionRefusedError") as silence:
            await transport.carry(Http(url=url))

    assert not silence.value.sent


async def test_a_name_that_leads_nowhere_was_not_sent(transport: HttpTransport) -> None:
    with pytest.raises(NoAnswer, match="cannot connect") as silence:
        await transport.carry(Http(url="http://nowhere.invalid/"))

    assert not silence.value.sent


async def test_a_server_that_hangs_up_before_it_was_asked_was_sent_nothing_or_may_have_been(
    transport: HttpTransport,
) -> None:
    async def act(talk: Talk) -> None:
        talk.reset()

    async with serving(act) as server:
        with pytest.raises(NoAnswer) as silence:
            await transport.carry(post(server))

    assert ("closed at once" in silence.value.reason) is not silence.value.sent


async def test_a_handshake_that_takes_too_long_was_not_sent(transport: HttpTransport) -> None:
    async with serving(silent) as server:
        with pytest.raises(NoAnswer, match="cannot connect: TimeoutError") as silence:
            await transport.carry(Http(url=f"https://127.0.0.1:{server.port}", timeout=0.3))

    assert not silence.value.sent


async def test_too_many_requests_wait_for_one_another_and_were_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "LIMIT", 2)
    crowded, release = HttpTransport(MediaStore(tmp_path)), asyncio.Event()

    async def act(talk: Talk) -> None:
        while await talk.request():
            await release.wait()
            talk.say(OK)

    async with serving(act) as server:
        waiting = [asyncio.create_task(crowded.carry(post(server, timeout=PATIENCE))) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(NoAnswer, match="too many requests") as silence:
            await crowded.carry(post(server, timeout=0.1))
        release.set()
        found = await asyncio.gather(*waiting)
        await crowded.close()

    assert not silence.value.sent
    assert [one.body for one in found] == [b"ok"] * 3
    assert server.connections == 2


async def test_one_connection_has_one_request_at_a_time(transport: HttpTransport) -> None:
    async def act(talk: Talk) -> None:
        while request := await talk.request():
            await asyncio.sleep(0)
            assert not talk.reader._buffer, "a second request came before the first was answered"  # type: ignore[attr-defined]  # of StreamReader; there is no other way to look
            talk.say(sized(request.rpartition(b"\r\n\r\n")[2]))

    async with serving(act) as server:
        bodies = [b"%d" % number for number in range(200)]
        found = await asyncio.gather(*(transport.carry(Http(url=server.url, body=body)) for body in bodies))

    assert [one.body for one in found] == bodies
    assert server.connections <= 200


async def test_a_caller_who_gives_up_closes_the_connection_and_nobody_gets_that_answer(
    transport: HttpTransport,
) -> None:
    asked = asyncio.Event()

    async def act(talk: Talk) -> None:
        if talk.number == 1:
            await talk.request()
            asked.set()
            await talk.left()
            talk.say(sized(b"late"))
        elif await talk.request():
            talk.say(OK)

    async with serving(act) as server:
        impatient = asyncio.create_task(transport.carry(post(server)))
        await asked.wait()
        impatient.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await impatient
        async with asyncio.timeout(PATIENCE):
            await server.left.wait()
        found = await transport.carry(post(server))

    assert (found.body, server.connections) == (b"ok", 2)


async def test_a_byte_that_nobody_asked_for_closes_an_idle_connection(transport: HttpTransport) -> None:
    async def act(talk: Talk) -> None:
        await talk.request()
        talk.say(OK)
        if talk.number == 1:
            await unasked.wait()
            talk.say(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
            await talk.left()

    unasked = asyncio.Event()
    async with serving(act) as server:
        first = await transport.carry(post(server))
        unasked.set()
        async with asyncio.timeout(PATIENCE):
            await server.left.wait()
        second = await transport.carry(post(server))

    assert (first.status, second.status, server.connections) == (200, 200, 2)


async def test_an_idle_connection_that_the_server_closes_is_not_used_again(transport: HttpTransport) -> None:
    async def act(talk: Talk) -> None:
        await talk.request()
        talk.say(OK)
        talk.half_close()
        await talk.left()

    async with serving(act) as server:
        await transport.carry(post(server))
        async with asyncio.timeout(PATIENCE):
            await server.left.wait()
        second = await transport.carry(post(server))

    assert (second.body, server.connections) == (b"ok", 2)


@pytest.mark.parametrize("said", [OK, answer(b"", status=b"204 No Content")], ids=["after 200", "after 204"])
@pytest.mark.parametrize(("method", "again"), [("POST", False), ("PATCH", False), ("GET", True), ("PUT", True)])
async def test_what_a_kept_connection_swallows_goes_once_more_only_if_its_method_allows(
    transport: HttpTransport, method: str, again: bool, said: bytes
) -> None:
    async def act(talk: Talk) -> None:
        while await talk.request():
            asked.append(talk.number)
            if len(asked) == 2:
                talk.hang_up()
            else:
                talk.say(said)

    asked: list[int] = []
    async with serving(act) as server:
        await transport.carry(post(server))
        try:
            found: Response | NoAnswer = await transport.carry(Http(method=method, url=server.url))
        except NoAnswer as silence:
            found = silence

    assert asked == ([1, 1, 2] if again else [1, 1])
    assert found.status in {200, 204} if isinstance(found, Response) else found.sent
    assert isinstance(found, Response) == again


async def test_what_went_once_may_have_arrived_even_if_it_cannot_go_once_more(transport: HttpTransport) -> None:
    async def act(talk: Talk) -> None:
        await talk.request()
        talk.say(OK)
        await talk.request()
        server.shut()
        talk.hang_up()

    async with serving(act) as server:
        await transport.carry(post(server))
        with pytest.raises(NoAnswer, match="cannot connect") as silence:
            await transport.carry(Http(method="DELETE", url=server.url))

    assert silence.value.sent


async def test_a_connection_is_kept_for_a_while_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "KEEP_ALIVE", 0.05)
    brief, (act, _) = HttpTransport(MediaStore(tmp_path)), saying(OK)
    async with serving(act) as server:
        await brief.carry(post(server))
        async with asyncio.timeout(PATIENCE):
            await server.left.wait()
        await brief.carry(post(server))
        assert server.connections == 2
        await brief.close()


async def test_one_that_was_idle_for_too_long_is_not_used_even_before_it_is_closed(
    transport: HttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    act, _ = saying(OK)
    async with serving(act) as server:
        await transport.carry(post(server))
        monkeypatch.setattr(connections, "KEEP_ALIVE", -1.0)
        await transport.carry(post(server))

    assert server.connections == 2


async def test_an_answer_that_comes_before_the_request_has_left_counts_and_closes_the_connection(
    transport: HttpTransport,
) -> None:
    async def act(talk: Talk) -> None:
        if talk.number == 1:
            await talk.reader.readuntil(b"\r\n\r\n")
            talk.say(sized(b"too large", status=b"413 Content Too Large"))
        else:
            await talk.request()
            talk.say(OK)

    async with serving(act) as server:
        first = await transport.carry(Http(url=server.url, body=bytes(32 << 20)))
        second = await transport.carry(post(server))
        async with asyncio.timeout(PATIENCE):
            await server.left.wait()

    assert (first.status, first.body, second.status) == (413, b"too large", 200)
    assert server.connections == 2


@pytest.mark.parametrize("packed", [False, True])
async def test_an_answer_is_cut_where_it_is_too_large(
    transport: HttpTransport, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    monkeypatch.setattr(connection, "LARGEST_ANSWER", 1000)
    monkeypatch.setattr(connections, "LARGEST_ANSWER", 1000)
    long = bytes(100_000)
    act, _ = saying(sized(gzip.compress(long), b"Content-Encoding: gzip\r\n") if packed else sized(long))
    async with serving(act) as server:
        found = [await transport.carry(post(server)) for _ in range(2)]

    assert [one.body for one in found] == [bytes(1000)] * 2
    assert server.connections == (1 if packed else 2)


async def test_the_end_of_the_transport_closes_everything_and_tells_who_waits(tmp_path: Path) -> None:
    asked, ending = asyncio.Event(), HttpTransport(MediaStore(tmp_path))

    async def act(talk: Talk) -> None:
        await talk.request()
        if talk.number == 1:
            talk.say(OK)
        else:
            asked.set()
        await talk.left()

    async with serving(act) as server:
        first, second = asyncio.create_task(ending.carry(post(server))), asyncio.create_task(ending.carry(post(server)))
        await asked.wait()
        await asyncio.wait([first, second], return_when=asyncio.FIRST_COMPLETED)
        await ending.close()
        outcomes = await asyncio.gather(first, second, return_exceptions=True)
        with pytest.raises(NoAnswer) as silence:
            await ending.carry(post(server))

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Dropped", "Response"]
    assert not silence.value.sent


async def test_a_total_time_holds_for_connecting_and_answering_together(transport: HttpTransport) -> None:
    async def act(talk: Talk) -> None:
        await talk.request()
        for _ in range(10):
            talk.say(b"HTTP/1.1 102 Processing\r\n\r\n")
        await talk.left()

    async with serving(act) as server:
        began = time.monotonic()
        with pytest.raises(NoAnswer, match="TimeoutError") as silence:
            await transport.carry(post(server, timeout=0.2))

    assert silence.value.sent
    assert time.monotonic() - began >= 0.2


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def test_tls_is_spoken_with_whom_the_system_trusts(
    transport: HttpTransport, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    act, heard = saying(OK)
    async with serving(act, authority.serve()) as server:
        found = [
            await transport.carry(Http(url=f"https://{host}:{server.port}/a", json={}))
            for host in ("localhost", "localhost", "127.0.0.1")
        ]

    assert [one.body for one in found] == [b"ok"] * 3
    assert (server.connections, heard[0][:16]) == (2, b"POST /a HTTP/1.1")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_certificate_that_nobody_vouches_for_is_sent_nothing(
    transport: HttpTransport, authority: Authority, host: str
) -> None:
    act, heard = saying(OK)
    async with serving(act, authority.serve()) as server:
        with pytest.raises(NoAnswer, match="cannot connect: SSLCertVerificationError") as silence:
            await transport.carry(Http(url=f"https://{host}:{server.port}/"))

    assert (silence.value.sent, heard) == (False, [])


async def test_a_certificate_of_another_name_is_sent_nothing(
    transport: HttpTransport, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    act, heard = saying(OK)
    async with serving(act, authority.serve(), host="127.0.0.2") as server:
        with pytest.raises(NoAnswer, match="cannot connect: SSLCertVerificationError") as silence:
            await transport.carry(Http(url=f"https://127.0.0.2:{server.port}/"))

    assert (silence.value.sent, heard) == (False, [])


async def test_a_server_without_tls_is_sent_nothing_by_https(transport: HttpTransport) -> None:
    async def act(talk: Talk) -> None:
        talk.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serving(act) as server:
        with pytest.raises(NoAnswer, match="cannot connect") as silence:
            await transport.carry(Http(url=f"https://127.0.0.1:{server.port}/"))

    assert not silence.value.sent


async def test_over_tls_a_server_may_end_before_and_after_its_answer(
    transport: HttpTransport, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act(talk: Talk) -> None:
        await talk.request()
        if talk.number == 1:
            talk.say(answer(b"", b"until the end"))
        talk.hang_up()

    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    async with serving(act, authority.serve()) as server:
        found = await transport.carry(post(server))
        with pytest.raises(NoAnswer) as silence:
            await transport.carry(post(server))

    assert (found.body, silence.value.sent) == (b"until the end", True)
