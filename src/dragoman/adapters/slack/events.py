"""Reading the Events API: messages, their edits and deletions, reactions, and what befalls the installation.

Source: docs.slack.dev, "Events API", "message event", "reaction_added event", "app_rate_limited event".
"""

from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from dragoman import wire
from dragoman.adapter import Ended, Receipt
from dragoman.adapters.slack.origin import Origin, Place, brought, ignored, milliseconds, moment, need
from dragoman.adapters.slack.payloads import (
    AccountEvent,
    AnyEnvelope,
    Content,
    Envelope,
    Kind,
    MessageEnvelope,
    MessageEvent,
    ReactionEvent,
)
from dragoman.errors import Malformed
from dragoman.model import Event, Sender


def read(origin: Origin, body: bytes) -> Receipt:
    """Read one JSON body, at first as the message that nearly all are."""
    try:
        envelope = wire.decode(body, MessageEnvelope)
    except Malformed:
        return _opened(origin, body)
    reader = MESSAGES.get(envelope.event.type) if envelope.type == CALLBACK else None
    return reader(_surrounded(origin, envelope), envelope.event) if reader else _opened(origin, body)


def _opened(origin: Origin, body: bytes) -> Receipt:
    """Read a body step by step, as far as its kind is known; what is wrong with it shows here."""
    envelope = wire.decode(body, AnyEnvelope)
    reader = ENVELOPES.get(envelope.type)
    return reader(origin, envelope) if reader else ignored(f"kind:{envelope.type}")


def _challenge(_: Origin, envelope: Envelope) -> Receipt:
    return Receipt(response=wire.text_response(envelope.challenge), ignored=("url_verification",))


def _callback(origin: Origin, envelope: AnyEnvelope) -> Receipt:
    inner = bytes(envelope.event)
    kind = wire.decode(inner, Kind).type
    if message := MESSAGES.get(kind):
        return message(_surrounded(origin, envelope), wire.decode(inner, MessageEvent))
    reader = EVENTS.get(kind)
    return reader(_surrounded(origin, envelope), inner) if reader else ignored(f"kind:{kind}")


def _surrounded(origin: Origin, envelope: Envelope) -> Origin:
    """Add the envelope's facts; it names our bot too, for an account that does not know it yet."""
    origin = origin.entered(envelope.team_id or "", _installation(envelope))
    me = origin.me if origin.me.id else replace(origin.me, id=_bot(envelope))
    return replace(
        origin,
        me=me,
        app_id=envelope.api_app_id or "",
        event_id=envelope.event_id or "",
        event_time=envelope.event_time or 0.0,
    )


def _bot(envelope: Envelope) -> str:
    """Name our bot, as the authorisations have it."""
    bots = (each.user_id for each in envelope.authorizations or () if each.is_bot and each.user_id)
    return next(bots, "")


def _installation(envelope: Envelope) -> str:
    """Choose whose token serves an event: not the author's workspace counts, but the first authorisation."""
    if not envelope.authorizations:
        return ""
    first = envelope.authorizations[0]
    return (first.enterprise_id if first.is_enterprise_install else first.team_id) or ""


def _rate_limited(origin: Origin, envelope: Envelope) -> Receipt:
    minute = envelope.minute_rate_limited
    surrounded = _surrounded(origin, envelope)
    key = surrounded.key("app_rate_limited", str(minute))
    return brought(_reported(surrounded, key, {"event": "app_rate_limited"}, float(minute)))


def _account_event(origin: Origin, inner: bytes) -> Receipt:
    """Read the end of an installation; a person's token that is revoked is none of the bot's."""
    event = wire.decode(inner, AccountEvent)
    value = {"event": event.type, "event_id": origin.event_id}
    reported = _reported(origin, origin.key(event.type, origin.event_id), value, milliseconds(origin.now))
    personal = event.type == "tokens_revoked" and not (event.tokens and event.tokens.bot)
    if personal or not origin.installation:
        return brought(reported)
    return Receipt(
        events=(reported,), ended=(Ended(workspace=origin.installation, at=origin.event_time or origin.now),)
    )


def _reported(origin: Origin, key: str, value: dict[str, Any], at: float) -> Event:
    """Make an event about the whole installation: it has no channel and no sender."""
    event = origin.event(key, Place(channel=""), Sender(id=""))
    return replace(event, kind="platform_event", wants_turn=False, value=value, at=at)


def _message(origin: Origin, event: MessageEvent) -> Receipt:
    reader = SUBTYPES.get(event.subtype or "")
    return reader(origin, event) if reader else ignored(f"kind:message.{event.subtype}")


