"""The simulator's long connection: refuses what is wrong, forgets nothing, and gets along with the official SDK."""

import asyncio
import base64
import contextlib
import importlib
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import msgspec
import pytest

from dragoman.adapters.feishu import frames
from dragoman.adapters.feishu.frames import Frame
from dragoman.testing.simulator import serve
from dragoman.testing.simulators.feishu import APP, FeishuSimulator, gateway

SECRET = "simulated-app-secret"
CREDENTIALS = {"AppID": APP, "AppSecret": SECRET}
PING = frames.write(gateway.PING)


@pytest.fixture
def feishu() -> FeishuSimulator:
    simulator = FeishuSimulator()
    simulator.gateway.deadline, simulator.gateway.retry = 0.5, 0.1
    return simulator


@pytest.fixture
async def url(feishu: FeishuSimulator) -> AsyncIterator[str]:
    async with serve(feishu) as address:
        yield address


async def until(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def asked(url: str, body: Any = CREDENTIALS, **headers: str) -> dict[str, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/callback/ws/endpoint", json=body, headers={"locale": "zh", **headers}) as response,
    ):
        answer: dict[str, Any] = await response.json()
        return answer


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    address = (await asked(url))["data"]["URL"]
    async with aiohttp.ClientSession() as session, session.ws_connect(address) as socket:
        yield socket


async def next_frame(socket: aiohttp.ClientWebSocketResponse) -> Frame:
    return frames.read(await socket.receive_bytes(timeout=10))


def ack(frame: Frame, code: int = 200, **told: Any) -> bytes:
    headers = (*frame.headers, ("biz_rt", "1")) if code == 200 else frame.headers
    payload = msgspec.json.encode({"code": code, **told})
    return frames.write(msgspec.structs.replace(frame, headers=headers, payload=payload))


# The endpoint


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"AppID": APP, "AppSecret": "wrong"}, 514),
        ({"AppID": "cli_another", "AppSecret": SECRET}, 514),
        ({"AppID": APP, "AppSecret": ""}, 1000040344),
        ({"AppID": APP}, 1000040344),
        ({**CREDENTIALS, "another": 1}, 1000040344),
    ],
)
async def test_the_endpoint_refuses_other_credentials(url: str, body: dict[str, Any], code: int) -> None:
    assert (await asked(url, body))["code"] == code


async def test_the_endpoint_wants_the_locale(url: str) -> None:
    assert (await asked(url, locale="en"))["code"] == 1


async def test_the_endpoint_grants_no_more_than_fifty_connections(url: str, feishu: FeishuSimulator) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(gateway.MOST):
            await stack.enter_async_context(connected(url))
        assert (await asked(url))["code"] == 1000040350
    await until(lambda: not feishu.gateway.open)
    assert (await asked(url))["code"] == 0


async def test_an_address_is_good_for_one_socket(url: str) -> None:
    address = (await asked(url))["data"]["URL"]
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(address):
            pass
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await session.ws_connect(address)

    assert refusal.value.headers is not None
    assert refusal.value.headers["handshake-status"] == "514"


# Frames


async def test_a_ping_is_answered_with_the_wishes_of_the_moment(url: str, feishu: FeishuSimulator) -> None:
    async with connected(url) as socket:
        feishu.gateway.config["PingInterval"] = 7
        await socket.send_bytes(PING)
        answer = await next_frame(socket)

    assert (answer.header("type"), msgspec.json.decode(answer.payload or b"")["PingInterval"]) == ("pong", 7)
    assert feishu.gateway.pings == 1


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(msgspec.structs.replace(gateway.PING, service=1), id="of another service"),
        pytest.param(msgspec.structs.replace(gateway.PING, SeqID=1), id="numbered"),
        pytest.param(msgspec.structs.replace(gateway.PING, headers=(("type", "hello"),)), id="of another type"),
        pytest.param(msgspec.structs.replace(gateway.PING, payload=b"x"), id="with a payload"),
    ],
)
async def test_a_wrong_ping_is_refused(url: str, feishu: FeishuSimulator, wrong: Frame) -> None:
    async with connected(url) as socket:
        await socket.send_bytes(frames.write(wrong))
        await until(lambda: feishu.refused)

    assert feishu.gateway.pings == 0


@pytest.mark.parametrize(("data", "code"), [(b"\xff\xff", 1002), ("text", 1003)])
async def test_what_is_no_frame_closes_the_socket(
    url: str, feishu: FeishuSimulator, data: bytes | str, code: int
) -> None:
    async with connected(url) as socket:
        await (socket.send_str(data) if isinstance(data, str) else socket.send_bytes(data))
        await socket.receive(timeout=10)

        assert socket.close_code == code
        assert len(feishu.refused) == 1


