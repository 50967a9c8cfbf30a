"""The keeping of access tokens: encrypted in the store, shared by all replicas, renewed by one of them at a time.

A token comes from a grant (`Adapter.grant`) or from an installation (`flow.install`), which may bring a refresh token
too. It is stored before it is used, the new refresh token with it. What no store can mend: if the process dies, or the
answer is lost, between the server's using up a refresh token and our storing the next, then the old one is all that is
left. A server that takes it once more (a grace period) has lost nothing; at any other the app must be installed again.
"""

import asyncio
import contextlib
import dataclasses
import functools
import secrets
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol, TypeGuard, TypeVar

import msgspec

from dragoman import crypto, telemetry
from dragoman.adapter import Token
from dragoman.cache import Cache
from dragoman.errors import ConfigError, CredentialRefused, Malformed, NoAnswer, StoreError
from dragoman.flow import oauth
from dragoman.flow.account import Account, Accounts
from dragoman.flow.vault import Vault
from dragoman.model import Secret, Value
from dragoman.store.base import Store
from dragoman.wire import Credential, Exchange

T = TypeVar("T")

EARLY: Final = 600.0
"""Seconds before its end at which a token is renewed; of a short one the last tenth."""
LEASE: Final = 30.0
"""Seconds that a renewal may take before another replica tries."""
LONGEST: Final = 20.0
"""Seconds after which a renewal is given up: well within its lease."""
POLL: Final = 0.2
TRIES: Final = 200
"""How often, and after how many seconds, one looks whether another replica has renewed."""
REFUSED: Final = 300.0
"""Seconds for which a token that was refused is not tried again, where it cannot be renewed."""
CACHED: Final = 3600.0
"""Seconds for which the cache keeps a token."""
STOP: Final = 10.0
"""Seconds that renewals under way get when the service stops."""

log = telemetry.logger("tokens")


class Kept(Value):
    """A token as it is stored; `refused` says why it will never be good again."""

    value: str
    refresh: str = ""
    until: float | None = None
    """When it counts as expired (None: never by itself)."""
    whose: str = ""
    """A fingerprint of the settings that it belongs to."""
    refused: str = ""

    def __repr__(self) -> str:
        """Hide both tokens."""
        return f"Kept(***, until={self.until}, refused={self.refused!r})"


