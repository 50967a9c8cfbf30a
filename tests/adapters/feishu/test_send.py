"""Actions as calls of the server API, and what each answer means."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from dragoman import wire
from dragoman.adapter import Known
from dragoman.adapters.feishu import Feishu
from dragoman.adapters.feishu.emoji import emoji_type
from dragoman.errors import CredentialRefused, NoAnswer
from dragoman.model import (
    Action,
    Attachment,
    Button,
    Delete,
    Delivery,
    Edit,
    Media,
    Message,
    React,
    Say,
    Typing,
)
from dragoman.wire import Credential, Exchange, Expired, Http, Outcome, Refused, Response, Retry, Sent, Unsure

Deliver = Callable[..., Delivery]
HELLO = Say(message=Message(text="hello"))
TOKEN = Credential(name="tenant_token")
MESSAGES = "https://feishu.test/open-apis/im/v1/messages"


def answer(code: int, status: int = 400, headers: dict[str, str] | None = None, **facts: Any) -> Response:
    return wire.json_response({"code": code, "msg": "words", **facts}, status, headers)


TAKEN = answer(0, 200, data={"message_id": "om_9"})


def asked(exchange: Exchange[Outcome]) -> Http:
    request = next(exchange)
    assert isinstance(request, Http)
    return request


def settled(feishu: Feishu, delivery: Delivery, *answers: Response | Exception) -> Outcome:
    return wire.run(feishu.send(delivery, Known(now=0.0)), *answers)


def said(request: Http) -> tuple[str, Any]:
    """Return a request's type of message, and its content decoded."""
    assert request.json is not None
    return request.json.get("msg_type", ""), json.loads(request.json["content"])


def test_a_message_goes_to_its_chat_under_the_deliverys_key(feishu: Feishu, known: Known, deliver: Deliver) -> None:
    request = asked(feishu.send(deliver(HELLO), known))

    assert request == Http(
        method="POST",
        url=MESSAGES,
        query={"receive_id_type": "chat_id"},
        headers={"content-type": "application/json; charset=utf-8"},
        json={"receive_id": "oc_1", "msg_type": "text", "content": '{"text":"hello"}', "uuid": "t1:0:0"},
        auth=TOKEN,
        lane="messages",
    )


@pytest.mark.parametrize(
    ("channel", "kind"), [("oc_1", "chat_id"), ("ou_1", "open_id"), ("on_1", "union_id"), ("chat", "chat_id")]
)
def test_a_person_can_be_written_to(feishu: Feishu, known: Known, deliver: Deliver, channel: str, kind: str) -> None:
    request = asked(feishu.send(deliver(HELLO, channel=channel), known))

    assert request.query == {"receive_id_type": kind}


def test_in_a_thread_it_replies_in_the_thread(feishu: Feishu, known: Known, deliver: Deliver) -> None:
    request = asked(feishu.send(deliver(HELLO, thread="omt_1", message_id="om_1"), known))

    assert (request.url, request.query, request.lane) == (f"{MESSAGES}/om_1/reply", {}, "messages.reply")
    assert request.json == {
        "msg_type": "text",
        "content": '{"text":"hello"}',
        "uuid": "t1:0:0",
        "reply_in_thread": True,
    }


def test_outside_of_threads_it_opens_none(feishu: Feishu, known: Known, deliver: Deliver) -> None:
    quoting = Say(message=Message(text="hello", reply_to="om_2"))
    plain = asked(feishu.send(deliver(HELLO, message_id="om_1"), known))
    quoted = asked(feishu.send(deliver(quoting, message_id="om_1"), known))

    assert plain.url == MESSAGES
    assert quoted.url == f"{MESSAGES}/om_2/reply"
    assert "reply_in_thread" not in (quoted.json or {})


@pytest.mark.parametrize("code", [230011, 231003])
def test_when_the_message_to_reply_to_is_gone_it_is_said_without(feishu: Feishu, deliver: Deliver, code: int) -> None:
    exchange = feishu.send(deliver(HELLO, thread="omt_1", message_id="om_1"), Known(now=0.0))
    asked(exchange)

    again = exchange.send(answer(code))

    assert isinstance(again, Http)
    assert again.url == MESSAGES
    assert again.json == {
        "receive_id": "oc_1",
        "msg_type": "text",
        "content": '{"text":"hello"}',
        "uuid": "t1:0:0",
    }


