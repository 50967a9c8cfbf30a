"""What keeps the code readable: no cycles, short functions and files, broad excepts only at the outer loops."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "dragoman"
FILES = sorted(SOURCE.rglob("*.py"))
OUTER_LOOPS = {
    "web/hooks.py",
    "flow/listen.py",
    "flow/sockets.py",
    "store/postgres/group.py",
    "flow/work.py",
    "flow/deliver.py",
    "flow/fire.py",
    "flow/tick.py",
    "flow/broadcast.py",
    "archive/backup/keep.py",  # the loops that keep the copies
    "service/archive.py",  # the loop that archives: the line goes on, whatever it meets
    "service/attend.py",  # the loop that follows accounts
    "testing/vectors/run.py",  # a foreign adapter may raise anything, and that is its FAIL line
    "store/sqlite/writer.py",  # the writer thread's loop: a failure goes to the change that caused it
}


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_functions_and_files_stay_short(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    long = [f"{node.name}: {_length(node)}" for node in functions(path) if _length(node) > 40]

    assert lines <= 500
    assert long == []


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_nine_functions_in_ten_are_short() -> None:
    lengths = sorted(_length(node) for path in FILES for node in functions(path))

    assert lengths[int(len(lengths) * 0.9)] <= 35


def test_broad_excepts_stand_only_at_the_outer_loops() -> None:
    broad = {
        str(path.relative_to(SOURCE))
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or getattr(node.type, "id", "") in {"Exception", "BaseException"})
    }

    assert broad <= OUTER_LOOPS


def test_no_import_is_circular() -> None:
    imports = {module: set(imported(path)) for path in FILES for module in [name_of(path)]}

    assert cycle(imports) == []


def name_of(path: Path) -> str:
    parts = ("dragoman", *path.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(part for part in parts if part != "__init__")


def imported(path: Path) -> Iterator[str]:
    """The modules that importing a file imports (not those imported inside functions or for types only)."""
    modules = {name_of(file) for file in FILES}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in modules else node.module


def cycle(imports: dict[str, set[str]]) -> list[str]:
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done or module not in imports:
            return []
        for below in imports[module]:
            if found := visit(below, [*path, module]):
                return found
        done.add(module)
        return []

    return next((found for module in imports if (found := visit(module, []))), [])
