"""Updates to events: every kind, every rule of who is heard, and nothing but `Malformed` for the rest."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.adapter import Known, Me, Payload, Receipt
from dragoman.adapters.telegram import Telegram
from dragoman.errors import Malformed
from dragoman.model import Attachment, Event, Mention, Secret
from dragoman.wire import Response

KNOWN = Known(now=1_800_000_000.0, me=Me(id="7001", name="dragoman_bot"))
ACCOUNT = Telegram(account="tg", bot_token=Secret("7001:token"))
ADA = {"id": 111, "is_bot": False, "first_name": "Ada", "last_name": "L", "language_code": "en"}
OUR_BOT = {"id": 7001, "is_bot": True, "first_name": "Dragoman", "username": "dragoman_bot"}
DIRECT = {"id": 111, "type": "private", "first_name": "Ada"}
GROUP = {"id": -100200, "type": "supergroup", "title": "Dev", "is_forum": True}


def receipt_of(kind: str, content: Any, number: int = 1, account: Telegram = ACCOUNT) -> Receipt:
    body = msgspec.json.encode({"update_id": number, kind: content})
    return account.parse(Payload(body=body), KNOWN)


def message(*, sender: Any = ADA, **facts: Any) -> dict[str, Any]:
    return {"message_id": 5, "date": 1767300000, "from": sender, "chat": DIRECT, **facts}


def event_of(kind: str = "message", number: int = 1, **facts: Any) -> Event:
    (event,) = receipt_of(kind, message(**facts), number).events
    return event


def ignored(**facts: Any) -> tuple[str, ...]:
    receipt = receipt_of("message", message(**facts))
    assert receipt.events == ()
    return receipt.ignored


def entity(kind: str, offset: int, length: int, **facts: Any) -> dict[str, Any]:
    return {"type": kind, "offset": offset, "length": length, **facts}


def test_a_direct_message_becomes_an_event() -> None:
    event = event_of(text="hello")
    assert (event.kind, event.wants_turn, event.chat_kind) == ("message", True, "direct")
    assert (event.key, event.conversation, event.address.channel) == ("111/5", "tg/111", "111")
    assert (event.sender.id, event.sender.name, event.sender.locale) == ("111", "Ada L", "en")
    assert (event.text, event.at, event.mentions_bot) == ("hello", 1767300000.0, False)


def test_a_webhook_is_answered_with_an_empty_200() -> None:
    assert receipt_of("message", message(text="hello")).response == Response()


def test_the_same_message_has_the_same_key_whichever_update_brings_it() -> None:
    assert event_of(text="hello", number=1).key == event_of(text="hello", number=2).key


def test_our_username_is_cut_out_in_any_case() -> None:
    event = event_of(chat=GROUP, text="hi @Dragoman_Bot there", entities=[entity("mention", 3, 13)])
    assert (event.text, event.text_as_sent) == ("hi  there", "hi @Dragoman_Bot there")
    assert event.mentions == (Mention(id="@Dragoman_Bot", name="Dragoman_Bot", is_bot=True),)
    assert event.mentions_bot


def test_a_longer_username_that_begins_like_ours_is_somebody_else() -> None:
    event = event_of(chat=GROUP, text="@dragoman_bot2 hi", entities=[entity("mention", 0, 14)])
    assert (event.text, event.mentions_bot) == ("@dragoman_bot2 hi", False)


def test_offsets_count_utf16_units() -> None:
    event = event_of(chat=GROUP, text="👨‍👩‍👧🙂 @dragoman_bot go", entities=[entity("mention", 11, 13)])
    assert (event.text, event.mentions_bot) == ("👨‍👩‍👧🙂  go", True)


def test_a_mention_by_id_is_compared_with_our_id() -> None:
    ours, hers = entity("text_mention", 0, 8, user=OUR_BOT), entity("text_mention", 9, 3, user=ADA)
    event = event_of(chat=GROUP, text="Dragoman Ada", entities=[ours, hers])
    assert (event.text, event.mentions_bot) == ("Ada", True)
    assert [(mention.id, mention.is_bot) for mention in event.mentions] == [("7001", True), ("111", False)]


def test_the_setting_overrides_who_we_are() -> None:
    account = Telegram(account="tg", bot_token=Secret("7001:token"), bot_id=9, bot_username="@other_bot")
    entities = [entity("mention", 0, 10), entity("text_mention", 11, 1, user={**OUR_BOT, "id": 9})]
    (event,) = receipt_of("message", message(text="@other_bot x", entities=entities), account=account).events
    assert [mention.is_bot for mention in event.mentions] == [True, True]


def test_our_id_is_read_from_the_token_when_nothing_else_tells_it() -> None:
    body = msgspec.json.encode({"update_id": 1, "message": message(text="mine", sender=OUR_BOT)})
    assert ACCOUNT.parse(Payload(body=body), Known(now=0.0)).ignored == ("self",)


@pytest.mark.parametrize(
    ("chat", "text", "length", "mentions_bot", "arguments"),
    [
        (DIRECT, "/ask what now", 4, False, "what now"),
        (GROUP, "/ask what now", 4, True, "what now"),
        (GROUP, "/ask@dragoman_bot what now", 17, True, "what now"),
        (GROUP, "/ask@DRAGOMAN_BOT\nwhat\nnow ", 17, True, "what\nnow"),
        (DIRECT, "/ask", 4, False, ""),
    ],
)
def test_a_command_for_us_stays_a_message(
    chat: dict[str, Any], text: str, length: int, mentions_bot: bool, arguments: str
) -> None:
    event = event_of(chat=chat, text=text, entities=[entity("bot_command", 0, length)])
    assert (event.kind, event.mentions_bot) == ("message", mentions_bot)
    assert (event.value["command"], event.value["command_args"]) == ("/ask", arguments)
    assert event.text == f"/ask {arguments}".strip() or event.text == f"/ask\n{arguments}"


def test_another_bots_command_is_an_ordinary_message() -> None:
    event = event_of(chat=GROUP, text="/ask@other_bot x", entities=[entity("bot_command", 0, 14)])
    assert (event.text, event.mentions_bot) == ("/ask@other_bot x", False)
    assert "command" not in event.value


def test_a_command_inside_the_text_is_text() -> None:
    event = event_of(chat=GROUP, text="try /ask", entities=[entity("bot_command", 4, 4)])
    assert ("command" in event.value, event.mentions_bot) == (False, False)


def test_a_topic_is_a_thread() -> None:
    event = event_of(chat=GROUP, text="hi", is_topic_message=True, message_thread_id=77)
    assert (event.conversation, event.address.thread) == ("tg/-100200/77", "77")


def test_a_chain_of_replies_is_no_thread() -> None:
    event = event_of(chat=GROUP, text="hi", message_thread_id=77)
    assert (event.conversation, event.address.thread) == ("tg/-100200", "")


def test_a_reply_to_the_bot_is_told_apart_from_a_mention() -> None:
    replied = {"message_id": 4, "date": 1, "chat": GROUP, "from": OUR_BOT, "text": "earlier answer"}
    event = event_of(chat=GROUP, text="and this?", reply_to_message=replied)
    assert (event.reply_to, event.value["reply_to_bot"], event.mentions_bot) == ("4", True, False)
    assert event.value["quoted_text"] == "earlier answer"


def test_the_quoted_part_is_kept() -> None:
    replied = {"message_id": 4, "date": 1, "chat": GROUP, "from": ADA, "text": "a long earlier answer"}
    event = event_of(text="why?", reply_to_message=replied, quote={"text": "earlier", "position": 7})
    assert (event.value["reply_to_bot"], event.value["quoted_text"]) == (False, "earlier")


def test_the_message_that_opened_a_topic_is_not_replied_to() -> None:
    opened = {"message_id": 77, "date": 1, "chat": GROUP, "from": OUR_BOT, "forum_topic_created": {"name": "x"}}
    event = event_of(chat=GROUP, text="hi", is_topic_message=True, message_thread_id=77, reply_to_message=opened)
    assert (event.reply_to, "reply_to_bot" in event.value) == ("", False)


FILE = {"file_id": "F", "file_unique_id": "u", "file_size": 10, "file_name": "a.bin", "mime_type": "x/y"}
PLACE: dict[str, Any] = {"latitude": 52.5, "longitude": 13.4}


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ({"document": FILE}, "file"),
        ({"audio": FILE}, "audio"),
        ({"voice": FILE}, "audio"),
        ({"video": FILE}, "video"),
        ({"video_note": FILE}, "video"),
        ({"animation": FILE, "document": FILE}, "video"),
        ({"sticker": FILE}, "sticker"),
    ],
)
def test_a_file_is_an_attachment_of_its_kind(content: dict[str, Any], kind: Any) -> None:
    event = event_of(**content)
    assert event.attachments == (Attachment(kind=kind, id="F", name="a.bin", mime="x/y", size=10),)
    assert event.text == ""


def test_the_largest_size_of_a_photo_is_taken() -> None:
    sizes = [{"file_id": name, "width": side, "height": side} for name, side in [("s", 90), ("l", 900), ("m", 300)]]
    event = event_of(photo=sizes, caption="see @dragoman_bot", caption_entities=[entity("mention", 4, 13)])
    assert [attachment.id for attachment in event.attachments] == ["l"]
    assert (event.text, event.text_as_sent, event.mentions_bot) == ("see", "see @dragoman_bot", True)


@pytest.mark.parametrize(("size", "value"), [(20 << 20, {}), ((20 << 20) + 1, {"downloadable": False})])
def test_a_file_over_20_mb_is_marked(size: int, value: dict[str, bool]) -> None:
    assert event_of(document={**FILE, "file_size": size}).attachments[0].value == value


def test_a_location_has_its_coordinates() -> None:
    assert event_of(location=PLACE).attachments == (Attachment(kind="location", **PLACE),)


def test_a_venue_is_a_location_with_a_name() -> None:
    event = event_of(location=PLACE, venue={"location": PLACE, "title": "Library", "address": "Street 1"})
    assert event.attachments == (Attachment(kind="location", name="Library", **PLACE),)


def test_the_parts_of_an_album_share_a_group() -> None:
    assert event_of(document=FILE, media_group_id="album-1").value["group_key"] == "album-1"


def test_content_that_we_do_not_know_is_a_message_without_text() -> None:
    event = event_of(dice={"emoji": "🎲", "value": 4})
    assert (event.kind, event.text, event.value["unsupported"]) == ("message", "", True)


@pytest.mark.parametrize("news", ["new_chat_members", "pinned_message", "forum_topic_created", "migrate_from_chat_id"])
def test_the_chats_own_news_is_ignored(news: str) -> None:
    facts: dict[str, Any] = {news: {}}
    assert ignored(chat=GROUP, **facts) == (f"kind:{news}",)


def test_our_own_message_is_ignored() -> None:
    assert ignored(text="x", sender=OUR_BOT) == ("self",)


def test_another_bots_message_is_ignored() -> None:
    assert ignored(text="x", chat=GROUP, sender={**OUR_BOT, "id": 8}) == ("bot",)


def test_an_anonymous_administrator_is_heard_although_the_sender_is_a_bot() -> None:
    anonymous = {"id": 1087968824, "is_bot": True, "first_name": "Group", "username": "GroupAnonymousBot"}
    event = event_of(text="x", chat=GROUP, sender_chat=GROUP, sender=anonymous)
    assert (event.sender.id, event.wants_turn) == ("1087968824", True)


def test_an_automatic_forward_is_ignored() -> None:
    channel = {"id": -100300, "type": "channel", "title": "News"}
    sender = {"id": 777000, "is_bot": False, "first_name": "Telegram"}
    reasons = ignored(text="x", chat=GROUP, sender_chat=channel, sender=sender, is_automatic_forward=True)
    assert reasons == ("automatic_forward",)


@pytest.mark.parametrize("kind", ["channel_post", "edited_channel_post", "poll_answer", "something_new"])
def test_a_kind_that_we_do_not_read_is_ignored(kind: str) -> None:
    assert receipt_of(kind, {"any": "thing"}).ignored == (f"kind:{kind}",)


def test_an_edit_wants_no_turn() -> None:
    event = event_of("edited_message", edit_date=1767300100, text="corrected")
    assert (event.kind, event.wants_turn, event.message_id, event.text) == ("edit", False, "5", "corrected")
    assert event.at == 1767300100.0


def test_two_edits_within_a_second_are_two_happenings() -> None:
    first = event_of("edited_message", number=1, edit_date=1767300100, text="a")
    second = event_of("edited_message", number=2, edit_date=1767300100, text="b")
    assert first.key != second.key


def test_a_pressed_button_is_an_action() -> None:
    under = {"message_id": 9, "date": 0, "chat": GROUP, "is_topic_message": True, "message_thread_id": 77}
    query = {"id": "c1", "from": ADA, "message": under, "chat_instance": "3", "data": "opt:1"}
    (event,) = receipt_of("callback_query", query).events
    assert (event.kind, event.wants_turn, event.key, event.message_id) == ("action", True, "c1", "9")
    assert (event.value["action_value"], event.value["interaction_id"]) == ("opt:1", "c1")
    assert (event.conversation, event.at) == ("tg/-100200/77", KNOWN.now)


def test_a_button_under_an_inline_message_is_ignored() -> None:
    query = {"id": "c1", "from": ADA, "inline_message_id": "i", "chat_instance": "3", "data": "x"}
    assert receipt_of("callback_query", query).ignored == ("kind:inline_callback",)


THUMB, FIRE = {"type": "emoji", "emoji": "👍"}, {"type": "emoji", "emoji": "🔥"}


@pytest.mark.parametrize(
    ("old", "new", "emoji"),
    [([], [THUMB], "👍"), ([THUMB], [], ""), ([THUMB], [THUMB, FIRE], "🔥"), ([THUMB, FIRE], [FIRE], "")],
)
def test_a_reaction_tells_what_was_put_on(old: list[Any], new: list[Any], emoji: str) -> None:
    content = {"chat": GROUP, "message_id": 5, "date": 1, "user": ADA, "old_reaction": old, "new_reaction": new}
    (event,) = receipt_of("message_reaction", content).events
    assert (event.kind, event.wants_turn, event.message_id) == ("reaction", False, "5")
    assert (event.value["emoji"], event.sender.id) == (emoji, "111")


def test_an_anonymous_reaction_is_the_chats() -> None:
    content = {"chat": GROUP, "message_id": 5, "date": 1, "actor_chat": GROUP, "new_reaction": [FIRE]}
    (event,) = receipt_of("message_reaction", content).events
    assert (event.sender.id, event.sender.name) == ("-100200", "Dev")


def test_our_own_reaction_is_ignored() -> None:
    content = {"chat": GROUP, "message_id": 5, "date": 1, "user": OUR_BOT, "new_reaction": [FIRE]}
    assert receipt_of("message_reaction", content).ignored == ("self",)


def test_our_standing_in_a_chat_is_told() -> None:
    content = {"chat": DIRECT, "date": 7, "from": ADA, "new_chat_member": {"user": OUR_BOT, "status": "kicked"}}
    (event,) = receipt_of("my_chat_member", content).events
    assert (event.kind, event.wants_turn, event.value["bot_status"]) == ("membership", False, "kicked")


def test_a_group_that_became_a_supergroup_is_a_migration() -> None:
    event = event_of(chat={"id": -5, "type": "group", "title": "Dev"}, migrate_to_chat_id=-100500)
    assert (event.kind, event.wants_turn, event.address.channel) == ("migration", False, "-5")
    assert event.value["new_conversation_id"] == "-100500"


def test_what_only_one_person_sees_is_to_be_answered_to_that_person_alone() -> None:
    event = event_of(chat=GROUP, text="psst", message_id=0, ephemeral_message_id=3)
    assert event.address.ticket == {"receiver_user_id": 111, "ephemeral_message_id": 3}


def test_ephemeral_messages_are_told_apart_although_their_id_is_zero() -> None:
    first = event_of(number=1, text="a", message_id=0, ephemeral_message_id=3)
    second = event_of(number=2, text="b", message_id=0, ephemeral_message_id=3)
    assert first.key != second.key


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"update_id": "1"}',
        b'{"update_id": 1, "message": {}}',
        b'{"update_id": 1, "message": {"message_id": 1, "date": 1, "chat": {"id": 1}}}',
        b'{"update_id": 1, "message": {"message_id": 1, "date": -1, "chat": {"id": 1, "type": "private"}}}',
        b'{"update_id": 1, "message": ' + b"[" * 5000,
        b"\xff\xfe",
    ],
)
def test_what_is_no_update_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        ACCOUNT.parse(Payload(body=body), KNOWN)


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(allow_nan=False)
names = st.sampled_from(
    [
        "message_id",
        "date",
        "chat",
        "from",
        "text",
        "entities",
        "type",
        "offset",
        "length",
        "id",
        "photo",
        "user",
        "data",
    ]
)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=5), max_leaves=12
)
kinds = st.sampled_from(["message", "edited_message", "callback_query", "message_reaction", "my_chat_member", "x"])


@given(update=st.dictionaries(kinds, anything, max_size=2), number=scalars)
def test_any_json_is_events_or_malformed(update: dict[str, Any], number: Any) -> None:
    body = msgspec.json.encode({"update_id": number, **update})
    try:
        receipt = ACCOUNT.parse(Payload(body=body), KNOWN)
    except Malformed:
        return
    assert isinstance(receipt, Receipt)


@given(st.binary(max_size=64))
def test_any_bytes_are_events_or_malformed(body: bytes) -> None:
    try:
        ACCOUNT.parse(Payload(body=body), KNOWN)
    except Malformed:
        return


spans = st.builds(
    entity,
    st.sampled_from(["mention", "bot_command", "text_mention", "bold"]),
    st.integers(0, 40),
    st.integers(0, 40),
    user=st.just(OUR_BOT),
)


@given(text=st.text(max_size=30), entities=st.lists(spans, max_size=4))
def test_any_entities_on_any_text_can_be_read(text: str, entities: list[Any]) -> None:
    receipt = receipt_of("message", message(text=text, entities=entities))
    assert all(event.text_as_sent == text for event in receipt.events)