class Perform(Protocol):
    """The client, as far as it is needed here."""

    async def __call__(self, account: Account, exchange: Exchange[T]) -> T:
        """Drive an exchange to its result."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shelf:
    """Where tokens are kept, and how they are encrypted."""

    store: Store
    vault: Vault
    cache: Cache | None = None
    """Spares the store a question; what it says may be old, and is checked like everything else."""

    async def load(self, name: str) -> bytes | None:
        """Read a value; None when there is none, or when no key of ours opens it."""
        sealed = await self.store.recall(name)
        return self.vault.open(name, sealed) if sealed else None

    async def glance(self, name: str) -> bytes | None:
        """Read what the cache has of a value, and of nothing else."""
        sealed = await self.cache.get(f"kept/{name}") if self.cache else None
        return self.vault.open(name, sealed.decode(errors="replace")) if sealed else None

    async def drop(self, name: str) -> None:
        """Delete a value."""
        await self.store.keep(name, "")
        if self.cache:
            await self.cache.drop(f"kept/{name}")

    async def save(self, name: str, value: bytes) -> None:
        """Keep a value, encrypted in the cache too."""
        sealed = await self.vault.seal(name, value)
        await self.store.keep(name, sealed)
        if self.cache:
            await self.cache.set(f"kept/{name}", sealed.encode(), CACHED)


Key = tuple[str, Credential]


class Tokens:
    """All tokens of all accounts. Without a shelf they live in memory only."""

    def __init__(self, accounts: Accounts, clock: Callable[[], float], shelf: Shelf | None = None) -> None:
        self._accounts = accounts
        self._clock = clock
        self._shelf = shelf
        self._owner = secrets.token_hex(8)
        self._memory: dict[Key, Kept] = {}
        self._failed: dict[Key, tuple[str, float]] = {}
        self._renewing: dict[Key, asyncio.Task[Kept]] = {}

    def at_hand(self, account: Account, credential: Credential) -> str | None:
        """Return what a credential names where nothing has to be waited for: a setting, or a token that is good."""
        field = getattr(account.adapter, credential.name, None)
        if isinstance(field, Secret) and (field or account.adapter.oauth() is None):
            return field.reveal()
        key = (account.name, credential)
        kept = self._memory.get(key)
        return kept.value if self._alive(kept, key) else None

    async def secret(self, account: Account, credential: Credential, perform: Perform) -> str:
        """Return what a credential names: a setting, or a token, renewed if need be.

        Raises `CredentialRefused` (with the workspace, if only that is concerned), or `NoAnswer` for trouble that may
        pass; nothing was sent then.
        """
        secret = self.at_hand(account, credential)
        if secret is None:
            obtain = functools.partial(self._obtain, account, credential, perform)
            secret = (await self._once((account.name, credential), obtain)).value
        return secret

    def drop(self, account: str, credential: Credential, failed: str) -> None:
        """Take note that the platform refused this token; one that was renewed meanwhile stays."""
        key = (account, credential)
        kept = self._memory.get(key)
        self._failed[key] = (failed or (kept.value if kept else ""), self._clock() + REFUSED)

    def forget(self, account: str) -> None:
        """Drop an account's tokens from memory: its settings, or its installations, have changed."""
        self._memory = {key: kept for key, kept in self._memory.items() if key[0] != account}
        self._failed = {key: failed for key, failed in self._failed.items() if key[0] != account}

    async def keep(self, account: Account, credential: Credential, token: Token) -> None:
        """Store a token that came otherwise; raises `StoreError` or `ConfigError`."""
        key = (account.name, credential)
        self._failed.pop(key, None)
        await self._save(key, self._kept(account, credential, token))

    async def stored(self, account: Account, credential: Credential) -> Kept | None:
        """Read what is kept, without renewing it."""
        return await self._load(account, credential)

    async def end(self, account: str, credential: Credential) -> None:
        """Delete a token."""
        self._memory.pop((account, credential), None)
        if self._shelf:
            await self._shelf.drop(_name("token", (account, credential)))

    async def close(self) -> None:
        """Let renewals end: a server may have used up the old refresh token already."""
        if self._renewing:
            await asyncio.wait(list(self._renewing.values()), timeout=STOP)

    async def _once(self, key: Key, obtain: Callable[[], Coroutine[Any, Any, Kept]]) -> Kept:
        """Obtain one token at a time, in a task of its own: whoever waits may be cancelled, the renewal goes on."""
        task = self._renewing.get(key)
        if task is None:
            task = self._renewing[key] = asyncio.create_task(obtain())
            task.add_done_callback(functools.partial(self._ended, key))
        return await asyncio.shield(task)

    def _ended(self, key: Key, task: asyncio.Task[Kept]) -> None:
        self._renewing.pop(key, None)
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody may have waited

    async def _obtain(self, account: Account, credential: Credential, perform: Perform) -> Kept:
        """Find a good token, or renew it; says of all trouble that nothing was sent."""
        try:
            return await self._found_or_renewed(account, credential, perform)
        except StoreError as away:
            raise NoAnswer(f"no token: {away}", sent=False) from away
        except NoAnswer as silence:
            raise NoAnswer(f"no token: {silence.reason}", sent=False) from silence
        except TimeoutError as silence:
            raise NoAnswer("no token: it took too long", sent=False) from silence
        except Malformed as error:
            raise NoAnswer(f"no token: {error}", sent=False) from error
        except ConfigError as error:
            raise CredentialRefused(str(error)) from error

    async def _found_or_renewed(self, account: Account, credential: Credential, perform: Perform) -> Kept:
        """Look into the store; renew under the lease, or wait until who has the lease has renewed."""
        key = (account.name, credential)
        for attempt in range(TRIES):
            kept = await self._load(account, credential, glance=attempt == 0)
            if self._alive(kept, key):
                return self._remember(key, kept)
            _check(account, credential, kept)
            if await self._leased(key):
                try:
                    return await self._renewed(account, credential, perform)
                finally:
                    await self._let_go(key)
            await asyncio.sleep(POLL)
        raise NoAnswer("another replica has been renewing it for too long", sent=False)

    async def _renewed(self, account: Account, credential: Credential, perform: Perform) -> Kept:
        """Renew what is stored now, and store the new one before anybody uses it."""
        key = (account.name, credential)
        before = await self._load(account, credential)
        if self._alive(before, key):
            return self._remember(key, before)
        async with asyncio.timeout(LONGEST):
            token = await perform(account, self._grant(account, credential, before))
        after = await self._load(account, credential)
        if before and after and after.value != before.value:  # we overslept, and another has renewed it since
            return self._remember(key, after)
        kept = self._kept(account, credential, token, before)
        await self._save_surely(key, kept)
        _check(account, credential, kept)
        log.info("token.renewed", account=account.name, credential=credential.name, workspace=credential.workspace)
        return kept

    def _grant(self, account: Account, credential: Credential, kept: Kept | None) -> Exchange[Token | oauth.Denied]:
        """Choose how to renew: by the refresh token of an installation, or by the platform's own grant."""
        provider = account.adapter.oauth()
        if provider and kept and kept.refresh:
            return oauth.refresh(provider, kept.refresh)
        return account.adapter.grant(credential.name, credential.workspace, self._accounts.known(account))

    def _kept(
        self, account: Account, credential: Credential, token: Token | oauth.Denied, before: Kept | None = None
    ) -> Kept:
        """Return what to store: a new token, or the old one with the reason why it is dead."""
        if isinstance(token, oauth.Denied):
            if token.dead and before:
                log.warning("token.dead", account=account.name, workspace=credential.workspace, reason=token.error)
                return msgspec.structs.replace(before, refused=token.error)
            raise CredentialRefused(f"no token: {token.error}", credential.workspace)
        until = None if token.expires_in is None else self._clock() + token.expires_in - _early(token.expires_in)
        return Kept(value=token.value, refresh=token.refresh, until=until, whose=_whose(account, credential))

    def _alive(self, kept: Kept | None, key: Key) -> TypeGuard[Kept]:
        """Tell whether a token can be used now: not expired, and not refused lately."""
        if kept is None or kept.refused:
            return False
        now = self._clock()
        failed, again = self._failed.get(key, ("", 0.0))
        return (kept.until is None or now < kept.until) and not (kept.value == failed and now < again)

    def _remember(self, key: Key, kept: Kept) -> Kept:
        self._memory[key] = kept
        return kept

    async def _load(self, account: Account, credential: Credential, *, glance: bool = False) -> Kept | None:
        """Read what is stored, if these settings still have to do with it; a `glance` takes what is cached, if good."""
        key = (account.name, credential)
        if self._shelf is None:
            return self._memory.get(key)
        name = _name("token", key)
        if glance:
            kept = self._read(account, credential, await self._shelf.glance(name))
            if self._alive(kept, key):
                return kept
        return self._read(account, credential, await self._shelf.load(name))

    @staticmethod
    def _read(account: Account, credential: Credential, found: bytes | None) -> Kept | None:
        try:
            kept = msgspec.json.decode(found, type=Kept) if found else None
        except msgspec.DecodeError:
            log.warning("token.unreadable", account=account.name, credential=credential.name)
            return None
        return kept if kept and kept.whose == _whose(account, credential) else None

    async def _save_surely(self, key: Key, kept: Kept) -> None:
        """Store a token, however long the store is away: its predecessor is used up."""
        while True:
            try:
                return await self._save(key, kept)
            except StoreError as away:
                log.error("token.unsaved", account=key[0], credential=key[1].name, reason=str(away))
                await asyncio.sleep(POLL)

    async def _save(self, key: Key, kept: Kept) -> None:
        name = _name("token", key)
        if self._shelf:
            await self._shelf.save(name, msgspec.json.encode(kept))
        self._memory[key] = kept

    async def _leased(self, key: Key) -> bool:
        return self._shelf is None or bool(await self._shelf.store.lease(_name("grant", key), self._owner, LEASE))

    async def _let_go(self, key: Key) -> None:
        """End the lease; if even that cannot be stored, it ends by itself."""
        if self._shelf:
            with contextlib.suppress(StoreError):
                await self._shelf.store.let_go(_name("grant", key), self._owner)


