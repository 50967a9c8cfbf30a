"""Attending to accounts: learn who each is, listen where its platform does not call us, and follow changes.

The configuration is read again every 30 seconds and on SIGHUP, so that a rotated secret counts at once
and a removed one no longer. A changed account gets a new adapter; its old listener has ended before the
new one begins, so that there are never two connections.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from dragoman import telemetry
from dragoman.adapter import Adapter, Mode
from dragoman.engine.plugin import Loaded
from dragoman.errors import ConfigError, DragomanError, StoreError
from dragoman.flow.account import Account
from dragoman.flow.context import Context
from dragoman.flow.listen import listen
from dragoman.flow.own import own
from dragoman.flow.sockets import hold
from dragoman.flow.task import Task
from dragoman.flow.tasks import follow, realign
from dragoman.service.installation import Installation, load_accounts, load_tasks, reread
from dragoman.service.tasks import references

READ_AGAIN: Final = 30.0
"""Seconds between two readings of the configuration."""
PROBE_AGAIN: Final = 60.0
"""Seconds until an account whose platform did not answer is probed again."""
FIRST_PROBE: Final = 5.0
"""Seconds that listening waits for the first probe: it tells the bot's own name."""

LISTENERS: Final[Mapping[Mode, Callable[[Context, Account], Awaitable[None]]]] = {"poll": listen, "socket": hold}
"""What listens for an account, by its mode."""

log = telemetry.logger("accounts")


class Attendants:
    """One task for each account that needs one; they follow the configuration."""

    def __init__(
        self, context: Context, installation: Installation, plugins: Mapping[str, Loaded], *, listening: bool
    ) -> None:
        """`listening`: whether this process has the role `connector`."""
        self._listening = listening
        self._context = context
        self._installation = installation
        self._plugins = plugins
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._followed: Mapping[str, Task] | None = None
        """The recurring tasks that the timers follow, none before the first time."""
        self.asked = asyncio.Event()
        """Set it to read the configuration now."""

    async def run(self) -> None:
        """Attend until cancelled."""
        try:
            for account in self._context.accounts:
                self._begin(account)
            while True:
                await self._wait()
                await self.follow()
                await self._context.installer.recall()
        finally:
            await asyncio.gather(*(self._end(name) for name in list(self._tasks)))

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(READ_AGAIN):
                await self.asked.wait()
        except TimeoutError:
            return
        self.asked.clear()

    async def follow(self) -> None:
        """Take over what has changed; a configuration that has become wrong changes nothing."""
        try:
            installation = await asyncio.to_thread(reread, self._installation)
            found = {account.name: account for account in load_accounts(installation, self._plugins)}
            tasks = load_tasks(installation, found.values(), self._plugins)
        except ConfigError as error:
            log.error("configuration.refused", reason=str(error))
            return
        before = {account.name: account for account in self._context.accounts}
        for name in before.keys() | found.keys():
            if before.get(name) == found.get(name):
                continue
            self._followed = None  # an account names its conversations, and timers are bound to them
            await self._end(name)
            self._context.accounts.replace(name, found.get(name))
            await self._context.client.forget(name)
            await self._context.store.resume(name)
            log.info("account.changed", account=name, there=name in found)
            if name in found:
                self._begin(found[name])
        self._context.client.refer = references(installation.document, installation.environ)
        await self._schedule(tasks)

    async def schedule(self) -> None:
        """Let the timers follow the tasks that the service starts with."""
        await self._schedule(self._context.book.tasks)

    async def _schedule(self, tasks: Mapping[str, Task]) -> None:
        """Let the timers follow the tasks once, and their rules each time; a store that is away is asked later."""
        try:
            if tasks != self._followed:
                await follow(self._context, tasks)
            await realign(self._context)
        except StoreError as away:
            log.error("tasks.failed", reason=str(away))
        else:
            self._followed = tasks

    def _begin(self, account: Account) -> None:
        self._tasks[account.name] = asyncio.create_task(attend(self._context, account, listening=self._listening))

    async def _end(self, name: str) -> None:
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def attend(context: Context, account: Account, *, listening: bool) -> None:
    """Learn who an account is, and listen for it if its platform does not call us."""
    probing = asyncio.create_task(_probe(context, account))
    try:
        listener = LISTENERS.get(account.adapter.mode())
        if listening and listener:
            await asyncio.wait({probing}, timeout=FIRST_PROBE)
            await own(context, account, listener)
        await probing
    finally:
        probing.cancel()


async def _probe(context: Context, account: Account) -> None:
    """Ask the platform who we are until it answers; what is missing goes to the log, with the remedy."""
    if type(account.adapter).probe is Adapter.probe or account.adapter.oauth():  # an installation tells who we are
        return
    while True:
        try:
            known = context.accounts.known(account)
            probe = await context.client.perform(account, account.adapter.probe(known))
        except DragomanError as error:
            log.warning("probe.failed", account=account.name, reason=str(error))
        except Exception as error:  # noqa: BLE001 - the outer loop: an adapter's bug must not end the attending
            log.error("probe.broke", account=account.name, error=telemetry.where(error))
        else:
            for problem in probe.problems:
                log.warning("probe.problem", account=account.name, problem=problem)
            if probe.me.id:
                await context.accounts.learn(context.store, account, probe.me)
                return
        await asyncio.sleep(PROBE_AGAIN)
