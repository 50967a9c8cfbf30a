"""`dragoman trace`, `parked` and `redrive`: see what became of a message, and put parked work back."""

import asyncio
import datetime as dt
import json
from typing import Annotated, Any

import typer

from dragoman.cli import fail, options
from dragoman.cli.asking import asking


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(trace)
    app.command()(parked)
    app.command()(redrive)


Name = Annotated[str, typer.Argument(help="An id such as e12 or d7, or the message's own key.", metavar="ID")]


def trace(
    name: Name, data: options.Data = None, config: options.Configuration = None, as_json: options.AsJson = False
) -> None:
    """Show the six stages of one message, with times and outcomes."""
    found = ask(data, config, "trace", id=name)
    if found is None:
        fail(f"there is no message {name}")
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    print(f"{found['id']}  {found['kind']}  {found['account']}  {found['conversation']}  key {found['key']}")
    print(f"status {found['status']}, repeated {found['duplicates']} times, trace {found['trace_id']}")
    for stage in found["stages"]:
        print(f"  {stage['name']:<13} {_time(stage.get('at')):<26} {stage['outcome']}")


def parked(
    limit: Annotated[int, typer.Option(help="Rows to show, newest first.", min=1, max=10_000)] = 100,
    data: options.Data = None,
    config: options.Configuration = None,
    as_json: options.AsJson = False,
) -> None:
    """List what was set aside, with the reason."""
    rows = ask(data, config, "parked", limit=str(limit))
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    if not rows:
        print("Nothing is parked.")
    for row in rows:
        print(f"{row['id']:<8} {row['kind']:<9} {_time(row['at'])}  {row['account']:<12} {row['reason']}")


def redrive(
    name: Annotated[str, typer.Argument(help="An id that `dragoman parked` shows.", metavar="ID")],
    data: options.Data = None,
    config: options.Configuration = None,
) -> None:
    """Put something parked back to work."""
    answer = ask(data, config, "redrive", id=name)
    if answer is None:
        fail(f"nothing is parked under {name}; see `dragoman parked`")
    if "error" in answer:
        fail(f"{name}: {answer['error']}")
    print(f"{name} ({answer['kind']}) is back in line.")


def _time(at: float | None) -> str:
    if at is None:
        return "-"
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="milliseconds")


def ask(data: str | None, config: str | None, question: str, **query: str) -> Any:
    """Ask the running service, or open the store when none runs."""
    installation = options.load(data, config)

    async def once() -> Any:
        async with asking(installation) as put:
            return await put(question, **query)

    return asyncio.run(once())
