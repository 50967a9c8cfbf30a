"""The loops of the line where they could break a promise: slow sends, store trouble, stops, old and unreadable rows."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import apsw
import pytest

from dragoman.errors import StoreAway
from dragoman.flow.context import Sending
from dragoman.flow.tick import _sweep
from dragoman.model import Delivery
from dragoman.store.base import Decision
from dragoman.testing import simulators
from dragoman.testing.process import configuration
from dragoman.testing.running import Running, running
from dragoman.testing.simulator import Fault, serve

SLOW = """
import asyncio
from dragoman import Plugin, Turn

plugin = Plugin("slow")


@plugin.message()
async def answer(turn: Turn) -> None:
    await asyncio.sleep(60)
    turn.say("late")
"""


BROKEN = """
import asyncio
from dragoman import Plugin, Turn

plugin = Plugin("broken")


@plugin.message()
async def answer(turn: Turn) -> None:
    inner = asyncio.get_running_loop().create_future()
    inner.cancel()
    await inner
"""


class Line:
    """A running bot on simulated Slack."""

    def __init__(self, simulator: Any, service: Running) -> None:
        self.simulator = simulator
        self.service = service
        self.context = service.house.context

    async def say(self, text: str) -> None:
        import aiohttp  # noqa: PLC0415 - the only request of these tests

        request = self.simulator.webhook(text, channel="D00000001")
        url = f"{self.service.url}/hooks/bench"
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=request.body, headers=request.headers) as answer,
        ):
            assert answer.status == 200

    async def sent(self, count: int) -> list[str]:
        async with asyncio.timeout(20):
            while len(self.simulator.sent) < count:
                await asyncio.sleep(0.01)
        return [accepted.text for accepted in self.simulator.sent]

    async def calls(self, count: int) -> None:
        async with asyncio.timeout(20):
            while self.simulator.calls.count("chat.postMessage") < count:
                await asyncio.sleep(0.01)

    async def parked(self) -> list[str]:
        async with asyncio.timeout(20):
            while not (rows := await self.context.reader.parked(10)):
                await asyncio.sleep(0.01)
        return [row.reason for row in rows]


@contextlib.asynccontextmanager
async def line(
    folder: Path, plugins: Sequence[str] = ("echo",), extra: str = "", **settings: Any
) -> AsyncIterator[Line]:
    simulator = simulators.load("slack")()
    async with serve(simulator) as url:
        table = {"platform": "slack", **simulator.settings(url)}
        text = configuration({"bench": table}, plugins=list(plugins), **settings) + extra
        async with running(folder, text) as service:
            yield Line(simulator, service)


async def test_a_send_that_outlasts_its_lease_is_not_sent_again(tmp_path: Path) -> None:
    async with line(tmp_path) as bot:
        taken = b'{"ok": true, "channel": "D00000001", "ts": "1700000000.000100"}'
        bot.simulator.fail(Fault(method="chat.postMessage", after=True, delay=1.0, status=200, body=taken))
        await bot.say("slow")
        await bot.calls(1)
        await expire_leases(bot)
        await _sweep(bot.context)
        await bot.sent(1)
        await bot.say("next")

        assert await bot.sent(2) == ["echo: slow", "echo: next"]
        assert bot.simulator.calls.count("chat.postMessage") == 2


async def test_an_old_send_that_ends_leaves_the_lease_of_a_newer_one_alone(tmp_path: Path) -> None:
    async with line(tmp_path) as bot:
        bot.simulator.fail(Fault(method="chat.postMessage", delay=1.0, status=200, body=b'{"ok": true, "ts": "1.2"}'))
        await bot.say("slow")
        await bot.calls(1)
        [number] = bot.context.sending
        newer = bot.context.sending[number] = Sending(account="bench", until=bot.context.clock() + 15.0)
        await bot.say("next")
        await bot.sent(1)

        assert bot.context.sending.get(number) is newer


async def expire_leases(bot: Line) -> None:
    """Let every lease of a send be over, as if it had taken long."""
    store: Any = bot.context.store

    def expire(connection: apsw.Connection) -> None:
        connection.execute("UPDATE outbox SET ready_at = 0 WHERE state = 'sending'")

    await store._writer.run(expire)


async def test_what_was_sent_while_the_store_was_away_is_noted_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with line(tmp_path) as bot:
        store: Any = bot.context.store
        settle, failures = store.settle, 3

        async def troubled(delivery: Delivery, decision: Decision, pace: float = 0.0) -> bool:
            nonlocal failures
            if failures:
                failures -= 1
                raise StoreAway("disk full")
            done: bool = await settle(delivery, decision, pace)
            return done

        monkeypatch.setattr(store, "settle", troubled)
        await bot.say("hello")
        await bot.sent(1)
        await bot.say("next")

        assert await bot.sent(2) == ["echo: hello", "echo: next"]
        assert await bot.context.reader.parked(10) == []


async def test_store_trouble_is_not_charged_to_the_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with line(tmp_path) as bot:
        store: Any = bot.context.store
        commit, failures = store.commit, 6

        async def troubled(claim: Any, handled: Any) -> None:
            nonlocal failures
            if failures:
                failures -= 1
                raise StoreAway("disk full")
            await commit(claim, handled)

        monkeypatch.setattr(store, "commit", troubled)
        await bot.say("hello")

        assert await bot.sent(1) == ["echo: hello"]


async def test_a_stop_gives_running_turns_back_uncounted(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW, encoding="utf-8")
    extra = '[plugin.slow]\nuse = "slow.py"\n'
    async with line(tmp_path, ["slow"], extra, turns=1) as bot:
        await bot.say("hello")
        async with asyncio.timeout(20):
            while await counted(bot, "SELECT count(*) FROM conversation WHERE because = 'leased'") != 1:
                await asyncio.sleep(0.01)

    connection = apsw.Connection(str(tmp_path / "dragoman.db"))
    assert connection.execute("SELECT started, errors, pending FROM conversation").fetchall() == [(0, 0, 1)]


async def counted(bot: Line, sql: str) -> Any:
    store: Any = bot.context.store

    def ask(connection: apsw.Connection) -> Any:
        return connection.execute(sql).get

    return await store._writer.run(ask)


async def test_a_turn_that_waits_for_what_its_plugin_cancelled_counts_as_failed(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN, encoding="utf-8")
    extra = '[plugin.broken]\nuse = "broken.py"\n'
    async with line(tmp_path, ["broken"], extra) as bot:
        await bot.say("hello")
        async with asyncio.timeout(20):
            while await counted(bot, "SELECT errors FROM conversation") != 1:
                await asyncio.sleep(0.01)

        assert "cancelled" in await counted(bot, "SELECT because FROM conversation")


async def test_an_account_whose_platform_hangs_leaves_places_for_the_others(tmp_path: Path) -> None:
    hook = {"platform": "webhook", "token": "t", "reply_within": 0.0}
    simulator = simulators.load("slack")()
    hanging, released = asyncio.Event(), asyncio.Event()

    async def hang(_scope: Any, _receive: Any, send: Any) -> None:
        hanging.set()
        await released.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with serve(simulator) as url, serve(hang) as nowhere:
        accounts: dict[str, dict[str, Any]] = {
            "bench": {"platform": "slack", **simulator.settings(url)},
            "hang": {**hook, "callback_url": nowhere},
        }
        async with running(tmp_path, configuration(accounts, plugins=["echo"], sends=4)) as service:
            bot = Line(simulator, service)
            for number in range(8):
                await ask(service, f"m{number}")
            await hanging.wait()
            await bot.say("hello")
            async with asyncio.timeout(6):  # sooner than the hanging sends give up
                assert await bot.sent(1) == ["echo: hello"]
            released.set()


async def ask(service: Running, text: str) -> None:
    import aiohttp  # noqa: PLC0415 - the only other request of these tests

    form, headers = {"content": text, "sender_id": text}, {"authorization": "Bearer t"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{service.url}/hooks/hang", json=form, headers=headers) as answer,
    ):
        assert answer.status in {200, 202}


async def test_a_reply_that_has_grown_too_old_is_parked_instead_of_sent(tmp_path: Path) -> None:
    async with line(tmp_path) as bot:
        bot.simulator.fail(Fault(method="chat.postMessage", status=503))
        store: Any = bot.context.store
        await bot.say("old")
        await bot.calls(1)

        def age(connection: apsw.Connection) -> None:
            connection.execute("UPDATE outbox SET not_after = 1")

        await store._writer.run(age)

        assert "too old" in (await bot.parked())[0]
        assert bot.simulator.sent == []


async def test_a_row_of_another_release_is_parked_and_holds_up_nobody(tmp_path: Path) -> None:
    async with line(tmp_path) as bot:
        store: Any = bot.context.store

        def insert(connection: apsw.Connection) -> None:
            connection.execute(
                "INSERT INTO inbox (account, kind, key, conversation, receipt, event, status, received_at, "
                "authenticated_at, parsed_at, accepted_at) VALUES ('bench', 'message', 'strange', ?, 0, "
                """'{"chat_kind": "hologram"}', 'waiting', 0, 0, 0, 0)""",
                ("bench/strange",),
            )
            connection.execute(
                "INSERT INTO conversation (id, account, pending, head, ready_at) VALUES (?, 'bench', 1, 0, 0)",
                ("bench/strange",),
            )

        await store._writer.run(insert)
        await bot.say("hello")

        assert await bot.sent(1) == ["echo: hello"]
        assert await bot.parked() == ["this release cannot read it"]
