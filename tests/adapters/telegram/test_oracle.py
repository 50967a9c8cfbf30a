"""python-telegram-bot as the judge of our payloads and of our simulator."""

import datetime as dt
from collections.abc import AsyncIterator

import msgspec
import pytest
import telegram
from telegram.request import HTTPXRequest

from dragoman.adapter import Known, Me
from dragoman.adapters.telegram import Telegram
from dragoman.testing.simulator import serve
from dragoman.testing.simulators.telegram import TelegramSimulator

KNOWN = Known(now=0.0, me=Me(id="7001", name="dragoman_bot"))


@pytest.fixture
async def bot(simulator: TelegramSimulator) -> AsyncIterator[telegram.Bot]:
    """The official-shape client, at the simulator instead of Telegram."""
    async with serve(simulator) as base:
        client = telegram.Bot(
            simulator.token,
            base_url=f"{base}/bot",
            base_file_url=f"{base}/file/bot",
            request=HTTPXRequest(httpx_kwargs={"trust_env": False}),
        )
        async with client:
            yield client


@pytest.mark.parametrize("text", ["hello", "/ask 🙂 what now", "hi @dragoman_bot 👨‍👩‍👧", "/ask@dragoman_bot"])
def test_the_library_and_the_adapter_read_the_same_message(
    simulator: TelegramSimulator, account: Telegram, text: str
) -> None:
    request = simulator.webhook(text, sender="42", channel="-100200")
    theirs = telegram.Update.de_json(msgspec.json.decode(request.body)).message
    (event,) = account.parse(account.verify(request, KNOWN), KNOWN).events
    assert theirs is not None
    assert theirs.from_user is not None
    assert (event.message_id, event.text_as_sent) == (str(theirs.message_id), theirs.text)
    assert (event.sender.id, event.sender.name) == (str(theirs.from_user.id), theirs.from_user.full_name)
    assert dt.datetime.fromtimestamp(event.at, dt.UTC) == theirs.date
    written = [theirs.parse_entity(entity) for entity in theirs.entities]
    assert event.mentions_bot == any("@dragoman_bot" in text or text.startswith("/") for text in written)


def test_the_library_and_the_adapter_read_the_same_callback(simulator: TelegramSimulator, account: Telegram) -> None:
    request = simulator.signed(simulator.press("opt:1", message_id=9))
    theirs = telegram.Update.de_json(msgspec.json.decode(request.body)).callback_query
    (event,) = account.parse(account.verify(request, KNOWN), KNOWN).events
    assert theirs is not None
    assert (event.value["interaction_id"], event.value["action_value"]) == (theirs.id, theirs.data)


async def test_the_simulator_takes_what_the_library_sends(simulator: TelegramSimulator, bot: telegram.Bot) -> None:
    buttons = telegram.InlineKeyboardMarkup([[telegram.InlineKeyboardButton("Yes", callback_data="y")]])
    message = await bot.send_message(111, "<b>hello</b>", parse_mode="HTML", reply_markup=buttons)
    await bot.edit_message_text("changed", chat_id=111, message_id=message.message_id)
    await bot.send_chat_action(111, "typing")
    document = await bot.send_document(111, document=b"bytes", filename="a.txt", caption="see")
    assert simulator.refused == []
    assert [(sent.method, sent.text) for sent in simulator.sent] == [
        ("sendMessage", "hello"),
        ("editMessageText", "changed"),
        ("sendChatAction", "typing"),
        ("sendDocument", "see"),
    ]
    assert simulator.sent[-1].body["document"].content == b"bytes"
    assert str(document.message_id) == simulator.sent[-1].id


async def test_the_library_polls_and_downloads_from_the_simulator(
    simulator: TelegramSimulator, bot: telegram.Bot
) -> None:
    number = simulator.deliver("hello")
    (update,) = await bot.get_updates(timeout=1)
    assert update.update_id == number
    file = await bot.get_file(simulator.keep(b"content"))
    assert bytes(await file.download_as_bytearray()) == b"content"


async def test_the_library_reads_our_refusals_as_telegrams(simulator: TelegramSimulator, bot: telegram.Bot) -> None:
    simulator.migrated["-5"] = -100500
    simulator.blocked.add("6")
    with pytest.raises(telegram.error.ChatMigrated) as moved:
        await bot.send_message(-5, "x")
    assert moved.value.new_chat_id == -100500
    with pytest.raises(telegram.error.Forbidden):
        await bot.send_message(6, "x")
    with pytest.raises(telegram.error.BadRequest, match="not found"):
        await bot.delete_message(111, 4)
