"""The statements of `queries.sql` by name, and how to run one."""

import functools
from typing import Any

import apsw

from dragoman.store.named import named


@functools.cache
def statements() -> dict[str, str]:
    """Read the statements once."""
    return named("dragoman.store.sqlite")


def run(connection: apsw.Connection, statement: str, **bindings: Any) -> apsw.Cursor:
    """Run a named statement."""
    return connection.execute(statements()[statement], bindings)


def one(connection: apsw.Connection, statement: str, **bindings: Any) -> Any:
    """Run a named statement to its end and return its only row, its only value, or None."""
    return run(connection, statement, **bindings).get


def rows(connection: apsw.Connection, statement: str, **bindings: Any) -> list[Any]:
    """Run a named statement and return all rows."""
    return list(run(connection, statement, **bindings).fetchall())
