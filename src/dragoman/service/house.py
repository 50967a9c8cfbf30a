"""The house: everything that is open while the service runs, from the store to the accounts."""

import asyncio
import contextlib
import dataclasses
import secrets
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from typing import Final, Literal
from urllib.parse import urlsplit

from dragoman import telemetry
from dragoman.archive.backup.keep import Keeper
from dragoman.archive.bucket import Bucket
from dragoman.config import Settings
from dragoman.engine.plugin import Loaded
from dragoman.errors import ConfigError, PluginError
from dragoman.flow import pressure
from dragoman.flow.account import Accounts
from dragoman.flow.client import Client
from dragoman.flow.context import Context, Limits
from dragoman.flow.install import Installer
from dragoman.flow.media import MediaStore
from dragoman.flow.pace import Pacer
from dragoman.flow.task import Book
from dragoman.flow.tokens import Shelf, Tokens
from dragoman.flow.transport.http import HttpTransport
from dragoman.flow.transport.local import Hub
from dragoman.flow.transport.mail import MailTransport
from dragoman.flow.vault import Vault
from dragoman.model import Secret
from dragoman.service import backup
from dragoman.service.archive import open_archive
from dragoman.service.attend import Attendants
from dragoman.service.installation import Installation, load_accounts, load_plugins, load_tasks
from dragoman.service.stores import open_cache, open_store
from dragoman.service.tasks import HOUSE, references
from dragoman.service.traces import open_tracer
from dragoman.store.base import OpenStore, Shared, Store
from dragoman.store.disk import Disk
from dragoman.web.guard import Guard

log = telemetry.logger("service")

Role = Literal["gateway", "engine", "connector"]
ROLES: Final[tuple[Role, ...]] = ("gateway", "engine", "connector")


def steady_clock() -> Callable[[], float]:
    """Return a clock of epoch seconds that never jump: the wall clock once, and from then on the monotonic clock."""
    offset = time.time() - time.monotonic()
    return lambda: offset + time.monotonic()


class WallClock:
    """Epoch seconds as the wall shows them, for what people set a time for; a jump counts when it has lasted.

    A machine that slept wakes to another time; a clock that is set by mistake is often set back at once.
    """

    SLEW: Final = 1.0
    """Seconds that a clock may drift between two looks."""
    LASTED: Final = 10.0
    """Seconds after which a jump is believed."""

    def __init__(self, steady: Callable[[], float], wall: Callable[[], float] = time.time) -> None:
        self._steady = steady
        self._wall = wall
        self._ahead = 0.0
        self._jump = 0.0
        self._jumped_at: float | None = None

    def __call__(self) -> float:
        """Return the time in epoch seconds."""
        steady = self._steady()
        ahead = self._wall() - steady
        if abs(ahead - self._ahead) <= self.SLEW:
            self._ahead, self._jumped_at = ahead, None
        elif self._jumped_at is None or abs(ahead - self._jump) > self.SLEW:
            self._jump, self._jumped_at = ahead, steady
        elif steady - self._jumped_at >= self.LASTED:
            log.warning("clock.jumped", seconds=round(ahead - self._ahead, 1))
            self._ahead, self._jumped_at = ahead, None
        return steady + self._ahead


@dataclasses.dataclass(frozen=True, kw_only=True)
class House:
    """Everything that is open while the service runs."""

    context: Context
    hub: Hub
    media: MediaStore
    guard: Guard
    attendants: Attendants


