"""What an object's bytes go through on their way to a bucket and back: compressed, encrypted, both or neither."""

import gzip
import secrets
import zlib
from typing import Final

from dragoman import crypto
from dragoman.errors import ArchiveDamaged, Forged
from dragoman.model import Secret

MARK: Final = b"DGM1"
"""What an encrypted object begins with."""
NONCE: Final = 12
ID: Final = 8
"""Bytes that name the key."""
LEAST: Final = 32
"""Characters of a key: fewer can be guessed."""


class Seal:
    """Closes bytes under their object's path, so that one object cannot stand for another, and opens them."""

    def __init__(self, key: Secret, purpose: str, *, compress: bool) -> None:
        """Take the key (none: nothing is encrypted; several: the first encrypts, all of them open)."""
        self._keys = tuple(crypto.derived_key(text, f"dragoman {purpose}") for text in key.candidates())
        self._compress = compress

    @property
    def suffix(self) -> str:
        """Return what the path of a closed object ends with, after its own ending."""
        return (".gz" if self._compress else "") + (".enc" if self._keys else "")

    @property
    def name(self) -> str:
        """Name what closes the objects from now on, without telling the key."""
        return self.suffix + "".join(f" {_id(key).hex()}" for key in self._keys[:1])

    def close(self, path: str, plain: bytes) -> bytes:
        """Return the bytes to keep under a path."""
        body = gzip.compress(plain, compresslevel=6, mtime=0) if self._compress else plain
        if not self._keys:
            return body
        key, nonce = self._keys[0], secrets.token_bytes(NONCE)
        return MARK + _id(key) + nonce + crypto.aes_gcm_encrypt(key, nonce, body, path.encode())

    def open(self, path: str, kept: bytes) -> bytes:
        """Return the plain bytes of what is kept under a path, as its ending says; raises `ArchiveDamaged`."""
        body = self._decrypted(path, kept) if path.endswith(".enc") else kept
        if not path.removesuffix(".enc").endswith(".gz"):
            return body
        try:
            return gzip.decompress(body)
        except (OSError, EOFError, zlib.error) as error:
            raise ArchiveDamaged(f"{path} is damaged: it does not decompress") from error

    def _decrypted(self, path: str, kept: bytes) -> bytes:
        head = len(MARK) + ID
        if not kept.startswith(MARK) or len(kept) < head + NONCE:
            raise ArchiveDamaged(f"{path} is damaged: it is no encrypted object")
        key = next((key for key in self._keys if _id(key) == kept[len(MARK) : head]), None)
        if key is None:
            raise ArchiveDamaged(f"{path} is encrypted under a key that is not configured")
        try:
            return crypto.aes_gcm_decrypt(key, kept[head : head + NONCE], kept[head + NONCE :], path.encode())
        except Forged as error:
            raise ArchiveDamaged(f"{path} is damaged: it does not decrypt") from error


def _id(key: bytes) -> bytes:
    """Name a key without telling it."""
    return bytes.fromhex(crypto.sha256_hex(b"dragoman key id", key))[:ID]
