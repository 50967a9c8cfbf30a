"""The runner of vectors files, tried with an adapter that reports whatever a payload tells it to."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from dragoman import adapters, wire
from dragoman.adapter import Adapter, Capabilities, Known, Payload, Polled, Receipt, header, platform, setting
from dragoman.errors import ConfigError, Forged
from dragoman.model import Delivery, Event, Secret
from dragoman.testing.conformance import CaseResult, as_json, run_vectors, summary
from dragoman.wire import Exchange, Http, Moved, Outcome, Refused, Response, Retry, Sent, Unsure

SECRET = "a secret of the scripted platform"


class Script(msgspec.Struct):
    events: list[dict[str, Any]] = []
    status: int = 200
    type: str = ""
    reply: str = ""
    breaks: bool = False


@platform
class Scripted(Adapter):
    """Its payloads say what is to be reported; its API's status says what became of a message."""

    platform: ClassVar[str] = "scripted"
    title: ClassVar[str] = "Scripted"
    capabilities: ClassVar[Capabilities] = Capabilities(max_text=100, modes=frozenset({"webhook", "poll"}))
    vector_settings: ClassVar[dict[str, str]] = {"robot": "bot_id"}

    secret: Secret = setting("What requests are proved by.")
    bot_id: str = setting("Who we are.", default="")
    needed: str = setting("Required, but rarely listed.")
    most: int = setting("A number.", default=0)

    def verify(self, request: Http, known: Known) -> Payload:
        if header(request.headers, "x-proof") not in self.secret.candidates():
            raise Forged("wrong proof")
        return Payload(body=request.body)

    def parse(self, payload: Payload, known: Known) -> Receipt:
        script = wire.decode(payload.body, Script)
        if script.breaks:
            raise LookupError("no such\nfield")
        facts = {"bot_id": self.bot_id, "now": known.now, "keys": known.keys, "needed": self.needed}
        events = tuple(self._event(each, facts) for each in script.events)
        response = Response(status=script.status, headers={"Content-Type": script.type}, body=script.reply.encode())
        return Receipt(events=events, response=response)

    def _event(self, told: dict[str, Any], facts: dict[str, Any]) -> Event:
        given = {
            "key": "1",
            "account": self.account,
            "platform": self.platform,
            "conversation": "acct/c",
            "address": {"account": self.account, "channel": "c", "thread": told.get("thread", "")},
            "sender": {"id": "u"},
            **told,
        }
        if told.get("emoji_from"):
            given["value"] = {"emoji": str(facts[told["emoji_from"]])}
        return msgspec.convert(given, Event)

    def send(self, delivery: Delivery, known: Known) -> Exchange[Outcome]:
        response = yield Http(url="https://example.org/send", json={"text": "hello"})
        return outcomes(delivery)[response.status]

    def poll(self, known: Known) -> Exchange[Polled]:
        response = yield Http(url="https://example.org/poll?limit=10", query={"offset": known.cursor, "queue": "q"})
        receipt = self.parse(Payload(body=response.body), known)
        return Polled(receipt=receipt, cursor="12")

    def decrypt(self, blob: bytes) -> bytes:
        if not blob:
            raise Forged("nothing to decrypt")
        return blob[::-1]


def outcomes(delivery: Delivery) -> dict[int, Outcome]:
    return {
        200: Sent(ids=("1",)),
        400: Refused(reason="text"),
        401: Refused(reason="token", scope="account"),
        301: Moved(address=msgspec.structs.replace(delivery.address, channel="-100")),
        429: Retry(reason="slowly", after=14.0),
        504: Unsure(reason="lost"),
    }


@platform
class Plain(Adapter):
    """Has no transport but its API."""

    platform: ClassVar[str] = "plain"
    title: ClassVar[str] = "Plain"
    capabilities: ClassVar[Capabilities] = Capabilities(max_text=100, modes=frozenset({"local"}))

    def parse(self, payload: Payload, known: Known) -> Receipt:
        return Receipt()

    def send(self, delivery: Delivery, known: Known) -> Exchange[Outcome]:
        while True:
            yield Http(url="https://example.org/send")


