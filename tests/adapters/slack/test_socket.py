"""Socket Mode: the session, the dialling, the whole way against the simulator, and Slack's own client as its judge."""

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from dragoman import telemetry, wire
from dragoman.adapter import Dial, Emit, Halt, Known, Receipt, Redial, Send, Step
from dragoman.adapters.slack import Slack
from dragoman.engine.route import Policy
from dragoman.errors import Forged, NoAnswer
from dragoman.flow.account import Account
from dragoman.flow.context import Context
from dragoman.flow.sockets import hold
from dragoman.model import Secret
from dragoman.service.house import opened
from dragoman.service.installation import load
from dragoman.testing.process import configuration
from dragoman.testing.running import running
from dragoman.testing.simulator import Fault, serve
from dragoman.testing.simulators.slack import SlackSimulator
from dragoman.wire import Frame, Http, Response

NOW = 1_767_406_614.25
KNOWN = Known(now=NOW)


def slack(**settings: Any) -> Slack:
    given = {"app_token": Secret("xapp-1"), "bot_token": Secret("xoxb-1"), "bot_user_id": "UBOT", **settings}
    return Slack(account="support", **given)


def steps(frame: object, *, known: Known = KNOWN) -> list[Step]:
    text = frame if isinstance(frame, str | bytes) else json.dumps(frame)
    return list(slack().session(known).received(Frame(data=text), known))


def envelope(kind: str, payload: object) -> dict[str, Any]:
    return {"envelope_id": "e-1", "type": kind, "payload": payload, "accepts_response_payload": False}


def message(text: str = "hello") -> dict[str, Any]:
    inner = {"type": "message", "channel": "D1", "channel_type": "im", "user": "U1", "text": text}
    stamped = {**inner, "ts": "1767406614.000100", "event_ts": "1767406614.000100"}
    return {"type": "event_callback", "team_id": "T1", "api_app_id": "A1", "event_id": "Ev1", "event": stamped}


def test_an_event_is_acknowledged_behind_it_as_slacks_own_client_does() -> None:
    emit, send = steps(envelope("events_api", message()))

    assert isinstance(emit, Emit)
    assert [(event.text, event.key) for event in emit.receipt.events] == [("hello", "T1/D1/1767406614.000100")]
    assert isinstance(send, Send)
    assert json.loads(send.frame.data) == SocketModeResponse(envelope_id="e-1").to_dict()


def test_an_event_is_the_same_by_socket_and_by_webhook(slack: Slack, signed: Callable[..., Http]) -> None:
    hooked = slack.parse(slack.verify(signed(json.dumps(message()).encode()), KNOWN), KNOWN)
    emit, _ = steps(envelope("events_api", message()))

    assert isinstance(emit, Emit)
    assert emit.receipt.events == hooked.events


def test_a_command_comes_as_the_json_of_its_form() -> None:
    form = {"command": "/weather", "text": "Paris", "user_id": "U1", "channel_id": "D1", "enterprise_id": None}
    emit, _ = steps(envelope("slash_commands", {**form, "team_id": "T1", "trigger_id": "1.2"}))

    assert isinstance(emit, Emit)
    (event,) = emit.receipt.events
    assert (event.kind, event.value["command"], event.text) == ("command", "/weather", "Paris")


@pytest.mark.parametrize(
    "frame",
    [
        envelope("events_api", {"type": "event_callback"}),
        envelope("slash_commands", {"command": 1}),
        envelope("interactive", []),
        envelope("telepathy", {}),
    ],
)
def test_what_is_not_understood_is_parked_and_acknowledged(frame: dict[str, Any]) -> None:
    emit, send = steps(frame)

    assert isinstance(emit, Emit)
    assert emit.receipt.events == ()
    assert [json.loads(raw) for raw in emit.receipt.malformed] == [frame]
    assert isinstance(send, Send)


def test_a_frame_without_an_envelope_is_parked_and_answered_by_nothing() -> None:
    assert steps({"type": "telepathy"}) == [Emit(receipt=Receipt(malformed=(b'{"type": "telepathy"}',)))]
    assert steps('{"type"') == [Emit(receipt=Receipt(malformed=(b'{"type"',)))]


