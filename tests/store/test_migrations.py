"""Migrations only add: the release before runs on the new schema, and one that takes away says whose it is then."""

import re

import pytest

from dragoman.errors import StoreDamaged
from dragoman.store.named import CONTRACTS, missing, numbered

TAKES_AWAY = re.compile(r"\b(DROP|RENAME|TRUNCATE|SET NOT NULL|ALTER COLUMN)\b", re.IGNORECASE)
ADDED = re.compile(r"ADD COLUMN\s+(?:IF NOT EXISTS\s+)?\w+\s+([^,;]+)", re.IGNORECASE)


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_a_migration_adds_only_or_names_the_schema_that_can_do_without(database: str) -> None:
    for name, sql in numbered(database).values():
        text = re.sub(r"--.*", "", sql)
        assert CONTRACTS.search(name) or not TAKES_AWAY.search(text), name


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_an_added_column_has_a_default_wherever_it_may_not_be_empty(database: str) -> None:
    for name, sql in numbered(database).values():
        for column in ADDED.findall(re.sub(r"--.*", "", sql)):
            assert "NOT NULL" not in column.upper() or "DEFAULT" in column.upper(), f"{name}: {column}"


def shipped(database: str) -> dict[int, tuple[str, str]]:
    return {migration.number: (migration.name, migration.digest) for migration in missing(database, {}, "it")}


def test_a_schema_that_has_all_needs_nothing() -> None:
    assert missing("sqlite", shipped("sqlite"), "it") == []


def test_a_newer_schema_that_only_adds_is_taken_as_it_is() -> None:
    assert missing("sqlite", {**shipped("sqlite"), 9999: ("9999_later.sql", "x")}, "it") == []


def test_a_newer_schema_that_takes_away_what_we_have_not_used_for_a_release_is_taken_too() -> None:
    newest = max(numbered("sqlite"))

    assert missing("sqlite", {**shipped("sqlite"), 9999: (f"9999_less_from_{newest:04}.sql", "x")}, "it") == []


def test_a_newer_schema_that_takes_away_what_we_use_is_refused() -> None:
    with pytest.raises(StoreDamaged, match="upgrade"):
        missing("sqlite", {**shipped("sqlite"), 9999: ("9999_less_from_9998.sql", "x")}, "it")
