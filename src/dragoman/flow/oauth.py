"""The OAuth2 client as pure exchanges: where people allow an app, and what codes and tokens are exchanged for.

Sources: RFC 6749 (authorisation code, client authentication, refresh), RFC 7636 (PKCE, S256), RFC 7009
(revocation). Nothing here waits, stores or draws lots: random texts come in as arguments.
"""

import base64
import hashlib
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode

import msgspec

from dragoman import wire
from dragoman.adapter import Provider, Token
from dragoman.errors import CredentialRefused, Malformed, NoAnswer
from dragoman.model import Value
from dragoman.wire import Exchange, Http, Response

LANE: Final = "oauth"
PASSING: Final = frozenset(
    {
        "fatal_error",
        "internal_error",
        "rate_limited",
        "ratelimited",
        "request_timeout",
        "server_error",
        "service_unavailable",
        "slow_down",
        "temporarily_unavailable",
    }
)
"""Errors of a server in trouble, which say nothing about what was asked."""


class Denied(Value):
    """The server will not do it: `dead` when what was shown to it will never be good again."""

    error: str
    dead: bool = False


class Answer(msgspec.Struct):
    """What the token endpoint answers; Slack adds `ok`."""

    access_token: str = ""
    refresh_token: str = ""
    expires_in: float | None = None
    error: str = ""


def challenge(verifier: str) -> str:
    """Return the S256 challenge of a verifier (RFC 7636, section 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def authorization_url(provider: Provider, redirect_uri: str, state: str, verifier: str) -> str:
    """Return the address that a person is sent to (RFC 6749, section 4.1.1)."""
    query = {
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": redirect_uri,
        "scope": provider.separator.join(provider.scopes),
        "state": state,
        **provider.query,
    }
    if provider.pkce:
        query |= {"code_challenge": challenge(verifier), "code_challenge_method": "S256"}
    separator = "&" if "?" in provider.authorize else "?"
    return provider.authorize + separator + urlencode(query)


def exchange(provider: Provider, code: str, redirect_uri: str, verifier: str) -> Exchange[dict[str, Any] | Denied]:
    """Exchange a code for tokens (RFC 6749, section 4.1.3); raises as `refresh` does. A code is good once."""
    form: dict[str, Any] = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
    if provider.pkce:
        form["code_verifier"] = verifier
    response = yield _request(provider, provider.token, form)
    return _read(provider, response)


def refresh(provider: Provider, token: str) -> Exchange[Token | Denied]:
    """Exchange a refresh token for new tokens (section 6); where the answer has no new refresh token the old one stays.

    It is not repeatable: a server that rotates has used the old one up. Raises `NoAnswer`, or `CredentialRefused` when
    it is the app itself that is refused.
    """
    response = yield _request(provider, provider.token, {"grant_type": "refresh_token", "refresh_token": token})
    answer = _read(provider, response)
    return answer if isinstance(answer, Denied) else token_of(answer, token)


def revoke(provider: Provider, token: str, hint: Literal["access_token", "refresh_token"]) -> Exchange[bool]:
    """Revoke a token (RFC 7009, section 2); tells whether the server took note."""
    if provider.revoke_by == "bearer":
        headers = {"authorization": f"Bearer {token}"}
        response = yield Http(url=provider.revoke, headers=headers, form={}, lane=LANE, repeatable=True)
        return response.status == 200 and not _answer(response).error
    response = yield _request(provider, provider.revoke, {"token": token, "token_type_hint": hint}, repeatable=True)
    return response.status == 200


def token_of(answer: dict[str, Any], refresh_token: str = "") -> Token:
    """Read the tokens of an answer; raises `Malformed`."""
    found = _convert(answer)
    if not found.access_token:
        raise Malformed("an answer without an access token")
    return Token(value=found.access_token, expires_in=found.expires_in, refresh=found.refresh_token or refresh_token)


def _request(provider: Provider, url: str, form: dict[str, Any], *, repeatable: bool = False) -> Http:
    """Return a request with the client's proof (section 2.3.1); the secret itself is put in place by `flow.client`."""
    headers = {"accept": "application/json"}
    if provider.proof == "post":
        form = {**form, "client_id": provider.client_id, "client_secret": provider.secret}
        return Http(url=url, headers=headers, form=form, lane=LANE, repeatable=repeatable)
    return Http(
        url=url,
        headers=headers,
        form=form,
        auth=provider.secret,
        place="basic",
        user=quote(provider.client_id, safe=""),
        lane=LANE,
        repeatable=repeatable,
    )


def _read(provider: Provider, response: Response) -> dict[str, Any] | Denied:
    """Read the token endpoint's answer; Slack says `error` with status 200, so the status alone decides nothing."""
    if response.status >= 500 or response.status in {408, 429}:
        raise NoAnswer(f"the authorisation server answers {response.status}", sent=False)
    error = _answer(response).error[:80]
    if error in PASSING:
        raise NoAnswer(f"the authorisation server answers {error}", sent=False)
    if error in {"invalid_client", "unauthorized_client", "bad_client_secret", "invalid_client_id"}:
        raise CredentialRefused(f"the authorisation server does not know the app: {error}; check its id and secret")
    if error or response.status != 200:
        return Denied(error=error or f"status {response.status}", dead=error in provider.dead)
    return wire.decode_object(response.body)


def _answer(response: Response) -> Answer:
    try:
        return _convert(wire.decode_object(response.body))
    except Malformed:
        return Answer(error="" if response.status == 200 and not response.body else f"status {response.status}")


def _convert(answer: dict[str, Any]) -> Answer:
    try:
        return msgspec.convert(
            {name: value for name, value in answer.items() if value is not None}, Answer, strict=False
        )
    except msgspec.ValidationError as error:
        raise Malformed("not the answer of a token endpoint") from error
