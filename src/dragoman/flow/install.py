"""Installing an account's app in workspaces: from the first click to the kept tokens, and its end.

An attempt is begun at one replica and may be completed at another: what it needs is in the store, under the hash of its
`state`, sealed. It is good once, for ten minutes, and only in the browser in which it began.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final, Literal

import msgspec

from dragoman import crypto, telemetry
from dragoman.adapter import Ended, Installed, Me, Provider
from dragoman.errors import CredentialRefused, DragomanError, Malformed, NoAnswer, StoreAway, StoreError
from dragoman.flow import oauth
from dragoman.flow.account import Account, Accounts
from dragoman.flow.client import Client
from dragoman.flow.tokens import Shelf
from dragoman.model import Value
from dragoman.wire import Credential

GOOD_FOR: Final = 600.0
"""Seconds from the first click until an attempt is void."""
MOST: Final = 200
"""Attempts that may be open at the same time; the oldest gives way."""
SECOND: Final = 1.0
"""How exactly platforms tell when something happened."""
LEASE: Final = 10.0
TRIES: Final = 50
POLL: Final = 0.1
"""Seconds between two tries to change what only one may change at a time."""

log = telemetry.logger("install")


class Attempt(Value):
    """An attempt that was begun: its proof of origin, hashed, and what the exchange of its code will need."""

    state: str
    browser: str
    verifier: str
    at: float


class Begun(Value):
    """Where to send the person, and what to leave in the browser."""

    url: str
    browser: str


class Callback(Value):
    """What the provider sent the person's browser back with, and what the browser had kept."""

    state: str
    browser: str
    code: str = ""
    error: str = ""


class Installation(Value):
    """The app in one workspace."""

    name: str = ""
    me: Me = Me()
    at: float = 0.0
    credentials: tuple[str, ...] = ()


class Listed(Value):
    """An installation as an operator sees it; `trouble` says why it is of no use any more."""

    account: str
    workspace: str
    name: str
    at: float
    trouble: str


Reason = Literal["stale", "declined", "refused", "trouble"]


class NotInstalled(DragomanError):
    """An attempt came to nothing; `reason` is for the person, the text for the log."""

    def __init__(self, reason: Reason, why: str) -> None:
        """Say what the person can do about it, and what happened."""
        super().__init__(why)
        self.reason: Reason = reason


