"""A real Prometheus scrapes a real service under load: every query of the dashboard has something to show."""

import asyncio
import contextlib
import datetime as dt
import json
import math
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
import yaml
from tests.deploy.conftest import DEPLOY, RULES, Query, need, shown
from tests.flow.test_certificate import selfsigned, server
from tests.flow.test_traces import Collector

from dragoman.testing.process import Service, configuration, free_port
from dragoman.testing.simulator import serve
from dragoman.testing.simulators.slack import SlackSimulator
from dragoman.testing.simulators.telegram import TelegramSimulator

pytestmark = pytest.mark.timeout(180)
PATIENCE: Final = 90.0
"""Seconds until a query without an answer counts as one that never has any."""
AHEAD: Final = 100.0
"""Seconds by which the simulated Slack's clock is wrong."""
TASKS: Final = """
[tasks.tick]
every = "1s"
to = ["web/kitchen"]
say = "{due}"

[tasks.call]
every = "1s"
call = "http://127.0.0.1:PORT/health/live"
method = "GET"
"""


def written(scraped: int, folder: Path, alerted: int) -> Path:
    """Write Prometheus' configuration, with the rules as they are shipped but evaluated each second.

    With an Alertmanager's port the alerts wait for a second only.
    """
    for path in RULES:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        for group in document["groups"]:
            group.pop("interval", None)
            for rule in group["rules"] if alerted else ():
                rule.update({"for": "1s"} if "alert" in rule else {})
        (folder / path.name).write_text(yaml.safe_dump(document), encoding="utf-8")
    target = {"job_name": "dragoman", "static_configs": [{"targets": [f"127.0.0.1:{scraped}"]}]}
    document = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / path.name) for path in RULES],
        "scrape_configs": [target],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alerted}"]}]}] if alerted else []},
    }
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


@contextlib.asynccontextmanager
async def prometheus(folder: Path, scraped: int, alerted: int = 0) -> AsyncIterator[str]:
    """Run a Prometheus, with an Alertmanager's port if it shall alert; yields its address once it has scraped."""
    program, port = need("prometheus", "prometheus"), free_port()
    options = [f"--config.file={written(scraped, folder, alerted)}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    options.append(f"--web.listen-address=127.0.0.1:{port}")
    with (folder / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(program, *options, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        async with aiohttp.ClientSession() as session, asyncio.timeout(PATIENCE):
            while await unanswered(session, address, [Query(place="scraped", text="up == 1")]):
                await asyncio.sleep(0.1)
        yield address
    finally:
        process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def bot(folder: Path) -> AsyncIterator[tuple[Service, SlackSimulator, int]]:
    """Run a service with a webhook, a poll, a platform whose clock is wrong, tasks, a certificate, traces, a backup."""
    telegram = TelegramSimulator(secret="")
    slack = SlackSimulator(clock=lambda: time.time() + AHEAD)
    slack.unlimited()
    certificate = selfsigned(folder, dt.datetime.now(dt.UTC) + dt.timedelta(days=30))
    async with (
        serve(telegram) as polled,
        serve(slack) as called,
        serve(Collector()) as told,
        server(certificate) as tls,
    ):
        accounts: dict[str, dict[str, Any]] = {
            "webhook": {"platform": "webhook", "token": "t"},
            "tele": {"platform": "telegram", **telegram.settings(polled)},
            "team": {"platform": "slack", **slack.settings(called)},
        }
        more: dict[str, Any] = {
            "public_url": f"https://127.0.0.1:{tls}",
            "metrics_port": free_port(),
            "traces": {"url": told},
            "backup": {"url": str(folder / "backup")},
        }
        service = Service(folder, configuration(accounts, private_hosts=["127.0.0.1"], **more))
        tasks = TASKS.replace("PORT", str(service.port))
        with (folder / "dragoman.toml").open("a", encoding="utf-8") as file:
            file.write(tasks)
        await service.start()
        try:
            yield service, slack, more["metrics_port"]
        finally:
            await service.stop()


async def load(session: aiohttp.ClientSession, service: Service, slack: SlackSimulator) -> None:
    """Write to the bot without end: as a program, as Slack, and as someone without the token."""
    hook, number = service.url + "/webhook", 0
    while True:
        number += 1
        headers = {"authorization": "Bearer t"} if number % 5 else {}
        async with session.post(hook, json={"id": str(number), "content": "hello"}, headers=headers) as answer:
            await answer.read()
        if number % 5 == 0:
            request = slack.webhook("hello", sender="U000001", channel="D000001")
            async with session.post(
                service.url + "/hooks/team", data=request.body, headers=dict(request.headers)
            ) as answer:
                await answer.read()
        await asyncio.sleep(0.05)


async def asked(session: aiohttp.ClientSession, address: str, query: str) -> list[float]:
    """Ask Prometheus; returns the values."""
    async with session.get(f"{address}/api/v1/query", params={"query": query}) as response:
        answer = await response.json()
    assert answer["status"] == "success", f"{query}: {answer}"
    return [float(sample["value"][1]) for sample in answer["data"]["result"]]


def filled(query: Query) -> str:
    """Fill in what Grafana would."""
    text = query.text.replace("$__rate_interval", "30s").replace("$job", "dragoman")
    assert "$" not in text
    return text


async def unanswered(session: aiohttp.ClientSession, address: str, queries: list[Query]) -> list[Query]:
    """Return the queries that have nothing to show yet."""
    left = []
    for query in queries:
        with contextlib.suppress(aiohttp.ClientError):
            if any(not math.isnan(value) for value in await asked(session, address, filled(query))):
                continue
        left.append(query)
    return left


async def broadcast(service: Service) -> None:
    words = ["broadcast", "send", "Hello", "--to", "web/a", "--to", "web/b", "--detach", "--data", str(service.folder)]
    process = await asyncio.create_subprocess_exec(
        *service.command()[:3], *words, cwd=service.folder, stdout=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 0


async def test_every_query_of_the_dashboard_returns_data_from_a_live_run(tmp_path: Path) -> None:
    async with bot(tmp_path) as (service, slack, port), aiohttp.ClientSession() as session:
        writing = asyncio.create_task(load(session, service, slack))
        try:
            async with prometheus(tmp_path, port) as address, asyncio.timeout(PATIENCE):
                left = shown()
                await broadcast(service)
                while left:
                    assert not writing.done()
                    await asyncio.sleep(0.5)
                    left = await unanswered(session, address, left)
                await assert_healthy(session, address)
        except TimeoutError:
            pytest.fail(f"nothing to show: {[query.text for query in left]}")
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)


async def assert_healthy(session: aiohttp.ClientSession, address: str) -> None:
    """Check that no rule failed, and that no alert about this healthy service fires."""
    async with session.get(f"{address}/api/v1/rules") as response:
        groups = (await response.json())["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > 50
    assert [rule["name"] for rule in rules if rule["health"] == "err"] == []
    firing = {rule["name"] for rule in rules if rule.get("state") == "firing"}
    assert firing <= {"DragomanDiskLow"}  # a small machine's disk is not the service's fault


def test_the_dashboard_is_whole() -> None:
    dashboard = json.loads((DEPLOY / "grafana" / "dragoman.json").read_text(encoding="utf-8"))
    panels = dashboard["panels"]
    corners = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len(set(corners)) == len(panels)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)
    assert set(re.findall(r"\$\{?(\w+)", json.dumps(dashboard))) == {"datasource", "job", "__rate_interval", "__all"}
