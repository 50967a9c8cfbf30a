"""haproxy by the file that is shipped, and real replicas behind it: each policy, and coming and going under load."""

import asyncio
import contextlib
import ssl
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import aiohttp
import pytest
from tests.deploy.balancer import Haproxy, Site, address, asked, chat, haproxy, reply, self_signed, slack_site

from dragoman.testing.load import Load
from dragoman.testing.process import Service
from dragoman.testing.simulators.slack import SlackSimulator

pytestmark = pytest.mark.timeout(180)
REPLICAS: Final = ("replica-1", "replica-2", "replica-3")
VISITORS: Final = [f"visitor-{number}" for number in range(60)]

Session = aiohttp.ClientSession


async def events(session: Session, service: Service) -> int:
    """Ask a replica itself how many messages it accepted."""
    async with session.get(service.url + "/metrics") as answer:
        lines = [line for line in (await answer.text()).splitlines() if line.startswith("dragoman_events_total{")]
    return round(sum(float(line.rpartition(" ")[2]) for line in lines if 'outcome="accepted"' in line))


async def homes(session: Session, balancer: Haproxy) -> dict[str, str]:
    """Let every visitor ask for a file; returns who was sent where."""
    since = balancer.log.stat().st_size
    for visitor in VISITORS:
        headers = {"cookie": f"theme=dark; dragoman_chat={visitor}"}
        async with session.get(f"{balancer.url}/static/{visitor}", headers=headers) as answer:
            assert (answer.status, await answer.text()) == (404, "no such file\n")
    async with asyncio.timeout(10):
        while len(found := balancer.taken("chat", since=since)) < len(VISITORS):
            await asyncio.sleep(0.02)
    return {path.removeprefix("/static/"): replica for replica, path in found}


async def test_each_kind_of_traffic_has_its_policy(tmp_path: Path, database: str) -> None:
    certificate = self_signed(tmp_path)
    trusted = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=str(certificate)))
    async with (
        slack_site(tmp_path, database) as (site, slack),
        site.replicas("one", "two", "three") as services,
        haproxy(tmp_path, [address(each) for each in services], secure=str(certificate)) as balancer,
        Session(connector=trusted, cookie_jar=aiohttp.DummyCookieJar()) as session,
    ):
        await assert_only_what_is_meant_is_published(session, balancer)
        await assert_hooks_take_turns(session, balancer, services, slack)
        await assert_who_is_busy_gets_fewer(session, balancer, site)
        await assert_visitors_stay(session, balancer)
        await assert_who_leaves_is_noticed(session, balancer, site, services)
        assert "/chat" in {path for _, path in balancer.taken("chat")}
        assert "a-secret" not in balancer.log.read_text(encoding="utf-8")


async def assert_only_what_is_meant_is_published(session: Session, balancer: Haproxy) -> None:
    async def status(path: str) -> int:
        async with session.get(balancer.url + path) as answer:
            return answer.status

    hidden = ["/metrics", "/health/ready", "/health/live", "/hooks", "/webhookish", "/control"]
    assert {path: await status(path) for path in hidden} == dict.fromkeys(hidden, 404)
    assert await status("/static/chat.js") == 200
    headers = {"x-forwarded-proto": "http"}  # what a visitor says of himself does not count
    async with session.get(balancer.url + "/chat", headers=headers) as answer:
        assert (answer.status, bool(answer.cookies["dragoman_chat"]["secure"])) == (200, True)
    assert await declared(balancer, 1_048_577) == 413
    await status("/chat?token=a-secret-of-a-visitor")
    assert [await status("/oauth/team/install") for _ in range(40)].count(429) == 10
    async with session.get(f"http://127.0.0.1:{balancer.plain}/chat?a=b", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["location"]) == (308, f"https://127.0.0.1:{balancer.plain}/chat?a=b")


