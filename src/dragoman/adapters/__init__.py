"""The platforms that ship: a name for each, loaded on use; others come by the entry point group."""

import importlib
from importlib import metadata
from typing import Final

from dragoman.adapter import Adapter

GROUP: Final = "dragoman.adapters"

SHIPPED: Final = {
    "webhook": "dragoman.adapters.webhook:Webhook",
    "web": "dragoman.adapters.local:Web",
    "terminal": "dragoman.adapters.local:Terminal",
    "slack": "dragoman.adapters.slack:Slack",
    "telegram": "dragoman.adapters.telegram:Telegram",
    "feishu": "dragoman.adapters.feishu:Feishu",
    "email": "dragoman.adapters.email:Email",
}


def names() -> tuple[str, ...]:
    """Return the name of every platform that can be loaded, shipped ones first."""
    found = {entry.name for entry in metadata.entry_points(group=GROUP)}
    return (*SHIPPED, *sorted(found - set(SHIPPED)))


def load(name: str) -> type[Adapter]:
    """Return the adapter class of a platform.

    Raises `LookupError` when there is none of that name, `TypeError` when it breaks the contract.
    """
    if name in SHIPPED:
        module, _, attribute = SHIPPED[name].partition(":")
        return check(getattr(importlib.import_module(module), attribute))
    for entry in metadata.entry_points(group=GROUP, name=name):
        return check(entry.load())
    raise LookupError(name)


def check(cls: object) -> type[Adapter]:
    """Return the class if it keeps the adapter contract, or raise `TypeError` saying what it lacks."""
    if not (isinstance(cls, type) and issubclass(cls, Adapter)):
        raise TypeError(f"{cls!r} is not a subclass of dragoman.adapter.Adapter")
    missing = [name for name in ("platform", "title", "capabilities") if not hasattr(cls, name)]
    missing += sorted(cls.__abstractmethods__)
    if missing:
        raise TypeError(f"{cls.__name__} lacks {', '.join(missing)}")
    return cls
