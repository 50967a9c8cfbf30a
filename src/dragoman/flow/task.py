"""A recurring task of the operator: its settings, what is wrong with them, and the timers that it becomes.

The configuration and the command line describe a task in the same words, and both are checked here.
"""

import dataclasses
import datetime as dt
import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal
from urllib.parse import SplitResult, parse_qsl, quote, urlsplit
from zoneinfo import ZoneInfo, available_timezones

import msgspec
from pydantic import PlainValidator, WithJsonSchema

from dragoman import config
from dragoman.config import Document
from dragoman.engine.plugin import Loaded, parameters
from dragoman.engine.turn import TIMER, Calling
from dragoman.errors import ConfigError, Unreachable
from dragoman.flow.account import INSIDE, Account
from dragoman.flow.client import Refer, referred
from dragoman.model import Address, Event, Missed, Overlap, Sender, Timer, setting
from dragoman.text import templates
from dragoman.when import moment, rhythm, zones
from dragoman.wire import Http

PLACEHOLDERS: Final = ("task", *moment.NAMES)
"""What a template of a task may name."""
ACTIONS: Final = ("say", "ask", "run", "call")
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
MONDAY: Final = dt.datetime(2024, 1, 1)  # noqa: DTZ001 - midnight on the wall, of each zone
"""What an interval counts from when nothing else is said: every replica comes to the same times."""
LONGEST: Final = 31 * 86400
"""Seconds of a grace or a jitter, at most."""

_DURATION: Final = re.compile(r"([0-9]{1,7})([smhdw])")
_SECRET: Final = re.compile(r"authorization|cookie|key|token|secret|password|signature", re.IGNORECASE)
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")

Problem = tuple[str, str, str]
"""The setting that is wrong, the reason, and the remedy (or nothing)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """A place to speak in."""

    account: str
    channel: str
    workspace: str = ""
    thread: str = ""

    def __str__(self) -> str:
        parts = (self.account, self.workspace, self.channel, self.thread)
        return "/".join(part for part in parts if part)


def read_target(value: Any) -> Target:
    """Read a place: `ACCOUNT/CHANNEL`, or a table; raises `ValueError`."""
    if isinstance(value, Target):
        return value
    if isinstance(value, str):
        account, _, channel = value.partition("/")
        value = {"account": account, "channel": channel}
    names = {field.name for field in dataclasses.fields(Target)}
    if isinstance(value, dict) and (unknown := sorted(value.keys() - names)):
        raise ValueError(f"{unknown[0]} is not a setting of a place ({config.nearest(unknown[0], names)})")
    texts = isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
    if not texts or not value.get("account") or not value.get("channel"):
        raise ValueError('a place is "ACCOUNT/CHANNEL", or a table with account, channel, workspace and thread')
    return Target(**value)


_PLACE_SCHEMA: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "string", "pattern": "^[^/]+/.+$"},
        {
            "type": "object",
            "properties": {field.name: {"type": "string"} for field in dataclasses.fields(Target)},
            "required": ["account", "channel"],
            "additionalProperties": False,
        },
    ]
}
Place = Annotated[Target, PlainValidator(read_target), WithJsonSchema(_PLACE_SCHEMA)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """What is to happen, when, and where; one of `say`, `ask`, `run` and `call`."""

    every: str = setting("A cron expression of five fields, or an interval such as 90m, 2h, 1d or 2w.", default="")
    at: str = setting(
        "Once, at this local time (2026-12-01 09:00); with an interval in `every`: its first time.", default=""
    )
    zone: str = setting("The IANA time zone in which times are read.", default="UTC")
    to: tuple[Place, ...] = setting(
        "Where to speak: a list of ACCOUNT/CHANNEL, or of tables with account, channel, workspace, thread.", default=()
    )
    say: str = setting("A text to send; {task}, {date}, {time}, {weekday}, {week} and {due} are filled in.", default="")
    ask: str = setting("A question to the model (plugin llm), whose answer is sent; the same is filled in.", default="")
    run: str = setting("A handler of a plugin to run, as PLUGIN.HANDLER.", default="")
    run_with: dict[str, Any] | None = setting("Arguments of that handler, by name.", default=None)
    call: str = setting("The URL of a webhook to call, or where it stands (env:NAME, file:PATH).", default="")
    method: Method = setting("How it is called.", default="POST")
    headers: dict[str, str] | None = setting(
        "Headers of the call; the last word may be a reference: `Bearer env:NAME`.", default=None
    )
    body: str = setting("Body of the call, a template (empty: the task and the time as JSON).", default="")
    missed: Missed = setting("What becomes of times that were missed: none, the last or all of them.", default="once")
    grace: str = setting("How late a missed time is still made up for.", default="15m")
    overlap: Overlap = setting(
        "What becomes of a time that comes while the turn of the last one is not over.", default="skip"
    )
    jitter: str = setting("Come up to so much later, by a share that differs from time to time.", default="0s")


class Book:
    """The tasks that the configuration has, by name; the service replaces them when it is read again."""

    def __init__(self, tasks: Mapping[str, Task] | None = None) -> None:
        self.tasks: Mapping[str, Task] = tasks or {}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a task is checked against: the accounts and plugins that there are, and how references are read."""

    account: Callable[[str], Account | None]
    accounts: Sequence[str]
    off: frozenset[str] = frozenset()
    """Accounts that are switched off: tasks do not come there."""
    plugins: Sequence[Loaded]
    refer: Refer