@contextlib.asynccontextmanager
async def opened(installation: Installation, roles: Collection[Role] = ROLES) -> AsyncIterator[House]:
    """Open store, client, plugins and accounts, and close them in order."""
    settings = installation.settings
    installation.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    steady, disk = steady_clock(), Disk(installation.data)
    loaded, places = load_plugins(installation), backup.buckets(installation)
    tasks = load_tasks(installation, load_accounts(installation, loaded), loaded)  # refused before anything is opened
    async with contextlib.AsyncExitStack() as stack:
        store, keeper = await _store(stack, installation, steady, disk, places)
        caches = await open_cache(stack, installation, store)
        running = {name: await _enter(stack, installation, plugin) for name, plugin in loaded.items()}
        accounts = await _accounts(installation, running, store)
        media, hub = MediaStore(installation.data / "media", disk), _hub(store)
        http, mail = _transports(stack, media, settings)
        shelf = Shelf(store=store, vault=await _vault(installation, store), cache=caches.lookups)
        tokens = _tokens(stack, accounts, steady, shelf)
        refer = references(installation.document, installation.environ)
        tracer = await open_tracer(stack, installation, steady, store.owner, roles)
        client = Client(http, hub, accounts, steady, mail=mail, tokens=tokens, refer=refer, tracer=tracer)
        installer = await _installer(client, accounts, shelf, steady)
        context = Context(
            store=store,
            reader=store.reader,
            client=client,
            accounts=accounts,
            clock=steady,
            stopping=asyncio.Event(),
            limits=_limits(settings),
            installer=installer,
            replica=store.owner,
            pacer=Pacer(store if isinstance(store, Shared) else None, caches.buckets),
            plugins=tuple(running.values()),
            book=Book(tasks),
            keeper=keeper,
            tracer=tracer,
            archive=open_archive(installation),
            media=media,
        )
        attendants = Attendants(context, installation, running, listening="connector" in roles)
        yield House(context=context, hub=hub, media=media, guard=_guard(installation), attendants=attendants)


async def _store(
    stack: contextlib.AsyncExitStack,
    installation: Installation,
    steady: Callable[[], float],
    disk: Disk,
    places: Sequence[Bucket],
) -> tuple[OpenStore, Keeper | None]:
    """Open the store, and what keeps its copies."""
    store = await open_store(installation, steady, disk, WallClock(steady))
    keeper = backup.keeper(installation, store, places)
    stack.push_async_callback(backup.close, store, keeper)
    store.most_waiting = installation.settings.most_waiting
    return store, keeper


async def _accounts(installation: Installation, running: dict[str, Loaded], store: Store) -> Accounts:
    """Build the accounts, with what was learned of them."""
    accounts = Accounts(load_accounts(installation, running), time.time, HOUSE)
    await accounts.recall(store)
    return accounts


def _tokens(stack: contextlib.AsyncExitStack, accounts: Accounts, clock: Callable[[], float], shelf: Shelf) -> Tokens:
    tokens = Tokens(accounts, clock, shelf)
    stack.push_async_callback(tokens.close)
    return tokens


async def _installer(client: Client, accounts: Accounts, shelf: Shelf, clock: Callable[[], float]) -> Installer:
    installer = Installer(client, accounts, shelf, clock)
    await installer.recall()
    return installer


def _transports(
    stack: contextlib.AsyncExitStack, media: MediaStore, settings: Settings
) -> tuple[HttpTransport, MailTransport]:
    """Open what carries requests."""
    http, mail = HttpTransport(media, settings.private_hosts), MailTransport(media)
    stack.push_async_callback(http.close)
    stack.push_async_callback(mail.close)
    return http, mail


def _limits(settings: Settings) -> Limits:
    return Limits(
        turns=settings.turns,
        turn_seconds=settings.turn_seconds,
        sends=settings.sends,
        crowded=max(1, settings.most_waiting // pressure.CROWDED),
    )


def _hub(store: Store) -> Hub:
    """Join the people connected here with those connected to the other replicas."""
    hub = Hub()
    hub.tell = store.tell
    store.listen(hub.hear, hub.look_again)
    return hub


async def _vault(installation: Installation, store: Store) -> Vault:
    """Open the vault; raises `ConfigError` when the store's tokens are under another key."""
    settings, where = installation.settings, installation.document.where("encryption_key")
    vault = Vault(settings.encryption_key, installation.data, store, alone=not settings.store, where=where)
    await vault.check()
    return vault


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
