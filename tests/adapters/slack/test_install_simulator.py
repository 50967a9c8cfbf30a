"""The simulated authorisation server refuses what Slack refuses."""

import base64
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
import pytest

from dragoman.testing.clock import FakeClock
from dragoman.testing.simulators.slack import SlackSimulator
from dragoman.wire import Http

CALLBACK = "https://bot.example.org/callback"
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
def slack(clock: FakeClock) -> SlackSimulator:
    simulator = SlackSimulator(clock=clock)
    simulator.oauth.redirect_uris.add(CALLBACK)
    simulator.oauth.rotation = True
    return simulator


def asked(slack: SlackSimulator, **changed: str) -> dict[str, str]:
    whole = {"client_id": slack.oauth.client_id, "redirect_uri": CALLBACK, "scope": "chat:write", "state": "s"}
    return {**whole, **changed}


def code(slack: SlackSimulator, **changed: str) -> str:
    answer = slack.handle(Http(method="GET", url="/oauth/v2/authorize", query=asked(slack, **changed)))
    assert answer.status == 302
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))["code"]


def exchanged(slack: SlackSimulator, form: dict[str, str], client: tuple[str, str] | None = None) -> dict[str, Any]:
    proof = ":".join(client or (slack.oauth.client_id, slack.oauth.client_secret))
    headers = {**FORM, "authorization": f"Basic {base64.b64encode(proof.encode()).decode()}"}
    answer = slack.handle(Http(url="/api/oauth.v2.access", headers=headers, body=urlencode(form).encode()))
    found: dict[str, Any] = msgspec.json.decode(answer.body)
    return found


def called(slack: SlackSimulator, method: str, token: str) -> dict[str, Any]:
    headers = {**FORM, "authorization": f"Bearer {token}"}
    found: dict[str, Any] = msgspec.json.decode(slack.handle(Http(url=f"/api/{method}", headers=headers)).body)
    return found


@pytest.mark.parametrize(
    "changed",
    [{"client_id": "x"}, {"redirect_uri": CALLBACK + "/"}, {"state": ""}, {"scope": ""}, {"scope": "chat:write im"}],
)
def test_nobody_is_sent_back_from_an_address_that_slack_would_not_open(
    slack: SlackSimulator, changed: dict[str, str]
) -> None:
    answer = slack.handle(Http(method="GET", url="/oauth/v2/authorize", query=asked(slack, **changed)))

    assert (answer.status, len(slack.refused)) == (400, 1)


def test_a_code_is_good_once_for_ten_minutes_and_for_its_address(slack: SlackSimulator, clock: FakeClock) -> None:
    first = {"code": code(slack), "redirect_uri": CALLBACK}
    assert exchanged(slack, first)["ok"]
    assert exchanged(slack, first)["error"] == "invalid_code"
    assert exchanged(slack, {"code": code(slack), "redirect_uri": "https://x"})["error"] == "bad_redirect_uri"
    late = code(slack)
    clock.advance(601)
    assert exchanged(slack, {"code": late, "redirect_uri": CALLBACK})["error"] == "invalid_code"


@pytest.mark.parametrize(("client", "error"), [(("x", "y"), "invalid_client_id"), (("", ""), "invalid_client_id")])
def test_another_client_gets_nothing(slack: SlackSimulator, client: tuple[str, str], error: str) -> None:
    assert exchanged(slack, {"code": code(slack), "redirect_uri": CALLBACK}, client)["error"] == error


def test_a_wrong_client_secret_gets_nothing(slack: SlackSimulator) -> None:
    form = {"code": code(slack), "redirect_uri": CALLBACK}

    assert exchanged(slack, form, (slack.oauth.client_id, "x"))["error"] == "bad_client_secret"


def test_refresh_tokens_rotate_and_access_tokens_end(slack: SlackSimulator, clock: FakeClock) -> None:
    first = exchanged(slack, {"code": code(slack), "redirect_uri": CALLBACK})
    again = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    second = exchanged(slack, again)

    assert second["refresh_token"] != first["refresh_token"]
    assert exchanged(slack, again)["error"] == "invalid_refresh_token"
    assert called(slack, "auth.test", second["access_token"])["ok"]
    clock.advance(43_200)
    assert called(slack, "auth.test", second["access_token"])["error"] == "token_expired"


def test_a_revoked_installation_is_void(slack: SlackSimulator) -> None:
    granted = exchanged(slack, {"code": code(slack), "redirect_uri": CALLBACK})

    assert called(slack, "auth.revoke", granted["access_token"])["revoked"]
    assert called(slack, "auth.test", granted["access_token"])["error"] == "invalid_auth"
    again = {"grant_type": "refresh_token", "refresh_token": granted["refresh_token"]}
    assert exchanged(slack, again)["error"] == "invalid_refresh_token"
