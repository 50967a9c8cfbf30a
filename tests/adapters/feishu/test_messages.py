"""What people write, as events."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.adapter import Known, Me
from dragoman.adapters.feishu import Feishu, mentions
from dragoman.adapters.feishu.payloads import Ids, Named
from dragoman.errors import Malformed, Undecodable
from dragoman.model import Attachment, Event, Mention
from dragoman.testing.simulators.feishu import BOT, PERSON, TENANT, FeishuSimulator
from dragoman.wire import Http

Read = Callable[[Http], Event]


def named(number: int, person: str, name: str) -> dict[str, Any]:
    return {"key": f"@_user_{number}", "id": {"open_id": person, "user_id": ""}, "name": name, "tenant_key": TENANT}


def test_a_direct_message_says_who_where_and_when(simulator: FeishuSimulator, read: Read, clock: list[float]) -> None:
    event = read(simulator.webhook("hello 飞书\nagain", sender="ou_1", channel="oc_1"))

    assert (event.kind, event.wants_turn, event.chat_kind) == ("message", True, "direct")
    assert (event.sender.id, event.address.channel, event.address.workspace) == ("ou_1", "oc_1", TENANT)
    assert event.text == event.text_as_sent == "hello 飞书\nagain"
    assert event.conversation == f"support/{TENANT}/oc_1"
    assert event.at == clock[0]
    assert event.key == event.message_id == event.address.ticket["message_id"]
    assert not event.mentions_bot


def test_a_message_pushed_again_under_another_event_id_has_the_same_key(simulator: FeishuSimulator, read: Read) -> None:
    first, second = (read(simulator.message("text", {"text": "hello"}, message_id="om_same")) for _ in range(2))

    assert first.value["event_id"] != second.value["event_id"]
    assert first.key == second.key == "om_same"


def test_a_mention_of_the_bot_is_cut_out_and_others_get_their_names(simulator: FeishuSimulator, read: Read) -> None:
    said = {"text": "@_user_1 ask @_user_2 and @_user_11 about @_all"}
    people = [named(1, BOT, "Dragoman"), named(2, "ou_2", "Li Lei"), named(11, "ou_11", "@_user_1")]
    event = read(simulator.message("text", said, chat_type="group", mentions=people))

    assert event.text == "ask @Li Lei and @@_user_1 about @all"
    assert event.text_as_sent == said["text"]
    assert event.mentions_bot
    assert event.chat_kind == "group"
    assert event.mentions == (
        Mention(id=BOT, name="Dragoman", is_bot=True),
        Mention(id="ou_2", name="Li Lei"),
        Mention(id="ou_11", name="@_user_1"),
    )


def test_someone_without_a_name_keeps_the_placeholder(simulator: FeishuSimulator, read: Read) -> None:
    event = read(simulator.message("text", {"text": "ask @_user_2"}, mentions=[named(2, "ou_2", "")]))

    assert event.text == "ask @_user_2"


def test_a_mention_of_everyone_is_none_of_the_bot(simulator: FeishuSimulator, read: Read) -> None:
    event = read(simulator.message("text", {"text": "@_all hello"}, chat_type="group"))

    assert (event.text, event.mentions_bot, event.mentions) == ("@all hello", False, ())


def test_the_bot_may_be_known_from_the_platform(feishu: Feishu, simulator: FeishuSimulator) -> None:
    unset = dataclasses.replace(feishu, bot_open_id="")
    request = simulator.asked("hello")
    heard = []
    for me in (Me(), Me(id=BOT)):
        known = Known(now=0.0, me=me)
        (event,) = unset.parse(unset.verify(request, known), known).events
        heard.append((event.mentions_bot, event.text))

    assert heard == [(False, "@Dragoman hello"), (True, "hello")]


@given(st.text(), st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9)), max_size=4))
def test_any_text_with_any_mentions_is_cleaned(text: str, people: list[tuple[str, str]]) -> None:
    entries = [Named(key=key, id=Ids(open_id=name), name=name) for key, name in people]

    assert isinstance(mentions.clean(text, entries, "ou_bot"), str)


def test_a_reply_in_a_thread_knows_its_thread_and_what_it_answers(simulator: FeishuSimulator, read: Read) -> None:
    facts = {"root_id": "om_root", "parent_id": "om_parent", "thread_id": "omt_1"}
    event = read(simulator.message("text", {"text": "hello"}, channel="oc_1", **facts))

    assert (event.reply_to, event.value["root_id"], event.address.thread) == ("om_parent", "om_root", "omt_1")
    assert event.conversation == f"support/{TENANT}/oc_1/omt_1"


def test_who_is_no_person_is_not_heard(feishu: Feishu, simulator: FeishuSimulator, known: Known) -> None:
    reasons: list[str] = []
    for person, kind in ((BOT, "user"), (BOT, "app"), ("ou_other", "app"), (feishu.app_id, "app")):
        message = {"message_id": "om_1", "chat_id": "oc_1", "message_type": "text", "content": '{"text": "x"}'}
        sender = {"sender_id": {"open_id": person}, "sender_type": kind}
        request = simulator.event("im.message.receive_v1", {"sender": sender, "message": message})
        receipt = feishu.parse(feishu.verify(request, known), known)
        assert receipt.events == ()
        reasons += receipt.ignored

    assert reasons == ["self", "self", "bot", "self"]


def image(key: str) -> Attachment:
    return Attachment(kind="image", id=key, value={"message_id": "om_1", "resource_type": "image"})


def file(kind: Any, key: str, name: str = "") -> Attachment:
    return Attachment(kind=kind, id=key, name=name, value={"message_id": "om_1", "resource_type": "file"})


POST = {
    "title": "Report",
    "content": [
        [
            {"tag": "text", "text": "first ", "style": ["bold"]},
            {"tag": "a", "text": "a link", "href": "https://example.org"},
            {"tag": "at", "user_id": "@_user_1", "user_name": "Dragoman"},
        ],
        [{"tag": "img", "image_key": "img_1"}],
        [{"tag": "media", "file_key": "file_1", "image_key": "img_cover"}],
        [{"tag": "emotion", "emoji_type": "SMILE"}, {"tag": "at", "user_id": "all", "user_name": "everyone"}],
        [{"tag": "hr"}],
        [{"tag": "code_block", "language": "PYTHON", "text": "x = 1\n"}],
        [{"tag": "md", "text": "**bold**"}],
        [{"tag": "a", "text": "https://example.org", "href": "https://example.org"}],
        [{"tag": "of_tomorrow", "text": "still words"}],
    ],
}
POST_TEXT = """Report
first a link (https://example.org)@_user_1


[SMILE]@everyone
---
x = 1

**bold**
https://example.org
still words"""
LOCATION = {"name": "Office", "longitude": "116.40", "latitude": "39.90"}


@pytest.mark.parametrize(
    ("kind", "said", "text", "attachments"),
    [
        ("text", {"text": "hello"}, "hello", ()),
        ("text", {}, "", ()),
        ("post", POST, POST_TEXT, (image("img_1"), file("video", "file_1"))),
        ("post", {"title": "", "content": [[{"tag": "text", "text": "x"}]]}, "x", ()),
        ("image", {"image_key": "img_1"}, "", (image("img_1"),)),
        ("file", {"file_key": "file_1", "file_name": "a.pdf"}, "", (file("file", "file_1", "a.pdf"),)),
        ("audio", {"file_key": "file_1", "duration": 2000}, "", (file("audio", "file_1"),)),
        (
            "media",
            {"file_key": "file_1", "image_key": "img_1", "file_name": "a.mp4", "duration": 2000},
            "",
            (file("video", "file_1", "a.mp4"),),
        ),
        ("sticker", {"file_key": "file_1"}, "", (Attachment(kind="sticker", id="file_1"),)),
        ("location", LOCATION, "", (Attachment(kind="location", name="Office", latitude=39.9, longitude=116.4),)),
        ("interactive", {"title": "T", "elements": [[{"tag": "text", "text": "x"}]]}, "T\nx", ()),
    ],
)
def test_each_type_of_content_is_read(
    simulator: FeishuSimulator, read: Read, kind: str, said: dict[str, Any], text: str, attachments: Any
) -> None:
    event = read(simulator.message(kind, said, message_id="om_1"))

    assert (event.text_as_sent, event.attachments) == (text, attachments)
    assert "unsupported" not in event.value
    assert event.wants_turn


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("system", {"template": "x"}),
        ("hongbao", {"text": "[Red packet]"}),
        ("todo", {}),
        ("of_tomorrow", {}),
        ("interactive", {"elements": "of another shape"}),
        ("interactive", {}),
    ],
)
def test_a_type_that_we_do_not_know_is_delivered_with_an_empty_text(
    simulator: FeishuSimulator, read: Read, kind: str, said: dict[str, Any]
) -> None:
    event = read(simulator.message(kind, said))

    assert (event.text, event.attachments, event.value["unsupported"], event.wants_turn) == ("", (), True, True)


def test_a_business_card_tells_whose_it_is(simulator: FeishuSimulator, read: Read) -> None:
    chat = read(simulator.message("share_chat", {"chat_id": "oc_2"}))
    user = read(simulator.message("share_user", {"user_id": "ou_2"}))

    assert (chat.value["shared_chat_id"], user.value["shared_user_id"]) == ("oc_2", "ou_2")
    assert chat.value["unsupported"]


def test_forwarded_messages_have_a_text_that_is_no_json(simulator: FeishuSimulator, read: Read) -> None:
    message = {
        "message_id": "om_1",
        "chat_id": "oc_1",
        "message_type": "merge_forward",
        "content": "Merged and Forwarded Message",
    }
    sender = {"sender_id": {"open_id": PERSON}, "sender_type": "user"}

    event = read(simulator.event("im.message.receive_v1", {"sender": sender, "message": message}))

    assert event.text == "Merged and Forwarded Message"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("text", {"text": 1}),
        ("post", {"content": "x"}),
        ("image", {}),
        ("file", {"file_key": ""}),
        ("location", {"name": "x"}),
        ("location", {**LOCATION, "latitude": "north"}),
        ("location", {**LOCATION, "latitude": "nan"}),
        ("location", {**LOCATION, "longitude": "181"}),
    ],
)
def test_a_known_type_of_another_shape_is_malformed(
    simulator: FeishuSimulator, read: Read, kind: str, said: dict[str, Any]
) -> None:
    with pytest.raises(Malformed):
        read(simulator.message(kind, said))


@pytest.mark.parametrize("content", ["", "hello", "{", '{"text": "\\ud800"}'])
def test_a_content_that_is_no_json_is_set_aside_and_not_sent_back(
    simulator: FeishuSimulator, read: Read, content: str
) -> None:
    message = {"message_id": "om_1", "chat_id": "oc_1", "message_type": "text", "content": content}
    sender = {"sender_id": {"open_id": PERSON}, "sender_type": "user"}

    with pytest.raises(Malformed, match="within the envelope") as raised:
        read(simulator.event("im.message.receive_v1", {"sender": sender, "message": message}))

    assert not isinstance(raised.value, Undecodable)


@pytest.mark.parametrize("stamp", ["yesterday", "-1", "1" * 18, "1767406614٣"])
def test_a_time_that_is_none_is_malformed(simulator: FeishuSimulator, read: Read, stamp: str) -> None:
    with pytest.raises(Malformed, match="time"):
        read(simulator.message("text", {"text": "x"}, create_time=stamp))


def test_events_are_acknowledged_with_an_empty_object(feishu: Feishu, simulator: FeishuSimulator, known: Known) -> None:
    receipt = feishu.parse(feishu.verify(simulator.webhook("x"), known), known)

    assert receipt.response.status == 200
    assert json.loads(receipt.response.body) == {}
    assert receipt.response.headers["content-type"].startswith("application/json")
