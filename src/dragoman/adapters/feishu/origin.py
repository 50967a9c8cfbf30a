"""Where a payload comes from, and how an event is made there."""

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any, Final

from dragoman import wire
from dragoman.adapter import Adapter, Me, Receipt
from dragoman.adapters.feishu.payloads import Ids
from dragoman.errors import Malformed
from dragoman.model import Address, Event, Sender
from dragoman.wire import Response

DONE: Final = wire.json_response({})
"""Acknowledges events and card callbacks alike ("Handle callbacks": an empty object changes nothing)."""

STAMP: Final = re.compile(r"([0-9]{1,17})(?:\.([0-9]{1,9}))?", re.ASCII)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Origin:
    """What surrounds an event: the account, who we are in it, the clock, the tenant, the envelope's id and time."""

    adapter: Adapter
    me: Me
    now: float
    workspace: str = ""
    event_id: str = ""
    created: str = ""

    def outsider(self, author: Ids | None, *, person: bool = True, app_id: str | None = None) -> str:
        """Say why an author does not count: `self`, `bot`, or nothing for a person."""
        theirs = {author.open_id, author.union_id, author.user_id} if author else set()
        ours = {self.me.id, self.me.app_id} - {""}
        if ours & (theirs | {app_id}):
            return "self"
        return "" if person else "bot"

    def event(
        self,
        *,
        kind: str,
        channel: str,
        sender: str,
        key: str = "",
        thread: str = "",
        message_id: str = "",
        stamp: str | None = None,
        sender_name: str = "",
        value: Mapping[str, Any] | None = None,
        **facts: Any,
    ) -> Event:
        """Make an event at a place; without a key of its own it is named by the envelope's id.

        `facts` are the event's other fields. The message concerned is kept in the address: a reply in a
        thread is a reply to one of its messages.
        """
        return Event(
            key=key or need(self.event_id),
            kind=kind,
            account=self.adapter.account,
            platform=self.adapter.platform,
            conversation=self.adapter.place(channel, workspace=self.workspace, thread=thread, sender=sender),
            address=Address(
                account=self.adapter.account,
                workspace=self.workspace,
                channel=channel,
                thread=thread,
                ticket={"message_id": message_id} if message_id else {},
            ),
            sender=Sender(id=sender, name=sender_name),
            message_id=message_id,
            value={"event_id": self.event_id, **(value or {})},
            at=moment(stamp or self.created) or milliseconds(self.now),
            **facts,
        )


def brought(event: Event) -> Receipt:
    """Return a receipt that brought an event."""
    return Receipt(events=(event,), response=DONE)


def ignored(reason: str, response: Response = DONE) -> Receipt:
    """Return a receipt that brought nothing, and why."""
    return Receipt(ignored=(reason,), response=response)


def need(value: str | None) -> str:
    """Return a field without which the event means nothing; raises `Malformed`."""
    if not value:
        raise Malformed("a documented field is missing")
    return value


def moment(stamp: str) -> float:
    """Return a time in epoch seconds, truncated to milliseconds; 0 when there is none.

    Messages count milliseconds, card callbacks microseconds, v1 envelopes seconds with a fraction.
    """
    if not stamp:
        return 0.0
    found = STAMP.fullmatch(stamp)
    if found is None:
        raise Malformed(f"not a time: {stamp[:40]!r}")
    number = int(found[1])
    if number < 10**11:
        return (number * 1000 + int(((found[2] or "") + "000")[:3])) / 1000
    return (number if number < 10**14 else number // 1000) / 1000


def milliseconds(now: float) -> float:
    """Truncate the clock to milliseconds, for what comes without a time of its own."""
    return math.floor(now * 1000) / 1000
