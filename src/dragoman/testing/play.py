"""Play a plugin without a store or platform: `await play(plugin, "weather", "Paris") == ["Which city?", "Sunny"]`."""

from typing import Any

from dragoman.testing.clock import FakeClock
from dragoman.testing.stage import Stage


async def play(plugin: object, *script: str | float, clock: FakeClock | None = None, settings: Any = None) -> list[str]:
    """Say texts to a plugin, as one person in one direct chat, and return all that it says.

    `plugin` is a `Plugin` or an object with `async process(context)`. A number in the script is a pause in seconds, in
    which timers fire; but for that the clock, in epoch seconds, stands still.
    """
    stage = Stage(plugin, clock=clock, settings=settings)
    said: list[str] = []
    for step in script:
        messages = await (stage.say(step) if isinstance(step, str) else stage.wait(step))
        said += [message.text for message in messages]
    return said
