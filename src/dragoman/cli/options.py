"""Options that several commands share."""

import os
from typing import Annotated, Any

import typer

from dragoman.service import installation

Data = Annotated[
    str | None, typer.Option("--data", help="Data folder (default: DRAGOMAN_DATA, or the user data folder).")
]
Configuration = Annotated[
    str | None,
    typer.Option("--config", help="Configuration (default: DRAGOMAN_CONFIG, ./dragoman.toml, the data folder's)."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def load(data: str | None, configuration: str | None, **overrides: Any) -> installation.Installation:
    """Read the installation that the options and the environment name; raises `ConfigError`."""
    return installation.load(data=data, configuration=configuration, environ=os.environ, overrides=overrides)
