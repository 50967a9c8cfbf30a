"""Events API payloads, read: messages, edits, deletions, reactions and what befalls the installation."""

import dataclasses
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.adapter import Known, Me, Payload, Receipt
from dragoman.adapters.slack import Slack
from dragoman.errors import Malformed
from dragoman.model import Address, Event, Secret, Sender

JSON = {"content-type": "application/json; charset=utf-8"}
KNOWN = Known(now=1_767_406_614.2509)
ACCOUNT = Slack(account="support", signing_secret=Secret("s"), bot_token=Secret("t"), bot_user_id="UBOT", bot_id="BBOT")
MESSAGE = {
    "type": "message",
    "channel": "C1",
    "channel_type": "channel",
    "user": "U1",
    "text": "hello",
    "ts": "1767406613.568609",
    "event_ts": "1767406613.568609",
}


def received(slack: Slack, event: dict[str, Any], known: Known = KNOWN, **envelope: Any) -> Receipt:
    body = {
        "type": "event_callback",
        "team_id": "T1",
        "api_app_id": "A1",
        "event_id": "Ev1",
        "event_time": 1767406613,
        "event": event,
        **envelope,
    }
    return slack.parse(Payload(body=msgspec.json.encode(body), headers=JSON), known)


def one(receipt: Receipt) -> Event:
    (event,) = receipt.events
    assert receipt.response.status == 200
    assert receipt.response.body == b""
    return event


def test_the_challenge_of_the_request_url_is_echoed(slack: Slack) -> None:
    body = b'{"type":"url_verification","token":"t","challenge":"echo me"}'

    receipt = slack.parse(Payload(body=body, headers=JSON), KNOWN)

    assert receipt.response.body == b"echo me"
    assert receipt.response.headers["content-type"].startswith("text/plain")
    assert receipt.events == ()


def test_a_channels_message_opens_the_thread_in_which_it_is_answered(slack: Slack) -> None:
    event = one(received(slack, MESSAGE))

    assert event == Event(
        key="T1/C1/1767406613.568609",
        account="support",
        platform="slack",
        conversation="support/T1/C1/1767406613.568609",
        address=Address(account="support", workspace="T1", channel="C1", thread="1767406613.568609"),
        sender=Sender(id="U1"),
        kind="message",
        wants_turn=True,
        chat_kind="group",
        message_id="1767406613.568609",
        text="hello",
        text_as_sent="hello",
        value={"event_id": "Ev1"},
        at=1767406613.568,
    )


def test_a_direct_message_has_no_thread(slack: Slack) -> None:
    event = one(received(slack, {**MESSAGE, "channel": "D1", "channel_type": "im"}))

    assert event.chat_kind == "direct"
    assert event.conversation == "support/T1/D1"
    assert event.address.thread == ""


def test_a_direct_chat_is_known_by_its_id_where_its_type_is_not_told(slack: Slack) -> None:
    event = {name: value for name, value in MESSAGE.items() if name != "channel_type"}

    assert one(received(slack, {**event, "channel": "D1"})).chat_kind == "direct"
    assert one(received(slack, event)).chat_kind == "group"


def test_a_group_direct_message_is_a_group(slack: Slack) -> None:
    assert one(received(slack, {**MESSAGE, "channel": "G1", "channel_type": "mpim"})).chat_kind == "group"


@pytest.mark.parametrize("channel", ["C1", "D1"])
def test_a_reply_in_a_thread_belongs_to_the_threads_conversation(slack: Slack, channel: str) -> None:
    event = one(
        received(slack, {**MESSAGE, "channel": channel, "channel_type": None, "thread_ts": "1767406600.000100"})
    )

    assert event.conversation == f"support/T1/{channel}/1767406600.000100"
    assert event.address.thread == "1767406600.000100"
    assert event.value["root_id"] == "1767406600.000100"
    assert event.value["reply_to_bot"] is False


def test_a_reply_to_the_bots_own_message_says_so(slack: Slack) -> None:
    event = {**MESSAGE, "thread_ts": "1767406600.000100", "parent_user_id": "UBOT"}

    assert one(received(slack, event)).value["reply_to_bot"] is True


def test_the_root_of_a_thread_is_no_reply(slack: Slack) -> None:
    event = one(received(slack, {**MESSAGE, "thread_ts": MESSAGE["ts"]}))

    assert event.address.thread == MESSAGE["ts"]
    assert "root_id" not in event.value


@pytest.mark.parametrize(("unit", "conversation"), [("channel", "support/T1/C1"), ("sender", "support/T1/C1/U1")])
def test_an_account_may_keep_channels_or_senders_together(slack: Slack, unit: Any, conversation: str) -> None:
    event = one(received(dataclasses.replace(slack, conversation=unit), MESSAGE))

    assert event.conversation == conversation
    assert event.address.thread == ""


