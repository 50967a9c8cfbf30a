"""Every prerequisite, looked at: what holds, what does not, and what mends it.

A check is a function that gives findings; to add one, write it and name it in a table below. What needs a network or
may hang has a deadline, and all are run at the same time. A check changes nothing.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from dragoman import telemetry
from dragoman.service.doctor import accounts, buckets, machine, reach, stores
from dragoman.service.doctor.finding import Finding, failed
from dragoman.service.doctor.subject import Subject, read
from dragoman.service.installation import Installation

Look = Callable[[Subject], Sequence[Finding]]
InstalledLook = Callable[[Installation, Subject], Sequence[Finding]]
InstalledAsk = Callable[[Installation, Subject], Awaitable[Sequence[Finding]]]

PATIENCE: Final = 3.0
"""Seconds that a check may take which asks nobody."""
LONG_PATIENCE: Final = 30.0
"""The same for one that asks others, with deadlines of its own, or reads a whole file."""
STUCK: Final = "something below it hangs (a network disk, a name server): mend that, and ask again"

MACHINE: Final[Mapping[str, Look]] = {
    "python": machine.python,
    "clock": machine.clock,
    "open files": machine.open_files,
    "data folder": machine.folder,
    "file system": machine.file_system,
    "disk": machine.disk,
    "extras": stores.extras,
}
"""What is looked at whatever the configuration is."""

INSTALLED: Final[Mapping[str, InstalledLook]] = {
    "port": reach.ports,
    "public address": reach.public_address,
    "tokens": reach.tokens,
    "encryption key": reach.encryption_key,
}
"""What is looked at by the settings."""

ASKED: Final[Mapping[str, InstalledAsk]] = {
    "store": stores.store,
    "cache": stores.cache,
    "backup": buckets.buckets,
    "accounts": accounts.probes,
}
"""What is asked of others, as the settings name them."""


async def examine(data: str | None, configuration: str | None, environ: Mapping[str, str]) -> list[Finding]:
    """Look at everything; the findings come in the order of the tables, what was read first before them."""
    subject, findings = await read(data, configuration, environ)
    checks = [bounded(name, _threaded(look, subject), PATIENCE) for name, look in MACHINE.items()]
    if subject.installation is not None:
        here = subject.installation
        checks += [bounded(name, _threaded(look, here, subject), PATIENCE) for name, look in INSTALLED.items()]
        checks += [bounded(name, ask(here, subject), LONG_PATIENCE) for name, ask in ASKED.items()]
    return [*findings, *(finding for found in await asyncio.gather(*checks) for finding in found)]


async def _threaded(look: Callable[..., Sequence[Finding]], *given: object) -> Sequence[Finding]:
    return await asyncio.to_thread(functools.partial(look, *given))


async def bounded(name: str, check: Awaitable[Sequence[Finding]], seconds: float) -> Sequence[Finding]:
    """Run a check for so long; one that hangs or breaks is a finding, and the others are told nevertheless."""
    running = asyncio.ensure_future(check)
    await asyncio.wait({running}, timeout=seconds)
    if not running.done():
        running.cancel()
        return [failed(name, f"no answer within {seconds:g} s", STUCK)]
    if error := running.exception():
        report = "this is a mistake of Dragoman's: report it with this line"
        return [failed(name, f"the check broke: {telemetry.where(error)}", report)]
    return running.result()
