"""Who we are, and whether Telegram delivers as the account receives (Bot API, "getMe", "getWebhookInfo")."""

from dragoman import wire
from dragoman.adapter import Me, Mode, Probe
from dragoman.adapters.telegram import api
from dragoman.adapters.telegram.shapes import Id
from dragoman.errors import Malformed
from dragoman.model import Value
from dragoman.wire import Exchange, Response


class Bot(Value):
    """The bot itself."""

    id: Id
    username: str


class BotAnswer(Value):
    """The answer to `getMe`."""

    result: Bot


class Webhook(Value):
    """What the server knows of our hook; its address is not repeated, it may hold a password."""

    url: str
    last_error_message: str = ""


class WebhookAnswer(Value):
    """The answer to `getWebhookInfo`."""

    result: Webhook


def probe(base: str, mode: Mode) -> Exchange[Probe]:
    """Ask who we are, then whether a webhook is set."""
    response = yield api.call(base, "getMe", {}, repeatable=True)
    try:
        bot = wire.decode(response.body, BotAnswer).result
    except Malformed:
        return Probe(problems=(_refused(response),))
    me = Me(id=str(bot.id), name=bot.username)
    response = yield api.call(base, "getWebhookInfo", {}, repeatable=True)
    try:
        hook = wire.decode(response.body, WebhookAnswer).result
    except Malformed:
        return Probe(me=me, problems=(_refused(response),))
    return Probe(me=me, problems=_problems(hook, mode))


def _refused(response: Response) -> str:
    if response.status in {401, 404}:
        return "bot_token is not valid: take the current one from @BotFather"
    description = api.read(response).description or "not the documented answer"
    return f"the Bot API answers HTTP {response.status} ({description}): check api_base, or try again later"


def _problems(hook: Webhook, mode: Mode) -> tuple[str, ...]:
    if mode == "poll":
        return ("a webhook is set, so long polling is refused: call deleteWebhook",) if hook.url else ()
    if not hook.url:
        return ("no webhook is set: call setWebhook with the address of this account's hook and the secret_token",)
    failed = f"the last webhook failed ({hook.last_error_message}): let Telegram reach the hook's address by HTTPS"
    return (failed,) if hook.last_error_message else ()
