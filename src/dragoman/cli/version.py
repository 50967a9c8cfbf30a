"""`dragoman version`: which release this is."""

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(version)


def version() -> None:
    """Print the release and what it runs on."""
    import platform  # noqa: PLC0415 - the command's own weight

    import apsw  # noqa: PLC0415 - the command's own weight

    from dragoman import __version__  # noqa: PLC0415 - the command's own weight

    print(f"dragoman {__version__}, Python {platform.python_version()}, SQLite {apsw.sqlite_lib_version()}")
