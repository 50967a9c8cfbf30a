"""The operator's recurring tasks: what can be asked of them, by the command line and by whatever comes after it.

A task is kept as timers, one for each of its places. Those of the configuration follow it; those that a command added
stay until a command takes them away.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from dragoman import config, telemetry
from dragoman.config import Document
from dragoman.engine.turn import Calling
from dragoman.errors import TaskRefused
from dragoman.flow.account import INSIDE
from dragoman.flow.context import Context
from dragoman.flow.task import Surroundings, Task, check, next_at, timers
from dragoman.model import Address, Missed, Overlap, Timer, Value
from dragoman.store.base import Trace
from dragoman.store.stored import ready_at
from dragoman.store.timers import Firing, Standing
from dragoman.when.describe import describe

FIRES: Final = 5
"""Fires of each place that are shown."""
CLOSE: Final = 1.0
"""Seconds: what is so close to its rule is there, and what is so close to now may be firing."""
COMMAND: Final = "dragoman tasks add"
DOES: Final = {("tasks", "say"): "say", ("llm", "ask"): "ask", ("tasks", "call"): "call"}
"""What the handlers of the other actions are called."""

State = Literal["active", "paused", "over", "new"]
"""`over`: it will not come again; `new`: it is in the configuration, and no service has run with it yet."""

log = telemetry.logger("tasks")


class Row(Value):
    """A task in one line. Times are epoch seconds; `next_at` is that of the place that comes first."""

    name: str
    source: Literal["file", "command"]
    rule: str
    """In plain words."""
    every: str
    zone: str
    does: str
    """`say`, `ask`, `call`, or the handler that runs."""
    to: tuple[str, ...]
    state: State
    next_at: float | None = None
    last_at: float | None = None
    fired: int = 0
    missed: int = 0


class Fire(Value):
    """One fire of a task, and what became of its turn."""

    id: str
    """What `dragoman trace` takes."""
    place: str
    due: float
    accepted: float
    outcome: str
    status: str
    delivered: tuple[str, ...] = ()


class Detail(Value):
    """All that is known of a task."""

    row: Row
    plugin: str
    handler: str
    arguments: dict[str, object]
    missed: Missed
    grace: float
    overlap: Overlap
    jitter: float
    fires: tuple[Fire, ...] = ()
    """The newest first."""


def surroundings(context: Context) -> Surroundings:
    """Say what a task is checked against in this service."""
    return Surroundings(
        account=context.accounts.get,
        accounts=[account.name for account in context.accounts],
        plugins=context.plugins,
        refer=context.client.refer,
    )


async def listed(context: Context) -> Sequence[Row]:
    """List all tasks by name."""
    kept = _by_task(await context.store.timers.of_tasks())
    known = {name: _timers(context, name, kept.get(name, ())) for name in kept.keys() | context.book.tasks.keys()}
    return [_row(context, known[name], kept.get(name, ())) for name in sorted(known) if known[name]]


async def shown(context: Context, name: str) -> Detail:
    """Tell all about one task; raises `TaskRefused` when there is none."""
    standings = await context.store.timers.of_tasks(name)
    known = _timers(context, name, standings)
    if not known:
        raise _unknown(name)
    timer, calling = known[0], msgspec.convert(known[0].event.value, Calling)
    fires = [fire for each in known for fire in await _fires(context, each)]
    return Detail(
        row=_row(context, known, standings),
        plugin=calling.plugin,
        handler=calling.handler,
        arguments=calling.bound,
        missed=timer.missed,
        grace=timer.grace,
        overlap=timer.overlap,
        jitter=timer.jitter,
        fires=tuple(sorted(fires, key=lambda fire: -fire.accepted)),
    )


def described(name: str, table: Mapping[str, object]) -> Task:
    """Read a task that is described as the configuration does; raises `ConfigError`."""
    document = Document(tables={"tasks": {name: dict(table)}}, sources={}, source=COMMAND, folder=Path())
    return config.build(document, f"tasks.{name}", Task, {})


async def add(context: Context, name: str, task: Task) -> Row:
    """Add a task; raises `ConfigError` for what is wrong with it, `TaskRefused` when its name is taken."""
    if name in context.book.tasks:
        raise TaskRefused(f"the configuration has a task {name}: change it there, or take another name")
    if await context.store.timers.of_tasks(name):
        raise TaskRefused(f"there is a task {name}: cancel it first, or take another name")
    check(name, task, surroundings(context), lambda _key: COMMAND)
    wanted = _due(timers(name, task, context.accounts.get, "command"), context.store.timers.time())
    if not wanted:
        raise TaskRefused(f"tasks.{name}.at: {task.at} has passed" if task.at else f"tasks.{name}: it never comes")
    await context.store.timers.set(wanted)
    return _row(context, wanted, await context.store.timers.of_tasks(name))


async def run(context: Context, name: str, command: str) -> int:
    """Let a task come now, beside its rule, once for each `command`; returns at how many places."""
    known = _timers(context, name, await context.store.timers.of_tasks(name))
    if not known:
        raise _unknown(name)
    now = context.store.timers.time()
    await context.store.timers.set([_at_once(timer, now, command) for timer in known])
    return len(known)


async def pause(context: Context, name: str) -> None:
    """Let a task rest; raises `TaskRefused` when there is none that could come."""
    standings = await _standing(context, name)
    await context.store.timers.pause([standing.timer.name for standing in standings])


async def resume(context: Context, name: str) -> Row:
    """Let a task come again, from its next time on; raises `TaskRefused`."""
    standings = await _standing(context, name)
    resting = [standing.timer for standing in standings if standing.paused]
    wanted = _due(resting, context.store.timers.time())
    if resting and not wanted:
        raise TaskRefused(f"the time of {name} has passed: run it now, or cancel it")
    await context.store.timers.set(wanted)
    known = [standing.timer for standing in standings]
    return _row(context, known, await context.store.timers.of_tasks(name))


async def cancel(context: Context, name: str) -> None:
    """Take a task away; raises `TaskRefused` when there is none, or when it is the configuration's."""
    if name in context.book.tasks:
        raise TaskRefused(f"the configuration has the task {name}: take it out there, or pause it")
    standings = await _standing(context, name)
    await context.store.timers.cancel([standing.timer.name for standing in standings])


