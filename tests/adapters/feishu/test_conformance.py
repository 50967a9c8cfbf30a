"""Feishu under the certification kit: the shared vectors, and the hard tests by inheritance."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest

from dragoman.adapters.feishu import Feishu, frames
from dragoman.model import Secret
from dragoman.testing.conformance import AdapterSuite, run_vectors
from dragoman.testing.simulators.feishu import APP, BOT, DIRECT, FeishuSimulator
from dragoman.wire import Frame, Http

NOW = 1_767_406_614.25
SECRET = "app-secret-of-this-suite"
TOKEN = "verification-token-of-this-suite"
KEY = "encrypt-key-of-this-suite"
VECTORS = Path(__file__).parents[3] / "../shared/platforms/vectors/feishu.json"


def simulator(*, at: float = NOW) -> FeishuSimulator:
    return FeishuSimulator(app_secret=SECRET, verification_token=TOKEN, encrypt_key=KEY, clock=lambda: at)


ACCOUNT = Feishu(
    account="support",
    app_id=APP,
    app_secret=Secret(SECRET),
    verification_token=Secret(TOKEN),
    encrypt_key=Secret(KEY),
    bot_open_id=BOT,
)


class TestFeishu(AdapterSuite):
    adapter = ACCOUNT
    now = NOW

    def genuine(self) -> Sequence[Http]:
        feishu = simulator()
        return [
            feishu.webhook("hello"),
            feishu.asked("hello", thread="omt_1"),
            feishu.shared("cat.png", b"bytes", mime="image/png"),
            feishu.pressed({"dragoman": "yes"}),
        ]

    def own(self) -> Sequence[Http]:
        feishu = simulator()
        message = {"message_id": "om_1", "chat_id": DIRECT, "message_type": "text", "content": '{"text": "x"}'}
        author = {"sender_id": {"open_id": BOT}, "sender_type": "app"}
        reaction = {"message_id": "om_1", "reaction_type": {"emoji_type": "OK"}, "user_id": {"open_id": BOT}}
        return [
            feishu.webhook("hello", sender=BOT),
            feishu.event("im.message.receive_v1", {"sender": author, "message": message}),
            feishu.event("im.message.reaction.created_v1", reaction),
        ]


class TestFreshFeishu(AdapterSuite):
    """With a limit to the age of a signature."""

    adapter = dataclasses.replace(ACCOUNT, max_skew_s=300)
    now = NOW

    def genuine(self) -> Sequence[Http]:
        return [simulator().webhook("hello")]

    def stale(self) -> Http:
        return simulator(at=NOW - 301).webhook("hello")


class TestFeishuSocket(AdapterSuite):
    """By the long connection."""

    adapter = Feishu(account="support", app_id=APP, app_secret=Secret(SECRET), bot_open_id=BOT, receive="socket")
    now = NOW
    webhooks = False

    def frames(self) -> Sequence[Frame]:
        feishu = FeishuSimulator(encrypt_key="", clock=lambda: NOW)
        said = [feishu.webhook("hello"), feishu.asked("hello"), feishu.pressed({"dragoman": "yes"})]
        return [_frame(request.body, f"m{number}") for number, request in enumerate(said)]


def _frame(payload: bytes, name: str) -> Frame:
    headers = (("type", "event"), ("message_id", name), ("sum", "1"), ("seq", "0"))
    return Frame(data=frames.write(frames.Frame(method=frames.DATA, headers=headers, payload=payload)))


@pytest.mark.skipif(not VECTORS.exists(), reason="the shared vectors are not beside this checkout")
def test_all_vectors_pass() -> None:
    results = run_vectors("feishu", VECTORS)

    assert [result.line for result in results if result.status != "ok"] == []
    assert len(results) > 3
