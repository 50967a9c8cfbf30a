"""The statements of `queries.sql` by name, and how to run one.

A statement names its parameters; SQLite is given them by number, which costs half as much.
"""

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import apsw

from dragoman.store.named import named

PARAMETER: Final = re.compile(r'(?<![":\w]):([a-z_]+)')
"""A parameter, and not a JSON text's colon."""
BESIDE: Final = re.compile(r"('[^']*')|\s*--[^\n]*\s*|\s+")
"""What is to be read by people only: comments and white space, but not in a text."""

UNREAD: Final = (apsw.Error, UnicodeDecodeError)
"""What ends a question before its last row: the database, or a text that is none any more."""

Numbered = tuple[str, Callable[[Mapping[str, Any]], Any]]


class Connection(apsw.Connection):
    """A connection with a cursor at hand: to make one costs as much as running a small statement."""

    def __init__(self, filename: str, **options: Any) -> None:
        """Open a file as `apsw.Connection` does, with its options."""
        super().__init__(filename, **options)
        self.hand = self.cursor()

    def give_up(self) -> None:
        """End the statement that is under way: as long as one is, the log is kept for what it may still read."""
        self.hand.close(force=True)
        self.hand = self.cursor()


class _Statements(dict[str, Numbered]):
    """The statements, read when the first is asked for: with numbers, and what puts their values in order."""

    def __missing__(self, name: str) -> Numbered:
        known = {name: _numbered(sql) for name, sql in named("dragoman.store.sqlite").items()}
        self.update(known)
        return known[name]


STATEMENTS: Final = _Statements()


def _numbered(sql: str) -> Numbered:
    short = BESIDE.sub(lambda found: found[1] or " ", sql)  # the library looks prepared ones up by all of their text
    names = list(dict.fromkeys(PARAMETER.findall(short)))
    numbered = PARAMETER.sub(lambda found: f"?{names.index(found[1]) + 1}", short)
    if len(names) > 1:
        return numbered, operator.itemgetter(*names)
    if names:
        return numbered, lambda bindings: (bindings[names[0]],)
    return numbered, lambda _: ()


def write(connection: Connection, statement: str, values: Mapping[str, Any]) -> None:
    """Run a named statement that has many parameters: their values as a mapping cost half of what keywords do.

    As with `run` it is to give no rows: with some unread it would be under way still, and no transaction could end.
    """
    sql, ordered = STATEMENTS[statement]
    connection.hand.execute(sql, ordered(values))


def run(connection: Connection, statement: str, /, **bindings: Any) -> None:
    """Run a named statement."""
    sql, ordered = STATEMENTS[statement]
    connection.hand.execute(sql, ordered(bindings))


def one(connection: Connection, statement: str, /, **bindings: Any) -> Any:
    """Run a named statement to its end and return its only row, its only value, or None."""
    sql, ordered = STATEMENTS[statement]
    try:
        return connection.hand.execute(sql, ordered(bindings)).get
    except UNREAD:
        connection.give_up()
        raise


def rows(connection: Connection, statement: str, /, **bindings: Any) -> list[Any]:
    """Run a named statement and return all rows."""
    sql, ordered = STATEMENTS[statement]
    try:
        return list(connection.hand.execute(sql, ordered(bindings)).fetchall())
    except UNREAD:
        connection.give_up()
        raise


def readable_rows(connection: Connection, statement: str, /, **bindings: Any) -> tuple[list[Any], bool]:
    """Run a named statement to its end and return its rows but for those with a text that is none any more.

    Tells besides whether these are all.
    """
    sql, ordered = STATEMENTS[statement]
    found: list[Any] = []
    left = connection.hand.execute(sql, ordered(bindings))
    whole = True
    while True:
        try:
            found.extend(left)
        except UnicodeDecodeError:  # the cursor stands behind that row now
            whole = False
        except apsw.Error:
            connection.give_up()
            raise
        else:
            return found, whole
