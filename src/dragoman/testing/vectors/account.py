"""Builds the account that a case is for: its `config` as the adapter's settings."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from dragoman import config
from dragoman.adapter import Adapter
from dragoman.errors import ConfigError

ACCOUNT: Final = "acct"

PLACEHOLDERS: Final[tuple[Any, ...]] = ("placeholder", 0, False, [], {})
"""For required settings that a case does not give: the first that fits; as a secret, the text matches nothing."""


def build(cls: type[Adapter], given: Mapping[str, Any]) -> tuple[Adapter, dict[str, Any]]:
    """Return the adapter, and the facts of `given` that are no settings of it; raises `ConfigError`."""
    names: Mapping[str, str] = getattr(cls, "vector_settings", {})
    renamed = {names.get(name, name): value for name, value in given.items() if value is not None}
    fields = {field.name: field for field in dataclasses.fields(cls) if field.name != "account"}
    values = {name: _setting(cls, name, value) for name, value in renamed.items() if name in fields}
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in values:
            values[name] = _setting(cls, name, *PLACEHOLDERS)
    facts = {name: value for name, value in renamed.items() if name not in fields}
    return cls(account=ACCOUNT, **values), facts


def _setting(cls: type[Adapter], name: str, *candidates: Any) -> Any:
    """Return the first candidate that the setting takes; a number may be meant as text."""
    reader = _reader(config.hints(cls)[name])
    texts = [str(each) for each in candidates if isinstance(each, int | float) and not isinstance(each, bool)]
    for candidate in (*candidates, *texts):
        try:
            return reader.validate_python(candidate)
        except ValidationError:
            continue
    raise ConfigError("config", name, f"the adapter takes none of {list(candidates)!r}")


@functools.cache
def _reader(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
