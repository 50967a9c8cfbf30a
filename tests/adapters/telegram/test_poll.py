"""Long polling: the cursor, the strange update in between, and who must be called when it is refused."""

import asyncio
import json
from typing import Any

import msgspec
import pytest

from dragoman import wire
from dragoman.adapter import Known, Me, Polled
from dragoman.adapters.telegram import Telegram
from dragoman.errors import NoAnswer
from dragoman.testing.simulators.telegram import TelegramSimulator
from dragoman.wire import Http, Response


def known_at(cursor: str = "") -> Known:
    return Known(now=1_800_000_000.0, me=Me(id="7001", name="dragoman_bot"), cursor=cursor)


def asked(account: Telegram, cursor: str = "") -> Http:
    request = next(account.poll(known_at(cursor)))
    assert isinstance(request, Http)
    return request


def polled(account: Telegram, *updates: Any, cursor: str = "") -> Polled:
    answer = wire.json_response({"ok": True, "result": updates})
    return wire.run(account.poll(known_at(cursor)), answer)


def refused(account: Telegram, status: int, description: str, **parameters: int) -> Polled:
    answer = {"ok": False, "error_code": status, "description": description, "parameters": parameters}
    return wire.run(account.poll(known_at("9")), wire.json_response(answer, status))


def text_update(number: int, text: str = "hi") -> dict[str, Any]:
    chat = {"id": 111, "type": "private"}
    sender = {"id": 111, "is_bot": False, "first_name": "Ada"}
    return {
        "update_id": number,
        "message": {"message_id": number, "date": 1, "chat": chat, "from": sender, "text": text},
    }


def test_the_first_poll_takes_all_that_waits(poller: Telegram) -> None:
    request = asked(poller)
    assert request.json is not None
    assert "offset" not in request.json
    assert {"message_reaction", "my_chat_member", "callback_query"} <= set(request.json["allowed_updates"])


def test_a_later_poll_confirms_what_was_stored(poller: Telegram) -> None:
    request = asked(poller, cursor="1003")
    assert request.json is not None
    assert request.json["offset"] == 1003


def test_the_client_waits_longer_than_the_server(poller: Telegram) -> None:
    request = asked(poller)
    assert request.json is not None
    assert request.timeout > request.json["timeout"]
    assert request.repeatable


def test_the_token_is_named_and_not_carried(poller: Telegram) -> None:
    request = asked(poller)
    assert poller.bot_token.reveal() not in repr(request)
    assert request.url.endswith("/bot{credential}/getUpdates")


def test_the_cursor_is_the_number_after_the_highest(poller: Telegram) -> None:
    result = polled(poller, text_update(8), text_update(12), text_update(11), cursor="8")
    assert result.cursor == "13"
    assert [event.message_id for event in result.receipt.events] == ["8", "12", "11"]


@pytest.mark.parametrize("cursor", ["", "77"])
def test_nothing_new_leaves_the_cursor(poller: Telegram, cursor: str) -> None:
    assert polled(poller, cursor=cursor) == Polled(cursor=cursor)


def test_a_strange_update_does_not_hold_back_those_behind_it(poller: Telegram) -> None:
    result = polled(poller, {"update_id": 8, "message": "strange"}, text_update(9))
    assert result.cursor == "10"
    assert [json.loads(raw) for raw in result.receipt.malformed] == [{"update_id": 8, "message": "strange"}]
    assert [event.message_id for event in result.receipt.events] == ["9"]


def test_updates_without_a_number_are_not_asked_for_again_at_once(poller: Telegram) -> None:
    result = polled(poller, {"strange": True}, cursor="5")
    assert (result.cursor, result.receipt.events) == ("5", ())
    assert result.after > 0


def test_an_update_has_the_same_key_by_poll_and_by_webhook(poller: Telegram, account: Telegram) -> None:
    update = text_update(8)
    request = TelegramSimulator().signed(update)
    hooked = account.parse(account.verify(request, known_at()), known_at())
    assert polled(poller, update).receipt.events == hooked.events


