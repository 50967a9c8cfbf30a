"""The official SDK, lark-oapi, as the judge of our simulator's encryption and signatures, and of our own."""

import importlib
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from dragoman.adapter import Known
from dragoman.adapters.feishu import Feishu
from dragoman.errors import Forged
from dragoman.testing.simulators.feishu import FeishuSimulator
from dragoman.wire import Http

Judge = Callable[[Http], tuple[int, Any]]


@pytest.fixture
def judge(sdk: Any, simulator: FeishuSimulator) -> Judge:
    """Hand a request to the SDK as its web frameworks do; returns its status and its answer."""
    settings = simulator.settings("")
    builder = sdk.EventDispatcherHandler.builder(
        settings["encrypt_key"], settings["verification_token"], sdk.LogLevel.CRITICAL
    )
    callbacks = importlib.import_module("lark_oapi.event.callback.model.p2_card_action_trigger")
    nothing = callbacks.P2CardActionTriggerResponse({})
    builder = builder.register_p2_im_message_receive_v1(lambda _: None)
    handler = builder.register_p2_card_action_trigger(lambda _: nothing).build()
    model = importlib.import_module("lark_oapi.core.model")
    names = {f"x-lark-{part.lower()}": f"X-Lark-{part}" for part in ("Request-Timestamp", "Request-Nonce", "Signature")}

    def handle(request: Http) -> tuple[int, Any]:
        raw = model.RawRequest()
        raw.uri, raw.body = "/hooks/feishu", request.body
        raw.headers = {names.get(name, name): value for name, value in request.headers.items()}
        response = handler.do(raw)
        return response.status_code, json.loads(response.content)

    return handle


def test_the_sdk_takes_what_the_simulator_signs(judge: Judge, simulator: FeishuSimulator) -> None:
    for request in (simulator.webhook("hello 飞书"), simulator.asked("x"), simulator.pressed({"choice": "yes"})):
        assert judge(request)[0] == 200


def test_the_sdk_and_the_adapter_answer_a_handshake_alike(
    judge: Judge, simulator: FeishuSimulator, feishu: Feishu, known: Known
) -> None:
    request = simulator.handshake("a challenge")

    receipt = feishu.parse(feishu.verify(request, known), known)

    assert judge(request) == (receipt.response.status, msgspec.json.decode(receipt.response.body))


def test_the_sdk_and_the_adapter_refuse_the_same(
    judge: Judge, simulator: FeishuSimulator, feishu: Feishu, known: Known
) -> None:
    genuine = simulator.webhook("hello")
    forgeries = (
        Http(body=genuine.body),
        Http(headers=genuine.headers, body=genuine.body + b" "),
        Http(headers={**genuine.headers, "x-lark-signature": "0" * 64}, body=genuine.body),
        Http(headers={**genuine.headers, "x-lark-request-nonce": "another"}, body=genuine.body),
        FeishuSimulator(verification_token="another").webhook("hello"),
        FeishuSimulator(encrypt_key="another").webhook("hello"),
    )

    for request in forgeries:
        assert judge(request)[0] == 500
        with pytest.raises(Forged):
            feishu.verify(request, known)


def test_the_sdk_decrypts_what_the_simulator_encrypts(
    sdk: Any, simulator: FeishuSimulator, feishu: Feishu, known: Known
) -> None:
    request = simulator.webhook("hello 飞书")
    cipher = importlib.import_module("lark_oapi.core.utils").AESCipher(feishu.encrypt_key.reveal())

    plain = cipher.decrypt_str(msgspec.json.decode(request.body)["encrypt"])

    assert sdk is not None
    assert plain.encode() == feishu.verify(request, known).body
