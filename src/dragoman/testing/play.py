"""Play a plugin without a store or platform: `await play(plugin, "weather", "Paris") == ["Which city?", "Sunny"]`."""

from collections.abc import Callable
from typing import Any

from dragoman.engine.handler import MessageHandler
from dragoman.testing.clock import FakeClock


async def play(
    plugin: object, *texts: str, clock: Callable[[], float] | None = None, settings: Any = None
) -> list[str]:
    """Say texts to a plugin, as one person in one direct chat, and return all that it says.

    `plugin` is a `Plugin` or an object with `async process(context)`. The clock is in epoch seconds; without one
    it stands still.
    """
    now = clock or FakeClock()
    handler = MessageHandler()
    handler.register_plugin(plugin, settings=settings)
    said: list[str] = []
    for number, text in enumerate(texts):
        form = {"id": str(number), "content": text, "sender_id": "player", "timestamp": now()}
        said += [message.text for message in await handler.replies(form)]
    return said