def read(document: Document, name: str, environ: Mapping[str, str], around: Surroundings) -> Task:
    """Read and check the table `[tasks.NAME]`; raises `ConfigError`."""
    task = config.build(document, f"tasks.{name}", Task, environ)
    check(name, task, around, document.where)
    return task


def check(name: str, task: Task, around: Surroundings, where: Callable[[str], str]) -> None:
    """Refuse a task in which something is wrong; `where` names what set a key. Raises `ConfigError`."""
    key = f"tasks.{name}"
    if not config.NAME.fullmatch(name):
        raise ConfigError(where(key), key, "a name has lower-case letters, digits, - and _ only")
    for field, reason, hint in problems(task, around):
        full = f"{key}.{field}" if field else key
        raise ConfigError(where(full), full, reason, hint)


def problems(task: Task, around: Surroundings) -> Iterator[Problem]:
    """Find what is wrong with a task."""
    yield from _when(task)
    yield from _durations(task)
    yield from _what(task)
    yield from _where(task, around)
    yield from _webhook(task, around.refer)
    yield from _handler(task, around.plugins)


def _when(task: Task) -> Iterator[Problem]:
    if not _known(task.zone):
        close = difflib.get_close_matches(task.zone, available_timezones(), 1, 0.5)
        yield "zone", f"there is no time zone {task.zone!r}", f"did you mean {close[0]}?" if close else "Europe/Berlin"
    if not task.every and not task.at:
        yield "", "has no rule", 'set every = "0 9 * * 1-5", every = "90m", or at = "2026-12-01 09:00"'
    if task.every:
        try:
            rhythm.check(task.every)
        except ValueError as error:
            yield "every", str(error), ""
    if task.at:
        try:
            _local(task.at)
        except ValueError:
            yield "at", f"{task.at!r} is not a time", "write 2026-12-01 09:00"
    if task.at and " " in task.every.strip():
        yield "at", "goes with an interval, and a cron expression names its times by itself", "take one of them out"


def _durations(task: Task) -> Iterator[Problem]:
    for field in ("grace", "jitter"):
        try:
            long = seconds(getattr(task, field)) > LONGEST
        except ValueError as error:
            yield field, str(error), ""
        else:
            if long:
                yield field, "is at most 31 days", ""