async def follow(context: Context, tasks: Mapping[str, Task]) -> None:
    """Let the timers be what the configuration says; a task that has not changed keeps time, counts and pause.

    Replicas with the same configuration come to the same times, so that it does not matter which of them is first.
    """
    kept = {standing.timer.name: standing for standing in await context.store.timers.of_tasks()}
    account = context.accounts.get
    wanted = {timer.name: timer for name, task in tasks.items() for timer in timers(name, task, account, "file")}
    new = [timer for name, timer in wanted.items() if name not in kept or not _same(kept[name].timer, timer)]
    due = _due(new, context.store.timers.time())
    over = {timer.name for timer in new} - {timer.name for timer in due}
    ours = {name for name, standing in kept.items() if standing.timer.source == "file" or standing.timer.task in tasks}
    gone = (ours - wanted.keys()) | (over & kept.keys())
    resting = {task for task, standings in _by_task(kept.values()).items() if _all_paused(standings)}
    await _change(context, due, gone, [timer.name for timer in due if timer.task in resting])
    context.book.tasks = tasks


async def realign(context: Context) -> None:
    """Bring tasks back to the next time of their rules, where the clock was ahead, or a zone's data has changed.

    A time that has had its fire does not get another: a fire is named by its time.
    """
    now = context.store.timers.time()
    moves = [move for standing in await context.store.timers.of_tasks() if (move := _realigned(standing, now))]
    if moves:
        await context.store.timers.fire(moves)
        log.warning("tasks.realigned", timers=[move.name for move in moves])


def _realigned(standing: Standing, now: float) -> Firing | None:
    """Move a timer to where its rule has it, without a fire; None when it is there, or due."""
    timer = standing.timer
    if standing.paused or not timer.every or timer.at <= now:
        return None
    try:
        at = next_at(timer, now)
    except (ValueError, LookupError, OSError, ArithmeticError) as error:
        log.error("timer.unreadable", timer=timer.name, reason=str(error))
        return None
    if at is None or abs(at - timer.at) < CLOSE or at - now < CLOSE:
        return None
    moved = msgspec.structs.replace(timer, at=at)
    return Firing(name=timer.name, at=timer.at, next_at=at, ready_at=ready_at(moved))


async def _change(context: Context, due: Sequence[Timer], gone: Collection[str], resting: Collection[str]) -> None:
    """Take timers away and set others, some of which go on resting."""
    if gone:
        await context.store.timers.cancel(gone)
        log.info("tasks.gone", timers=sorted(gone))
    if due:
        await context.store.timers.set(due, resting)
        log.info("tasks.set", timers=[timer.name for timer in due])


