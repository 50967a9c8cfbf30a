"""Free text answered by a language model, behind any endpoint that speaks OpenAI's chat completions.

The answer is journaled: a turn that a crash replays does not pay twice. A fall-back is not, so that the replay may
have better luck. The library is imported in a thread, beside the start of the service (it takes a second or two).
"""

import asyncio
import contextlib
import dataclasses
import functools
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Final

from dragoman import telemetry
from dragoman.engine.plugin import Plugin
from dragoman.engine.turn import Turn
from dragoman.errors import NoAnswer, PluginError
from dragoman.model import Event, Secret, setting
from dragoman.plugins import tasks

if TYPE_CHECKING:
    from pydantic_ai import Agent
    from pydantic_ai.messages import ModelMessage

OPENAI: Final = "https://api.openai.com/v1"
RETRIES: Final = 1
"""How often a call is repeated after 429, 5xx or a broken connection, within the deadline."""
CUT_MARK: Final = " […]"

SYSTEM: Final = (
    "You are a helpful, polite assistant in a chat. Answer in the language of the question, briefly and to the point. "
    "Write Markdown only where it helps. When you do not know something, say so."
)
FALLBACK: Final = "I cannot answer right now. Please try again in a moment. 我暂时无法回答，请稍后再试。"
BUSY: Final = (
    "Many people are writing to me at the moment, and I am behind. Please ask me again in a few minutes. "
    "现在消息很多，我暂时忙不过来，请过几分钟再问我。"
)

log = telemetry.logger("plugin.llm")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Which model, how it is asked, and what is said when it does not answer."""

    model: str = setting("The model's name, as the endpoint knows it.", default="gpt-4o-mini")
    base_url: str = setting("Address of an endpoint that is compatible with OpenAI's.", default=OPENAI)
    api_key: Secret = setting("Key of the endpoint; a local server may need none.", default=Secret())
    system: str = setting("The system prompt: who the bot is and how it speaks.", default=SYSTEM)
    history: int = setting("Lines of the conversation that the model is shown, at most.", default=20)
    deadline: float = setting("Seconds after which the fall-back is said.", default=60.0)
    fallback: str = setting("What to say when the model does not answer.", default=FALLBACK)
    busy: str = setting(
        "What to say, once in a conversation, instead of asking the model while messages wait for over a minute.",
        default=BUSY,
    )
    max_answer: int = setting("Characters of an answer; the rest is cut off.", default=32_000)
    temperature: float | None = setting("Randomness, from 0 (the model's own default without it).", default=None)

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if self.base_url == OPENAI and not self.api_key:
            raise ValueError(
                "api_key is required and missing (only a server of your own, named by base_url, needs none)"
            )
        if not self.base_url.startswith(("http://", "https://")):
            raise ValueError("base_url should begin with https:// or http://")
        if self.deadline <= 0 or self.history < 0 or self.max_answer < 1:
            raise ValueError("deadline and max_answer should be above 0, and history not below it")


plugin = Plugin("llm", settings=Settings, title="Answers free text by a language model.")


@plugin.lifespan
@contextlib.asynccontextmanager
async def life(settings: Settings) -> "AsyncIterator[asyncio.Task[Agent]]":
    """Open the one client of this service while the rest of it starts, and close it at the end."""
    async with contextlib.AsyncExitStack() as stack:

        async def opened() -> "Agent":
            return await stack.enter_async_context(await asyncio.to_thread(build, settings))

        opening = asyncio.create_task(opened())
        try:
            yield opening
        finally:
            await asyncio.wait([opening])


@plugin.on(lambda event: event.kind == "message" and bool(event.text.strip()))
async def answer(turn: Turn) -> None:
    """Answer by the model, once however often the turn is replayed, or by the fall-back."""
    if turn.hurried:
        turn.excuse(turn.settings.busy)
        return
    said = named(turn.event, turn.event.sender.name, turn.text)
    try:
        turn.say(await turn.once("answer", functools.partial(_ask, turn), said))
    except NoAnswer as error:
        log.warning("llm.failed", reason=error.reason, turn=turn.id)
        turn.say(turn.settings.fallback)


@plugin.step
async def ask(turn: Turn, question: str, zone: str = "UTC") -> None:
    """Say the answer to a question that a task asks; without one the turn is tried again, and nothing is said."""
    asked = tasks.filled(turn, question, zone)
    try:
        turn.say(await turn.once("answer", functools.partial(_ask, turn), asked))
    except NoAnswer as error:
        raise PluginError(f"the model did not answer: {error.reason}") from error


async def _ask(turn: Turn, said: str) -> str:
    """Ask the model; raises `NoAnswer` without a word of what was said, or of what the endpoint wrote."""
    settings: Settings = turn.settings
    lines = await turn.history(settings.history) if settings.history else ()
    shown = [(line.by, cut(named(turn.event, line.name, line.text), settings.max_answer)) for line in lines]
    return await complete(turn.resource, settings, said, shown)


async def complete(
    opening: "asyncio.Task[Agent] | None", settings: Settings, said: str, shown: Sequence[tuple[str, str]] = ()
) -> str:
    """Ask a model, after the lines that it is shown; `opening` is what `life` yielded. Raises `NoAnswer`."""
    try:
        async with asyncio.timeout(settings.deadline), _agent(opening, settings) as agent:
            output = await _run(agent, said, shown)
    except TimeoutError:
        raise NoAnswer("nothing within the deadline", sent=True) from None
    if not output.strip():
        raise NoAnswer("an empty answer", sent=True)
    return cut(output, settings.max_answer)


def named(event: Event, name: str, text: str) -> str:
    """Put the speaker's name before a text, where several people speak."""
    return f"{name}: {text}" if name and event.chat_kind != "direct" else text