def _what(task: Task) -> Iterator[Problem]:
    given = [action for action in ACTIONS if getattr(task, action)]
    if not given:
        yield "", "has nothing to do", f"set one of {', '.join(ACTIONS)}"
    if len(given) > 1:
        yield given[1], f"stands beside {given[0]}, and a task does one thing", "make two tasks of it"
    if task.run_with and not task.run:
        yield "run_with", "is for run", ""
    for field in ("say", "ask", "body"):
        try:
            templates.check(getattr(task, field), PLACEHOLDERS)
        except ValueError as error:
            yield field, str(error), ""


def _where(task: Task, around: Surroundings) -> Iterator[Problem]:
    if not task.to and (task.say or task.ask):
        yield "to", "is required and missing", 'name where to speak: to = ["ACCOUNT/CHANNEL"]'
    if task.to and task.call:
        yield "to", "is no setting of a call: nothing is said there", "take it out"
    if len(set(task.to)) < len(task.to):
        yield "to", "names a place twice", ""
    for target in task.to:
        if target.account not in around.off:
            yield from _target(target, task, around)


def _target(target: Target, task: Task, around: Surroundings) -> Iterator[Problem]:
    account = around.account(target.account)
    if account is None or account.name == INSIDE:
        yield "to", f"there is no account {target.account!r}", config.nearest(target.account, around.accounts)
    elif "say" not in account.adapter.capabilities.actions:
        yield "to", f"{account.platform} cannot say anything", ""
    elif (task.say or task.ask) and (reason := _unreachable(account, target)):
        yield "to", reason, ""


def _unreachable(account: Account, target: Target) -> str:
    """Say why nobody can be spoken to at a place without having asked; empty when they can."""
    try:
        account.adapter.unasked(_address(target))
    except Unreachable as error:
        return str(error)
    return ""


def _webhook(task: Task, refer: Refer) -> Iterator[Problem]:
    if not task.call:
        extra = next((field for field in ("headers", "body") if getattr(task, field)), "")
        if extra or task.method != "POST":
            yield extra or "method", "is for call", ""
        return
    yield from _headers(task.headers or {})
    try:
        url = urlsplit(referred(Http(url=task.call, headers=task.headers or {}), refer).url)
    except (ConfigError, ValueError) as error:
        yield "call", error.reason if isinstance(error, ConfigError) else "is no URL", ""
        return
    if url.scheme not in {"https", "http"} or not url.hostname:
        yield "call", "should begin with https:// or http://", ""
    elif task.call == url.geturl() and _holds_secret(url):
        yield "call", "holds what looks like a secret, and a task is kept in the store", "write env:NAME"


def _headers(headers: Mapping[str, str]) -> Iterator[Problem]:
    for name, value in headers.items():
        if not _HEADER.fullmatch(name) or not value.isprintable():
            yield "headers", f"{name!r} is no header", ""
        elif _SECRET.search(name) and not re.search(r"(^| )(env|file):\S+$", value):
            yield "headers", f"{name} looks like a secret, and a task is kept in the store", "write env:NAME"


def _holds_secret(url: SplitResult) -> bool:
    """Tell whether an address has a user, or a parameter whose name says that it is secret."""
    return "@" in url.netloc or any(_SECRET.search(name) for name, _ in parse_qsl(url.query, keep_blank_values=True))


def _handler(task: Task, plugins: Sequence[Loaded]) -> Iterator[Problem]:
    """Check the handler that a task is for, and its arguments."""
    field = next((action for action in ACTIONS if getattr(task, action)), "")
    if not field:
        return
    calling = calling_of(task)
    if task.run and not (calling.plugin and calling.handler):
        yield "run", "should be PLUGIN.HANDLER", ""
        return
    loaded = next((each for each in plugins if each.name == calling.plugin), None)
    if loaded is None:
        remedy = f"put it into plugins, or give it a table [plugin.{calling.plugin}], and start again"
        yield field, f"the plugin {calling.plugin} is not loaded", remedy
        return
    handler = loaded.plugin.handler(calling.handler)
    if handler is None:
        names = [route.name for route in loaded.plugin.routes]
        yield field, f"{loaded.name} has no handler {calling.handler!r}", config.nearest(calling.handler, names)
        return
    wanted = {parameter.name: parameter for parameter in parameters(handler)}
    if unknown := sorted(calling.bound.keys() - wanted):
        yield "run_with", f"{task.run} takes no {unknown[0]}", config.nearest(unknown[0], wanted) if wanted else ""
    missing = [name for name, each in wanted.items() if each.default is each.empty and name not in calling.bound]
    if missing:
        yield "run_with", f"{task.run} needs {missing[0]}", ""


