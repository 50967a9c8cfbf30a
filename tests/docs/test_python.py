"""Every Python block of every page runs, in order, as its reader would run it."""

import ast
import importlib
import inspect
import sys
import types
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dragoman import adapters, plugins

if TYPE_CHECKING:
    from tests.docs.conftest import Block, Page


async def run(block: "Block", module: types.ModuleType) -> None:
    """Run a block in a page's namespace; it may await."""
    tree = ast.parse(block.text, block.place)
    ast.increment_lineno(tree, block.line)
    code = compile(tree, block.page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, module.__dict__)  # noqa: S307 - our own pages
    if inspect.iscoroutine(result):
        await result


async def test_the_python_blocks_of_a_page_run(
    python_page: "Page", desk: "Callable[[Page], Path]", monkeypatch: pytest.MonkeyPatch
) -> None:
    desk(python_page)
    module = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)

    for block in python_page.of("python"):
        await run(block, module)


async def test_a_block_that_is_wrong_is_noticed(pages: "dict[str, Page]") -> None:
    block = next(block for block in pages["README.md"].of("python") if "assert" in block.text)

    with pytest.raises(NameError):
        await run(block, types.ModuleType("page"))  # without the blocks before it


def test_what_a_page_registers_can_be_loaded(page: "Page", desk: "Callable[[Page], Path]") -> None:
    folder = desk(page)
    found = [
        (entry.group, entry.name)
        for distribution in metadata.distributions(path=[str(folder)])
        for entry in distribution.entry_points
    ]

    assert bool(found) == any(block.saved_as == "pyproject.toml" for block in page.blocks)
    loaders: dict[str, Callable[[str], object]] = {adapters.GROUP: adapters.load, plugins.GROUP: plugins.load}
    for group, name in found:
        assert loaders[group](name)


def test_the_public_names_are_those_that_the_pages_use(pages: "dict[str, Page]") -> None:
    package = importlib.import_module("dragoman")
    imported = {
        alias.name
        for page in pages.values()
        for block in page.of("python")
        for node in ast.walk(ast.parse(block.text))
        if isinstance(node, ast.ImportFrom) and node.module == "dragoman"
        for alias in node.names
    }

    missing = {name for name in imported if not hasattr(package, name)}
    assert missing - {"crypto", "text", "wire"} == set()
