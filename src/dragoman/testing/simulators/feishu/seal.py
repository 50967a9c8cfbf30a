"""How Feishu encrypts and signs what it sends ("Configure Encrypt Key")."""

import base64
import hashlib
import secrets
from typing import Final

import msgspec
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from dragoman.wire import Http

HEADERS: Final = {"content-type": "application/json; charset=utf-8"}


def encrypted(body: bytes, key: str) -> bytes:
    """Return a body encrypted, as the one field of a JSON object; without a key as it is."""
    if not key:
        return body
    vector = secrets.token_bytes(16)
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(hashlib.sha256(key.encode()).digest()), modes.CBC(vector)).encryptor()
    sealed = encryptor.update(padder.update(body) + padder.finalize()) + encryptor.finalize()
    return msgspec.json.encode({"encrypt": base64.b64encode(vector + sealed).decode()})


def opened(body: bytes, key: str) -> bytes:
    """Return a body as it was before `encrypted`."""
    if not key:
        return body
    sealed = base64.b64decode(msgspec.json.decode(body)["encrypt"])
    decryptor = Cipher(algorithms.AES(hashlib.sha256(key.encode()).digest()), modes.CBC(sealed[:16])).decryptor()
    unpadder = padding.PKCS7(128).unpadder()
    return unpadder.update(decryptor.update(sealed[16:]) + decryptor.finalize()) + unpadder.finalize()


def signed(body: bytes, key: str, timestamp: int) -> Http:
    """Return a request with the signature over its body as sent; without a key nothing is signed."""
    if not key:
        return unsigned(body)
    nonce = secrets.token_hex(8)
    signature = {
        "x-lark-request-timestamp": str(timestamp),
        "x-lark-request-nonce": nonce,
        "x-lark-signature": hashlib.sha256(f"{timestamp}{nonce}{key}".encode() + body).hexdigest(),
    }
    return Http(method="POST", headers={**HEADERS, **signature}, body=body)


def unsigned(body: bytes) -> Http:
    """Return a request with no proof but what its body holds."""
    return Http(method="POST", headers=HEADERS, body=body)
