"""Proving a request: decryption, signature, token.

Source: open.feishu.cn, "Configure Encrypt Key" (Encryption Strategy), "Request URL verification"; the
official SDK's `dispatcher_handler.py` and `card/action_handler.py`.
"""

import hashlib
from collections.abc import Iterable
from typing import Final

from dragoman import crypto, wire
from dragoman.adapter import header
from dragoman.adapters.feishu.payloads import Sealed
from dragoman.errors import Forged, Stale
from dragoman.model import Secret
from dragoman.wire import Http

TIMESTAMP: Final = "x-lark-request-timestamp"
NONCE: Final = "x-lark-request-nonce"
SIGNATURE: Final = "x-lark-signature"


def opened(body: bytes, encrypt_key: Secret) -> bytes:
    """Return the plain body of a request, decrypted when it is encrypted; raises `Forged`, `Malformed`."""
    sealed = wire.decode(body, Sealed)
    return decrypt(crypto.base64_bytes(sealed.encrypt), encrypt_key) if sealed.encrypt else body


def decrypt(blob: bytes, encrypt_key: Secret) -> bytes:
    """Decrypt with the first live key that gives UTF-8: one key in 256 finds a plausible padding by chance."""
    for key in encrypt_key.candidates():
        try:
            plain = crypto.aes_cbc_decrypt(hashlib.sha256(key.encode()).digest(), blob)
            plain.decode()
        except (Forged, UnicodeDecodeError):
            continue
        return plain
    raise Forged("no encrypt_key decrypts this" if encrypt_key else "encrypted, but there is no encrypt_key")


def check_signature(request: Http, encrypt_key: Secret) -> None:
    """Compare the SHA-256 over timestamp, nonce, key and the body as received; raises `Forged`."""
    prefix = _signed_prefix(request)
    _check(request, (crypto.sha256_hex(prefix, key.encode(), request.body) for key in encrypt_key.candidates()))


def check_old_signature(request: Http, verification_token: Secret) -> None:
    """Compare the SHA-1 of old card callbacks, which the verification token keys; raises `Forged`."""
    prefix = _signed_prefix(request)
    signed = (prefix + token.encode() + request.body for token in verification_token.candidates())
    _check(request, (hashlib.sha1(each).hexdigest() for each in signed))  # noqa: S324 - the vendor's scheme


def check_age(request: Http, now: float, max_skew: int) -> None:
    """Compare the signed timestamp with our clock; raises `Forged`, or `Stale` when they differ too much."""
    timestamp = header(request.headers, TIMESTAMP)
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise Forged("the timestamp is not a number")
    if abs(now - int(timestamp)) > max_skew:
        raise Stale(f"the timestamp differs from our clock by more than {max_skew} seconds", now - int(timestamp))


def check_token(given: str, verification_token: Secret) -> None:
    """Compare the verification token; raises `Forged`."""
    if not (given and crypto.same_as_any(given, verification_token.candidates())):
        raise Forged("the verification token is wrong")


def _signed_prefix(request: Http) -> bytes:
    return (header(request.headers, TIMESTAMP) + header(request.headers, NONCE)).encode()


def _check(request: Http, expected: Iterable[str]) -> None:
    if not crypto.same_as_any(header(request.headers, SIGNATURE), expected):
        raise Forged("the signature is wrong")
