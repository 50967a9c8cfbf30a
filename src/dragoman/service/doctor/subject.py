"""What is examined: the installation as its files describe it, and what the running service says of itself.

A configuration that is wrong in several places is read as far as it goes, so that each wrong place is a finding.
"""

import asyncio
import dataclasses
import errno
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from dragoman import config
from dragoman.engine.plugin import Loaded, Plugin
from dragoman.errors import ConfigError, DragomanError, NoAnswer
from dragoman.flow.account import Account
from dragoman.flow.transport import control
from dragoman.service import installation as installations
from dragoman.service.doctor.finding import ELSE, Finding, failed, ok, warning
from dragoman.service.installation import Installation

ANSWER: Final = 6.0
"""Seconds that the running service has to answer: it asks its platforms meanwhile."""
READING = 10.0
"""Seconds for reading the configuration, with all files and plugins that it names."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """What the checks look at. `installation` is None when the configuration could not be read."""

    data: Path
    installation: Installation | None
    accounts: tuple[Account, ...] = ()
    running: Mapping[str, Any] | None = None
    """What the service that runs on the data folder says of itself; None when none runs."""


async def read(
    data: str | None, configuration: str | None, environ: Mapping[str, str]
) -> tuple[Subject, list[Finding]]:
    """Read all there is to read; returns what is wrong with it, and that a service runs."""
    folder = config.data_folder(data, environ)
    running, findings = await _running(folder)
    subject = Subject(data=folder, installation=None, running=running)
    reading = asyncio.ensure_future(asyncio.to_thread(_read, subject, data, configuration, environ))
    await asyncio.wait({reading}, timeout=READING)
    if not reading.done():
        remedy = "a file that it names hangs (a pipe, a network disk): name another one, or mend that"
        return subject, [*findings, failed("configuration", f"it could not be read within {READING:g} s", remedy)]
    subject, found = reading.result()
    return subject, [*findings, *found]


def _read(
    subject: Subject, data: str | None, configuration: str | None, environ: Mapping[str, str]
) -> tuple[Subject, list[Finding]]:
    try:
        found, seen = _load(subject.data, data, configuration, environ)
    except ConfigError as error:
        return subject, [refused("configuration", error)]
    accounts, wrong = _accounts(found)
    return dataclasses.replace(subject, installation=found, accounts=tuple(accounts)), [seen, *wrong]


def _load(
    folder: Path, data: str | None, configuration: str | None, environ: Mapping[str, str]
) -> tuple[Installation, Finding]:
    """Read the configuration, or take the defaults where there is none yet; raises `ConfigError`."""
    found = installations.load(
        data=data, configuration=configuration, environ=environ, overrides={}, create=False, bare=True
    )
    if config.find(configuration, environ, Path.cwd(), folder) is None:
        return found, warning("configuration", "there is none yet", "`dragoman run` writes a first one and starts")
    return found, ok("configuration", str(found.path))


def _accounts(found: Installation) -> tuple[list[Account], list[Finding]]:
    """Build every plugin, account and task by itself; returns the accounts, and what is wrong with the others."""
    findings: list[Finding] = []
    loaded: dict[str, Loaded] = {}
    accounts: list[Account] = []
    try:
        wanted, names = installations.plugin_names(found), installations.account_names(found)
    except ConfigError as error:
        return [], [refused("configuration", error)]
    for name, named_by in wanted.items():
        try:
            loaded[name] = installations.load_plugin(found, name, named_by)
        except ConfigError as error:
            findings.append(refused(f"plugin {name}", error))
            loaded[name] = Loaded(name=name, plugin=Plugin(name), settings=None)  # in its place, for the accounts
    for name in names:
        try:
            account = installations.load_account(found, name, loaded)
        except ConfigError as error:
            findings.append(refused(f"account {name}", error))
        else:
            accounts += [account] if account else []
    return accounts, findings or _tasks(found, accounts, loaded)


def _tasks(found: Installation, accounts: list[Account], loaded: Mapping[str, Loaded]) -> list[Finding]:
    try:
        installations.load_tasks(found, accounts, loaded)
    except ConfigError as error:
        return [refused("tasks", error)]
    return []


async def _running(folder: Path) -> tuple[Mapping[str, Any] | None, list[Finding]]:
    """Ask the service that runs on a data folder about itself."""
    path = folder / "dragoman.sock"
    look = "look at its log, or stop it and ask again"
    try:
        async with asyncio.timeout(ANSWER):
            about = await control.ask(path, "about")
    except NoAnswer as silence:
        if getattr(silence.__cause__, "errno", None) == errno.EACCES:
            return None, [warning("service", f"{path} is another user's", "run this as the service's user, or as root")]
        return None, [ok("service", f"none runs on {folder}")]
    except TimeoutError:
        return {}, [failed("service", f"it runs, but did not answer within {ANSWER:g} s", look)]
    except DragomanError as error:
        return {}, [warning("service", f"it cannot be asked, perhaps it is of another release: {error}", look)]
    return about, [ok("service", f"release {about['version']} runs here, process {about['process']}")]


def refused(name: str, error: ConfigError) -> Finding:
    """Word a refusal of the configuration: what stands where, and how to correct it."""
    seen = f"{error.source}: {error.key}: {error.reason}" if error.key else f"{error.source}: {error.reason}"
    if error.key:
        return failed(name, seen, f"correct {error.key} in {error.source}: {error.hint or ELSE}")
    return failed(name, seen, error.hint or f"correct {error.source}, which the service's user must be able to read")