@pytest.mark.parametrize("text", ["", "Ping from applink", b"\x00\x01"])
def test_what_is_no_json_is_overlooked_as_by_slacks_own_clients(text: str | bytes) -> None:
    (emit,) = steps(text)

    assert isinstance(emit, Emit)
    assert (emit.receipt.events, emit.receipt.malformed) == ((), ())


@pytest.mark.parametrize(
    ("reason", "step"),
    [
        ("warning", Redial(reason="warning", overlap=True)),
        ("refresh_requested", Redial(reason="refresh_requested", overlap=True)),
        ("something_new", Redial(reason="something_new")),
    ],
)
def test_slack_says_when_a_socket_is_to_be_replaced(reason: str, step: Step) -> None:
    assert steps({"type": "disconnect", "reason": reason}) == [step]


def test_too_many_sockets_are_waited_out_and_a_switch_that_is_off_needs_the_operator() -> None:
    (crowded,) = steps({"type": "disconnect", "reason": "too_many_websockets"})
    (off,) = steps({"type": "disconnect", "reason": "link_disabled"})

    assert isinstance(crowded, Redial)
    assert crowded.after >= 30
    assert not crowded.overlap
    assert isinstance(off, Halt)
    assert "Socket Mode" in off.reason


def test_a_socket_on_which_nobody_says_hello_is_left() -> None:
    silent, greeted = slack().session(KNOWN), slack().session(KNOWN)
    for session in (silent, greeted):
        assert list(session.opened(KNOWN)) == []
        assert list(session.tick(Known(now=NOW + 29))) == []
    assert list(greeted.received(Frame(data='{"type":"hello","num_connections":1}'), KNOWN)) == []

    assert list(silent.tick(Known(now=NOW + 31))) == [Redial(reason="no hello")]
    assert list(greeted.tick(Known(now=NOW + 31))) == []


def dialled(*, status: int = 200, headers: dict[str, str] | None = None, **answer: Any) -> Dial | Halt:
    response = wire.json_response(answer, status, headers)
    return wire.run(slack().dial(KNOWN), response)


def test_the_address_is_asked_for_with_the_app_level_token() -> None:
    request = next(slack().dial(KNOWN))

    assert isinstance(request, Http)
    assert request.url == "https://slack.com/api/apps.connections.open"
    assert request.auth is not None
    assert request.auth.name == "app_token"


def test_the_address_holds_a_ticket_and_is_a_secret() -> None:
    found = dialled(ok=True, url="wss://wss.slack.test/link/?ticket=t-1")

    assert isinstance(found, Dial)
    assert found.url.reveal() == "wss://wss.slack.test/link/?ticket=t-1"
    assert "t-1" not in repr(found)


@pytest.mark.parametrize("error", ["invalid_auth", "not_authed", "token_revoked", "missing_scope", "forbidden_team"])
def test_a_token_that_is_refused_needs_the_operator(error: str) -> None:
    found = dialled(ok=False, error=error)

    assert isinstance(found, Halt)
    assert error in found.reason
    assert "connections:write" in found.reason


def test_a_limit_is_waited_out_as_long_as_slack_says() -> None:
    found = dialled(status=429, headers={"retry-after": "30"}, ok=False, error="ratelimited")

    assert found == Halt(reason="apps.connections.open: ratelimited", after=30.0)


@pytest.mark.parametrize("answer", [{"ok": False, "error": "internal_error"}, {"ok": True}, {"ok": True, "url": "x"}])
def test_what_passes_by_itself_is_tried_again(answer: dict[str, Any]) -> None:
    with pytest.raises(NoAnswer):
        dialled(**answer)
    with pytest.raises(NoAnswer):
        wire.run(slack().dial(KNOWN), Response(status=503))


def test_an_app_level_token_makes_the_difference() -> None:
    by_socket, by_hook = slack(), slack(app_token=Secret(), signing_secret=Secret("s"))

    assert (by_socket.mode(), by_hook.mode()) == ("socket", "webhook")
    assert list(by_socket.check()) == list(by_hook.check()) == []
    assert any("signing_secret" in problem for problem in slack(app_token=Secret()).check())
    assert any("xapp-" in problem for problem in slack(app_token=Secret("xoxb-1")).check())


def test_an_account_with_a_socket_takes_no_webhook(signed: Callable[..., Http]) -> None:
    with pytest.raises(Forged, match="Socket Mode"):
        slack(signing_secret=Secret("8f0c1d7a5b3e49d2")).verify(signed(b"{}"), KNOWN)


