"""`dragoman broadcast`: one message to many, at once or at a time, and what became of it."""

import asyncio
import datetime as dt
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from dragoman.cli import addressees, broadcasting, fail, mend, options
from dragoman.cli.asking import asking
from dragoman.errors import ConfigError

if TYPE_CHECKING:
    from dragoman.service.installation import Installation

commands = typer.Typer(help="Send one message to many, and see what became of it.", no_args_is_help=True)

Number = Annotated[int, typer.Argument(help="A number that `dragoman broadcast list` shows.", metavar="ID", min=1)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands, name="broadcast")


@commands.callback()
def broadcast() -> None:
    """Send one message to many, and see what became of it."""


@commands.command()
def send(
    text: Annotated[str, typer.Argument(help="What to say, with {name} or {name|there}.", metavar="[TEXT]")] = "",
    *,
    message: Annotated[str, typer.Option(help="Read what to say from a file (-: standard input).")] = "",
    to: Annotated[list[str] | None, typer.Option(help="A recipient: ACCOUNT/CHANNEL. Repeatable.")] = None,
    recipients: Annotated[
        list[str] | None, typer.Option(help="A file with a recipient a line, or JSON lines (-: standard input).")
    ] = None,
    segment: Annotated[
        str, typer.Option(help="Those who wrote to us: account=team,chat_kind=direct,active_within=30d,locale=zh.")
    ] = "",
    button: Annotated[list[str] | None, typer.Option(help="LABEL=VALUE, or LABEL=https://... Repeatable.")] = None,
    at: Annotated[str, typer.Option(help="When to begin, such as 2026-12-24T09:00 (default: now).")] = "",
    zone: Annotated[str, typer.Option(help="The time zone of --at, such as Asia/Shanghai.")] = "",
    name: Annotated[str, typer.Option(help="A name for the list of broadcasts.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the recipients.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for its end.")] = False,
    data: options.Data = None,
    config: options.Configuration = None,
    as_json: options.AsJson = False,
) -> None:
    """Send a message to recipients that are named, or to a segment of those who wrote to us; each gets it once."""
    if message == "-" and "-" in (recipients or ()):
        raise ConfigError("--message", "-", "and --recipients - cannot both read standard input")
    wish = broadcasting.Wish(
        text=text or _read(message),
        name=name,
        buttons=[_button(each) for each in button or ()],
        start_at=_moment(at, zone),
        named=addressees.read(to or (), recipients or ()),
        segment=segment,
    )
    detached = detach or as_json or not sys.stdout.isatty()
    asyncio.run(_send(options.load(data, config), wish, dry_run=dry_run, detached=detached, as_json=as_json))


async def _send(
    installation: "Installation", wish: broadcasting.Wish, *, dry_run: bool, detached: bool, as_json: bool
) -> None:
    async with asking(installation) as ask:
        if dry_run:
            broadcasting.tell_count(await broadcasting.count(ask, wish), as_json=as_json)
            return
        report = await broadcasting.begin(ask, wish)
        broadcasting.tell_begun(report, as_json=as_json, alone=ask.alone)
        if not detached and not ask.alone:
            await broadcasting.watch(ask, report["broadcast"]["id"])


@commands.command(name="list")
def listed(
    limit: Annotated[int, typer.Option(help="Broadcasts to show, newest first.", min=1, max=1000)] = 20,
    data: options.Data = None,
    config: options.Configuration = None,
    as_json: options.AsJson = False,
) -> None:
    """List the broadcasts, newest first."""
    reports = mend.ask(data, config, "broadcast-list", limit=str(limit))
    if as_json:
        print(json.dumps(reports, ensure_ascii=False))
        return
    if not reports:
        print("There is no broadcast.")
    for report in reports:
        print(broadcasting.line(report))


@commands.command()
def show(
    number: Number,
    failed: Annotated[bool, typer.Option("--failed", help="List whom it could not reach, and why.")] = False,
    unknown: Annotated[bool, typer.Option("--unknown", help="List of whom it is not known.")] = False,
    skipped: Annotated[bool, typer.Option("--skipped", help="List who was left out, and why.")] = False,
    data: options.Data = None,
    config: options.Configuration = None,
    as_json: options.AsJson = False,
) -> None:
    """Show how far a broadcast is; with a state, its recipients in that state."""
    states = [state for state, wanted in (("failed", failed), ("unknown", unknown), ("skipped", skipped)) if wanted]
    installation = options.load(data, config)

    async def go() -> None:
        async with asking(installation) as ask:
            report = await ask("broadcast-show", id=str(number))
            if report is None:
                fail(f"there is no broadcast {number}; see `dragoman broadcast list`")
            rows = await broadcasting.in_states(ask, number, states) if states else []
            broadcasting.tell(report, rows, as_json=as_json)

    asyncio.run(go())


@commands.command()
def pause(number: Number, data: options.Data = None, config: options.Configuration = None) -> None:
    """Let a broadcast rest: what is not being sent just now waits."""
    _change(number, "paused", data, config)


@commands.command()
def resume(number: Number, data: options.Data = None, config: options.Configuration = None) -> None:
    """Let a paused broadcast go on."""
    _change(number, "running", data, config)


@commands.command()
def abort(number: Number, data: options.Data = None, config: options.Configuration = None) -> None:
    """End a broadcast: what is not being sent just now never is."""
    _change(number, "aborted", data, config)


def _change(number: int, wanted: str, data: str | None, config: str | None) -> None:
    answer = mend.ask(data, config, "broadcast-change", id=str(number), wanted=wanted)
    if answer is None:
        fail(f"there is no broadcast {number}; see `dragoman broadcast list`")
    if not answer["changed"]:
        fail(f"broadcast {number} is {answer['broadcast']['state']}: it cannot be {wanted}")
    print(broadcasting.line(answer))


@commands.command()
def watch(number: Number, data: options.Data = None, config: options.Configuration = None) -> None:
    """Watch a broadcast until its end."""
    installation = options.load(data, config)

    async def go() -> None:
        async with asking(installation) as ask:
            await broadcasting.watch(ask, number)

    asyncio.run(go())


def _read(file: str) -> str:
    if not file:
        raise ConfigError("TEXT", "", "there is nothing to say", "give a text, or --message FILE")
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no UTF-8 text"
        raise ConfigError(file, "", f"cannot be read: {reason}") from error
    if not text.strip():
        raise ConfigError(file, "", "is empty: there is nothing to say")
    return text.strip()


def _button(text: str) -> dict[str, str]:
    label, _, value = (part.strip() for part in text.partition("="))
    if not label or not value:
        raise ConfigError("--button", text, "is not LABEL=VALUE")
    return {"text": label, "url" if value.startswith(("https://", "http://")) else "value": value}


def _moment(text: str, zone: str) -> float:
    """Read `--at` in its zone as epoch seconds; 0 is now."""
    if not text:
        return 0.0
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError("--at", text, "is no time such as 2026-12-24T09:00") from error
    if zone and moment.tzinfo is None:
        try:
            moment = moment.replace(tzinfo=ZoneInfo(zone))
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ConfigError("--zone", zone, "is no time zone such as Asia/Shanghai") from error
    if moment.tzinfo is None:
        raise ConfigError("--at", text, "needs its time zone", "end it with +08:00, or give --zone Asia/Shanghai")
    if moment <= dt.datetime.now(dt.UTC):
        raise ConfigError("--at", text, "is over")
    return moment.timestamp()
