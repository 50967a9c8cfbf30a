"""What all tests share: a clock that stands still, and properties that are the same in every run."""

import hypothesis
import pytest

from dragoman.testing.clock import FakeClock

hypothesis.settings.register_profile("dragoman", deadline=None, derandomize=True, print_blob=False)
hypothesis.settings.load_profile("dragoman")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
