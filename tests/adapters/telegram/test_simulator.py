"""The simulator is strict: each test is a deliberately wrong client, and what it is told."""

import asyncio
from typing import Any

import msgspec
import pytest

from dragoman.testing.simulator import Fault
from dragoman.testing.simulators.telegram import TelegramSimulator
from dragoman.wire import Http, Response

HELLO = {"chat_id": 111, "text": "hello"}


def request(simulator: TelegramSimulator, method: str, body: Any, **facts: Any) -> Http:
    headers = {"content-type": "application/json"}
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return Http(**{"url": f"/bot{simulator.token}/{method}", "headers": headers, "body": raw, **facts})


def call(simulator: TelegramSimulator, method: str, body: Any, **facts: Any) -> Response:
    return simulator.handle(request(simulator, method, body, **facts))


def result(response: Response) -> Any:
    answer = msgspec.json.decode(response.body)
    assert answer["ok"], answer
    return answer["result"]


def refused(simulator: TelegramSimulator, response: Response) -> tuple[int, str]:
    """Return status and description, having checked that nothing was taken and that it was recorded."""
    answer = msgspec.json.decode(response.body)
    assert answer["ok"] is False
    assert simulator.refused == [answer["description"]]
    return response.status, answer["description"]


@pytest.mark.parametrize(
    ("token", "status"), [("7001", 404), ("7001:short", 404), ("x:" + "a" * 35, 404), ("7001:" + "a" * 35, 401)]
)
def test_a_wrong_token_is_refused(simulator: TelegramSimulator, token: str, status: int) -> None:
    answer = call(simulator, "getMe", {}, url=f"/bot{token}/getMe")
    assert refused(simulator, answer)[0] == status


@pytest.mark.parametrize("method", ["sendmessage", "sendAnything"])
def test_an_unknown_method_is_refused(simulator: TelegramSimulator, method: str) -> None:
    assert refused(simulator, call(simulator, method, HELLO)) == (404, "Not Found")


@pytest.mark.parametrize(
    ("method", "body", "description"),
    [
        ("sendMessage", {**HELLO, "txt": "x"}, "unknown parameter 'txt'"),
        ("sendMessage", {"text": "hello"}, "'chat_id' is required"),
        ("sendMessage", {"chat_id": 111}, "message text is empty"),
        ("sendMessage", {**HELLO, "text": " \n"}, "message text is empty"),
        ("sendMessage", {**HELLO, "text": 5}, "'text' must be a string"),
        ("sendMessage", {**HELLO, "text": "x" * 4097}, "message is too long"),
        ("sendMessage", {**HELLO, "text": "🙂" * 2049}, "message is too long"),
        ("sendMessage", {**HELLO, "chat_id": "somebody"}, "chat not found"),
        ("sendMessage", {**HELLO, "text": "<b>x", "parse_mode": "HTML"}, "can't parse entities: Can't find end tag"),
        ("sendMessage", {**HELLO, "text": "x</b>", "parse_mode": "HTML"}, "can't parse entities: Unexpected end tag"),
        ("sendMessage", {**HELLO, "text": "<b><i>x</b></i>", "parse_mode": "HTML"}, "can't parse entities: Unmatched"),
        ("sendMessage", {**HELLO, "text": "<p>x</p>", "parse_mode": "HTML"}, 'Unsupported start tag "p"'),
        (
            "sendMessage",
            {**HELLO, "text": "1 < 2", "parse_mode": "HTML"},
            "can't parse entities: Unsupported start tag",
        ),
        ("sendMessage", {**HELLO, "text": "<span>x</span>", "parse_mode": "HTML"}, "tg-spoiler"),
        ("sendMessage", {**HELLO, "parse_mode": "BBCode"}, "parse_mode"),
        ("sendMessage", {**HELLO, "reply_parameters": {"message_id": 4}}, "message to be replied not found"),
        ("sendPhoto", {"chat_id": 111, "photo": "nonsense"}, "wrong file identifier"),
        ("sendPhoto", {"chat_id": 111, "photo": "https://x.example/a", "caption": "x" * 1025}, "caption is too long"),
        ("editMessageText", {**HELLO, "message_id": 4}, "message to edit not found"),
        ("editMessageText", {**HELLO, "message_id": "four"}, "message identifier is not specified"),
        ("deleteMessage", {"chat_id": 111, "message_id": 4}, "message to delete not found"),
        ("setMessageReaction", {"chat_id": 111, "message_id": 4}, "message to react not found"),
        ("sendChatAction", {"chat_id": 111, "action": "thinking"}, "wrong parameter action"),
        ("answerCallbackQuery", {"callback_query_id": "never"}, "query is too old"),
        ("getFile", {"file_id": "never"}, "invalid file_id"),
        ("setWebhook", {"url": "http://x.example/"}, "HTTPS URL"),
        ("setWebhook", {"url": "https://x.example:8080/"}, "ports"),
        ("setWebhook", {"url": "https://x.example/", "secret_token": "not allowed"}, "unallowed characters"),
    ],
)
def test_a_careless_call_is_refused(
    simulator: TelegramSimulator, method: str, body: dict[str, Any], description: str
) -> None:
    status, said = refused(simulator, call(simulator, method, body))
    assert status == 400
    assert description in said
    assert simulator.sent == []