def test_a_mention_of_the_bot_is_removed_from_the_text(slack: Slack) -> None:
    event = one(received(slack, {**MESSAGE, "text": "<@UBOT> ask <@U2|bea> &amp; <#C2|ops>"}))

    assert event.text == "ask @bea & #ops"
    assert event.text_as_sent == "<@UBOT> ask <@U2|bea> &amp; <#C2|ops>"
    assert event.mentions_bot
    assert [(each.id, each.is_bot) for each in event.mentions] == [("UBOT", True), ("U2", False)]


def test_app_mention_and_message_are_the_same_happening(slack: Slack) -> None:
    text = {"text": "<@UBOT> hello"}
    mention = {name: value for name, value in {**MESSAGE, **text}.items() if name != "channel_type"}

    first = one(received(slack, {**MESSAGE, **text}, event_id="Ev1"))
    second = one(received(slack, {**mention, "type": "app_mention"}, event_id="Ev2"))

    assert second.key == first.key
    assert second.kind == first.kind
    assert second.conversation == first.conversation


def test_app_mention_is_a_mention_even_when_nobody_knows_the_bots_id(slack: Slack) -> None:
    stranger = dataclasses.replace(slack, bot_user_id="")
    event = {**MESSAGE, "type": "app_mention", "text": "<@UBOT> hello"}

    assert one(received(stranger, event)).mentions_bot


@pytest.mark.parametrize(
    ("me", "envelope"),
    [
        (Me(id="UBOT"), {}),
        (Me(), {"authorizations": [{"team_id": "T1", "user_id": "UBOT", "is_bot": True}]}),
        (Me(id="UBOT"), {"authorizations": [{"team_id": "T1", "user_id": "U1", "is_bot": True}]}),
    ],
)
def test_the_bots_id_is_learned_when_it_is_not_set(slack: Slack, me: Me, envelope: dict[str, Any]) -> None:
    bare = dataclasses.replace(slack, bot_user_id="")
    known = Known(now=1.0, me=me)

    assert one(received(bare, {**MESSAGE, "text": "<@UBOT> hi"}, known, **envelope)).text == "hi"


@pytest.mark.parametrize("subtype", ["file_share", "thread_broadcast", "me_message"])
def test_some_subtypes_are_still_what_people_say(slack: Slack, subtype: str) -> None:
    assert one(received(slack, {**MESSAGE, "subtype": subtype})).text == "hello"


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"user": "UBOT"}, "self"),
        ({"bot_id": "BBOT"}, "self"),
        ({"app_id": "A1", "bot_id": "B9"}, "self"),
        ({"app_id": "A1"}, "self"),
        ({"bot_id": "B9"}, "bot"),
        ({"subtype": "bot_message", "user": None, "bot_id": "B9"}, "bot"),
        ({"subtype": "bot_message", "user": None}, "bot"),
        ({"user": "USLACKBOT"}, "bot"),
        ({"subtype": "channel_join"}, "kind:message.channel_join"),
        ({"subtype": "assistant_app_thread"}, "kind:message.assistant_app_thread"),
        ({"type": "assistant_thread_started"}, "kind:assistant_thread_started"),
        ({"type": "channel_created", "channel": {"id": "C1"}}, "kind:channel_created"),
    ],
)
def test_what_is_not_a_persons_message_is_left_out(slack: Slack, facts: dict[str, Any], reason: str) -> None:
    receipt = received(slack, {**MESSAGE, **facts})

    assert receipt.events == ()
    assert receipt.ignored == (reason,)
    assert receipt.response.status == 200


def test_the_envelopes_app_id_alone_proves_nothing(slack: Slack) -> None:
    assert one(received(slack, MESSAGE, api_app_id="A1")).sender.id == "U1"


def test_the_workspace_is_the_envelopes_not_the_authors(slack: Slack) -> None:
    event = one(received(slack, {**MESSAGE, "team": "T9", "user_team": "T9"}, team_id="T1", enterprise_id="E1"))

    assert event.address.workspace == "T1"


def test_files_are_attachments_with_the_address_to_download(slack: Slack) -> None:
    files = [
        {
            "id": "F1",
            "name": "plan.png",
            "mimetype": "image/png",
            "size": 12,
            "url_private": "https://files.slack.com/a/plan.png",
            "url_private_download": "https://files.slack.com/a/download/plan.png",
        },
        {"id": "F2", "mimetype": "application/pdf", "url_private": "https://files.slack.com/b"},
        {"id": "F3", "mode": "tombstone"},
        {"id": "F4", "mode": "file_access", "file_access": "check_file_info"},
    ]

    event = one(received(slack, {**MESSAGE, "text": "", "subtype": "file_share", "files": files}))

    image, document, foreign = event.attachments
    assert (image.kind, image.id, image.name, image.mime, image.size) == ("image", "F1", "plan.png", "image/png", 12)
    assert image.url == "https://files.slack.com/a/download/plan.png"
    assert (document.kind, document.url) == ("file", "https://files.slack.com/b")
    assert foreign.value == {"file_access": "check_file_info"}
    assert event.text == ""
    assert event.message_type == "image"