async def declared(balancer: Haproxy, length: int) -> int:
    """Declare a body and send none of it; returns the status."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", balancer.port, ssl=context)
    writer.write(f"POST /hooks/team HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {length}\r\n\r\n".encode())
    status = int((await reader.readline()).split()[1])
    writer.close()
    await writer.wait_closed()
    return status


async def assert_hooks_take_turns(
    session: Session, balancer: Haproxy, services: list[Service], slack: SlackSimulator
) -> None:
    before = [await events(session, each) for each in services]
    for number in range(30):
        request = slack.webhook(f"n{number}", channel=f"D{number:08}")
        async with session.post(f"{balancer.url}/hooks/team", data=request.body, headers=request.headers) as answer:
            assert answer.status == 200

    assert [await events(session, each) - was for each, was in zip(services, before, strict=True)] == [10, 10, 10]


async def assert_who_is_busy_gets_fewer(session: Session, balancer: Haproxy, site: Site) -> None:
    held = await holding(session, balancer, "replica-1", 6)
    before = await balancer.figures("waiting", "stot")
    answers = await asyncio.gather(*(asked(session, balancer.url, f"n{n}", f"quick-{n}") for n in range(8)))
    answers += [await asked(session, balancer.url, f"n{n}", f"quick-{n}") for n in range(8, 30)]
    after = await balancer.figures("waiting", "stot")

    assert answers == [(200, f"echo: n{number}") for number in range(30)]
    assert after["replica-1"] == before["replica-1"]
    assert min(after[replica] - before[replica] for replica in REPLICAS[1:]) >= 10
    site.open(*(f"replica-1-{number}" for number in range(6)))
    assert await asyncio.gather(*held) == [(200, f"held replica-1-{number}") for number in range(6)]


async def holding(session: Session, balancer: Haproxy, replica: str, many: int) -> list[asyncio.Task[tuple[int, str]]]:
    """Keep one replica busy with requests that wait for their replies."""
    others = [name for name in REPLICAS if name != replica]
    await balancer.command(*(f"set server hooks/{name} state drain" for name in others))
    names = [f"{replica}-{number}" for number in range(many)]
    held = [asyncio.create_task(asked(session, balancer.url, f"/hold {name}", name)) for name in names]
    async with asyncio.timeout(10):
        while (await balancer.figures("waiting", "scur"))[replica] < many:
            await asyncio.sleep(0.02)
    await balancer.command(*(f"set server hooks/{name} state ready" for name in others))
    return held


async def assert_visitors_stay(session: Session, balancer: Haproxy) -> None:
    """The same visitor comes to the same replica; when one leaves, only those who were there move, and then return."""
    first = await homes(session, balancer)
    assert await homes(session, balancer) == first
    assert min(Counter(first.values())[replica] for replica in REPLICAS) >= len(VISITORS) // 6
    async with contextlib.AsyncExitStack() as stack:
        people = VISITORS[:9]
        sockets = [await stack.enter_async_context(chat(session, balancer.url, visitor)) for visitor in people]
        there = Counter(first[visitor] for visitor in people)
        assert await balancer.figures("chat", "scur") == {replica: there[replica] for replica in REPLICAS}
        await balancer.command("set server hooks/replica-2 state drain")
        without = await homes(session, balancer)
        # Sockets stay open where nobody new is sent.
        answers = [await reply(socket, visitor) for socket, visitor in zip(sockets, people, strict=True)]
        assert answers == [f"echo: {visitor}" for visitor in people]
    moved = {visitor for visitor in VISITORS if without[visitor] != first[visitor]}
    assert moved == {visitor for visitor in VISITORS if first[visitor] == "replica-2"} != set()
    await balancer.command("set server hooks/replica-2 state ready")
    assert await homes(session, balancer) == first


async def assert_who_leaves_is_noticed(
    session: Session, balancer: Haproxy, site: Site, services: list[Service]
) -> None:
    """A caller who leaves is not answered into the void: the bot hears of it, and the reply is kept for later."""
    (held,) = await holding(session, balancer, "replica-3", 1)
    held.cancel()
    async with asyncio.timeout(10):
        while "caller.left" not in services[2].log.read_text(encoding="utf-8"):
            await asyncio.sleep(0.02)
    site.open("replica-3-0")
    assert await asked(session, balancer.url, "/hold replica-3-0", "replica-3-0") == (200, "held replica-3-0")


async def test_while_no_replica_is_ready_it_says_when_to_come_back(tmp_path: Path) -> None:
    async with (
        haproxy(tmp_path, []) as balancer,
        Session() as session,
        session.post(f"{balancer.url}/hooks/team", data=b"{}") as answer,
    ):
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")


async def test_replicas_come_and_go_under_load_and_nobody_notices(tmp_path: Path, database: str) -> None:
    async with (
        slack_site(tmp_path, database) as (site, slack),
        site.replicas("one", "two", "three") as services,
        haproxy(tmp_path, [address(each) for each in services]) as balancer,
        Session() as session,
    ):
        stop = asyncio.Event()
        load = Load(slack, f"{balancer.url}/hooks/team", conversations=60, channel="D{:08}")
        working = asyncio.create_task(load.run(25.0, 120.0, stop=stop))
        calling = asyncio.create_task(call(session, balancer, stop))
        try:
            await come_and_go(balancer, site, services)
        finally:
            stop.set()
        await working
        answers = await calling
        await load.settle(30.0)
        verdict = load.judge()

        assert load.statuses == {200: len(load.samples)}  # nothing had to be sent again
        assert (verdict.lost, verdict.duplicates, verdict.inversions) == ((), 0, 0)
        assert answers == {f"n{number}": (200, f"echo: n{number}") for number in range(len(answers))}
        assert len(load.samples) > 150
        assert len(answers) > 40
        assert min(Counter(replica for replica, _ in balancer.taken("hooks")).values()) > 20
        assert set(await balancer.figures("hooks", "stot")) == {"replica-1", "replica-3", "replica-4"}


async def call(session: Session, balancer: Haproxy, stop: asyncio.Event) -> Mapping[str, tuple[int, str]]:
    """Ask the generic webhook one question after the other, four at a time; returns what was answered."""
    answers: dict[str, tuple[int, str]] = {}
    numbers = iter(range(10_000))

    async def caller() -> None:
        while not stop.is_set():
            name = f"n{next(numbers)}"
            status, words = await asked(session, balancer.url, name, name)
            while status == 202:  # its replica was ending: the reply is to be asked for
                await asyncio.sleep(0.1)
                status, words = await asked(session, balancer.url, name, name)
            answers[name] = status, words
            await asyncio.sleep(0.1)

    await asyncio.gather(*(caller() for _ in range(4)))
    return dict(sorted(answers.items(), key=lambda item: int(item[0][1:])))


async def come_and_go(balancer: Haproxy, site: Site, services: list[Service]) -> None:
    """Drain one by the runtime socket and end it, add another, end one without a word, and bring the first back."""
    first, second, _ = services
    async with site.replicas("four") as (fourth,):
        await balancer.drain("replica-1")
        assert await first.stop() == 0
        await balancer.remove("replica-1")
        await balancer.add("replica-4", address(fourth))
        assert await second.stop() == 0  # nobody told haproxy: it sees that it is not ready, while its doors are open
        await balancer.remove("replica-2")
        await first.start()
        await balancer.command("set server hooks/replica-1 state ready")
        await balancer.until("replica-1", "UP", "no check")
        while min((await balancer.figures("hooks", "stot")).values()) < 30:
            await asyncio.sleep(0.05)
        await balancer.drain("replica-4")
        assert await fourth.stop() == 0
