"""The tests of outgoing HTTP run on both event loops: the service's, and the one of who embeds a part of it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import uvloop

from dragoman.flow.media import MediaStore
from dragoman.flow.transport.http import HttpTransport


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def transport(tmp_path: Path) -> AsyncIterator[HttpTransport]:
    carrier = HttpTransport(MediaStore(tmp_path / "media"))
    yield carrier
    await carrier.close()
