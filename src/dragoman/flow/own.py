"""One owner for each long-lived connection among the replicas, by a named lease.

The owner prolongs its lease while it listens, and stops listening before the lease can end unnoticed. Whoever wants
the connection looks every second, so that a replica that lets go is followed at once. Two owners for a moment would
still be safe: a happening is stored once per key. The lease only saves two connections from fighting.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from dragoman import telemetry
from dragoman.errors import StoreError
from dragoman.flow.account import Account
from dragoman.flow.context import Context

LEASE: Final = 15.0
RENEW: Final = 5.0
STOP: Final = 5.0
"""Seconds: how long the lease is, how often it is prolonged, and how long before its end the listening stops."""
LOOK: Final = 1.0
"""Seconds between two looks of those who wait."""

Listener = Callable[[Context, Account], Awaitable[None]]

log = telemetry.logger("own")


async def own(context: Context, account: Account, listener: Listener) -> None:
    """Listen for an account whenever its connection is ours, until cancelled; then let the next one have it."""
    name = f"connection:{account.platform}:{account.adapter.connection()}"
    owner = f"{context.replica}/{account.name}"
    told = False
    try:
        while True:
            until = await _take(context, name, owner)
            if until:
                told = False
                log.info("connection.owned", account=account.name)
                await _listen_until_lost(context, account, listener, (name, owner), until)
            elif not told:
                told = True
                log.info("connection.elsewhere", account=account.name, owner=await _owner(context, name))
            await asyncio.sleep(LOOK)
    finally:
        await asyncio.shield(_let_go(context, name, owner))


async def _take(context: Context, name: str, owner: str) -> float:
    """Take or prolong the lease; returns when its owner must have stopped (steady clock), 0 when it is not ours."""
    before = context.clock()
    try:
        fence = await context.store.lease(name, owner, LEASE)
    except StoreError as away:
        log.warning("lease.failed", lease=name, reason=str(away))
        return 0.0
    return before + LEASE - STOP if fence else 0.0


async def _owner(context: Context, name: str) -> str:
    try:
        return await context.reader.owner(name)
    except StoreError:
        return ""


async def _listen_until_lost(
    context: Context, account: Account, listener: Listener, lease: tuple[str, str], until: float
) -> None:
    """Listen while the lease (name, owner) is prolonged; ends when it was lost, or not prolonged in time."""
    task = asyncio.ensure_future(listener(context, account))
    telemetry.owned.labels(account.name).set(1)
    try:
        while context.clock() < until:
            await asyncio.wait({task}, timeout=min(RENEW, max(0.0, until - context.clock())))
            if task.done():
                task.result()
                return
            until = await _prolonged(context, *lease, until)
        telemetry.connections_lost.labels(account.name).inc()
        log.warning("connection.lost", account=account.name)
    finally:
        telemetry.owned.labels(account.name).set(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _prolonged(context: Context, name: str, owner: str, until: float) -> float:
    """Prolong the lease; returns its new end, the old one while nobody knows, 0 when another has it."""
    try:
        async with asyncio.timeout(max(0.0, until - context.clock())):
            return await _take(context, name, owner) or (until if await _unknown(context, name, owner) else 0.0)
    except TimeoutError:  # a store that hangs does not make a lease longer
        return until


async def _unknown(context: Context, name: str, owner: str) -> bool:
    """Tell whether nobody knows who has the lease: then it is held to its end."""
    try:
        return await context.reader.owner(name) in {"", owner}
    except StoreError:
        return True


async def _let_go(context: Context, name: str, owner: str) -> None:
    try:
        await context.store.let_go(name, owner)
    except StoreError as away:
        log.warning("lease.kept", lease=name, reason=str(away))
