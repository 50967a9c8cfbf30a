"""What runs out beside the disk: file descriptors, and the room for the log."""

import asyncio
import contextlib
import errno
import io
import sys
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from dragoman import telemetry
from dragoman.testing.process import Service, configuration

TOKEN = "a-token-of-the-tests"
FILES = 256
IDLE = 1000


class FewFiles(Service):
    """The service under `ulimit -n 256`."""

    def command(self) -> list[str]:
        limit = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({FILES}, {FILES}))"
        return [sys.executable, "-c", f"{limit}\nfrom dragoman.cli import main; main()", *super().command()[3:]]


async def post(service: Service, name: str) -> str:
    """Say something over a connection of its own; returns the reply, empty when there was none."""
    form = {"content": name, "id": name, "sender_id": name}
    headers = {"authorization": f"Bearer {TOKEN}"}
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
            session.post(f"{service.url}/hooks/acme", json=form, headers=headers) as answer,
        ):
            body: Any = await answer.json(content_type=None)
            return str(body.get("reply", ""))
    return ""


@pytest.mark.timeout(120)
async def test_a_service_without_file_descriptors_sheds_and_recovers(tmp_path: Path) -> None:
    account = {"platform": "webhook", "token": TOKEN, "reply_within": 10}
    service = FewFiles(tmp_path, configuration({"acme": account}, plugins=["echo"]))
    idle: list[asyncio.StreamWriter] = []
    await service.start()
    try:
        assert await post(service, "before") == "echo: before"
        for _ in range(IDLE):
            with contextlib.suppress(OSError):
                idle.append((await asyncio.open_connection("127.0.0.1", service.port))[1])
        assert psutil.Process(service.pid).num_fds() > FILES * 0.9

        async with asyncio.timeout(60):  # the idle ones stay: their patience ends by itself, and others get their place
            while await post(service, "meanwhile") != "echo: meanwhile":
                await asyncio.sleep(0.2)
        for writer in idle:
            writer.close()
        assert await post(service, "after") == "echo: after"
        assert not service.exited
    finally:
        for writer in idle:
            writer.close()
        assert await service.stop() == 0


class Full(io.StringIO):
    """A sink whose disk is full."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_log_that_cannot_be_written_loses_its_line_and_nothing_else() -> None:
    telemetry.configure_logs("info", Full())
    before = telemetry.REGISTRY.get_sample_value("dragoman_log_lines_lost_total") or 0

    telemetry.logger("test").info("lost")

    telemetry.configure_logs()
    assert (telemetry.REGISTRY.get_sample_value("dragoman_log_lines_lost_total") or 0) > before
