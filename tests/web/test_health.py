"""What an operator asks of a running service: health and metrics."""

from typing import TYPE_CHECKING

import aiohttp
import pytest

from dragoman.testing.process import free_port

if TYPE_CHECKING:
    from tests.web.conftest import Site, Start

NAMES = (
    "dragoman_stage_seconds",
    "dragoman_reply_seconds",
    "dragoman_events_total",
    "dragoman_refusals_total",
    "dragoman_turns_total",
    "dragoman_deliveries_total",
    "dragoman_queue_depth",
    "dragoman_loop_lag_seconds",
    "dragoman_account_paused",
    "dragoman_listener_progress_timestamp_seconds",
)
STAGES = ("receive", "authenticate", "parse", "route", "respond", "deliver")


async def test_a_running_service_is_live_and_ready(site: "Site") -> None:
    live = await site.get("/health/live")
    ready = await site.get("/health/ready")

    assert (live.status, live.json) == (200, {"status": "live"})
    assert (ready.status, ready.json) == (200, {"status": "ready"})


async def test_a_stopping_service_is_live_but_not_ready(site: "Site") -> None:
    site.house.context.stopping.set()

    live = await site.get("/health/live")
    ready = await site.get("/health/ready")

    assert live.status == 200
    assert ready.status == 503
    assert "stopping" in ready.json["reason"]


async def test_the_metrics_have_the_documented_names(site: "Site") -> None:
    metrics = await site.get("/metrics")

    assert metrics.status == 200
    assert metrics.headers["content-type"].startswith("text/plain")
    for name in NAMES:
        assert f"# TYPE {name.removesuffix('_total')}" in metrics.text or f"# TYPE {name}" in metrics.text


@pytest.mark.parametrize("stage", STAGES)
async def test_every_stage_is_timed(start: "Start", stage: str) -> None:
    async with start() as site:
        await site.post({"content": "hello"})
        platform = "webhook"
        if stage == "deliver":  # the webhook's reply goes into its response; the chat's is pushed
            await say_in_the_chat(site)
            platform = "web"
        line = f'dragoman_stage_seconds_count{{platform="{platform}",stage="{stage}"}}'

        async def counted() -> bool:
            return line in (await site.get("/metrics")).text

        assert await site.until(counted)


async def say_in_the_chat(site: "Site") -> None:
    headers = {"origin": site.url, "cookie": "dragoman_chat=c1"}
    async with site.session.ws_connect(f"{site.url}/chat/socket", headers=headers) as socket:
        await socket.send_json({"id": "1", "text": "hello"})
        types = [(await socket.receive_json(timeout=10))["type"] for _ in range(3)]
    assert sorted(types) == ["accepted", "history", "message"]


async def test_refusals_and_outcomes_are_counted_by_reason(site: "Site") -> None:
    await site.post({"content": "hello", "id": "m1"})
    await site.post({"content": "hello", "id": "m1"})
    await site.post({"content": "hello"}, token="wrong")

    metrics = (await site.get("/metrics")).text

    assert 'dragoman_events_total{account="webhook",outcome="accepted",platform="webhook"}' in metrics
    assert 'dragoman_events_total{account="webhook",outcome="duplicate",platform="webhook"}' in metrics
    assert 'dragoman_refusals_total{account="webhook",reason="forged"}' in metrics


async def test_a_metrics_token_is_asked_for_where_one_is_set(start: "Start") -> None:
    async with start(metrics_token="for the scraper") as site:
        without = await site.get("/metrics")
        wrong = await site.get("/metrics", authorization="Bearer for the scrape")
        right = await site.get("/metrics", authorization="Bearer for the scraper")

    assert (without.status, wrong.status, right.status) == (401, 401, 200)
    assert without.headers["www-authenticate"] == "Bearer"


async def test_beyond_loopback_the_metrics_are_closed_without_a_token(start: "Start") -> None:
    async with start(host="0.0.0.0") as site:
        plain = await site.get("/metrics")
        empty = await site.get("/metrics", authorization="Bearer ")

    assert (plain.status, empty.status) == (401, 401)


async def test_a_public_chat_page_does_not_open_the_metrics(start: "Start") -> None:
    async with start(host="0.0.0.0", public=True, metrics_token="for the scraper") as site:
        plain = await site.get("/metrics")
        right = await site.get("/metrics", authorization="Bearer for the scraper")

    assert (plain.status, right.status) == (401, 200)


async def test_the_metrics_are_not_read_under_a_foreign_host(site: "Site") -> None:
    assert (await site.get("/metrics", host="evil.example")).status in {401, 403}


async def test_the_metrics_may_have_a_port_of_their_own(start: "Start") -> None:
    port = free_port()
    async with start(host="0.0.0.0", metrics_port=port) as site, aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/metrics") as metrics:
            assert metrics.status == 200
            assert "dragoman_queue_depth" in await metrics.text()
        async with session.get(f"http://127.0.0.1:{port}/chat") as other:
            assert other.status == 404
        assert (await site.get("/metrics")).status == 401
