"""Putting parked work back: events and deliveries as rows, payloads by reading them anew."""

import msgspec

from dragoman.adapter import Payload
from dragoman.flow.context import Context
from dragoman.flow.receive import accept
from dragoman.store.base import Times


async def redrive(context: Context, name: str) -> str:
    """Put `e12`, `d7` or `p3` back to work; returns what it was.

    Raises `LookupError` when nothing of that name is parked, `Malformed` when a payload is still not understood.
    """
    payload = await context.reader.payload(name)
    if payload is not None:
        await _read_again(context, *payload)
    return await context.store.redrive(name)


async def _read_again(context: Context, account_name: str, raw: bytes) -> None:
    account = context.accounts.get(account_name)
    if account is None:
        raise LookupError(f"account {account_name} is not configured any more")
    now = context.clock()
    receipt = account.adapter.parse(Payload(body=raw), context.accounts.known(account))
    times = Times(received=now, authenticated=now, parsed=now)
    await accept(context, account, msgspec.structs.replace(receipt, raw=raw), times)
