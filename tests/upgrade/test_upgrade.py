"""The way to the next release and back, on a file, under traffic; `make upgrade-test` runs all of it, also the last."""

from pathlib import Path

import pytest
from tests.faults.scenario import run
from tests.upgrade import releases
from tests.upgrade.upgrade import problems, scenario

STORES = ("sqlite", "postgres")


async def test_the_next_release_and_back_lose_nothing_and_answer_nothing_twice(tmp_path: Path) -> None:
    old, new = releases.ours(), releases.after("sqlite", tmp_path)

    line = await run(scenario("sqlite", old, new), "sqlite", 1, tmp_path)

    assert problems(line) == []
    assert (line["blows"], line["sent"] > 50, line["sent"] == line["acked"]) == (2, True, True)


@pytest.mark.parametrize("store", STORES)
def test_the_next_release_has_a_migration_more(store: str, tmp_path: Path) -> None:
    assert releases.after(store, tmp_path).schema(store) == releases.ours().schema(store) + 1


@pytest.mark.parametrize("store", STORES)
def test_the_release_before_is_another_tree_whose_schema_is_no_newer(store: str, tmp_path: Path) -> None:
    try:
        found = releases.before(store, tmp_path)
    except releases.NoHistory as absent:
        pytest.skip(f"the history is not here: {absent}")

    assert found.source.is_relative_to(tmp_path)
    assert 0 < found.schema(store) <= releases.ours().schema(store)
    assert (found.source / "dragoman/cli/__init__.py").read_text(encoding="utf-8")
