"""The simulator refuses each client that does what Slack does not take."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from slack_sdk.signature import Clock, SignatureVerifier

from dragoman.testing.simulator import Fault
from dragoman.testing.simulators.slack import BOT, SlackSimulator
from dragoman.wire import Http, Response

NOW = 1_767_406_614.25
TOKEN = "xoxb-wrong-clients"
JSON = "application/json; charset=utf-8"
FORM = "application/x-www-form-urlencoded"
Call = Callable[..., Response]


@pytest.fixture
def clock() -> list[float]:
    return [NOW]


@pytest.fixture
def simulator(clock: list[float]) -> SlackSimulator:
    return SlackSimulator(signing_secret="s", bot_token=TOKEN, per_channel=(2, 1.0), clock=lambda: clock[0])


@pytest.fixture
def call(simulator: SlackSimulator) -> Call:
    """Call a method as a client does; each part may be wrong."""

    def make(
        method: str, arguments: Any = None, *, token: str = TOKEN, content_type: str = JSON, body: bytes | None = None
    ) -> Response:
        headers = {"content-type": content_type, **({"authorization": f"Bearer {token}"} if token else {})}
        sent = msgspec.json.encode(arguments or {}) if body is None else body
        return simulator.handle(Http(method="POST", url=f"/api/{method}", headers=headers, body=sent))

    return make


def answered(response: Response) -> dict[str, Any]:
    answer: dict[str, Any] = msgspec.json.decode(response.body)
    return answer


def error(response: Response) -> str:
    assert response.status == 200
    answer = answered(response)
    assert answer["ok"] is False
    return str(answer["error"])


def posted(call: Call, channel: str = "C1", **arguments: Any) -> Response:
    return call("chat.postMessage", {"channel": channel, "text": "hello", **arguments})


def test_a_good_message_is_accepted_and_recorded(simulator: SlackSimulator, call: Call) -> None:
    answer = answered(posted(call))

    (accepted,) = simulator.sent
    assert answer["ok"] is True
    assert (accepted.method, accepted.channel, accepted.text) == ("chat.postMessage", "C1", "hello")
    assert accepted.id == answer["ts"]
    assert simulator.refused == []


def test_methods_are_served_without_the_prefix_too(simulator: SlackSimulator) -> None:
    headers = {"authorization": f"Bearer {TOKEN}"}

    assert answered(simulator.handle(Http(url="/auth.test", headers=headers)))["user_id"] == BOT


@pytest.mark.parametrize(("token", "name"), [("", "not_authed"), ("xoxb-other", "invalid_auth")])
def test_a_call_without_the_right_token_is_refused(
    simulator: SlackSimulator, call: Call, token: str, name: str
) -> None:
    assert error(call("chat.postMessage", {"channel": "C1", "text": "x"}, token=token)) == name
    assert simulator.sent == []
    assert simulator.refused == [f"chat.postMessage: {name}"]


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", FORM, ""])
def test_json_must_say_that_it_is_json_in_utf_8(call: Call, content_type: str) -> None:
    assert error(call("chat.postMessage", {"channel": "C1", "text": "x"}, content_type=content_type)) == (
        "invalid_post_type"
    )


def test_a_broken_body_is_refused(call: Call) -> None:
    assert error(call("chat.postMessage", body=b"{")) == "invalid_json"


def test_a_method_that_takes_a_form_refuses_json(call: Call) -> None:
    assert error(call("files.getUploadURLExternal", {"filename": "a", "length": 1})) == "invalid_form_data"


def test_an_unknown_method_is_refused(simulator: SlackSimulator, call: Call) -> None:
    assert error(call("chat.shout", {})) == "unknown_method"
    assert error(simulator.handle(Http(method="GET", url="/api/chat.postMessage"))) == "unknown_method"


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"text": "x"}, "invalid_arguments"),
        ({"channel": "C1", "text": "x", "colour": "red"}, "invalid_arguments"),
        ({"channel": "C1", "text": 1}, "invalid_arguments"),
        ({"channel": "C1"}, "no_text"),
        ({"channel": "C1", "text": ""}, "no_text"),
        ({"channel": "C1", "text": "x" * 40_001}, "msg_too_long"),
        ({"channel": "general", "text": "x"}, "channel_not_found"),
        ({"channel": "C1", "text": "x", "thread_ts": "1767406614.25"}, "invalid_thread_ts"),
    ],
)
def test_a_wrong_argument_is_refused(
    simulator: SlackSimulator, call: Call, arguments: dict[str, Any], name: str
) -> None:
    assert error(call("chat.postMessage", arguments)) == name
    assert simulator.sent == []


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def button(**facts: Any) -> dict[str, Any]:
    return {"type": "button", "text": {"type": "plain_text", "text": "Ok"}, "action_id": "a", "value": "v", **facts}


@pytest.mark.parametrize(
    ("blocks", "name"),
    [
        ([section("x")] * 51, "invalid_blocks"),
        ([section("x" * 3001)], "invalid_blocks"),
        ([section("")], "invalid_blocks"),
        ([section("x" * 3000)] * 5, "msg_blocks_too_long"),
        ([{"type": "actions", "elements": []}], "invalid_blocks"),
        ([{"type": "actions", "elements": [button(action_id=str(n)) for n in range(26)]}], "invalid_blocks"),
        ([{"type": "actions", "elements": [button(), button()]}], "invalid_blocks"),
        ([{"type": "actions", "elements": [button(value="v" * 2001)]}], "invalid_blocks"),
        ([{"type": "actions", "elements": [button(action_id="")]}], "invalid_blocks"),
        ([{"type": "actions", "elements": [button(text={"type": "plain_text", "text": "x" * 76})]}], "invalid_blocks"),
        ([{"type": "actions", "elements": [button(colour="red")]}], "invalid_blocks"),
        ([{"type": "carousel"}], "invalid_blocks"),
        (["text"], "invalid_blocks"),
    ],
)
def test_blocks_beyond_their_limits_are_refused(call: Call, blocks: list[Any], name: str) -> None:
    assert error(posted(call, blocks=blocks)) == name


def test_a_channel_takes_so_many_messages_and_then_tells_how_long_to_wait(call: Call, clock: list[float]) -> None:
    assert answered(posted(call))["ok"]
    assert answered(posted(call))["ok"]

    limited = posted(call)

    assert limited.status == 429
    assert limited.headers["retry-after"] == "1"
    assert answered(limited)["error"] == "ratelimited"
    assert answered(posted(call, channel="C2"))["ok"]
    clock[0] += 1.0
    assert answered(posted(call))["ok"]


def test_a_channel_can_be_made_unavailable(simulator: SlackSimulator, call: Call) -> None:
    simulator.unavailable["C1"] = "is_archived"

    assert error(posted(call)) == "is_archived"


def test_each_message_has_a_later_ts(simulator: SlackSimulator, call: Call) -> None:
    for channel in ("C1", "C2", "C3"):
        posted(call, channel=channel)

    stamps = [accepted.id for accepted in simulator.sent]
    assert stamps == sorted(set(stamps))
    assert all(len(stamp) == len("1767406614.250000") for stamp in stamps)


def test_only_the_bots_own_messages_can_be_changed(simulator: SlackSimulator, call: Call) -> None:
    simulator.webhook("mine", channel="C1")
    ((channel, ts),) = simulator.messages

    assert error(call("chat.update", {"channel": channel, "ts": ts, "text": "x"})) == "cant_update_message"
    assert error(call("chat.delete", {"channel": channel, "ts": ts})) == "cant_delete_message"
    assert error(call("chat.update", {"channel": "C1", "ts": "1000000000.000000", "text": "x"})) == "message_not_found"


def test_a_deleted_message_is_gone(call: Call) -> None:
    ts = answered(posted(call))["ts"]

    assert answered(call("chat.delete", {"channel": "C1", "ts": ts}))["ok"]
    assert error(call("chat.delete", {"channel": "C1", "ts": ts})) == "message_not_found"


def test_a_reaction_is_put_once_on_a_message_that_exists_by_its_name(call: Call) -> None:
    ts = answered(posted(call))["ts"]
    reaction = {"channel": "C1", "timestamp": ts, "name": "tada"}

    assert answered(call("reactions.add", reaction))["ok"]
    assert error(call("reactions.add", reaction)) == "already_reacted"
    assert error(call("reactions.add", {**reaction, "name": ":tada:"})) == "invalid_name"
    assert error(call("reactions.add", {**reaction, "timestamp": "1000000000.000000"})) == "message_not_found"


def uploading(call: Call, length: int) -> tuple[str, str]:
    answer = answered(call("files.getUploadURLExternal", content_type=FORM, body=b"filename=a.txt&length=%d" % length))
    return answer["upload_url"], answer["file_id"]


def test_an_upload_address_takes_the_announced_bytes_once(simulator: SlackSimulator, call: Call) -> None:
    url, _ = uploading(call, 5)

    assert simulator.handle(Http(url=url, body=b"too long")).status == 400
    assert simulator.handle(Http(url=url, body=b"bytes")).status == 200
    assert simulator.handle(Http(url=url, body=b"bytes")).status == 400
    assert len(simulator.refused) == 2


def test_a_file_must_have_a_length(call: Call) -> None:
    assert error(call("files.getUploadURLExternal", content_type=FORM, body=b"filename=a&length=0")) == (
        "invalid_arguments"
    )


def test_only_an_uploaded_file_is_shared_and_only_once(simulator: SlackSimulator, call: Call) -> None:
    url, file = uploading(call, 5)
    share = {"files": [{"id": file, "title": "a"}], "channel_id": "C1"}

    assert error(call("files.completeUploadExternal", share)) == "file_not_found"
    simulator.handle(Http(url=url, body=b"bytes"))
    assert answered(call("files.completeUploadExternal", share))["ok"]
    assert error(call("files.completeUploadExternal", share)) == "file_not_found"
    assert error(call("files.completeUploadExternal", {"files": [], "channel_id": "C1"})) == "invalid_arguments"


def test_who_downloads_without_the_token_gets_a_login_page(simulator: SlackSimulator) -> None:
    simulator.shared("a.txt", b"bytes", mime="text/plain")
    (file,) = simulator.files
    url = f"/files-pri/T0SIMULATED-{file}/download/a.txt"

    login = simulator.handle(Http(method="GET", url=url))
    granted = simulator.handle(Http(method="GET", url=url, headers={"authorization": f"Bearer {TOKEN}"}))

    assert (login.status, login.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert granted.body == b"bytes"
    assert simulator.handle(Http(method="GET", url="/files-pri/T0SIMULATED-F0/a.txt")).status == 404


def test_a_command_is_answered_five_times_in_half_an_hour_and_without_the_token(
    simulator: SlackSimulator, clock: list[float]
) -> None:
    simulator.slash("/one")
    (ticket,) = simulator.response_urls

    def answer(**headers: str) -> Response:
        content = {"content-type": JSON, **headers}
        url = f"/commands/T0SIMULATED/{ticket}"
        return simulator.handle(Http(url=url, headers=content, body=b'{"text":"done"}'))

    assert error(answer(authorization=f"Bearer {TOKEN}")) == "token_leaked"
    assert [answer().status for _ in range(6)] == [200, 200, 200, 200, 200, 404]
    clock[0] += 1801
    simulator.response_urls[ticket].answers = 0
    assert answer().status == 404
    assert simulator.refused[-2:] == ["response_url: used_url", "response_url: expired_url"]


def test_its_requests_are_signed_as_slacks_own_library_wants(simulator: SlackSimulator) -> None:
    class Still(Clock):
        def now(self) -> float:
            return NOW

    verifier = SignatureVerifier("s", clock=Still())
    requests = [
        simulator.webhook("hello"),
        simulator.slash("/weather", "Paris"),
        simulator.button("a", "yes"),
        simulator.shared("a.txt", b"bytes", mime="text/plain"),
    ]

    for request in requests:
        assert verifier.is_valid_request(request.body, request.headers)


def test_its_events_have_fresh_ids(simulator: SlackSimulator) -> None:
    first, second = (msgspec.json.decode(simulator.webhook("hello").body) for _ in range(2))

    assert first["event_id"] != second["event_id"]
    assert first["event"]["ts"] < second["event"]["ts"]
    assert first["event"]["channel_type"] == "im"


async def test_trouble_can_be_scripted_for_a_method(simulator: SlackSimulator) -> None:
    simulator.fail(Fault(method="response_url", status=503))
    simulator.slash("/one")
    (ticket,) = simulator.response_urls

    response = await simulator.answer(Http(url=f"/commands/T0SIMULATED/{ticket}"))

    assert response.status == 503
    assert simulator.calls == ["response_url"]