def test_a_message_of_blocks_only_has_their_text(slack: Slack) -> None:
    words = [{"type": "user", "user_id": "UBOT"}, {"type": "text", "text": " hi"}]
    blocks = [{"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": words}]}]

    event = one(received(slack, {**MESSAGE, "text": "", "blocks": blocks}))

    assert event.text == "hi"
    assert event.mentions_bot


def changed(after: dict[str, Any], before: dict[str, Any], **facts: Any) -> dict[str, Any]:
    return {
        "type": "message",
        "subtype": "message_changed",
        "channel": "C1",
        "channel_type": "channel",
        "hidden": True,
        "ts": "1767406700.000100",
        "event_ts": "1767406700.000100",
        "message": after,
        "previous_message": before,
        **facts,
    }


WAS = {"type": "message", "user": "U1", "text": "helo", "ts": "1767406613.568609"}


def test_an_edit_updates_the_message_without_a_turn(slack: Slack) -> None:
    after = {**WAS, "text": "hello", "edited": {"user": "U1", "ts": "1767406699.000000"}}

    event = one(received(slack, changed(after, WAS)))

    assert event.kind == "edit"
    assert not event.wants_turn
    assert event.message_id == "1767406613.568609"
    assert event.text == "hello"
    assert event.conversation == "support/T1/C1/1767406613.568609"
    assert event.key == "T1/C1/1767406613.568609/1767406699.000000"
    assert event.at == 1767406699.0


def test_each_revision_of_a_message_has_its_own_key(slack: Slack) -> None:
    keys = {
        one(received(slack, changed({**WAS, "edited": {"user": "U1", "ts": ts}}, WAS))).key
        for ts in ("1767406699.000000", "1767406800.000000")
    }

    assert len(keys) == 2


def test_an_edited_message_may_be_named_by_its_former_self_only(slack: Slack) -> None:
    after = {"user": "U1", "text": "hello"}

    event = one(received(slack, changed(after, WAS)))

    assert event.message_id == "1767406613.568609"
    assert event.key.endswith("/1767406700.000100")


def test_a_link_preview_is_no_edit(slack: Slack) -> None:
    receipt = received(slack, changed({**WAS, "attachments": [{"title": "preview"}]}, WAS))

    assert receipt.events == ()
    assert receipt.ignored == ("unfurl",)


@pytest.mark.parametrize(
    ("author", "reason"), [({"user": "UBOT"}, "self"), ({"bot_id": "BBOT"}, "self"), ({"bot_id": "B9"}, "bot")]
)
def test_edits_and_deletions_of_bots_messages_are_left_out(slack: Slack, author: dict[str, Any], reason: str) -> None:
    after = {**WAS, **author, "text": "new"}

    assert received(slack, changed(after, WAS)).ignored == (reason,)
    assert received(slack, changed({}, after, subtype="message_deleted")).ignored == (reason,)


def test_a_deletion_names_the_message_and_its_author(slack: Slack) -> None:
    event = one(
        received(slack, changed({}, WAS, subtype="message_deleted", deleted_ts="1767406613.568609", message=None))
    )

    assert event.kind == "delete"
    assert not event.wants_turn
    assert event.message_id == "1767406613.568609"
    assert event.sender.id == "U1"
    assert event.key == "T1/C1/1767406613.568609"


def test_the_deleted_root_of_a_thread_is_deleted(slack: Slack) -> None:
    tombstone = {"subtype": "tombstone", "user": "USLACKBOT", "text": "This message was deleted.", "ts": WAS["ts"]}

    event = one(received(slack, changed(tombstone, {**WAS, "thread_ts": WAS["ts"]})))

    assert event.kind == "delete"
    assert event.message_id == WAS["ts"]


REACTION = {
    "type": "reaction_added",
    "user": "U1",
    "reaction": "thumbsup",
    "item": {"type": "message", "channel": "C1", "ts": "1767406600.000100"},
    "item_user": "UBOT",
    "event_ts": "1767406700.000100",
}


def test_a_reaction_is_about_its_message(slack: Slack) -> None:
    event = one(received(slack, REACTION))

    assert event.kind == "reaction"
    assert not event.wants_turn
    assert event.message_id == "1767406600.000100"
    assert event.value == {"event_id": "Ev1", "emoji": "thumbsup", "reply_to_bot": True}
    assert event.at == 1767406700.0


