"""What all tests share: a clock that stands still, properties that are the same in every run, and no skip in CI."""

import os
import secrets
import socket
from collections.abc import AsyncIterator, Generator
from urllib.parse import urlsplit

import asyncpg
import hypothesis
import pytest

from dragoman.testing.clock import FakeClock

hypothesis.settings.register_profile("dragoman", deadline=None, derandomize=True, print_blob=False)
hypothesis.settings.load_profile("dragoman")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def database() -> AsyncIterator[str]:
    """A schema of its own on the server at hand; the test is skipped when none answers."""
    url = os.environ.get("TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")
    place, schema = urlsplit(url), f"t{secrets.token_hex(6)}"
    try:
        socket.create_connection((place.hostname or "127.0.0.1", place.port or 5432), 2).close()
    except OSError as error:
        pytest.skip(f"no PostgreSQL at {place.hostname}:{place.port or 5432} (set TEST_POSTGRES): {error.strerror}")
    connection = await asyncpg.connect(url)
    await connection.execute(f"CREATE SCHEMA {schema}")
    yield f"{url}?search_path={schema}"
    await connection.execute(f"DROP SCHEMA {schema} CASCADE")
    await connection.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where all servers are installed (`.ci/run`), a test that skips for want of one has failed."""
    report = yield
    if report.skipped and os.environ.get("REQUIRE_SERVERS"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report
