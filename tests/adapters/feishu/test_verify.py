"""What counts as proof that a request is Feishu's."""

import dataclasses
import hashlib
from typing import Any

import msgspec
import pytest

from dragoman.adapter import Known
from dragoman.adapters.feishu import Feishu
from dragoman.errors import Forged, Malformed
from dragoman.model import Secret
from dragoman.testing.simulators.feishu import FeishuSimulator
from dragoman.wire import Http

OLD_CARD = msgspec.json.encode(
    {
        "open_id": "ou_1",
        "open_message_id": "om_1",
        "open_chat_id": "oc_1",
        "tenant_key": "t",
        "token": "c-1",
        "action": {"tag": "button", "value": {"choice": "yes"}},
    }
)


def plain(token: str, **facts: Any) -> Http:
    header = {"event_id": "e1", "event_type": "im.message.message_read_v1", "token": token}
    return Http(body=msgspec.json.encode({"schema": "2.0", "header": header, "event": {}, **facts}))


def old_card(token: str) -> Http:
    signature = hashlib.sha1(b"1767406614" + b"nonce" + token.encode() + OLD_CARD).hexdigest()  # noqa: S324 - the vendor's scheme
    headers = {
        "x-lark-request-timestamp": "1767406614",
        "x-lark-request-nonce": "nonce",
        "x-lark-signature": signature,
    }
    return Http(headers=headers, body=OLD_CARD)


@pytest.fixture
def keyless(feishu: Feishu) -> Feishu:
    return dataclasses.replace(feishu, encrypt_key=Secret())


def test_an_encrypted_and_signed_event_is_taken_and_opened(
    feishu: Feishu, simulator: FeishuSimulator, known: Known
) -> None:
    payload = feishu.verify(simulator.webhook("hello"), known)

    assert msgspec.json.decode(payload.body)["header"]["event_type"] == "im.message.receive_v1"


def test_a_signed_plain_event_is_taken(feishu: Feishu, known: Known) -> None:
    signer = FeishuSimulator(encrypt_key="")
    body = signer.webhook("hello").body
    timestamp, nonce = "1767406614", "n"
    key = feishu.encrypt_key.reveal()
    headers = {
        "x-lark-request-timestamp": timestamp,
        "x-lark-request-nonce": nonce,
        "x-lark-signature": hashlib.sha256(f"{timestamp}{nonce}{key}".encode() + body).hexdigest(),
    }

    assert feishu.verify(Http(headers=headers, body=body), known).body == body


def test_an_unsigned_plain_event_is_forged_where_there_is_an_encrypt_key(feishu: Feishu, known: Known) -> None:
    with pytest.raises(Forged, match="timestamp is missing"):
        feishu.verify(plain(feishu.verification_token.reveal()), known)


def test_an_encrypted_but_unsigned_event_is_forged(feishu: Feishu, simulator: FeishuSimulator, known: Known) -> None:
    request = simulator.webhook("hello")

    with pytest.raises(Forged):
        feishu.verify(Http(body=request.body), known)


def test_without_an_encrypt_key_the_token_is_the_proof(keyless: Feishu, known: Known) -> None:
    assert keyless.verify(plain(keyless.verification_token.reveal()), known)
    for token in ("", "another"):
        with pytest.raises(Forged, match="token"):
            keyless.verify(plain(token), known)


def test_what_is_encrypted_is_forged_for_an_account_without_a_key(
    keyless: Feishu, simulator: FeishuSimulator, known: Known
) -> None:
    with pytest.raises(Forged, match="no encrypt_key"):
        keyless.verify(simulator.webhook("hello"), known)


def test_a_signed_event_with_another_token_is_forged(feishu: Feishu, simulator: FeishuSimulator, known: Known) -> None:
    other = dataclasses.replace(feishu, verification_token=Secret("another-token"))

    with pytest.raises(Forged, match="token"):
        other.verify(simulator.webhook("hello"), known)


def test_a_v1_event_is_proved_by_the_token_beside_it(keyless: Feishu, known: Known) -> None:
    envelope = {"uuid": "u1", "type": "event_callback", "ts": "1.5", "event": {"type": "message"}}
    token = keyless.verification_token.reveal()

    assert keyless.verify(Http(body=msgspec.json.encode({**envelope, "token": token})), known)
    with pytest.raises(Forged):
        keyless.verify(Http(body=msgspec.json.encode({**envelope, "token": "another"})), known)


