"""A broadcast that is killed three times: nobody gets it twice, and what is said of each is true."""

from pathlib import Path

import pytest
from tests.faults import broadcast
from tests.store.conftest import server


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_broadcast_killed_three_times_reaches_everybody_at_most_once(tmp_path: Path, seed: int) -> None:
    result = await broadcast.run(tmp_path, recipients=400, kills=3, seed=seed, rate=300.0)

    assert result.problems == []
    assert (result.total, result.kills) == (400, 3)
    assert 4 - result.counts.get("unknown", 0) <= result.counts["failed"] <= 4
    assert result.arrived >= result.counts["sent"]


async def test_it_is_so_on_postgresql_too(tmp_path: Path) -> None:
    async with broadcast.schema(server()) as store:
        result = await broadcast.run(tmp_path, recipients=400, kills=3, store=store, rate=300.0)

    assert result.problems == []
    assert (result.total, result.kills) == (400, 3)
    assert 4 - result.counts.get("unknown", 0) <= result.counts["failed"] <= 4
