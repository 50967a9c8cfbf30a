"""What the pages tell people to write into files is accepted by what reads these files."""

import json
import re
import tomllib
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import helm_python
import pytest
import yaml

from dragoman.errors import ConfigError
from dragoman.plugins import rulebook
from dragoman.service import installation

if TYPE_CHECKING:
    from tests.docs.conftest import Block, Page

LANGUAGES = {"python", "toml", "json", "sh", "yaml", "text"}


def accepted(folder: Path, text: str, environ: dict[str, str]) -> list[str]:
    """Load a configuration as `dragoman run` does before it opens anything; returns the accounts' names."""
    path = folder / "dragoman.toml"
    path.write_text(text, encoding="utf-8")
    found = installation.load(data=str(folder), configuration=str(path), environ=environ, overrides={})
    plugins = installation.load_plugins(found)
    accounts = installation.load_accounts(found, plugins)
    installation.load_tasks(found, accounts, plugins)
    return [account.name for account in accounts]


def test_every_block_has_a_language_that_is_checked(page: "Page") -> None:
    assert [block.place for block in page.blocks if block.language not in LANGUAGES] == []


def test_every_configuration_is_accepted(page: "Page", desk: "Callable[[Page], Path]", secrets: dict[str, str]) -> None:
    folder = desk(page)

    for block in page.of("toml"):
        tables = tomllib.loads(block.text)
        if not block.saved_as:
            assert set(tables.get("accounts", ())) <= set(accepted(folder, block.text, secrets)), block.place


def test_a_setting_that_does_not_exist_would_be_noticed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean port"):
        accepted(tmp_path, "prot = 1\n", {})


def test_what_the_first_configuration_comments_out_is_accepted(
    pages: "dict[str, Page]", desk: "Callable[[Page], Path]", secrets: dict[str, str]
) -> None:
    folder = desk(pages["SECURITY.md"])
    text = (resources.files("dragoman.service") / "first.toml").read_text(encoding="utf-8")
    whole = re.sub(r"^# (?=\[|\w+ = )", "", text, flags=re.MULTILINE)

    assert {"webhook", "telegram", "slack"} <= set(accepted(folder, whole, secrets))
    assert "llm" in tomllib.loads(whole)["plugin"]


def test_every_json_block_is_json(json_block: "Block") -> None:
    assert json.loads(json_block.text)


def test_every_rule_is_accepted_and_every_value_of_the_chart(yaml_block: "Block", root: Path) -> None:
    if yaml_block.saved_as == "values.yaml":
        chart = helm_python.Chart.load(str(root / "deploy/helm/dragoman"))
        assert chart.render(yaml.safe_load(yaml_block.text), name="bot", namespace="chat")
        return
    assert rulebook.compiled(yaml.safe_load(yaml_block.text)).exact
