"""The generic webhook: the common message form in, the reply in the response, or later at a callback address."""

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import msgspec

from dragoman import crypto
from dragoman.adapter import Adapter, Capabilities, Known, Passive, Payload, Receipt, Unit, platform, setting
from dragoman.errors import Forged, Malformed, Stale, Unreachable
from dragoman.model import Address as Place
from dragoman.model import Attachment, ChatKind, Delivery, Event, Message, Say, Secret, Sender, Value
from dragoman.wire import (
    Credential,
    Exchange,
    Http,
    Outcome,
    Refused,
    Response,
    Retry,
    Sent,
    decode,
    json_response,
)

TOLERANCE: Final = 300
"""Seconds a signature's timestamp may be off (Standard Webhooks specification, "Verifying timestamps")."""
WAIT: Final = 600.0
"""Seconds that a reply without a callback address waits to be asked for."""


class Form(Value):
    """What a caller may send of the common message form; only `content` is required."""

    content: str
    id: str = ""
    sender_id: str = "anonymous"
    sender_name: str = ""
    conversation_id: str = ""
    channel_id: str = ""
    thread_id: str = ""
    message_type: str = "text"
    chat_kind: ChatKind = "direct"
    mentions_bot: bool = False
    reply_to: str = ""
    timestamp: float | None = None
    attachments: tuple[Attachment, ...] = ()