# The whole way, against the simulator


class Bench:
    """An account that listens to simulated Slack by Socket Mode."""

    def __init__(self, simulator: SlackSimulator, context: Context, url: str) -> None:
        self.simulator = simulator
        self.links = simulator.links
        self.context = context
        settings = simulator.socket_settings(url)
        app, bot = Secret(settings["app_token"]), Secret(settings["bot_token"])
        adapter = Slack(account="support", api_base=settings["api_base"], app_token=app, bot_token=bot)
        self.account = Account(name="support", adapter=adapter, policy=Policy())

    @contextlib.asynccontextmanager
    async def held(self, *, sockets: int = 1) -> AsyncIterator[None]:
        task = asyncio.create_task(hold(self.context, self.account))
        try:
            await until(lambda: len(self.links.open) == sockets)
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def stored(self) -> int:
        return (await self.context.reader.depths()).inbox


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
def logs() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    telemetry.configure_logs("debug", stream)
    yield stream
    telemetry.configure_logs()


@pytest.fixture
async def line(tmp_path: Path, logs: io.StringIO) -> AsyncIterator[Bench]:  # noqa: ARG001 - not to the screen
    file = tmp_path / "dragoman.toml"
    file.write_text(configuration({}, plugins=["echo"]), encoding="utf-8")
    installation = load(data=str(tmp_path), configuration=str(file), environ={}, overrides={"port": 0})
    simulator = SlackSimulator()
    async with serve(simulator) as url, opened(installation) as house:
        yield Bench(simulator, house.context, url)


async def test_every_kind_of_envelope_is_stored_and_acknowledged(line: Bench) -> None:
    simulator = line.simulator
    async with line.held():
        for request in (simulator.webhook("hello"), simulator.slash("/weather", "Paris"), simulator.button("yes", "1")):
            line.links.push(request)
        await until(lambda: not line.links.waiting())

        assert await line.stored() == 3
        assert simulator.refused == []


async def test_an_envelope_that_a_broken_socket_took_along_is_stored_once(line: Bench) -> None:
    async with line.held():
        line.links.fall_silent()
        line.links.push(line.simulator.webhook("hello"))
        line.links.cut()
        await until(lambda: line.links.opened == 2 and not line.links.waiting())
        line.links.push(line.simulator.webhook("next"))
        await until(lambda: not line.links.waiting())

        assert await line.stored() == 2
        assert line.simulator.refused == []


async def test_a_refresh_opens_the_new_socket_first_and_loses_nothing(line: Bench) -> None:
    async with line.held():
        line.links.disconnect("refresh_requested")
        for number in range(20):
            line.links.push(line.simulator.webhook(f"n{number}"))
        await until(lambda: line.links.opened == 2 and len(line.links.open) == 1)
        line.links.push(line.simulator.webhook("after"))
        await until(lambda: not line.links.waiting())

        assert await line.stored() == 21
        assert line.links.most == 2
        assert line.simulator.refused == []


async def test_a_refused_token_and_a_switch_that_is_off_are_shown(line: Bench, logs: io.StringIO) -> None:
    line.simulator.fail(Fault(method="apps.connections.open", status=200, body=b'{"ok":false,"error":"invalid_auth"}'))
    async with line.held(sockets=0):
        await until(lambda: "invalid_auth" in logs.getvalue())
    line.links.disabled = True
    async with line.held(sockets=0):
        await until(lambda: "link_disabled" in logs.getvalue())

    paused = telemetry.REGISTRY.get_sample_value("dragoman_account_paused", {"account": "support"})
    assert paused == 1
    assert line.links.opened == 0


# The simulator, judged by Slack's own client, and what it refuses


@contextlib.asynccontextmanager
async def official(line: Bench, *, acknowledge: bool = True) -> AsyncIterator[list[SocketModeRequest]]:
    """Run Slack's own client; gives what it heard."""
    heard: list[SocketModeRequest] = []

    async def listen(client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        heard.append(request)
        if acknowledge:
            await client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))

    web = AsyncWebClient(base_url=f"{line.simulator.url}/api/")
    client = SocketModeClient(app_token="xapp-simulated", web_client=web, ping_interval=1)
    client.socket_mode_request_listeners.append(listen)
    await client.connect()  # type: ignore[no-untyped-call]  # the SDK is not typed here
    try:
        yield heard
    finally:
        await client.close()  # type: ignore[no-untyped-call]  # the same
        await asyncio.sleep(0)


