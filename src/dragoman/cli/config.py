"""`dragoman config`: show the effective settings, print the schema."""

import json

import typer

from dragoman.cli import options

commands = typer.Typer(help="Show the effective settings, or print the JSON Schema.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands, name="config")


@commands.command()
def show(data: options.Data = None, config: options.Configuration = None) -> None:
    """Print the effective settings as JSON, with secrets hidden."""
    from dragoman.service import installation  # noqa: PLC0415 - the command's own weight

    found = options.load(data, config)
    loaded = installation.load_plugins(found)
    accounts = installation.load_accounts(found, loaded)
    print(json.dumps(installation.effective(found, accounts, loaded), indent=2, ensure_ascii=False))


@commands.command()
def schema() -> None:
    """Print the JSON Schema of dragoman.toml."""
    from dragoman.service import installation  # noqa: PLC0415 - the command's own weight

    print(json.dumps(installation.schema(), indent=2, ensure_ascii=False))
