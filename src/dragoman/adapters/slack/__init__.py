"""Slack: the Events API, slash commands and interactivity in, by webhook or Socket Mode; the Web API out.

Source: docs.slack.dev. What an account needs is made at api.slack.com/apps.
"""

import functools
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import msgspec

from dragoman import crypto
from dragoman.adapter import (
    Adapter,
    Capabilities,
    Dial,
    Halt,
    Installed,
    Known,
    Me,
    Mode,
    Payload,
    Probe,
    Provider,
    Rate,
    Receipt,
    Session,
    header,
    linked,
    platform,
    setting,
)
from dragoman.adapters.slack import files, install, parse, probe, send, socket
from dragoman.adapters.slack.api import Api
from dragoman.adapters.slack.origin import INSTALLATION, Origin
from dragoman.errors import Forged, Stale, Unreachable
from dragoman.model import Address, Attachment, Delivery, Media, Message, Secret
from dragoman.wire import Exchange, Http, Outcome

__all__ = ["Slack"]

MAX_SKEW: Final = 300
"""Seconds by which a request's timestamp may differ from our clock ("Verifying requests from Slack")."""


@platform
class Slack(Adapter):
    """One Slack app: with the bot token of one workspace, or with a client id, by which workspaces install it."""

    platform: ClassVar[str] = "slack"
    title: ClassVar[str] = "Slack"
    capabilities: ClassVar[Capabilities] = Capabilities(
        max_text=4000,
        dialect="slack",
        actions=frozenset({"say", "edit", "delete", "react"}),
        modes=frozenset({"webhook", "socket"}),
        threads=True,
        buttons=True,
        media_in=True,
        media_out=True,
        rates=(Rate(per="chat", count=5, seconds=5.0),),
    )

    signing_secret: Secret = setting(
        "Signing Secret of the app (its page Basic Information); not needed with app_token.", default=Secret()
    )
    app_token: Secret = setting(
        "App-level token, xapp-... with the scope connections:write: receive by Socket Mode instead of webhooks.",
        default=Secret(),
    )
    bot_token: Secret = setting(
        "Bot User OAuth Token, xoxb-... (the app's page OAuth & Permissions); empty with client_id.", default=Secret()
    )
    client_id: str = setting("Client ID of the app, with which several workspaces can install it.", default="")
    client_secret: Secret = setting("Client Secret of the app (its page Basic Information).", default=Secret())
    scopes: tuple[str, ...] = setting("What the app asks of a workspace that installs it.", default=install.SCOPES)
    public_install: bool = setting(
        "Let everyone who reaches /oauth/ACCOUNT/install install the app; it asks for the chat token otherwise.",
        default=False,
    )
    bot_user_id: str = setting("The bot's user id, U...; learned from Slack when empty.", default="")
    bot_id: str = setting("The bot's own id, B...; learned from Slack when empty.", default="")
    app_id: str = setting("The app's id, A...; every event names it, so it may stay empty.", default="")
    api_base: str = setting("Address of the Web API, without the method.", default="https://slack.com/api")

    def check(self) -> Sequence[str]:
        """Return what is wrong with the settings."""
        problems = []
        if not self.api_base.startswith(("http://", "https://")):
            problems.append("api_base must begin with http:// or https://")
        if not self.signing_secret and not self.app_token:
            problems.append("signing_secret is empty: without it nobody can tell Slack's requests from forged ones")
        if self.app_token and not self.app_token.reveal().startswith("xapp-"):
            problems.append("app_token is no app-level token: one begins with xapp-")
        if self.bot_token.reveal().startswith("xapp-"):
            problems.append("bot_token is an app-level token (xapp-): the Bot User OAuth Token begins with xoxb-")
        return [*problems, *self._tokens_missing()]

    def _tokens_missing(self) -> Sequence[str]:
        """Return what is wrong with the settings from which the bot's token comes."""
        if not self.client_id:
            return () if self.bot_token else ("bot_token is empty: set it, or a client_id to install the app with",)
        problems = []
        if not self.client_secret:
            problems.append("client_secret is empty: without it no workspace can install the app")
        if self.bot_token or self.bot_user_id or self.bot_id:
            problems.append("with client_id each workspace has its own bot: leave out bot_token, bot_user_id, bot_id")
        return problems

    def mode(self) -> Mode:
        """Receive by Socket Mode where there is an app-level token."""
        return "socket" if self.app_token else "webhook"

    def verify(self, request: Http, known: Known) -> Payload:
        """Prove a request by its signature over timestamp and raw body ("Verifying requests from Slack")."""
        if self.app_token:
            raise Forged("this account receives by Socket Mode")
        timestamp = header(request.headers, "x-slack-request-timestamp")
        signature = header(request.headers, "x-slack-signature")
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
            raise Forged("the timestamp is not a number")
        signed = b"v0:%b:%b" % (timestamp.encode(), request.body)
        if not crypto.same_as_any(signature, [f"v0={crypto.hmac_sha256_hex(key, signed)}" for key in self._keys]):
            raise Forged("the signature is wrong")
        signed_at = int(timestamp)
        if abs(known.now - signed_at) > MAX_SKEW:
            raise Stale("the timestamp is not of the last five minutes", known.now - signed_at)
        headers = {"content-type": request.headers.get("content-type", "")}
        return Payload(body=request.body, headers=headers, signed_at=signed_at)

    def parse(self, payload: Payload, known: Known) -> Receipt:
        """Read events, slash commands and interactions; answer the handshake of the request URL."""
        return parse.receipt(self._origin(known), payload)

    def dial(self, known: Known) -> Exchange[Dial | Halt]:
        """Ask for the address of a socket."""
        return socket.dial(self._api)

    def session(self, known: Known) -> Session:
        """Begin one socket of Socket Mode."""
        return socket.SocketMode(self._origin)

    def connection(self) -> str:
        """Name the socket by its token: Slack gives each event to one of an app's sockets, and ours is one."""
        return f"slack:{crypto.fingerprint(self.app_token.reveal())}" if self.app_token else self.account

    def _origin(self, known: Known) -> Origin:
        return Origin(adapter=self, me=self._me(known), now=known.now, bots=known.workspaces)

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
        address = delivery.address
        if not self.client_id:
            return send.perform(self._api, delivery.action, address)
        api = Api(self.api_base, address.ticket.get(INSTALLATION) or address.workspace)
        return install.confined(send.perform(api, delivery.action, address))

    def unasked(self, address: Address) -> Address:
        """Return where a message goes that answers nothing; of several workspaces it must be known which."""
        installation = address.ticket.get(INSTALLATION, "")
        if self.client_id and not (installation or address.workspace):
            raise Unreachable("several workspaces install this app: the workspace is missing")
        return msgspec.structs.replace(address, ticket={INSTALLATION: installation} if installation else {})

    def fetch(self, attachment: Attachment, known: Known) -> Exchange[Media]:
        """Fetch a shared file into the media store."""
        if not self.client_id:
            return files.fetch(self._api, attachment)
        api = Api(self.api_base, attachment.value.get(INSTALLATION, ""))
        return install.renewing(files.fetch(api, attachment))

    def probe(self, known: Known) -> Exchange[Probe]:
        """Ask Slack which bot this is, and what its app lacks."""
        return install.probe(known, self.account) if self.client_id else probe.probe(self._api)

    def oauth(self) -> Provider | None:
        """Let workspaces install the app when it has a client id."""
        if not self.client_id:
            return None
        return install.provider(self.api_base, self.client_id, self.scopes, public=self.public_install)

    def installed(self, answer: dict[str, Any]) -> Installed:
        """Read the workspace, its bot and its token."""
        return install.installed(answer)

    def split(self, message: Message) -> tuple[Message, ...]:
        """Cut a message to size; files and buttons never share one, because Slack sends them separately."""
        pieces = super().split(linked(message))
        if not (message.attachments and message.buttons):
            return pieces
        return tuple(part for piece in pieces for part in _apart(piece))

    @functools.cached_property
    def _keys(self) -> tuple[crypto.Keyed, ...]:
        return tuple(crypto.keyed(secret) for secret in self.signing_secret.candidates())

    @functools.cached_property
    def _api(self) -> Api:
        return Api(self.api_base)


def _apart(message: Message) -> tuple[Message, ...]:
    if not (message.attachments and message.buttons):
        return (message,)
    return Message(attachments=message.attachments), msgspec.structs.replace(message, attachments=())
