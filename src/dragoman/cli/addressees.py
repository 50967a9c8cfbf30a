"""Whom `dragoman broadcast send` names: `ACCOUNT/CHANNEL` on the command line, and lists in files."""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from dragoman.errors import ConfigError

KEYS: Final = frozenset({"account", "workspace", "channel", "thread", "person", "name"})

Addressee = dict[str, str]


def read(names: Iterable[str], files: Iterable[str]) -> list[tuple[str, Addressee]]:
    """Read all that is named, each with where it stands; raises `ConfigError` for the first that cannot be read."""
    named = [(f"--to {name}", _parse(name, f"--to {name}")) for name in names]
    return [*named, *(line for file in files for line in _lines(file))]


def _lines(file: str) -> Iterator[tuple[str, Addressee]]:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no UTF-8 text"
        raise ConfigError(file, "", f"cannot be read: {reason}") from error
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            where = f"{'standard input' if file == '-' else file}, line {number}"
            yield where, _parse(line.strip(), where)


def _parse(text: str, where: str) -> Addressee:
    if text.startswith("{"):
        return _object(text, where)
    parts = [part.strip() for part in text.split("/")]
    if len(parts) not in {2, 3} or not all(parts):
        raise ConfigError(where, "", f"{text!r} is neither ACCOUNT/CHANNEL nor ACCOUNT/WORKSPACE/CHANNEL nor JSON")
    return dict(
        zip(("account", "workspace", "channel") if len(parts) == 3 else ("account", "channel"), parts, strict=True)
    )


def _object(text: str, where: str) -> Addressee:
    try:
        found: Any = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(where, "", f"is no JSON: {error.msg}") from error
    unknown = sorted(set(found) - KEYS)
    if unknown:
        raise ConfigError(where, unknown[0], "is no key of a recipient", f"there are {', '.join(sorted(KEYS))}")
    if not all(isinstance(value, str) for value in found.values()):
        raise ConfigError(where, "", "has a value that is no text")
    for key in ("account", "channel"):
        if not found.get(key):
            raise ConfigError(where, key, "is required and missing")
    return dict(found)
