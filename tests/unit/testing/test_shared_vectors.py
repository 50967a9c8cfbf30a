"""The shared vectors of every shipped platform, run where the repository lies beside them."""

from pathlib import Path

import pytest

from dragoman.testing.conformance import run_vectors

SHARED = Path(__file__).parents[3] / "../shared/platforms/vectors"


@pytest.mark.parametrize("platform", ["slack", "telegram", "feishu"])
def test_no_shared_case_fails(platform: str) -> None:
    path = SHARED / f"{platform}.json"
    if not path.is_file():
        pytest.skip("the shared vectors are not beside this repository")

    results = run_vectors(platform, path)

    assert [result.line for result in results if result.status == "FAIL"] == []
    assert {result.detail for result in results if result.status == "skip"} <= {"websocket"}
