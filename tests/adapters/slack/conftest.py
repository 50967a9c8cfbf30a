"""What the tests of Slack share: an account, its clock, its simulator, and a client without a network."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
import pytest
from slack_sdk.signature import SignatureVerifier

from dragoman.adapter import Known
from dragoman.adapters.slack import Slack
from dragoman.model import Action, Address, Delivery, Media, Secret
from dragoman.testing.simulators.slack import SlackSimulator
from dragoman.wire import Exchange, Http, Request, Response

T = TypeVar("T")

SECRET = "8f0c1d7a5b3e49d2"
TOKEN = "xoxb-of-the-tests"
NOW = 1_767_406_614.25


@pytest.fixture
def slack() -> Slack:
    return Slack(
        account="support",
        signing_secret=Secret(SECRET),
        bot_token=Secret(TOKEN),
        bot_user_id="UBOT",
        bot_id="BBOT",
    )


@pytest.fixture
def known() -> Known:
    return Known(now=NOW)


@pytest.fixture
def signed() -> Callable[..., Http]:
    """Sign a body with Slack's own library."""

    def sign(body: bytes, *, at: float = NOW, secret: str = SECRET, content_type: str = "application/json") -> Http:
        timestamp = str(int(at))
        signature = SignatureVerifier(secret).generate_signature(timestamp=timestamp, body=body)
        assert signature
        headers = {
            "content-type": content_type,
            "x-slack-request-timestamp": timestamp,
            "x-slack-signature": signature,
        }
        return Http(method="POST", headers=headers, body=body)

    return sign


@pytest.fixture
def delivery() -> Callable[..., Delivery]:
    """Make a delivery of an action to a place."""

    def make(action: Action, **place: Any) -> Delivery:
        address = Address(account="support", workspace="T1", **{"channel": "C1", **place})
        return Delivery(id=1, key="t1:0:0", action=action, address=address, conversation="support/T1/C1")

    return make


@dataclasses.dataclass
class Bench:
    """A simulator with an account on it, and a client that calls it without a network."""

    simulator: SlackSimulator
    slack: Slack
    blobs: dict[str, bytes] = dataclasses.field(default_factory=dict)
    requests: list[Http] = dataclasses.field(default_factory=list)

    def keep(self, ref: str, content: bytes, name: str) -> Media:
        """Put bytes where the service's media store would have them."""
        self.blobs[ref] = content
        return Media(ref=ref, size=len(content), name=name, mime="text/plain")

    def perform(self, exchange: Exchange[T]) -> T:
        """Drive an exchange against the simulator."""
        try:
            request = next(exchange)
            while True:
                request = exchange.send(self._answer(request))
        except StopIteration as stop:
            result: T = stop.value
            return result

    def _answer(self, request: Request) -> Response:
        assert isinstance(request, Http)
        self.requests.append(request)
        response = self.simulator.handle(self._sent(request))
        if request.into == "media" and response.status == 200:
            return msgspec.structs.replace(response, body=b"", media=Media(ref="ab", size=len(response.body)))
        return response

    def _sent(self, request: Http) -> Http:
        headers, body = dict(request.headers), request.body
        if request.json is not None:
            body = msgspec.json.encode(request.json)
        if request.form:
            headers["content-type"], body = "application/x-www-form-urlencoded", urlencode(request.form).encode()
        if request.upload:
            body = self.blobs[request.upload.ref]
        if request.auth:
            secret = getattr(self.slack, request.auth.name)
            headers["authorization"] = f"Bearer {secret.reveal()}"
        return Http(method=request.method, url=request.url, headers=headers, body=body)


@pytest.fixture
def bench() -> Bench:
    simulator = SlackSimulator(clock=lambda: NOW)
    settings = simulator.settings("http://slack.test")
    slack = Slack(
        account="support",
        signing_secret=Secret(settings["signing_secret"]),
        bot_token=Secret(settings["bot_token"]),
        api_base=settings["api_base"],
    )
    return Bench(simulator=simulator, slack=slack)