@pytest.mark.parametrize(
    ("text", "kind", "content"),
    [
        ("plain words\nand more", "text", {"text": "plain words\nand more"}),
        ("**bold**", "post", {"zh_cn": {"title": "", "content": [[{"tag": "md", "text": "**bold**"}]]}}),
        (
            '<at user_id="all"></at>',
            "post",
            {"zh_cn": {"title": "", "content": [[{"tag": "md", "text": '&lt;at user_id="all">&lt;/at>'}]]}},
        ),
    ],
)
def test_words_go_as_text_and_markup_as_rich_text(
    feishu: Feishu, known: Known, deliver: Deliver, text: str, kind: str, content: Any
) -> None:
    assert said(asked(feishu.send(deliver(Say(message=Message(text=text))), known))) == (kind, content)


def test_buttons_make_a_card(feishu: Feishu, known: Known, deliver: Deliver) -> None:
    buttons = (Button(text="Yes", value="y"), Button(text="No"), Button(text="More", url="https://example.org"))

    kind, card = said(asked(feishu.send(deliver(Say(message=Message(text="**Sure?**", buttons=buttons))), known)))

    assert kind == "interactive"
    assert card["config"] == {"update_multi": True}
    words, row = card["body"]["elements"]
    assert words == {"tag": "markdown", "content": "**Sure?**"}
    behaviors = [column["elements"][0]["behaviors"] for column in row["columns"]]
    assert behaviors == [
        [{"type": "callback", "value": {"dragoman": "y"}}],
        [{"type": "callback", "value": {"dragoman": "No"}}],
        [{"type": "open_url", "default_url": "https://example.org"}],
    ]


def test_a_sent_message_is_known_by_its_id(feishu: Feishu, deliver: Deliver) -> None:
    assert settled(feishu, deliver(HELLO), TAKEN) == Sent(ids=("om_9",))


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        (answer(99991672), Refused(reason="99991672 words", scope="account")),
        (answer(99991679), Refused(reason="99991679 words", scope="account")),
        (answer(99991661), Refused(reason="99991661 words", scope="account")),
        (answer(230002), Refused(reason="230002 words", scope="conversation")),
        (answer(230013), Refused(reason="230013 words", scope="conversation")),
        (answer(230001), Refused(reason="230001 words")),
        (answer(230099), Refused(reason="230099 words")),
        (answer(230001, 200), Refused(reason="230001 words")),
        (answer(999), Refused(reason="999 words")),
        (answer(99991400), Retry(reason="99991400 words", scope="method")),
        (
            answer(99991400, 429, {"x-ogw-ratelimit-reset": "7"}),
            Retry(reason="99991400 words", after=7.0, scope="method"),
        ),
        (
            answer(99991400, 400, {"x-ogw-ratelimit-reset": "999999"}),
            Retry(reason="99991400 words", after=3600.0, scope="method"),
        ),
        (answer(99991400, 429, {"x-ogw-ratelimit-reset": "soon"}), Retry(reason="99991400 words", scope="method")),
        (answer(230020), Retry(reason="230020 words", scope="conversation")),
        (answer(2200, 500), Retry(reason="2200 words")),
        (answer(0, 400), Refused(reason="status 400, not an answer of the API")),
        (Response(status=429), Retry(reason="status 429, not an answer of the API", scope="method")),
        (Response(status=502, body=b"<html>"), Retry(reason="status 502, not an answer of the API")),
        (Response(status=401), Refused(reason="status 401, not an answer of the API", scope="account")),
        (Response(status=403, body=b"{}"), Refused(reason="status 403, not an answer of the API", scope="account")),
        (Response(status=302), Refused(reason="status 302, not an answer of the API")),
        (Response(status=200, body=b"<html>"), Unsure(reason="status 200, not an answer of the API")),
        (Response(status=200, body=b"{}"), Unsure(reason="status 200, not an answer of the API")),
    ],
)
def test_each_answer_has_its_meaning(feishu: Feishu, deliver: Deliver, response: Response, outcome: Outcome) -> None:
    assert settled(feishu, deliver(HELLO), response) == outcome


