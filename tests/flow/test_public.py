"""Which addresses count as the public internet, and what becomes of a connection to any other."""

import socket
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from dragoman.errors import NoAnswer
from dragoman.flow.media import MediaStore
from dragoman.flow.transport import public
from dragoman.flow.transport.http import HttpTransport
from dragoman.store.disk import Disk
from dragoman.testing.model_server import ModelServer
from dragoman.testing.simulator import respond, serve
from dragoman.wire import Http, Response


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "64:ff9b::101:101"])
def test_a_public_address_is_one(address: str) -> None:
    assert public.is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fec0::1",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b:1::7f00:1",
        "2001:0:7f00:1::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ],
)
def test_an_address_within_somebodys_walls_is_none(address: str) -> None:
    assert not public.is_public(address)


def test_the_socket_of_a_private_address_is_not_even_made() -> None:
    with pytest.raises(public.NotPublic):
        public.connect((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("10.0.0.1", 80)))


async def carried(folder: Path, request: Http, *private: str) -> Response:
    transport = HttpTransport(MediaStore(folder / "media", Disk(folder)), private)
    try:
        return await transport.carry(request)
    finally:
        await transport.close()


async def test_a_request_for_the_public_internet_reaches_nothing_else(tmp_path: Path) -> None:
    server = ModelServer()
    async with serve(server) as url:
        with pytest.raises(NoAnswer, match="not of the public internet") as refused:
            await carried(tmp_path, Http(url=url, reach="public"))
        with pytest.raises(NoAnswer, match="not of the public internet"):
            await carried(tmp_path, Http(url=url.replace("127.0.0.1", "localhost"), reach="public"), "127.0.0.1")
        allowed = await carried(tmp_path, Http(url=url, reach="public"), "127.0.0.1")
        any_other = await carried(tmp_path, Http(url=url))

    assert not refused.value.sent
    assert (allowed.status, any_other.status) == (404, 404)
    assert len(server.requests) == 2


async def test_a_private_host_leads_a_request_for_the_public_internet_nowhere_else(tmp_path: Path) -> None:
    asked: list[str] = []

    async def elsewhere(scope: Scope, _receive: Receive, send: Send) -> None:
        asked.append(scope["path"])
        port = scope["server"][1]
        answer = Response(status=302, headers={"location": f"http://localhost:{port}/secret"})
        await respond(send, answer)

    async with serve(elsewhere) as url:
        moved = await carried(tmp_path, Http(url=f"{url}/file", reach="public", into="media"), "127.0.0.1")

    assert moved.status == 302
    assert asked == ["/file"]
