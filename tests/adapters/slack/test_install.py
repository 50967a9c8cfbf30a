"""Several workspaces under one app: whose token serves, which bot we are, and when a token has ended."""

import dataclasses
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest
from slack_sdk.oauth import AuthorizeUrlGenerator

from dragoman.adapter import Ended, Installed, Known, Me, Payload, Probe, Receipt, Token
from dragoman.adapters.slack import Slack
from dragoman.errors import Malformed, NoAnswer
from dragoman.flow import oauth
from dragoman.model import Delivery, Message, Say, Secret
from dragoman.wire import Credential, Expired, Http, Refused, Response, Sent, json_response, run

NOW = 1_767_406_614.25
CALLBACK = "https://bot.example.org/oauth/support/callback"
ANSWER: dict[str, Any] = {
    "ok": True,
    "access_token": "xoxb-of-the-workspace",
    "token_type": "bot",
    "scope": "chat:write",
    "bot_user_id": "UBOT1",
    "app_id": "A1",
    "team": {"id": "T1", "name": "The workspace"},
    "enterprise": None,
    "is_enterprise_install": False,
    "authed_user": {"id": "U1"},
}
SENT = json_response({"ok": True, "ts": "1.2"})
ENDED = json_response({"ok": False, "error": "token_expired"})


@pytest.fixture
def shared() -> Slack:
    return Slack(
        account="support", signing_secret=Secret("s"), client_id="10.20", client_secret=Secret("a client secret")
    )


@pytest.fixture
def known() -> Known:
    workspaces = {"T1": Me(id="UBOT1", app_id="A1"), "T2": Me(id="UBOT2", app_id="A1"), "E1": Me(id="UBOTE")}
    return Known(now=NOW, workspaces=workspaces)


def parsed(slack: Slack, known: Known, inner: dict[str, Any], **envelope: Any) -> Receipt:
    body = {"type": "event_callback", "team_id": "T1", "api_app_id": "A1", "event_id": "Ev1", "event": inner}
    return slack.parse(Payload(body=msgspec.json.encode({**body, **envelope})), known)


def said(text: str, **facts: Any) -> dict[str, Any]:
    message = {"type": "message", "channel": "C1", "channel_type": "channel", "user": "U1", "ts": "1767406613.000100"}
    return {**message, "text": text, **facts}


def reply(receipt: Receipt) -> Delivery:
    address = receipt.events[0].address
    return Delivery(id=1, key="k", action=Say(message=Message(text="hello")), address=address, conversation="c")


def credential(request: object) -> Credential | None:
    assert isinstance(request, Http)
    return request.auth


def test_the_authorisation_address_is_that_of_the_sdk(shared: Slack) -> None:
    provider = shared.oauth()
    assert provider
    theirs = AuthorizeUrlGenerator(client_id="10.20", redirect_uri=CALLBACK, scopes=shared.scopes).generate("a state")
    ours = oauth.authorization_url(provider, CALLBACK, "a state", "unused")

    assert urlsplit(ours)[:3] == urlsplit(theirs)[:3]
    assert dict(parse_qsl(urlsplit(ours).query)) == {
        **dict(parse_qsl(urlsplit(theirs).query)),
        "response_type": "code",
    }


def test_an_account_with_a_bot_token_of_its_own_has_nothing_to_install(slack: Slack) -> None:
    assert slack.oauth() is None


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, Installed(workspace="T1", name="The workspace", me=Me(id="UBOT1", app_id="A1"))),
        (
            {"team": None, "enterprise": {"id": "E1", "name": "All of them"}, "is_enterprise_install": True},
            Installed(workspace="E1", name="All of them", me=Me(id="UBOT1", app_id="A1")),
        ),
        (
            {"enterprise": {"id": "E1"}},
            Installed(workspace="T1", name="The workspace", me=Me(id="UBOT1", app_id="A1")),
        ),
    ],
    ids=["a workspace", "an organisation", "a workspace of an organisation"],
)
def test_an_installation_belongs_to_the_workspace_or_the_organisation(
    shared: Slack, changed: dict[str, Any], expected: Installed
) -> None:
    tokens = {"bot_token": Token(value="xoxb-of-the-workspace", expires_in=None)}

    assert shared.installed({**ANSWER, **changed}) == msgspec.structs.replace(expected, tokens=tokens)


def test_a_rotating_token_comes_with_its_end_and_its_successor(shared: Slack) -> None:
    answer = {**ANSWER, "refresh_token": "xoxe-1-x", "expires_in": 43_200}

    assert shared.installed(answer).tokens["bot_token"] == Token(
        value="xoxb-of-the-workspace", expires_in=43_200, refresh="xoxe-1-x"
    )


