"""Telegram as an adapter value: its settings, and its proof (Bot API, "setWebhook")."""

import re
from collections.abc import Sequence
from typing import ClassVar, Final, Literal

from dragoman import crypto
from dragoman.adapter import (
    Adapter,
    Capabilities,
    Known,
    Me,
    Mode,
    Payload,
    Polled,
    Probe,
    Rate,
    Receipt,
    header,
    platform,
    setting,
)
from dragoman.adapters.telegram import attachments, parse, poll, probe, send
from dragoman.adapters.telegram.parse import Reader
from dragoman.errors import Forged, Unreachable
from dragoman.model import Address, Attachment, Delivery, Media, Message, Secret
from dragoman.wire import Exchange, Http, Outcome

PROOF: Final = "x-telegram-bot-api-secret-token"
SECRET_FORM: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")


@platform
class Telegram(Adapter):
    """One bot of @BotFather's: by webhook where a `secret_token` is set, else by long polling."""

    platform: ClassVar = "telegram"
    title: ClassVar = "Telegram"
    capabilities: ClassVar = Capabilities(
        max_text=send.MAX_TEXT,
        dialect="telegram",
        actions=frozenset({"say", "edit", "delete", "react", "typing", "answer"}),
        modes=frozenset({"webhook", "poll"}),
        threads=True,
        buttons=True,
        media_in=True,
        media_out=True,
        # "My bot is hitting limits" (Bots FAQ). Groups have 20 a minute besides: the answer 429 paces those.
        rates=(Rate(per="chat", count=1, seconds=1.0), Rate(per="account", count=30, seconds=1.0)),
    )

    bot_token: Secret = setting("The bot's token from @BotFather.")
    secret_token: Secret = setting(
        "The secret given to setWebhook; set, the bot receives by webhook, else by long polling.", default=Secret()
    )
    receive: Literal["auto", "webhook", "poll"] = setting(
        "How to receive: auto (by secret_token), webhook or poll.", default="auto"
    )
    bot_id: int | str = setting("The bot's user id (default: the number in its token).", default="")
    bot_username: str = setting("The bot's username, without @ (default: asked of Telegram).", default="")
    poll_timeout: int = setting("Seconds that one long poll waits for updates, at most 50.", default=25)
    api_base: str = setting("Address of the Bot API server.", default="https://api.telegram.org")

    def check(self) -> Sequence[str]:
        """Return what is wrong with these settings together."""
        problems = []
        if self.receive == "webhook" and not self.secret_token:
            problems.append("receive = webhook needs a secret_token: without one anybody could pose as Telegram")
        if not all(SECRET_FORM.fullmatch(secret) for secret in self.secret_token.candidates()):
            problems.append("secret_token may have 1 to 256 characters of A-Z, a-z, 0-9, _ and -")
        if not 0 <= self.poll_timeout <= poll.MAX_WAIT:
            problems.append(f"poll_timeout must be between 0 and {poll.MAX_WAIT} seconds")
        return problems

    def mode(self) -> Mode:
        """Tell how this account receives."""
        if self.receive == "auto":
            return "webhook" if self.secret_token else "poll"
        return self.receive

    def verify(self, request: Http, known: Known) -> Payload:
        """Compare the secret header: the only proof there is; the body is not signed."""
        if self.mode() != "webhook":
            raise Forged("this account polls, and takes no webhooks")
        given = header(request.headers, PROOF)
        if not any([crypto.same(given, secret) for secret in self.secret_token.candidates()]):  # noqa: C419 - all are compared, so that time tells nothing
            raise Forged("the secret token is wrong")
        return Payload(body=request.body)

    def parse(self, payload: Payload, known: Known) -> Receipt:
        """Turn one update into events."""
        return parse.update(payload.body, self._reader(known))

    def unasked(self, address: Address) -> Address:
        """Return where a message goes that answers nothing: a chat by its number, or a public one by its name."""
        if not re.fullmatch(r"-?[0-9]{1,18}|@[A-Za-z0-9_]{4,32}", address.channel):
            raise Unreachable(f"{address.channel!r} is no chat of Telegram's: a number, or the @name of a public one")
        return super().unasked(address)

    def send(self, delivery: Delivery, known: Known) -> Exchange[Outcome]:
        """Carry out one action. There is no idempotency key: an answer that is lost stays `Unsure`."""
        return send.send(delivery, self._base())

    def split(self, message: Message) -> tuple[Message, ...]:
        """Cut a message into pieces that are one call each."""
        return send.split(message)

    def fetch(self, attachment: Attachment, known: Known) -> Exchange[Media]:
        """Fetch a file of at most 20 MB."""
        return attachments.fetch(attachment, self._base())

    def poll(self, known: Known) -> Exchange[Polled]:
        """Ask once for what is new; the next call confirms it, so the cursor is stored with the events."""
        return poll.poll(self._base(), known.cursor, self.poll_timeout, self._reader(known))

    def probe(self, known: Known) -> Exchange[Probe]:
        """Ask who we are, and whether Telegram delivers as this account receives."""
        return probe.probe(self._base(), self.mode())

    def _base(self) -> str:
        return self.api_base.rstrip("/")

    def _reader(self, known: Known) -> Reader:
        number = str(self.bot_id) or known.me.id or public_id(self.bot_token)
        name = self.bot_username.removeprefix("@") or known.me.name
        return Reader(adapter=self, me=Me(id=number, name=name), now=known.now)


def public_id(token: Secret) -> str:
    """Return the bot's user id, which its token shows before the colon; it is no secret."""
    number, colon, _ = token.reveal().partition(":")
    return number if colon and number.isdecimal() else ""
