"""Running the service: open everything, run the loops, stop in order."""

import asyncio
import contextlib
import dataclasses
import errno
import os
import secrets
import signal
import socket
import stat
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import uvicorn

from dragoman import telemetry
from dragoman.engine.plugin import Loaded
from dragoman.errors import ConfigError, PluginError
from dragoman.flow import tick
from dragoman.flow.account import Accounts
from dragoman.flow.client import Client
from dragoman.flow.context import Context, Limits
from dragoman.flow.deliver import deliver
from dragoman.flow.media import MediaStore
from dragoman.flow.transport.http import HttpTransport
from dragoman.flow.transport.local import Hub
from dragoman.flow.work import work
from dragoman.model import Secret
from dragoman.service.attend import Attendants
from dragoman.service.installation import Installation, load_accounts, load_plugins
from dragoman.store.sqlite import SqliteStore
from dragoman.web import app, control
from dragoman.web.guard import Guard
from dragoman.web.protocol import BoundedProtocol

Role = Literal["gateway", "engine", "connector"]
ROLES: Final[tuple[Role, ...]] = ("gateway", "engine", "connector")

log = telemetry.logger("service")


class SteadyClock:
    """Epoch seconds that never jump: the wall clock once, and from then on the monotonic clock."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def __call__(self) -> float:
        """Return the time in epoch seconds."""
        return self._offset + time.monotonic()


@dataclasses.dataclass(frozen=True, kw_only=True)
class House:
    """Everything that is open while the service runs."""

    context: Context
    hub: Hub
    media: MediaStore
    guard: Guard
    attendants: Attendants


@contextlib.asynccontextmanager
async def opened(installation: Installation) -> AsyncIterator[House]:
    """Open store, client, plugins and accounts, and close them in order."""
    settings = installation.settings
    installation.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    steady = SteadyClock()
    loaded = load_plugins(installation)
    load_accounts(installation, loaded)  # refuse a wrong configuration before anything is opened
    async with contextlib.AsyncExitStack() as stack:
        store = await SqliteStore.open(installation.database, steady)
        stack.push_async_callback(store.close)
        store.most_waiting = settings.most_waiting
        running = {name: await _enter(stack, installation, plugin) for name, plugin in loaded.items()}
        accounts = Accounts(load_accounts(installation, running), time.time)
        await accounts.recall(store)
        media, hub = MediaStore(installation.data / "media"), Hub()
        http = HttpTransport(media)
        stack.push_async_callback(http.close)
        context = Context(
            store=store,
            reader=store.reader,
            client=Client(http, hub, accounts, steady),
            accounts=accounts,
            clock=steady,
            stopping=asyncio.Event(),
            limits=Limits(turns=settings.turns, turn_seconds=settings.turn_seconds, sends=settings.sends),
        )
        attendants = Attendants(context, installation, running)
        yield House(context=context, hub=hub, media=media, guard=_guard(installation), attendants=attendants)


async def _enter(stack: contextlib.AsyncExitStack, installation: Installation, loaded: Loaded) -> Loaded:
    if loaded.plugin.life is None:
        return loaded
    life = loaded.plugin.life(loaded.settings)
    try:
        resource = await stack.enter_async_context(life)
    except PluginError as error:
        key = f"plugin.{loaded.name}"
        raise ConfigError(installation.document.where(key), key, str(error)) from error
    return dataclasses.replace(loaded, resource=resource)


def _guard(installation: Installation) -> Guard:
    settings = installation.settings
    public = urlsplit(settings.public_url).hostname
    return Guard(
        bound=settings.host,
        hosts=frozenset(settings.hosts) | ({public} if public else frozenset()),
        public=settings.public,
        reached=bool(settings.public_url or settings.chat_token),
        chat_token=settings.chat_token or Secret(secrets.token_urlsafe(24)),
        metrics_token=settings.metrics_token,
    )


class _Server(uvicorn.Server):
    """A uvicorn server that leaves the signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Leave the signals alone."""
        yield


def _server(application: Any) -> _Server:
    return _Server(
        uvicorn.Config(
            application,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            http=BoundedProtocol,
            ws="websockets-sansio",
            ws_max_size=65_536,
            ws_per_message_deflate=False,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=10,
        )
    )


def bind(host: str, port: int, key: str) -> socket.socket:
    """Bind a TCP socket; raises `ConfigError` when that is not possible."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        wrong = "host" if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL else key
        where, remedy = f"{host}:{port}", f"choose another --{wrong}"
        raise ConfigError(where, wrong, f"cannot listen there: {error.strerror}", remedy) from error
    listener.setblocking(False)  # noqa: FBT003 - the standard library has it so
    return listener


