"""A vectors file as values, refused with its reason when it is not of the format."""

import base64
from pathlib import Path
from typing import Any, Literal

from dragoman import wire
from dragoman.errors import ConfigError, Malformed
from dragoman.model import Value


class Case(Value):
    """One payload, the account and the clock it is for, and what is expected of the adapter."""

    name: str
    request: dict[str, Any]
    expect: dict[str, Any]
    config: dict[str, Any] | None = None
    now: float | None = None

    @property
    def transport(self) -> str:
        """Name the way on which the payload comes."""
        return str(self.request.get("transport") or "http")

    @property
    def repeats(self) -> str:
        """Name the case that this one is fed after, as it repeats its event or its message."""
        return str(self.expect.get("duplicate_of") or self.expect.get("same_message_as") or "")


class File(Value):
    """A whole file, of the only format there is so far."""

    platform: str
    format: Literal["1"]
    cases: tuple[Case, ...]


def read(path: Path) -> tuple[Case, ...]:
    """Read the cases of a vectors file; raises `ConfigError`."""
    try:
        body = path.read_bytes()
    except OSError as error:
        raise ConfigError(str(path), "", f"cannot be read: {error.strerror}") from error
    try:
        file = wire.decode(body, File)
    except Malformed as error:
        raise ConfigError(str(path), "", f"is no vectors file: {error}") from error
    _refuse_twins(path, file.cases)
    return file.cases


def _refuse_twins(path: Path, cases: tuple[Case, ...]) -> None:
    names = [case.name for case in cases]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(str(path), name, "two cases have this name")


def history(case: Case, cases: tuple[Case, ...]) -> tuple[Case, ...]:
    """Return the cases to feed before this one, oldest first; raises `LookupError` when one is not in the file."""
    by_name = {each.name: each for each in cases}
    before: list[Case] = []
    while case.repeats:
        case = by_name[case.repeats]
        if case in before:
            raise LookupError(f"{case.name} repeats itself")
        before.insert(0, case)
    return tuple(before)


def body_of(request: dict[str, Any]) -> bytes:
    """Return the bytes of a case's body."""
    if "body_base64" in request:
        return base64.b64decode(request["body_base64"])
    return str(request.get("body") or "").encode()


def headers_of(request: dict[str, Any]) -> dict[str, str]:
    """Return the headers of a case, names in lower case as the door gives them."""
    return {name.lower(): str(value) for name, value in (request.get("headers") or {}).items()}
