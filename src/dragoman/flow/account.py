"""The accounts of this installation, as the line sees them: an immutable snapshot and what was learned."""

import dataclasses
import functools
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import msgspec

from dragoman.adapter import Adapter, Known, Me, Rate
from dragoman.engine.plugin import Loaded
from dragoman.engine.route import Policy
from dragoman.store.base import Store

MOST_SLOTS: Final = 200
"""Sends of one window of an account's own limit: a window is a second, or shorter where more fit into one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Account:
    """One bot identity on one platform: how it speaks, its manners, and who answers for it."""

    name: str
    adapter: Adapter
    policy: Policy
    plugins: tuple[Loaded, ...] = ()
    sends_per_second: float | None = None
    messages_per_minute: int = 0
    """Messages of one sender that are answered in a minute, at most (0: any number)."""

    @functools.cached_property
    def rates(self) -> tuple[Rate, ...]:
        """The pace of deliveries: the platform's, unless the account has a limit of its own."""
        if self.sends_per_second is None:
            return self.adapter.capabilities.rates
        count = min(max(1, round(self.sends_per_second)), MOST_SLOTS)
        return (Rate(per="account", count=count, seconds=count / self.sends_per_second),)

    @functools.cached_property
    def platform(self) -> str:
        """The platform's name, for metrics."""
        return self.adapter.platform

    @functools.cached_property
    def hooked(self) -> bool:
        """Whether it receives by its hook."""
        return self.adapter.mode() == "webhook"


NOBODY: Final = Me()


DIGITS: Final = 32
"""Hexadecimal digits of a nonce."""
MANY: Final = 128


def nonces() -> Iterator[str]:
    """Give random texts, each once; the system is asked for many at a time, because that is what costs."""
    while True:
        digits = secrets.token_hex(DIGITS // 2 * MANY)
        yield from [digits[at : at + DIGITS] for at in range(0, len(digits), DIGITS)]


INSIDE: Final = "-"
"""The account of no platform: what happens there is for nobody to read. No other account can have this name."""


class Accounts:
    """All accounts by name, with the identities that probing taught us."""

    def __init__(self, accounts: Iterable[Account], clock: Callable[[], float], inside: Account | None = None) -> None:
        """`inside` is the account of no platform; it is found by its name and not among the others."""
        self._accounts = {account.name: account for account in accounts}
        self._inside = inside
        self._me: dict[str, Me] = {}
        self._workspaces: dict[str, dict[str, Me]] = {}
        self._clock = clock
        self._nonces = nonces()

    def __iter__(self) -> Iterator[Account]:
        return iter(list(self._accounts.values()))

    def get(self, name: str) -> Account | None:
        """Return an account by its name, None when there is none."""
        if self._inside is not None and name == self._inside.name:
            return self._inside
        return self._accounts.get(name)

    def replace(self, name: str, account: Account | None) -> None:
        """Put a changed account in its place, or (None) take it out; others see either the old or the new one."""
        accounts = {**self._accounts, name: account} if account else dict(self._accounts)
        if account is None:
            accounts.pop(name, None)
        self._accounts = {key: value for key, value in accounts.items() if value is not None}

    def known(self, account: Account, cursor: str = "") -> Known:
        """Return what an adapter may know now."""
        name = account.name
        me, workspaces = self._me.get(name, NOBODY), self._workspaces.get(name) or {}
        return Known(now=self._clock(), me=me, workspaces=workspaces, cursor=cursor, nonce=next(self._nonces))

    def installed(self, account: str, workspaces: Mapping[str, Me]) -> None:
        """Take over which bot an account is in the workspaces that installed it."""
        self._workspaces[account] = dict(workspaces)

    async def recall(self, store: Store) -> None:
        """Read the identities that were learned before."""
        for name in self._accounts:
            kept = await store.recall(f"me:{name}")
            if kept:
                self._me[name] = msgspec.json.decode(kept, type=Me)

    async def learn(self, store: Store, account: Account, me: Me) -> None:
        """Keep who an account is."""
        if me != self._me.get(account.name):
            self._me[account.name] = me
            await store.keep(f"me:{account.name}", msgspec.json.encode(me).decode())
