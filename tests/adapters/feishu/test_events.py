"""What else happens, as events: cards, recalls, reactions, chats, menus, and the first envelope."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from dragoman.adapter import Known, Payload
from dragoman.adapters.feishu import Feishu
from dragoman.errors import Malformed
from dragoman.model import Attachment, Event, Mention
from dragoman.testing.simulators.feishu import BOT, PERSON, TENANT, FeishuSimulator
from dragoman.wire import Http

Read = Callable[[Http], Event]


def parsed(feishu: Feishu, known: Known, body: dict[str, Any]) -> Event:
    (event,) = feishu.parse(Payload(body=msgspec.json.encode(body)), known).events
    return event


def test_a_pressed_button_of_ours_brings_its_value_back(simulator: FeishuSimulator, read: Read) -> None:
    event = read(simulator.pressed({"dragoman": "yes"}, sender="ou_1", channel="oc_1", message_id="om_1"))

    assert (event.kind, event.wants_turn, event.text) == ("action", True, "yes")
    assert (event.sender.id, event.address.channel, event.message_id) == ("ou_1", "oc_1", "om_1")
    assert event.value["action_value"] == "yes"
    assert event.value["interaction_id"] == event.value["update_token"] != ""
    assert event.key == event.value["event_id"]


@pytest.mark.parametrize(
    ("action", "value"),
    [
        ({"tag": "button", "value": {"choice": "approve"}}, {"choice": "approve"}),
        ({"tag": "button", "value": {"dragoman": "x", "more": "y"}}, {"dragoman": "x", "more": "y"}),
        ({"tag": "button", "value": "a text"}, "a text"),
        ({"tag": "select_static", "option": "o1"}, "o1"),
        ({"tag": "multi_select_static", "options": ["o1", "o2"]}, ["o1", "o2"]),
        ({"tag": "input", "input_value": "typed"}, "typed"),
        ({"tag": "checker", "checked": False}, False),
        ({"tag": "button", "form_value": {"name": "x"}}, {"name": "x"}),
        ({"tag": "button"}, ""),
    ],
)
def test_a_card_brings_what_its_element_carries(
    simulator: FeishuSimulator, read: Read, action: dict[str, Any], value: Any
) -> None:
    facts = {"operator": {"open_id": "ou_1"}, "token": "c-1", "action": {**action, "name": "pick"}}

    event = read(simulator.event("card.action.trigger", facts))

    assert (event.value["action_value"], event.value["action_id"]) == (value, "pick")
    assert event.address.channel == "ou_1"


def test_a_card_callback_counts_microseconds(feishu: Feishu, known: Known) -> None:
    header = {"event_id": "e1", "event_type": "card.action.trigger", "create_time": "1603977298000123"}
    event = {"operator": {"open_id": "ou_1"}, "action": {"value": {}}}

    assert parsed(feishu, known, {"header": header, "event": event}).at == 1_603_977_298.0


def test_a_card_callback_of_old_is_an_action_too(feishu: Feishu, known: Known) -> None:
    card = {
        "open_id": "ou_1",
        "open_message_id": "om_1",
        "open_chat_id": "oc_1",
        "tenant_key": TENANT,
        "token": "c-1",
        "action": {"tag": "button", "value": {"choice": "yes"}},
    }

    event = parsed(feishu, known, card)

    assert (event.kind, event.key, event.message_id, event.at) == ("action", "c-1", "om_1", known.now)
    assert event.value["action_value"] == {"choice": "yes"}


def test_a_recalled_message_is_deleted(simulator: FeishuSimulator, read: Read) -> None:
    said = read(simulator.webhook("oops", channel="oc_1"))

    event = read(simulator.recall(said.message_id))

    assert (event.kind, event.wants_turn, event.message_id) == ("delete", False, said.message_id)
    assert event.conversation == said.conversation


def reaction(**facts: Any) -> dict[str, Any]:
    return {
        "message_id": "om_1",
        "reaction_type": {"emoji_type": "THUMBSUP"},
        "operator_type": "user",
        "user_id": {"open_id": "ou_1"},
        "action_time": "1767406614250",
        **facts,
    }


def test_a_reaction_names_its_emoji_and_one_taken_back_names_none(simulator: FeishuSimulator, read: Read) -> None:
    put = read(simulator.event("im.message.reaction.created_v1", reaction()))
    taken = read(simulator.event("im.message.reaction.deleted_v1", reaction()))

    assert [each.value["emoji"] for each in (put, taken)] == ["THUMBSUP", ""]
    assert (put.kind, put.wants_turn, put.message_id, put.sender.id) == ("reaction", False, "om_1", "ou_1")
    assert put.key != taken.key


def test_reactions_of_programs_are_ignored(feishu: Feishu, simulator: FeishuSimulator, known: Known) -> None:
    reasons: list[str] = []
    for facts in (
        {"user_id": {"open_id": BOT}},
        {"operator_type": "app", "app_id": feishu.app_id, "user_id": None},
        {"operator_type": "app", "app_id": "cli_other", "user_id": None},
    ):
        request = simulator.event("im.message.reaction.created_v1", reaction(**facts))
        reasons += feishu.parse(feishu.verify(request, known), known).ignored

    assert reasons == ["self", "self", "bot"]


@pytest.mark.parametrize("change", ["added", "deleted"])
def test_the_bot_learns_that_it_joined_or_left_a_chat(simulator: FeishuSimulator, read: Read, change: str) -> None:
    facts = {"chat_id": "oc_1", "operator_id": {"open_id": "ou_1"}, "external": False, "name": "Team"}

    event = read(simulator.event(f"im.chat.member.bot.{change}_v1", facts))

    assert (event.kind, event.wants_turn, event.value["bot_status"]) == ("membership", False, change)
    assert (event.address.channel, event.sender.id, event.chat_kind) == ("oc_1", "ou_1", "group")


def test_opening_the_chat_and_choosing_from_the_menu_are_reported(simulator: FeishuSimulator, read: Read) -> None:
    who = {"open_id": "ou_1"}
    entered = read(
        simulator.event(
            "im.chat.access_event.bot_p2p_chat_entered_v1",
            {"chat_id": "oc_1", "operator_id": who, "last_message_id": "om_1"},
        )
    )
    chosen = read(
        simulator.event(
            "application.bot.menu_v6",
            {"operator": {"operator_name": "Li", "operator_id": who}, "event_key": "help", "timestamp": 1767406614},
        )
    )

    assert (entered.kind, entered.address.channel, entered.sender.id) == ("platform_event", "oc_1", "ou_1")
    assert (chosen.kind, chosen.address.channel, chosen.sender.name) == ("platform_event", "ou_1", "Li")
    assert chosen.value["action_id"] == "help"


def test_read_receipts_and_unknown_types_are_ignored_by_name(
    feishu: Feishu, simulator: FeishuSimulator, known: Known
) -> None:
    receipts = [
        feishu.parse(feishu.verify(simulator.event(kind, {}), known), known)
        for kind in ("im.message.message_read_v1", "contact.user.created_v3")
    ]

    assert [receipt.ignored for receipt in receipts] == [
        ("kind:im.message.message_read_v1",),
        ("kind:contact.user.created_v3",),
    ]
    assert {receipt.response.status for receipt in receipts} == {200}


OLD = {
    "type": "message",
    "app_id": "cli_1",
    "tenant_key": TENANT,
    "open_chat_id": "oc_1",
    "chat_type": "group",
    "msg_type": "text",
    "open_id": "ou_1",
    "open_message_id": "om_1",
    "root_id": "",
    "parent_id": "om_0",
    "is_mention": True,
    "text": f'<at open_id="{BOT}">@Dragoman</at> ask <at open_id="ou_2">@Li</at>',
    "text_without_at_bot": ' ask <at open_id="ou_2">@Li</at>',
}


def first(**facts: Any) -> dict[str, Any]:
    return {"uuid": "u1", "token": "t", "ts": "1550038209.428520", "type": "event_callback", "event": {**OLD, **facts}}


def test_a_message_in_the_first_envelope_is_read(feishu: Feishu, known: Known) -> None:
    event = parsed(feishu, known, first())

    assert (event.key, event.value["event_id"], event.at) == ("om_1", "u1", 1_550_038_209.428)
    assert (event.text, event.mentions_bot, event.reply_to) == ("ask @Li", True, "om_0")
    assert event.mentions == (Mention(id=BOT, name="Dragoman", is_bot=True), Mention(id="ou_2", name="Li"))
    assert (event.chat_kind, event.conversation) == ("group", f"support/{TENANT}/oc_1")


def test_files_in_the_first_envelope_are_attachments(feishu: Feishu, known: Known) -> None:
    wordless = {"text": None, "text_without_at_bot": None, "is_mention": None, "chat_type": "private"}
    value = {"message_id": "om_1", "resource_type": "image"}
    image = parsed(feishu, known, first(msg_type="image", image_key="img_1", **wordless))
    file = parsed(feishu, known, first(msg_type="file", file_key="file_1", **wordless))
    other = parsed(feishu, known, first(msg_type="post", **wordless))

    assert image.attachments == (Attachment(kind="image", id="img_1", value=value),)
    assert (file.attachments[0].kind, file.chat_kind) == ("file", "direct")
    assert other.value["unsupported"]


def test_other_events_of_the_first_envelope_are_ignored(feishu: Feishu, known: Known) -> None:
    ignored: list[str] = []
    for facts in ({"type": "add_bot"}, {"open_id": BOT}):
        ignored += feishu.parse(Payload(body=msgspec.json.encode(first(**facts))), known).ignored

    assert ignored == ["kind:add_bot", "self"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"header": {"event_type": "im.message.receive_v1"}},
        {"header": {}, "event": {}},
        {"header": {"event_type": "card.action.trigger"}, "event": {"operator": {"open_id": "ou_1"}, "action": {}}},
        {"header": {"event_type": "im.message.receive_v1"}, "event": {"sender": {}, "message": {}}},
        {"uuid": "u1", "event": {}},
        {"action": {}},
        {"action": {"value": {}}, "open_id": "ou_1"},
    ],
)
def test_what_lacks_a_documented_field_is_malformed(feishu: Feishu, known: Known, body: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        feishu.parse(Payload(body=msgspec.json.encode(body)), known)


def test_nobody_is_the_sender_of_a_recall(simulator: FeishuSimulator, read: Read) -> None:
    said = read(simulator.webhook("oops"))

    assert (said.sender.id, read(simulator.recall(said.message_id)).sender.id) == (PERSON, "")
