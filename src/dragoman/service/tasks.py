"""The tasks of the configuration: `[tasks.NAME]`, read and checked like everything else in it."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from dragoman import config
from dragoman.adapters.local import Inside
from dragoman.config import Document
from dragoman.engine.plugin import Loaded
from dragoman.engine.route import Policy
from dragoman.flow import task
from dragoman.flow.account import INSIDE, Account
from dragoman.flow.client import Refer
from dragoman.flow.task import Surroundings, Task

HOUSE: Final = Account(name=INSIDE, adapter=Inside(account=INSIDE), policy=Policy(answer="always"))
"""The account of no platform."""


def load(
    document: Document, environ: Mapping[str, str], accounts: Iterable[Account], loaded: Mapping[str, Loaded]
) -> dict[str, Task]:
    """Read and check all tasks; raises `ConfigError`."""
    there = {account.name: account for account in accounts}
    around = Surroundings(
        account=there.get,
        accounts=list(there),
        off=frozenset(config.table_at(document, "accounts")) - there.keys(),
        plugins=list(loaded.values()),
        refer=references(document, environ),
    )
    return {name: task.read(document, name, environ, around) for name in config.table_at(document, "tasks")}


def needs(document: Document) -> Iterator[tuple[str, str]]:
    """Name the plugins that tasks need, each with the key that says so."""
    yield "tasks", "tasks"
    for name in config.table_at(document, "tasks"):
        table = config.table_at(document, f"tasks.{name}")
        if table.get("ask"):
            yield "llm", f"tasks.{name}.ask"
        plugin = str(table.get("run", "")).rpartition(".")[0]
        if plugin:
            yield plugin, f"tasks.{name}.run"


def references(document: Document, environ: Mapping[str, str]) -> Refer:
    """Return what reads the references (`env:NAME`, `file:PATH`) of tasks."""

    def refer(text: str) -> str:
        return str(config.refer(document, "tasks", text, environ))

    return refer


def effective(tasks: Mapping[str, Task]) -> dict[str, Any]:
    """Return tasks as plain data."""
    return {name: config.shown(each) for name, each in tasks.items()}


def schema() -> dict[str, Any]:
    """Return the JSON Schema of `[tasks]`."""
    return {
        "description": "Recurring tasks; the table's name is the task's.",
        "type": "object",
        "propertyNames": {"pattern": f"^{config.NAME.pattern}$"},
        "additionalProperties": config.schema_of(Task),
    }