def test_a_reaction_that_was_taken_back_has_no_emoji(slack: Slack) -> None:
    event = one(received(slack, {**REACTION, "type": "reaction_removed"}))

    assert event.value["emoji"] == ""


@pytest.mark.parametrize(
    ("facts", "reason"), [({"user": "UBOT"}, "self"), ({"item": {"type": "file"}}, "kind:reaction_added.file")]
)
def test_other_reactions_are_left_out(slack: Slack, facts: dict[str, Any], reason: str) -> None:
    assert received(slack, {**REACTION, **facts}).ignored == (reason,)


@pytest.mark.parametrize("kind", ["app_uninstalled", "tokens_revoked"])
def test_the_end_of_an_installation_is_reported(slack: Slack, kind: str) -> None:
    event = one(received(slack, {"type": kind, "tokens": {"bot": ["UBOT"]}}))

    assert event.kind == "platform_event"
    assert not event.wants_turn
    assert event.value["event"] == kind
    assert event.conversation == "support/T1"
    assert event.at == 1767406614.25


def test_a_limit_on_events_is_reported(slack: Slack) -> None:
    body = b'{"type":"app_rate_limited","team_id":"T1","minute_rate_limited":1767406560,"api_app_id":"A1"}'

    event = one(slack.parse(Payload(body=body, headers=JSON), KNOWN))

    assert event.kind == "platform_event"
    assert event.value["event"] == "app_rate_limited"
    assert event.key == "T1/app_rate_limited/1767406560"


@pytest.mark.parametrize("inside", [{}, {"event": MESSAGE}])
def test_an_envelope_of_an_unknown_type_is_left_out(slack: Slack, inside: dict[str, Any]) -> None:
    body = msgspec.json.encode({"type": "of_tomorrow", **inside})

    receipt = slack.parse(Payload(body=body, headers=JSON), KNOWN)

    assert receipt.ignored == ("kind:of_tomorrow",)


def test_json_is_recognised_without_a_content_type(slack: Slack) -> None:
    receipt = slack.parse(Payload(body=b'{"type":"url_verification","challenge":"c"}'), KNOWN)

    assert receipt.response.body == b"c"


@pytest.mark.parametrize(
    "event",
    [
        {**MESSAGE, "ts": 1767406613.5},
        {**MESSAGE, "ts": "yesterday"},
        {**MESSAGE, "ts": "9" * 400},
        {**MESSAGE, "ts": None},
        {**MESSAGE, "user": None},
        {**MESSAGE, "channel": ""},
        {**MESSAGE, "channel": {"id": "C1"}},
        {**MESSAGE, "files": [{"name": "no id"}]},
        {**MESSAGE, "text": "", "blocks": "none"},
        {**MESSAGE, "subtype": "message_changed"},
        {**MESSAGE, "subtype": "message_deleted", "ts": None, "event_ts": None},
        {**REACTION, "item": None},
        {**REACTION, "event_ts": None},
        {"channel": "C1"},
    ],
)
def test_what_slack_does_not_document_is_malformed(slack: Slack, event: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        received(slack, event)


def test_what_is_wrong_with_a_message_is_said_of_the_message_alone(slack: Slack) -> None:
    with pytest.raises(Malformed, match=r"got `int` - at `\$\.text`$"):
        received(slack, {**MESSAGE, "text": 5})


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"type":1}', b'{"type":"event_callback"}', b"\xff", b"[" * 100_000]
)
def test_what_is_no_envelope_is_malformed(slack: Slack, body: bytes) -> None:
    with pytest.raises(Malformed):
        slack.parse(Payload(body=body, headers=JSON), KNOWN)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from([*MESSAGE, *REACTION, "subtype", "message", "previous_message", "files", "blocks", "thread_ts"])
KINDS = st.sampled_from(["message", "app_mention", "reaction_added", "tokens_revoked"])
SUBTYPES = st.sampled_from(["", "file_share", "message_changed", "message_deleted", "bot_message"])


@given(kind=KINDS, subtype=SUBTYPES, facts=st.dictionaries(NAMES, ANYTHING, max_size=6), team=ANYTHING)
def test_any_event_is_read_or_malformed(kind: str, subtype: str, facts: dict[str, Any], team: Any) -> None:
    event = {**MESSAGE, "subtype": subtype, **facts, "type": kind}
    try:
        receipt = received(ACCOUNT, event, team_id=team)
    except Malformed:
        return
    assert receipt.response.status == 200


@given(body=st.binary(), content_type=st.sampled_from(["", "application/json", "application/x-www-form-urlencoded"]))
def test_any_bytes_are_read_or_malformed(body: bytes, content_type: str) -> None:
    try:
        receipt = ACCOUNT.parse(Payload(body=body, headers={"content-type": content_type}), KNOWN)
    except Malformed:
        return
    assert receipt.response.status == 200
