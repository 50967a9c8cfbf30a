"""Proofs and ciphers as pure functions, constant-time where it matters."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dragoman.errors import Forged

Keyed = HMAC
"""A key of HMAC-SHA256, made ready: each proof begins as a copy of it."""


def same(left: str | bytes, right: str | bytes) -> bool:
    """Compare in constant time; text is compared as UTF-8 (unpaired surrogates compare as themselves)."""
    return hmac.compare_digest(_bytes(left), _bytes(right))


def same_as_any(given: str | bytes, candidates: Iterable[str | bytes]) -> bool:
    """Compare with every candidate, in constant time whichever matches."""
    found = False
    for candidate in candidates:
        found |= same(given, candidate)
    return found


def _bytes(value: str | bytes) -> bytes:
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value


def keyed(key: str | bytes) -> Keyed:
    """Make a key ready that is used again and again: that is half the work of a proof over a short message."""
    return HMAC(_bytes(key), hashes.SHA256())


def hmac_sha256_hex(key: str | bytes | Keyed, *parts: bytes) -> str:
    """Return the lower-case hexadecimal HMAC-SHA256 of the parts joined."""
    proof = key.copy() if isinstance(key, Keyed) else keyed(key)
    proof.update(b"".join(parts))
    return proof.finalize().hex()


def sha256_hex(*parts: bytes) -> str:
    """Return the lower-case hexadecimal SHA-256 of the parts joined."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def fingerprint(*parts: str) -> str:
    """Return 32 hexadecimal digits that name these parts in this order; equal parts give equal names."""
    joined = "".join([f"{len(part)}:{part}" for part in parts])
    return hashlib.blake2b(_bytes(joined), digest_size=16).hexdigest()


def aes_cbc_decrypt(key: bytes, blob: bytes) -> bytes:
    """Decrypt AES-CBC with PKCS#7 padding, the first 16 bytes being the initialisation vector.

    Raises `Forged` when it does not decrypt: whoever wrote it does not have the key.
    """
    vector, sealed = blob[:16], blob[16:]
    if len(vector) < 16 or not sealed or len(sealed) % 16:
        raise Forged("ciphertext is not whole blocks")
    decryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).decryptor()
    unpadder = padding.PKCS7(128).unpadder()
    try:
        padded = decryptor.update(sealed) + decryptor.finalize()
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError as error:
        raise Forged("ciphertext does not decrypt") from error


def derived_key(secret: str, purpose: str) -> bytes:
    """Return 32 bytes made of a secret for one purpose (HKDF-SHA256, RFC 5869); none tells anything about another."""
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=purpose.encode()).derive(secret.encode())


def aes_gcm_encrypt(key: bytes, nonce: bytes, plain: bytes, label: bytes) -> bytes:
    """Encrypt and authenticate, bound to a label; a nonce (12 random bytes) is never used twice with one key."""
    return AESGCM(key).encrypt(nonce, plain, label)


def aes_gcm_decrypt(key: bytes, nonce: bytes, sealed: bytes, label: bytes) -> bytes:
    """Decrypt what `aes_gcm_encrypt` made under the same label; raises `Forged` when it was not, or was changed."""
    try:
        return AESGCM(key).decrypt(nonce, sealed, label)
    except (InvalidTag, ValueError) as error:
        raise Forged("ciphertext does not decrypt") from error


def base64_bytes(text: str) -> bytes:
    """Decode strict base64; raises `Forged` when it is not."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Forged("not base64") from error


def webhook_signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """Return the `v1,...` signature of the Standard Webhooks specification, section "Signature scheme".

    `secret` is `whsec_` and base64, or any other text, whose UTF-8 bytes are then the key.
    """
    key = base64_bytes(secret.removeprefix("whsec_")) if secret.startswith("whsec_") else secret.encode()
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def certificate_ends(shown: bytes) -> float:
    """Return when a certificate (X.509, as DER) ends, in epoch seconds; raises `ValueError` when it is none."""
    from cryptography import x509  # noqa: PLC0415 - looked at once an hour, and slow to load

    return x509.load_der_x509_certificate(shown).not_valid_after_utc.timestamp()
