"""Plain requests as bytes: they are those that aiohttp sends, and what is not plain is left to it."""

import json
import string
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies
from tests.flow.http.raw import OK, saying, serving
from yarl import URL

from dragoman.errors import NoAnswer
from dragoman.flow.transport import plain
from dragoman.flow.transport.http import HttpTransport
from dragoman.model import Media
from dragoman.wire import Http, Part

ADDRESSES = [
    "",
    "/",
    "/a/b",
    "/a//b/../c/./d",
    "/a b",
    "/ü/日本",
    "/%7Ea/%2F/%zz/%c3%bc",
    "/bot123:AA-B_c/sendMessage",
    "/a;b=c,d!e*f'g(h)i@j&k=l+m$n",
    "/a?b=c&d=e+f%20g h&ü=ö&x=%26&=y&z",
    "/?",
    "/a#b",
    "?a=b#c",
    "/a\tb",
    "/a\r\nX-Evil: 1",
    "/a?b=c\r\nX-Evil: 1",
    '/"<>\\^`{|}~[]',
    "/a?b=[c]{d}|e\\f\"g<h>'i'",
]
QUERIES: list[dict[str, str]] = [
    {},
    {"a": "b"},
    {"a": "b c+d&e=f;g/h?i#j%k", "ü": "日本", "empty": ""},
    {"receive_id_type": "open_id"},
    {"a\r\nb": "c\r\nd"},
]
BODIES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "bytes": {"body": b"\x00\xff\r\n\r\nabc"},
    "json": {"json": {"text": 'ü \u2028 \x7f <&> "q" \\ 😀', "list": [1, 2.5, True, None, {"a": []}], "big": 1 << 70}},
    "an empty object": {"json": {}},
    "half a pair": {"json": {"text": "cut \ud83d off"}},
    "names that are no texts": {"json": {"map": {True: 1, None: 2, 3: 4}}},
    "a form": {"form": {"a b": "c&d=e+f", "ü": "日本", "n": 5, "flag": True, "empty": "", "none": None}},
    "an empty form": {"form": {}},
}
HEADERS: list[dict[str, str]] = [
    {},
    {"content-type": "application/json; charset=utf-8", "Authorization": "Bearer a.b-c"},
    {"User-Agent": "us/1", "ACCEPT": "text/html", "Cookie": "a=b; c=d"},
    {"x-name": "Jörg 😀", "X-Tab": "a\tb", "x-empty": "", "X-A": "1", "x-a": "2"},
]
METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "post"]

PLAIN: list[tuple[str, dict[str, Any]]] = [
    *((path, {}) for path in ADDRESSES),
    *((path, {"query": query}) for path in ("/a", "/a?b=c", "/a?a=z") for query in QUERIES),
    *(("/", {"method": method, **body}) for method in METHODS for body in BODIES.values()),
    *(("/", {"headers": headers, **BODIES[body]}) for headers in HEADERS for body in ("nothing", "json", "a form")),
]


@pytest.mark.parametrize(("path", "facts"), PLAIN)
async def test_a_plain_request_is_what_aiohttp_sends(
    transport: HttpTransport, path: str, facts: dict[str, Any]
) -> None:
    act, heard = saying(b"HTTP/1.1 204 No Content\r\n\r\n")
    async with serving(act) as server:
        request = Http(url=server.url + path, **facts)
        assert plain.written(request) is not None
        await transport._particular(request)
        await transport.carry(request)

    theirs, ours = (parted(request) for request in heard)
    assert ours == theirs


def parted(request: bytes) -> tuple[list[bytes], Any]:
    """Part a request into its head, without what may differ, and its body, JSON as what it says."""
    head, _, body = request.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"accept-encoding:")]
    try:
        value = json.loads(body)
    except ValueError:
        return lines, body
    return [line for line in lines if not line.startswith(b"Content-Length:")], value


