"""The store and the shared cache: can they be reached, are they whole, and have they room."""

import asyncio
import importlib.util
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dragoman.config import Settings
from dragoman.errors import ConfigError, StoreAway, StoreDamaged, StoreError, StoreForeign
from dragoman.service import stores
from dragoman.service.doctor.finding import Finding, failed, ok, warning
from dragoman.service.doctor.subject import Subject, refused
from dragoman.service.installation import Installation
from dragoman.store.sqlite import look as sqlite

if TYPE_CHECKING:
    from dragoman.store.postgres.look import Look

REACH: Final = 3.0
"""Seconds for each answer of a server."""
READING: Final = 25.0
"""Seconds for reading a SQLite file."""
LONG_LOG: Final = 256 << 20
"""Bytes of a write-ahead log that say that nothing has been moved out of it for long."""
LEAST_POSTGRES: Final = 12
SKEW: Final = 5.0
"""Seconds between our clock and the database's."""
FOREIGN: Final = "run the release that wrote it last"
RESTORE: Final = "stop the service, keep the damaged file aside, and put the newest backup in its place"

EXTRAS: Final = {"postgres": "asyncpg", "cache": "redis", "archive": "obstore"}
"""An extra, and the library that it brings."""

REMEDIES: Final = {
    "28P01": "correct user and password in `store`",
    "28000": "correct the user in `store`, and let it in (pg_hba.conf on the server)",
    "3D000": "correct the database's name in `store`, or make the database: createdb NAME",
    "42501": "grant the user of `store` its rights on the database",
    "53300": "raise max_connections on the server, or lower store_connections",
    "57P03": "wait until the server has started, or look at its log",
}
"""What to do about what the server says, by its code (PostgreSQL, Appendix A)."""


def extras(subject: Subject) -> Sequence[Finding]:
    """Check that the libraries which the settings need are installed."""
    needed = _needed(subject.installation.settings) if subject.installation else []
    absent = [extra for extra in needed if importlib.util.find_spec(EXTRAS[extra]) is None]
    if not absent:
        return [ok("extras", f"{', '.join(needed)} installed" if needed else "none needed")]
    return [
        failed("extras", f"{EXTRAS[extra]} is not installed", f"pip install 'dragoman[{extra}]'") for extra in absent
    ]


def _needed(settings: Settings) -> list[str]:
    """Name the extras without which these settings cannot be."""
    objects = (settings.archive, settings.backup, settings.backup_copy)
    wanted = {"postgres": settings.store, "cache": settings.cache.url, "archive": any(place.url for place in objects)}
    return [extra for extra, wants in wanted.items() if wants]


async def store(installation: Installation, subject: Subject) -> Sequence[Finding]:
    """Check the store that the settings name."""
    url = installation.settings.store.reveal()
    if not url:
        return await asyncio.to_thread(_file, installation.database, running=subject.running is not None)
    try:
        stores.check(url, installation.document.where("store"))
    except ConfigError as error:
        return [refused("store", error)]
    if importlib.util.find_spec(EXTRAS["postgres"]) is None:
        return []  # the check of the extras says so
    return await _database(url, installation)


def _file(database: Path, *, running: bool) -> Sequence[Finding]:
    if not database.exists():
        return [ok("store", f"{database} is made at the first start")]
    if running:
        return [ok("store", f"{database} is in use, and was whole when the running service opened it")]
    if owner := holder(database, _locks()):
        remedy = f"look at its log; if it is stuck, end it (kill {owner}), and start again"
        return [failed("store", f"the process {owner} has {database}, and does not answer as a service", remedy)]
    try:
        return judge_file(database, sqlite.look(database, READING))
    except StoreForeign as error:
        return [failed("store", str(error), FOREIGN)]
    except StoreDamaged as error:
        return [failed("store", str(error), RESTORE)]
    except StoreAway as error:
        return [failed("store", str(error), f"let the service's user read and write {database} and its folder")]


def judge_file(database: Path, look: sqlite.Look) -> Sequence[Finding]:
    """Judge a file that is whole, as far as it was read."""
    findings = [_schema(look.schema, look.shipped, f"{database}, {look.size / 1e6:,.1f} MB")]
    if not look.whole:
        remedy = "wait for the next start, which reads all of it"
        findings.append(warning("store", f"it is too large to be read within {READING:g} s", remedy))
    if look.log > LONG_LOG:
        remedy = "end what reads the file for long (lsof shows it); starting and stopping the service shortens the log"
        findings.append(warning("store", f"its log has grown to {look.log / 1e6:,.0f} MB", remedy))
    return findings


def _schema(schema: int, shipped: int, where: str) -> Finding:
    if schema > shipped:
        remedy = "upgrade again when you can; this release runs on it"
        return warning("store", f"{where}, of a newer release (schema {schema}, ours is {shipped})", remedy)
    if 0 < schema < shipped:
        remedy = "back up first; the next start brings it up by itself"
        return warning("store", f"{where}, of an older release (schema {schema}, ours is {shipped})", remedy)
    return ok("store", f"{where}, {f'schema {schema}' if schema else 'still empty'}")


