"""An account at the simulator, and a driver that carries exchanges to it without a network."""

import hashlib
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from dragoman.adapter import Known, Me
from dragoman.adapters.telegram import Telegram
from dragoman.model import Action, Address, Delivery, Media, Secret
from dragoman.testing.simulators.telegram import TelegramSimulator
from dragoman.wire import Exchange, Http, Outcome, Response

BOUNDARY = "part-of-a-test"
KNOWN = Known(now=1_800_000_000.0, me=Me(id="7001", name="dragoman_bot"))


Perform = Callable[[Exchange[Any]], Any]
Do = Callable[..., Outcome]
Deliver = Callable[..., Delivery]


@pytest.fixture
def known() -> Known:
    return KNOWN


@pytest.fixture
def simulator() -> TelegramSimulator:
    simulator = TelegramSimulator()
    simulator.unlimited()
    return simulator


@pytest.fixture
def account(simulator: TelegramSimulator) -> Telegram:
    """Receives by webhook; its settings come from the simulator."""
    return account_at(simulator)


@pytest.fixture
def poller() -> Telegram:
    return account_at(TelegramSimulator(secret=""))


@pytest.fixture
def deliver() -> Deliver:
    def make(action: Action, channel: str = "111", thread: str = "", **ticket: Any) -> Delivery:
        address = Address(account="tg", channel=channel, thread=thread, ticket=ticket)
        return Delivery(id=1, key="turn:0:0", action=action, address=address, conversation=f"tg/{channel}")

    return make


@pytest.fixture
def perform(simulator: TelegramSimulator) -> Perform:
    def drive(exchange: Exchange[Any]) -> Any:
        try:
            request = next(exchange)
            while True:
                assert isinstance(request, Http)
                request = exchange.send(carry(request, simulator))
        except StopIteration as stop:
            return stop.value

    return drive


@pytest.fixture
def do(account: Telegram, perform: Perform, deliver: Deliver) -> Do:
    """Carry out one action at the simulator."""

    def act(action: Action, channel: str = "111", thread: str = "", **ticket: Any) -> Outcome:
        outcome: Outcome = perform(account.send(deliver(action, channel, thread, **ticket), KNOWN))
        return outcome

    return act


def account_at(simulator: TelegramSimulator) -> Telegram:
    settings = simulator.settings("https://telegram.test")
    return Telegram(
        account="tg",
        api_base=settings["api_base"],
        bot_token=Secret(settings["bot_token"]),
        bot_username=settings["bot_username"],
        secret_token=Secret(settings.get("secret_token", "")),
    )


def carry(request: Http, simulator: TelegramSimulator) -> Response:
    """Place the credential, write the body, and keep what is to be streamed into the media store."""
    assert request.auth is not None
    assert request.place == "path"
    url = request.url.replace("{credential}", simulator.token)
    content_type, body = encoded(request)
    call = Http(method=request.method, url=url, headers={"content-type": content_type}, body=body)
    response = simulator.handle(call)
    if request.into == "media" and response.status == 200:
        ref = hashlib.sha256(response.body).hexdigest()
        return Response(media=Media(ref=ref, size=len(response.body)))
    return response


def encoded(request: Http) -> tuple[str, bytes]:
    if request.parts:
        return f"multipart/form-data; boundary={BOUNDARY}", b"".join(multipart(request))
    if request.json is not None:
        return "application/json", msgspec.json.encode(request.json)
    return "application/x-www-form-urlencoded", urlencode(request.form or {}).encode()


def multipart(request: Http) -> list[bytes]:
    """Write parts as RFC 7578 has it; a kept file's bytes are its reference, spelt out."""
    lines = []
    for part in request.parts:
        filename = f'; filename="{part.filename}"' if part.media else ""
        content = part.media.ref if part.media else part.value
        head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="{part.name}"{filename}\r\n\r\n'
        lines.append(f"{head}{content}\r\n".encode())
    return [*lines, f"--{BOUNDARY}--\r\n".encode()]
