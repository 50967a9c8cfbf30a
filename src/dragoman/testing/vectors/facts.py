"""An event in the words of the vectors' page: only the keys that it names exist here."""

from collections.abc import Callable, Mapping
from typing import Any, Final

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