Run = Callable[..., list[CaseResult]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Write cases into a file and run them."""
    monkeypatch.setitem(adapters.SHIPPED, "scripted", f"{__name__}:Scripted")
    monkeypatch.setitem(adapters.SHIPPED, "plain", f"{__name__}:Plain")

    def write(*cases: dict[str, Any], name: str = "scripted") -> list[CaseResult]:
        path = tmp_path / "vectors.json"
        path.write_text(json.dumps({"platform": name, "format": "1", "notes": "", "cases": cases}), encoding="utf-8")
        return run_vectors(name, path)

    return write


def case(expect: dict[str, Any], *, name: str = "one", **parts: Any) -> dict[str, Any]:
    """A case whose request is proved, and tells the adapter the script."""
    script = {key: parts.pop(key) for key in ("events", "status", "type", "reply", "breaks") if key in parts}
    request = {"method": "POST", "path": "/", "query": {}, "headers": {"X-Proof": SECRET}, "body": json.dumps(script)}
    whole = {"name": name, "source": "ours", "config": {"secret": SECRET}, "request": request, "expect": expect}
    return {**whole, **parts}


def listing(told: dict[str, Any], listed: dict[str, Any]) -> dict[str, Any]:
    return case({"authentic": True, "events": [listed]}, events=[told])


ALIKE: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({}, {"type": "message", "deliver": True, "conversation_id": "c", "sender_id": "u"}),
    ({"kind": "action"}, {"type": "card_action"}),
    ({"kind": "delete", "wants_turn": False}, {"type": "message_deleted", "deliver": False}),
    ({"kind": "platform_event", "wants_turn": False}, {"type": "platform_event", "deliver": True}),
    ({"text_as_sent": " a   b\nc "}, {"text": "a b\nc"}),
    ({"text": "only clean"}, {"text": "only clean", "text_clean": "only clean"}),
    ({"text_as_sent": "abc"}, {"text_any_of": ["x", "abc"]}),
    ({"text_as_sent": "a b c"}, {"text_contains": "b", "text_must_not_contain": "z"}),
    ({"text_as_sent": "a b c"}, {"text_contains": ["a", "c"], "text_must_not_contain": ["y", "z"]}),
    ({"text_as_sent": "äb"}, {"text_length": 2}),
    ({"sender": {"id": "u", "name": "Ann"}}, {"sender_id_any_of": ["a", "u"], "sender_name": "Ann"}),
    ({"message_id": "1"}, {"thread_id": None, "reply_to": None}),
    ({"thread": "t", "message_id": "m"}, {"thread_id": "t"}),
    ({"thread": "m", "message_id": "m"}, {"thread_id": None}),
    ({"value": {"thread_id": "v"}, "message_id": "m"}, {"thread_id": "v"}),
    ({"at": 1767406613.568}, {"timestamp_ms": 1767406613568}),
    ({"mentions": [{"id": "a"}, {"id": "b", "name": "Ben"}]}, {"mentions": ["a", "@Ben"]}),
    ({"mentions": [{"id": "a", "is_bot": True}]}, {"mentions": [{"id": "a", "is_bot": True, "staff_id": "9"}]}),
    ({}, {"mentions": [], "attachments": [], "mentions_bot": False}),
    ({"attachments": [{"kind": "file", "size": 5}]}, {"attachments": [{"kind": "file", "size": 5.0, "format": "x"}]}),
    ({"value": {"action_value": {"a": 1}}}, {"action_value": {"a": 1.0}}),
    ({"value": {"command": "/x", "command_args": "y"}}, {"command": "/x", "command_args": "y"}),
    ({}, {"reply_to_bot": False, "event_id": None, "emoji": ""}),
    ({}, {"dedupe_key": "other", "note": "words", "response_url": "unnamed", "text_note": "words"}),
]

UNLIKE: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"type": "edit"}),
    ({"kind": "edit"}, {"type": "edit", "deliver": False}),
    ({}, {"conversation_id": "d"}),
    ({"text_as_sent": "a\nb"}, {"text": "a b"}),
    ({"text_as_sent": "abc"}, {"text_any_of": ["x", "ab"]}),
    ({"text_as_sent": "abc"}, {"text_contains": ["a", "z"]}),
    ({"text_as_sent": "abc"}, {"text_must_not_contain": ["z", "b"]}),
    ({"text": "clean", "text_as_sent": "@bot clean"}, {"text_clean": "@bot clean"}),
    ({"thread": "t", "message_id": "m"}, {"thread_id": None}),
    ({"at": 1.001}, {"timestamp_ms": 1000}),
    ({"mentions": [{"id": "a"}]}, {"mentions": ["b"]}),
    ({"mentions": [{"id": "a"}]}, {"mentions": ["a", "a"]}),
    ({"mentions": [{"id": "a"}, {"id": "b"}]}, {"mentions": ["b", "a"]}),
    ({"mentions": [{"id": "a"}]}, {"mentions": [{"id": "a", "is_bot": True}]}),
    ({}, {"mentions_bot": True}),
    ({"attachments": [{"kind": "file"}]}, {"attachments": [{"kind": "image"}]}),
    ({"attachments": [{"kind": "file"}]}, {"attachments": []}),
    ({"value": {"action_value": {"a": True}}}, {"action_value": {"a": 1}}),
    ({"value": {"action_value": "1"}}, {"action_value": 1}),
    ({}, {"emoji": "👍"}),
    ({"value": {"reply_to_bot": True}}, {"reply_to_bot": False}),
]


@pytest.mark.parametrize(("told", "listed"), ALIKE)
def test_facts_that_are_alike_pass(run: Run, told: dict[str, Any], listed: dict[str, Any]) -> None:
    assert [result.line for result in run(listing(told, listed))] == ["ok one"]


@pytest.mark.parametrize(("told", "listed"), UNLIKE)
def test_facts_that_are_not_alike_fail(run: Run, told: dict[str, Any], listed: dict[str, Any]) -> None:
    [result] = run(listing(told, listed))

    assert result.status == "FAIL"
    assert result.line.startswith("FAIL one: expected events")


def test_a_difference_names_what_was_expected_and_what_came(run: Run) -> None:
    [result] = run(case({"http_status": 200, "events": [{"text": "a", "emoji": "x"}]}, status=202, events=[{}]))

    assert result.line == (
        "FAIL one: expected http_status 200, got 202; "
        'expected events[0].text "a", got ""; expected events[0].emoji "x", got null'
    )


def test_what_is_not_handed_over_may_be_returned_or_left_out(run: Run) -> None:
    told = [{"kind": "ignored"}, {"wants_turn": False, "key": "2"}, {"key": "3", "message_id": "m"}]
    listed = [{"type": "self", "sender_id": "x"}, {"type": "unknown"}, {"message_id": "m"}, {"deliver": False}]

    assert run(case({"events": listed}, events=told))[0].status == "ok"


@pytest.mark.parametrize(
    ("told", "listed"),
    [([{}], []), ([], [{}]), ([{"message_id": "1"}, {"key": "2", "message_id": "2"}], [{"message_id": "2"}, {}])],
)
def test_events_are_as_many_and_in_the_order_listed(run: Run, told: list[Any], listed: list[Any]) -> None:
    assert run(case({"events": listed}, events=told))[0].status == "FAIL"


def test_an_edit_that_is_not_answered_must_still_be_there(run: Run) -> None:
    [result] = run(case({"events": [{"type": "edit", "deliver": False}]}, events=[]))

    assert result.line == 'FAIL one: expected events ["edit"], got []'


@pytest.mark.parametrize(
    ("expect", "script"),
    [
        ({"http_status": 200}, {}),
        ({"http_status_any_of": [200, 202]}, {"status": 202}),
        ({"response_body": "success"}, {"reply": "success"}),
        ({"response_body_any_of": ["abc", '{"challenge": "abc"}']}, {"reply": '{"challenge":"abc"}'}),
        ({"response_body_contains": "ch"}, {"reply": "challenge"}),
        ({"response_json": {"a": 1, "b": [2]}}, {"reply": '{"b":[2.0],"a":1}'}),
        ({"response_json_type_any_of": [5, 6]}, {"reply": '{"type":5}'}),
        ({"response_content_type": "text/plain"}, {"type": "Text/Plain; charset=utf-8"}),
        ({"authentic": None, "reject_reason": "x", "deadline_ms": 3000, "sdk_error": "y"}, {}),
        ({"ack_frame_json": {"not": "of this transport"}}, {}),
        ({"plaintext": {"reply": "x"}}, {"reply": "x"}),
    ],
)
def test_an_answer_as_listed_passes(run: Run, expect: dict[str, Any], script: dict[str, Any]) -> None:
    assert run(case(expect, **script))[0].line == "ok one"


@pytest.mark.parametrize(
    ("expect", "script"),
    [
        ({"http_status": 200}, {"status": 500}),
        ({"http_status_any_of": [200, 202]}, {"status": 204}),
        ({"authentic": False}, {}),
        ({"response_body": "success"}, {"reply": "success\n"}),
        ({"response_body_any_of": ["abc"]}, {"reply": "abd"}),
        ({"response_json": {"a": 1}}, {"reply": '{"a":1,"b":2}'}),
        ({"response_json": {"a": 1}}, {"reply": "no JSON"}),
        ({"response_json_type_any_of": [5, 6]}, {"reply": '{"type":4}'}),
        ({"response_content_type": "text/plain"}, {"type": "text/html"}),
    ],
)
def test_an_answer_other_than_listed_fails(run: Run, expect: dict[str, Any], script: dict[str, Any]) -> None:
    assert run(case(expect, **script))[0].status == "FAIL"


def test_a_forged_request_is_refused_with_401(run: Run) -> None:
    request = {"method": "POST", "path": "/", "headers": {"x-proof": "guessed"}, "body": "{}"}
    expect = {"authentic": False, "http_status": 401, "events": []}

    assert run(case(expect, request=request))[0].status == "ok"
    assert run(case({"authentic": True}, request=request))[0].status == "FAIL"


def test_what_cannot_be_parsed_is_refused_with_400(run: Run) -> None:
    request = {"method": "POST", "path": "/", "headers": {"x-proof": SECRET}, "body": "no JSON"}

    assert run(case({"authentic": True, "http_status": 400, "events": []}, request=request))[0].status == "ok"


def test_an_exception_is_a_verdict_in_one_line(run: Run) -> None:
    broken, whole = run(case({}, name="broken", breaks=True), case({}, name="whole"))

    assert broken.line == "FAIL broken: expected an answer, got LookupError: no such field"
    assert whole.line == "ok whole"


@pytest.mark.parametrize("link", ["duplicate_of", "same_message_as"])
def test_a_repeat_brings_nothing_and_is_told_so_with_success(run: Run, link: str) -> None:
    first = case({"events": [{}]}, name="first", events=[{"key": "k"}])
    again = case({link: "first", "events": []}, name="again", events=[{"key": "k"}])
    other = case({link: "first", "events": []}, name="other", events=[{"key": "another"}])
    cross = case({link: "first", "events": []}, name="cross", events=[{"key": "k"}], status=500)

    results = run(first, again, other, cross)

    assert [result.status for result in results] == ["ok", "ok", "FAIL", "FAIL"]
    assert results[3].detail == "expected a success status for a repeat, got 500"


def test_a_repeat_of_a_repeat_is_fed_after_both(run: Run) -> None:
    first = case({}, name="first", events=[{"key": "a"}])
    second = case({"duplicate_of": "first"}, name="second", events=[{"key": "b"}])
    third = case({"duplicate_of": "second", "events": []}, name="third", events=[{"key": "a"}, {"key": "b"}])

    assert run(third, second, first)[0].status == "ok"


def test_every_other_case_starts_from_an_empty_store(run: Run) -> None:
    twice = [case({"events": [{}]}, name=name, events=[{"key": "k"}]) for name in ("one", "two")]

    assert [result.status for result in run(*twice)] == ["ok", "ok"]


@pytest.mark.parametrize("name", ["nobody", "one"])
def test_a_repeat_of_no_other_case_fails(run: Run, name: str) -> None:
    assert run(case({"duplicate_of": name}))[0].status == "FAIL"


def test_the_clock_and_facts_that_are_no_settings_reach_the_adapter(run: Run) -> None:
    config = {"secret": SECRET, "jwks": {"keys": []}, "needed": 7, "robot": 12, "bot_id": None}
    told = [{"key": name, "emoji_from": name} for name in ("now", "keys", "needed", "bot_id")]
    listed = [{"emoji": "5.0"}, {"emoji": "{'jwks': {'keys': []}}"}, {"emoji": "7"}, {"emoji": "12"}]

    assert run(case({"events": listed}, events=told, config=config, now=5))[0].line == "ok one"


def test_settings_that_a_case_does_not_give_get_a_placeholder(run: Run) -> None:
    told, listed = [{"emoji_from": "needed"}], [{"emoji": "placeholder"}]

    assert run(case({"events": listed}, events=told))[0].line == "ok one"


def test_a_secret_that_a_case_does_not_give_matches_nothing(run: Run) -> None:
    request = {"headers": {"x-proof": ""}, "body": "{}"}

    assert run(case({"authentic": False}, request=request, config={}))[0].status == "ok"


def test_a_setting_that_the_adapter_refuses_fails_its_case(run: Run) -> None:
    [result] = run(case({}, config={"secret": SECRET, "most": "many"}))

    assert result.status == "FAIL"
    assert "most" in result.detail


def polled(expect: dict[str, Any], *events: dict[str, Any]) -> dict[str, Any]:
    return case(expect, request={"transport": "long_poll", "body": json.dumps({"events": events})})


def test_a_poll_is_judged_by_its_events_and_the_next_request(run: Run) -> None:
    following = {"offset": 12, "limit": "10", "queue": "unchanged"}
    expect = {"authentic": True, "events": [{"message_id": "m"}], "next_request": following, "next_since": "12"}

    assert run(polled(expect, {"message_id": "m"}))[0].line == "ok one"


@pytest.mark.parametrize("following", [{"offset": 13}, {"offset": "unchanged"}, {"absent": 1}])
def test_a_poll_that_goes_on_elsewhere_fails(run: Run, following: dict[str, Any]) -> None:
    assert run(polled({"next_request": following}))[0].status == "FAIL"


VERDICTS: list[tuple[int, dict[str, Any]]] = [
    (200, {"retryable": False, "treat_as": "success"}),
    (400, {"retryable": False}),
    (401, {"retryable": False, "fatal": "token_revoked"}),
    (301, {"retryable": True, "new_conversation_id": "-100"}),
    (429, {"retryable": True, "retry_after_s": 14}),
    (504, {"retryable": False}),
]


def answered(status: int, expect: dict[str, Any]) -> dict[str, Any]:
    return case(expect, request={"transport": "api_response", "status": status, "body": "{}"})


@pytest.mark.parametrize(("status", "expect"), VERDICTS)
def test_an_outcome_as_listed_passes(run: Run, status: int, expect: dict[str, Any]) -> None:
    assert run(answered(status, expect))[0].line == "ok one"


@pytest.mark.parametrize(
    ("status", "expect"),
    [
        (200, {"retryable": True}),
        (400, {"treat_as": "success"}),
        (400, {"fatal": "x"}),
        (401, {"fatal": None}),
        (301, {"new_conversation_id": "1"}),
        (429, {"retry_after_s": 15}),
    ],
)
def test_an_outcome_other_than_listed_fails(run: Run, status: int, expect: dict[str, Any]) -> None:
    assert run(answered(status, expect))[0].status == "FAIL"


def test_an_exchange_without_end_fails(run: Run) -> None:
    [result] = run(answered(200, {"retryable": False}), name="plain")

    assert result.detail == "expected an answer, got RuntimeError: the exchange asked more than 5 times"


@pytest.mark.parametrize(
    ("given", "expect", "status"),
    [
        (b"olleh", {"authentic": True, "plaintext": "hello", "events": []}, "ok"),
        (b'}1:"a"{', {"plaintext": {"a": 1}}, "ok"),
        (b"olleh", {"plaintext_base64": base64.b64encode(b"hello").decode()}, "ok"),
        (b"olleh", {"plaintext": "hallo"}, "FAIL"),
        (b"", {"authentic": False}, "ok"),
        (b"", {"authentic": True}, "FAIL"),
    ],
)
def test_a_ciphertext_is_decrypted(run: Run, given: bytes, expect: dict[str, Any], status: str) -> None:
    request = {"transport": "crypto", "ciphertext_base64": base64.b64encode(given).decode()}

    assert run(case(expect, request=request))[0].status == status


@pytest.mark.parametrize("transport", ["websocket", "gateway", "xmpp", "irc", "websocket-handshake"])
def test_a_transport_that_nobody_has_is_skipped(run: Run, transport: str) -> None:
    assert run(case({}, request={"transport": transport, "body": ""}))[0].line == f"skip one: {transport}"


@pytest.mark.parametrize("transport", ["http", "long_poll", "crypto"])
def test_a_transport_that_this_adapter_lacks_is_skipped(run: Run, transport: str) -> None:
    request = {"transport": transport, "body": "", "ciphertext_base64": ""}

    assert run(case({}, request=request), name="plain")[0].line == f"skip one: {transport}"


def test_a_primitive_that_the_kit_does_not_know_is_skipped(run: Run) -> None:
    assert run(case({}, request={"transport": "crypto", "timestamp": "1"}))[0].line == "skip one: crypto"


def test_the_sums_count_every_verdict(run: Run) -> None:
    skipped = case({}, name="three", request={"transport": "irc"})
    results = run(case({}), case({"http_status": 1}, name="two"), skipped)

    assert summary(results) == "1 passed, 1 failed, 1 skipped"
    assert as_json(results) == {
        "passed": 1,
        "failed": 1,
        "skipped": 1,
        "cases": [
            {"name": "one", "status": "ok", "detail": ""},
            {"name": "two", "status": "FAIL", "detail": "expected http_status 1, got 200"},
            {"name": "three", "status": "skip", "detail": "irc"},
        ],
    }


def test_a_platform_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no platform 'slck'.*did you mean slack"):
        run_vectors("slck", tmp_path / "vectors.json")


@pytest.mark.usefixtures("run")
def test_a_file_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"vectors\.json: cannot be read"):
        run_vectors("scripted", tmp_path / "vectors.json")


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "[]",
        "{}",
        '{"platform": "scripted", "format": "2", "cases": []}',
        '{"platform": "scripted", "format": "1", "cases": [{"name": "one"}]}',
        '{"platform": "scripted", "format": "1", "cases": [{"name": 1, "request": {}, "expect": {}}]}',
    ],
)
def test_a_file_of_another_format_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "vectors.json"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(ConfigError, match=r"vectors\.json: is no vectors file"):
        run_vectors("scripted", path)


def test_two_cases_of_one_name_are_refused(run: Run) -> None:
    with pytest.raises(ConfigError, match="two cases have this name"):
        run(case({}), case({}))
