"""Import all that the bot may import, so that its bytecode is in the image: nothing can be written there later."""

import ast
import contextlib
import importlib
import pkgutil
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import dragoman


def named(folder: Path) -> Iterator[str]:
    """Name every module that the bot's sources import, inside functions too."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module


def main() -> None:
    """Import; what belongs to an extra that the image does not ship is left out."""
    own = {module.name for module in pkgutil.walk_packages(dragoman.__path__, "dragoman.")} - {"dragoman.__main__"}
    with resources.as_file(resources.files(dragoman)) as folder:
        for name in sorted(own | set(named(folder))):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)


if __name__ == "__main__":
    main()
