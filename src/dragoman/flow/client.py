"""The one way out: drives an exchange, puts credentials in place, and maps silence to a meaning."""

import base64
from collections.abc import Callable
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import msgspec

from dragoman import crypto
from dragoman.errors import CredentialRefused, NoAnswer
from dragoman.flow.account import Account, Accounts
from dragoman.flow.tokens import Tokens
from dragoman.flow.traces import Tracer
from dragoman.flow.transport.http import HttpTransport
from dragoman.flow.transport.local import Hub
from dragoman.wire import Credential, Exchange, Expired, Http, Imap, ImapPart, Push, Request, Response, Smtp

T = TypeVar("T")

Refer = Callable[[str], str]
"""Reads a reference (`env:NAME`, `file:PATH`); any other text stands for itself. Raises `ConfigError`."""

Used = dict[Credential, str]
"""The secrets that one exchange has used: which of them is it that was refused?"""


class MailTransport(Protocol):
    """Carries mail; secrets are handed over beside the request."""

    async def carry(self, account: str, request: Smtp | Imap | ImapPart, secret: str) -> Response:
        """Make a request on the account's connection; raises `NoAnswer`, `CredentialRefused` or `MediaRefused`."""

    async def close_account(self, account: str) -> None:
        """Close what is open for an account."""


class Client:
    """Performs exchanges for accounts; `tokens` keeps what platforms granted."""

    def __init__(
        self,
        http: HttpTransport,
        hub: Hub,
        accounts: Accounts,
        clock: Callable[[], float],
        mail: MailTransport | None = None,
        tokens: Tokens | None = None,
        refer: Refer = str,
        tracer: Tracer | None = None,
    ) -> None:
        self._http = http
        self._tracer = tracer
        self.refer = refer
        self._hub = hub
        self._mail = mail
        self._clock = clock
        self.tokens = tokens or Tokens(accounts, clock)

    async def perform(self, account: Account, exchange: Exchange[T], in_time: Callable[[], bool] = lambda: True) -> T:
        """Drive an exchange to its result; a request that would not be `in_time` any more is not made.

        Raises `NoAnswer` if the exchange does not handle it (`sent` is False when repeating is harmless), and
        whatever the exchange raises.
        """
        used: Used = {}
        carry = self._send if self._tracer is None else self._carry
        try:
            request = next(exchange)
            while True:
                try:
                    if not in_time():
                        raise NoAnswer("its lease is over; another replica may have it", sent=False)  # noqa: TRY301
                    response = await carry(account, request, used)
                except NoAnswer as silence:
                    harmless = isinstance(request, Imap | ImapPart) or (
                        isinstance(request, Http) and request.repeatable
                    )
                    request = exchange.throw(NoAnswer(silence.reason, sent=silence.sent and not harmless))
                except CredentialRefused as refusal:
                    request = exchange.throw(refusal)
                else:
                    request = exchange.send(response)
        except StopIteration as stop:
            result: T = stop.value
            return result

    async def forget(self, account: str) -> None:
        """Drop an account's tokens from memory and close its connections: its settings have changed."""
        self.tokens.forget(account)
        if self._mail is not None:
            await self._mail.close_account(account)

    async def _carry(self, account: Account, request: Request, used: Used) -> Response:
        """Make a request; where traces are wanted, its time is a span that names the server, and no path of it."""
        if self._tracer is None or isinstance(request, Push | Expired):
            return await self._send(account, request, used)
        name, facts = _called(request)
        with self._tracer.within(name, facts, "client") as call:
            response = await self._send(account, request, used)
            if isinstance(request, Http):
                call.facts["http.response.status_code"] = response.status
                call.fault = str(response.status) if response.status >= 400 else ""
        return response

    async def _send(self, account: Account, request: Request, used: Used) -> Response:
        if isinstance(request, Http):
            return await self._http.carry(await self._equip(account, request, used))
        if isinstance(request, Push):
            return self._hub.carry(account.name, request)
        if isinstance(request, Expired):
            self.tokens.drop(account.name, request.credential, used.get(request.credential, ""))
            return Response(status=204)
        if self._mail is None:
            raise NoAnswer("this process carries no mail", sent=False)
        return await self._mail.carry(account.name, request, await self._secret(account, request.server.auth, used))

    async def _secret(self, account: Account, credential: Credential, used: Used) -> str:
        secret = self.tokens.at_hand(account, credential)
        if secret is None:
            secret = await self.tokens.secret(account, credential, self.perform)
        used[credential] = secret
        return secret

    async def _equip(self, account: Account, request: Http, used: Used) -> Http:
        """Put the secrets that a request names in their places."""
        request = referred(request, self.refer) if request.refers else request
        if request.json and Credential in map(type, request.json.values()):
            json = await self._filled(account, request.json, used)
            request = msgspec.structs.replace(request, json=json)
        if request.form and Credential in map(type, request.form.values()):
            form = await self._filled(account, request.form, used)
            request = msgspec.structs.replace(request, form=form)
        if request.auth is None:
            return request
        secret = self.tokens.at_hand(account, request.auth)
        if secret is None:
            secret = await self.tokens.secret(account, request.auth, self.perform)
        used[request.auth] = secret
        return self._placed(request, secret)

    async def _filled(self, account: Account, given: dict[str, Any], used: Used) -> dict[str, Any]:
        """Put the secrets that the values of a body name in their places."""
        return {
            name: await self._secret(account, value, used) if isinstance(value, Credential) else value
            for name, value in given.items()
        }

    def _placed(self, request: Http, secret: str) -> Http:
        if request.place == "path":
            return msgspec.structs.replace(request, url=request.url.replace("{credential}", secret))
        if request.place == "bearer":
            headers = {**request.headers, "authorization": f"Bearer {secret}"}
        elif request.place == "basic":
            proof = base64.b64encode(f"{request.user}:{secret}".encode()).decode()
            headers = {**request.headers, "authorization": f"Basic {proof}"}
        else:
            stamp = str(int(self._clock()))
            signature = crypto.webhook_signature(secret, request.headers["webhook-id"], stamp, request.body)
            headers = {**request.headers, "webhook-timestamp": stamp, "webhook-signature": signature}
        return msgspec.structs.replace(request, headers=headers)


def _called(request: Http | Smtp | Imap | ImapPart) -> tuple[str, dict[str, str | int | float]]:
    """Name a call, and say what may be told of it: the rest of an address may be a secret."""
    if isinstance(request, Http):
        return request.method, {"http.request.method": request.method, "server.address": _host(request.url)}
    return type(request).__name__.upper(), {"server.address": request.server.host}


def _host(url: str) -> str:
    """Name the server of an address; empty when it is none, or a reference to one."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def referred(request: Http, refer: Refer) -> Http:
    """Read the references in a request's address and in the last words of its headers."""
    headers = {name: _last_word(value, refer) for name, value in request.headers.items()}
    return msgspec.structs.replace(request, url=refer(request.url), headers=headers)


def _last_word(value: str, refer: Refer) -> str:
    """Read the last word of a text as a reference: `Bearer env:TOKEN`."""
    before, space, last = value.rpartition(" ")
    return f"{before}{space}{refer(last)}"
