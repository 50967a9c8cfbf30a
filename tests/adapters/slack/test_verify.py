"""The proof of Slack's requests, judged by Slack's own signer."""

from collections.abc import Callable

import msgspec
import pytest

from dragoman.adapter import Known
from dragoman.adapters.slack import Slack
from dragoman.errors import Forged
from dragoman.model import Secret
from dragoman.wire import Http

Sign = Callable[..., Http]
BODY = b'{"type":"url_verification","challenge":"c"}'
NOW = 1_767_406_614


def test_a_request_signed_by_slacks_own_library_is_accepted(slack: Slack, known: Known, signed: Sign) -> None:
    payload = slack.verify(signed(BODY), known)

    assert payload.body == BODY
    assert payload.headers == {"content-type": "application/json"}


@pytest.mark.parametrize("skew", [-300, 0, 300])
def test_a_timestamp_within_five_minutes_is_accepted(slack: Slack, signed: Sign, skew: int) -> None:
    assert slack.verify(signed(BODY, at=NOW), Known(now=float(NOW + skew))).body == BODY


@pytest.mark.parametrize("skew", [-301, 301, 86_400])
def test_a_timestamp_beyond_five_minutes_is_refused(slack: Slack, signed: Sign, skew: int) -> None:
    with pytest.raises(Forged, match="five minutes"):
        slack.verify(signed(BODY, at=NOW), Known(now=float(NOW + skew)))


@pytest.mark.parametrize("timestamp", ["soon", "-1767406614", "1767406614.0", " 1767406614", "١٧٦", "9" * 5000])
def test_a_timestamp_that_is_no_number_is_refused(slack: Slack, known: Known, signed: Sign, timestamp: str) -> None:
    request = signed(BODY)
    headers = {**request.headers, "x-slack-request-timestamp": timestamp}

    with pytest.raises(Forged, match="not a number"):
        slack.verify(msgspec.structs.replace(request, headers=headers), known)


@pytest.mark.parametrize("name", ["x-slack-request-timestamp", "x-slack-signature"])
def test_a_request_without_its_proof_is_refused(slack: Slack, known: Known, signed: Sign, name: str) -> None:
    request = signed(BODY)
    headers = {key: value for key, value in request.headers.items() if key != name}

    with pytest.raises(Forged, match=name):
        slack.verify(msgspec.structs.replace(request, headers=headers), known)


def test_a_body_with_any_byte_altered_is_refused(slack: Slack, known: Known, signed: Sign) -> None:
    request = signed(BODY)

    for place in range(len(BODY)):
        altered = BODY[:place] + bytes([BODY[place] ^ 1]) + BODY[place + 1 :]
        with pytest.raises(Forged, match="signature"):
            slack.verify(msgspec.structs.replace(request, body=altered), known)


def test_a_timestamp_that_was_not_signed_is_refused(slack: Slack, known: Known, signed: Sign) -> None:
    request = signed(BODY)
    headers = {**request.headers, "x-slack-request-timestamp": str(NOW + 1)}

    with pytest.raises(Forged, match="signature"):
        slack.verify(msgspec.structs.replace(request, headers=headers), known)


@pytest.mark.parametrize("signature", ["v0=", "v0=00", "nonsense", "é", "V0=" + "0" * 64])
def test_a_signature_of_any_other_form_is_refused(slack: Slack, known: Known, signed: Sign, signature: str) -> None:
    request = signed(BODY)
    headers = {**request.headers, "x-slack-signature": signature}

    with pytest.raises(Forged, match="signature"):
        slack.verify(msgspec.structs.replace(request, headers=headers), known)


def test_during_a_rotation_both_secrets_are_accepted(known: Known, signed: Sign) -> None:
    rotating = Slack(account="support", signing_secret=Secret("new", "old"), bot_token=Secret("t"))

    assert rotating.verify(signed(BODY, secret="new"), known).body == BODY
    assert rotating.verify(signed(BODY, secret="old"), known).body == BODY
    with pytest.raises(Forged):
        rotating.verify(signed(BODY, secret="older"), known)


def test_an_account_without_a_secret_accepts_nothing(known: Known, signed: Sign) -> None:
    bare = Slack(account="support", signing_secret=Secret(), bot_token=Secret("t"))

    with pytest.raises(Forged):
        bare.verify(signed(BODY), known)
    assert any("signing_secret" in problem for problem in bare.check())


def test_settings_that_cannot_work_are_named_together() -> None:
    wrong = Slack(account="support", signing_secret=Secret("s"), bot_token=Secret("xapp-1"), api_base="slack.com/api")

    problems = wrong.check()

    assert len(problems) == 2
    assert "api_base" in problems[0]
    assert "xoxb-" in problems[1]


def test_good_settings_have_no_problems(slack: Slack) -> None:
    assert list(slack.check()) == []
