"""Proofs and ciphers, against published vectors and other implementations."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from dragoman import crypto
from dragoman.errors import Forged

KEY = bytes(range(32))
VECTOR = bytes(range(16))


def seal(plain: bytes, key: bytes = KEY, vector: bytes = VECTOR) -> bytes:
    """Encrypt as a platform does."""
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
    return vector + encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ("secret", "secret", True),
        ("secret", b"secret", True),
        ("secret", "secreT", False),
        ("secret", "secret ", False),
        ("", "", True),
        ("", "x", False),
        ("密钥", "密钥".encode(), True),
        ("密钥", "密鑰", False),
        ("\ud800", "\ud800", True),
        ("\ud800", "\ud801", False),
        ("é", b"\xe9", False),
    ],
)
def test_texts_and_bytes_compare_as_utf_8(left: str | bytes, right: str | bytes, equal: bool) -> None:
    assert crypto.same(left, right) is equal


@pytest.mark.parametrize(
    ("candidates", "found"),
    [((), False), (("new",), False), (("new", "old"), True), (("old", "new"), True), ((b"old",), True), (("",), False)],
)
def test_any_of_the_live_secrets_is_accepted(candidates: tuple[str | bytes, ...], found: bool) -> None:
    assert crypto.same_as_any("old", candidates) is found


@pytest.mark.parametrize(
    ("key", "parts", "expected"),
    [
        (b"\x0b" * 20, [b"Hi There"], "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (
            "Jefe",
            [b"what do ya want ", b"for nothing?"],
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            b"\xaa" * 131,
            [b"Test Using Larger Than Block-Size Key - Hash Key First"],
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
    ],
    ids=["RFC 4231, case 1", "RFC 4231, case 2", "RFC 4231, case 6"],
)
def test_the_hmac_is_that_of_the_standard(key: str | bytes, parts: list[bytes], expected: str) -> None:
    assert crypto.hmac_sha256_hex(key, *parts) == expected


def test_a_key_that_was_made_ready_proves_again_and_again() -> None:
    ready = crypto.keyed("Jefe")

    proofs = {crypto.hmac_sha256_hex(ready, b"what do ya want ", b"for nothing?") for _ in range(3)}

    assert proofs == {"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"}


def test_the_hash_is_that_of_the_parts_joined() -> None:
    assert crypto.sha256_hex(b"ab", b"", b"c") == hashlib.sha256(b"abc").hexdigest()


def test_a_fingerprint_is_the_same_everywhere() -> None:
    assert crypto.fingerprint("acme", "message", "k1") == crypto.fingerprint("acme", "message", "k1")
    assert len(crypto.fingerprint("acme")) == 32
    assert int(crypto.fingerprint("密", "\ud800"), 16)


@pytest.mark.parametrize("other", [("ab", "c"), ("a", "bc"), ("abc",), ("a", "b", "c", ""), ("c", "b", "a"), ()])
def test_a_fingerprint_knows_where_a_part_ends(other: tuple[str, ...]) -> None:
    assert crypto.fingerprint("a", "b", "c") != crypto.fingerprint(*other)


@pytest.mark.parametrize("plain", [b"", b"x", b"fifteen bytes!!", b"sixteen bytes!!!", "密文".encode() * 100])
def test_what_was_encrypted_is_decrypted(plain: bytes) -> None:
    assert crypto.aes_cbc_decrypt(KEY, seal(plain)) == plain


def test_a_vendors_example_is_decrypted() -> None:
    """Feishu, "Configure Encrypt Key": the example of its page."""
    sealed = base64.b64decode("P37w+VZImNgPEO1RBhJ6RtKl7n6zymIbEG1pReEzghk=")

    assert crypto.aes_cbc_decrypt(hashlib.sha256(b"test key").digest(), sealed) == b"hello world"


@pytest.mark.parametrize(
    "blob",
    [b"", VECTOR, VECTOR[:15], VECTOR + b"x", seal(b"hello")[:-1], seal(b"hello") + b"x"],
    ids=["nothing", "no text", "half a vector", "half a block", "cut off", "too long"],
)
def test_what_is_no_ciphertext_is_forged(blob: bytes) -> None:
    with pytest.raises(Forged, match="whole blocks"):
        crypto.aes_cbc_decrypt(KEY, blob)


def test_a_text_under_another_key_is_forged() -> None:
    blob = seal(b"hello", key=bytes(32))

    with pytest.raises(Forged, match="does not decrypt"):
        crypto.aes_cbc_decrypt(KEY, blob)


@pytest.mark.parametrize("text", ["aGVsbG8", "aGVsbG8=\n", "aGVs bG8=", "aGVsbG8_", "é", "===="])
def test_loose_base64_is_forged(text: str) -> None:
    with pytest.raises(Forged):
        crypto.base64_bytes(text)


def test_strict_base64_is_decoded() -> None:
    assert crypto.base64_bytes("aGVsbG8=") == b"hello"
    assert crypto.base64_bytes("") == b""


@pytest.mark.parametrize(
    ("secret", "signature"),
    [
        ("whsec_d2hzZWMta2V5LW9mLXRoZS10ZXN0cy0yNA==", "v1,cy2WH+Fo9h5SHW289dUi8DvTS4Je6OUIdimf3bxd7eE="),
        ("plain", "v1,j3Q+sxGP7/6oTNiXfBl2aCTCIEMDhQNIQF/0Fe7BFMc="),
    ],
)
def test_a_webhook_is_signed_as_the_specification_has_it(secret: str, signature: str) -> None:
    """The expected values were computed with OpenSSL."""
    assert crypto.webhook_signature(secret, "msg_1", "1700000000", b'{"content":"hello"}') == signature


def test_a_webhook_secret_that_is_no_base64_is_refused() -> None:
    with pytest.raises(Forged):
        crypto.webhook_signature("whsec_not base64", "msg_1", "1700000000", b"")