def _locks() -> str:
    try:
        return Path("/proc/locks").read_text(encoding="utf-8")
    except OSError:  # no Linux
        return ""


def holder(database: Path, locks: str) -> int:
    """Return the process that holds a store's lock, by the text of `/proc/locks` (proc(5)); 0 when none does."""
    lock = database.with_name(database.name + ".lock")
    if not lock.exists():
        return 0
    inode = str(lock.stat().st_ino)
    rows = [line.split() for line in locks.splitlines()]
    return next((int(row[4]) for row in rows if row[1] == "FLOCK" and row[5].rpartition(":")[2] == inode), 0)


async def _database(url: str, installation: Installation) -> Sequence[Finding]:
    from dragoman.store.postgres import look as postgres  # noqa: PLC0415 - an extra, and one of two stores

    try:
        found = await postgres.look(url, time.time, REACH)
    except StoreError as error:
        return [failed("store", f"PostgreSQL: {error}", _remedy(error))]
    return judge_database(found, installation.settings.store_connections)


def _remedy(error: StoreError) -> str:
    code = str(getattr(error.__cause__, "sqlstate", ""))
    if isinstance(error, StoreForeign):
        return FOREIGN
    if isinstance(error, StoreDamaged):
        return "end it by the same `dragoman store copy`, or empty the schema and begin again"
    if code == "08P01":
        return POOLED
    if isinstance(error.__cause__, ValueError):
        return "write it as postgresql://USER:PASSWORD@HOST:5432/DATABASE"
    return REMEDIES.get(code, "start the server, and check host, port and firewall of the address in `store`")


POOLED: Final = (
    "name the server itself in `store`, or a pool with pool_mode = session that lets what it refused pass "
    "(ignore_startup_parameters)"
)


def judge_database(look: "Look", connections: int) -> Sequence[Finding]:
    """Judge a database that answers; `connections` are those that this process opens."""
    wrong = [*_unusable(look), *_cramped(look, connections)]
    findings = [failed("store", f"PostgreSQL: {seen}", remedy) for seen, remedy in wrong]
    if abs(look.ahead) > SKEW:
        seen = f"the database's clock is {abs(look.ahead):,.0f} s {'ahead of' if look.ahead > 0 else 'behind'} ours"
        findings.append(
            warning("store", seen, "keep both machines' clocks right by NTP; reminders go by the database's")
        )
    return findings or [_schema(look.schema, look.shipped, f"PostgreSQL {look.version}, {look.used} connections")]


def _unusable(look: "Look") -> list[tuple[str, str]]:
    found = []
    if look.version < LEAST_POSTGRES:
        found.append((f"version {look.version} is too old", f"upgrade the server to {LEAST_POSTGRES} or later"))
    if look.pooled:
        found.append(("a pooler that shares sessions stands before it, and statements are not found again", POOLED))
    if look.read_only:
        found.append(("it is read-only", "name the server that takes writes in `store`, or all of them: HOST1,HOST2"))
    if not look.has_schema:
        found.append(("the search path names no schema that is there", "make it: CREATE SCHEMA NAME"))
    elif look.schema < look.shipped and not look.may_make:
        remedy = "as the schema's owner: GRANT CREATE, USAGE ON SCHEMA NAME TO USER"
        found.append(("the user may make no tables, which this release needs to", remedy))
    if look.closed:
        remedy = "as the tables' owner: GRANT ALL ON ALL TABLES IN SCHEMA NAME TO USER, or use the user that made them"
        found.append((f"the user may not read and change {', '.join(look.closed[:3])}", remedy))
    return found


def _cramped(look: "Look", connections: int) -> list[tuple[str, str]]:
    """Tell whether there is room for one more process: those that run have their connections already."""
    free = look.most - look.used
    if look.replicas == 0 and free < connections:
        seen = f"{look.used} of {look.most} connections are taken, and this process opens {connections}"
        return [(seen, "raise max_connections on the server, or lower store_connections (2 at least)")]
    return []


async def cache(installation: Installation, _: Subject) -> Sequence[Finding]:
    """Check the shared cache, without which all goes on, a little slower."""
    url = installation.settings.cache.url
    if not url or importlib.util.find_spec(EXTRAS["cache"]) is None:
        return []
    from dragoman.cache.server import Away, Server  # noqa: PLC0415 - an extra

    try:
        server = Server(url.reveal(), connect=REACH, answer=REACH)
    except ConfigError as error:
        return [refused("cache", error)]
    try:
        began = time.monotonic()
        await server.ask(bool, ("PING",))
        return [ok("cache", f"answers within {math.ceil((time.monotonic() - began) * 1000)} ms")]
    except Away as away:
        remedy = "start it and check cache.url, or leave cache.url out; until then every replica keeps its own"
        return [warning("cache", f"does not answer: {type(away.__cause__).__name__}", remedy)]
    finally:
        await server.close()
