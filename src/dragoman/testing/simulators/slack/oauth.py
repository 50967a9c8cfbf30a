"""Slack's authorisation server, simulated: codes that are good once, tokens by workspace, rotation, revocation.

Whoever is sent there has allowed the app at once, in the workspace that the address names (`team`). It is strict: an
address that is not registered, a scope that Slack does not have, or a missing state is refused.
Source: docs.slack.dev, "Installing with OAuth", "oauth.v2.access", "Token rotation", "auth.revoke".
"""

import base64
import binascii
import dataclasses
import itertools
import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlencode

from dragoman import wire
from dragoman.testing.simulators.slack import rules
from dragoman.testing.simulators.slack.rules import Refusal
from dragoman.wire import Http, Response

CLIENT: Final = "1000.2000"
CODE_SECONDS: Final = 600.0
TOKEN_SECONDS: Final = 43_200
SCOPE: Final = re.compile(r"[a-z_]+(\.[a-z]+)?(:[a-z]+(\.[a-z]+)?)?")


@dataclasses.dataclass(kw_only=True)
class Code:
    """A code that was given out."""

    team: str
    redirect_uri: str
    scope: str
    at: float


@dataclasses.dataclass(kw_only=True)
class Grant:
    """An installation: which tokens are good, and until when."""

    team: str
    scope: str
    access: dict[str, float | None] = dataclasses.field(default_factory=dict)
    refresh: str = ""


class AuthorizationServer:
    """The app's pages, tokens and workspaces.

    `redirect_uris` are registered with the app; `rotation` gives tokens that end; `declines` makes the next person
    refuse. `exchanged` tells what was exchanged, in order.
    """

    def __init__(self, clock: Callable[[], float], app: str, team: str, bot: str) -> None:
        """Start with an app that nobody has installed by this flow; `team` and `bot` are its home."""
        self.client_id = CLIENT
        self.client_secret = "simulated-client-secret"  # noqa: S105 - invented, it opens nothing
        self.redirect_uris: set[str] = set()
        self.rotation = False
        self.declines = False
        self.exchanged: list[str] = []
        self.grants: dict[str, Grant] = {}
        self._clock = clock
        self._app = app
        self._home = (team, bot)
        self._codes: dict[str, Code] = {}
        self._numbers = itertools.count(1)

    def bot(self, team: str) -> str:
        """Name the bot's user in a workspace."""
        home, bot = self._home
        return bot if team == home else f"U0BOTOF{team}"

    def team_of(self, token: str) -> str:
        """Return the workspace that a token is good in."""
        for grant in self.grants.values():
            if token in grant.access:
                until = grant.access[token]
                if until is not None and until <= self._clock():
                    raise Refusal("token_expired")
                return grant.team
        raise Refusal("invalid_auth")

    def authorize(self, request: Http) -> Response:
        """Send the person back with a code, or with the error that they declined."""
        asked = request.query
        scopes = asked.get("scope", "").split(",")
        if asked.get("client_id") != self.client_id or asked.get("redirect_uri") not in self.redirect_uris:
            raise Refusal("invalid_client_id_or_redirect_uri", 400)
        if not asked.get("state") or not all(SCOPE.fullmatch(scope) for scope in scopes):
            raise Refusal("invalid_scope_or_state", 400)
        answer = {"state": asked["state"]}
        if self.declines:
            self.declines = False
            answer["error"] = "access_denied"
        else:
            answer["code"] = f"{next(self._numbers)}.code"
            self._codes[answer["code"]] = Code(
                team=asked.get("team") or self._home[0],
                redirect_uri=asked["redirect_uri"],
                scope=asked["scope"],
                at=self._clock(),
            )
        return Response(status=302, headers={"location": f"{asked['redirect_uri']}?{urlencode(answer)}"})

    def access(self, request: Http) -> Response:
        """Answer `oauth.v2.access`."""
        form = rules.form_arguments(request)
        self._check_client(request, form)
        kind = form.get("grant_type", "authorization_code")
        self.exchanged.append(kind)
        if kind == "refresh_token":
            return self._answer(self._refreshed(form.get("refresh_token", "")))
        if kind != "authorization_code":
            raise Refusal("invalid_grant_type")
        return self._answer(self._granted(form))

    def revoke(self, token: str) -> Response:
        """Answer `auth.revoke`: the token, and what it could be renewed with, are void."""
        del self.grants[self.team_of(token)]
        return wire.json_response({"ok": True, "revoked": True})

    def _check_client(self, request: Http, form: dict[str, Any]) -> None:
        given: tuple[str, ...] = (form.get("client_id", ""), form.get("client_secret", ""))
        scheme, _, proof = request.headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            try:
                given = tuple(base64.b64decode(proof, validate=True).decode().split(":", 1))
            except (binascii.Error, UnicodeError) as error:
                raise Refusal("invalid_client_id") from error
        if given[0] != self.client_id:
            raise Refusal("invalid_client_id")
        if given != (self.client_id, self.client_secret):
            raise Refusal("bad_client_secret")

    def _granted(self, form: dict[str, Any]) -> Grant:
        code = self._codes.pop(form.get("code", ""), None)
        if code is None or self._clock() - code.at > CODE_SECONDS:
            raise Refusal("invalid_code")
        if form.get("redirect_uri") != code.redirect_uri:
            raise Refusal("bad_redirect_uri")
        return self.grants.setdefault(code.team, Grant(team=code.team, scope=code.scope))

    def _refreshed(self, token: str) -> Grant:
        for grant in self.grants.values():
            if token and token == grant.refresh:
                return grant
        raise Refusal("invalid_refresh_token")

    def _answer(self, grant: Grant) -> Response:
        number = next(self._numbers)
        token = f"{'xoxe.' if self.rotation else ''}xoxb-{grant.team}-{number}"
        grant.access[token] = self._clock() + TOKEN_SECONDS if self.rotation else None
        rotating: dict[str, Any] = {}
        if self.rotation:
            grant.refresh = f"xoxe-1-{grant.team}-{number}"
            rotating = {"refresh_token": grant.refresh, "expires_in": TOKEN_SECONDS}
        answer = {
            "ok": True,
            "access_token": token,
            "token_type": "bot",
            "scope": grant.scope,
            "bot_user_id": self.bot(grant.team),
            "app_id": self._app,
            "team": {"id": grant.team, "name": f"Workspace {grant.team}"},
            "enterprise": None,
            "is_enterprise_install": False,
            "authed_user": {"id": "U0INSTALLER"},
        }
        return wire.json_response({**answer, **rotating})
