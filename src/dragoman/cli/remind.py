"""`dragoman remind parse`: how a phrase about a time is understood."""

import datetime as dt
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from dragoman.cli import fail, options

if TYPE_CHECKING:
    from dragoman.when.names import Language
    from dragoman.when.spec import Reading

LOCALTIME: Final = Path("/etc/localtime")
EARLIEST: Final = 1900
LATEST: Final = 3000


commands = typer.Typer(help="Reminders in words.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands, name="remind")


@commands.callback()
def remind() -> None:
    """Reminders in words."""


@commands.command()
def parse(
    text: Annotated[str, typer.Argument(help='What a user would write, such as "tomorrow at 3pm call mum".')],
    now: Annotated[
        str | None, typer.Option("--now", help="The time at which it is said, as ISO 8601 (default: the clock's).")
    ] = None,
    zone: Annotated[
        str | None, typer.Option("--tz", help="The user's time zone, such as Europe/Berlin (default: this machine's).")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Show how a phrase about a time is understood."""
    from dragoman.when import words  # noqa: PLC0415 - `--help` does not need it

    place = _zone(zone or _zone_of_machine())
    moment = _moment(now, place)
    reading = words.read(text, moment, place)
    if as_json:
        keys = ("understood", "what", "at", "every", "ask")
        print(json.dumps({key: getattr(reading, key) for key in keys}, ensure_ascii=False))
        return
    if reading.ask:
        print(f"ask:   {reading.ask}")
        raise typer.Exit(1)
    if reading.at is None:
        fail("no time is named there, or more than one; try `tomorrow at 3pm call mum`")
    _print(reading, reading.at, moment, words.language(text))


def _print(reading: "Reading", first: str, now: dt.datetime, language: "Language") -> None:
    """Print a reading in two or three lines."""
    from dragoman.when.describe import describe  # noqa: PLC0415 - with the rest
    from dragoman.when.render import render  # noqa: PLC0415 - with the rest

    when = render(dt.datetime.fromisoformat(first), now, now.tzinfo or dt.UTC, language)
    print(f"when:  {when} ({first})")
    if reading.every:
        print(f"every: {describe(reading.every, language)} ({reading.every})")
    print(f"what:  {reading.what or '-'}")


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        fail(f"--tz: there is no time zone {name!r}; names are such as Europe/Berlin, Asia/Shanghai, UTC", 2)


def _zone_of_machine() -> str:
    """Return the machine's time zone: from TZ, or from where its local time points; UTC when neither tells."""
    name = os.environ.get("TZ", "").removeprefix(":")
    if not name and LOCALTIME.is_symlink():
        name = str(LOCALTIME.resolve()).rpartition("zoneinfo/")[2]
    try:
        return ZoneInfo(name).key if name else "UTC"
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return "UTC"


def _moment(text: str | None, zone: ZoneInfo) -> dt.datetime:
    """Read --now; a time without an offset is the zone's."""
    if text is None:
        return dt.datetime.now(zone)
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        fail(f"--now: {text!r} is no ISO 8601 time, such as 2026-11-27T14:00:00+01:00", 2)
    if not EARLIEST <= moment.year <= LATEST:
        fail(f"--now: {text!r} is not between the years {EARLIEST} and {LATEST}", 2)
    return moment.astimezone(zone) if moment.tzinfo else moment.replace(tzinfo=zone)
