"""What the engine's tests share: events by what differs, and a world in memory."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import pytest

from dragoman.engine.turn import NoWorld
from dragoman.model import Address, Event, Line, Sender


class MakeEvent(Protocol):
    """Makes an event of a text and of what else differs."""

    def __call__(self, text: str = "", **facts: Any) -> Event: ...


class Memory(NoWorld):
    """A world that keeps results and memories, as the store does."""

    def __init__(self) -> None:
        self.results: dict[tuple[str, str], Any] = {}
        self.memories: dict[tuple[str, str], Any] = {}
        self.lines: list[Line] = []
        self.asked: list[tuple[str, int]] = []

    async def once(
        self, turn: str, name: str, step: Callable[..., Awaitable[Any]], arguments: Sequence[Any], *, repeat: bool
    ) -> Any:
        if (turn, name) not in self.results:
            self.results[turn, name] = await step(*arguments)
        return self.results[turn, name]

    async def history(self, conversation: str, limit: int) -> Sequence[Line]:
        self.asked.append((conversation, limit))
        return self.lines[-limit:]

    async def memory(self, person: str, key: str) -> Any:
        return self.memories.get((person, key))


@pytest.fixture
def world() -> Memory:
    return Memory()


@pytest.fixture
def make_event() -> MakeEvent:
    def make(text: str = "", **facts: Any) -> Event:
        whole: dict[str, Any] = {
            "key": "1",
            "account": "acme",
            "platform": "test",
            "conversation": "acme/c1",
            "address": Address(account="acme", workspace="w1", channel="c1"),
            "sender": Sender(id="u1", name="Kim"),
            "text": text,
        }
        return Event(**{**whole, **facts})

    return make
