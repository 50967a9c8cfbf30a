"""The plugin API: a named set of handlers, each with a filter that says which events are its own.

plugin = Plugin("hello")

@plugin.command("hello")
async def hello(turn: Turn, name: str = "you") -> None:
    turn.say(f"Hello, {name}!")
"""

import dataclasses
import functools
import inspect
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol, TypeVar, runtime_checkable

from dragoman.engine.turn import Turn
from dragoman.errors import BadArguments, PluginError
from dragoman.model import Event

Filter = Callable[[Event], bool]
Handler = Callable[..., Awaitable[object]]
H = TypeVar("H", bound=Handler)
Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]


class Unhandled:
    """The type of `UNHANDLED`."""

    def __repr__(self) -> str:
        return "UNHANDLED"

    def __bool__(self) -> bool:
        return False


UNHANDLED: Final = Unhandled()
"""What a handler returns to decline an event: the next one in the order gets it."""


@runtime_checkable
class Processor(Protocol):
    """The simplest plugin: an object that takes a context and answers in `context["response"]`."""

    async def process(self, context: dict[str, Any]) -> dict[str, Any]:
        """Return the context, with the answer (a text) in `response`, or without one."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """One handler of a plugin, the filter that admits events, and how its arguments are found."""

    name: str
    handler: Handler
    admits: Filter
    arguments: Callable[[Event], Mapping[str, Any]]
    title: str = ""


class Plugin:
    """A named set of handlers. `settings` is a dataclass, filled from `[plugin.NAME]`."""

    def __init__(self, name: str, *, settings: type | None = None, title: str = "") -> None:
        self.name = name
        self.title = title
        self.settings = settings
        self.routes: list[Route] = []
        self.names: frozenset[str] = frozenset()
        """The names of its handlers."""
        self.life: Lifespan | None = None

    def on(self, admits: Filter, *, title: str = "") -> Callable[[H], H]:
        """Handle the events that a filter admits."""
        return self._add(admits, lambda _event: {}, title)

    def command(self, *names: str) -> Callable[[H], H]:
        """Handle `/name words...`; the words fill the handler's parameters, the last text one takes the rest.

        Without the slash the name alone is enough, and words may follow if the handler takes any.
        """

        def register(handler: H) -> H:
            takes = bool(parameters(handler))
            wanted = frozenset(name.lower() for name in names)
            title = inspect.getdoc(handler) or ""

            def admits(event: Event) -> bool:
                return command_of(event, wanted, bare_words=takes) is not None

            def arguments(event: Event) -> Mapping[str, Any]:
                return bind(handler, command_of(event, wanted, bare_words=takes) or "")

            return self._add(admits, arguments, title)(handler)

        return register

    def message(self, pattern: str = "") -> Callable[[H], H]:
        """Handle messages whose text matches a regular expression; named groups fill the parameters, as their types."""
        compiled = re.compile(pattern, re.IGNORECASE)

        def admits(event: Event) -> bool:
            return event.kind == "message" and compiled.search(event.text) is not None

        def register(handler: H) -> H:
            wanted = {parameter.name: parameter for parameter in parameters(handler)}

            def arguments(event: Event) -> Mapping[str, Any]:
                found = compiled.search(event.text)
                groups = found.groupdict() if found else {}
                return {name: convert(wanted[name], value) for name, value in groups.items() if value}

            unknown = compiled.groupindex.keys() - wanted.keys()
            if unknown:
                raise PluginError(f"{self.name}: the handler has no parameter {min(unknown)}")
            return self._add(admits, arguments, "")(handler)

        return register

    def action(self, value: str) -> Callable[[H], H]:
        """Handle the press of a button with this value."""
        return self._add(lambda event: event.kind == "action" and action_value(event) == value, lambda _event: {}, "")

    def step(self, handler: H) -> H:
        """Register a handler that only answers to questions come to (`turn.ask(..., then=handler)`)."""
        return self._add(lambda _event: False, lambda _event: {}, "")(handler)

    def lifespan(self, life: Callable[[Any], AsyncIterator[Any]] | Lifespan) -> Any:
        """Open what the plugin needs while the service runs: an async context manager given the settings.

        What it yields is `turn.resource`.
        """
        self.life = life  # type: ignore[assignment]  # a decorated generator function has the other type
        return life

    def handler(self, name: str) -> Handler | None:
        """Find a handler by its name, as a pending question stored it."""
        return next((route.handler for route in self.routes if route.name == name), None)

    def _add(self, admits: Filter, arguments: Callable[[Event], Mapping[str, Any]], title: str) -> Callable[[H], H]:
        def register(handler: H) -> H:
            name = getattr(handler, "__name__", type(handler).__name__)
            if self.handler(name) not in {None, handler}:
                raise PluginError(f"{self.name} has two handlers named {name}")
            self.routes.append(Route(name=name, handler=handler, admits=admits, arguments=arguments, title=title))
            self.names |= {name}
            return handler

        return register


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """A plugin as an installation uses it: under a name, with its settings and what its lifespan yielded."""

    name: str
    plugin: Plugin
    settings: Any = None
    resource: Any = None


def command_of(event: Event, names: frozenset[str], *, bare_words: bool) -> str | None:
    """Return the words after a command of one of these names, or None when the event is no such command."""
    named = event.value.get("command")
    if named:
        matches = str(named).removeprefix("/").lower() in names
        return str(event.value.get("command_args", "")) if matches else None
    if event.kind != "message":
        return None
    first, *rest = event.text.split(None, 1) or [""]
    slash = first.startswith("/")
    if first.removeprefix("/").lower() not in names or (rest and not slash and not bare_words):
        return None
    return rest[0].strip() if rest else ""


def action_value(event: Event) -> Any:
    """Return what a pressed button carries: its value, or its id where it has none."""
    return event.value.get("action_value") or event.value.get("action_id")


@functools.lru_cache(maxsize=4096)
def parameters(handler: Handler) -> tuple[inspect.Parameter, ...]:
    """Return a handler's parameters after the turn."""
    return tuple(inspect.signature(handler).parameters.values())[1:]


