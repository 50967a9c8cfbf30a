"""Asking platforms, for whoever wants to know now, which bot an account is and what it lacks."""

import asyncio
from collections.abc import Iterable

import msgspec

from dragoman import telemetry
from dragoman.adapter import Adapter
from dragoman.errors import DragomanError
from dragoman.flow.account import Account, Accounts
from dragoman.flow.client import Client
from dragoman.model import Value


class Probed(Value):
    """What came of a probe."""

    account: str
    platform: str
    mode: str
    bot: str = ""
    problems: tuple[str, ...] = ()
    """What is missing, each with its remedy after the last colon."""
    trouble: str = ""
    """Why there is no answer."""
    asked: bool = True
    """False where the platform has nobody who could be asked."""


async def probe(client: Client, accounts: Accounts, account: Account, seconds: float) -> Probed:
    """Ask one account's platform, for so many seconds at most."""
    told = Probed(account=account.name, platform=account.platform, mode=account.adapter.mode())
    if type(account.adapter).probe is Adapter.probe:
        return msgspec.structs.replace(told, asked=False)
    try:
        async with asyncio.timeout(seconds):
            found = await client.perform(account, account.adapter.probe(accounts.known(account)))
    except TimeoutError:
        return msgspec.structs.replace(told, trouble=f"no answer within {seconds:g} s")
    except DragomanError as error:
        return msgspec.structs.replace(told, trouble=str(error))
    return msgspec.structs.replace(told, bot=found.me.name or found.me.id, problems=found.problems)


async def probe_all(client: Client, accounts: Accounts, among: Iterable[Account], seconds: float) -> list[Probed]:
    """Ask all at the same time; an adapter that breaks is told as its own trouble."""
    asked = list(among)
    found = await asyncio.gather(*(probe(client, accounts, each, seconds) for each in asked), return_exceptions=True)
    return [
        answer if isinstance(answer, Probed) else _broke(account, answer)
        for account, answer in zip(asked, found, strict=True)
    ]


def _broke(account: Account, error: BaseException) -> Probed:
    where = f"the adapter broke: {telemetry.where(error)}"
    return Probed(account=account.name, platform=account.platform, mode=account.adapter.mode(), trouble=where)
