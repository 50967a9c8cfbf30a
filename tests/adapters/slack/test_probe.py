"""What `dragoman doctor` learns from Slack."""

from typing import Any

import pytest

from dragoman import wire
from dragoman.adapter import Known, Me, Probe
from dragoman.adapters.slack import Slack
from dragoman.wire import Response

WHO = {"ok": True, "user_id": "UBOT", "user": "dragoman", "bot_id": "BBOT", "team_id": "T1"}
SCOPES = "chat:write,files:read,files:write,reactions:write"


def probed(slack: Slack, known: Known, response: Response) -> Probe:
    return wire.run(slack.probe(known), response)


def test_the_bot_learns_who_it_is(slack: Slack, known: Known) -> None:
    probe = probed(slack, known, wire.json_response(WHO, headers={"x-oauth-scopes": SCOPES}))

    assert probe == Probe(me=Me(id="UBOT", name="dragoman", bot_id="BBOT"))


def test_on_the_simulator_all_is_well(bench: Any, known: Known) -> None:
    probe = bench.perform(bench.slack.probe(known))

    assert probe.me.id
    assert probe.problems == ()


def test_missing_scopes_are_named_with_what_they_are_for(slack: Slack, known: Known) -> None:
    probe = probed(slack, known, wire.json_response(WHO, headers={"x-oauth-scopes": "chat:write, files:read"}))

    assert len(probe.problems) == 2
    assert "files:write" in probe.problems[0]
    assert "cannot react" in probe.problems[1]


def test_a_persons_token_is_noticed(slack: Slack, known: Known) -> None:
    probe = probed(slack, known, wire.json_response({**WHO, "bot_id": None}))

    assert "a person's token" in probe.problems[0]


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (wire.json_response({"ok": False, "error": "invalid_auth"}), "OAuth & Permissions"),
        (wire.json_response({"ok": False, "error": "token_revoked"}), "install the app"),
        (wire.json_response({"ok": False, "error": "of_tomorrow"}), "check bot_token"),
        (Response(status=404), "api_base"),
        (Response(status=503), "later"),
        (Response(body=b"<html>"), "api_base"),
    ],
)
def test_every_failure_comes_with_a_remedy(slack: Slack, known: Known, response: Response, words: str) -> None:
    probe = probed(slack, known, response)

    assert probe.me == Me()
    assert words in probe.problems[0]
