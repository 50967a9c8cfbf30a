"""Feishu and Lark: events and card callbacks in, by webhook or by a long connection; the server API out.

Source: open.feishu.cn and open.larksuite.com. What an account needs is made in the developer console, as a
self-built app.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import msgspec

from dragoman import wire
from dragoman.adapter import (
    Adapter,
    Capabilities,
    Dial,
    Halt,
    Known,
    Me,
    Mode,
    Payload,
    Probe,
    Rate,
    Receipt,
    Session,
    Token,
    linked,
    platform,
    setting,
)
from dragoman.adapters.feishu import files, frames, parse, probe, proof, send, socket, writing
from dragoman.adapters.feishu.api import TENANT, Api
from dragoman.adapters.feishu.origin import Origin
from dragoman.adapters.feishu.payloads import Envelope
from dragoman.errors import Forged
from dragoman.model import Attachment, Delivery, Media, Message, Secret
from dragoman.wire import Exchange, Http, Outcome

__all__ = ["Feishu"]


@platform
class Feishu(Adapter):
    """One self-built app of Feishu's, or of Lark's: the same protocol at another address."""

    platform: ClassVar[str] = "feishu"
    title: ClassVar[str] = "Feishu / Lark"
    capabilities: ClassVar[Capabilities] = Capabilities(
        # The documented limit is one of bytes, 150 KB; the official SDK cuts at this many characters.
        max_text=3500,
        dialect="feishu",
        actions=frozenset({"say", "edit", "delete", "react"}),
        modes=frozenset({"webhook", "socket"}),
        threads=True,
        buttons=True,
        media_in=True,
        media_out=True,
        idempotent_send=3600.0,
        rates=(Rate(per="chat", count=5, seconds=1.0), Rate(per="account", count=50, seconds=1.0)),
    )

    app_id: str = setting("App ID, cli_... (the app's page Credentials & Basic Info).")
    app_secret: Secret = setting("App Secret (the same page).")
    receive: Literal["webhook", "socket"] = setting(
        "How to receive: webhook, or socket (Feishu's persistent connection: no public address is needed).",
        default="webhook",
    )
    verification_token: Secret = setting(
        "Verification Token (Events & Callbacks, Encryption Strategy); only a webhook needs it.", default=Secret()
    )
    encrypt_key: Secret = setting(
        "Encrypt Key (the same page); set there, it must be set here: what is not signed is then refused.",
        default=Secret(),
    )
    bot_open_id: str = setting("The bot's open_id, ou_...; learned from Feishu when empty.", default="")
    max_skew_s: int | None = setting(
        "Seconds by which a signed timestamp may differ from our clock (default: any; Feishu repeats for 7 hours).",
        default=None,
    )
    api_base: str = setting(
        "Address of the server API; Lark's is https://open.larksuite.com.", default="https://open.feishu.cn"
    )

    def check(self) -> Sequence[str]:
        """Return what is wrong with the settings."""
        problems = []
        if not self.api_base.startswith(("http://", "https://")):
            problems.append("api_base must begin with http:// or https://")
        if self.receive == "webhook" and not self.verification_token:
            problems.append(
                "verification_token is empty: without it nobody can tell Feishu's requests from forged ones"
            )
        if not (self.app_id and self.app_secret):
            problems.append("app_id and app_secret must not be empty: without them the bot cannot answer")
        if self.max_skew_s is not None and not self.encrypt_key:
            problems.append("max_skew_s needs an encrypt_key: without one Feishu signs no timestamp")
        if self.max_skew_s is not None and self.max_skew_s < 0:
            problems.append("max_skew_s must not be negative")
        return problems

    def mode(self) -> Mode:
        """Tell how this account receives."""
        return self.receive

    def verify(self, request: Http, known: Known) -> Payload:
        """Prove a request: decrypt it, then check its signature (where there is a key) and its token.

        A handshake is not signed, its token is proof enough: it is told nothing but what it says itself.
        """
        if self.receive != "webhook":
            raise Forged("this account receives by its socket, and takes no webhooks")
        body = proof.opened(request.body, self.encrypt_key)
        envelope = wire.decode(body, Envelope)
        if envelope.is_old_card:
            proof.check_old_signature(request, self.verification_token)
        else:
            proof.check_token(envelope.proof, self.verification_token)
        if self.encrypt_key and not (envelope.is_handshake or envelope.is_old_card):
            proof.check_signature(request, self.encrypt_key)
        if self.max_skew_s is not None and not envelope.is_handshake:
            proof.check_age(request, known.now, self.max_skew_s)
        return Payload(body=body)

    def decrypt(self, blob: bytes) -> bytes:
        """Decrypt what Feishu encrypted; raises `Forged`."""
        return proof.decrypt(blob, self.encrypt_key)

    def parse(self, payload: Payload, known: Known) -> Receipt:
        """Read an event or a card callback; answer the handshake of the request URL."""
        return parse.receipt(Origin(adapter=self, me=self._me(known), now=known.now), payload.body)

    def _me(self, known: Known) -> Me:
        """Say who we are: a setting overrides what was learned."""
        return msgspec.structs.replace(known.me, id=self.bot_open_id or known.me.id, app_id=self.app_id)

    def send(self, delivery: Delivery, known: Known) -> Exchange[Outcome]:
        """Carry out one action by the server API."""
        return send.perform(self._api, delivery)

    def dial(self, known: Known) -> Exchange[Dial | Halt]:
        """Ask for the address of a new long connection."""
        return socket.dial(self.api_base, self.app_id)

    def session(self, known: Known) -> Session:
        """Begin the state machine of a long connection."""
        return socket.LongConnection(self.parse, known)

    def connection(self) -> str:
        """Name the connection by the app: Feishu gives each event to one of an app's connections only."""
        return f"feishu:{self.app_id}"

    def describe(self, raw: bytes) -> dict[str, Any]:
        """Read a frame of the long connection; raises `Malformed`."""
        return frames.described(frames.read(raw))

    def fetch(self, attachment: Attachment, known: Known) -> Exchange[Media]:
        """Fetch what a person sent into the media store."""
        return files.fetch(self._api, attachment)

    def grant(self, name: str, workspace: str, known: Known) -> Exchange[Token]:
        """Ask for the tenant's access token."""
        if name != TENANT.name:
            raise KeyError(name)
        return self._api.tenant_token(self.app_id)

    def probe(self, known: Known) -> Exchange[Probe]:
        """Ask Feishu which bot this is, and what its app lacks."""
        return probe.probe(self._api, self.app_id)

    def split(self, message: Message) -> tuple[Message, ...]:
        """Cut a message to size; Feishu sends text and each attachment separately."""
        cut = super().split
        return tuple(piece for part in writing.apart(linked(message)) for piece in cut(part))

    @property
    def _api(self) -> Api:
        return Api(self.api_base)