@hypothesis.given(
    path=strategies.text(string.printable + "üß日€😀\x00\x1f\x7f\x85", max_size=20),
    query=strategies.dictionaries(strategies.text(max_size=5), strategies.text(max_size=10), max_size=3),
)
def test_no_address_and_no_query_brings_a_line_of_its_own(path: str, query: dict[str, str]) -> None:
    try:
        found = plain.written(Http(method="GET", url=f"http://example.org/{path}", query=query))
    except UnicodeEncodeError:  # half a surrogate pair, which has no bytes
        return

    if found is not None:
        head = found.content.decode()
        assert head.count("\n") == head.count("\r\n") == head.count("\r") == 6
        assert head.startswith("GET /")
        assert head.split("\r\n")[0].count(" ") == 2


@pytest.mark.parametrize(
    "headers",
    [{"x-a": "b\r\nx-evil: 1"}, {"x-a": "b\n"}, {"x-a": "\x00"}, {"x-a\r\nx-evil": "1"}, {"x-a": "\x7f"}],
    ids=repr,
)
async def test_a_header_that_would_be_two_is_refused_as_aiohttp_refuses_it(
    transport: HttpTransport, headers: dict[str, str]
) -> None:
    act, heard = saying(OK)
    async with serving(act) as server:
        request = Http(url=server.url, headers=headers)
        with pytest.raises(ValueError, match="control character"):
            await transport._particular(request)
        with pytest.raises(ValueError, match="control character"):
            await transport.carry(request)

    assert heard == []


@pytest.mark.parametrize(
    ("url", "host", "origin"),
    [
        ("http://example.org", "example.org", ("example.org", 80, False)),
        ("https://example.org:443/", "example.org", ("example.org", 443, True)),
        ("HTTPS://EXAMPLE.org:8443/", "example.org:8443", ("example.org", 8443, True)),
        ("http://bücher.example/", "xn--bcher-kva.example", ("xn--bcher-kva.example", 80, False)),
        ("http://[2001:DB8::1]:81/", "[2001:db8::1]:81", ("2001:db8::1", 81, False)),
        ("http://[::1]/", "[::1]", ("::1", 80, False)),
        ("http://127.0.0.1/", "127.0.0.1", ("127.0.0.1", 80, False)),
        ("https://example.org./", "example.org", ("example.org.", 443, True)),
        ("http://server1/", "server1", ("server1", 80, False)),
    ],
)
def test_the_host_is_read_as_yarl_reads_it(url: str, host: str, origin: tuple[str, int, bool]) -> None:
    found = plain.written(Http(method="GET", url=url))

    assert found is not None
    assert found.origin == origin
    assert f"\r\nHost: {host}\r\n".encode() in found.content
    assert URL(url).host_port_subcomponent == host


FILE = Media(ref="k")


@pytest.mark.parametrize(
    "facts",
    [
        {"into": "media"},
        {"parts": (Part(name="a", value="b"),)},
        {"upload": FILE},
        {"method": "CONNECT"},
        {"method": "GET /\r\nX-Evil: 1"},
        {"url": "http://user:password@example.org/"},
        {"url": "ws://example.org/"},
        {"url": "ftp://example.org/"},
        {"url": "/path"},
        {"url": "http://"},
        {"url": ""},
        {"url": "http://example.org:99999/"},
        {"url": "http://[::1/"},
        {"url": "http://127.1/"},
        {"url": "http://2130706433/"},
        {"url": "http://example.org../"},
        {"headers": {"Host": "example.com"}},
        {"headers": {"Connection": "close"}},
        {"headers": {"transfer-encoding": "chunked"}},
        {"headers": {"Content-Length": "3"}},
        {"headers": {"expect": "100-continue"}},
        {"headers": {"Upgrade": "h2c"}},
        {"headers": {"Content-Encoding": "gzip"}},
        {"headers": {"Accept-Encoding": "br"}},
    ],
    ids=repr,
)
def test_what_is_not_plain_is_left_to_aiohttp(facts: dict[str, Any]) -> None:
    assert plain.written(Http(**{"url": "http://example.org/", **facts})) is None


@pytest.mark.parametrize("url", ["", "/path", "http://", "http://127.1:1/", "http://example.org:99999/"])
async def test_an_address_that_is_none_was_not_sent(transport: HttpTransport, url: str) -> None:
    with pytest.raises(NoAnswer, match="cannot connect") as silence:
        await transport.carry(Http(url=url))

    assert not silence.value.sent
