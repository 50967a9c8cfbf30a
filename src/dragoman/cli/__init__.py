"""The command line: one command, one module; what a command needs is imported when it runs."""

import os
import sys
from typing import NoReturn

import typer

from dragoman.errors import ConfigError, DragomanError

app = typer.Typer(
    name="dragoman",
    help="A self-hosted dialog bot for every chat platform: nothing lost, nothing answered twice.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def commands() -> typer.Typer:
    """Return the application with every command."""
    from dragoman.cli import (  # noqa: PLC0415 - they import us
        archive,
        backup,
        bench,
        broadcast,
        chat,
        config,
        conformance,
        doctor,
        health,
        install,
        mend,
        remind,
        run,
        store,
        tasks,
        user,
        version,
    )

    daily = (run, chat, doctor, health, tasks, broadcast, user, archive, config, mend)
    for module in (*daily, install, remind, store, backup, conformance, bench, version):
        module.register(app)
    return app


def main() -> NoReturn:
    """Run a command; what goes wrong is one line on standard error and a non-zero exit."""
    try:
        commands()()
    except ConfigError as error:
        fail(str(error), 2)
    except DragomanError as error:
        fail(str(error), 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    sys.exit(0)


def fail(reason: str, code: int = 1) -> NoReturn:
    """End with one line on standard error."""
    first = " ".join(reason.split())
    sys.stderr.write(f"dragoman: {first}\n")
    sys.exit(code)
