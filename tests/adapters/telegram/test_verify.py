"""The proof: one header, equal to the secret, or nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.adapter import Known, Payload
from dragoman.adapters.telegram import Telegram
from dragoman.errors import Forged
from dragoman.model import Secret
from dragoman.testing.simulators.telegram import TelegramSimulator
from dragoman.wire import Http

KNOWN = Known(now=0.0)
HEADER = "x-telegram-bot-api-secret-token"


def hook(*secrets: str) -> Telegram:
    return Telegram(account="tg", bot_token=Secret("1:token"), secret_token=Secret(*secrets))


def test_a_request_with_the_secret_is_authentic(simulator: TelegramSimulator, account: Telegram) -> None:
    request = simulator.webhook("hello")
    assert account.verify(request, KNOWN) == Payload(body=request.body)


@pytest.mark.parametrize("given_secret", ["", "wrong", "right-secre", "right-secret ", "RIGHT-SECRET", "right-secretx"])
def test_another_secret_is_forged(given_secret: str) -> None:
    with pytest.raises(Forged):
        hook("right-secret").verify(Http(headers={HEADER: given_secret}, body=b"{}"), KNOWN)


def test_a_request_without_the_header_is_forged() -> None:
    with pytest.raises(Forged):
        hook("right-secret").verify(Http(body=b"{}"), KNOWN)


@given(position=st.integers(0, 11), letter=st.characters(codec="latin-1"))
def test_a_secret_with_one_letter_changed_is_forged(position: int, letter: str) -> None:
    secret = "right-secret"
    changed = secret[:position] + letter + secret[position + 1 :]
    request = Http(headers={HEADER: changed}, body=b"{}")
    if changed == secret:
        assert hook(secret).verify(request, KNOWN) == Payload(body=b"{}")
        return
    with pytest.raises(Forged):
        hook(secret).verify(request, KNOWN)


@pytest.mark.parametrize("secret", ["new-secret", "old-secret"])
def test_both_secrets_of_a_rotation_are_accepted(secret: str) -> None:
    assert hook("new-secret", "old-secret").verify(Http(headers={HEADER: secret}, body=b"{}"), KNOWN)


def test_a_polling_account_takes_no_webhooks(poller: Telegram) -> None:
    with pytest.raises(Forged):
        poller.verify(Http(headers={HEADER: ""}, body=b"{}"), KNOWN)


def test_an_account_told_to_poll_takes_no_webhooks_even_with_a_secret() -> None:
    account = Telegram(account="tg", bot_token=Secret("1:token"), secret_token=Secret("s"), receive="poll")
    with pytest.raises(Forged):
        account.verify(Http(headers={HEADER: "s"}, body=b"{}"), KNOWN)


def test_the_secret_decides_how_an_account_receives(account: Telegram, poller: Telegram) -> None:
    assert (account.mode(), poller.mode()) == ("webhook", "poll")


def test_a_webhook_without_a_secret_is_refused_at_start() -> None:
    problems = Telegram(account="tg", bot_token=Secret("1:token"), receive="webhook").check()
    assert len(problems) == 1
    assert "secret_token" in problems[0]


@pytest.mark.parametrize("secret", ["with space", "ümlaut", "x" * 257, "semi;colon"])
def test_a_secret_that_telegram_would_not_take_is_refused_at_start(secret: str) -> None:
    assert "secret_token" in hook(secret).check()[0]


def test_a_poll_longer_than_the_server_allows_is_refused_at_start() -> None:
    assert "poll_timeout" in Telegram(account="tg", bot_token=Secret("1:t"), poll_timeout=51).check()[0]


def test_sound_settings_have_no_problems(account: Telegram, poller: Telegram) -> None:
    assert [*account.check(), *poller.check()] == []
