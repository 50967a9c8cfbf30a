"""Slash commands and interactions, read from forms."""

from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.adapter import Known, Payload, Receipt
from dragoman.adapters.slack import Slack
from dragoman.errors import Malformed
from dragoman.model import Event, Secret

FORM = {"content-type": "application/x-www-form-urlencoded"}
KNOWN = Known(now=1_767_406_614.2509)
ACCOUNT = Slack(account="support", signing_secret=Secret("s"), bot_token=Secret("t"), bot_user_id="UBOT")
RESPONSE_URL = "https://hooks.slack.com/commands/T1/2/3"
COMMAND = {
    "token": "obsolete",
    "team_id": "T1",
    "channel_id": "C1",
    "user_id": "U1",
    "user_name": "ann",
    "command": "/weather",
    "text": "",
    "response_url": RESPONSE_URL,
    "trigger_id": "13.37.abc",
}
PRESSED: dict[str, Any] = {
    "type": "block_actions",
    "user": {"id": "U1", "username": "ann", "team_id": "T1"},
    "team": {"id": "T1", "domain": "acme"},
    "channel": {"id": "C1", "name": "general"},
    "container": {"type": "message", "message_ts": "1767406600.000100", "channel_id": "C1", "is_ephemeral": False},
    "trigger_id": "13.37.abc",
    "response_url": "https://hooks.slack.com/actions/T1/2/3",
    "actions": [{"type": "button", "action_id": "a", "block_id": "b", "value": "yes", "action_ts": "1767406613.5689"}],
}


def submitted(slack: Slack, fields: dict[str, str]) -> Receipt:
    return slack.parse(Payload(body=urlencode(fields).encode(), headers=FORM), KNOWN)


def interacted(slack: Slack, interaction: dict[str, Any]) -> Receipt:
    return submitted(slack, {"payload": msgspec.json.encode(interaction).decode()})


def one(receipt: Receipt) -> Event:
    (event,) = receipt.events
    assert receipt.response.status == 200
    assert receipt.response.body == b""
    return event


def test_a_slash_command_is_a_command_with_its_arguments(slack: Slack) -> None:
    event = one(submitted(slack, {**COMMAND, "text": "  Paris &amp; <@U2|bea> "}))

    assert event.kind == "command"
    assert event.wants_turn
    assert event.text == "Paris & @bea"
    assert event.value == {
        "command": "/weather",
        "command_args": "Paris & @bea",
        "response_url": RESPONSE_URL,
        "trigger_id": "13.37.abc",
    }
    assert (event.sender.id, event.sender.name) == ("U1", "ann")
    assert event.conversation == "support/T1/C1"
    assert event.key == "T1/13.37.abc"
    assert event.address.ticket == {"response_url": RESPONSE_URL, "user": "U1"}
    assert event.at == 1767406614.25


def test_a_command_in_a_direct_chat_is_direct(slack: Slack) -> None:
    assert one(submitted(slack, {**COMMAND, "channel_id": "D1"})).chat_kind == "direct"


def test_the_same_command_given_twice_is_two_happenings(slack: Slack) -> None:
    first = one(submitted(slack, COMMAND))
    again = one(submitted(slack, {**COMMAND, "trigger_id": "13.38.abc"}))

    assert first.key != again.key


def test_a_command_without_a_trigger_still_has_a_stable_key(slack: Slack) -> None:
    bare = {name: value for name, value in COMMAND.items() if name != "trigger_id"}

    assert one(submitted(slack, bare)).key == one(submitted(slack, bare)).key
    assert one(submitted(slack, bare)).key != one(submitted(slack, {**bare, "text": "other"})).key


def test_a_probe_of_the_certificate_is_acknowledged(slack: Slack) -> None:
    receipt = submitted(slack, {"ssl_check": "1", "token": "obsolete"})

    assert receipt.events == ()
    assert receipt.response.body == b""


def test_a_pressed_button_is_an_action_in_its_messages_thread(slack: Slack) -> None:
    event = one(interacted(slack, PRESSED))

    assert event.kind == "action"
    assert event.wants_turn
    assert event.message_id == "1767406600.000100"
    assert event.conversation == "support/T1/C1/1767406600.000100"
    assert (event.value["action_id"], event.value["action_value"]) == ("a", "yes")
    assert event.value["interaction_id"] == "13.37.abc"
    assert event.text == "yes"
    assert event.sender.name == "ann"
    assert event.at == 1767406613.568


def test_a_button_in_a_thread_stays_there(slack: Slack) -> None:
    container = {**PRESSED["container"], "thread_ts": "1767406500.000100"}

    assert one(interacted(slack, {**PRESSED, "container": container})).address.thread == "1767406500.000100"


def test_under_a_message_that_one_person_sees_no_thread_is_opened(slack: Slack) -> None:
    container = {**PRESSED["container"], "is_ephemeral": True}

    assert one(interacted(slack, {**PRESSED, "container": container})).address.thread == ""


