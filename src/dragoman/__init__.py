"""Dragoman: a self-hosted dialog bot for every chat platform.

The names that a plugin or an embedding program needs; each is loaded when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from dragoman.archive.storage import ConversationStorage
    from dragoman.engine.handler import MessageHandler
    from dragoman.engine.plugin import UNHANDLED, Plugin
    from dragoman.engine.turn import Turn
    from dragoman.model import Attachment, Button, Event, Message, Secret

__version__: Final = "0.1.0"

_HOMES: Final = {
    "Attachment": "dragoman.model",
    "Button": "dragoman.model",
    "ConversationStorage": "dragoman.archive.storage",
    "Event": "dragoman.model",
    "Message": "dragoman.model",
    "MessageHandler": "dragoman.engine.handler",
    "Plugin": "dragoman.engine.plugin",
    "Secret": "dragoman.model",
    "Turn": "dragoman.engine.turn",
    "UNHANDLED": "dragoman.engine.plugin",
}

__all__ = [
    "UNHANDLED",
    "Attachment",
    "Button",
    "ConversationStorage",
    "Event",
    "Message",
    "MessageHandler",
    "Plugin",
    "Secret",
    "Turn",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its home."""
    if name not in _HOMES:
        raise AttributeError(f"module 'dragoman' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