async def test_slacks_own_client_understands_the_simulator(line: Bench) -> None:
    simulator = line.simulator
    async with official(line) as heard:
        for request in (simulator.webhook("hello"), simulator.slash("/weather", "Paris"), simulator.button("yes", "1")):
            line.links.push(request)
        await until(lambda: not line.links.waiting())
        line.links.disconnect("refresh_requested")
        await until(lambda: line.links.opened == 2)
        line.links.push(simulator.webhook("again"))
        await until(lambda: not line.links.waiting())

    assert [request.type for request in heard] == ["events_api", "slash_commands", "interactive", "events_api"]
    assert heard[1].payload["command"] == "/weather"
    assert simulator.refused == []


async def test_an_envelope_without_its_acknowledgement_comes_again(line: Bench) -> None:
    line.links.acknowledge_within = 0.05
    async with official(line, acknowledge=False) as heard:
        line.links.push(line.simulator.webhook("hello"))
        await until(lambda: len(heard) >= 2)

    assert heard[0].envelope_id == heard[1].envelope_id
    assert (heard[0].retry_attempt, heard[1].retry_attempt, heard[1].retry_reason) == (0, 1, "timeout")


async def address(line: Bench) -> str:
    adapter = line.account.adapter
    found = await line.context.client.perform(line.account, adapter.dial(KNOWN))
    assert isinstance(found, Dial)
    return found.url.reveal()


async def test_an_address_is_good_once(line: Bench) -> None:
    url = await address(line)
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(url) as socket:
            assert (await socket.receive_json())["type"] == "hello"
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(url)

    assert line.simulator.refused == ["socket: spent or unknown ticket"]


async def test_an_eleventh_socket_is_sent_away(line: Bench) -> None:
    async with aiohttp.ClientSession() as session:
        sockets = [await session.ws_connect(await address(line)) for _ in range(11)]
        hellos = [await socket.receive_json() for socket in sockets]
        for socket in sockets:
            await socket.close()

    assert [hello["type"] for hello in hellos] == ["hello"] * 10 + ["disconnect"]
    assert hellos[-1]["reason"] == "too_many_websockets"
    assert line.links.most == 10


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ('{"envelope_id":"e-unknown"}', "socket: acknowledges what was never sent"),
        ("hello", "socket: not a JSON object"),
        ('{"envelope_id":"ID","payload":{}}', "socket: not an acknowledgement"),
        ('{"envelope_id":"ID","text":"hi"}', "socket: not an acknowledgement"),
    ],
)
async def test_a_wrong_acknowledgement_is_refused(line: Bench, answer: str, reason: str) -> None:
    async with aiohttp.ClientSession() as session, session.ws_connect(await address(line)) as socket:
        id_ = line.links.push(line.simulator.webhook("hello"))
        await socket.send_str(answer.replace("ID", id_))
        await until(lambda: bool(line.simulator.refused))

        assert line.simulator.refused == [reason]
        assert line.links.waiting() == [id_]


@pytest.mark.parametrize(
    ("token", "error"), [("xoxb-simulated", "not_allowed_token_type"), ("xapp-other", "invalid_auth")]
)
def test_an_address_is_given_for_the_app_level_token_alone(token: str, error: str) -> None:
    request = Http(url="/api/apps.connections.open", headers={"authorization": f"Bearer {token}"})

    assert json.loads(SlackSimulator().handle(request).body) == {"ok": False, "error": error}


async def test_a_message_from_the_socket_is_answered_through_the_web_api(tmp_path: Path, logs: io.StringIO) -> None:
    simulator = SlackSimulator()
    async with serve(simulator) as url:
        table = {"platform": "slack", **simulator.socket_settings(url)}
        async with running(tmp_path, configuration({"support": table}, plugins=["echo"])) as service:
            await until(lambda: bool(simulator.links.open))
            simulator.links.push(simulator.webhook("hello 你好"))
            await until(lambda: bool(simulator.sent))
            await service.house.attendants.follow()  # nothing has changed, so nothing is dialled anew

            assert [accepted.text for accepted in simulator.sent] == ["echo: hello 你好"]
            assert (simulator.links.opened, simulator.refused) == (1, [])

    assert simulator.links.open == []
    assert "xapp-" not in logs.getvalue()
