"""Looking at a database without changing it: version, rights, room for connections, clock, schema, and poolers."""

import contextlib
import dataclasses
import secrets
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import asyncpg

from dragoman.errors import StoreDamaged, StoreRefused
from dragoman.store.named import missing, numbered
from dragoman.store.postgres.opening import COPYING
from dragoman.store.postgres.pool import refused, session_settings, told

POOLER: Final = "a pooler that shares sessions stands before the database"
MARK: Final = "dragoman.look"

ABOUT: Final = """
SELECT current_setting('server_version_num')::int / 10000 AS version,
       pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS read_only,
       current_schema() AS schema,
       coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_make,
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS most,
       (SELECT count(*) FROM pg_stat_activity WHERE usesysid IS NOT NULL AND datid IS NOT NULL
          AND application_name IS DISTINCT FROM 'dragoman doctor') AS used,
       extract(epoch FROM clock_timestamp())::float8 AS now
"""
CLOSED: Final = """
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = current_schema() AND c.relkind = 'r'
  AND NOT (has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
           AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))
ORDER BY c.relname
"""
KNOWN: Final = "SELECT to_regclass(quote_ident(current_schema()) || '.migration') IS NOT NULL"
ALIVE: Final = "SELECT count(*) FROM replica WHERE seen_at > moment(NULL) - 15"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """What a look at a database found."""

    version: int
    read_only: bool
    has_schema: bool
    """Whether the search path names a schema that is there."""
    may_make: bool
    closed: tuple[str, ...]
    """Tables that this user may not read or change."""
    most: int
    used: int
    """Connections that users other than superusers may have, and those that there are."""
    ahead: float
    """Seconds that the database's clock is ahead of ours."""
    schema: int
    shipped: int
    """The newest migration that it has (0: none yet), and that this release has."""
    pooled: bool
    """Whether sessions are shared, so that nothing said in one is remembered."""
    replicas: int


async def look(url: str, clock: Callable[[], float], seconds: float) -> Look:
    """Look at a database; `clock` gives epoch seconds. Raises `StoreRefused`, `StoreAway` or `StoreForeign`."""
    with told(), refused():
        async with _connected(url, seconds) as one, _connected(url, seconds) as other:
            pooled = await _shares_sessions(one, other)
            began = time.monotonic()
            about = await one.fetchrow(ABOUT)
            ahead = about["now"] - clock() + (time.monotonic() - began) / 2
            done = await _done(one)
            return Look(
                version=about["version"],
                read_only=about["read_only"],
                has_schema=about["schema"] is not None,
                may_make=about["may_make"],
                closed=tuple(row[0] for row in await one.fetch(CLOSED)),
                most=about["most"],
                used=about["used"],
                ahead=ahead,
                schema=max(done, default=0),
                shipped=max(numbered("postgres")),
                pooled=pooled,
                replicas=await one.fetchval(ALIVE) if done else 0,
            )


@contextlib.asynccontextmanager
async def _connected(url: str, seconds: float) -> AsyncIterator[Any]:
    """Connect as the service does; a pooler that does not let a session's settings through is told by its refusal."""
    try:
        connection = await asyncpg.connect(
            url,
            timeout=seconds,
            command_timeout=seconds,
            statement_cache_size=0,
            server_settings=session_settings("dragoman doctor"),
        )
    except asyncpg.ProtocolViolationError as error:
        raise StoreRefused(f"{POOLER}: {error}") from error
    try:
        yield connection
    finally:
        connection.terminate()


async def _shares_sessions(one: Any, other: Any) -> bool:
    """Set something in one session, keep its server busy from the other, and look whether it is still set."""
    mark = secrets.token_hex(8)
    try:
        await one.execute(f"SET {MARK} = '{mark}'")
        async with other.transaction():
            await other.execute("SELECT 1")
            found = await one.fetchval(f"SELECT current_setting('{MARK}', true)")
    except asyncpg.InvalidSQLStatementNameError:  # a statement that was prepared in the other session
        return True
    return bool(found != mark)


async def _done(connection: Any) -> dict[int, tuple[str, str]]:
    """Read the schema's own list of migrations; raises `StoreForeign` or `StoreDamaged`."""
    if await connection.fetchval(COPYING):
        raise StoreDamaged("it holds a copy that did not end")
    if not await connection.fetchval(KNOWN):
        return {}
    rows = await connection.fetch("SELECT number, name, digest FROM migration")
    done = {row[0]: (row[1], row[2]) for row in rows}
    missing("postgres", done, "the database")
    return done
