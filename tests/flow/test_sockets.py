"""Holding a socket: what is stored before it is acknowledged, how death is noticed, and that there is only one."""

import asyncio
import contextlib
import io
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest
from starlette.types import Receive, Scope
from starlette.types import Send as AsgiSend
from uvicorn.protocols.utils import ClientDisconnected

from dragoman import telemetry
from dragoman.adapter import (
    Adapter,
    Call,
    Capabilities,
    Dial,
    Emit,
    Halt,
    Keep,
    Known,
    Payload,
    Receipt,
    Redial,
    Send,
    Session,
    Step,
    platform,
    setting,
)
from dragoman.engine.route import Policy
from dragoman.errors import NoAnswer, StoreAway
from dragoman.flow.account import Account
from dragoman.flow.context import Context
from dragoman.flow.sockets import hold
from dragoman.flow.transport import websocket
from dragoman.model import Address, Delivery, Event, Secret, Sender
from dragoman.service.house import opened
from dragoman.service.installation import load
from dragoman.testing.process import configuration
from dragoman.testing.simulator import peer, serve
from dragoman.wire import Exchange, Frame, Http, Outcome, Sent


def event(text: str) -> Event:
    return Event(
        key=text,
        kind="message",
        account="toy",
        platform="toy",
        conversation="toy/1",
        address=Address(account="toy", channel="1"),
        sender=Sender(id="1"),
        text=text,
    )


def reply(data: str | bytes) -> Step:
    return Send(frame=Frame(data=data))


class Script(Session):
    """Does what a frame says, word for word."""

    def opened(self, known: Known) -> Iterable[Step]:
        return (Send(frame=Frame(data=f"from {known.cursor}")),) if known.cursor else ()

    def received(self, frame: Frame, known: Known) -> Iterable[Step]:
        word, _, rest = (frame.data if isinstance(frame.data, str) else frame.data.decode()).partition(" ")
        stored = Emit(receipt=Receipt(events=(event(rest),)), cursor=rest if word == "mark" else None)
        if word == "break":
            raise RuntimeError("a bug")
        steps: dict[str, tuple[Step, ...]] = {
            "say": (stored, reply(f"ack {rest}")),
            "mark": (stored, reply(f"ack {rest} at {known.cursor}")),
            "keep": (Keep(cursor=rest), reply(b"kept")),
            "leave": (Redial(reason="told to"), reply("never sent")),
            "overlap": (Redial(overlap=True),),
            "halt": (Halt(reason="the operator must look", after=0.1),),
            "call": (Call(id="c1", exchange=fetched(rest)),),
        }
        return steps[word]

    def tick(self, known: Known) -> Iterable[Step]:
        return (Send(frame=Frame(data="tick")),)

    def called(self, id: str, result: Any, known: Known) -> Iterable[Step]:  # noqa: A002 - as the contract has it
        told = result if isinstance(result, str) else type(result).__name__
        return (Send(frame=Frame(data=f"{id} {told}")),)

    def closed(self, code: int, reason: str, known: Known) -> Iterable[Step]:
        return (Redial(reason=f"{code} {reason}"),) if code == 4000 else ()


def fetched(url: str) -> Exchange[str]:
    response = yield Http(method="GET", url=url)
    return response.body.decode()


@platform
class Toy(Adapter):
    """A platform with sockets that are easy to command."""

    platform: ClassVar[str] = "toy"
    title: ClassVar[str] = "Toy"
    capabilities: ClassVar[Capabilities] = Capabilities(max_text=100, modes=frozenset({"socket"}))

    url: str = setting("Where.")
    silence: float = setting("How long.", default=30.0)
    ticking: float = setting("How often.", default=30.0)
    halted: str = setting("Why not.", default="")

    def parse(self, payload: Payload, known: Known) -> Receipt:
        return Receipt()

    def send(self, delivery: Delivery, known: Known) -> Exchange[Outcome]:
        return Sent()
        yield

    def dial(self, known: Known) -> Exchange[Dial | Halt]:
        if self.halted:
            return Halt(reason=self.halted, after=60.0)
        return Dial(url=Secret(self.url), silence=self.silence, tick=self.ticking)
        yield

    def session(self, known: Known) -> Session:
        return Script()


