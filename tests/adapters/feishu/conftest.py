"""What the tests of Feishu share: an account at the simulator, and a client without a network."""

import asyncio
import dataclasses
import hashlib
import importlib
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import msgspec
import pytest

from dragoman.adapter import Known
from dragoman.adapters.feishu import Feishu
from dragoman.errors import NoAnswer
from dragoman.model import Action, Address, Delivery, Event, Media, Secret
from dragoman.testing.simulators.feishu import FeishuSimulator
from dragoman.wire import Credential, Exchange, Expired, Http, Request, Response

T = TypeVar("T")

NOW = 1_767_406_614.25
BOUNDARY = "part-of-a-test"


@pytest.fixture(scope="session")
def sdk() -> Any:
    """Import the SDK in a thread of its own: it takes the thread's event loop, and gets one that is then closed."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_imported).result()


def _imported() -> Any:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it uses names that websockets has deprecated
        found = importlib.import_module("lark_oapi")
    loop.close()
    return found


@pytest.fixture
def known() -> Known:
    return Known(now=NOW)


@pytest.fixture
def clock() -> list[float]:
    return [NOW]


@pytest.fixture
def simulator(clock: list[float]) -> FeishuSimulator:
    return FeishuSimulator(per_chat=(2, 1.0), clock=lambda: clock[0])


@pytest.fixture
def feishu(simulator: FeishuSimulator) -> Feishu:
    settings = simulator.settings("https://feishu.test")
    return Feishu(
        account="support",
        app_id=settings["app_id"],
        app_secret=Secret(settings["app_secret"]),
        verification_token=Secret(settings["verification_token"]),
        encrypt_key=Secret(settings["encrypt_key"]),
        bot_open_id=settings["bot_open_id"],
        api_base=settings["api_base"],
    )


@pytest.fixture
def deliver() -> Callable[..., Delivery]:
    """Make a delivery of an action to a place."""

    def make(
        action: Action, *, channel: str = "oc_1", thread: str = "", key: str = "t1:0:0", **ticket: Any
    ) -> Delivery:
        address = Address(account="support", channel=channel, thread=thread, ticket=ticket)
        return Delivery(id=1, key=key, action=action, address=address, conversation=f"support/{channel}")

    return make


@pytest.fixture
def read(feishu: Feishu, known: Known) -> Callable[[Http], Event]:
    """Verify and parse a request that brings one event."""

    def one(request: Http) -> Event:
        (event,) = feishu.parse(feishu.verify(request, known), known).events
        return event

    return one


@dataclasses.dataclass
class Bench:
    """A simulator with an account on it, and a client that calls it, granting and renewing tokens."""

    simulator: FeishuSimulator
    feishu: Feishu
    blobs: dict[str, bytes] = dataclasses.field(default_factory=dict)
    requests: list[Http] = dataclasses.field(default_factory=list)
    tokens: dict[str, str] = dataclasses.field(default_factory=dict)

    def keep(self, content: bytes, name: str, mime: str) -> Media:
        """Put bytes where the service's media store would have them."""
        ref = hashlib.sha256(content).hexdigest()
        self.blobs[ref] = content
        return Media(ref=ref, size=len(content), name=name, mime=mime)

    def perform(self, exchange: Exchange[T]) -> T:
        """Drive an exchange against the simulator."""
        try:
            request = next(exchange)
            while True:
                try:
                    answer = self._answer(request)
                except NoAnswer as silence:
                    request = exchange.throw(silence)
                else:
                    request = exchange.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result

    def _answer(self, request: Request) -> Response:
        if isinstance(request, Expired):
            del self.tokens[request.credential.name]
            return Response(status=204)
        assert isinstance(request, Http)
        self.requests.append(request)
        response = self.simulator.handle(self._sent(request))
        if request.into == "media" and response.status == 200:
            return msgspec.structs.replace(response, body=b"", media=Media(ref="ab", size=len(response.body)))
        return response

    def _sent(self, request: Http) -> Http:
        headers, body = dict(request.headers), request.body
        if request.json is not None:
            body = msgspec.json.encode({name: self._plain(value) for name, value in request.json.items()})
        if request.parts:
            headers["content-type"] = f"multipart/form-data; boundary={BOUNDARY}"
            body = b"".join(self._parts(request))
        if request.auth:
            headers["authorization"] = f"Bearer {self._secret(request.auth)}"
        return msgspec.structs.replace(request, headers=headers, body=body, json=None, parts=(), auth=None)

    def _plain(self, value: Any) -> Any:
        return self._secret(value) if isinstance(value, Credential) else value

    def _secret(self, credential: Credential) -> str:
        field = getattr(self.feishu, credential.name, None)
        if isinstance(field, Secret):
            return field.reveal()
        if credential.name not in self.tokens:
            grant = self.feishu.grant(credential.name, credential.workspace, Known(now=NOW))
            self.tokens[credential.name] = self.perform(grant).value
        return self.tokens[credential.name]

    def _parts(self, request: Http) -> list[bytes]:
        lines = []
        for part in request.parts:
            filename = f'; filename="{part.filename}"' if part.media else ""
            head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="{part.name}"{filename}\r\n\r\n'
            content = self.blobs[part.media.ref] if part.media else part.value.encode()
            lines.append(head.encode() + content + b"\r\n")
        return [*lines, f"--{BOUNDARY}--\r\n".encode()]


@pytest.fixture
def bench(simulator: FeishuSimulator, feishu: Feishu) -> Bench:
    return Bench(simulator=simulator, feishu=feishu)