@pytest.mark.parametrize("code", [99991663, 99991664, 99991665, 99991668, 99991677])
def test_a_dead_token_is_renewed_once(feishu: Feishu, deliver: Deliver, code: int) -> None:
    exchange = feishu.send(deliver(HELLO), Known(now=0.0))
    first = asked(exchange)

    assert exchange.send(answer(code)) == Expired(credential=TOKEN)
    assert exchange.send(Response(status=204)) == first
    with pytest.raises(StopIteration) as end:
        exchange.send(answer(code))
    assert end.value.value == Refused(reason=f"{code} words", scope="account")


def test_silence_is_left_to_the_client(feishu: Feishu, deliver: Deliver) -> None:
    with pytest.raises(NoAnswer, match="timeout"):
        settled(feishu, deliver(HELLO), NoAnswer("timeout", sent=True))


def test_the_tenants_token_is_asked_for_by_naming_the_secret(feishu: Feishu, known: Known) -> None:
    exchange = feishu.grant("tenant_token", "", known)
    request = next(exchange)

    assert isinstance(request, Http)
    assert request.url == "https://feishu.test/open-apis/auth/v3/tenant_access_token/internal"
    assert request.json == {"app_id": feishu.app_id, "app_secret": Credential(name="app_secret")}
    assert request.auth is None
    token = wire.run(feishu.grant("tenant_token", "", known), answer(0, 200, tenant_access_token="t-1", expire=7199))
    assert (token.value, token.expires_in) == ("t-1", 7199)


def test_there_is_no_other_token(feishu: Feishu, known: Known) -> None:
    with pytest.raises(KeyError):
        feishu.grant("user_token", "", known)


def test_a_refused_grant_is_told_apart_from_silence(feishu: Feishu, known: Known) -> None:
    with pytest.raises(CredentialRefused, match="10014"):
        wire.run(feishu.grant("tenant_token", "", known), answer(10014, 200))


@pytest.mark.parametrize(
    "response", [Response(status=503), answer(99991400, 429), Response(body=b"<html>"), answer(0, 200)]
)
def test_a_grant_in_passing_trouble_is_tried_again(
    feishu: Feishu, known: Known, deliver: Deliver, response: Response
) -> None:
    with pytest.raises(NoAnswer) as silence:
        wire.run(feishu.grant("tenant_token", "", known), response)

    assert not silence.value.sent
    with pytest.raises(NoAnswer):
        settled(feishu, deliver(HELLO), silence.value)


def test_a_text_is_edited(feishu: Feishu, known: Known, deliver: Deliver) -> None:
    request = asked(feishu.send(deliver(Edit(message_id="om_1", message=Message(text="new"))), known))

    assert (request.method, request.url, request.repeatable) == ("PUT", f"{MESSAGES}/om_1", True)
    assert request.json == {"msg_type": "text", "content": '{"text":"new"}'}


def test_a_card_is_updated(feishu: Feishu, known: Known, deliver: Deliver) -> None:
    message = Message(text="new", buttons=(Button(text="Yes"),))

    request = asked(feishu.send(deliver(Edit(message_id="om_1", message=message)), known))

    assert (request.method, request.url) == ("PATCH", f"{MESSAGES}/om_1")
    assert list(request.json or {}) == ["content"]


def test_an_edit_that_turns_out_to_be_of_a_card_updates_the_card(feishu: Feishu, deliver: Deliver) -> None:
    exchange = feishu.send(deliver(Edit(message_id="om_1", message=Message(text="done"))), Known(now=0.0))
    asked(exchange)

    again = exchange.send(answer(230001))

    assert isinstance(again, Http)
    assert again.method == "PATCH"
    assert said(again)[1]["body"]["elements"] == [{"tag": "markdown", "content": "done"}]


