"""The plugins that ship: a name for each, loaded on use; others come by entry point, by file, or by module."""

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Final

from dragoman import crypto
from dragoman.engine.plugin import Plugin, adopt
from dragoman.errors import DragomanError, PluginError

GROUP: Final = "dragoman.plugins"

SHIPPED: Final = {
    "optout": "dragoman.plugins.optout:plugin",
    "remind": "dragoman.plugins.remind:plugin",
    "rules": "dragoman.plugins.rules:plugin",
    "echo": "dragoman.plugins.echo:plugin",
    "llm": "dragoman.plugins.llm:plugin",
    "tasks": "dragoman.plugins.tasks:plugin",
}

FAILURES: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    DragomanError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What running somebody's module may raise."""


def names() -> tuple[str, ...]:
    """Return the name of every plugin that can be loaded by name, shipped ones first."""
    found = {entry.name for entry in metadata.entry_points(group=GROUP)}
    return (*SHIPPED, *sorted(found - set(SHIPPED)))


def load(use: str) -> Plugin:
    """Return a plugin: by name, by the path of a `.py` file, or as `package.module:attribute`.

    A file has it in its attribute `plugin`. Raises `PluginError` with what was asked for and the reason.
    """
    if use in SHIPPED:
        return _from_module(SHIPPED[use], use)
    if use.endswith(".py"):
        return _from_file(Path(use).expanduser())
    if ":" in use:
        return _from_module(use, use)
    for entry in metadata.entry_points(group=GROUP, name=use):
        with _blamed_on(f"plugin {use}"):
            return adopt(entry.load(), use)
    raise PluginError(
        f"plugin {use}: there is none of that name (known: {', '.join(names())}; "
        "or give a file ending in .py, or package.module:attribute)"
    )


def _from_module(path: str, name: str) -> Plugin:
    module, _, attribute = path.partition(":")
    with _blamed_on(f"plugin {name}"):
        return adopt(getattr(importlib.import_module(module), attribute), attribute)


def _from_file(path: Path) -> Plugin:
    if not path.is_file():
        raise PluginError(f"{path}: there is no such file")
    with _blamed_on(str(path)):
        module = _run(path.resolve())
        if not hasattr(module, "plugin"):
            raise PluginError("it has no attribute `plugin`")
        return adopt(module.plugin, path.stem)


def _run(path: Path) -> ModuleType:
    """Run a file as a module that dataclasses and type hints can find, under a name that only it has."""
    name = f"dragoman_plugin_{path.stem}_{crypto.fingerprint(str(path))}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError("it cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _blamed_on(source: str) -> Iterator[None]:
    """Turn whatever loading raises into a `PluginError` that names its source."""
    try:
        yield
    except PluginError as error:
        raise PluginError(f"{source}: {error}") from error
    except FAILURES as error:
        raise PluginError(f"{source}: {type(error).__name__}: {error}") from error
