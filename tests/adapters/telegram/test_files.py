"""Files in: where a file is, how it is fetched, and what is refused before it is asked for."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from dragoman import wire
from dragoman.adapter import Known
from dragoman.adapters.telegram import Telegram
from dragoman.errors import MediaRefused
from dragoman.model import Attachment, Media
from dragoman.testing.simulators.telegram import TelegramSimulator
from dragoman.wire import Exchange, Http, Response

Perform = Callable[[Exchange[Any]], Any]
KNOWN = Known(now=0.0)
FOUND = wire.json_response({"ok": True, "result": {"file_id": "F", "file_path": "documents/a b.pdf"}})


def test_a_file_is_fetched_into_the_media_store(
    account: Telegram, perform: Perform, simulator: TelegramSimulator
) -> None:
    content = bytes(range(256))
    number = simulator.keep(content, "report.pdf")
    attachment = Attachment(kind="file", id=number, name="report.pdf", mime="application/pdf", size=256)
    media = perform(account.fetch(attachment, KNOWN))
    ref = hashlib.sha256(content).hexdigest()
    assert media == Media(ref=ref, size=256, mime="application/pdf", name="report.pdf")


def test_the_download_streams_and_names_its_credential(account: Telegram) -> None:
    exchange = account.fetch(Attachment(kind="file", id="F"), KNOWN)
    next(exchange)
    request = exchange.send(FOUND)
    assert isinstance(request, Http)
    assert request.url == "https://telegram.test/file/bot{credential}/documents/a%20b.pdf"
    assert (request.method, request.into, request.place) == ("GET", "media", "path")
    assert request.auth is not None


@pytest.mark.parametrize("attachment", [Attachment(kind="file", id="F", size=(20 << 20) + 1), Attachment(kind="file")])
def test_what_cannot_be_fetched_is_not_asked_for(account: Telegram, attachment: Attachment) -> None:
    with pytest.raises(MediaRefused):
        wire.run(account.fetch(attachment, KNOWN))


@pytest.mark.parametrize(
    "answers",
    [
        [Response(status=400, body=b'{"ok":false,"error_code":400,"description":"Bad Request: file is too big"}')],
        [Response(status=502, body=b"<html>")],
        [Response(body=b'{"ok":true,"result":{}}')],
        [FOUND, Response(status=404)],
        [FOUND, Response(status=200)],
    ],
)
def test_an_answer_without_the_file_is_refused_without_telling_the_address(
    account: Telegram, answers: list[Response]
) -> None:
    with pytest.raises(MediaRefused) as refused:
        wire.run(account.fetch(Attachment(kind="file", id="F"), KNOWN), *answers)
    assert "/file/" not in str(refused.value)
    assert account.bot_token.reveal() not in str(refused.value)


def test_the_simulator_serves_no_file_over_20_mb(
    account: Telegram, perform: Perform, simulator: TelegramSimulator
) -> None:
    number = simulator.keep(b"x" * ((20 << 20) + 1))
    with pytest.raises(MediaRefused, match="too big"):
        perform(account.fetch(Attachment(kind="file", id=number), KNOWN))
