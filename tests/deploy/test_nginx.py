"""nginx by the file that is shipped, and real replicas behind it: each policy, and a list that changes under load."""

import asyncio
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Final

import aiohttp
import pytest
from tests.deploy.balancer import NGINX, Nginx, Site, address, asked, chat, nginx, reply, self_signed, slack_site

from dragoman.testing.load import Load
from dragoman.testing.process import Service
from dragoman.testing.simulators.slack import SlackSimulator

pytestmark = pytest.mark.timeout(180)
VISITORS: Final = [f"visitor-{number}" for number in range(60)]

Session = aiohttp.ClientSession


async def where(balancer: Nginx, many: int, since: int) -> list[tuple[str, str]]:
    """Wait until so many requests stand in the log; returns them."""
    async with asyncio.timeout(20):
        while len(found := balancer.taken(since=since)) < many:
            await asyncio.sleep(0.02)
    return found


async def files(balancer: Nginx, since: int) -> list[tuple[str, str]]:
    """Wait until the log has every visitor's file; it may have late lines of others too."""
    async with asyncio.timeout(20):
        while len(found := [one for one in balancer.taken(since=since) if one[1].startswith("/static/")]) < len(
            VISITORS
        ):
            await asyncio.sleep(0.02)
    return found


async def homes(session: Session, balancer: Nginx) -> dict[str, str]:
    """Let every visitor ask for a file; returns who was sent where."""
    since = balancer.log.stat().st_size
    for visitor in VISITORS:
        headers = {"cookie": f"theme=dark; dragoman_chat={visitor}"}
        async with session.get(f"{balancer.url}/static/{visitor}", headers=headers) as answer:
            assert (answer.status, await answer.text()) == (404, "no such file\n")
    found = await files(balancer, since)
    homes = {path.removeprefix("/static/"): replica for replica, path in found}
    return {visitor: homes[visitor] for visitor in VISITORS}


async def test_each_kind_of_traffic_has_its_policy(tmp_path: Path, database: str) -> None:
    async with (
        slack_site(tmp_path, database) as (site, slack),
        site.replicas("one", "two", "three") as services,
        nginx(tmp_path, [address(each) for each in services]) as balancer,
        Session(cookie_jar=aiohttp.DummyCookieJar()) as session,
    ):
        await assert_only_what_is_meant_is_published(session, balancer)
        await assert_hooks_take_turns(session, balancer, services, slack)
        await assert_who_is_busy_gets_fewer(session, balancer, site)
        await assert_visitors_stay(session, balancer)
        await assert_a_list_that_changes_is_not_noticed(balancer, services, slack)
        assert "/chat" in {path for _, path in balancer.taken()}
        assert "a-secret" not in balancer.log.read_text(encoding="utf-8")


async def assert_only_what_is_meant_is_published(session: Session, balancer: Nginx) -> None:
    async def status(path: str) -> int:
        async with session.get(balancer.url + path) as answer:
            return answer.status

    hidden = ["/metrics", "/health/ready", "/health/live", "/hooks", "/webhookish", "/chat/other", "/control"]
    assert {path: await status(path) for path in hidden} == dict.fromkeys(hidden, 404)
    assert [await status("/chat"), await status("/static/chat.js")] == [200, 200]
    await status("/chat?token=a-secret-of-a-visitor")
    assert [await status("/oauth/team/install") for _ in range(40)].count(429) >= 7


async def assert_hooks_take_turns(
    session: Session, balancer: Nginx, services: list[Service], slack: SlackSimulator
) -> None:
    since = balancer.log.stat().st_size
    for number in range(30):
        request = slack.webhook(f"n{number}", channel=f"D{number:08}")
        async with session.post(f"{balancer.url}/hooks/team", data=request.body, headers=request.headers) as answer:
            assert answer.status == 200

    found = Counter(replica for replica, _ in await where(balancer, 30, since))
    assert found == {address(service): 10 for service in services}


async def assert_who_is_busy_gets_fewer(session: Session, balancer: Nginx, site: Site) -> None:
    since = balancer.log.stat().st_size
    names = ["first", "second", "third"]  # one at each replica
    held = [asyncio.create_task(asked(session, balancer.url, f"/hold {name}", name)) for name in names]
    site.open("first", "second")
    assert [await each for each in held[:2]] == [(200, "held first"), (200, "held second")]
    idle = {replica for replica, _ in await where(balancer, 2, since)}
    assert len(idle) == 2
    since = balancer.log.stat().st_size
    for number in range(30):
        assert await asked(session, balancer.url, f"n{number}", f"quick-{number}") == (200, f"echo: n{number}")

    found = Counter(replica for replica, _ in await where(balancer, 30, since))
    assert set(found) == idle
    assert min(found.values()) >= 10
    site.open("third")
    assert await held[2] == (200, "held third")


async def assert_visitors_stay(session: Session, balancer: Nginx) -> None:
    """The same visitor comes to the same replica; when one leaves, only those who were there move, and then return."""
    first = await homes(session, balancer)
    assert await homes(session, balancer) == first
    leaving, many = Counter(first.values()).most_common()[-1]
    assert many >= len(VISITORS) // 6
    visitor = next(visitor for visitor in VISITORS if first[visitor] == leaving)
    async with chat(session, balancer.url, visitor) as socket:
        await balancer.reload(down=[leaving])
        without = await homes(session, balancer)
        assert await reply(socket, "still here") == "echo: still here"
    moved = {visitor for visitor in VISITORS if without[visitor] != first[visitor]}
    assert moved == {visitor for visitor in VISITORS if first[visitor] == leaving}
    await balancer.reload()
    assert await homes(session, balancer) == first


async def assert_a_list_that_changes_is_not_noticed(
    balancer: Nginx, services: list[Service], slack: SlackSimulator
) -> None:
    """Under load one replica is taken out of the list, ended, started again, and put back."""
    stop, slack.sent[:] = asyncio.Event(), []
    load = Load(slack, f"{balancer.url}/hooks/team", conversations=60, channel="D9{:07}")
    working = asyncio.create_task(load.run(25.0, 120.0, stop=stop))
    try:
        await balancer.reload(down=[address(services[0])])
        assert await services[0].stop() == 0
        await services[0].start()
        since = balancer.log.stat().st_size
        await balancer.reload()
        while address(services[0]) not in {replica for replica, _ in balancer.taken(since=since)}:
            await asyncio.sleep(0.05)
    finally:
        stop.set()
    await working
    await load.settle(30.0)
    verdict = load.judge()
    assert load.statuses[200] == len(load.samples)
    assert load.statuses.total() - load.statuses[200] == load.statuses[0] <= 4  # a reload closes idle connections
    assert (verdict.lost, verdict.duplicates, verdict.inversions) == ((), 0, 0)


async def test_the_files_beside_it_are_valid_as_they_are_shipped(tmp_path: Path) -> None:
    server, certificate = Nginx(tmp_path, []), self_signed(tmp_path)
    door = (NGINX / "dragoman.door").read_text(encoding="utf-8")
    written = re.sub(r"(ssl_certificate(?:_key)?) \S+;", rf"\1 {certificate};", door)
    written = written.replace("/var/log/nginx", str(tmp_path))
    (tmp_path / "nginx" / "dragoman.door").write_text(written, encoding="utf-8")
    shutil.copy(NGINX / "dragoman.replicas", tmp_path / "nginx")

    assert await (await server.run("-t")).wait() == 0, server.said()
    assert "test is successful" in server.said()