def _mention(origin: Origin, event: MessageEvent) -> Receipt:
    """Read `app_mention`: the same happening as the channel's `message`, and a mention by definition."""
    said = _said(origin, event)
    events = (replace(each, mentions_bot=True) for each in said.events)
    return Receipt(events=tuple(events), ignored=said.ignored)


def _said(origin: Origin, event: MessageEvent) -> Receipt:
    if reason := origin.outsider(event):
        return ignored(reason)
    user, channel, ts = need(event.user), need(event.channel), need(event.ts)
    value: dict[str, Any] = {"event_id": origin.event_id}
    if event.thread_ts and event.thread_ts != ts:
        value |= {"root_id": event.thread_ts, "reply_to_bot": _is_ours(origin, event.parent_user_id)}
    place = origin.place(channel, channel_type=event.channel_type, thread=event.thread_ts, ts=ts)
    said = origin.event(origin.key(channel, ts), place, Sender(id=user))
    return brought(origin.worded(replace(said, message_id=ts, value=value, at=moment(ts)), event))


def _edited(origin: Origin, event: MessageEvent) -> Receipt:
    """Read `message_changed`, which is also how link previews and reply counts arrive: those are no edits."""
    if event.message is None:
        raise Malformed("a change without the changed message")
    after, before = event.message, event.previous_message or Content()
    if after.subtype == "tombstone":  # the root of a thread was deleted: its place is kept
        return _deleted(origin, event)
    if reason := origin.outsider(after):
        return ignored(reason)
    if not after.edited and (after.text or "") == (before.text or ""):
        return ignored("unfurl")
    ts = need(after.ts or before.ts)
    revision = (after.edited and after.edited.ts) or need(event.ts or event.event_ts)
    place = origin.place(need(event.channel), channel_type=event.channel_type, thread=after.thread_ts, ts=ts)
    sender = Sender(id=need(after.user or before.user))
    edited = replace(
        origin.event(origin.key(event.channel, ts, revision), place, sender),
        kind="edit",
        wants_turn=False,
        message_id=ts,
        value={"event_id": origin.event_id},
        at=moment(revision),
    )
    return brought(origin.worded(edited, after))


def _deleted(origin: Origin, event: MessageEvent) -> Receipt:
    gone = event.previous_message or Content()
    if reason := origin.outsider(gone):
        return ignored(reason)
    ts = need(event.deleted_ts or gone.ts)
    place = origin.place(need(event.channel), channel_type=event.channel_type, thread=gone.thread_ts, ts=ts)
    return brought(
        replace(
            origin.event(origin.key(event.channel, ts), place, Sender(id=gone.user or "")),
            kind="delete",
            wants_turn=False,
            message_id=ts,
            value={"event_id": origin.event_id},
            at=moment(need(event.ts or event.event_ts)),
        )
    )


def _reaction(origin: Origin, inner: bytes) -> Receipt:
    """Read a reaction; one that was taken back has an empty `emoji`."""
    event = wire.decode(inner, ReactionEvent)
    if reason := origin.outsider(Content(user=event.user)):
        return ignored(reason)
    if event.item.type != "message":
        return ignored(f"kind:{event.type}.{event.item.type}")
    channel, ts, when = need(event.item.channel), need(event.item.ts), need(event.event_ts)
    emoji = event.reaction if event.type == "reaction_added" else ""
    key = origin.key(channel, ts, event.user, event.reaction, when)
    return brought(
        replace(
            origin.event(key, origin.place(channel, ts=ts), Sender(id=event.user)),
            kind="reaction",
            wants_turn=False,
            message_id=ts,
            value={
                "event_id": origin.event_id,
                "emoji": emoji,
                "reply_to_bot": _is_ours(origin, event.item_user),
            },
            at=moment(when),
        )
    )


def _is_ours(origin: Origin, user: str | None) -> bool:
    return bool(user) and user == origin.me.id


CALLBACK: Final = "event_callback"

ENVELOPES: Final[dict[str, Callable[[Origin, AnyEnvelope], Receipt]]] = {
    "url_verification": _challenge,
    CALLBACK: _callback,
    "app_rate_limited": _rate_limited,
}

MESSAGES: Final[dict[str, Callable[[Origin, MessageEvent], Receipt]]] = {
    "message": _message,
    "app_mention": _mention,
}

EVENTS: Final[dict[str, Callable[[Origin, bytes], Receipt]]] = {
    "reaction_added": _reaction,
    "reaction_removed": _reaction,
    "app_uninstalled": _account_event,
    "tokens_revoked": _account_event,
}
"""Every other kind of event that is read."""

SUBTYPES: Final[dict[str, Callable[[Origin, MessageEvent], Receipt]]] = {
    "": _said,
    "file_share": _said,
    "thread_broadcast": _said,
    "me_message": _said,
    "bot_message": _said,
    "message_changed": _edited,
    "message_deleted": _deleted,
}