@pytest.mark.parametrize(("code", "outcome"), [(0, Sent()), (230011, Sent()), (231003, Sent())])
def test_what_is_gone_already_counts_as_deleted(feishu: Feishu, deliver: Deliver, code: int, outcome: Outcome) -> None:
    assert settled(feishu, deliver(Delete(message_id="om_1")), answer(code, 400 if code else 200)) == outcome


def test_a_message_is_deleted_and_reacted_to_under_its_id(feishu: Feishu, known: Known, deliver: Deliver) -> None:
    delete = asked(feishu.send(deliver(Delete(message_id="om_1/../x")), known))
    react = asked(feishu.send(deliver(React(message_id="om_1", emoji="👍")), known))

    assert (delete.method, delete.url) == ("DELETE", f"{MESSAGES}/om_1%2F..%2Fx")
    assert (react.method, react.url) == ("POST", f"{MESSAGES}/om_1/reactions")
    assert react.json == {"reaction_type": {"emoji_type": "THUMBSUP"}}


@pytest.mark.parametrize(
    ("emoji", "kind"),
    [
        ("thumbsup", "THUMBSUP"),
        (":+1:", "THUMBSUP"),
        ("❤️", "HEART"),
        ("✅", "CheckMark"),
        ("smirk", "SMIRK"),
        ("OnIt", "OnIt"),
        ("ROSE", "ROSE"),
    ],
)
def test_emoji_have_feishus_names(emoji: str, kind: str) -> None:
    assert emoji_type(emoji) == kind


def test_what_feishu_does_not_have_is_refused(feishu: Feishu, deliver: Deliver) -> None:
    assert settled(feishu, deliver(Typing())) == Refused(reason="Feishu has no action typing")


def attachment(name: str, **facts: Any) -> Attachment:
    return Attachment(kind="file", name=name, media=Media(ref="00", size=1), **facts)


def test_text_and_each_attachment_are_split_apart(feishu: Feishu) -> None:
    buttons = (Button(text="Yes"),)
    message = Message(text="look", attachments=(attachment("a"), attachment("b")), buttons=buttons, reply_to="om_1")

    assert feishu.split(message) == (
        Message(text="look", buttons=buttons, reply_to="om_1"),
        Message(attachments=(attachment("a"),)),
        Message(attachments=(attachment("b"),)),
    )


def test_attachments_alone_are_split_without_an_empty_text(feishu: Feishu) -> None:
    message = Message(attachments=(attachment("a"), attachment("b")), reply_to="om_1")

    assert feishu.split(message) == (
        Message(attachments=(attachment("a"),), reply_to="om_1"),
        Message(attachments=(attachment("b"),)),
    )


def test_addresses_and_places_are_written_into_the_text(feishu: Feishu) -> None:
    link = Attachment(kind="link", name="The [page]", url="https://example.org")
    spot = Attachment(kind="location", name="Office", latitude=39.9, longitude=116.4)

    (message,) = feishu.split(Message(text="see", attachments=(link, spot)))

    assert message == Message(text="see\n\n[The \\[page\\]](<https://example.org>)\n\nOffice 39.9, 116.4")


def test_a_long_text_is_split_within_the_limit(feishu: Feishu) -> None:
    pieces = feishu.split(Message(text="word " * 2000, attachments=(attachment("a"),)))

    assert [bool(piece.attachments) for piece in pieces] == [False, False, False, True]


def test_parts_of_an_unsplit_message_have_keys_of_their_own(feishu: Feishu, deliver: Deliver) -> None:
    action: Action = Say(message=Message(text="look", attachments=(attachment("a.bin"),)))
    exchange = feishu.send(deliver(action), Known(now=0.0))
    keys = [(asked(exchange).json or {})["uuid"]]
    exchange.send(TAKEN)  # asks for the upload
    shown = exchange.send(answer(0, 200, data={"file_key": "file_1"}))
    assert isinstance(shown, Http)
    keys.append((shown.json or {})["uuid"])

    with pytest.raises(StopIteration) as end:
        exchange.send(answer(0, 200, data={"message_id": "om_10"}))

    assert end.value.value == Sent(ids=("om_9", "om_10"))
    assert len(set(keys)) == 2
    assert all(len(key) <= 50 for key in keys)