def bind_control(path: Path) -> socket.socket:
    """Bind the control socket, for its owner only; an old one that nobody listens on is replaced."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise ConfigError(
            str(path), "data", f"the control socket cannot be made: {error}", "choose a shorter --data"
        ) from error
    finally:
        os.umask(before)
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    listener.listen(64)
    listener.setblocking(False)  # noqa: FBT003 - the standard library has it so
    return listener


async def run(
    installation: Installation,
    *,
    announce: Callable[[House, str], None] | None,
    stop: asyncio.Event | None = None,
) -> None:
    """Run the service until SIGTERM, SIGINT or `stop`; without `announce` it listens on the control socket only."""
    stop = stop or asyncio.Event()
    settings = installation.settings
    async with contextlib.AsyncExitStack() as stack:
        house = await stack.enter_async_context(opened(installation))
        listeners: list[tuple[_Server, socket.socket]] = []
        if announce is not None:
            front = app.Front(
                context=house.context, hub=house.hub, guard=house.guard, unready=lambda: _unready(house.context)
            )
            listeners.append((_server(app.build(front)), bind(settings.host, settings.port, "port")))
            if settings.metrics_port:
                listeners.append(
                    (_server(app.metrics_only()), bind("127.0.0.1", settings.metrics_port, "metrics_port"))
                )
        listeners.append((_server(control.build(house.context, house.hub)), bind_control(installation.control)))
        stack.callback(installation.control.unlink, missing_ok=True)
        if announce is not None:
            _on_signals(stop, house.attendants.asked)
        await _loops(house, installation, listeners, announce, stop)


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
    listeners: list[tuple[_Server, socket.socket]],
    announce: Callable[[House, str], None] | None,
    stop: asyncio.Event,
) -> None:
    """Run every loop in one group; a loop that dies ends the service, and `stop` ends it in order."""
    context, retention = house.context, installation.settings.retention
    keep = tick.Keep(
        messages=retention.messages * tick.DAY, raw=retention.raw * tick.DAY, media=retention.media * tick.DAY
    )
    async with asyncio.TaskGroup() as group:
        servers = [group.create_task(server.serve(sockets=[sock])) for server, sock in listeners]
        line = [group.create_task(work(context)), group.create_task(deliver(context))]
        beside = [group.create_task(tick.tick(context, house.media, keep))]
        beside.append(group.create_task(house.attendants.run()))
        while not all(server.started for server, _ in listeners):  # noqa: ASYNC110 - uvicorn tells it by an attribute
            await asyncio.sleep(0.005)
        if announce is not None:
            announce(house, _address(listeners[0][1]))
        log.info("started", accounts=[account.name for account in context.accounts])
        await _until(stop, servers)
        await _stop(context, [server for server, _ in listeners], line, beside, installation.settings.linger)
    log.info("stopped")


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _until(stop: asyncio.Event, servers: list[asyncio.Task[None]]) -> None:
    waiting = asyncio.create_task(stop.wait())
    await asyncio.wait({waiting, *servers}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


async def _stop(
    context: Context,
    servers: list[_Server],
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
    _, late = await asyncio.wait(line, timeout=22.0 - linger)
    for task in late:
        task.cancel()


def main(work_: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine on uvloop."""
    import uvloop  # noqa: PLC0415 - commands that run no loop do not load it

    uvloop.run(work_)