def missing(handler: Handler, bound: Mapping[str, Any]) -> list[str]:
    """Name the parameters that a handler needs and does not have yet."""
    needed = _needed(handler)
    return [name for name in needed if name not in bound] if needed else []


@functools.lru_cache(maxsize=4096)
def _needed(handler: Handler) -> tuple[str, ...]:
    return tuple(parameter.name for parameter in parameters(handler) if parameter.default is parameter.empty)


def bind(handler: Handler, words: str) -> dict[str, Any]:
    """Spread words over a handler's parameters; raises `BadArguments` when one is missing or no number."""
    wanted = parameters(handler)
    pieces = words.split(None, len(wanted) - 1) if wanted else []
    bound = {
        parameter.name: convert(parameter, piece) for parameter, piece in zip(wanted, pieces, strict=False) if piece
    }
    if absent := missing(handler, bound):
        raise BadArguments(f"Please add: {', '.join(absent)}")
    return bound


def convert(parameter: inspect.Parameter, piece: str) -> Any:
    """Read a word as the parameter's type (text, int or float); raises `BadArguments`."""
    kind = {"int": int, "float": float}.get(getattr(parameter.annotation, "__name__", str(parameter.annotation)), str)
    try:
        return kind(piece.strip())
    except ValueError as error:
        raise BadArguments(f"{parameter.name} should be a number, not {piece.strip()!r}") from error


def adopt(candidate: object, name: str = "") -> Plugin:
    """Return a plugin for a `Plugin` or for any object with `async process(context)`; raises `PluginError`."""
    if isinstance(candidate, Plugin):
        return candidate
    if isinstance(candidate, type) and callable(getattr(candidate, "process", None)):
        candidate = candidate()
    if not isinstance(candidate, Processor):
        raise PluginError(f"{candidate!r} is neither a Plugin nor an object with async process(context)")
    processor = candidate
    plugin = Plugin(name or type(processor).__name__)

    @plugin.on(lambda _event: True)
    async def process(turn: Turn) -> object:
        context = turn.context if turn.context is not None else context_of(turn.event)
        turn.context = await processor.process(context)
        response = turn.context.get("response") if isinstance(turn.context, dict) else None
        if not response:
            return UNHANDLED
        turn.say(str(response))
        return None

    return plugin


def context_of(event: Event) -> dict[str, Any]:
    """Return the context that a `process` plugin gets: the common message form, whole and as `message`."""
    message = event.to_json()
    return {**message, "message": message, "response": None}
