"""The one way out: drives an exchange, puts credentials in place, and maps silence to a meaning."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from dragoman import crypto
from dragoman.adapter import Token
from dragoman.errors import CredentialRefused, NoAnswer
from dragoman.flow.account import Account, Accounts
from dragoman.flow.transport.http import HttpTransport
from dragoman.flow.transport.local import Hub
from dragoman.model import Secret
from dragoman.wire import Credential, Exchange, Expired, Http, Push, Request, Response

T = TypeVar("T")

EARLY: Final = 60.0
"""Seconds before its end at which a granted token counts as expired."""


class Client:
    """Performs exchanges for accounts, and keeps the tokens that platforms granted."""

    def __init__(self, http: HttpTransport, hub: Hub, accounts: Accounts, clock: Callable[[], float]) -> None:
        self._http = http
        self._hub = hub
        self._accounts = accounts
        self._clock = clock
        self._tokens: dict[tuple[str, Credential], tuple[str, float]] = {}
        self._granting: dict[tuple[str, Credential], asyncio.Lock] = {}

    async def perform(self, account: Account, exchange: Exchange[T]) -> T:
        """Drive an exchange to its result.

        Raises `NoAnswer` if the exchange does not handle it (`sent` is False when repeating is harmless), and
        whatever the exchange raises.
        """
        try:
            request = next(exchange)
            while True:
                try:
                    response = await self._carry(account, request)
                except NoAnswer as silence:
                    harmless = isinstance(request, Http) and request.repeatable
                    request = exchange.throw(NoAnswer(silence.reason, sent=silence.sent and not harmless))
                except CredentialRefused as refusal:
                    request = exchange.throw(refusal)
                else:
                    request = exchange.send(response)
        except StopIteration as stop:
            result: T = stop.value
            return result

    def forget(self, account: str) -> None:
        """Drop the tokens that were granted to an account: its settings have changed."""
        self._tokens = {key: token for key, token in self._tokens.items() if key[0] != account}

    async def _carry(self, account: Account, request: Request) -> Response:
        if isinstance(request, Push):
            return self._hub.carry(account.name, request)
        if isinstance(request, Expired):
            self._tokens.pop((account.name, request.credential), None)
            return Response(status=204)
        return await self._http.carry(await self._equip(account, request))

    async def _equip(self, account: Account, request: Http) -> Http:
        """Put the credentials that a request names in their places."""
        changes: dict[str, Any] = {}
        for slot in ("json", "form"):
            values = getattr(request, slot)
            if values and any(isinstance(value, Credential) for value in values.values()):
                changes[slot] = {
                    name: await self._secret(account, value) if isinstance(value, Credential) else value
                    for name, value in values.items()
                }
        if request.auth is not None:
            secret = await self._secret(account, request.auth)
            changes |= self._place(request, secret)
        return msgspec.structs.replace(request, **changes) if changes else request

    def _place(self, request: Http, secret: str) -> dict[str, Any]:
        if request.place == "path":
            return {"url": request.url.replace("{credential}", secret)}
        if request.place == "bearer":
            return {"headers": {**request.headers, "authorization": f"Bearer {secret}"}}
        stamp = str(int(self._clock()))
        signature = crypto.webhook_signature(secret, request.headers["webhook-id"], stamp, request.body)
        signed = {"webhook-timestamp": stamp, "webhook-signature": signature}
        return {"headers": {**request.headers, **signed}}

    async def _secret(self, account: Account, credential: Credential) -> str:
        field = getattr(account.adapter, credential.name, None)
        if isinstance(field, Secret):
            return field.reveal()
        key = (account.name, credential)
        async with self._granting.setdefault(key, asyncio.Lock()):
            value, until = self._tokens.get(key, ("", 0.0))
            if self._clock() >= until:
                known = self._accounts.known(account)
                grant = account.adapter.grant(credential.name, credential.workspace, known)
                token: Token = await self.perform(account, grant)
                value, until = token.value, self._clock() + max(0.0, token.expires_in - EARLY)
                self._tokens[key] = (value, until)
        return value