@pytest.mark.parametrize(
    ("button", "description"),
    [
        ({"text": "x", "callback_data": "ä" * 33}, "BUTTON_DATA_INVALID"),
        ({"text": "x", "callback_data": ""}, "BUTTON_DATA_INVALID"),
        ({"text": "x"}, "inline keyboard button"),
        ({"text": "x", "callback_data": "a", "url": "https://x.example"}, "inline keyboard button"),
        ({"callback_data": "a"}, "inline keyboard button"),
    ],
)
def test_a_button_that_does_nothing_or_too_much_is_refused(
    simulator: TelegramSimulator, button: dict[str, str], description: str
) -> None:
    answer = call(simulator, "sendMessage", {**HELLO, "reply_markup": {"inline_keyboard": [[button]]}})
    assert description in refused(simulator, answer)[1]


def test_a_keyboard_that_is_no_grid_is_refused(simulator: TelegramSimulator) -> None:
    keyboard = {"inline_keyboard": [{"text": "x", "callback_data": "a"}]}
    answer = call(simulator, "sendMessage", {**HELLO, "reply_markup": keyboard})
    assert "inline keyboard" in refused(simulator, answer)[1]


def test_two_reactions_are_refused(simulator: TelegramSimulator) -> None:
    number = simulator.message("hi")["message"]["message_id"]
    thumbs = [{"type": "emoji", "emoji": "👍"}, {"type": "emoji", "emoji": "👎"}]
    answer = call(simulator, "setMessageReaction", {"chat_id": 111, "message_id": number, "reaction": thumbs})
    assert refused(simulator, answer)[1] == "Bad Request: REACTIONS_TOO_MANY"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [("text/plain", b'{"chat_id": 111}'), ("application/json", b"chat_id=111"), ("application/json", b"[]")],
)
def test_a_body_of_the_wrong_kind_is_refused(simulator: TelegramSimulator, content_type: str, body: bytes) -> None:
    answer = call(simulator, "sendMessage", body, headers={"content-type": content_type})
    assert refused(simulator, answer)[0] == 400


def test_a_form_is_read_as_json_is(simulator: TelegramSimulator) -> None:
    body = b"chat_id=111&text=hello&reply_markup=%7B%22inline_keyboard%22%3A%5B%5D%7D"
    call(simulator, "sendMessage", body, headers={"content-type": "application/x-www-form-urlencoded"})
    assert simulator.sent[0].body["reply_markup"] == {"inline_keyboard": []}


def test_uploaded_bytes_are_kept_as_they_are(simulator: TelegramSimulator) -> None:
    content = bytes(range(256)) + b"\r\n\n\r--x"
    head = b'--y\r\ncontent-disposition: form-data; name="chat_id"\r\n\r\n111\r\n'
    file = b'--y\r\ncontent-disposition: form-data; name="document"; filename="a.bin"\r\n\r\n'
    body = head + file + content + b"\r\n--y--\r\n"
    call(simulator, "sendDocument", body, headers={"content-type": "multipart/form-data; boundary=y"})
    assert simulator.sent[0].body["document"].content == content


def test_an_edit_that_changes_nothing_is_refused(simulator: TelegramSimulator) -> None:
    number = result(call(simulator, "sendMessage", HELLO))["message_id"]
    answer = call(simulator, "editMessageText", {**HELLO, "message_id": number})
    assert "message is not modified" in refused(simulator, answer)[1]


def test_a_picture_has_no_text_to_edit(simulator: TelegramSimulator) -> None:
    photo = {"chat_id": 111, "photo": "https://x.example/a.png"}
    number = result(call(simulator, "sendPhoto", photo))["message_id"]
    answer = call(simulator, "editMessageText", {**HELLO, "message_id": number})
    assert "there is no text in the message to edit" in refused(simulator, answer)[1]


def test_a_callback_answered_twice_is_refused(simulator: TelegramSimulator) -> None:
    query = {"callback_query_id": simulator.press("x", message_id=5)["callback_query"]["id"]}
    assert result(call(simulator, "answerCallbackQuery", query)) is True
    assert "query is too old" in refused(simulator, call(simulator, "answerCallbackQuery", query))[1]


def test_an_answer_too_long_to_show_is_refused(simulator: TelegramSimulator) -> None:
    query = simulator.press("x", message_id=5)["callback_query"]["id"]
    answer = call(simulator, "answerCallbackQuery", {"callback_query_id": query, "text": "x" * 201})
    assert refused(simulator, answer)[1] == "Bad Request: MESSAGE_TOO_LONG"


