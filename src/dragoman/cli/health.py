"""`dragoman health`: ask the service at its own port whether it takes messages, as a container's health check does."""

import http.client
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from dragoman.cli import fail, options

if TYPE_CHECKING:
    from dragoman.config import Settings

PATIENCE: Final = 5.0
EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where a service that listens on all addresses is reached from its own machine."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(health)


def health(
    live: Annotated[bool, typer.Option("--live", help="Ask only whether it answers, not whether it is ready.")] = False,
    data: options.Data = None,
    config: options.Configuration = None,
) -> None:
    """Ask the running service whether it takes messages; non-zero when not, with the reason."""
    status, text = _asked(_settings(data, config), "/health/live" if live else "/health/ready")
    if status != http.client.OK:
        fail(text)
    print(text)


def _settings(data: str | None, config: str | None) -> "Settings":
    """Read the settings alone: a health check runs often, and must cost little."""
    from dragoman import config as settings  # noqa: PLC0415 - the command's own weight

    path = settings.find(config, os.environ, Path.cwd(), settings.data_folder(data, os.environ))
    return settings.build_settings(settings.read(path, os.environ, Path.cwd()), os.environ)


def _asked(settings: "Settings", path: str) -> tuple[int, str]:
    """Return the answer's status, and what it says in one word or in its reason."""
    host = EVERYWHERE.get(settings.host, settings.host)
    connection = http.client.HTTPConnection(host, settings.port, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        said = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        return 0, f"no answer at {host}:{settings.port}: {error}"
    finally:
        connection.close()
    return answer.status, str(said.get("reason") or said.get("status"))