class Installer:
    """Begins, completes and ends installations."""

    def __init__(self, client: Client, accounts: Accounts, shelf: Shelf, clock: Callable[[], float]) -> None:
        self._client = client
        self._accounts = accounts
        self._shelf = shelf
        self._clock = clock

    async def begin(self, account: Account, provider: Provider, redirect_uri: str) -> Begun:
        """Open an attempt; raises `StoreError`, or `ConfigError` when it cannot be sealed."""
        state, browser, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        attempt = Attempt(state=_hash(state), browser=_hash(browser), verifier=verifier, at=self._clock())
        async with self._changing(account, "attempts") as name:
            kept = await self._attempts(name)
            await self._shelf.save(name, msgspec.json.encode([*kept[-(MOST - 1) :], attempt]))
        return Begun(url=oauth.authorization_url(provider, redirect_uri, state, verifier), browser=browser)

    async def complete(self, account: Account, provider: Provider, redirect_uri: str, answer: Callback) -> Installed:
        """Exchange the code for tokens and keep them; raises `NotInstalled`, or any `DragomanError` of trouble here."""
        attempt = await self._take(account, answer)
        if not answer.code:
            raise NotInstalled("declined" if answer.error == "access_denied" else "refused", answer.error[:80])
        try:
            exchange = oauth.exchange(provider, answer.code, redirect_uri, attempt.verifier)
            tokens = await self._client.perform(account, exchange)
            if isinstance(tokens, oauth.Denied):
                raise NotInstalled("refused", tokens.error)
            installed = account.adapter.installed(tokens)
        except (Malformed, CredentialRefused) as error:
            raise NotInstalled("refused", str(error)) from error
        except NoAnswer as silence:
            raise NotInstalled("trouble", silence.reason) from silence
        await self._keep(account, installed)
        return installed

    async def _take(self, account: Account, answer: Callback) -> Attempt:
        """Use an attempt up, whatever comes of it."""
        async with self._changing(account, "attempts") as name:
            kept = await self._attempts(name)
            found = next((each for each in kept if crypto.same(each.state, _hash(answer.state))), None)
            if found:
                rest = [each for each in kept if each is not found]
                await self._shelf.save(name, msgspec.json.encode(rest))
        if found is None:
            raise NotInstalled("stale", "its state is unknown, used up or too old")
        if not crypto.same(found.browser, _hash(answer.browser)):
            raise NotInstalled("stale", "it was begun in another browser")
        return found

    async def _attempts(self, name: str) -> list[Attempt]:
        found = await self._shelf.load(name)
        kept = msgspec.json.decode(found, type=list[Attempt]) if found else []
        return [attempt for attempt in kept if self._clock() - attempt.at < GOOD_FOR]

    async def _keep(self, account: Account, installed: Installed) -> None:
        for credential, token in installed.tokens.items():
            named = Credential(name=credential, workspace=installed.workspace)
            await self._client.tokens.keep(account, named, token)
        there = Installation(
            name=installed.name, me=installed.me, at=self._clock(), credentials=tuple(installed.tokens)
        )
        await self._change(account, lambda all_: {**all_, installed.workspace: there})
        log.info("installed", account=account.name, workspace=installed.workspace)

    async def end(self, account: Account, ended: Ended) -> None:
        """Drop an installation that its workspace has ended; one that was made since stays."""
        found = (await self.installations(account)).get(ended.workspace)
        if found is None or found.at - SECOND > ended.at:
            return
        for credential in found.credentials:
            await self._client.tokens.end(account.name, Credential(name=credential, workspace=ended.workspace))
        await self._change(account, lambda all_: {name: each for name, each in all_.items() if name != ended.workspace})
        log.info("uninstalled", account=account.name, workspace=ended.workspace)

    async def remove(self, account: Account, workspace: str) -> bool:
        """Revoke a workspace's tokens and drop its installation; False when the server did not take note of it."""
        found, provider, noted = (await self.installations(account)).get(workspace), account.adapter.oauth(), True
        if found is None:
            raise LookupError(workspace)
        for credential in found.credentials:
            kept = await self._client.tokens.stored(account, Credential(name=credential, workspace=workspace))
            if kept and provider and provider.revoke:
                noted &= await self._revoked(account, provider, kept.refresh, kept.value)
        await self.end(account, Ended(workspace=workspace, at=self._clock()))
        return noted

    async def _revoked(self, account: Account, provider: Provider, refresh: str, value: str) -> bool:
        """Revoke both tokens; a server may take the one with the other, and still answers that all is well."""
        noted = True
        try:
            if refresh and provider.revoke_by == "form":
                noted &= await self._client.perform(account, oauth.revoke(provider, refresh, "refresh_token"))
            return noted & await self._client.perform(account, oauth.revoke(provider, value, "access_token"))
        except NoAnswer as silence:
            log.warning("revoke.failed", account=account.name, reason=silence.reason)
            return False

    async def installations(self, account: Account) -> Mapping[str, Installation]:
        """Read in which workspaces the app is installed."""
        found = await self._shelf.store.recall(_name(account, "installations"))
        return msgspec.json.decode(found, type=dict[str, Installation]) if found else {}

    async def listed(self) -> list[Listed]:
        """List all installations, with what hinders them."""
        return [
            Listed(account=account.name, workspace=workspace, name=found.name, at=found.at, trouble=trouble)
            for account in self._accounts
            if account.adapter.oauth() is not None
            for workspace, found in (await self.installations(account)).items()
            for trouble in [await self._trouble(account, workspace, found)]
        ]

    async def _trouble(self, account: Account, workspace: str, found: Installation) -> str:
        """Say why an installation is of no use any more; empty when it is."""
        for name in found.credentials:
            kept = await self._client.tokens.stored(account, Credential(name=name, workspace=workspace))
            if kept is None or kept.refused:
                return kept.refused if kept else f"{name} cannot be read"
        return ""

    async def recall(self) -> None:
        """Learn what other replicas have installed or dropped: which bot we are in which workspace."""
        for account in self._accounts:
            if account.adapter.oauth() is None:
                continue
            try:
                found = await self.installations(account)
            except StoreError as away:
                log.warning("installations.unread", account=account.name, reason=str(away))
            else:
                self._accounts.installed(account.name, {name: each.me for name, each in found.items()})

    async def _change(
        self, account: Account, change: Callable[[Mapping[str, Installation]], Mapping[str, Installation]]
    ) -> None:
        async with self._changing(account, "installations") as name:
            changed = change(await self.installations(account))
            await self._shelf.store.keep(name, msgspec.json.encode(changed).decode())
        self._accounts.installed(account.name, {name: each.me for name, each in changed.items()})

    @contextlib.asynccontextmanager
    async def _changing(self, account: Account, what: str) -> AsyncIterator[str]:
        """Be the only one among all replicas who changes this; yields its name."""
        name, owner = _name(account, what), secrets.token_hex(8)
        for _ in range(TRIES):
            if await self._shelf.store.lease(name, owner, LEASE):
                break
            await asyncio.sleep(POLL)
        else:
            raise StoreAway(f"another replica has been changing the {what} for too long")
        try:
            yield name
        finally:
            with contextlib.suppress(StoreError):
                await self._shelf.store.let_go(name, owner)


def _hash(text: str) -> str:
    return crypto.sha256_hex(text.encode())


def _name(account: Account, what: str) -> str:
    return f"{what}:{account.name}"