@pytest.mark.parametrize(
    ("element", "value"),
    [
        ({"selected_option": {"value": "red", "text": {"type": "plain_text", "text": "Red"}}}, "red"),
        ({"selected_options": [{"value": "a"}, {"value": "b"}]}, ["a", "b"]),
        ({"selected_options": []}, []),
        ({"selected_user": "U7"}, "U7"),
        ({"selected_date": "2026-01-03"}, "2026-01-03"),
        ({"value": None}, ""),
    ],
)
def test_each_kind_of_element_carries_its_value(slack: Slack, element: dict[str, Any], value: Any) -> None:
    event = one(interacted(slack, {**PRESSED, "actions": [{"action_id": "a", "block_id": "b", **element}]}))

    assert event.value["action_value"] == value


def test_several_actions_of_one_interaction_have_their_own_keys(slack: Slack) -> None:
    receipt = interacted(slack, {**PRESSED, "actions": PRESSED["actions"] * 2})

    assert len({event.key for event in receipt.events}) == 2


def test_opening_one_of_our_links_waits_for_no_answer(slack: Slack) -> None:
    receipt = interacted(slack, {**PRESSED, "actions": [{"action_id": "link-0", "block_id": "b"}]})

    assert receipt.events == ()
    assert receipt.ignored == ("link",)


def test_an_app_installed_for_an_organisation_takes_the_persons_workspace(slack: Slack) -> None:
    event = one(interacted(slack, {**PRESSED, "team": None, "enterprise": {"id": "E1"}, "is_enterprise_install": True}))

    assert event.address.workspace == "T1"


def test_without_a_channel_the_person_is_answered_directly(slack: Slack) -> None:
    event = one(interacted(slack, {**PRESSED, "channel": None, "container": {"type": "view"}}))

    assert event.chat_kind == "direct"
    assert event.address.channel == "U1"


def test_a_message_shortcut_quotes_its_message(slack: Slack) -> None:
    shortcut = {
        **PRESSED,
        "type": "message_action",
        "container": None,
        "actions": None,
        "callback_id": "translate",
        "action_ts": "1767406613.000100",
        "message": {"user": "U2", "text": "<@U3|cy> bonjour", "ts": "1767406600.000100"},
    }

    event = one(interacted(slack, shortcut))

    assert event.kind == "action"
    assert event.value["action_id"] == "translate"
    assert event.value["quoted_text"] == "@cy bonjour"
    assert event.message_id == "1767406600.000100"


def test_a_global_shortcut_has_no_channel(slack: Slack) -> None:
    shortcut = {
        "type": "shortcut",
        "user": {"id": "U1"},
        "team": {"id": "T1"},
        "callback_id": "open",
        "trigger_id": "1",
    }

    event = one(interacted(slack, shortcut))

    assert event.value["action_id"] == "open"
    assert event.conversation == "support/T1/U1"


def test_a_submitted_modal_brings_what_was_filled_in(slack: Slack) -> None:
    view = {
        "id": "V1",
        "callback_id": "order",
        "private_metadata": "C1",
        "state": {"values": {"b1": {"size": {"type": "static_select", "selected_option": {"value": "L"}}}}},
    }

    event = one(interacted(slack, {**PRESSED, "type": "view_submission", "view": view, "channel": None}))

    assert event.kind == "modal_submit"
    assert event.value["action_id"] == "order"
    assert event.value["action_value"] == {"size": "L"}
    assert event.value["private_metadata"] == "C1"


@pytest.mark.parametrize("kind", ["view_closed", "block_suggestion"])
def test_other_interactions_are_left_out(slack: Slack, kind: str) -> None:
    receipt = interacted(slack, {**PRESSED, "type": kind})

    assert receipt.events == ()
    assert receipt.ignored == (f"kind:{kind}",)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"command=%2Fx",
        b"payload=",
        b"payload=%5B%5D",
        b"payload=%7B%22type%22%3A%22view_submission%22%2C%22user%22%3A%7B%22id%22%3A%22U1%22%7D%7D",
        b"text=%ff",
        b"\xff=1",
        b"&".join(b"a%d=1" % number for number in range(65)),
    ],
)
def test_a_form_that_slack_does_not_send_is_malformed(slack: Slack, body: bytes) -> None:
    with pytest.raises(Malformed):
        slack.parse(Payload(body=body, headers=FORM), KNOWN)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(
    kind=st.sampled_from(["block_actions", "message_action", "shortcut", "view_submission"]),
    facts=st.dictionaries(st.sampled_from([*PRESSED, "message", "view", "callback_id"]), ANYTHING, max_size=4),
)
def test_any_interaction_is_read_or_malformed(kind: str, facts: dict[str, Any]) -> None:
    try:
        receipt = interacted(ACCOUNT, {**PRESSED, **facts, "type": kind})
    except Malformed:
        return
    assert receipt.response.status == 200
