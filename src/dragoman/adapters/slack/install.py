"""Installing the app in several workspaces: Slack's authorisation server as data, and tokens that end.

Source: docs.slack.dev, "Installing with OAuth", "oauth.v2.access", "Token rotation", "auth.revoke".
"""

import contextlib
from collections.abc import Sequence
from typing import Any, Final, TypeVar

import msgspec

from dragoman import wire
from dragoman.adapter import Installed, Known, Me, Probe, Provider, Token
from dragoman.errors import DragomanError, Malformed
from dragoman.wire import Exchange, Expired, Http, Outcome, Refused, Request, Response

T = TypeVar("T")

SCOPES: Final = (
    "app_mentions:read",
    "channels:history",
    "chat:write",
    "commands",
    "files:read",
    "files:write",
    "groups:history",
    "im:history",
    "mpim:history",
    "reactions:read",
    "reactions:write",
)
DEAD: Final = frozenset({"invalid_grant", "invalid_refresh_token", "token_expired", "token_revoked"})
"""Errors that say that a refresh token will never be good again."""
ENDED: Final = frozenset({"account_inactive", "invalid_auth", "token_expired", "token_revoked"})
"""Errors of a method that mean that its token is not good any more."""


class Place(msgspec.Struct):
    """A team or an enterprise."""

    id: str
    name: str | None = None


class Answer(msgspec.Struct):
    """What `oauth.v2.access` answers to a code; `team` is null when a whole organisation installed the app."""

    access_token: str | None = None
    token_type: str | None = None
    refresh_token: str | None = None
    expires_in: float | None = None
    bot_user_id: str | None = None
    app_id: str | None = None
    team: Place | None = None
    enterprise: Place | None = None
    is_enterprise_install: bool | None = None


class Failure(msgspec.Struct):
    """The one field of an answer that says that its token has ended."""

    error: str | None = None


def provider(api_base: str, client_id: str, scopes: Sequence[str], *, public: bool) -> Provider:
    """Describe Slack's authorisation server, which lies beside the Web API. Its v2 flow has no PKCE."""
    base = api_base.rstrip("/")
    return Provider(
        authorize=f"{base.removesuffix('/api')}/oauth/v2/authorize",
        token=f"{base}/oauth.v2.access",
        client_id=client_id,
        scopes=tuple(scopes),
        separator=",",
        pkce=False,
        revoke=f"{base}/auth.revoke",
        revoke_by="bearer",
        dead=DEAD,
        public=public,
    )


def installed(answer: dict[str, Any]) -> Installed:
    """Read what came of an installation: the workspace is the team, or the organisation that has all of them."""
    try:
        found = msgspec.convert(answer, Answer)
    except msgspec.ValidationError as error:
        raise Malformed("not the documented answer of oauth.v2.access") from error
    place = found.enterprise if found.is_enterprise_install else found.team
    if not (place and found.access_token and found.token_type == "bot"):  # noqa: S105 - a type, not a token
        raise Malformed("an installation without a bot's token")
    token = Token(value=found.access_token, expires_in=found.expires_in, refresh=found.refresh_token or "")
    me = Me(id=found.bot_user_id or "", app_id=found.app_id or "")
    return Installed(workspace=place.id, name=place.name or "", me=me, tokens={"bot_token": token})


def probe(known: Known, account: str) -> Exchange[Probe]:
    """Say what is missing as long as no workspace has installed the app."""
    missing = f"no workspace has installed the app yet: open /oauth/{account}/install"
    return Probe(problems=() if known.workspaces else (missing,))
    yield  # makes this a generator, as the contract has it


def renewing(exchange: Exchange[T]) -> Exchange[T]:
    """Repeat a request whose token has ended, once, with a new one: nothing was done with the old one."""
    try:
        request = next(exchange)
        while True:
            try:
                response = yield from _answered(request)
            except DragomanError as error:
                request = exchange.throw(error)
            else:
                request = exchange.send(response)
    except StopIteration as stop:
        result: T = stop.value
        return result


def _answered(request: Request) -> Exchange[Response]:
    response = yield request
    if isinstance(request, Http) and request.auth and _ended(response):
        yield Expired(credential=request.auth)
        response = yield request
    return response


def _ended(response: Response) -> bool:
    """Tell whether a method answered that its token is not good any more."""
    with contextlib.suppress(Malformed):
        return wire.decode(response.body, Failure).error in ENDED
    return False


def confined(exchange: Exchange[Outcome]) -> Exchange[Outcome]:
    """Carry out an action in one workspace: what Slack refuses there says nothing about the others."""
    outcome = yield from renewing(exchange)
    if isinstance(outcome, Refused) and outcome.scope == "account":
        return Refused(reason=outcome.reason, scope="conversation")
    return outcome