@platform
class Webhook(Adapter):
    """One account of the generic webhook."""

    platform: ClassVar[str] = "webhook"
    title: ClassVar[str] = "Webhook"
    capabilities: ClassVar[Capabilities] = Capabilities(
        max_text=100_000,
        buttons=True,
        idempotent_send=86_400.0,  # a callback carries `webhook-id`, by which its receiver drops a repeat
    )
    unit: ClassVar[Unit] = "channel"
    explains: ClassVar[bool] = True
    replies_in_response: ClassVar[bool] = True

    token: Secret = setting("Callers send it as `Authorization: Bearer`.", default=Secret())
    secret: Secret = setting(
        "Callers sign with it (Standard Webhooks), and so do we at the callback.", default=Secret()
    )
    reply_within: float = setting("Seconds that a request waits for its reply.", default=25.0)
    callback_url: str = setting("Where replies go that are not ready in time.", default="")

    def check(self) -> Sequence[str]:
        """Refuse an account that anyone could call."""
        problems = [] if self.token or self.secret else ["token or secret is required: anyone could call it"]
        if self.callback_url and not self.callback_url.startswith(("https://", "http://")):
            problems.append("callback_url must begin with https:// or http://")
        if not 0 <= self.reply_within <= 300:
            problems.append("reply_within must be between 0 and 300 seconds")
        return [*problems, *(_wrong(secret) for secret in self.secret.candidates() if _wrong(secret))]

    def verify(self, request: Http, known: Known) -> Payload:
        """Accept a bearer token, or a signature where a secret is set."""
        headers, signed_at = request.headers, 0.0
        if self.secret and "webhook-signature" in headers:
            signed_at = self._verify_signature(request, known)
        elif not self._has_token(headers.get("authorization", "")):
            raise Forged("neither a valid bearer token nor a signature")
        kept = {name: headers[name] for name in ("idempotency-key", "webhook-id") if headers.get(name)}
        return Payload(body=request.body, headers=kept, signed_at=signed_at)

    def _has_token(self, authorization: str) -> bool:
        scheme, _, given = authorization.partition(" ")
        return scheme.lower() == "bearer" and crypto.same_as_any(given.strip(), self.token.candidates())

    def _verify_signature(self, request: Http, known: Known) -> float:
        """Check a signature; returns when it was made."""
        name = request.headers.get("webhook-id", "")
        stamp = request.headers.get("webhook-timestamp", "")
        if not name or len(stamp) > 20 or not stamp.isascii() or not stamp.isdecimal():
            raise Forged("webhook-id or webhook-timestamp is missing")
        given = request.headers["webhook-signature"].split()
        secrets = self.secret.candidates()
        expected = (crypto.webhook_signature(secret, name, stamp, request.body) for secret in secrets)
        if not any(crypto.same_as_any(each, given) for each in expected):
            raise Forged("webhook-signature does not match")
        if abs(known.now - int(stamp)) > TOLERANCE:
            raise Stale("webhook-timestamp is too far off", known.now - int(stamp))
        return int(stamp)

    def parse(self, payload: Payload, known: Known) -> Receipt:
        """Read the common message form."""
        form = decode(payload.body, Form)
        if not form.content.strip() and not form.attachments:
            raise Malformed("content is empty")
        name = form.id or payload.headers.get("idempotency-key") or payload.headers.get("webhook-id") or known.nonce
        hold = self.reply_within if self.callback_url else max(WAIT, self.reply_within)
        event = self._event(form, name, known, hold)
        return Receipt(events=(event,), passive=Passive(seconds=self.reply_within, hold=hold))

    def _event(self, form: Form, name: str, known: Known, hold: float) -> Event:
        sender = form.sender_id or "anonymous"
        channel = form.conversation_id or form.channel_id or sender
        return Event(
            key=name,
            account=self.account,
            platform=self.platform,
            conversation=self.place(channel, thread=form.thread_id, sender=sender),
            address=Place(account=self.account, channel=channel, thread=form.thread_id, ticket={"id": name}),
            sender=Sender(id=sender, name=form.sender_name),
            chat_kind=form.chat_kind,
            message_id=name,
            text=form.content.strip(),
            text_as_sent=form.content,
            mentions_bot=form.mentions_bot,
            attachments=form.attachments,
            reply_to=form.reply_to,
            at=known.now if form.timestamp is None else form.timestamp,
            hold=hold,
        )

    def answer(self, messages: Sequence[Message], event: Event) -> Response:
        """Give all replies in the response."""
        return json_response(_reply(messages, event.key, event.address.channel))

    def defer(self, event: Event) -> Response:
        """Say that the reply comes later, and where."""
        later = "callback" if self.callback_url else "ask again with the same id"
        body = {"id": event.key, "conversation_id": event.address.channel, "status": "pending", "later": later}
        return json_response(body, 202)

    def unasked(self, address: Place) -> Place:
        """Return where a message goes that nobody waits for: to the callback address, if there is one."""
        if not self.callback_url:
            raise Unreachable("the webhook has no callback_url: nobody would ever ask for it")
        return super().unasked(address)

    def send(self, delivery: Delivery, known: Known) -> Exchange[Outcome]:
        """Bring a late reply to the callback address; without one, nobody asked for it in time."""
        if not isinstance(delivery.action, Say):
            return Refused(reason="the webhook can only say")
        if not self.callback_url:
            return Refused(reason=f"nobody asked for it within {WAIT:.0f} s, and there is no callback_url")
        address = delivery.address
        body = _reply([delivery.action.message], str(address.ticket.get("id", "")), address.channel)
        response = yield Http(
            url=self.callback_url,
            headers={"content-type": "application/json", "webhook-id": delivery.key},
            body=msgspec.json.encode(body),
            auth=Credential(name="secret" if self.secret else "token"),
            place="signature" if self.secret else "bearer",
            lane="callback",
        )
        return _judge(response)


def _wrong(secret: str) -> str:
    """Say what is wrong with a secret that claims to be base64."""
    try:
        empty = secret.startswith("whsec_") and not crypto.base64_bytes(secret.removeprefix("whsec_"))
    except Forged:
        empty = True
    return "secret begins with whsec_, so base64 must follow" if empty else ""


def _reply(messages: Sequence[Message], name: str, conversation: str) -> dict[str, Any]:
    return {
        "reply": "\n\n".join(message.text for message in messages if message.text),
        "replies": msgspec.to_builtins(list(messages)),
        "id": name,
        "conversation_id": conversation,
    }


def _judge(response: Response) -> Outcome:
    """Read a callback's status as Standard Webhooks has it: 2xx taken, 410 switched off, else try again."""
    status = response.status
    if 200 <= status < 300:
        return Sent()
    if status in {408, 425, 429} or status >= 500:
        wait = response.headers.get("retry-after", "")
        return Retry(reason=f"the callback answered {status}", after=float(wait) if wait.isdecimal() else None)
    return Refused(reason=f"the callback answered {status}")