class Server:
    """Counts the sockets that are open, and keeps what they said."""

    def __init__(self) -> None:
        self.open: list[tuple[Scope, AsgiSend]] = []
        self.opened = 0
        self.most = 0
        self.heard: list[str] = []
        self.codes: list[int] = []
        self.refuses = False
        self.parting = ""
        """What the first socket is told when the second has opened."""

    async def __call__(self, scope: Scope, receive: Receive, send: AsgiSend) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
            await send({"type": "http.response.body", "body": b"done"})
            return
        await receive()
        if self.refuses:
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept"})
        self.open.append((scope, send))
        self.opened += 1
        self.most = max(self.most, len(self.open))
        if self.parting and self.opened == 2:
            await self.say(self.parting, 0)
        try:
            while (message := await receive())["type"] == "websocket.receive":
                self.heard.append(message.get("text") or message["bytes"].decode())
        finally:
            self.open.remove((scope, send))
        self.codes.append(message["code"])

    async def say(self, text: str | bytes, which: int = -1) -> None:
        name = "text" if isinstance(text, str) else "bytes"
        await self.open[which][1]({"type": "websocket.send", name: text})

    async def close(self, code: int) -> None:
        await self.open[-1][1]({"type": "websocket.close", "code": code})


class Bench:
    """A house with a store, a server of sockets, and one that is held open."""

    def __init__(self, context: Context, server: Server, url: str) -> None:
        self.context = context
        self.server = server
        self.url = url

    def account(self, **settings: Any) -> Account:
        adapter = Toy(account="toy", **{"url": self.url.replace("http", "ws") + "/a-ticket", **settings})
        return Account(name="toy", adapter=adapter, policy=Policy())

    @contextlib.asynccontextmanager
    async def held(self, *, sockets: int = 1, **settings: Any) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(hold(self.context, self.account(**settings)))
        try:
            await until(lambda: len(self.server.open) == sockets)
            yield task
        finally:
            await ended(task)

    def connections(self) -> int:
        """Count our ends of connections to the server."""
        port = int(self.url.rpartition(":")[2])
        ends = psutil.Process().net_connections("tcp")
        return sum(1 for end in ends if end.raddr and end.raddr.port == port)

    async def talk(self) -> None:
        """Have a frame go there and back: then our end is open too."""
        await self.server.say("keep talking")
        await until(lambda: "kept" in self.server.heard)

    async def waiting(self) -> int:
        return (await self.context.reader.depths()).inbox


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def metric(name: str) -> float:
    return telemetry.REGISTRY.get_sample_value(name, {"account": "toy"}) or 0.0


@pytest.fixture
def logs() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    telemetry.configure_logs("debug", stream)
    yield stream
    telemetry.configure_logs()


@pytest.fixture
async def bench(tmp_path: Path, logs: io.StringIO) -> AsyncIterator[Bench]:  # noqa: ARG001 - not to the screen
    file = tmp_path / "dragoman.toml"
    file.write_text(configuration({}, plugins=["echo"]), encoding="utf-8")
    installation = load(data=str(tmp_path), configuration=str(file), environ={}, overrides={"port": 0})
    server = Server()
    async with serve(server) as url, opened(installation) as house:
        yield Bench(house.context, server, url)


