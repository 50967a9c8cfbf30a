"""Alerts that a real service causes go through a real Prometheus and a real Alertmanager to whom they should reach."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
import yaml
from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from tests.deploy.conftest import DEPLOY, need
from tests.deploy.test_dashboard import prometheus

from dragoman.testing.process import Service, configuration, free_port
from dragoman.testing.simulator import respond, serve
from dragoman.testing.simulators.telegram import TelegramSimulator
from dragoman.wire import Response

pytestmark = pytest.mark.timeout(180)
PATIENCE: Final = 90.0
PLUGIN: Final = """
from dragoman import Plugin, Turn

plugin = Plugin("broken")


@plugin.command("fail")
async def fail(turn: Turn) -> None:
    raise ValueError("as the test wants it")
"""


@dataclasses.dataclass(kw_only=True)
class Phone:
    """Whom Alertmanager calls: what was said to whom."""

    said: list[tuple[str, dict[str, Any]]] = dataclasses.field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).json()
        self.said += [(scope["path"].strip("/"), alert) for alert in body["alerts"]]
        await respond(send, Response(status=200))

    async def rings(self, receiver: str, name: str, **labels: str) -> dict[str, Any]:
        """Wait until an alert with these labels has come; returns it. Raises `TimeoutError`."""
        wanted = {"alertname": name, **labels}.items()
        async with asyncio.timeout(PATIENCE):
            while True:
                for who, alert in self.said:
                    if who == receiver and wanted <= alert["labels"].items():
                        return alert
                await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def alertmanager(folder: Path, phone: str) -> AsyncIterator[int]:
    """Run an Alertmanager by the example that is shipped, which does not wait before it calls; yields its port."""
    program, port = need("prometheus-alertmanager", "prometheus-alertmanager"), free_port()
    document = yaml.safe_load((DEPLOY / "prometheus" / "alertmanager.yml").read_text(encoding="utf-8"))
    for route in (document["route"], *document["route"]["routes"]):
        route.update(group_wait="0s", group_interval="1s")
    for receiver in document["receivers"]:
        for hook in receiver["webhook_configs"]:
            hook["url"] = f"{phone}/{hook['url'].rpartition('/')[2]}"
    path = folder / "alertmanager.yml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    options = [f"--config.file={path}", f"--storage.path={folder / 'alerts'}", "--cluster.listen-address="]
    options.append(f"--web.listen-address=127.0.0.1:{port}")
    with (folder / "alertmanager.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(program, *options, stdout=log, stderr=log)
    try:
        yield port
    finally:
        process.terminate()
        await process.wait()


async def trouble(service: Service) -> None:
    """Let a handler fail, and come without the token, a hundred and fifty times each, over some seconds."""
    hook = service.url + "/webhook"

    async def write(number: int, headers: dict[str, str]) -> int:
        body = {"id": str(number), "content": "/fail", "conversation_id": str(number)}
        async with session.post(hook, json=body, headers=headers) as answer:
            return answer.status

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        for number in range(150):
            group.create_task(write(number, {"authorization": "Bearer t"}))
            group.create_task(write(number, {}))
            await asyncio.sleep(0.04)


async def test_what_goes_wrong_reaches_whom_it_should(tmp_path: Path) -> None:
    phone, telegram = Phone(), TelegramSimulator(secret="")
    (tmp_path / "broken.py").write_text(PLUGIN, encoding="utf-8")
    async with contextlib.AsyncExitStack() as stack:
        accounts: dict[str, dict[str, Any]] = {
            "webhook": {"platform": "webhook", "token": "t", "messages_per_minute": 0, "reply_within": 1},
            "tele": {"platform": "telegram", **telegram.settings(await stack.enter_async_context(serve(telegram)))},
        }
        text = configuration(accounts, plugins=["broken", "echo"]) + '[plugin.broken]\nuse = "broken.py"\n'
        service = Service(tmp_path, text)
        await service.start()
        stack.push_async_callback(service.stop)
        port = await stack.enter_async_context(alertmanager(tmp_path, await stack.enter_async_context(serve(phone))))
        await stack.enter_async_context(prometheus(tmp_path, service.port, port))

        await trouble(service)
        failed = await phone.rings("pager", "DragomanErrorBudgetBurns", step="turn", pace="fast", severity="critical")
        assert failed["annotations"]["summary"] == "100% failed within an hour at the step turn."
        forged = await phone.rings("team", "DragomanRequestsForged", account="webhook", severity="warning")
        assert forged["annotations"]["runbook_url"].endswith("#dragomanrequestsforged")

        telegram.token = "revoked"
        refused = await phone.rings("pager", "DragomanAccountPaused", account="tele", severity="critical")
        assert refused["annotations"]["summary"] == "The platform refuses tele."

        await service.kill()
        await phone.rings("pager", "DragomanGone", severity="critical")
        assert [alert for _, alert in phone.said if "<no value>" in str(alert) or "<error" in str(alert)] == []
