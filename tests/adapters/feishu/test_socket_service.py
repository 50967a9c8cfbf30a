"""The long connection through the whole service: a message in by the socket, the reply out by the API."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from dragoman import telemetry
from dragoman.testing.process import configuration
from dragoman.testing.running import Running, running
from dragoman.testing.simulator import Fault, serve
from dragoman.testing.simulators.feishu import FeishuSimulator


@pytest.fixture
def feishu() -> FeishuSimulator:
    simulator = FeishuSimulator()
    simulator.gateway.config.update(PingInterval=1, ReconnectInterval=0, ReconnectNonce=0)
    simulator.gateway.deadline, simulator.gateway.retry = 1.0, 0.5
    return simulator


@contextlib.asynccontextmanager
async def bot(feishu: FeishuSimulator, folder: Path, **account: Any) -> AsyncIterator[Running]:
    async with serve(feishu) as url:
        table = {"platform": "feishu", **feishu.socket_settings(url), **account}
        async with running(folder, configuration({"bench": table}, plugins=["echo"])) as service:
            yield service


async def until(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def texts(feishu: FeishuSimulator) -> list[str]:
    return [accepted.text for accepted in feishu.sent]


async def test_a_message_by_the_socket_is_answered_by_the_api(feishu: FeishuSimulator, tmp_path: Path) -> None:
    async with bot(feishu, tmp_path):
        pushed = feishu.push(feishu.webhook("hello 你好"))
        await until(lambda: feishu.sent and pushed.acked)

        assert texts(feishu) == ["echo: hello 你好"]
        assert feishu.refused == []


async def test_a_large_message_comes_in_parts(feishu: FeishuSimulator, tmp_path: Path) -> None:
    feishu.gateway.largest = 100
    async with bot(feishu, tmp_path):
        pushed = feishu.push(feishu.webhook("你好 " * 100))
        await until(lambda: feishu.sent)

        assert texts(feishu) == [f"echo: {'你好 ' * 100}".strip()]
        assert (pushed.sent, pushed.acked) == (1, True)


async def test_the_first_ping_leaves_at_once(feishu: FeishuSimulator, tmp_path: Path) -> None:
    async with bot(feishu, tmp_path):
        await until(lambda: feishu.gateway.pings, seconds=5)

        assert feishu.refused == []


async def test_a_pressed_button_is_answered_in_its_acknowledgement(feishu: FeishuSimulator, tmp_path: Path) -> None:
    async with bot(feishu, tmp_path):
        pressed = feishu.push(feishu.pressed({"dragoman": "yes"}), "card")
        await until(lambda: pressed.acked)

        assert pressed.answer == b"{}"


async def test_the_same_message_again_is_acknowledged_and_not_answered_again(
    feishu: FeishuSimulator, tmp_path: Path
) -> None:
    async with bot(feishu, tmp_path):
        request = feishu.webhook("once")
        pushed = [feishu.push(request) for _ in range(3)]
        pushed.append(feishu.push(feishu.webhook("after")))
        await until(lambda: all(each.acked for each in pushed) and "echo: after" in texts(feishu))

        assert texts(feishu) == ["echo: once", "echo: after"]


async def test_a_socket_that_is_closed_is_opened_anew_with_another_address(
    feishu: FeishuSimulator, tmp_path: Path
) -> None:
    async with bot(feishu, tmp_path):
        before = feishu.push(feishu.webhook("before"))
        await until(lambda: before.acked)
        await feishu.gateway.hang_up()
        feishu.push(feishu.webhook("after"))
        await until(lambda: len(feishu.sent) == 2, seconds=60)  # within the nonce: 30 s until a pong says otherwise

        assert texts(feishu) == ["echo: before", "echo: after"]
        assert (feishu.gateway.opened, feishu.gateway.most_open) == (2, 1)


async def test_a_busy_endpoint_is_asked_again(feishu: FeishuSimulator, tmp_path: Path) -> None:
    feishu.fail(Fault(method="endpoint", status=200, body=b'{"code": 1, "msg": "system busy"}'))
    async with bot(feishu, tmp_path):
        feishu.push(feishu.webhook("hello"))
        await until(lambda: feishu.sent)

        assert feishu.calls.count("endpoint") == 2


async def test_wrong_credentials_open_no_socket_and_pause_the_account(feishu: FeishuSimulator, tmp_path: Path) -> None:
    async with bot(feishu, tmp_path, app_secret="wrong"):
        await until(lambda: _paused() == 1)

    assert feishu.calls.count("endpoint") == 1
    assert feishu.gateway.opened == 0


def _paused() -> float | None:
    return telemetry.REGISTRY.get_sample_value("dragoman_account_paused", {"account": "bench"})


async def test_the_socket_is_closed_in_order_when_the_service_stops(feishu: FeishuSimulator, tmp_path: Path) -> None:
    async with serve(feishu) as url:
        table = {"platform": "feishu", **feishu.socket_settings(url)}
        async with running(tmp_path, configuration({"bench": table}, plugins=["echo"])):
            await until(lambda: feishu.gateway.open)
        await until(lambda: feishu.gateway.closed)

    assert feishu.gateway.closed == [1000]
