"""The generic webhook over real HTTP: who may call, what is understood, and what comes back."""

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.web.conftest import Site, Start

MIB = 1 << 20


async def test_only_content_is_needed(site: "Site") -> None:
    answer = await site.post({"content": "hello"})

    assert answer.status == 200
    assert answer.json["reply"] == "counted hello"
    assert answer.json["replies"] == [{"text": "counted hello"}]
    assert answer.json["conversation_id"] == "anonymous"
    assert answer.json["id"]


async def test_a_conversation_is_the_sender_s_unless_it_is_named(site: "Site") -> None:
    own = await site.post({"content": "hello", "sender_id": "ada"})
    named = await site.post({"content": "hello", "sender_id": "ada", "conversation_id": "desk"})

    assert own.json["conversation_id"] == "ada"
    assert named.json["conversation_id"] == "desk"


async def test_the_whole_common_form_is_understood(site: "Site") -> None:
    form = {
        "id": "m-1",
        "platform": "webhook",
        "sender_id": "ada",
        "sender_name": "Ada",
        "message_type": "text",
        "content": "  hello  ",
        "timestamp": 1_700_000_000.25,
        "attachments": [{"kind": "image", "url": "https://example.org/a.png"}],
        "conversation_id": "desk",
        "thread_id": "7",
        "chat_kind": "group",
        "mentions_bot": True,
        "reply_to": "m-0",
    }

    answer = await site.post(form)

    assert answer.status == 200
    assert answer.json["id"] == "m-1"
    assert site.turns() == ["hello"]


async def test_the_account_named_webhook_is_reached_at_webhook_too(site: "Site") -> None:
    answer = await site.post({"content": "hello"}, path="/webhook")

    assert answer.json["reply"] == "counted hello"


@pytest.mark.parametrize("token", ["", "wrong", "a-token-of-the-test", "a-token-of-the-tests-and-more"])
async def test_a_missing_or_wrong_token_is_refused_and_nothing_is_stored(site: "Site", token: str) -> None:
    answer = await site.post({"content": "hello", "id": "forged"}, token=token)

    assert answer.status == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert await site.ask("trace", id="forged") is None


async def test_a_token_in_another_scheme_is_refused(site: "Site") -> None:
    answer = await site.post({"content": "hello"}, token="", authorization="Basic a-token-of-the-tests")

    assert answer.status == 401


@pytest.mark.parametrize(
    ("form", "named"),
    [
        ({}, "content"),
        ({"content": 7}, "content"),
        ({"content": None}, "content"),
        ({"content": "hello", "sender_id": 7}, "sender_id"),
        ({"content": "hello", "timestamp": "today"}, "timestamp"),
        ({"content": "hello", "attachments": "none"}, "attachments"),
        ({"content": "hello", "chat_kind": "party"}, "chat_kind"),
        ({"content": ""}, "content is empty"),
        ({"content": "  \n "}, "content is empty"),
        (["hello"], "object"),
        ("hello", "object"),
    ],
)
async def test_a_form_that_is_not_understood_is_refused_with_the_reason(site: "Site", form: object, named: str) -> None:
    answer = await site.post(form)

    assert answer.status == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert named in answer.json["detail"]
    assert site.turns() == []


DEEP = b"[" * 200_000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b'{"content": "hello"',
        b"content=hello",
        b'{"content": "\xff"}',
        b'{"content": "hello", "value": ' + DEEP + b"]" * len(DEEP) + b"}",
    ],
    ids=["empty", "text", "cut", "form", "not UTF-8", "deep"],
)
async def test_what_is_no_json_is_a_bad_request(site: "Site", body: bytes) -> None:
    answer = await site.post(body)

    assert answer.status == 400
    assert site.turns() == []


async def test_deep_nesting_without_end_is_a_bad_request(site: "Site") -> None:
    answer = await site.post(DEEP)

    assert answer.status in {400, 422}


HEAD = b"POST /hooks/webhook HTTP/1.1\r\nhost: localhost\r\n"


async def test_a_body_that_declares_more_than_a_mebibyte_is_refused_unread(site: "Site") -> None:
    line = await site.raw(HEAD, b"content-length: %d\r\n\r\n" % (MIB + 1))

    assert b" 413 " in line


async def test_a_body_that_grows_past_a_mebibyte_is_refused(site: "Site") -> None:
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"

    line = await site.raw(HEAD, b"transfer-encoding: chunked\r\n\r\n", *[chunk] * 17)

    assert b" 413 " in line


async def test_headers_without_end_are_refused(site: "Site") -> None:
    lines = [b"x-%d: " % number + b"x" * 60_000 + b"\r\n" for number in range(100)]

    line = await site.raw(HEAD, *lines)

    assert line == b"" or line.split()[1] in {b"400", b"413", b"431"}


async def test_a_body_of_exactly_a_mebibyte_is_read(site: "Site") -> None:
    head, tail = b'{"content": "hello", "padding": "', b'"}'

    answer = await site.post(head + b"x" * (MIB - len(head) - len(tail)) + tail)

    assert answer.status == 200


async def test_a_caller_that_leaves_within_its_body_disturbs_nobody(site: "Site") -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(b"POST /hooks/webhook HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{")
    writer.close()
    await writer.wait_closed()

    answer = await site.post({"content": "hello"})

    assert answer.status == 200


async def test_a_get_carries_no_proof(site: "Site") -> None:
    assert (await site.get("/hooks/webhook")).status == 401


async def test_a_method_that_no_webhook_uses_is_not_allowed(site: "Site") -> None:
    assert (await site.request("DELETE", "/hooks/webhook")).status == 405


@pytest.mark.parametrize("path", ["/hooks/nobody", "/hooks/", "/hooks/webhook/more", "/hooks/web", "/hooks/terminal"])
async def test_an_account_that_takes_no_webhooks_is_not_found(site: "Site", path: str) -> None:
    answer = await site.post({"content": "hello"}, path=path)

    assert answer.status == 404


async def test_two_hundred_callers_at_once_are_all_answered(site: "Site") -> None:
    forms = [{"content": f"n{number}", "sender_id": f"s{number % 50}"} for number in range(200)]

    answers = await asyncio.gather(*(site.post(form) for form in forms))

    assert [answer.status for answer in answers] == [200] * 200
    assert [answer.json["reply"] for answer in answers] == [f"counted n{number}" for number in range(200)]
    assert sorted(site.turns()) == sorted(f"n{number}" for number in range(200))


async def test_one_conversation_is_answered_in_the_order_of_its_questions(site: "Site") -> None:
    for number in range(20):
        await site.post({"content": f"n{number}"})

    assert site.turns() == [f"n{number}" for number in range(20)]


async def test_buttons_come_as_data(start: "Start") -> None:
    async with start() as site:
        answer = await site.post({"content": "help"})

    assert "time" in answer.json["reply"]
    assert {"text": "Time", "value": "Time"} in answer.json["replies"][0]["buttons"]


async def test_a_switched_off_account_is_not_found(start: "Start") -> None:
    account: dict[str, Any] = {"platform": "webhook", "token": "t", "enabled": False}
    async with start({"webhook": account}) as site:
        answer = await site.post({"content": "hello"}, token="t")

    assert answer.status == 404