@pytest.mark.parametrize(
    ("status", "description", "halt"),
    [
        (409, "Conflict: terminated by other getUpdates request", "another_instance"),
        (409, "Conflict: can't use getUpdates method while webhook is active", "webhook_active"),
        (401, "Unauthorized", "unauthorized"),
        (404, "Not Found", "unauthorized"),
    ],
)
def test_what_only_the_operator_can_end_is_named(poller: Telegram, status: int, description: str, halt: str) -> None:
    result = refused(poller, status, description)
    assert (result.halt, result.cursor) == (halt, "9")
    assert result.after >= 30


def test_a_429_says_how_long_to_wait(poller: Telegram) -> None:
    assert refused(poller, 429, "Too Many Requests", retry_after=14) == Polled(cursor="9", after=14.0)


@pytest.mark.parametrize(
    "answer",
    [
        Response(status=500, body=b"<html>"),
        Response(status=502),
        Response(body=b"not json"),
        Response(body=b'{"ok": true, "result": {}}'),
        Response(body=b'{"ok": false}'),
    ],
)
def test_trouble_leaves_the_cursor_and_waits_a_little(poller: Telegram, answer: Response) -> None:
    result = wire.run(poller.poll(known_at("9")), answer)
    assert (result.cursor, result.halt, result.receipt.events) == ("9", "", ())
    assert 0 < result.after < 10


def test_no_answer_is_the_clients_to_judge(poller: Telegram) -> None:
    with pytest.raises(NoAnswer):
        wire.run(poller.poll(known_at()), NoAnswer("timeout", sent=True))


@pytest.fixture
def idle() -> TelegramSimulator:
    return TelegramSimulator(secret="")


async def test_a_message_is_polled_from_the_simulator_and_confirmed(idle: TelegramSimulator, poller: Telegram) -> None:
    number = idle.deliver("hello")
    first = await ask(poller, idle)
    assert [event.text for event in first.receipt.events] == ["hello"]
    assert first.cursor == str(number + 1)
    assert (await ask(poller, idle, first.cursor)).receipt.events == ()


async def test_an_unconfirmed_message_comes_again(idle: TelegramSimulator, poller: Telegram) -> None:
    idle.deliver("hello")
    assert (await ask(poller, idle)).receipt.events == (await ask(poller, idle)).receipt.events != ()


async def test_a_long_poll_ends_when_a_message_comes(idle: TelegramSimulator, poller: Telegram) -> None:
    waiting = asyncio.create_task(ask(poller, idle, wait=50))
    await asyncio.sleep(0)
    idle.deliver("at last")
    assert [event.text for event in (await waiting).receipt.events] == ["at last"]


async def test_a_second_poller_ends_the_first(idle: TelegramSimulator, poller: Telegram) -> None:
    first = asyncio.create_task(ask(poller, idle, wait=50))
    await asyncio.sleep(0)
    second = await ask(poller, idle)
    assert ((await first).halt, second.halt) == ("another_instance", "")


async def test_a_webhook_that_is_set_stops_the_poll(idle: TelegramSimulator, poller: Telegram) -> None:
    idle.hook = "https://bot.example/hooks/tg"
    assert (await ask(poller, idle)).halt == "webhook_active"


async def ask(account: Telegram, simulator: TelegramSimulator, cursor: str = "", wait: int = 0) -> Polled:
    exchange = account.poll(known_at(cursor))
    request = next(exchange)
    assert isinstance(request, Http)
    call = Http(
        url=request.url.replace("{credential}", simulator.token),
        headers={"content-type": "application/json"},
        body=msgspec.json.encode({**(request.json or {}), "timeout": wait}),
    )
    answer = await simulator.answer(call)
    with pytest.raises(StopIteration) as stopped:
        exchange.send(answer)
    result: Polled = stopped.value.value
    return result