def test_too_many_messages_in_one_chat_are_told_to_wait() -> None:
    now = [100.0]
    simulator = TelegramSimulator(clock=lambda: now[0], per_chat=1, per_second=30)
    assert call(simulator, "sendMessage", HELLO).status == 200
    answer = call(simulator, "sendMessage", HELLO)
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")
    assert msgspec.json.decode(answer.body)["parameters"] == {"retry_after": 1}
    now[0] += 1.1
    assert call(simulator, "sendMessage", HELLO).status == 200


def test_too_many_messages_in_all_chats_are_told_to_wait() -> None:
    simulator = TelegramSimulator(clock=lambda: 100.0, per_chat=1, per_second=30)
    statuses = [call(simulator, "sendMessage", {**HELLO, "chat_id": chat}).status for chat in range(1, 32)]
    assert statuses == [200] * 30 + [429]


def test_a_poll_while_a_webhook_is_set_is_a_conflict(simulator: TelegramSimulator) -> None:
    call(simulator, "setWebhook", {"url": "https://x.example/hooks/tg", "secret_token": "s"})
    assert result(call(simulator, "getWebhookInfo", {}))["url"] == "https://x.example/hooks/tg"
    assert refused(simulator, call(simulator, "getUpdates", {}))[0] == 409
    call(simulator, "deleteWebhook", {})
    assert call(simulator, "getUpdates", {}).status == 200


async def test_a_second_poll_ends_the_first_with_a_conflict(simulator: TelegramSimulator) -> None:
    first = asyncio.create_task(simulator.answer(request(simulator, "getUpdates", {"timeout": 50})))
    await asyncio.sleep(0)
    await simulator.answer(request(simulator, "getUpdates", {}))
    assert (await first).status == 409


async def test_a_poll_with_nothing_new_ends_when_its_time_is_up(simulator: TelegramSimulator) -> None:
    answer = await simulator.answer(request(simulator, "getUpdates", {"timeout": 0}))
    assert result(answer) == []


def test_an_offset_confirms_what_is_below_it(simulator: TelegramSimulator) -> None:
    numbers = [simulator.deliver(text) for text in ("a", "b", "c")]
    answer = result(call(simulator, "getUpdates", {"offset": numbers[1]}))
    assert [update["update_id"] for update in answer] == numbers[1:]
    assert len(result(call(simulator, "getUpdates", {"limit": 1}))) == 1


def test_a_negative_offset_forgets_all_but_the_last(simulator: TelegramSimulator) -> None:
    numbers = [simulator.deliver(text) for text in ("a", "b", "c")]
    answer = result(call(simulator, "getUpdates", {"offset": -1}))
    assert [update["update_id"] for update in answer] == numbers[2:]


def test_an_update_that_was_not_asked_for_does_not_come(simulator: TelegramSimulator) -> None:
    call(simulator, "getUpdates", {"allowed_updates": ["callback_query"]})
    simulator.deliver("unasked")
    simulator.queue(simulator.press("x", message_id=5))
    (update,) = result(call(simulator, "getUpdates", {}))
    assert "callback_query" in update


def test_a_file_is_served_to_the_token_alone(simulator: TelegramSimulator) -> None:
    path = result(call(simulator, "getFile", {"file_id": simulator.keep(b"content")}))["file_path"]
    download = Http(method="GET", url=f"/file/bot{simulator.token}/{path}")
    assert simulator.handle(download).body == b"content"
    stranger = Http(method="GET", url=f"/file/bot7001:{'a' * 35}/{path}")
    assert simulator.handle(stranger).status == 401
    missing = Http(method="GET", url=f"/file/bot{simulator.token}/documents/none")
    assert simulator.handle(missing).status == 404


async def test_scripted_trouble_comes_before_the_call_is_taken(simulator: TelegramSimulator) -> None:
    simulator.fail(Fault(method="sendMessage", status=502))
    assert (await simulator.answer(request(simulator, "sendMessage", HELLO))).status == 502
    assert (await simulator.answer(request(simulator, "sendMessage", HELLO))).status == 200
    assert len(simulator.sent) == 1


def test_a_webhook_marks_commands_and_mentions_as_telegram_does(simulator: TelegramSimulator) -> None:
    message = simulator.message("/ask@dragoman_bot 🙂 @dragoman_bot", channel="-100200", sender="7")["message"]
    assert [(each["type"], each["offset"], each["length"]) for each in message["entities"]] == [
        ("bot_command", 0, 17),
        ("mention", 21, 13),
    ]
    assert (message["chat"]["type"], message["from"]["id"]) == ("supergroup", 7)


def test_every_message_has_ids_of_its_own(simulator: TelegramSimulator) -> None:
    updates = [simulator.message("hi", sender=name) for name in ("a", "a", "b")]
    assert len({update["update_id"] for update in updates}) == 3
    assert len({update["message"]["message_id"] for update in updates}) == 3
    assert len({update["message"]["chat"]["id"] for update in updates}) == 2
