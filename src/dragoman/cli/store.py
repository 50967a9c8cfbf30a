"""`dragoman store copy`: move everything from one database to another."""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from dragoman.cli import options

if TYPE_CHECKING:
    from dragoman.store.copying import Watch

commands = typer.Typer(help="Move the store between SQLite and PostgreSQL.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands, name="store")


@commands.callback()
def store() -> None:
    """Move the store between SQLite and PostgreSQL."""


PLACE = "a SQLite file, a data folder, a postgresql:// URL, or env:NAME or file:PATH where that stands"


@commands.command()
def copy(
    origin: Annotated[str, typer.Argument(help=f"The store to read: {PLACE}.", metavar="FROM")],
    goal: Annotated[str, typer.Argument(help=f"Where an empty store is to be filled: {PLACE}.", metavar="TO")],
    as_json: options.AsJson = False,
) -> None:
    """Copy everything from one store to another, while no service runs on either, and compare both.

    Killed or failed, the same command goes on where it stopped.
    """
    from dragoman.store import copying  # noqa: PLC0415 - the command's own weight
    from dragoman.store.copying import place  # noqa: PLC0415 - the command's own weight

    source, target = place.read("FROM", origin, os.environ), place.read("TO", goal, os.environ)
    begun = time.monotonic()
    with _watching(quiet=as_json) as watch:
        copied = asyncio.run(copying.copy(source, target, watch))
    seconds = time.monotonic() - begun
    if as_json:
        tables = {name: {"rows": rows, "checksum": checksum} for name, (rows, checksum) in copied.tables.items()}
        report = {"from": source.name, "to": target.name, "rows": copied.rows, "resumed": copied.resumed}
        print(json.dumps({**report, "seconds": round(seconds, 3), "tables": tables}, ensure_ascii=False))
        return
    before = f" ({copied.resumed:,} were there already)" if copied.resumed else ""
    print(f"{copied.rows:,} rows{before} are in {target.name}, the same as in {source.name}: {seconds:.1f} s.")


@contextlib.contextmanager
def _watching(*, quiet: bool) -> "Iterator[Watch]":
    """Show the progress: a bar on a terminal, else a line for each table, or nothing."""
    if not sys.stderr.isatty():
        yield _silent if quiet else _line
        return
    from rich.console import Console  # noqa: PLC0415 - only where there is a terminal
    from rich.progress import MofNCompleteColumn, Progress, TaskID  # noqa: PLC0415 - only where there is a terminal

    tasks: dict[str, TaskID] = {}
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=Console(stderr=True)) as bar:

        def show(what: str, table: str, done: int, total: int) -> None:
            name = f"{what} {table}"
            if name not in tasks:
                tasks[name] = bar.add_task(name)
            bar.update(tasks[name], completed=done if total else 1, total=total or 1)

        yield show


def _line(what: str, table: str, done: int, total: int) -> None:
    if done >= total:
        print(f"{what:<8} {table:<13} {done:>10,} rows", flush=True)


def _silent(what: str, table: str, done: int, total: int) -> None:
    """With `--json`, the result is all that is printed."""