@pytest.mark.parametrize(
    "changed",
    [{"access_token": None}, {"token_type": "user"}, {"team": None}, {"team": "T1"}, {"expires_in": "soon"}],
)
def test_an_answer_without_a_bots_token_is_no_installation(shared: Slack, changed: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        shared.installed({**ANSWER, **changed})


def test_each_workspace_is_answered_with_its_own_token(shared: Slack, known: Known) -> None:
    for team in ("T1", "T2"):
        request = next(shared.send(reply(parsed(shared, known, said("hello"), team_id=team)), known))

        assert credential(request) == Credential(name="bot_token", workspace=team)


def test_an_organisations_installation_serves_its_workspaces(shared: Slack, known: Known) -> None:
    whole = [
        {"enterprise_id": "E1", "team_id": "T9", "user_id": "UBOTE", "is_bot": True, "is_enterprise_install": True}
    ]
    receipt = parsed(shared, known, said("<@UBOTE> hello"), team_id="T9", authorizations=whole)

    assert receipt.events[0].mentions_bot
    assert receipt.events[0].address.workspace == "T9"
    request = next(shared.send(reply(receipt), known))
    assert credential(request) == Credential(name="bot_token", workspace="E1")


def test_a_file_is_fetched_with_the_token_of_the_workspace_that_shared_it(shared: Slack, known: Known) -> None:
    file = {"id": "F1", "mimetype": "text/plain", "url_private_download": "https://files.slack.com/F1"}
    receipt = parsed(shared, known, said("look", subtype="file_share", files=[file]), team_id="T2")

    request = next(shared.fetch(receipt.events[0].attachments[0], known))

    assert credential(request) == Credential(name="bot_token", workspace="T2")


def test_own_messages_and_mentions_are_those_of_the_workspaces_own_bot(shared: Slack, known: Known) -> None:
    assert parsed(shared, known, said("mine", user="UBOT2"), team_id="T2").ignored == ("self",)
    assert parsed(shared, known, said("theirs", user="UBOT2"), team_id="T1").ignored == ()
    assert parsed(shared, known, said("<@UBOT2> hello"), team_id="T2").events[0].mentions_bot
    assert not parsed(shared, known, said("<@UBOT2> hello"), team_id="T1").events[0].mentions_bot


def test_a_workspace_that_another_replica_has_just_installed_is_known_by_the_event(shared: Slack, known: Known) -> None:
    bot = [{"team_id": "T3", "user_id": "UBOT3", "is_bot": True, "is_enterprise_install": False}]

    receipt = parsed(shared, known, said("<@UBOT3> hello"), team_id="T3", authorizations=bot)

    assert receipt.events[0].mentions_bot


def test_the_end_of_an_installation_names_its_workspace_and_its_time(shared: Slack, known: Known) -> None:
    receipt = parsed(shared, known, {"type": "app_uninstalled"}, team_id="T2", event_time=1_767_406_600)

    assert receipt.ended == (Ended(workspace="T2", at=1_767_406_600),)
    assert [event.kind for event in receipt.events] == ["platform_event"]


def test_the_end_of_the_only_installation_is_the_operators(slack: Slack, known: Known) -> None:
    assert parsed(slack, known, {"type": "app_uninstalled"}).ended == ()


def test_a_token_that_has_ended_is_reported_once_and_the_call_repeated(shared: Slack, known: Known) -> None:
    exchange = shared.send(reply(parsed(shared, known, said("hello"))), known)
    first = next(exchange)
    expired = exchange.send(ENDED)
    again = exchange.send(Response(status=204))

    assert expired == Expired(credential=Credential(name="bot_token", workspace="T1"))
    assert again == first
    with pytest.raises(StopIteration) as stop:
        exchange.send(SENT)
    assert stop.value.value == Sent(ids=("1.2",))


def test_what_one_workspace_refuses_does_not_pause_the_account(shared: Slack, slack: Slack, known: Known) -> None:
    delivery = reply(parsed(shared, known, said("hello")))
    missing = json_response({"ok": False, "error": "missing_scope", "needed": "chat:write"})

    assert run(shared.send(delivery, known), missing) == Refused(
        reason="missing_scope (needs chat:write)", scope="conversation"
    )
    assert run(shared.send(delivery, known), ENDED, Response(status=204), ENDED) == Refused(
        reason="token_expired", scope="conversation"
    )
    assert run(slack.send(delivery, known), ENDED) == Refused(reason="token_expired", scope="account")


def test_silence_goes_through_to_the_exchange(shared: Slack, known: Known) -> None:
    exchange = shared.send(reply(parsed(shared, known, said("hello"))), known)
    next(exchange)

    with pytest.raises(NoAnswer):
        exchange.throw(NoAnswer("silence", sent=True))


def test_an_account_without_installations_says_what_is_missing(shared: Slack, known: Known) -> None:
    assert run(shared.probe(known)) == Probe()
    assert "/oauth/support/install" in run(shared.probe(Known(now=NOW))).problems[0]


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"client_secret": Secret()}, "client_secret is empty"),
        ({"bot_token": Secret("xoxb-x")}, "each workspace has its own bot"),
        ({"bot_user_id": "U1"}, "each workspace has its own bot"),
        ({"client_id": ""}, "bot_token is empty"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(shared: Slack, changed: dict[str, Any], problem: str) -> None:
    assert shared.check() == []
    assert problem in " ".join(dataclasses.replace(shared, **changed).check())
