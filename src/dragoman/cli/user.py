"""`dragoman user`: what is kept of a person, as the law lets them ask for it: export, erase, and hold."""

import datetime as dt
import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from dragoman.cli import fail, mend, options

commands = typer.Typer(help="Export, erase or hold what is kept of a person.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands, name="user")


Who = Annotated[
    str,
    typer.Argument(help="The person, as `dragoman user find` prints it, or a message of theirs (e12).", metavar="ID"),
]


@commands.command()
def find(
    text: Annotated[str, typer.Argument(help="The sender's id on the platform, or a part of their name.")],
    data: options.Data = None,
    config: options.Configuration = None,
    as_json: options.AsJson = False,
) -> None:
    """Find people: their ID, name and platform, and when they were last heard of."""
    rows = mend.ask(data, config, "user-find", text=text)
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    if not rows:
        fail(f"nobody is known by {text!r}")
    for row in rows:
        print(f"{row['person']:<40} {row['platform']:<10} {_time(row['at'])}  {row['name']}")


@commands.command()
def export(
    who: Who,
    to: Annotated[Path | None, typer.Option(help="The file to write (default: standard output).")] = None,
    data: options.Data = None,
    config: options.Configuration = None,
) -> None:
    """Write all that is kept of a person as one JSON file, with a word on each part."""
    whole = _ask(data, config, "user-export", person=who)
    text = json.dumps(whole, ensure_ascii=False, indent=2) + "\n"
    if to is None:
        print(text, end="")
        return
    try:
        with os.fdopen(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        fail(f"{to} cannot be written: {error.strerror}")
    print(f"{len(whole['messages'])} messages and {len(whole['replies'])} replies of {whole['person']} are in {to}.")


@commands.command()
def erase(
    who: Who,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data: options.Data = None,
    config: options.Configuration = None,
) -> None:
    """Erase a person from the store and the archive, for good."""
    if not yes and not typer.confirm(f"Erase all that is kept of {who}, for good?"):
        fail("nothing was erased")
    gone = _ask(data, config, "user-erase", person=who)
    counts = f"{gone['events']} messages and other events, {gone['files']} files of the archive"
    print(f"{gone['person']} is erased: {counts}.")


@commands.command()
def hold(
    who: Who,
    reason: Annotated[str, typer.Option(help="Why nothing may be deleted; shown to whoever tries.")],
    data: options.Data = None,
    config: options.Configuration = None,
) -> None:
    """Let nothing of a person be deleted: no erasure, and no end of retention."""
    held = _ask(data, config, "user-hold", person=who, reason=reason)
    print(f"{held['person']} is held: {reason}")


@commands.command()
def release(who: Who, data: options.Data = None, config: options.Configuration = None) -> None:
    """End a hold."""
    answer = _ask(data, config, "user-release", person=who)
    if not answer["held"]:
        fail(f"{answer['person']} is not held")
    print(f"{answer['person']} is not held any more.")


@commands.command()
def holds(data: options.Data = None, config: options.Configuration = None, as_json: options.AsJson = False) -> None:
    """List those who are held, with the reason."""
    rows = mend.ask(data, config, "user-holds")
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    if not rows:
        print("Nobody is held.")
    for row in rows:
        print(f"{row['person']:<40} {_time(row['at'])}  {row['reason']}")


def _ask(data: str | None, config: str | None, question: str, **query: str) -> Any:
    """Ask, and end with the reason when it is refused."""
    answer = mend.ask(data, config, question, **query)
    if "error" in answer:
        fail(answer["error"])
    return answer["answer"]


def _time(at: float) -> str:
    return f"{dt.datetime.fromtimestamp(at, dt.UTC):%Y-%m-%d %H:%M:%S UTC}"