async def test_an_event_that_is_acknowledged_is_not_sent_again(url: str, feishu: FeishuSimulator) -> None:
    async with connected(url) as socket:
        pushed = feishu.push(feishu.webhook("hello"))
        frame = await next_frame(socket)
        await socket.send_bytes(ack(frame))
        await until(lambda: pushed.acked)
        later = feishu.push(feishu.webhook("later"))

        assert (await next_frame(socket)).header("message_id") == later.message_id
        assert (pushed.sent, feishu.refused) == (1, [])


async def test_an_event_that_is_not_acknowledged_in_time_is_sent_again(url: str, feishu: FeishuSimulator) -> None:
    feishu.gateway.deadline = 0.05
    async with connected(url) as socket:
        pushed = feishu.push(feishu.webhook("hello"))
        first, second = await next_frame(socket), await next_frame(socket)

        assert (first.payload, first.header("message_id")) == (second.payload, second.header("message_id"))
        assert first.SeqID != second.SeqID
        await socket.send_bytes(ack(first))
        await until(lambda: feishu.refused)
        assert not pushed.acked


async def test_an_acknowledgement_that_comes_too_late_does_not_count(url: str, feishu: FeishuSimulator) -> None:
    feishu.gateway.deadline = 0.0
    async with connected(url) as socket:
        pushed = feishu.push(feishu.webhook("hello"))
        await socket.send_bytes(ack(await next_frame(socket)))
        await until(lambda: feishu.gateway.late or feishu.refused)

    assert not pushed.acked


async def test_an_event_is_given_up_after_five_attempts(url: str, feishu: FeishuSimulator) -> None:
    feishu.gateway.deadline, feishu.gateway.retry = 0.01, 0.01
    async with connected(url):
        pushed = feishu.push(feishu.webhook("hello"))
        await until(lambda: feishu.gateway.lost)

    assert (pushed.sent, pushed.acked, feishu.gateway.lost) == (5, False, [pushed])


async def test_a_failure_that_is_reported_makes_it_come_again(url: str, feishu: FeishuSimulator) -> None:
    async with connected(url) as socket:
        pushed = feishu.push(feishu.webhook("hello"))
        await socket.send_bytes(ack(await next_frame(socket), 500))
        await socket.send_bytes(ack(await next_frame(socket)))
        await until(lambda: pushed.acked)

    assert (pushed.sent, feishu.refused) == (2, [])


def changed(frame: Frame, **facts: Any) -> bytes:
    return frames.write(msgspec.structs.replace(frames.read(ack(frame)), **facts))


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda frame: changed(frame, SeqID=999), id="another SeqID"),
        pytest.param(lambda frame: changed(frame, LogID=999), id="another LogID"),
        pytest.param(lambda frame: changed(frame, LogIDNew=None), id="no LogIDNew"),
        pytest.param(lambda frame: changed(frame, service=999), id="another service"),
        pytest.param(lambda frame: changed(frame, headers=frame.headers), id="no biz_rt"),
        pytest.param(lambda frame: changed(frame, headers=(*frame.headers, ("biz_rt", "x"))), id="biz_rt x"),
        pytest.param(lambda frame: changed(frame, headers=(*frame.headers[1:], ("biz_rt", "1"))), id="header lost"),
        pytest.param(lambda frame: changed(frame, payload=b""), id="no payload"),
        pytest.param(lambda frame: ack(frame, 201), id="another code"),
        pytest.param(lambda frame: ack(frame, message="done"), id="an unknown field"),
        pytest.param(lambda frame: ack(frame, data="{}"), id="an answer that is not base64"),
        pytest.param(lambda frame: ack(frame, data=base64.b64encode(b"[]").decode()), id="an answer of another form"),
    ],
)
async def test_a_wrong_acknowledgement_is_refused(
    url: str, feishu: FeishuSimulator, wrong: Callable[[Frame], bytes]
) -> None:
    async with connected(url) as socket:
        pushed = feishu.push(feishu.webhook("hello"))
        await socket.send_bytes(wrong(await next_frame(socket)))
        await until(lambda: feishu.refused)

        assert not pushed.acked