def _check(account: Account, credential: Credential, kept: Kept | None) -> None:
    """Raise `CredentialRefused` where only a person can help: no installation, or one that has ended."""
    place = f"the workspace {credential.workspace}" if credential.workspace else "the account"
    remedy = f"install it by /oauth/{account.name}/install"
    if kept and kept.refused:
        raise CredentialRefused(
            f"the app may not enter {place} any more: {kept.refused}; {remedy}", credential.workspace
        )
    if not _installed(account, credential) or (kept and kept.refresh):
        return
    reason = f"the token for {place} is refused" if kept else f"the app is not installed in {place}"
    raise CredentialRefused(f"{reason}; {remedy}", credential.workspace)


def _installed(account: Account, credential: Credential) -> bool:
    """Tell whether a credential comes from installing the app: it is a setting that was left empty."""
    field = getattr(account.adapter, credential.name, None)
    return isinstance(field, Secret) and account.adapter.oauth() is not None


def _whose(account: Account, credential: Credential) -> str:
    """Name what a token belongs to: the app that was installed, or the settings by which it was granted."""
    provider = account.adapter.oauth()
    if provider and _installed(account, credential):
        return crypto.fingerprint(provider.client_id)
    values = (getattr(account.adapter, field.name) for field in dataclasses.fields(account.adapter))
    return crypto.fingerprint(*(value.reveal() if isinstance(value, Secret) else str(value) for value in values))


def _early(seconds: float) -> float:
    return min(EARLY, seconds / 10)


def _name(kind: str, key: Key) -> str:
    account, credential = key
    return f"{kind}:{account}:{credential.name}:{credential.workspace}"
