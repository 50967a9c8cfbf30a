"""Encryption of what the store keeps of platforms' secrets: AES-GCM, a key for each purpose, key ids for rotation.

The key is the setting `encryption_key`, or a file of our own in the data folder, made when the first secret is to be
kept. Several keys are a rotation: the first encrypts, all of them decrypt. The store knows which key is in use (its id,
never the key), so that a replica with another one does not begin.
"""

import asyncio
import base64
import os
import secrets
import tempfile
from pathlib import Path
from typing import Final

from dragoman import crypto, telemetry
from dragoman.errors import ConfigError, Forged
from dragoman.model import Secret
from dragoman.store.base import Store

FILE: Final = "encryption.key"
IN_USE: Final = "encryption-key"
"""The store's entry with the id of the key that encrypts."""
LEAST: Final = 32
"""Characters of a key that is none of ours: less can be guessed."""
NONCE: Final = 12
FIRST_USE: Final = 10.0
"""Seconds for which one replica alone decides which key is in use."""

log = telemetry.logger("vault")


class Vault:
    """Seals and opens values under the names by which the store keeps them."""

    def __init__(
        self, setting: Secret, folder: Path, store: Store, *, alone: bool, where: str = "the configuration"
    ) -> None:
        """Take the setting, and the folder for a key of our own; `alone`: no other replica shares the store.

        `where` is where the setting stands, for the operator.
        """
        self._store = store
        self._path = folder / FILE
        self._own = not setting
        self._where = where
        self._alone = alone
        self._keys = setting.candidates()
        self._agreed = False
        self._agreeing = asyncio.Lock()

    async def check(self) -> None:
        """Refuse a key that is not the one in use; raises `ConfigError`. Without key and secrets nothing is asked."""
        if any(len(key) < LEAST for key in self._keys):
            remedy = "make one with: openssl rand -base64 32"
            raise ConfigError(self._source, "encryption_key", f"needs at least {LEAST} characters", remedy)
        self._read_again()
        if self._keys or await self._store.recall(IN_USE):
            await self._agree()

    async def seal(self, name: str, plain: bytes) -> str:
        """Encrypt a value for a name; the first one makes the key. Raises `ConfigError` where another is in use."""
        async with self._agreeing:
            if not self._agreed:
                await self._agree()
        key, nonce = self._keys[0], secrets.token_bytes(NONCE)
        sealed = crypto.aes_gcm_encrypt(_derived(key, name), nonce, plain, name.encode())
        return f"1.{key_id(key)}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, name: str, sealed: str) -> bytes | None:
        """Decrypt a value; one that no key of ours opens is as good as absent, and logged."""
        _, owner, text = (*sealed.split(".", 2), "", "")[:3]
        if owner not in map(key_id, self._keys):
            self._read_again()
        try:
            key = next(key for key in self._keys if key_id(key) == owner)
            blob = base64.urlsafe_b64decode(text)
            return crypto.aes_gcm_decrypt(_derived(key, name), blob[:NONCE], blob[NONCE:], name.encode())
        except (StopIteration, Forged, ValueError):
            log.warning("value.unreadable", name=name, key=owner[:16])
            return None

    async def _agree(self) -> None:
        """Settle, among all replicas, which key is in use."""
        owner = secrets.token_hex(8)
        async with asyncio.timeout(2 * FIRST_USE):
            while not await self._store.lease(IN_USE, owner, FIRST_USE):  # noqa: ASYNC110 - another process has it
                await asyncio.sleep(0.1)
        try:
            in_use = await self._store.recall(IN_USE)
            self._read_again()
            self._choose(in_use)
            if key_id(self._keys[0]) != in_use:
                await self._store.keep(IN_USE, key_id(self._keys[0]))
            self._agreed = True
        finally:
            await self._store.let_go(IN_USE, owner)

    def _choose(self, in_use: str) -> None:
        """Have a key: that in use, or the first one; raises `ConfigError` for a stranger."""
        if not self._keys and in_use and not self._alone:
            raise ConfigError(self._source, "encryption_key", "is empty, and other replicas use a key", SAME)
        if not self._keys:
            self._keys = self._make()
            if in_use:
                log.warning("key.lost", remedy="the tokens kept under it are asked for anew; apps are installed again")
        elif in_use and in_use not in map(key_id, self._keys):
            remedy = LOST if self._alone and self._own else SAME
            raise ConfigError(self._source, "encryption_key", "is not the key that the kept tokens are under", remedy)

    @property
    def _source(self) -> str:
        return str(self._path) if self._own and self._alone else self._where

    def _read_again(self) -> None:
        """Take over what is in the file: another process that shares the folder may have made it."""
        if self._own:
            self._keys = self._read() or self._keys

    def _read(self) -> tuple[str, ...]:
        """Read our own keys, one a line, the newest first."""
        try:
            return tuple(self._path.read_text(encoding="utf-8").split())
        except FileNotFoundError:
            return ()
        except (OSError, UnicodeError) as error:
            raise ConfigError(str(self._path), "", f"cannot be read: {type(error).__name__}") from error

    def _make(self) -> tuple[str, ...]:
        """Make a key of our own, whole or not at all, that only its owner may read."""
        try:
            handle, temporary = tempfile.mkstemp(dir=self._path.parent)  # made with mode 0600
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(secrets.token_urlsafe(LEAST) + "\n")
                file.flush()
                os.fsync(handle)
            Path(temporary).rename(self._path)
        except OSError as error:
            remedy = "set encryption_key"
            raise ConfigError(str(self._path), "", f"cannot be written: {error.strerror}", remedy) from error
        return self._read()


SAME: Final = "give all replicas the same encryption_key; during a rotation a list, the newest first"
LOST: Final = "put the key file back; when it is lost, delete this one, and a new one is made"


def key_id(key: str) -> str:
    """Name a key without telling it."""
    return crypto.derived_key(key, "dragoman key id").hex()[:16]


def _derived(key: str, name: str) -> bytes:
    """Return the key for what a name's first part says it is."""
    return crypto.derived_key(key, f"dragoman {name.partition(':')[0]}")
