"""Installations among replicas: two real processes on one PostgreSQL, and Slack's app installed through both."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest

from dragoman.testing.process import Service, configuration
from dragoman.testing.simulator import serve
from dragoman.testing.simulators.slack import SlackSimulator
from dragoman.wire import Http

PUBLIC = "https://bot.example.org"
CALLBACK = f"{PUBLIC}/oauth/bench/callback"
KEY = "an encryption key that both of the replicas have"


@contextlib.asynccontextmanager
async def replicas(folder: Path, database: str, url: str, slack: SlackSimulator) -> AsyncIterator[list[Service]]:
    slack.oauth.redirect_uris.add(CALLBACK)
    table = {"platform": "slack", **slack.install_settings(url), "public_install": True}
    settings = {"store": database, "encryption_key": KEY, "public_url": PUBLIC, "plugins": ["echo"]}
    services = [Service(folder / name, configuration({"bench": table}, **settings)) for name in ("one", "two")]
    try:
        for service in services:
            await service.start()
        yield services
    finally:
        for service in services:
            await service.stop()


async def opened(url: str, cookie: str = "") -> tuple[int, str, str]:
    """Open a page as a browser does, redirects aside; returns status, location and the cookie that it set."""
    headers = {"cookie": cookie} if cookie else {}
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.get(url, headers=headers, allow_redirects=False) as answer,
    ):
        kept = "; ".join(f"{name}={morsel.value}" for name, morsel in answer.cookies.items())
        return answer.status, answer.headers.get("location", ""), kept


async def post(service: Service, request: Http) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{service.url}/hooks/bench", data=request.body, headers=request.headers) as answer,
    ):
        return answer.status


async def test_replicas_share_an_installation_and_refresh_its_token_once(tmp_path: Path, database: str) -> None:
    slack = SlackSimulator()
    slack.oauth.rotation = True
    async with serve(slack) as url, replicas(tmp_path, database, url, slack) as services:
        _, asked, cookie = await opened(f"{services[0].url}/oauth/bench/install")
        query = {**dict(parse_qsl(urlsplit(asked).query)), "team": "T1"}
        back = slack.oauth.authorize(Http(query=query)).headers["location"]
        status, _, _ = await opened(f"{services[1].url}{back.removeprefix(PUBLIC)}", cookie)
        assert status == 200

        grant = slack.oauth.grants["T1"]
        grant.access = dict.fromkeys(grant.access, 0.0)
        said = [slack.webhook(f"n{number}", team="T1", channel=f"D{number}") for number in range(16)]
        statuses = await asyncio.gather(*(post(services[n % 2], each) for n, each in enumerate(said)))
        async with asyncio.timeout(40):
            while len(slack.sent) < 16:
                await asyncio.sleep(0.02)

        assert set(statuses) == {200}
        assert sorted(each.text for each in slack.sent) == sorted(f"echo: n{number}" for number in range(16))
        assert slack.oauth.exchanged == ["authorization_code", "refresh_token"]
        assert set(slack.refused) == {"chat.postMessage: token_expired"}


async def test_a_replica_with_another_key_does_not_start(tmp_path: Path, database: str) -> None:
    slack = SlackSimulator()
    async with serve(slack) as url, replicas(tmp_path, database, url, slack):
        other = {"store": database, "encryption_key": "another key than the one that all the others have"}
        stranger = Service(tmp_path / "stranger", configuration({}, **other))

        with pytest.raises(RuntimeError, match="encryption_key: is not the key that the kept tokens are under"):
            await stranger.start()
