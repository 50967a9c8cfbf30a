"""A model is paid once: the process is killed after its answer arrived, and the replay does not ask again."""

import signal
from pathlib import Path

import aiohttp

from dragoman.testing.model_server import ModelServer
from dragoman.testing.process import Service, configuration
from dragoman.testing.simulator import serve


async def ask(service: Service, text: str, name: str) -> tuple[int, str]:
    """Ask over the webhook; the service may die while we wait."""
    url, headers = f"{service.url}/webhook", {"authorization": "Bearer hook-token"}
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, json={"content": text, "id": name}, headers=headers) as answer,
        ):
            return answer.status, (await answer.json())["reply"]
    except aiohttp.ClientError:
        return 0, ""


async def test_a_crash_after_the_models_answer_arrived_does_not_pay_twice(tmp_path: Path) -> None:
    model = ModelServer()
    async with serve(model) as url:
        plugin = f'[plugin.llm]\nbase_url = "{url}/v1"\nmodel = "small"\n'
        hook = {"platform": "webhook", "token": "hook-token"}
        service = Service(tmp_path, configuration({"webhook": hook}, plugins=["llm"]) + plugin)
        await service.start(crash="c7:1")
        try:
            assert await ask(service, "What is it?", "m1") == (0, "")
            assert await service.wait(30) == -signal.SIGKILL
            await service.start()

            assert await ask(service, "What is it?", "m1") == (200, "You said: What is it?")
        finally:
            assert await service.stop() == 0

    assert len(model.requests) == 1
