"""The real command as a process of its own, with a data folder of its own."""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest

from dragoman.testing.process import free_port

T = TypeVar("T")
PATIENCE = 20.0
"""Seconds until what does not come counts as missing."""


def until(look: Callable[[], T], seconds: float = PATIENCE) -> T:
    """Look again and again until what is seen is true; raises `TimeoutError`."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > deadline:
            message = f"not seen within {seconds:.0f} s"
            raise TimeoutError(message)
        time.sleep(0.02)
    return seen


@dataclasses.dataclass(kw_only=True)
class Ended:
    """What a finished command left: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line on standard error; anything else there is a failure of its own."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        return lines[0]


class Bot:
    """A running `dragoman run`: what it wrote, and its process."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, logs: Path) -> None:
        self.process = process
        self.folder = folder
        self._out, self._err = logs.with_suffix(".out"), logs.with_suffix(".err")

    @property
    def out(self) -> str:
        return self._out.read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        return self._err.read_text(encoding="utf-8")

    @property
    def url(self) -> str:
        """The address that the greeting prints."""
        return self.link.partition("/chat")[0]

    @property
    def link(self) -> str:
        """The link of the chat page that the greeting prints."""
        return self.printed("Chat")

    def printed(self, label: str) -> str:
        line = next(line for line in self.out.splitlines() if line.strip().startswith(label))
        return line.strip().removeprefix(label).strip()

    def greeted(self) -> bool:
        if self.process.poll() is not None:
            message = f"ended with {self.process.returncode}: {self.err}"
            raise RuntimeError(message)
        return "Connect" in self.out and self.out.endswith("\n")

    def stop(self, number: int = signal.SIGTERM, seconds: float = 25.0) -> int:
        """End it by a signal; returns the exit code. Raises `TimeoutExpired`."""
        self.process.send_signal(number)
        return self.process.wait(seconds)


class Command:
    """The command of one data folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "data"
        self.bots: list[Bot] = []

    def environ(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("DRAGOMAN_", "XDG_"))}
        return {**clean, "HOME": str(self.home), "DRAGOMAN_DATA": str(self.folder), **(extra or {})}

    @staticmethod
    def words(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "dragoman", *arguments]

    def __call__(self, *arguments: str, given: str = "", environ: Mapping[str, str] | None = None) -> Ended:
        """Run a command to its end."""
        done = subprocess.run(  # noqa: S603 - our own command
            self.words(*arguments),
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            env=self.environ(environ),
            cwd=self.home,
            check=False,
        )
        return Ended(code=done.returncode, out=done.stdout, err=done.stderr)

    def configure(self, text: str) -> Path:
        """Write the configuration of the data folder."""
        self.folder.mkdir(exist_ok=True)
        file = self.folder / "dragoman.toml"
        file.write_text(text, encoding="utf-8")
        return file

    def start(self, *arguments: str, environ: Mapping[str, str] | None = None) -> Bot:
        """Start `dragoman run` on a free port, and wait for its greeting."""
        logs = self.home / f"bot-{len(self.bots)}"
        given = arguments if "--port" in arguments else (*arguments, "--port", str(free_port()))
        with logs.with_suffix(".out").open("wb") as out, logs.with_suffix(".err").open("wb") as err:
            process = subprocess.Popen(  # noqa: S603 - our own command
                self.words("run", *given),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=self.environ(environ),
                cwd=self.home,
            )
        bot = Bot(process, self.folder, logs)
        self.bots.append(bot)
        until(bot.greeted)
        return bot

    def close(self) -> None:
        """End every process that still runs."""
        for bot in self.bots:
            if bot.process.poll() is None:
                bot.process.kill()
            bot.process.wait(10)


@pytest.fixture
def dragoman(tmp_path: Path) -> Iterator[Command]:
    with contextlib.closing(Command(tmp_path)) as command:
        yield command


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """Return the function that looks until something is seen."""
    return until
