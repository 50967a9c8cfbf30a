"""Asking who we are."""

from typing import Any

import pytest

from dragoman import wire
from dragoman.adapter import Known, Me, Probe
from dragoman.adapters.feishu import Feishu
from dragoman.errors import CredentialRefused
from dragoman.wire import Http, Response

BOT = {"activate_status": 2, "app_name": "Helper", "open_id": "ou_bot"}


def probed(feishu: Feishu, *answers: Response | Exception) -> Probe:
    return wire.run(feishu.probe(Known(now=0.0)), *answers)


def info(**facts: Any) -> Response:
    return wire.json_response({"code": 0, "msg": "ok", "bot": {**BOT, **facts}})


def test_the_bot_is_known_by_its_open_id(feishu: Feishu) -> None:
    request = next(feishu.probe(Known(now=0.0)))

    assert isinstance(request, Http)
    assert (request.method, request.url) == ("GET", "https://feishu.test/open-apis/bot/v3/info")
    assert probed(feishu, info()) == Probe(me=Me(id="ou_bot", name="Helper", app_id=feishu.app_id))


def test_an_app_that_is_not_enabled_is_told(feishu: Feishu) -> None:
    probe = probed(feishu, info(activate_status=1))

    assert probe.me.id == "ou_bot"
    assert "publish" in probe.problems[0]


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (wire.json_response({"code": 0, "msg": "ok"}), "bot capability"),
        (info(open_id=None), "bot capability"),
        (wire.json_response({"code": 99991672, "msg": "scope"}, 400), "scope"),
        (Response(status=502), "502"),
        (Response(status=200, body=b"<html>"), "api_base"),
    ],
)
def test_each_problem_has_its_remedy(feishu: Feishu, response: Response, words: str) -> None:
    probe = probed(feishu, response)

    assert probe.me == Me()
    assert words in probe.problems[0]


def test_wrong_credentials_are_told_as_such(feishu: Feishu) -> None:
    with pytest.raises(CredentialRefused) as refusal:
        wire.run(
            feishu.grant("tenant_token", "", Known(now=0.0)), wire.json_response({"code": 10014, "msg": "invalid"})
        )

    (problem,) = probed(feishu, refusal.value).problems

    assert "app_secret" in problem
    assert "10014" in problem