def test_a_handshake_needs_its_token_but_no_signature(feishu: Feishu, simulator: FeishuSimulator, known: Known) -> None:
    receipt = feishu.parse(feishu.verify(simulator.handshake("a challenge"), known), known)

    assert msgspec.json.decode(receipt.response.body) == {"challenge": "a challenge"}
    assert receipt.events == ()
    for token in (None, "", "another"):
        question = {"type": "url_verification", "challenge": "x", "token": token}
        with pytest.raises(Forged):
            feishu.verify(Http(body=msgspec.json.encode(question)), known)


def test_an_event_that_calls_itself_a_handshake_brings_no_event(feishu: Feishu, known: Known) -> None:
    token = feishu.verification_token.reveal()
    disguised = plain(token, type="url_verification", challenge="x")

    assert feishu.parse(feishu.verify(disguised, known), known).events == ()


def test_both_live_secrets_of_a_rotation_are_accepted(feishu: Feishu, simulator: FeishuSimulator, known: Known) -> None:
    rotating = dataclasses.replace(
        feishu,
        encrypt_key=Secret("the-new-key", feishu.encrypt_key.reveal()),
        verification_token=Secret("the-new-token", feishu.verification_token.reveal()),
    )
    renewed = FeishuSimulator(encrypt_key="the-new-key", verification_token="the-new-token")

    for _ in range(50):  # a wrong key finds a plausible padding once in 256 times
        assert rotating.verify(simulator.webhook("old"), known)
        assert rotating.verify(renewed.webhook("new"), known)


def test_freshness_counts_only_where_it_is_asked_for(
    feishu: Feishu, simulator: FeishuSimulator, known: Known, clock: list[float]
) -> None:
    strict = dataclasses.replace(feishu, max_skew_s=300)
    clock[0] = known.now - 301
    late = simulator.webhook("late")
    clock[0] = known.now - 299
    fresh = simulator.webhook("fresh")

    assert feishu.verify(late, known)
    assert strict.verify(fresh, known)
    with pytest.raises(Forged, match="300 seconds"):
        strict.verify(late, known)


def test_an_old_card_callback_is_proved_by_its_own_signature(feishu: Feishu, keyless: Feishu, known: Known) -> None:
    genuine = old_card(feishu.verification_token.reveal())

    assert feishu.verify(genuine, known).body == OLD_CARD
    assert keyless.verify(genuine, known).body == OLD_CARD
    for request in (old_card("another"), Http(body=OLD_CARD), Http(headers=genuine.headers, body=OLD_CARD + b" ")):
        with pytest.raises(Forged):
            keyless.verify(request, known)


def test_the_signature_of_old_cards_proves_no_event(feishu: Feishu, keyless: Feishu, known: Known) -> None:
    body = plain("another").body
    token = feishu.verification_token.reveal()
    signature = hashlib.sha1(b"1n" + token.encode() + body).hexdigest()  # noqa: S324 - the vendor's scheme
    headers = {"x-lark-request-timestamp": "1", "x-lark-request-nonce": "n", "x-lark-signature": signature}

    for account in (feishu, keyless):
        with pytest.raises(Forged):
            account.verify(Http(headers=headers, body=body), known)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b'"encrypt"', b'{"encrypt": 1}', b"[" * 100_000])
def test_what_is_no_envelope_is_malformed(feishu: Feishu, known: Known, body: bytes) -> None:
    with pytest.raises(Malformed):
        feishu.verify(Http(body=body), known)


@pytest.mark.parametrize("sealed", ["!", "AAAA", "é", "AAAAAAAAAAAAAAAAAAAAAA==", "A" * 44])
def test_what_does_not_decrypt_is_forged(feishu: Feishu, known: Known, sealed: str) -> None:
    with pytest.raises(Forged):
        feishu.verify(Http(body=msgspec.json.encode({"encrypt": sealed})), known)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"api_base": "feishu.cn"}, "api_base"),
        ({"verification_token": Secret()}, "verification_token"),
        ({"app_id": ""}, "app_id"),
        ({"app_secret": Secret()}, "app_secret"),
        ({"max_skew_s": 300, "encrypt_key": Secret()}, "encrypt_key"),
        ({"max_skew_s": -1}, "negative"),
    ],
)
def test_wrong_settings_are_told(feishu: Feishu, wrong: dict[str, Any], problem: str) -> None:
    (line,) = dataclasses.replace(feishu, **wrong).check()

    assert problem in line