async def test_an_acknowledgement_leaves_only_when_its_event_is_stored(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    store: Any = bench.context.store
    accept, gate, asked = store.accept, asyncio.Event(), asyncio.Event()

    async def slow(*args: Any) -> Any:
        asked.set()
        await gate.wait()
        done = await accept(*args)
        bench.server.heard.append("stored")
        return done

    monkeypatch.setattr(store, "accept", slow)
    async with bench.held(ticking=0.05):
        await bench.server.say("say one")
        await asked.wait()
        await bench.server.say("say two")
        with pytest.raises(TimeoutError):
            await until(lambda: "ack one" in bench.server.heard, 0.3)
        gate.set()
        await until(lambda: "ack two" in bench.server.heard)

        assert [word for word in bench.server.heard if word != "tick"] == ["stored", "ack one", "stored", "ack two"]
        assert await bench.waiting() == 2


async def test_while_the_store_is_away_nothing_is_acknowledged_and_nothing_is_lost(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    store: Any = bench.context.store
    accept, tried, back = store.accept, 0, False

    async def troubled(*args: Any) -> Any:
        nonlocal tried
        tried += 1
        if not back:
            raise StoreAway("disk full")
        return await accept(*args)

    monkeypatch.setattr(store, "accept", troubled)
    async with bench.held():
        for number in range(40):
            await bench.server.say(f"say {number}")
        await until(lambda: tried >= 2)
        assert bench.server.heard == []
        back = True
        await until(lambda: len(bench.server.heard) == 40)

        assert bench.server.heard == [f"ack {number}" for number in range(40)]
        assert bench.server.opened == 1


async def test_what_was_read_before_the_socket_closed_is_stored_when_the_store_is_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    store: Any = bench.context.store
    accept, back = store.accept, False

    async def troubled(*args: Any) -> Any:
        if not back:
            raise StoreAway("disk full")
        return await accept(*args)

    monkeypatch.setattr(store, "accept", troubled)
    async with bench.held():
        await bench.server.say("say one")
        await bench.server.close(1001)
        await until(lambda: not bench.server.open)
        back = True
        await until(lambda: len(bench.server.open) == 1)

        assert await bench.waiting() == 1
        assert bench.server.heard == []


async def test_a_full_house_takes_nothing_more(bench: Bench) -> None:
    store: Any = bench.context.store
    most, store.most_waiting = store.most_waiting, 0
    assert store.full()
    async with bench.held():
        await bench.server.say("say one")
        await until(lambda: bool(store.full()))
        assert await bench.waiting() == 0
        assert bench.server.heard == []
        store.most_waiting = most
        await until(lambda: bench.server.heard == ["ack one"])

        assert await bench.waiting() == 1


async def test_the_cursor_is_stored_with_its_events_and_the_next_socket_goes_on_from_there(bench: Bench) -> None:
    async with bench.held():
        await bench.server.say("mark 7")
        await bench.server.say(b"mark 8")
        await until(lambda: len(bench.server.heard) == 2)
        assert bench.server.heard == ["ack 7 at ", "ack 8 at 7"]
        assert await bench.context.store.recall("cursor:toy") == "8"
        await bench.server.say("keep 9")
        await until(lambda: "kept" in bench.server.heard)
        await bench.server.say("leave")
        await until(lambda: bench.server.opened == 2)
        await until(lambda: bench.server.heard[-1] == "from 9")


async def test_an_exchange_that_a_session_asks_for_is_performed_and_its_result_comes_back(bench: Bench) -> None:
    async with bench.held():
        await bench.server.say(f"call {bench.url}/anything")
        await until(lambda: bench.server.heard == ["c1 done"])
        await bench.server.say("call http://127.0.0.1:9/")
        await until(lambda: len(bench.server.heard) == 2)

        assert bench.server.heard[1] == "c1 NoAnswer"


async def test_a_session_is_told_the_time(bench: Bench) -> None:
    async with bench.held(ticking=0.02):
        await until(lambda: bench.server.heard.count("tick") >= 3)


@pytest.mark.parametrize("how", ["closed", "refused", "cut", "too large"])
async def test_a_socket_that_ends_is_followed_by_another(bench: Bench, how: str) -> None:
    async with bench.held():
        if how == "cut":
            peer(bench.server.open[0][0]).cut()
        elif how == "too large":
            await bench.server.say(b"x" * (websocket.LARGEST_FRAME + 1))
        else:
            bench.server.refuses = how == "refused"
            await bench.server.close(1011)
            await until(lambda: not bench.server.open)
            bench.server.refuses = False
        await until(lambda: bench.server.opened == 2 and len(bench.server.open) == 1)
        await bench.server.say("say on")
        await until(lambda: bench.server.heard == ["ack on"])

        assert bench.server.most == 1


async def test_a_session_hears_why_its_socket_closed(bench: Bench, logs: io.StringIO) -> None:
    async with bench.held():
        await bench.server.close(4000)
        await until(lambda: bench.server.opened == 2)

    assert '"reason":"4000 "' in logs.getvalue()


async def test_a_peer_that_is_gone_is_noticed_though_its_connection_is_not(bench: Bench) -> None:
    async with bench.held(silence=0.6):
        peer(bench.server.open[0][0]).fall_silent()
        started = time.monotonic()
        await until(lambda: bench.server.opened == 2)

        assert time.monotonic() - started < 0.6 + 1.0 + 5.0  # the silence, the first backoff, and the machine


async def test_a_quiet_peer_is_not_a_dead_one(bench: Bench) -> None:
    async with bench.held(silence=0.3):
        since = metric("dragoman_listener_progress_timestamp_seconds")
        await until(lambda: metric("dragoman_listener_progress_timestamp_seconds") > since + 1.0)

        assert bench.server.opened == 1


async def test_the_old_socket_is_closed_before_the_next_is_opened_and_heard_no_more(bench: Bench) -> None:
    async with bench.held():
        first = bench.server.open[0][1]
        await bench.server.say("leave")
        await bench.server.say("say late")
        await until(lambda: bench.server.opened == 2)

        assert bench.server.most == 1
        assert bench.server.codes == [1000]
        assert await bench.waiting() == 0
        assert bench.server.heard == []
        with pytest.raises(ClientDisconnected):
            await first({"type": "websocket.send", "text": "say later"})


async def test_in_an_overlap_the_old_socket_is_served_until_the_new_one_is_open(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "random", lambda: 1.0)
    async with bench.held():
        await bench.server.say("overlap")
        await bench.server.say("say between")
        await until(lambda: bench.server.heard == ["ack between"])
        assert bench.server.opened == 1
        await until(lambda: bench.server.opened == 2)
        await until(lambda: len(bench.server.open) == 1)
        await bench.server.say("say after")
        await until(lambda: bench.server.heard == ["ack between", "ack after"])

        assert bench.server.most == 2
        assert bench.server.codes == [1000]


async def test_what_comes_on_the_old_socket_while_it_closes_is_stored(bench: Bench) -> None:
    async with bench.held():
        bench.server.parting = "say last"
        await bench.server.say("overlap")
        await until(lambda: bench.server.opened == 2)
        await until(lambda: len(bench.server.open) == 1)
        await bench.server.say("say next")
        await until(lambda: "ack next" in bench.server.heard)

        assert await bench.waiting() == 2


async def test_an_old_socket_that_closes_by_itself_leaves_the_new_one_alone(bench: Bench) -> None:
    async with bench.held():
        await bench.server.say("overlap")
        await bench.server.close(1001)
        await until(lambda: bench.server.opened == 2)
        await bench.server.say("say on")
        await until(lambda: bench.server.heard == ["ack on"])

        assert len(bench.server.open) == 1


async def test_an_account_switched_on_and_off_never_has_two_sockets(bench: Bench) -> None:
    for number in range(20):
        task = asyncio.create_task(hold(bench.context, bench.account()))
        await asyncio.sleep((0.0, 0.001, 0.003, 0.01, 0.03)[number % 5])  # anywhere between dialling and serving
        await ended(task)
        await until(lambda: not bench.server.open, 10.0)

    assert bench.server.most == 1


async def test_no_socket_is_open_when_the_holding_has_ended(bench: Bench) -> None:
    async with bench.held() as task:
        await bench.talk()
        await ended(task)

        assert bench.server.open == []
        assert bench.server.codes == [1000]


async def test_a_peer_that_does_not_answer_our_close_is_hung_up_on(bench: Bench) -> None:
    async with bench.held() as task:
        await bench.talk()
        peer(bench.server.open[0][0]).fall_silent()
        started = time.monotonic()
        await ended(task)

        assert time.monotonic() - started < websocket.LEAVE + 5.0
        assert bench.connections() == 0


async def test_a_socket_that_does_not_close_is_gone_before_the_next_is_opened(bench: Bench) -> None:
    async with bench.held():
        peer(bench.server.open[0][0]).fall_silent()
        await bench.server.say("leave")
        await until(lambda: bench.server.opened == 2)

        assert bench.connections() == 1


async def test_what_only_the_operator_can_end_is_shown_and_tried_again(bench: Bench, logs: io.StringIO) -> None:
    async with bench.held():
        assert metric("dragoman_account_paused") == 0
        await bench.server.say("halt")
        await until(lambda: metric("dragoman_account_paused") == 1)
        await until(lambda: bench.server.opened == 2)
        await until(lambda: metric("dragoman_account_paused") == 0)

    assert '"reason":"the operator must look"' in logs.getvalue()
    assert bench.server.most == 1


async def test_refused_credentials_open_no_socket(bench: Bench, logs: io.StringIO) -> None:
    async with bench.held(sockets=0, halted="the token is dead"):
        await until(lambda: metric("dragoman_account_paused") == 1)

    assert bench.server.opened == 0
    assert '"reason":"the token is dead"' in logs.getvalue()


async def test_a_bug_of_an_adapter_costs_its_socket_and_no_more(bench: Bench, logs: io.StringIO) -> None:
    async with bench.held():
        await bench.server.say("break")
        await until(lambda: bench.server.opened == 2)
        await bench.server.say("say on")
        await until(lambda: bench.server.heard == ["ack on"])

    assert "session.broke" in logs.getvalue()
    assert "a bug" not in logs.getvalue()


async def test_the_address_of_a_socket_stays_out_of_errors_and_logs(bench: Bench, logs: io.StringIO) -> None:
    bench.server.refuses = True
    with pytest.raises(NoAnswer, match="status 403") as refused:
        await websocket.connect(bench.url.replace("http", "ws") + "/a-ticket", {}, silence=1.0)
    with pytest.raises(NoAnswer, match="cannot open") as unreachable:
        await websocket.connect("ws://127.0.0.1:9/a-ticket", {}, silence=1.0)
    async with bench.held(sockets=0):
        await until(lambda: "socket.failed" in logs.getvalue())

    assert "a-ticket" not in f"{refused.value!r} {unreachable.value!r} {logs.getvalue()}"