def calling_of(task: Task) -> Calling:
    """Name the handler that does what a task wants, with its arguments."""
    if task.run:
        plugin, _, handler = task.run.rpartition(".")
        return Calling(plugin=plugin, handler=handler, bound=msgspec.to_builtins(task.run_with or {}))
    if task.ask:
        return Calling(plugin="llm", handler="ask", bound={"question": task.ask, "zone": task.zone})
    if task.say:
        return Calling(plugin="tasks", handler="say", bound={"text": task.say, "zone": task.zone})
    request = {"url": task.call, "method": task.method, "headers": task.headers or {}, "body": task.body}
    return Calling(plugin="tasks", handler="call", bound={**request, "zone": task.zone})


def timers(
    name: str, task: Task, account: Callable[[str], Account | None], source: Literal["file", "command"]
) -> Iterator[Timer]:
    """Make a task's timers, one for each place; their next time is yet to be found."""
    anchor = first_at(task)
    for place in task.to or (Target(account=INSIDE, channel=name),):
        there = account(place.account)
        if there is not None:
            yield Timer(
                name=timer_name(name, place),
                at=anchor,
                event=_event(task, place, there),
                every=task.every,
                zone=task.zone,
                anchor=anchor,
                title=name,
                task=name,
                source=source,
                missed=task.missed,
                grace=seconds(task.grace),
                overlap=task.overlap,
                jitter=seconds(task.jitter),
            )


def timer_name(task: str, place: Target) -> str:
    """Name the timer of a task at a place: `task/NAME/ACCOUNT/[WORKSPACE:]CHANNEL[/THREAD]`."""
    workspace = f"{quote(place.workspace, safe='')}:" if place.workspace else ""
    thread = f"/{quote(place.thread, safe='')}" if place.thread else ""
    return f"task/{task}/{place.account}/{workspace}{quote(place.channel, safe='')}{thread}"


def _address(place: Target) -> Address:
    return Address(account=place.account, workspace=place.workspace, channel=place.channel, thread=place.thread)


def _event(task: Task, place: Target, account: Account) -> Event:
    return Event(
        key="",  # each fire has its own
        kind=TIMER,
        account=account.name,
        platform=account.platform,
        conversation=account.adapter.place(place.channel, workspace=place.workspace, thread=place.thread),
        address=_address(place),
        sender=Sender(id=""),
        value=msgspec.to_builtins(calling_of(task)),
    )


def next_at(timer: Timer, now: float) -> float | None:
    """Return when a timer is due next, strictly after `now`; None when it never is."""
    if timer.every:
        return rhythm.after(timer.every, now, timer.zone, timer.anchor)
    return timer.anchor if timer.anchor > now else None


def first_at(task: Task) -> float:
    """Return what a task counts from: its own time, or midnight of a Monday in its zone."""
    local = _local(task.at) if task.at else MONDAY
    return (local if local.tzinfo else zones.resolve(local, ZoneInfo(task.zone))).timestamp()


def seconds(text: str) -> float:
    """Read a duration such as `30s`, `15m` or `2h`; raises `ValueError`."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no duration such as 30s, 15m or 2h")
    return float(int(found[1]) * rhythm.SECONDS[found[2]])


def _local(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def _known(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (LookupError, ValueError, OSError):  # OSError: it names a folder of zones
        return False
    return True
