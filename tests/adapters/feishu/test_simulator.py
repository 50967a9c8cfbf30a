"""The simulator refuses each client that does what Feishu does not take."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from dragoman.testing.simulator import Fault
from dragoman.testing.simulators.feishu import BOT, FeishuSimulator, rules
from dragoman.wire import Http, Response

Call = Callable[..., Response]
JSON = "application/json; charset=utf-8"
MESSAGES = "/open-apis/im/v1/messages"
TOKEN = "/open-apis/auth/v3/tenant_access_token/internal"


def granted(simulator: FeishuSimulator, **wrong: str) -> dict[str, Any]:
    body = msgspec.json.encode({"app_id": "cli_simulated", "app_secret": "simulated-app-secret", **wrong})
    return answered(simulator.handle(Http(url=TOKEN, headers={"content-type": JSON}, body=body)))


def answered(response: Response) -> dict[str, Any]:
    answer: dict[str, Any] = msgspec.json.decode(response.body)
    return answer


def code(response: Response) -> int:
    return int(answered(response)["code"])


@pytest.fixture
def call(simulator: FeishuSimulator) -> Call:
    """Make a call as a client does; each part may be wrong."""
    token = granted(simulator)["tenant_access_token"]

    def make(
        method: str,
        path: str,
        body: Any = None,
        *,
        bearer: str = token,
        content_type: str = JSON,
        raw: bytes | None = None,
        **query: str,
    ) -> Response:
        headers = {"content-type": content_type, **({"authorization": f"Bearer {bearer}"} if bearer else {})}
        sent = msgspec.json.encode(body or {}) if raw is None else raw
        return simulator.handle(Http(method=method, url=path, query=query, headers=headers, body=sent))

    return make


def text(words: str = "hello", **facts: Any) -> dict[str, Any]:
    return {"receive_id": "oc_1", "msg_type": "text", "content": json.dumps({"text": words}), **facts}


def posted(call: Call, body: dict[str, Any] | None = None, kind: str = "chat_id", **facts: Any) -> Response:
    return call("POST", MESSAGES, body or text(), receive_id_type=kind, **facts)


def sent(call: Call, body: dict[str, Any] | None = None) -> str:
    return str(answered(posted(call, body))["data"]["message_id"])


def test_a_good_message_is_accepted_and_recorded(simulator: FeishuSimulator, call: Call) -> None:
    answer = answered(posted(call, text(uuid="k1")))

    (accepted,) = simulator.sent
    assert answer["code"] == 0
    assert (accepted.method, accepted.channel, accepted.text, accepted.key) == ("messages", "oc_1", "hello", "k1")
    assert accepted.id == answer["data"]["message_id"]
    assert simulator.refused == []


def test_a_token_is_kept_until_its_last_half_hour(simulator: FeishuSimulator, clock: list[float]) -> None:
    first = granted(simulator)
    clock[0] += 5399
    again = granted(simulator)
    clock[0] += 2
    later = granted(simulator)

    assert first["expire"] == 7200
    assert (again["tenant_access_token"], again["expire"]) == (first["tenant_access_token"], 1801)
    assert later["tenant_access_token"] != first["tenant_access_token"]


def test_a_wrong_secret_is_granted_nothing(simulator: FeishuSimulator) -> None:
    assert granted(simulator, app_secret="another")["code"] == 10014


def test_a_missing_wrong_or_dead_token_is_refused(simulator: FeishuSimulator, call: Call, clock: list[float]) -> None:
    missing, wrong = posted(call, bearer=""), posted(call, bearer="t-another")
    clock[0] += 7200
    old = posted(call)
    clock[0] -= 7200
    simulator.expire_tokens()
    revoked = posted(call)

    assert [code(each) for each in (missing, wrong, old, revoked)] == [99991661, 99991663, 99991663, 99991663]
    assert {each.status for each in (missing, wrong, old, revoked)} == {400}
    assert simulator.sent == []
    assert len(simulator.refused) == 4


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", ""])
def test_json_must_say_that_it_is_json_in_utf_8(call: Call, content_type: str) -> None:
    assert code(posted(call, content_type=content_type)) == 99991402


def test_a_broken_body_is_refused(call: Call) -> None:
    assert code(posted(call, raw=b"{")) == 230001


def test_an_unknown_call_is_refused(call: Call) -> None:
    assert call("POST", "/open-apis/im/v1/shout").status == 404
    assert call("GET", MESSAGES).status == 404


@pytest.mark.parametrize("kind", ["", "chat", "open_id", "union_id"])
def test_the_receiver_must_be_of_the_kind_that_is_named(call: Call, kind: str) -> None:
    assert code(posted(call, kind=kind)) == 230001


@pytest.mark.parametrize(
    "wrong",
    [
        {"colour": "red"},
        {"receive_id": 1},
        {"receive_id": ""},
        {"msg_type": "shout"},
        {"msg_type": None},
        {"content": {"text": "not a text"}},
        {"content": "hello"},
        {"content": "{}"},
        {"content": '{"text": ""}'},
        {"content": '{"text": "x", "colour": "red"}'},
        {"uuid": "k" * 51},
    ],
)
def test_a_wrong_field_is_refused(simulator: FeishuSimulator, call: Call, wrong: dict[str, Any]) -> None:
    assert code(posted(call, text(**wrong))) == 230001
    assert simulator.sent == []


MD = [[{"tag": "md", "text": "**x**"}]]


@pytest.mark.parametrize(
    "post",
    [
        {"title": "", "content": MD},
        {"post": {"zh_cn": {"title": "", "content": MD}}},
        {"xx_xx": {"title": "", "content": MD}},
        {"zh_cn": {"title": "", "content": []}},
        {"zh_cn": {"title": "", "content": [{"tag": "md", "text": "x"}]}},
        {"zh_cn": {"title": "", "content": [[{"tag": "marquee", "text": "x"}]]}},
    ],
)
def test_rich_text_must_stand_under_its_language_and_nothing_else(call: Call, post: Any) -> None:
    assert code(posted(call, text(msg_type="post", content=json.dumps(post)))) == 230001
    assert code(posted(call, text(msg_type="post", content=json.dumps({"zh_cn": {"content": MD}})))) == 0


def card(*elements: Any, **facts: Any) -> str:
    shown = elements or ({"tag": "markdown", "content": "x"},)
    return json.dumps({"schema": "2.0", "config": {"update_multi": True}, "body": {"elements": shown}, **facts})


LABEL = {"tag": "plain_text", "content": "Yes"}


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        card(schema="1.0"),
        card({"tag": "carousel"}),
        card({"tag": "markdown", "content": ""}),
        card({"tag": "column_set", "columns": []}),
        card({"tag": "button", "text": LABEL, "behaviors": []}),
        card({"tag": "button", "text": LABEL, "behaviors": [{"type": "callback", "value": "a text"}]}),
        card({"tag": "button", "text": "Yes", "behaviors": [{"type": "callback", "value": {}}]}),
        card({"tag": "button", "text": LABEL, "behaviors": [{"type": "open_url", "default_url": ""}]}),
    ],
)
def test_a_card_that_is_none_is_refused(call: Call, content: str) -> None:
    assert code(posted(call, text(msg_type="interactive", content=content))) == 230099


def test_too_large_a_message_is_refused(call: Call) -> None:
    large = card({"tag": "markdown", "content": "x" * rules.MAX_CARD})

    assert code(posted(call, text("x" * rules.MAX_BODY))) == 230025
    assert code(posted(call, text(msg_type="interactive", content=large))) == 230025
    assert code(posted(call, text("x" * rules.MAX_CARD))) == 0


def test_a_picture_must_be_uploaded_before_it_is_shown(call: Call) -> None:
    for kind, content in (("image", {"image_key": "img_x"}), ("file", {"file_key": "file_x"})):
        assert code(posted(call, text(msg_type=kind, content=json.dumps(content)))) == 230001


def test_the_same_uuid_is_taken_once_in_an_hour(simulator: FeishuSimulator, call: Call, clock: list[float]) -> None:
    first, again = sent(call, text(uuid="k1")), sent(call, text("changed", uuid="k1"))
    clock[0] += 3601
    later = sent(call, text(uuid="k1"))

    assert first == again != later
    assert [accepted.text for accepted in simulator.sent] == ["hello", "hello"]


def test_messages_without_uuid_are_all_taken(simulator: FeishuSimulator, call: Call) -> None:
    assert sent(call) != sent(call)
    assert len(simulator.sent) == 2


def test_a_chat_takes_so_many_messages_and_then_tells_how_long_to_wait(call: Call, clock: list[float]) -> None:
    assert [code(posted(call)) for _ in range(2)] == [0, 0]

    limited = posted(call)

    assert (limited.status, code(limited)) == (429, 99991400)
    assert limited.headers["x-ogw-ratelimit-reset"] == "1"
    assert code(posted(call, text(receive_id="oc_2"))) == 0
    clock[0] += 1.0
    assert code(posted(call)) == 0


def test_unless_told_otherwise_a_chat_takes_the_documented_five_messages_a_second(clock: list[float]) -> None:
    simulator = FeishuSimulator(clock=lambda: clock[0])
    headers = {"content-type": JSON, "authorization": f"Bearer {granted(simulator)['tenant_access_token']}"}
    request = Http(
        url=MESSAGES, query={"receive_id_type": "chat_id"}, headers=headers, body=msgspec.json.encode(text())
    )

    assert [simulator.handle(request).status for _ in range(6)] == [200] * 5 + [429]


def test_a_chat_can_be_made_unavailable(simulator: FeishuSimulator, call: Call) -> None:
    simulator.unavailable["oc_1"] = 230002

    assert code(posted(call)) == 230002


def test_a_reply_needs_a_message_that_stands(simulator: FeishuSimulator, call: Call) -> None:
    said = incoming(simulator)
    reply = {"msg_type": "text", "content": '{"text": "x"}'}

    assert code(call("POST", f"{MESSAGES}/{said}/reply", reply)) == 0
    assert code(call("POST", f"{MESSAGES}/{said}/reply", {**reply, "receive_id": "oc_1"})) == 230001
    assert code(call("POST", f"{MESSAGES}/om_unknown/reply", reply)) == 231003
    simulator.recall(said)
    assert code(call("POST", f"{MESSAGES}/{said}/reply", reply)) == 230011


def incoming(simulator: FeishuSimulator) -> str:
    simulator.webhook("a question")
    return next(reversed(simulator.messages))


def test_a_reply_in_thread_opens_a_thread_where_there_is_none(simulator: FeishuSimulator, call: Call) -> None:
    path = f"{MESSAGES}/{incoming(simulator)}/reply"
    reply = {"msg_type": "text", "content": '{"text": "x"}'}

    outside = answered(call("POST", path, reply))["data"]
    inside = answered(call("POST", path, {**reply, "reply_in_thread": True}))["data"]

    assert outside["thread_id"] == ""
    assert inside["thread_id"].startswith("omt_")


EDIT = {"msg_type": "text", "content": '{"text": "new"}'}


def test_a_text_is_edited_and_a_card_is_updated(call: Call) -> None:
    words, shown = sent(call), sent(call, text(msg_type="interactive", content=card()))

    assert code(call("PUT", f"{MESSAGES}/{words}", EDIT)) == 0
    assert code(call("PATCH", f"{MESSAGES}/{shown}", {"content": card()})) == 0
    assert code(call("PUT", f"{MESSAGES}/{shown}", EDIT)) == 230001
    assert code(call("PATCH", f"{MESSAGES}/{words}", {"content": card()})) == 230001
    assert code(call("PUT", f"{MESSAGES}/{words}", {**EDIT, "uuid": "k1"})) == 230001


def test_only_a_shared_card_is_updated(call: Call) -> None:
    single = sent(call, text(msg_type="interactive", content=card(config={})))

    assert code(call("PATCH", f"{MESSAGES}/{single}", {"content": card()})) == 230001


def test_a_message_is_edited_twenty_times(call: Call) -> None:
    message_id = sent(call)

    codes = [code(call("PUT", f"{MESSAGES}/{message_id}", EDIT)) for _ in range(21)]

    assert codes == [0] * 20 + [230072]


def test_only_the_bots_own_messages_can_be_changed(simulator: FeishuSimulator, call: Call) -> None:
    foreign = incoming(simulator)

    assert code(call("PUT", f"{MESSAGES}/{foreign}", EDIT)) == 230012
    assert code(call("DELETE", f"{MESSAGES}/{foreign}")) == 230012
    assert code(call("PUT", f"{MESSAGES}/om_unknown", EDIT)) == 231003


def test_a_deleted_message_is_gone(call: Call) -> None:
    message_id = sent(call)

    assert code(call("DELETE", f"{MESSAGES}/{message_id}")) == 0
    assert code(call("DELETE", f"{MESSAGES}/{message_id}")) == 230011


def test_a_reaction_has_a_type_that_there_is(simulator: FeishuSimulator, call: Call) -> None:
    path = f"{MESSAGES}/{incoming(simulator)}/reactions"

    assert code(call("POST", path, {"reaction_type": {"emoji_type": "THUMBSUP"}})) == 0
    assert code(call("POST", path, {"reaction_type": {"emoji_type": "thumbsup"}})) == 231001
    assert code(call("POST", path, {"emoji_type": "THUMBSUP"})) == 230001


def form(**parts: bytes) -> dict[str, Any]:
    """Write a multipart body; `image` and `file` are files."""
    lines = []
    for name, value in parts.items():
        filename = '; filename="a.bin"' if name in {"image", "file"} else ""
        head = f'--b\r\ncontent-disposition: form-data; name="{name}"{filename}\r\n\r\n'
        lines.append(head.encode() + value + b"\r\n")
    return {"raw": b"".join([*lines, b"--b--\r\n"]), "content_type": "multipart/form-data; boundary=b"}


@pytest.mark.parametrize(
    ("call_name", "parts", "expected"),
    [
        ("images", {"image_type": b"message", "image": b"x"}, 0),
        ("images", {"image_type": b"message", "image": b""}, 234010),
        ("images", {"image_type": b"other", "image": b"x"}, 234001),
        ("images", {"image": b"x"}, 234001),
        ("images", {"image_type": b"message"}, 234001),
        ("images", {"image_type": b"message", "image": b"x" * (rules.MAX_IMAGE + 1)}, 234006),
        ("files", {"file_type": b"stream", "file_name": b"a", "file": b"x"}, 0),
        ("files", {"file_type": b"stream", "file_name": b"a", "file": b""}, 234010),
        ("files", {"file_type": b"zip", "file_name": b"a", "file": b"x"}, 234001),
        ("files", {"file_type": b"stream", "file": b"x"}, 234001),
        ("files", {"file_type": b"stream", "file_name": b"a", "colour": b"red", "file": b"x"}, 234001),
    ],
)
def test_an_upload_has_its_fields_and_some_bytes(
    call: Call, call_name: str, parts: dict[str, bytes], expected: int
) -> None:
    assert code(call("POST", f"/open-apis/im/v1/{call_name}", **form(**parts))) == expected


def test_a_file_in_anything_but_a_form_is_refused(call: Call) -> None:
    parts = form(image_type=b"message", image=b"x")

    assert code(call("POST", "/open-apis/im/v1/images", raw=parts["raw"])) == 234001


def test_a_file_is_handed_out_by_its_message_and_type(simulator: FeishuSimulator, call: Call) -> None:
    simulator.shared("a.txt", b"content", mime="text/plain")
    ((message_id, key),) = simulator.resources
    path = f"{MESSAGES}/{message_id}/resources"
    simulator.message("sticker", {"file_key": "file_1"}, message_id="om_sticker")

    given = call("GET", f"{path}/{key}", type="file")

    assert (given.body, given.headers["content-type"]) == (b"content", "text/plain")
    assert code(call("GET", f"{path}/{key}", type="image")) == 234003
    assert code(call("GET", f"{path}/other", type="file")) == 234003
    assert code(call("GET", f"{path}/{key}", type="sticker")) == 234001
    assert code(call("GET", f"{MESSAGES}/om_sticker/resources/file_1", type="file")) == 234043


def test_the_bot_has_an_open_id(call: Call) -> None:
    assert answered(call("GET", "/open-apis/bot/v3/info"))["bot"]["open_id"] == BOT


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("POST", TOKEN, "internal"),
        ("GET", "/open-apis/bot/v3/info", "info"),
        ("POST", MESSAGES, "messages"),
        ("POST", f"{MESSAGES}/om_1/reply", "reply"),
        ("PUT", f"{MESSAGES}/om_1", "messages.edit"),
        ("PATCH", f"{MESSAGES}/om_1", "messages.patch"),
        ("DELETE", f"{MESSAGES}/om_1", "messages.delete"),
        ("POST", f"{MESSAGES}/om_1/reactions", "reactions"),
        ("GET", f"{MESSAGES}/om_1/resources/file_1", "resources"),
        ("POST", "/open-apis/im/v1/images", "images"),
        ("POST", "/open-apis/im/v1/files", "files"),
    ],
)
def test_each_call_has_a_name(simulator: FeishuSimulator, method: str, path: str, name: str) -> None:
    assert simulator.method_of(Http(method=method, url=f"https://feishu.test{path}")) == name


async def test_trouble_is_made_by_the_calls_name(simulator: FeishuSimulator) -> None:
    simulator.fail(Fault(method="reply", status=503))

    answer = await simulator.answer(Http(url=f"{MESSAGES}/om_1/reply"))

    assert answer.status == 503
    assert simulator.calls == ["reply"]
