"""A plugin on a stage: people who talk to it, what it remembers, and its timers on a clock that is told the time.

    stage = Stage(plugin)
    await stage.say("remind me in 10 minutes to stretch")
    [reminder] = await stage.wait(600)

Timers fire by the rules of the service. There is no store and no platform.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from dragoman.engine.handler import MessageHandler, event_of
from dragoman.engine.turn import NoWorld, Turn
from dragoman.flow import fire
from dragoman.model import Button, Cancel, ChatKind, Event, Message, Remember, Say, Schedule, Timer
from dragoman.store.timers import Standing
from dragoman.testing.clock import FakeClock


class Stage(NoWorld):
    """What a plugin is played on; it answers by the messages that are said."""

    def __init__(self, plugin: object, *, clock: FakeClock | None = None, settings: Any = None) -> None:
        """Put up a plugin: a `Plugin`, or an object with `async process(context)`."""
        self.clock = clock or FakeClock()
        self.handled: Turn | None = None
        """The last turn, with all its effects."""
        self.set: dict[str, Timer] = {}
        """The timers that are set, by name."""
        self._handler = MessageHandler(world=self)
        self._handler.register_plugin(plugin, settings=settings)
        self._memories: dict[tuple[str, str], Any] = {}
        self._results: dict[tuple[str, str], Any] = {}
        self._count = 0

    async def say(
        self, text: str, *, by: str = "player", name: str = "", chat_kind: ChatKind = "direct", zone: str = ""
    ) -> list[Message]:
        """Say something: alone with the bot, or in the one group that there is."""
        return await self.bring(self.event(text, by=by, name=name, chat_kind=chat_kind, zone=zone))

    async def press(self, button: Button, *, by: str = "player", chat_kind: ChatKind = "direct") -> list[Message]:
        """Press a button."""
        event = self.event("", by=by, chat_kind=chat_kind)
        return await self.bring(msgspec.structs.replace(event, kind="action", value={"action_value": button.value}))

    async def wait(self, seconds: float) -> list[Message]:
        """Let time pass: what is due fires in time."""
        until, said = self.clock.now + seconds, list[Message]()
        while due := self._due(until):
            self.clock.now = max(self.clock.now, due.at)
            said += await self._fire(due)
        self.clock.now = until
        return said

    async def away(self, seconds: float) -> list[Message]:
        """Let time pass while nothing runs: what was due fires afterwards, late."""
        self.clock.advance(seconds)
        return await self.wait(0)

    async def bring(self, event: Event) -> list[Message]:
        """Bring an event; returns what is said to it."""
        self.handled = turn = await self._handler.turn(event, now=self.clock.now)
        for effect in turn.effects:
            match effect:
                case Remember():
                    names = turn.remembered_under(effect.scope)
                    self._memories |= {(name, effect.key): effect.value for name in names}
                case Schedule():
                    self.set[effect.timer.name] = effect.timer
                case Cancel():
                    self.set.pop(effect.name, None)
        return [effect.message for effect in turn.effects if isinstance(effect, Say)]

    def event(
        self, text: str, *, by: str = "player", name: str = "", chat_kind: ChatKind = "direct", zone: str = ""
    ) -> Event:
        """Make the event of a message that is said now."""
        self._count += 1
        channel = by if chat_kind == "direct" else "room"
        form = {"content": text, "sender_id": by, "sender_name": name, "channel_id": channel, "chat_kind": chat_kind}
        event = event_of({**form, "id": str(self._count), "timestamp": self.clock.now})
        return msgspec.structs.replace(event, sender=msgspec.structs.replace(event.sender, zone=zone))

    def _due(self, until: float) -> Timer | None:
        first = min(self.set.values(), key=lambda timer: timer.at, default=None)
        return first if first is not None and first.at <= until else None

    async def _fire(self, timer: Timer) -> list[Message]:
        firing = fire.decide(Standing(timer=timer), self.clock.now)
        if firing.next_at is None:
            del self.set[timer.name]
        else:
            self.set[timer.name] = msgspec.structs.replace(timer, at=firing.next_at)
        return [message for event in firing.events for message in await self.bring(event)]

    async def once(
        self, turn: str, name: str, step: Callable[..., Awaitable[Any]], arguments: Sequence[Any], *, repeat: bool
    ) -> Any:
        """Run a step once for each turn."""
        if (turn, name) not in self._results:
            self._results[turn, name] = await step(*arguments)
        return self._results[turn, name]

    async def memory(self, person: str, key: str) -> Any:
        """Read what was remembered of a person."""
        return self._memories.get((person, key))

    async def timers(self, person: str) -> Sequence[Timer]:
        """List a person's timers, the next one first."""
        return sorted((timer for timer in self.set.values() if timer.person == person), key=lambda timer: timer.at)
