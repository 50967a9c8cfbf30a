"""Asking Feishu which bot the app is, and what it lacks.

Source: open.feishu.cn, "Get bot info".
"""

from typing import Final

from dragoman.adapter import Me, Probe
from dragoman.adapters.feishu import api
from dragoman.adapters.feishu.api import Api, Reply
from dragoman.errors import CredentialRefused
from dragoman.wire import Exchange

ENABLED: Final = 2
"""`activate_status` of an app that its tenant has enabled."""


def probe(calls: Api, app_id: str) -> Exchange[Probe]:
    """Ask for the bot's identity, or the problem with its remedy."""
    try:
        reply = yield from api.call(calls.get("bot.info", "/open-apis/bot/v3/info"))
    except CredentialRefused as refusal:
        remedy = "check app_id and app_secret (the app's page Credentials & Basic Info)"
        return Probe(problems=(f"{refusal}: {remedy}",))
    bot = reply.answer.bot if reply.data and reply.answer else None
    if bot is None or not bot.open_id:
        return Probe(problems=(_problem(reply),))
    me = Me(id=bot.open_id, name=bot.app_name or "", app_id=app_id)
    if bot.activate_status in {None, ENABLED}:
        return Probe(me=me)
    return Probe(me=me, problems=("the app is not enabled: publish a version, and have the tenant enable it",))


def _problem(reply: Reply) -> str:
    if reply.data:
        return "bot/v3/info names no bot: add the bot capability to the app, and publish a version"
    reason: str = getattr(reply.failure(), "reason", "no answer")
    return f"bot/v3/info: {reason}: check api_base and the app's scopes, or try again later"
