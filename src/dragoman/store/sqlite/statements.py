"""The statements of `queries.sql` by name, and how to run one.

A statement names its parameters; SQLite is given them by number, which costs half as much.
"""

import functools
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import apsw

from dragoman.store.named import named

PARAMETER: Final = re.compile(r'(?<![":\w]):([a-z_]+)')
"""A parameter, and neither a JSON text's colon nor a comment's."""

Numbered = tuple[str, Callable[[Mapping[str, Any]], Any]]


@functools.cache
def statements() -> dict[str, Numbered]:
    """Read the statements once: each with numbers for its parameters, and what puts their values in order."""
    return {name: _numbered(sql) for name, sql in named("dragoman.store.sqlite").items()}


def _numbered(sql: str) -> Numbered:
    names = list(dict.fromkeys(PARAMETER.findall(sql)))
    numbered = PARAMETER.sub(lambda found: f"?{names.index(found[1]) + 1}", sql)
    if len(names) > 1:
        return numbered, operator.itemgetter(*names)
    return numbered, lambda bindings: tuple(bindings[name] for name in names)


def run(connection: apsw.Connection, statement: str, **bindings: Any) -> apsw.Cursor:
    """Run a named statement."""
    sql, ordered = statements()[statement]
    return connection.execute(sql, ordered(bindings))


def one(connection: apsw.Connection, statement: str, **bindings: Any) -> Any:
    """Run a named statement to its end and return its only row, its only value, or None."""
    sql, ordered = statements()[statement]
    return connection.execute(sql, ordered(bindings)).get


def rows(connection: apsw.Connection, statement: str, **bindings: Any) -> list[Any]:
    """Run a named statement and return all rows."""
    sql, ordered = statements()[statement]
    return list(connection.execute(sql, ordered(bindings)).fetchall())
