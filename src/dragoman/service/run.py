"""Running the service: open everything, run the loops, stop in order."""

import asyncio
import contextlib
import dataclasses
import signal
import socket
from collections.abc import Callable, Collection, Coroutine, Iterator
from typing import Any

from dragoman import telemetry
from dragoman.flow import certificate, tick
from dragoman.flow.broadcast import broadcast
from dragoman.flow.context import Context
from dragoman.flow.deliver import deliver
from dragoman.flow.fire import fire
from dragoman.flow.work import work
from dragoman.service import backup
from dragoman.service.archive import archive, erase_again
from dragoman.service.doors import Server, bind, bind_control, serving
from dragoman.service.house import ROLES, House, Role, opened
from dragoman.service.installation import Installation
from dragoman.web import app, control

log = telemetry.logger("service")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Doors:
    """What the service listens on; the first is the one that is announced."""

    servers: list[Server]
    sockets: list[socket.socket]


async def run(
    installation: Installation,
    *,
    announce: Callable[[House, str], None] | None,
    stop: asyncio.Event | None = None,
    roles: Collection[Role] = ROLES,
    held: bool = False,
) -> None:
    """Run the service until SIGTERM, SIGINT or `stop`; without `announce` it listens on the control socket only.

    `held`: take nothing in, work on nothing and send nothing; it can be looked at, and that is all.
    """
    stop, roles = stop or asyncio.Event(), () if held else roles
    async with contextlib.AsyncExitStack() as stack:
        house = await stack.enter_async_context(
            opened(backup.without(installation) if held else installation, roles),
        )
        await tick.appear(house.context, ",".join(roles))
        if roles:
            await house.attendants.schedule()
        doors = _doors(stack, house, installation, roles, public=announce is not None)
        if announce is not None:
            _on_signals(stop, house.attendants.asked)
        await _loops(house, installation, doors, announce, stop, roles)


def _doors(
    stack: contextlib.AsyncExitStack, house: House, installation: Installation, roles: Collection[Role], *, public: bool
) -> Doors:
    settings, doors = installation.settings, Doors(servers=[], sockets=[])

    def open_door(application: Any, listener: socket.socket, hooks: Context | None = None) -> None:
        doors.servers.append(serving(application, hooks))
        doors.sockets.append(listener)

    if public:
        front = app.Front(
            context=house.context,
            hub=house.hub,
            guard=house.guard,
            unready=lambda: _unready(house.context) if roles else "the service is held",
            public_url=settings.public_url,
        )
        gateway = "gateway" in roles
        application = app.build(front) if gateway else app.health_only(front)
        open_door(application, bind(settings.host, settings.port, "port"), house.context if gateway else None)
    if public and settings.metrics_port:
        open_door(app.metrics_only(), bind("127.0.0.1", settings.metrics_port, "metrics_port"))
    listener = bind_control(installation.control)
    if listener is not None:
        addresses = [_address(door) for door in doors.sockets]
        open_door(control.build(house.context, house.hub, addresses), listener)
        stack.callback(installation.control.unlink, missing_ok=True)
    return doors


def _unready(context: Context) -> str:
    return "the service is stopping" if context.stopping.is_set() else ""


def _on_signals(stop: asyncio.Event, read_again: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, read_again.set)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


async def _loops(
    house: House,
    installation: Installation,
    doors: Doors,
    announce: Callable[[House, str], None] | None,
    stop: asyncio.Event,
    roles: Collection[Role],
) -> None:
    """Run every loop of the roles in one group; a loop that dies ends the service, and `stop` ends it in order."""
    context = house.context
    async with asyncio.TaskGroup() as group:
        servers = [
            group.create_task(server.serve(sockets=[listener]))
            for server, listener in zip(doors.servers, doors.sockets, strict=True)
        ]
        beats = group.create_task(tick.beat(context, ",".join(roles)))
        beside = [group.create_task(house.attendants.run())] if roles else []
        line: list[asyncio.Task[None]] = []
        if "engine" in roles:
            line = [group.create_task(work(context)), group.create_task(deliver(context))]
            beside += [group.create_task(loop) for loop in _clockwork(house, installation)]
        while not all(server.started for server in doors.servers):  # noqa: ASYNC110 - uvicorn tells it by an attribute
            await asyncio.sleep(0.005)
        if announce is not None:
            announce(house, _address(doors.sockets[0]))
        log.info("started", roles=list(roles), accounts=[account.name for account in context.accounts])
        await _until(stop, servers)
        await _stop(context, doors.servers, line, beside, installation.settings.linger)
        await asyncio.wait(servers) if servers else None
        beats.cancel()
    log.info("stopped")


def _clockwork(house: House, installation: Installation) -> Iterator[Coroutine[Any, Any, None]]:
    """Give the engine's loops beside the line."""
    context, settings = house.context, installation.settings
    yield tick.tick(context, house.media, _keep(installation))
    yield fire(context)
    yield broadcast(context)
    yield erase_again(context)
    if context.archive.storage is not None:
        yield archive(context, context.archive.storage, settings.archive.days)
    if context.keeper is not None:
        yield backup.keep(context)
    yield certificate.watch(settings.public_url)


def _keep(installation: Installation) -> tick.Keep:
    retention = installation.settings.retention
    return tick.Keep(
        messages=retention.messages * tick.DAY, raw=retention.raw * tick.DAY, media=retention.media * tick.DAY
    )


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _until(stop: asyncio.Event, servers: list[asyncio.Task[None]]) -> None:
    waiting = asyncio.create_task(stop.wait())
    await asyncio.wait({waiting, *servers}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


async def _stop(
    context: Context,
    servers: list[Server],
    line: list[asyncio.Task[None]],
    beside: list[asyncio.Task[None]],
    linger: float,
) -> None:
    """Stop taking, finish what runs, then close the doors: all of it within 25 seconds.

    `linger`: seconds in which the doors stay open though we are not ready, so that load balancers notice.
    """
    log.info("stopping")
    context.stopping.set()
    for task in beside:
        task.cancel()
    await asyncio.sleep(linger)
    for server in servers:
        server.should_exit = True
    if line:
        _, late = await asyncio.wait(line, timeout=22.0 - linger)
        for task in late:
            task.cancel()


def main(work_: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine on uvloop."""
    import uvloop  # noqa: PLC0415 - commands that run no loop do not load it

    uvloop.run(work_)
