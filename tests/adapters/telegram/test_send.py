"""Actions to calls and answers to outcomes, by hand and at the strict simulator."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman import wire
from dragoman.adapter import Known
from dragoman.adapters.telegram import Telegram
from dragoman.adapters.telegram.send import measure
from dragoman.errors import NoAnswer
from dragoman.model import (
    Action,
    Address,
    Answer,
    Attachment,
    Button,
    Delete,
    Delivery,
    Edit,
    Media,
    Message,
    React,
    Say,
    Secret,
    Typing,
)
from dragoman.testing.simulators.telegram import TelegramSimulator
from dragoman.wire import Http, Moved, Outcome, Refused, Response, Retry, Sent, Unsure

Do = Callable[..., Outcome]
Deliver = Callable[..., Delivery]
KNOWN = Known(now=0.0)
PICTURE = Media(ref="cafe", size=4, mime="image/png", name="a.png")


def say(text: str = "", **facts: Any) -> Say:
    return Say(message=Message(text=text, **facts))


def refusal(status: int, description: str, **parameters: int) -> Response:
    answer = {"ok": False, "error_code": status, "description": description, "parameters": parameters}
    return wire.json_response(answer, status)


ACTIONS: list[Action] = [
    say("hi"),
    say(attachments=(Attachment(kind="image", media=PICTURE),)),
    Edit(message_id="5", message=Message(text="hi")),
    Delete(message_id="5"),
    React(message_id="5", emoji="thumbsup"),
    Typing(),
    Answer(interaction_id="c1", text="done"),
]


def test_a_message_is_sent_and_its_id_kept(do: Do, simulator: TelegramSimulator) -> None:
    outcome = do(say("hello"))
    (sent,) = simulator.sent
    assert (sent.method, sent.channel, sent.text) == ("sendMessage", "111", "hello")
    assert outcome == Sent(ids=(sent.id,))


def test_markup_is_written_as_html(do: Do, simulator: TelegramSimulator) -> None:
    do(say("**bold** & <x>"))
    assert simulator.sent[0].body["text"] == "<b>bold</b> &amp; &lt;x&gt;"
    assert (simulator.sent[0].body["parse_mode"], simulator.sent[0].text) == ("HTML", "bold & <x>")


def test_an_answer_goes_to_the_topic(do: Do, simulator: TelegramSimulator) -> None:
    do(say("hi"), "-100200", "77")
    do(Typing(), "-100200", "77")
    assert [sent.body["message_thread_id"] for sent in simulator.sent] == [77, 77]


def test_the_general_topic_is_written_to_without_its_id(do: Do, simulator: TelegramSimulator) -> None:
    do(say("hi"), "-100200", "1")
    assert "message_thread_id" not in simulator.sent[0].body


def test_a_reply_is_sent_even_when_its_message_is_gone(do: Do, simulator: TelegramSimulator) -> None:
    assert isinstance(do(say("hi", reply_to="4")), Sent)
    assert simulator.sent[0].body["reply_parameters"]["message_id"] == 4


def test_what_only_one_person_saw_is_answered_to_that_person(deliver: Deliver, account: Telegram) -> None:
    delivery = deliver(say("hi"), "-100200", receiver_user_id=111, ephemeral_message_id=3)
    request = next(account.send(delivery, KNOWN))
    assert isinstance(request, Http)
    assert request.json is not None
    assert request.json["receiver_user_id"] == 111
    assert request.json["reply_parameters"] == {"ephemeral_message_id": 3}


def test_buttons_stand_below_one_another(do: Do, simulator: TelegramSimulator) -> None:
    do(
        say(
            "choose",
            buttons=(Button(text="Yes", value="y"), Button(text="No"), Button(text="Site", url="https://x.example")),
        )
    )
    assert simulator.sent[0].body["reply_markup"]["inline_keyboard"] == [
        [{"text": "Yes", "callback_data": "y"}],
        [{"text": "No", "callback_data": "No"}],
        [{"text": "Site", "url": "https://x.example"}],
    ]


@pytest.mark.parametrize("action", [say("x"), Edit(message_id="5", message=Message(text="x"))])
def test_a_button_value_that_telegram_would_refuse_is_refused_at_once(do: Do, action: Say | Edit) -> None:
    button = Button(text="Long", value="ä" * 33)
    message = Message(text="x", buttons=(button,))
    changed = Say(message=message) if isinstance(action, Say) else Edit(message_id="5", message=message)
    outcome = do(changed)
    assert isinstance(outcome, Refused)
    assert "64 bytes" in outcome.reason


@pytest.mark.parametrize(
    ("kind", "method", "field"),
    [
        ("image", "sendPhoto", "photo"),
        ("file", "sendDocument", "document"),
        ("audio", "sendAudio", "audio"),
        ("video", "sendVideo", "video"),
        ("sticker", "sendSticker", "sticker"),
    ],
)
def test_a_file_that_we_keep_is_uploaded(
    do: Do, simulator: TelegramSimulator, kind: Any, method: str, field: str
) -> None:
    attachment = Attachment(kind=kind, media=PICTURE)
    assert isinstance(do(say(attachments=(attachment,), reply_to="4")), Sent)
    (sent,) = simulator.sent
    assert (sent.method, sent.body[field].name, sent.body[field].content) == (method, "a.png", b"cafe")
    assert sent.body["reply_parameters"]["message_id"] == 4


def test_a_file_elsewhere_is_sent_by_its_address_with_a_caption(do: Do, simulator: TelegramSimulator) -> None:
    do(say("*look*", attachments=(Attachment(kind="image", url="https://x.example/a.png"),)))
    body = simulator.sent[0].body
    assert (body["photo"], body["caption"], body["parse_mode"]) == ("https://x.example/a.png", "<i>look</i>", "HTML")


def test_a_file_that_telegram_has_is_sent_by_its_id(do: Do, simulator: TelegramSimulator) -> None:
    number = simulator.keep(b"x")
    do(say(attachments=(Attachment(kind="file", id=number),)))
    assert simulator.sent[0].body["document"] == number


def test_a_picture_over_10_mb_goes_as_a_document(deliver: Deliver, account: Telegram) -> None:
    large = Media(ref="cafe", size=(10 << 20) + 1)
    request = next(account.send(deliver(say(attachments=(Attachment(kind="image", media=large),))), KNOWN))
    assert isinstance(request, Http)
    assert (request.lane, request.parts[-1].name) == ("sendDocument", "document")


def test_a_location_is_sent_as_one(do: Do, simulator: TelegramSimulator) -> None:
    do(say(attachments=(Attachment(kind="location", latitude=1.5, longitude=2.5),)))
    assert simulator.sent[0].method == "sendLocation"
    assert (simulator.sent[0].body["latitude"], simulator.sent[0].body["longitude"]) == (1.5, 2.5)


@pytest.mark.parametrize(
    "attachments",
    [
        (Attachment(kind="file"),),
        (Attachment(kind="link", url="https://x.example"),),
        (Attachment(kind="file", url="https://x.example/a"), Attachment(kind="file", url="https://x.example/b")),
    ],
)
def test_what_telegram_cannot_carry_is_refused(do: Do, attachments: tuple[Attachment, ...]) -> None:
    assert isinstance(do(say(attachments=attachments)), Refused)


def test_an_edit_replaces_the_text_and_saying_it_again_is_success(do: Do, simulator: TelegramSimulator) -> None:
    (number,) = ids(do(say("first")))
    assert do(Edit(message_id=number, message=Message(text="second"))) == Sent(ids=(number,))
    assert do(Edit(message_id=number, message=Message(text="second"))) == Sent()
    assert [sent.method for sent in simulator.sent] == ["sendMessage", "editMessageText"]


def test_an_edit_of_a_picture_changes_its_caption(do: Do, simulator: TelegramSimulator) -> None:
    (number,) = ids(do(say("first", attachments=(Attachment(kind="image", media=PICTURE),))))
    assert isinstance(do(Edit(message_id=number, message=Message(text="second"))), Sent)
    assert (simulator.sent[-1].method, simulator.sent[-1].text) == ("editMessageCaption", "second")


def test_a_deletion_is_done_once_and_success_twice(do: Do) -> None:
    (number,) = ids(do(say("first")))
    assert (do(Delete(message_id=number)), do(Delete(message_id=number))) == (Sent(), Sent())


@pytest.mark.parametrize(("emoji", "shown"), [("thumbsup", "👍"), (":fire:", "🔥"), ("👀", "👀"), ("", "")])
def test_a_reaction_is_named_or_itself(do: Do, simulator: TelegramSimulator, emoji: str, shown: str) -> None:
    number = simulator.message("hi")["message"]["message_id"]
    assert do(React(message_id=str(number), emoji=emoji)) == Sent()
    assert simulator.sent[0].text == shown


def test_an_emoji_that_bots_may_not_use_is_refused(do: Do, simulator: TelegramSimulator) -> None:
    number = simulator.message("hi")["message"]["message_id"]
    assert isinstance(do(React(message_id=str(number), emoji="🥔")), Refused)


def test_a_callback_is_answered_once(do: Do, simulator: TelegramSimulator) -> None:
    query = simulator.press("yes", message_id=5)["callback_query"]["id"]
    assert do(Answer(interaction_id=query, text="x" * 300)) == Sent()
    assert len(simulator.sent[0].text) == 200
    assert isinstance(do(Answer(interaction_id=query)), Refused)


@pytest.mark.parametrize("action", ACTIONS)
def test_no_request_carries_the_token(deliver: Deliver, action: Action) -> None:
    account = Telegram(account="tg", bot_token=Secret("7001:canary"))
    request = next(account.send(deliver(action), KNOWN))
    assert isinstance(request, Http)
    assert "canary" not in repr(request)
    assert (request.auth is not None, request.place, "{credential}" in request.url) == (True, "path", True)


def test_markup_that_telegram_cannot_read_is_sent_again_as_plain_text(deliver: Deliver, account: Telegram) -> None:
    exchange = account.send(deliver(say("**bold**")), KNOWN)
    next(exchange)
    second = exchange.send(refusal(400, "Bad Request: can't parse entities: Unsupported start tag"))
    assert isinstance(second, Http)
    assert second.json is not None
    assert "parse_mode" not in second.json
    assert second.json["text"] == "bold"


def test_plain_text_that_is_called_unreadable_is_tried_again_later(deliver: Deliver, account: Telegram) -> None:
    broken = refusal(400, "Bad Request: can't parse entities: strange")
    assert isinstance(wire.run(account.send(deliver(say("x")), KNOWN), broken, broken), Retry)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (wire.json_response({"ok": True, "result": {"message_id": 9}}), Sent(ids=("9",))),
        (wire.json_response({"ok": True, "result": True}), Sent()),
        (refusal(400, "Bad Request: message is not modified: x"), Sent()),
        (
            refusal(400, "Bad Request: chat not found"),
            Refused(reason="400 Bad Request: chat not found", scope="conversation"),
        ),
        (refusal(400, "Bad Request: message is too long"), Refused(reason="400 Bad Request: message is too long")),
        (refusal(401, "Unauthorized"), Refused(reason="401 Unauthorized", scope="account")),
        (refusal(403, "Forbidden: x"), Refused(reason="403 Forbidden: x", scope="conversation")),
        (refusal(404, "Not Found"), Refused(reason="404 Not Found", scope="account")),
        (refusal(409, "Conflict: x"), Refused(reason="409 Conflict: x", scope="account")),
        (refusal(413, "Request Entity Too Large"), Refused(reason="413 Request Entity Too Large")),
        (refusal(429, "x", retry_after=14), Retry(reason="429 x", after=14.0, scope="conversation")),
        (Response(status=429, headers={"retry-after": "3"}), Retry(reason="429", after=3.0, scope="conversation")),
        (Response(status=429, body=b"<html>"), Retry(reason="429", scope="conversation")),
        (Response(status=500, body=b"<html>"), Retry(reason="500")),
        (refusal(502, "Bad Gateway"), Retry(reason="502 Bad Gateway")),
        (Response(status=403, body=b"<html>"), Refused(reason="403", scope="conversation")),
    ],
)
@pytest.mark.parametrize("action", ACTIONS)
def test_every_answer_ends_in_an_outcome(
    deliver: Deliver, account: Telegram, action: Action, answer: Response, outcome: Outcome
) -> None:
    assert wire.run(account.send(deliver(action), KNOWN), answer) == outcome


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"ok": false}', b'{"ok": "yes"}', b"[1]"])
def test_a_200_that_is_no_answer_leaves_us_unsure(deliver: Deliver, account: Telegram, body: bytes) -> None:
    assert isinstance(wire.run(account.send(deliver(say("x")), KNOWN), Response(body=body)), Unsure)


def test_an_error_under_status_200_is_still_an_error(deliver: Deliver, account: Telegram) -> None:
    answer = wire.json_response({"ok": False, "error_code": 403, "description": "Forbidden"})
    assert wire.run(account.send(deliver(say("x")), KNOWN), answer) == Refused(
        reason="403 Forbidden", scope="conversation"
    )


def test_an_upgraded_group_has_moved(do: Do, deliver: Deliver, simulator: TelegramSimulator) -> None:
    simulator.migrated["-5"] = -100500
    outcome = do(say("x"), "-5")
    assert outcome == Moved(address=deliver(say("x"), "-100500").address)


def test_a_blocked_bot_stops_sending_there(do: Do, simulator: TelegramSimulator) -> None:
    simulator.blocked.add("111")
    outcome = do(say("x"))
    assert isinstance(outcome, Refused)
    assert outcome.scope == "conversation"


@pytest.mark.parametrize("action", ACTIONS)
def test_no_answer_is_the_clients_to_judge(deliver: Deliver, account: Telegram, action: Action) -> None:
    with pytest.raises(NoAnswer):
        wire.run(account.send(deliver(action), KNOWN), NoAnswer("timeout", sent=True))


def test_only_what_is_seen_once_may_be_repeated(deliver: Deliver, account: Telegram) -> None:
    requests = [next(account.send(deliver(action), KNOWN)) for action in ACTIONS]
    assert [isinstance(request, Http) and request.repeatable for request in requests] == [False] * 2 + [True] * 5


@pytest.mark.parametrize("channel", ["", "@somebody", "not a number", "9" * 40])
def test_a_place_that_does_not_exist_is_refused(do: Do, channel: str) -> None:
    outcome = do(say("x"), channel)
    assert isinstance(outcome, Refused)
    assert outcome.scope == "conversation"


def test_a_long_text_is_cut_by_what_is_seen_of_it(account: Telegram) -> None:
    text = "**" + "&" * 3000 + "**"
    assert account.split(Message(text=text)) == (Message(text=text),)


def test_measure_counts_utf16_units() -> None:
    assert (measure("🙂"), measure("<&>"), measure("**b**")) == (2, 3, 1)


parts = st.sampled_from(
    ["word ", "**bold** ", "`a < b`", "🙂", "\n\n", "```\ncode & so on\n```\n", "- item\n", "&<>*_"]
)


@settings(max_examples=25)
@given(text=st.lists(parts, min_size=1, max_size=8).map(lambda some: "".join(some) * 300))
def test_every_piece_of_a_long_text_is_taken(text: str) -> None:
    simulator = TelegramSimulator()
    simulator.unlimited()
    account = Telegram(account="tg", bot_token=Secret(simulator.token))
    address = Address(account="tg", channel="111")
    for piece in account.split(Message(text=text)) if text.strip() else ():
        delivery = Delivery(id=1, key="k", action=Say(message=piece), address=address, conversation="tg/111")
        request = next(account.send(delivery, KNOWN))
        assert isinstance(request, Http)
        url = f"/bot{simulator.token}/sendMessage"
        headers = {"content-type": "application/json"}
        simulator.handle(Http(url=url, headers=headers, body=msgspec.json.encode(request.json)))
    assert simulator.refused == []


def test_files_come_first_and_the_text_stands_under_the_first(account: Telegram) -> None:
    picture, file = Attachment(kind="image", id="a"), Attachment(kind="file", id="b")
    button = Button(text="Ok")
    message = Message(text="short", attachments=(picture, file), buttons=(button,), reply_to="4")
    assert account.split(message) == (
        Message(text="short", attachments=(picture,), reply_to="4"),
        Message(attachments=(file,), buttons=(button,)),
    )


@pytest.mark.parametrize(("kind", "text"), [("image", "word " * 300), ("sticker", "short"), ("location", "short")])
def test_a_text_that_is_no_caption_follows_the_file(account: Telegram, kind: Any, text: str) -> None:
    attachment, button = Attachment(kind=kind, id="a"), Button(text="Ok")
    file, said = account.split(Message(text=text, attachments=(attachment,), buttons=(button,), reply_to="4"))
    assert (file.attachments, file.text, file.reply_to, file.buttons) == ((attachment,), "", "4", ())
    assert (said.text.strip(), said.attachments, said.buttons) == (text.strip(), (), (button,))


def ids(outcome: Outcome) -> tuple[str, ...]:
    assert isinstance(outcome, Sent)
    return outcome.ids
