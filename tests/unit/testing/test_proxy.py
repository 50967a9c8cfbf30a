"""The fault proxy fails as it is told to, and in no other way."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from dragoman.testing.proxy import Proxy, proxied

LATE = 0.2


class Echo:
    """A server that sends back what it gets, and remembers it."""

    def __init__(self) -> None:
        self.got = bytearray()
        self.ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(1 << 16):
                self.got += piece
                writer.write(piece)
                await writer.drain()
        except ConnectionError:
            pass
        self.ended.set()
        writer.close()


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[Proxy]:
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    async with proxied("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:
        yield proxy
    server.close()
    await server.wait_closed()


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, piece: bytes, seconds: float = 5.0) -> bytes:
        self.writer.write(piece)
        return await asyncio.wait_for(self.reader.readexactly(len(piece)), seconds)

    async def rest(self) -> bytes:
        return await asyncio.wait_for(self.reader.read(), 5.0)


Connect = Callable[[Proxy], Awaitable[Client]]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    made: list[Client] = []

    async def make(proxy: Proxy) -> Client:
        made.append(Client(*await asyncio.open_connection(proxy.host, proxy.port)))
        return made[-1]

    yield make
    for client in made:
        client.writer.close()


@pytest.fixture
async def client(proxy: Proxy, connect: Connect) -> Client:
    return await connect(proxy)


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_without_faults_all_bytes_pass(client: Client) -> None:
    whole = bytes(range(256)) * 4096

    assert await client.ask(whole) == whole


async def test_the_end_passes_after_the_last_byte(client: Client, echo: Echo) -> None:
    client.writer.write(b"last words")
    client.writer.write_eof()

    assert await client.rest() == b"last words"
    assert echo.ended.is_set()


@pytest.mark.parametrize(("way", "times"), [("answers", 1), ("requests", 1), ("both", 2)])
async def test_bytes_are_late_on_the_way_that_suffers(proxy: Proxy, client: Client, way: str, times: int) -> None:
    proxy.suffer(latency=LATE, on=way)
    began = now()

    await client.ask(b"hello")

    assert now() - began >= LATE * times - 0.01


async def test_late_bytes_overlap(proxy: Proxy, client: Client) -> None:
    proxy.suffer(latency=LATE)
    began = now()

    for piece in (b"one", b"two", b"three"):
        client.writer.write(piece)
        await client.writer.drain()
    await asyncio.wait_for(client.reader.readexactly(11), 5)

    assert LATE - 0.01 <= now() - began < 2 * LATE


async def test_healing_lets_late_bytes_go_at_once(proxy: Proxy, client: Client) -> None:
    proxy.suffer(latency=3600.0)
    client.writer.write(b"hello")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.reader.readexactly(1), 0.05)

    proxy.heal()

    assert await asyncio.wait_for(client.reader.readexactly(5), 5) == b"hello"


async def test_a_stall_loses_nothing(proxy: Proxy, client: Client, echo: Echo) -> None:
    with proxy.suffering(stall=True, on="requests"):
        client.writer.write(b"hello")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.reader.readexactly(1), 0.05)
        assert echo.got == b""

    assert await asyncio.wait_for(client.reader.readexactly(5), 5) == b"hello"


async def test_an_answer_is_cut_after_its_bytes(proxy: Proxy, client: Client, echo: Echo) -> None:
    await client.ask(b"before")
    proxy.suffer(cut_after=3)
    client.writer.write(b"hello")

    assert await client.rest() == b"hel"
    assert echo.got == b"beforehello"


async def test_a_request_that_is_cut_arrives_in_part(proxy: Proxy, client: Client, echo: Echo) -> None:
    proxy.suffer(cut_after=3, on="requests")
    client.writer.write(b"hello")
    await client.rest()

    await asyncio.wait_for(echo.ended.wait(), 5)
    assert echo.got == b"hel"


async def test_every_so_manieth_byte_is_spoilt(proxy: Proxy, client: Client) -> None:
    proxy.suffer(corrupt=4)

    assert await client.ask(b"aaaaaa") == b"aaa`aa"
    assert await client.ask(b"aaa") == b"a`a"


async def test_open_connections_can_be_reset(proxy: Proxy, client: Client) -> None:
    await client.ask(b"hello")

    proxy.reset()

    with pytest.raises(ConnectionResetError):
        await client.rest()


async def test_a_half_open_connection_is_accepted_and_never_answered(
    proxy: Proxy, echo: Echo, connect: Connect
) -> None:
    proxy.suffer(half_open=True)
    client = await connect(proxy)
    client.writer.write(b"hello")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.reader.readexactly(1), 0.05)
    proxy.heal()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.reader.readexactly(1), 0.05)

    assert echo.got == b""
    assert await (await connect(proxy)).ask(b"hello") == b"hello"


@pytest.mark.parametrize("faults", [{"refuse": True}, None], ids=["accepted and reset", "nobody listens"])
async def test_new_connections_are_refused(proxy: Proxy, connect: Connect, faults: dict[str, Any] | None) -> None:
    port = proxy.port
    if faults is None:
        await proxy.down()
    else:
        proxy.suffer(**faults)

    with pytest.raises(ConnectionError):
        await (await connect(proxy)).reader.readexactly(1)

    proxy.heal()
    await proxy.up()
    client = await connect(proxy)
    assert await client.ask(b"hello") == b"hello"
    assert proxy.port == port


async def test_a_server_that_is_down_resets_its_clients(proxy: Proxy, client: Client) -> None:
    await client.ask(b"hello")

    await proxy.down()

    with pytest.raises(ConnectionResetError):
        await client.rest()
    assert proxy.open == 0


async def test_a_proxy_without_a_server_behind_it_resets(echo: Echo, connect: Connect) -> None:
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    async with proxied("127.0.0.1", port) as proxy:
        client = await connect(proxy)
        with pytest.raises(ConnectionResetError):
            await client.rest()