def _same(kept: Timer, wanted: Timer) -> bool:
    """Tell whether two timers differ in their next time only."""
    return msgspec.json.encode(msgspec.structs.replace(kept, at=wanted.at)) == msgspec.json.encode(wanted)


def _due(known: Iterable[Timer], now: float) -> list[Timer]:
    """Return timers with their next time after now, without those that have none."""
    return [msgspec.structs.replace(timer, at=at) for timer in known if (at := next_at(timer, now)) is not None]


def _at_once(timer: Timer, now: float, command: str) -> Timer:
    """Make the timer that comes now, once, beside that of a task; it survives a stop of up to a day.

    Its event is named by the command: who got no answer asks again, and it does not come twice.
    """
    name = f"{timer.name}!{command}"
    event = msgspec.structs.replace(timer.event, key=name)
    return msgspec.structs.replace(
        timer, name=name, at=now, event=event, every="", anchor=now, task="", missed="once", grace=86_400.0, jitter=0.0
    )


def _by_task(standings: Iterable[Standing]) -> dict[str, list[Standing]]:
    found: dict[str, list[Standing]] = {}
    for standing in standings:
        found.setdefault(standing.timer.task, []).append(standing)
    return found


def _timers(context: Context, name: str, standings: Iterable[Standing]) -> list[Timer]:
    """Return a task's timers: as they are kept, or as the configuration has them when none are."""
    task = context.book.tasks.get(name)
    kept = [standing.timer for standing in standings]
    return kept or (list(timers(name, task, context.accounts.get, "file")) if task else [])


async def _standing(context: Context, name: str) -> Sequence[Standing]:
    standings = await context.store.timers.of_tasks(name)
    if not standings and name in context.book.tasks:
        raise TaskRefused(f"the task {name} does not come any more, or no service has run with it yet")
    if not standings:
        raise _unknown(name)
    return standings


def _unknown(name: str) -> TaskRefused:
    return TaskRefused(f"there is no task {name}; see `dragoman tasks list`")


def _row(context: Context, known: Sequence[Timer], standings: Sequence[Standing]) -> Row:
    """Tell a task in one line, by its timers as they are known and as they stand."""
    timer, calling = known[0], msgspec.convert(known[0].event.value, Calling)
    lasts = [standing.last_at for standing in standings if standing.last_at is not None]
    return Row(
        name=timer.task,
        source="file" if timer.source == "file" else "command",
        rule=describe(timer.every, "en") if timer.every else "once",
        every=timer.every,
        zone=timer.zone,
        does=DOES.get((calling.plugin, calling.handler), f"run {calling.plugin}.{calling.handler}"),
        to=tuple(place for each in known if (place := _place(each.event.address))),
        state=_state(standings, timer, context.store.timers.time()),
        next_at=min((standing.timer.at for standing in standings if not standing.paused), default=None),
        last_at=max(lasts, default=None),
        fired=sum(standing.fired for standing in standings),
        missed=sum(standing.missed for standing in standings),
    )


def _state(standings: Sequence[Standing], timer: Timer, now: float) -> State:
    if not standings:
        return "over" if next_at(timer, now) is None else "new"
    return "paused" if _all_paused(standings) else "active"


def _all_paused(standings: Iterable[Standing]) -> bool:
    return all(standing.paused for standing in standings)


def _place(address: Address) -> str:
    """Write a place for people; empty where there is none."""
    parts = (address.account, address.workspace, address.channel, address.thread)
    return "" if address.account == INSIDE else "/".join(part for part in parts if part)


async def _fires(context: Context, timer: Timer) -> list[Fire]:
    numbers = await context.reader.fires(timer.name, timer.event.conversation, FIRES)
    traces = [await context.reader.trace(f"e{number}") for number in numbers]
    return [_fire(trace, _place(timer.event.address)) for trace in traces if trace is not None]


def _fire(trace: Trace, place: str) -> Fire:
    stages = {stage.name: stage for stage in trace.stages}
    accepted = stages["receive"].at or 0.0
    due = trace.key.rpartition("@")[2] if "@" in trace.key else accepted  # a command's fires are due as they come
    sent = [stage.outcome for stage in trace.stages if stage.name == "deliver" and stage.at is not None]
    return Fire(
        id=trace.id,
        place=place,
        due=float(due),
        accepted=accepted,
        outcome=stages["route"].outcome,
        status=trace.status,
        delivered=tuple(sent),
    )
