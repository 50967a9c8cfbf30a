"""`dragoman chat`: talk to the bot in the terminal, through the same inbox and outbox as everyone."""

import asyncio
import contextlib
import getpass
import os
import sys
import threading
import uuid
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import typer

from dragoman.cli import options
from dragoman.errors import NoAnswer

if TYPE_CHECKING:
    from dragoman.flow.transport.control import Talk
    from dragoman.service.installation import Installation

PATIENCE = 15.0
"""Seconds that a piped line waits for its answer."""
QUIET = 0.4
"""Seconds of silence after an answer that end the waiting for more of it."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(chat)


def chat(data: options.Data = None, config: options.Configuration = None) -> None:
    """Chat with the bot here: with the running service, or, when none runs, with one for this chat only.

    End with Ctrl-D. Lines that are piped in are answered one after the other.
    """
    installation = options.load(data, config, create=True)
    asyncio.run(_chat(installation))


class Lines:
    """The lines that a person types or a pipe brings, read beside the event loop; None is their end."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, name="typed-lines", daemon=True).start()

    async def next(self) -> str | None:
        """Wait for the next line that is not blank."""
        while (line := await self._queue.get()) is not None:
            if line.strip():
                return line.strip()
        return None

    def _read(self) -> None:
        rest = b""
        with contextlib.suppress(RuntimeError, OSError):  # the loop has ended, or the terminal has gone
            while chunk := os.read(sys.stdin.fileno(), 65_536):
                *lines, rest = (rest + chunk).split(b"\n")
                self._give(*lines)
            self._give(rest, None)

    def _give(self, *lines: bytes | None) -> None:
        for line in lines:
            words = None if line is None else line.decode("utf-8", "replace")
            self._loop.call_soon_threadsafe(self._queue.put_nowait, words)


async def _chat(installation: "Installation") -> None:
    channel = f"terminal-{getpass.getuser()}"
    lines = Lines()
    async with _service(installation), _talk(installation, channel) as talk:
        if sys.stdin.isatty():
            print("Talk to the bot; Ctrl-D ends.", flush=True)
            await _talk_live(talk, lines)
        else:
            await _talk_piped(talk, lines)


@contextlib.asynccontextmanager
async def _service(installation: "Installation") -> AsyncIterator[None]:
    """Use the running service, or run one while the chat is open."""
    from dragoman.flow.transport import control  # noqa: PLC0415 - the command's own weight

    try:
        await control.ask(installation.control, "parked", limit="1")
    except NoAnswer:
        pass
    else:
        yield
        return
    from dragoman import telemetry  # noqa: PLC0415 - the command's own weight
    from dragoman.service.run import run  # noqa: PLC0415 - the command's own weight

    telemetry.configure_logs("error")
    stop = asyncio.Event()
    running = asyncio.create_task(run(installation, announce=None, stop=stop))
    try:
        yield
    finally:
        stop.set()
        await running


@contextlib.asynccontextmanager
async def _talk(installation: "Installation", channel: str) -> AsyncIterator["Talk"]:
    from dragoman.flow.transport import control  # noqa: PLC0415 - the command's own weight

    async with contextlib.AsyncExitStack() as stack:
        for attempt in range(100):
            try:
                talk = await stack.enter_async_context(control.talk(installation.control, channel))
                break
            except NoAnswer:
                if attempt == 99:
                    raise
                await asyncio.sleep(0.05)
        await talk.hear()  # the history; the terminal shows its own
        yield talk


def _frame(words: str) -> dict[str, Any]:
    return {"id": uuid.uuid4().hex, "text": words, "name": getpass.getuser()}


def _show(frame: dict[str, Any]) -> bool:
    """Print what the bot says or what went wrong; tells whether there was anything."""
    if frame["type"] == "message" and frame["by"] == "bot":
        print(frame["text"])
        for button in frame.get("buttons", ()):
            print(f"  [{button['text']}] {button.get('url') or button.get('value', '')}")
    elif frame["type"] == "error":
        print(f"! {frame['text']}")
    else:
        return False
    sys.stdout.flush()
    return True


async def _talk_live(talk: "Talk", lines: Lines) -> None:
    """Say what is typed and show what is said, until one of both ends."""
    both = [asyncio.create_task(_say_all(talk, lines)), asyncio.create_task(_hear_all(talk))]
    try:
        done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)


async def _hear_all(talk: "Talk") -> None:
    while (frame := await talk.hear()) is not None:
        _show(frame)
    raise NoAnswer("the service closed the chat", sent=True)


async def _say_all(talk: "Talk", lines: Lines) -> None:
    while (words := await lines.next()) is not None:
        await talk.say(_frame(words))


async def _talk_piped(talk: "Talk", lines: Lines) -> None:
    while (words := await lines.next()) is not None:
        await talk.say(_frame(words))
        await _hear_answer(talk)


async def _hear_answer(talk: "Talk") -> None:
    """Print an answer: wait for its first line, then until it is quiet."""
    patience = PATIENCE
    while True:
        try:
            async with asyncio.timeout(patience):
                frame = await talk.hear()
        except TimeoutError:
            return
        if frame is None:
            raise NoAnswer("the service closed the chat", sent=True)
        if _show(frame):
            patience = QUIET
