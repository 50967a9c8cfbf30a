"""Protocols as data: what is decoded and refused, and exchanges that run without a network."""

from typing import Any

import msgspec
import pytest

from dragoman import wire
from dragoman.errors import Malformed, NoAnswer, Undecodable
from dragoman.model import Value
from dragoman.wire import Credential, Exchange, Expired, Http, Outcome, Response, Sent, Unsure


class Shape(Value):
    """What a platform might document."""

    name: str
    count: int = 0


def test_the_documented_shape_is_decoded_and_more_is_ignored() -> None:
    assert wire.decode(b'{"name": "a", "count": 2, "new": [1]}', Shape) == Shape(name="a", count=2)
    assert wire.decode('{"name": "\u5bc6"}', Shape) == Shape(name="密")


@pytest.mark.parametrize(
    "body",
    [b"{}", b"[]", b"null", b'"text"', b'{"name": 7}', b'{"name": null}', b'{"name": "a", "count": "2"}'],
)
def test_another_shape_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        wire.decode(body, Shape)

    assert not isinstance(refused.value, Undecodable)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"name=a",
        b"{",
        b'{"name": "a"} {}',
        b'{"name": "a",}',
        b"{'name': 'a'}",
        b'{"name": "\xff"}',
        b'{"name": "\\ud800"}',
        b'{"name": NaN}',
        "\ud800",
        b'{"name": "a", "more": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"more":' * 100_000,
    ],
    ids=[
        "empty",
        "a form",
        "cut off",
        "two",
        "a comma too many",
        "Python",
        "no UTF-8",
        "half a surrogate",
        "NaN",
        "a text that is none",
        "deep lists",
        "deep objects",
    ],
)
def test_what_is_no_json_is_undecodable(body: bytes | str) -> None:
    with pytest.raises(Undecodable):
        wire.decode(body, Shape)
    with pytest.raises(Undecodable):
        wire.decode_object(body)


def test_an_object_of_any_shape_is_decoded() -> None:
    assert wire.decode_object(b'{"a": [1, {"b": null}]}') == {"a": [1, {"b": None}]}


@pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"text"'])
def test_what_is_no_object_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        wire.decode_object(body)


def test_what_is_refused_is_not_quoted() -> None:
    with pytest.raises(Malformed) as refused:
        wire.decode(b'{"name": "hunter2", "count": "hunter2"}', Shape)

    assert "hunter2" not in str(refused.value)


def test_a_json_response_says_so() -> None:
    response = wire.json_response({"a": "密"}, 201, {"retry-after": "5"})

    assert (response.status, msgspec.json.decode(response.body)) == (201, {"a": "密"})
    assert response.headers == {"content-type": "application/json; charset=utf-8", "retry-after": "5"}


def test_a_json_response_can_be_of_another_kind() -> None:
    response = wire.json_response({}, headers={"content-type": "application/problem+json"})

    assert response.headers == {"content-type": "application/problem+json"}


def test_a_text_response_says_so() -> None:
    response = wire.text_response("密", 202)

    assert response.body.decode() == "密"
    assert (response.status, response.headers) == (202, {"content-type": "text/plain; charset=utf-8"})


def two_steps() -> Exchange[Outcome]:
    """Ask twice; say what the answers were."""
    first = yield Http(url="https://example.test/1")
    second = yield Http(url="https://example.test/2")
    return Sent(ids=(first.body.decode(), second.body.decode()))


def careful() -> Exchange[Outcome]:
    """Ask once; know what silence means."""
    try:
        yield Http(url="https://example.test/1")
    except NoAnswer as silence:
        return Unsure(reason=silence.reason)
    return Sent()


def renewing() -> Exchange[list[Any]]:
    """Ask for another credential, then again."""
    yield Expired(credential=Credential(name="tenant_token"))
    answer = yield Http(url="https://example.test/1")
    return [answer.status]


def silent() -> Exchange[str]:
    """Ask for nothing."""
    return "done"
    yield Http()


def test_an_exchange_runs_on_prepared_answers() -> None:
    assert wire.run(two_steps(), Response(body=b"a"), Response(body=b"b")) == Sent(ids=("a", "b"))
    assert wire.run(renewing(), Response(), Response(status=418)) == [418]
    assert wire.run(silent()) == "done"


def test_silence_is_thrown_in() -> None:
    assert wire.run(careful(), NoAnswer("timeout", sent=True)) == Unsure(reason="timeout")


def test_silence_that_an_exchange_does_not_expect_comes_out() -> None:
    with pytest.raises(NoAnswer):
        wire.run(two_steps(), Response(), NoAnswer("timeout", sent=True))


def test_an_exchange_that_asks_for_more_than_was_prepared_is_told() -> None:
    with pytest.raises(IndexError):
        wire.run(two_steps(), Response())


def test_a_credential_is_only_named() -> None:
    request = Http(url="https://example.test", auth=Credential(name="bot_token"), json={"secret": Credential(name="x")})

    assert msgspec.to_builtins(request)["auth"] == {"name": "bot_token"}