async def test_an_acknowledgement_that_nobody_asked_for_is_refused(url: str, feishu: FeishuSimulator) -> None:
    async with connected(url) as socket:
        feishu.push(feishu.webhook("hello"))
        frame = await next_frame(socket)
        await socket.send_bytes(ack(frame))
        await socket.send_bytes(ack(frame))
        await socket.send_bytes(frames.write(Frame(service=gateway.SERVICE, method=frames.DATA)))
        await until(lambda: len(feishu.refused) == 2)

    assert feishu.refused == ["socket: acknowledged twice", "socket: an acknowledgement of nothing"]


async def test_a_large_event_comes_in_parts_of_which_the_last_comes_first(url: str, feishu: FeishuSimulator) -> None:
    feishu.gateway.largest = 200
    async with connected(url) as socket:
        pushed = feishu.push(feishu.webhook("hello"))
        first = await next_frame(socket)
        total = int(first.header("sum"))
        parts = [first, *[await next_frame(socket) for _ in range(total - 1)]]

    assert total > 1
    assert [int(part.header("seq")) for part in parts] == list(reversed(range(total)))
    assert b"".join(part.payload or b"" for part in reversed(parts)) == pushed.payload


async def test_an_event_goes_to_one_of_the_connections(url: str, feishu: FeishuSimulator) -> None:
    async with connected(url), connected(url):
        pushed = [feishu.push(feishu.webhook(f"n{number}")) for number in range(20)]
        await until(lambda: all(each.sent for each in pushed))

        assert (len(feishu.gateway.open), feishu.gateway.most_open) == (2, 2)
        assert [each.sent for each in pushed] == [1] * 20


async def test_a_silent_gateway_says_nothing_and_a_closing_one_says_why(url: str, feishu: FeishuSimulator) -> None:
    async with connected(url) as socket:
        feishu.gateway.silent = True
        await socket.send_bytes(PING)
        pushed = feishu.push(feishu.webhook("hello"))
        await until(lambda: feishu.gateway.pings == 1)
        await feishu.gateway.hang_up(1012, "restarting")
        message = await socket.receive(timeout=10)

    assert (message.type, socket.close_code, message.extra) == (aiohttp.WSMsgType.CLOSE, 1012, "restarting")
    assert pushed.sent == 0


# The official SDK


class Sdk:
    """The SDK's client in a thread with an event loop of its own, as it wants it."""

    def __init__(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.texts: list[str] = []
        self.pressed: list[Any] = []
        self._oapi: Any = importlib.import_module("lark_oapi")
        self._ws: Any = importlib.import_module("lark_oapi.ws.client")
        self._stop = threading.Event()
        self._loop = asyncio.new_event_loop()
        monkeypatch.setattr(self._ws, "loop", self._loop)
        builder = self._oapi.EventDispatcherHandler.builder("", "").register_p2_im_message_receive_v1(self._message)
        handler = builder.register_p2_card_action_trigger(self._press).build()
        level = self._oapi.LogLevel.CRITICAL
        self.client = self._ws.Client(APP, SECRET, level, handler, domain=url, auto_reconnect=False)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            await asyncio.to_thread(thread.join, 10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._live())
        self._loop.close()

    async def _live(self) -> None:
        await self.client._connect()
        pinging = asyncio.create_task(self.client._ping_loop())
        while not self._stop.is_set():
            await asyncio.sleep(0.01)
        pinging.cancel()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await self.client._disconnect()
        await asyncio.gather(*others, return_exceptions=True)

    def _message(self, event: Any) -> None:
        self.texts.append(msgspec.json.decode(event.event.message.content)["text"])

    def _press(self, event: Any) -> Any:
        self.pressed.append(event.event.action.value)
        responses = importlib.import_module("lark_oapi.event.callback.model.p2_card_action_trigger")
        return responses.P2CardActionTriggerResponse({"toast": {"type": "info", "content": "ok"}})


async def test_the_sdk_talks_with_the_simulator(
    sdk: Any, url: str, feishu: FeishuSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sdk is not None
    feishu.gateway.largest = 200
    feishu.gateway.config["PingInterval"] = 90
    client = Sdk(url, monkeypatch)
    async with client.running():
        await until(lambda: feishu.gateway.pings)
        said = feishu.push(feishu.webhook("hello 飞书"))
        pressed = feishu.push(feishu.pressed({"choice": "yes"}))
        await until(lambda: said.acked and pressed.acked)

    assert (client.texts, client.pressed) == (["hello 飞书"], [{"choice": "yes"}])
    assert client.client._ping_interval == 90
    assert msgspec.json.decode(pressed.answer)["toast"] == {"type": "info", "content": "ok"}
    assert feishu.refused == []
