"""A PostgreSQL schema of its own for one measure."""

import contextlib
import secrets
from collections.abc import AsyncIterator


@contextlib.asynccontextmanager
async def schema(url: str) -> AsyncIterator[str]:
    """Make a schema and drop it at the end; gives the address that leads there. An empty address stays empty."""
    if not url:
        yield ""
        return
    import asyncpg  # noqa: PLC0415 - an extra

    name = f"bench{secrets.token_hex(4)}"
    connection = await asyncpg.connect(url)
    await connection.execute(f"CREATE SCHEMA {name}")
    try:
        yield f"{url}{'&' if '?' in url else '?'}search_path={name}"
    finally:
        await connection.execute(f"DROP SCHEMA {name} CASCADE")
        await connection.close()
