"""Options that several commands share."""

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from dragoman.service.installation import Installation

Data = Annotated[
    str | None, typer.Option("--data", help="Data folder (default: DRAGOMAN_DATA, or the user data folder).")
]
Configuration = Annotated[
    str | None,
    typer.Option("--config", help="Configuration (default: DRAGOMAN_CONFIG, ./dragoman.toml, the data folder's)."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def load(
    data: str | None, configuration: str | None, *, create: bool = False, bare: bool = False, **overrides: Any
) -> "Installation":
    """Read the installation that the options and the environment name; raises `ConfigError`.

    Where there is no configuration `create` writes the first one, and `bare` goes on with the environment alone.
    """
    from dragoman.service import installation  # noqa: PLC0415 - `--help` does not need it

    return installation.load(
        data=data, configuration=configuration, environ=os.environ, overrides=overrides, create=create, bare=bare
    )
