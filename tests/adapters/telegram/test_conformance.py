"""Telegram under the certification kit: the shared vectors, and the hard tests by inheritance."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dragoman import text
from dragoman.adapters.telegram import Telegram
from dragoman.model import Secret
from dragoman.testing.conformance import AdapterSuite, run_vectors
from dragoman.testing.simulators.telegram import TelegramSimulator, markup
from dragoman.wire import Http

NOW = 1_800_000_000.0
VECTORS = Path(__file__).parents[3] / "../shared/platforms/vectors/telegram.json"


def new_simulator() -> TelegramSimulator:
    return TelegramSimulator(clock=lambda: NOW)


def account(simulator: TelegramSimulator, **settings: Any) -> Telegram:
    return Telegram(account="tg", bot_token=Secret(simulator.token), bot_username=simulator.username, **settings)


class TestTelegram(AdapterSuite):
    """By webhook."""

    adapter = account(new_simulator(), secret_token=Secret("a-secret-of-this-suite"))
    now = NOW
    signs_body = False

    def simulator(self) -> TelegramSimulator:
        return TelegramSimulator(clock=lambda: NOW, secret="a-secret-of-this-suite")

    def genuine(self) -> Sequence[Http]:
        simulator = self.simulator()
        return [
            simulator.webhook("hello"),
            simulator.webhook("hello"),
            simulator.webhook("/ask@dragoman_bot 🙂 what", sender="7", channel="-100200"),
            simulator.signed(simulator.press("opt:1", message_id=9)),
        ]

    def own(self) -> Sequence[Http]:
        simulator = self.simulator()
        chat = {"id": -100200, "type": "supergroup"}
        bot = {"id": int(simulator.token.partition(":")[0]), "is_bot": True, "first_name": "Dragoman"}
        said = {"message_id": 5, "date": 1, "chat": chat, "from": bot, "text": "hi"}
        thumb = {"type": "emoji", "emoji": "👍"}
        reacted = {"message_id": 5, "date": 1, "chat": chat, "user": bot, "new_reaction": [thumb]}
        return [
            simulator.signed({"update_id": 1, "message": said}),
            simulator.signed({"update_id": 2, "edited_message": {**said, "edit_date": 2}}),
            simulator.signed({"update_id": 3, "message_reaction": reacted}),
        ]

    def measure(self, body: str) -> int:
        return seen(body)


class TestPollingTelegram(AdapterSuite):
    """By long polling: there is no webhook to forge."""

    adapter = account(new_simulator())
    now = NOW
    webhooks = False

    def measure(self, body: str) -> int:
        return seen(body)


def seen(body: str) -> int:
    """Measure as the simulator does, which reads the HTML by itself."""
    return markup.units(markup.visible(text.render(body, "telegram")))


@pytest.mark.skipif(not VECTORS.exists(), reason="the shared vectors are not beside this checkout")
def test_all_vectors_pass() -> None:
    results = run_vectors("telegram", VECTORS)
    assert [result.line for result in results if result.status != "ok"] == []
    assert results
