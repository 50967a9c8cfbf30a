"""What the chart's pods would run is run: the same commands and variables, on a real PostgreSQL."""

import asyncio
import contextlib
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg
import pytest
from tests.deploy.test_chart import environment, pods, rendered

from dragoman.testing.process import free_port

pytestmark = pytest.mark.timeout(180)
VALUES: Final[dict[str, Any]] = {
    "config": 'plugins = ["echo"]\n\n[accounts.webhook]\nplatform = "webhook"\ntoken = "env:HOOK_TOKEN"\n',
    "accounts": {"env": ["hook"]},
}
BEARER: Final = {"authorization": "Bearer a-hook-token-of-the-tests"}


class Pod:
    """One container of the chart as a process, on a port of its own."""

    def __init__(self, container: dict[str, Any], pod: dict[str, Any], folder: Path, store: str) -> None:
        self.container, self.port = container, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.time_to_stop = pod["terminationGracePeriodSeconds"] - container["lifecycle"]["preStop"]["sleep"]["seconds"]
        places = {"/data": str(folder), "/etc/dragoman/config/dragoman.toml": str(folder.parent / "dragoman.toml")}
        self.words = [places.get(word, word) for word in container["command"] + container["args"]][1:]
        given = {name: value for name, value in environment(container).items() if "CACHE" not in name}
        local = {"DRAGOMAN_STORE": store, "DRAGOMAN_HOST": "127.0.0.1", "DRAGOMAN_PORT": str(self.port)}
        mine = {"DRAGOMAN_PUBLIC_URL": self.url, "HOOK_TOKEN": "a-hook-token-of-the-tests"}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DRAGOMAN_")}
        self.environ = {**inherited, **given, **local, **mine}
        self.log = folder.with_suffix(".log")
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "dragoman", *self.words, env=self.environ, stdout=log, stderr=log
            )

    async def status(self, session: aiohttp.ClientSession, path: str, headers: dict[str, str] | None = None) -> int:
        """Return the status of a path, 0 when nobody answers."""
        try:
            async with session.get(self.url + path, headers=headers) as answer:
                return answer.status
        except aiohttp.ClientError:
            return 0

    async def probed(self, session: aiohttp.ClientSession) -> None:
        """Wait until every probe of the container is content."""
        for name in ("startupProbe", "livenessProbe", "readinessProbe"):
            path = self.container[name]["httpGet"]["path"]
            while await self.status(session, path) != 200:
                assert self.process is not None
                assert self.process.returncode is None, self.log.read_text(encoding="utf-8")
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def schema() -> AsyncIterator[str]:
    """Make a schema on the server at hand, and drop it at the end."""
    url = os.environ.get("TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")
    try:
        connection = await asyncpg.connect(url, timeout=3)
    except OSError:
        pytest.skip("no PostgreSQL answers (set TEST_POSTGRES)")
    name = f"chart_{secrets.token_hex(4)}"
    try:
        await connection.execute(f"CREATE SCHEMA {name}")
        yield f"{url}?search_path={name}"
    finally:
        await connection.execute(f"DROP SCHEMA {name} CASCADE")
        await connection.close()


@contextlib.asynccontextmanager
async def fleet(tmp_path: Path) -> AsyncIterator[dict[str, Pod]]:
    """Run one pod of each role."""
    (files,) = rendered(VALUES, "ConfigMap")
    (tmp_path / "dragoman.toml").write_text(files["data"]["dragoman.toml"], encoding="utf-8")
    async with schema() as store:
        running = {role: Pod(container, pod, tmp_path / role, store) for role, pod, container in pods(VALUES)}
        try:
            for pod in running.values():
                await pod.start()
            yield running
        finally:
            for pod in running.values():
                if pod.process is not None and pod.process.returncode is None:
                    pod.process.kill()
                    await pod.process.wait()


async def test_the_three_roles_answer_their_probes_and_people_and_stop_in_time(tmp_path: Path) -> None:
    async with fleet(tmp_path) as running, aiohttp.ClientSession() as session:
        async with asyncio.timeout(90):
            await asyncio.gather(*(pod.probed(session) for pod in running.values()))
        token = {"authorization": f"Bearer {running['engine'].environ['DRAGOMAN_METRICS_TOKEN']}"}
        assert {await pod.status(session, "/metrics", token) for pod in running.values()} == {200}
        assert {await pod.status(session, "/metrics") for pod in running.values()} == {401}
        hook = running["gateway"].url + "/webhook"
        async with session.post(hook, json={"content": "hello"}, headers=BEARER) as answer:
            assert (await answer.json())["reply"] == "echo: hello"

        await assert_stops_in_time(running, session)


async def assert_stops_in_time(running: dict[str, Pod], session: aiohttp.ClientSession) -> None:
    """Terminate all: the gateway is not ready any more while its doors are still open, and each ends in time."""
    began, gateway = time.monotonic(), running["gateway"]
    for pod in running.values():
        assert pod.process is not None
        pod.process.terminate()
    while (status := await gateway.status(session, "/health/ready")) == 200:
        await asyncio.sleep(0.02)
    assert (status, await gateway.status(session, "/health/live")) == (503, 200)
    for pod in running.values():
        assert pod.process is not None
        async with asyncio.timeout(pod.time_to_stop - (time.monotonic() - began)):
            assert await pod.process.wait() == 0
