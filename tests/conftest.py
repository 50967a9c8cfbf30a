"""What all tests share: a clock that stands still, properties that are the same in every run, and no skip in CI."""

import os
from collections.abc import Generator

import hypothesis
import pytest

from dragoman.testing.clock import FakeClock

hypothesis.settings.register_profile("dragoman", deadline=None, derandomize=True, print_blob=False)
hypothesis.settings.load_profile("dragoman")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where all servers are installed (`.ci/run`), a test that skips for want of one has failed."""
    report = yield
    if report.skipped and os.environ.get("REQUIRE_SERVERS"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report
