"""Slack: the Events API, slash commands and interactivity in; the Web API out.

Source: docs.slack.dev. What an account needs is made at api.slack.com/apps.
"""

from collections.abc import Sequence
from typing import ClassVar, Final

import msgspec

from dragoman import crypto
from dragoman.adapter import (
    Adapter,
    Capabilities,
    Known,
    Me,
    Payload,
    Probe,
    Rate,
    Receipt,
    header,
    linked,
    platform,
    setting,
)
from dragoman.adapters.slack import files, parse, probe, send
from dragoman.adapters.slack.api import Api
from dragoman.adapters.slack.origin import Origin
from dragoman.errors import Forged
from dragoman.model import Attachment, Delivery, Media, Message, Secret
from dragoman.wire import Exchange, Http, Outcome

__all__ = ["Slack"]

MAX_SKEW: Final = 300
"""Seconds by which a request's timestamp may differ from our clock ("Verifying requests from Slack")."""


@platform
class Slack(Adapter):
    """One Slack app, installed in one workspace."""

    platform: ClassVar[str] = "slack"
    title: ClassVar[str] = "Slack"
    capabilities: ClassVar[Capabilities] = Capabilities(
        max_text=4000,
        dialect="slack",
        actions=frozenset({"say", "edit", "delete", "react"}),
        threads=True,
        buttons=True,
        media_in=True,
        media_out=True,
        rates=(Rate(per="chat", count=5, seconds=5.0),),
    )

    signing_secret: Secret = setting("Signing Secret of the app (its page Basic Information).")
    bot_token: Secret = setting("Bot User OAuth Token, xoxb-... (the app's page OAuth & Permissions).")
    bot_user_id: str = setting("The bot's user id, U...; learned from Slack when empty.", default="")
    bot_id: str = setting("The bot's own id, B...; learned from Slack when empty.", default="")
    app_id: str = setting("The app's id, A...; every event names it, so it may stay empty.", default="")
    api_base: str = setting("Address of the Web API, without the method.", default="https://slack.com/api")

    def check(self) -> Sequence[str]:
        """Return what is wrong with the settings."""
        problems = []
        if not self.api_base.startswith(("http://", "https://")):
            problems.append("api_base must begin with http:// or https://")
        if not self.signing_secret:
            problems.append("signing_secret is empty: without it nobody can tell Slack's requests from forged ones")
        if self.bot_token.reveal().startswith("xapp-"):
            problems.append("bot_token is an app-level token (xapp-): the Bot User OAuth Token begins with xoxb-")
        return problems

    def verify(self, request: Http, known: Known) -> Payload:
        """Prove a request by its signature over timestamp and raw body ("Verifying requests from Slack")."""
        timestamp = header(request.headers, "x-slack-request-timestamp")
        signature = header(request.headers, "x-slack-signature")
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
            raise Forged("the timestamp is not a number")
        if abs(known.now - int(timestamp)) > MAX_SKEW:
            raise Forged("the timestamp is not of the last five minutes")
        signed = (b"v0:", timestamp.encode(), b":", request.body)
        expected = (f"v0={crypto.hmac_sha256_hex(key, *signed)}" for key in self.signing_secret.candidates())
        if not any([crypto.same(signature, each) for each in expected]):  # noqa: C419 - all are compared, in equal time
            raise Forged("the signature is wrong")
        return Payload(body=request.body, headers={"content-type": request.headers.get("content-type", "")})

    def parse(self, payload: Payload, known: Known) -> Receipt:
        """Read events, slash commands and interactions; answer the handshake of the request URL."""
        return parse.receipt(Origin(adapter=self, me=self._me(known), now=known.now), payload)

    def _me(self, known: Known) -> Me:
        """Say who we are: a setting overrides what was learned."""
        learned = known.me
        return msgspec.structs.replace(
            learned,
            id=self.bot_user_id or learned.id,
            bot_id=self.bot_id or learned.bot_id,
            app_id=self.app_id or learned.app_id,
        )

    def send(self, delivery: Delivery, known: Known) -> Exchange[Outcome]:
        """Carry out one action by the Web API."""
        return send.perform(self._api, delivery.action, delivery.address)

    def fetch(self, attachment: Attachment, known: Known) -> Exchange[Media]:
        """Fetch a shared file into the media store."""
        return files.fetch(self._api, attachment)

    def probe(self, known: Known) -> Exchange[Probe]:
        """Ask Slack which bot this is, and what its app lacks."""
        return probe.probe(self._api)

    def split(self, message: Message) -> tuple[Message, ...]:
        """Cut a message to size; files and buttons never share one, because Slack sends them separately."""
        pieces = super().split(linked(message))
        return tuple(part for piece in pieces for part in _apart(piece))

    @property
    def _api(self) -> Api:
        return Api(self.api_base)


def _apart(message: Message) -> tuple[Message, ...]:
    if not (message.attachments and message.buttons):
        return (message,)
    return Message(attachments=message.attachments), msgspec.structs.replace(message, attachments=())
