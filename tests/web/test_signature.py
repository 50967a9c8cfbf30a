"""Standard Webhooks signatures at the generic webhook, computed here by the specification and not by our own code."""

import base64
import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import msgspec
import pytest

from dragoman.errors import ConfigError

if TYPE_CHECKING:
    from tests.web.conftest import Answer, Site, Start

KEY = b"0123456789abcdef0123456789abcdef"
ENCODED = "whsec_" + base64.b64encode(KEY).decode()
PLAIN = "a plain secret of the tests"
BODY = msgspec.json.encode({"content": "hello"})


def signature(key: bytes, message_id: str, stamp: str, body: bytes) -> str:
    """Sign as the specification says, section "Signature scheme": base64(HMAC-SHA256(`id.timestamp.body`))."""
    signed = b".".join([message_id.encode(), stamp.encode(), body])
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def signed(key: bytes = KEY, *, ago: float = 0.0) -> dict[str, str]:
    """Return the three headers of a request with the body `BODY`."""
    stamp = str(int(time.time() - ago))
    return {
        "webhook_id": "msg_1",
        "webhook_timestamp": stamp,
        "webhook_signature": signature(key, "msg_1", stamp, BODY),
    }


async def send(site: "Site", headers: dict[str, str], body: bytes = BODY) -> "Answer":
    return await site.post(body, token="", **headers)


@pytest.fixture
async def signing(start: "Start") -> AsyncIterator["Site"]:
    """A service whose callers sign with a `whsec_` secret; there is no bearer token."""
    async with start({"webhook": {"platform": "webhook", "secret": ENCODED}}) as running:
        yield running


async def test_a_valid_signature_is_accepted_and_its_id_is_the_message_s(signing: "Site") -> None:
    answer = await send(signing, signed())

    assert answer.status == 200
    assert answer.json["id"] == "msg_1"


async def test_one_valid_signature_among_several_is_enough(signing: "Site") -> None:
    headers = signed()
    headers["webhook_signature"] = "v1,AAAA v1a,BBBB " + headers["webhook_signature"]

    assert (await send(signing, headers)).status == 200


async def test_a_plain_secret_is_the_key_as_it_stands(start: "Start") -> None:
    async with start({"webhook": {"platform": "webhook", "secret": PLAIN}}) as site:
        answer = await send(site, signed(PLAIN.encode()))

    assert answer.status == 200


async def test_both_secrets_of_a_rotation_are_accepted(start: "Start") -> None:
    async with start({"webhook": {"platform": "webhook", "secret": [PLAIN, ENCODED]}}) as site:
        new = await send(site, signed(PLAIN.encode()))
        old = await send(site, signed(KEY))

    assert (new.status, old.status) == (200, 200)


async def test_a_token_is_still_good_where_a_secret_is_set_too(start: "Start") -> None:
    async with start({"webhook": {"platform": "webhook", "secret": ENCODED, "token": "both"}}) as site:
        by_token = await site.post({"content": "hello"}, token="both")
        by_signature = await send(site, signed())
        by_neither = await send(site, {**signed(), "webhook_signature": "v1,AAAA"})

    assert (by_token.status, by_signature.status, by_neither.status) == (200, 200, 401)


@pytest.mark.parametrize("ago", [290, -290])  # a busy machine may take seconds to send it
async def test_a_timestamp_within_five_minutes_is_accepted(signing: "Site", ago: float) -> None:
    assert (await send(signing, signed(ago=ago))).status == 200


@pytest.mark.parametrize("ago", [302, -310, 1_700_000_000])
async def test_a_stale_or_future_timestamp_is_refused(signing: "Site", ago: float) -> None:
    assert (await send(signing, signed(ago=ago))).status == 401


async def test_a_signature_by_another_key_is_refused(signing: "Site") -> None:
    assert (await send(signing, signed(b"another key"))).status == 401


async def test_another_body_under_the_same_signature_is_refused(signing: "Site") -> None:
    assert (await send(signing, signed(), BODY.replace(b"hello", b"hullo"))).status == 401


@pytest.mark.parametrize("part", ["webhook_id", "webhook_timestamp", "webhook_signature"])
async def test_a_missing_part_is_refused(signing: "Site", part: str) -> None:
    headers = signed()
    del headers[part]

    assert (await send(signing, headers)).status == 401


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook_id": "msg_2"},
        {"webhook_timestamp": "0"},
        {"webhook_timestamp": "-1"},
        {"webhook_timestamp": "1e9"},
        {"webhook_timestamp": "9" * 5000},
        {"webhook_signature": "v1,"},
        {"webhook_signature": "v1"},
        {"webhook_signature": "\u00e9"},
        {"webhook_signature": "v1," + "A" * 43 + "="},
    ],
    ids=["id", "epoch", "negative", "float", "endless", "empty", "version", "not ascii", "other"],
)
async def test_a_changed_part_is_refused(signing: "Site", changed: dict[str, str]) -> None:
    assert (await send(signing, {**signed(), **changed})).status == 401


async def test_an_unsigned_request_is_refused(signing: "Site") -> None:
    assert (await send(signing, {})).status == 401


@pytest.mark.parametrize("secret", ["whsec_not base64!", "whsec_"])
async def test_a_secret_that_could_never_verify_is_refused_at_the_start(start: "Start", secret: str) -> None:
    with pytest.raises(ConfigError, match="webhook"):
        async with start({"webhook": {"platform": "webhook", "secret": secret}}):
            pass