def cut(text: str, most: int) -> str:
    """Return a text of at most so many characters, marked where it was cut."""
    return text if len(text) <= most else text[: max(0, most - len(CUT_MARK))] + CUT_MARK[:most]


@contextlib.asynccontextmanager
async def _agent(opening: "asyncio.Task[Agent] | None", settings: Settings) -> "AsyncIterator[Agent]":
    """Return the service's agent; one of its own where no service runs the lifespan."""
    if opening is None:
        async with life(settings) as own:
            yield await own
    else:
        yield await asyncio.shield(opening)  # a turn that is cancelled must not take it from the others


# The library is imported below this line only, when a thread has loaded it.


def build(settings: Settings) -> "Agent":
    """Import the library and make an agent; slow, so in a thread."""
    from pydantic_ai import Agent, ModelSettings  # noqa: PLC0415 - a second or two, not to be paid at the start
    from pydantic_ai.models.openai import OpenAIChatModel  # noqa: PLC0415 - the same
    from pydantic_ai.providers.openai import OpenAIProvider  # noqa: PLC0415 - the same

    # Without a key the library would take the environment's, and send it to somebody else's server.
    key = settings.api_key.reveal() or "none"
    provider = OpenAIProvider(base_url=settings.base_url, api_key=key)
    options = ModelSettings(max_retries=RETRIES, timeout=settings.deadline)
    if settings.temperature is not None:
        options["temperature"] = settings.temperature
    model = OpenAIChatModel(settings.model, provider=provider)
    return Agent(model, instructions=settings.system, model_settings=options, retries=0)


async def _run(agent: "Agent", said: str, shown: Sequence[tuple[str, str]]) -> str:
    from pydantic_ai.exceptions import AgentRunError  # noqa: PLC0415 - `build` has loaded it

    try:
        result = await agent.run(said, message_history=[_message(by, text) for by, text in shown if text])
    except AgentRunError as error:
        raise NoAnswer(f"{type(error).__name__} {getattr(error, 'status_code', '')}".strip(), sent=True) from None
    return result.output


def _message(by: str, text: str) -> "ModelMessage":
    from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, UserPromptPart  # noqa: PLC0415 - the same

    if by == "bot":
        return ModelResponse(parts=[TextPart(content=text)])
    return ModelRequest(parts=[UserPromptPart(content=text)])
