"""Asking Slack who we are, and what the app still lacks.

Source: docs.slack.dev, "auth.test", "Scopes" (the header `x-oauth-scopes` lists what a token has).
"""

from typing import Final

from dragoman.adapter import Me, Probe
from dragoman.adapters.slack.api import Answer, Api, judge
from dragoman.wire import Exchange, Outcome, Refused

SCOPES: Final = {
    "chat:write": "send messages",
    "files:read": "receive files",
    "files:write": "send files",
    "reactions:write": "react",
}

RENEW: Final = "copy the Bot User OAuth Token (xoxb-) from the app's page OAuth & Permissions into bot_token"
INSTALL: Final = "install the app to the workspace again, then put its new bot token into bot_token"
REMEDIES: Final = {
    "invalid_auth": RENEW,
    "not_authed": RENEW,
    "not_allowed_token_type": RENEW,
    "account_inactive": INSTALL,
    "token_revoked": INSTALL,
    "token_expired": INSTALL,
}


def probe(api: Api) -> Exchange[Probe]:
    """Ask `auth.test`: the bot's identity, or the problem with its remedy."""
    response = yield api.form("auth.test", {})
    answer = judge(response)
    if not isinstance(answer, Answer):
        return Probe(problems=(_problem(answer),))
    me = Me(id=answer.user_id or "", name=answer.user or "", bot_id=answer.bot_id or "")
    user = () if me.bot_id else (f"bot_token is a person's token, not a bot's: {RENEW}",)
    return Probe(me=me, problems=(*user, *_missing(response.headers.get("x-oauth-scopes", ""))))


def _problem(outcome: Outcome) -> str:
    if isinstance(outcome, Refused):
        return f"auth.test: {outcome.reason}: {REMEDIES.get(outcome.reason, 'check bot_token and api_base')}"
    return f"auth.test: {getattr(outcome, 'reason', 'no answer')}: check api_base, or try again later"


def _missing(granted: str) -> tuple[str, ...]:
    """Say which scopes are missing, when the answer tells which there are."""
    scopes = {scope.strip() for scope in granted.split(",")}
    if not granted.strip():
        return ()
    return tuple(
        f"the scope {scope} is missing, the bot cannot {ability}: add it on the page OAuth & Permissions, install again"
        for scope, ability in SCOPES.items()
        if scope not in scopes
    )
