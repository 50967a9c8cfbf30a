"""Who we are, and what is wrong with how Telegram delivers."""

from collections.abc import Callable
from typing import Any

import pytest

from dragoman import wire
from dragoman.adapter import Known, Me, Probe
from dragoman.adapters.telegram import Telegram
from dragoman.wire import Exchange, Response

Perform = Callable[[Exchange[Any]], Any]
KNOWN = Known(now=0.0)
BOT = wire.json_response({"ok": True, "result": {"id": 7001, "is_bot": True, "username": "dragoman_bot"}})
ME = Me(id="7001", name="dragoman_bot")


def hook(url: str = "", error: str = "") -> Response:
    result = {"url": url, "pending_update_count": 0, **({"last_error_message": error} if error else {})}
    return wire.json_response({"ok": True, "result": result})


def test_a_polling_account_without_a_webhook_has_no_problem(poller: Telegram) -> None:
    assert wire.run(poller.probe(KNOWN), BOT, hook()) == Probe(me=ME)


def test_a_webhook_account_with_its_webhook_has_no_problem(account: Telegram) -> None:
    assert wire.run(account.probe(KNOWN), BOT, hook("https://bot.example/hooks/tg")) == Probe(me=ME)


def test_a_webhook_stands_in_the_way_of_polling(poller: Telegram) -> None:
    (problem,) = wire.run(poller.probe(KNOWN), BOT, hook("https://user:pass@bot.example/")).problems
    assert "deleteWebhook" in problem
    assert "pass" not in problem


def test_a_missing_webhook_is_told(account: Telegram) -> None:
    (problem,) = wire.run(account.probe(KNOWN), BOT, hook()).problems
    assert "setWebhook" in problem


def test_a_failing_webhook_is_told(account: Telegram) -> None:
    (problem,) = wire.run(account.probe(KNOWN), BOT, hook("https://bot.example/", "Connection refused")).problems
    assert "Connection refused" in problem


@pytest.mark.parametrize("status", [401, 404])
def test_a_dead_token_is_told_with_its_remedy(account: Telegram, status: int) -> None:
    answer = wire.json_response({"ok": False, "error_code": status, "description": "x"}, status)
    (problem,) = wire.run(account.probe(KNOWN), answer).problems
    assert "@BotFather" in problem


@pytest.mark.parametrize("answers", [[Response(status=502, body=b"<html>")], [BOT, Response(status=500)]])
def test_an_unusable_answer_is_a_problem(account: Telegram, answers: list[Response]) -> None:
    (problem,) = wire.run(account.probe(KNOWN), *answers).problems
    assert f"HTTP {answers[-1].status}" in problem


def test_the_simulator_tells_who_we_are(account: Telegram, perform: Perform) -> None:
    assert perform(account.probe(KNOWN)).me == ME
