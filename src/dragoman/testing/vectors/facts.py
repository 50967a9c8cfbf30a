"""An event, or a socket, in the words of the vectors' page: only the keys that it names exist here."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol, runtime_checkable

import msgspec

from dragoman.adapter import Adapter, Known, Send, Session, Step
from dragoman.errors import Malformed
from dragoman.model import Event

Facts = dict[str, Any]
"""What was observed, by the key under which a case would list it."""


def _thread(event: Event) -> str:
    """Return the platform's thread; our reply's own, opened under this very message, is none yet."""
    if "thread_id" in event.value:
        return str(event.value["thread_id"] or "")
    thread = event.address.thread
    return "" if thread == event.message_id else thread


FIELDS: Final[Mapping[str, Callable[[Event], Any]]] = {
    "type": lambda event: event.kind,
    "deliver": lambda event: event.wants_turn,
    "conversation_id": lambda event: event.address.channel,
    "chat_kind": lambda event: event.chat_kind,
    "thread_id": _thread,
    "workspace_id": lambda event: event.address.workspace,
    "sender_id": lambda event: event.sender.id,
    "sender_name": lambda event: event.sender.name,
    "sender_is_bot": lambda event: event.sender.is_bot,
    "message_id": lambda event: event.message_id,
    "reply_to": lambda event: event.reply_to,
    "text": lambda event: event.text_as_sent or event.text,
    "text_clean": lambda event: event.text,
    "text_length": lambda event: len(event.text_as_sent or event.text),
    "mentions_bot": lambda event: event.mentions_bot,
    "mentions": lambda event: event.mentions,
    "attachments": lambda event: event.attachments,
    "timestamp_ms": lambda event: round(event.at * 1000),
}
"""Where a key has a field of its own in `Event`."""

VALUES: Final = (
    *("account_id", "new_conversation_id", "event_id", "root_id", "reply_to_bot", "group_key", "quoted_text"),
    *("command", "command_args", "action_id", "action_value", "interaction_id", "emoji", "status", "unsupported"),
    *("subject", "to", "cc", "thread_root", "action", "final_recipient", "original_message_id"),
)
"""What stands in `Event.value` under the same name."""


def of(event: Event) -> Facts:
    """Return all that a case may list about an event."""
    return {
        **{name: event.value.get(name) for name in VALUES},
        **{name: read(event) for name, read in FIELDS.items()},
    }


HOUR: Final = 3600
"""Seconds for which a session is watched until it sends a frame by itself."""


@runtime_checkable
class Describes(Protocol):
    """An adapter whose frames are bytes of a form of its own."""

    def describe(self, raw: bytes) -> Mapping[str, Any]:
        """Return a frame's fields, with `headers` and `payload_json`; raises `Malformed`."""


@runtime_checkable
class Configured(Protocol):
    """A session that takes settings over from the other side."""

    @property
    def client_config(self) -> Mapping[str, Any]:
        """The settings that hold by now, by the other side's names for them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Written:
    """A frame that we send, and how such frames are read."""

    raw: bytes
    describe: Callable[[bytes], Mapping[str, Any]]

    def same(self, raw: bytes) -> bool:
        """Tell whether another frame says the same."""
        try:
            return self.describe(raw) == self.describe(self.raw)
        except Malformed:
            return False


def of_socket(adapter: Adapter, session: Session, steps: Iterable[Step], known: Known) -> Facts:
    """Return what a case may list about a socket of binary frames; `steps` are its answers to the case's frames."""
    if not isinstance(adapter, Describes):
        return {}
    sent = _bytes(steps)
    config = session.client_config if isinstance(session, Configured) else None
    ping = _next_ping(session, known)
    return {
        "ack": adapter.describe(sent[0]) if sent else None,
        "client_config": config,
        "next_ping_frame_base64": Written(raw=ping, describe=adapter.describe) if ping else None,
    }


def _next_ping(session: Session, known: Known) -> bytes:
    """Let the clock run until the session sends something by itself; empty when it does not."""
    for second in range(1, HOUR):
        later = msgspec.structs.replace(known, now=known.now + second)
        if sent := _bytes(session.tick(later)):
            return sent[0]
    return b""


def _bytes(steps: Iterable[Step]) -> Sequence[bytes]:
    return [step.frame.data for step in steps if isinstance(step, Send) and isinstance(step.frame.data, bytes)]
