"""`dragoman tasks`: the recurring tasks, what they did, and what is to become of them."""

import datetime as dt
import json
import secrets
from collections.abc import Iterable
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from dragoman.cli import fail, mend, options

commands = typer.Typer(help="Show and steer the recurring tasks.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands, name="tasks")


Name = Annotated[str, typer.Argument(help="The task's name.", metavar="NAME")]


@commands.command("list")
def list_(data: options.Data = None, config: options.Configuration = None, as_json: options.AsJson = False) -> None:
    """List the tasks: the rule, when each comes next (in its zone), when it came last, and its state."""
    rows = mend.ask(data, config, "tasks-list")
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    if not rows:
        print("There are no tasks.")
    for row in rows:
        when = f"next {_time(row, 'next_at')}  last {_time(row, 'last_at')}"
        print(f"{row['name']:<16} {row['state']:<7} {when}  {row['rule']} ({row['zone']})")


@commands.command()
def show(
    name: Name, data: options.Data = None, config: options.Configuration = None, as_json: options.AsJson = False
) -> None:
    """Show a task whole, with its last fires and what became of them."""
    found = _ask(data, config, "tasks-show", name=name)
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    row = found["row"]
    print(f"{name}: {row['does']}, {row['rule']} ({row['every'] or 'once'}, {row['zone']}), of the {row['source']}")
    print(f"state {row['state']}, next {_time(row, 'next_at')}, last {_time(row, 'last_at')}")
    print(f"fired {row.get('fired', 0)} times, missed {row.get('missed', 0)}")
    print(f"missed = {found['missed']} within {found['grace']:g} s, overlap = {found['overlap']}, ", end="")
    print(f"jitter up to {found['jitter']:g} s")
    for place in row["to"]:
        print(f"to {place}")
    for key, value in ((key, value) for key, value in found["arguments"].items() if value):
        print(f"  {key} = {json.dumps(value, ensure_ascii=False)}")
    for fire in found.get("fires", []):
        late = fire["accepted"] - fire["due"]
        print(f"{fire['id']:<7} {_in(fire['due'], row['zone'])}, {late:.1f} s late  {fire['place']}  {fire['outcome']}")
        for outcome in fire.get("delivered", []):
            print(f"        {outcome}")


@commands.command()
def add(
    name: Name,
    *,
    every: Annotated[str, typer.Option(help="A cron expression, or an interval such as 90m.")] = "",
    at: Annotated[str, typer.Option(help="Once, at this local time; or an interval's first time.")] = "",
    zone: Annotated[str, typer.Option(help="The IANA time zone of the times.")] = "UTC",
    to: Annotated[list[str] | None, typer.Option(help="ACCOUNT/CHANNEL, or a table as JSON; may repeat.")] = None,
    say: Annotated[str, typer.Option(help="A text to send.")] = "",
    ask: Annotated[str, typer.Option(help="A question to the model, whose answer is sent.")] = "",
    run: Annotated[str, typer.Option(help="A plugin's handler to run: PLUGIN.HANDLER.")] = "",
    run_with: Annotated[str, typer.Option(help="Its arguments, as a JSON object.")] = "",
    call: Annotated[str, typer.Option(help="The URL of a webhook, or where it stands (env:NAME).")] = "",
    method: Annotated[str, typer.Option(help="How the webhook is called.")] = "POST",
    header: Annotated[list[str] | None, typer.Option(help="NAME: VALUE; the last word may be env:NAME.")] = None,
    body: Annotated[str, typer.Option(help="The call's body, a template.")] = "",
    missed: Annotated[str, typer.Option(help="skip, once or all.")] = "once",
    grace: Annotated[str, typer.Option(help="How late a missed time is made up for.")] = "15m",
    overlap: Annotated[str, typer.Option(help="skip or queue.")] = "skip",
    jitter: Annotated[str, typer.Option(help="Come up to so much later.")] = "0s",
    data: options.Data = None,
    config: options.Configuration = None,
) -> None:
    """Add a task that is not in the configuration."""
    places = [_json(place, "--to") if place.startswith("{") else place for place in to or ()]
    arguments = _json(run_with, "--run-with") if run_with else {}
    actions = {"say": say, "ask": ask, "run": run, "run_with": arguments, "call": call}
    webhook = {"method": method, "headers": _headers(header or ()), "body": body}
    rest = {"missed": missed, "grace": grace, "overlap": overlap, "jitter": jitter}
    table = {"every": every, "at": at, "zone": zone, "to": places, **actions, **webhook, **rest}
    given = json.dumps({key: value for key, value in table.items() if value}, ensure_ascii=False)
    row = _ask(data, config, "tasks-add", name=name, task=given)
    print(f"{name} comes {row['rule']}, next {_time(row, 'next_at')}.")


@commands.command()
def run(name: Name, data: options.Data = None, config: options.Configuration = None) -> None:
    """Let a task come now, once, beside its rule."""
    places = _ask(data, config, "tasks-run", name=name, command=secrets.token_hex(8))
    print(f"{name} comes now" + (f", at {places} places." if places > 1 else "."))


@commands.command()
def pause(name: Name, data: options.Data = None, config: options.Configuration = None) -> None:
    """Let a task rest; what it misses is not made up for."""
    _ask(data, config, "tasks-pause", name=name)
    print(f"{name} rests.")


@commands.command()
def resume(name: Name, data: options.Data = None, config: options.Configuration = None) -> None:
    """Let a task come again, from its next time on."""
    row = _ask(data, config, "tasks-resume", name=name)
    print(f"{name} comes again, next {_time(row, 'next_at')}.")


@commands.command()
def cancel(name: Name, data: options.Data = None, config: options.Configuration = None) -> None:
    """Take a task away that a command added."""
    _ask(data, config, "tasks-cancel", name=name)
    print(f"{name} is gone.")


def _ask(data: str | None, config: str | None, question: str, **query: str) -> Any:
    """Ask, and end with the reason when it is refused."""
    answer = mend.ask(data, config, question, **query)
    if "error" in answer:
        fail(answer["error"])
    return answer["answer"]


def _headers(given: Iterable[str]) -> dict[str, str]:
    return {key.strip(): value.strip() for key, _, value in (each.partition(":") for each in given)}


def _json(text: str, option: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        fail(f"{option}: {text!r} is not JSON", 2)


def _time(row: dict[str, Any], key: str) -> str:
    at = row.get(key)
    return "-" if at is None else _in(at, row["zone"])


def _in(at: float, zone: str) -> str:
    """Write a time in a zone, or in UTC when this machine does not know that zone."""
    try:
        place: dt.tzinfo = ZoneInfo(zone)
    except (ValueError, LookupError, OSError):
        place = dt.UTC
    return f"{dt.datetime.fromtimestamp(at, place):%Y-%m-%d %H:%M:%S %Z}"
