"""Who takes part: our service, the naive handler and slack-bolt, each as the command that starts it."""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.compare import workload
from benchmarks.compare.processes import Command, free_port

from dragoman.testing.process import configuration

ROOT: Final = Path(__file__).parents[2]
OTHERS: Final = ROOT / "build" / "bench" / "venv" / "bin" / "python"
"""Their own environment: `make bench` makes it from requirements/bench.txt."""
UNLIMITED: Final = 1_000_000.0
NAMES: Final = ("dragoman", "naive", "slack-bolt")
READY: Final[Mapping[str, str]] = {"dragoman": "/health/ready", "naive": "/none", "slack-bolt": "/none"}
"""Where a contestant answers a GET as soon as it takes messages."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setup:
    """What is different about ours in some measure; the others have nothing to set."""

    store: str = ""
    """A PostgreSQL database, on which ours is a gateway and an engine; empty: one process on one SQLite file."""
    accounts: int = 1
    plugins: Sequence[str] = ("echo",)
    tables: str = ""
    """More tables of the configuration."""
    most_waiting: int = 0
    """Messages that may wait; 0: as usual."""
    engines: int = 1
    """Engines on PostgreSQL."""


PLAIN: Final = Setup()
"""The embedded default."""


def commands(name: str, folder: Path, port: int, base: str, setup: Setup) -> Sequence[Command]:
    """Return the commands of a contestant."""
    if name == "dragoman":
        return _ours(folder, port, base, setup)
    module = "naive" if name == "naive" else "bolt"
    options = ["--host", "127.0.0.1", "--port", str(port), "--loop", "uvloop", "--http", "httptools"]
    quiet = ["--no-access-log", "--log-level", "warning", "--app-dir", str(Path(__file__).parent)]
    environ = {
        "SLACK_SIGNING_SECRET": workload.SIGNING_SECRET,
        "SLACK_BOT_TOKEN": workload.BOT_TOKEN,
        "SLACK_API_BASE": base,
    }
    arguments = [str(OTHERS), "-m", "uvicorn", f"{module}:app", *options, *quiet]
    return [Command(arguments=arguments, environ=environ)]


def account(base: str) -> dict[str, object]:
    """Return the settings of the account: Slack's own limits are lifted, to measure the bot and not the platform."""
    return {
        "platform": "slack",
        "signing_secret": workload.SIGNING_SECRET,
        "bot_token": workload.BOT_TOKEN,
        "bot_user_id": workload.BOT,
        "bot_id": workload.BOT_ID,
        "api_base": base,
        "sends_per_second": UNLIMITED,
        "messages_per_minute": 0,
    }


def _ours(folder: Path, port: int, base: str, setup: Setup) -> Sequence[Command]:
    settings: dict[str, object] = {"plugins": setup.plugins}
    settings |= {name: value for name in ("store", "most_waiting") if (value := getattr(setup, name))}
    accounts = {workload.account(number): account(base) for number in range(setup.accounts)}
    config = folder / "dragoman.toml"
    config.write_text(configuration(accounts, **settings) + setup.tables, encoding="utf-8")
    run = [sys.executable, "-m", "dragoman", "run", "--data", str(folder), "--config", str(config)]
    if not setup.store:
        return [Command(arguments=[*run, "--port", str(port)])]
    return [
        Command(arguments=[*run, "--role", "gateway", "--port", str(port)]),
        *(Command(arguments=[*run, "--role", "engine", "--port", str(free_port())]) for _ in range(setup.engines)),
    ]
