"""The statements of `queries.sql` by name, and how to run one."""

import functools
from importlib import resources
from typing import Any

import apsw


@functools.cache
def statements() -> dict[str, str]:
    """Read `queries.sql` once: `-- name: x` starts statement x."""
    text = (resources.files("dragoman.store.sqlite") / "queries.sql").read_text(encoding="utf-8")
    blocks = (block.partition("\n") for block in text.split("-- name: ")[1:])
    return {name.strip(): body.strip() for name, _, body in blocks}


def run(connection: apsw.Connection, statement: str, **bindings: Any) -> apsw.Cursor:
    """Run a named statement."""
    return connection.execute(statements()[statement], bindings)


def one(connection: apsw.Connection, statement: str, **bindings: Any) -> Any:
    """Run a named statement to its end and return its only row, its only value, or None."""
    return run(connection, statement, **bindings).get


def rows(connection: apsw.Connection, statement: str, **bindings: Any) -> list[Any]:
    """Run a named statement and return all rows."""
    return list(run(connection, statement, **bindings).fetchall())
