"""Traces: real processes tell a real receiver of OTLP each message's life, and nothing else of it."""

import asyncio
import contextlib
import gzip
import re
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from dragoman import telemetry
from dragoman.errors import ConfigError
from dragoman.flow.traces import Span as TracedSpan
from dragoman.flow.transport import otlp
from dragoman.service import installation
from dragoman.service.traces import open_tracer, wanted
from dragoman.testing.process import Service, configuration, free_port
from dragoman.testing.simulator import respond, serve
from dragoman.testing.simulators.slack import SlackSimulator
from dragoman.testing.simulators.telegram import TelegramSimulator
from dragoman.wire import Http, Response

pytestmark = pytest.mark.timeout(180)

STAGES: Final = {"receive", "authenticate", "parse", "route", "respond", "deliver"}
TICK: Final = '[tasks.tick]\nevery = "1s"\nto = ["team/C00000001"]\nsay = "the clock ticks"\n'
PLUGIN: Final = """
from dragoman import Plugin, Turn

plugin = Plugin("shop")


async def pay(sum: int) -> str:
    return f"paid {sum}"


@plugin.command("pay")
async def buy(turn: Turn) -> None:
    turn.say(await turn.once("pay", pay, 7))


@plugin.command("fail")
async def fail(turn: Turn) -> None:
    raise ValueError("a secret of the buyer")
"""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A span as it arrived, and the process that told it."""

    trace: str
    id: str
    parent: str
    name: str
    kind: int
    service: str
    process: str
    began: int
    ended: int
    facts: dict[str, Any]
    fault: str
    links: tuple[str, ...]


class Collector:
    """Takes spans by OTLP over HTTP, or answers as it is told to."""

    def __init__(self) -> None:
        self.spans: list[Seen] = []
        self.bodies: list[bytes] = []
        self.headers: dict[str, str] = {}
        self.status = 200
        self.hangs = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        assert (scope["method"], scope["path"]) == ("POST", "/v1/traces")
        body = await request.body()
        if self.hangs:
            await asyncio.Event().wait()
        if self.status == 200:
            body = gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body
            self.headers = dict(request.headers)
            self.bodies.append(body)
            self.spans += read(body)
        await respond(send, Response(status=self.status))

    def traces(self) -> dict[str, list[Seen]]:
        """Return the spans by trace."""
        found: dict[str, list[Seen]] = defaultdict(list)
        for span in self.spans:
            found[span.trace].append(span)
        return found

    def with_all(self, stages: Iterable[str]) -> list[list[Seen]]:
        """Return the traces that have all of these stages."""
        return [spans for spans in self.traces().values() if {span.name for span in spans} >= set(stages)]


def read(body: bytes) -> list[Seen]:
    message = ExportTraceServiceRequest.FromString(body)
    return [
        Seen(
            trace=span.trace_id.hex(),
            id=span.span_id.hex(),
            parent=span.parent_span_id.hex(),
            name=span.name,
            kind=span.kind,
            service=plain(resource.resource.attributes)["service.name"],
            process=plain(resource.resource.attributes)["service.instance.id"],
            began=span.start_time_unix_nano,
            ended=span.end_time_unix_nano,
            facts=plain(span.attributes),
            fault=span.status.message if span.status.code == Status.STATUS_CODE_ERROR else "",
            links=tuple(link.trace_id.hex() for link in span.links),
        )
        for resource in message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def plain(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


class Process(Service):
    """One process of the service, with a role."""

    role = "all"

    def command(self) -> list[str]:
        return [*super().command(), "--role", self.role]


@contextlib.asynccontextmanager
async def process(folder: Path, text: str, role: str = "all") -> AsyncIterator[Process]:
    service = Process(folder, text)
    service.role = role
    await service.start()
    try:
        yield service
    finally:
        assert await service.stop() == 0


async def until(look: Callable[[], object], seconds: float = 30.0) -> Any:
    async with asyncio.timeout(seconds):
        while not (found := look()):
            await asyncio.sleep(0.02)
    return found


async def post(service: Service, request: Http, account: str = "team") -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{service.url}/hooks/{account}", data=request.body, headers=request.headers) as answer,
    ):
        assert answer.status == 200


async def ask(service: Service, content: str, **headers: str) -> Any:
    headers["authorization"] = "Bearer t"
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{service.url}/webhook", json={"content": content}, headers=headers) as answer,
    ):
        return await answer.json()


def assert_sane(spans: list[Seen]) -> None:
    """Check one trace: a root, stages below it, calls below a stage, and no id twice."""
    (root,) = [span for span in spans if not span.parent]
    ids = {span.id: span for span in spans}

    assert root.name in {"receive", "fire"}
    assert len(ids) == len(spans)
    assert {ids[span.parent].name for span in spans if span.parent} <= {root.name, "respond", "deliver"}
    assert all(span.parent == root.id for span in spans if span.name in STAGES - {root.name})
    assert all(span.ended >= span.began for span in spans)


async def test_one_message_is_one_trace_over_three_processes(tmp_path: Path, database: str) -> None:
    collector, slack = Collector(), SlackSimulator()
    slack.unlimited()
    async with serve(collector) as url, serve(slack) as api, contextlib.AsyncExitStack() as stack:
        account: dict[str, Any] = {"platform": "slack", **slack.settings(api), "sends_per_second": 100}
        many = {"store": database, "encryption_key": "a key that all of the replicas have"}
        text = configuration({"team": account}, plugins=["echo"], **many) + f'[traces]\nurl = "{url}"\n'
        starting = [
            stack.enter_async_context(process(tmp_path / name, text, name.partition("-")[0]))
            for name in ("gateway", "engine-one", "engine-two")
        ]
        gateway, *_ = await asyncio.gather(*starting)

        def over_three() -> list[list[Seen]]:
            return [spans for spans in collector.with_all(STAGES) if len({span.process for span in spans}) == 3]

        async def write() -> None:
            while True:
                await post(gateway, slack.webhook("a word of somebody", sender="U000001", channel="D000001"))

        writing = asyncio.create_task(write())
        try:
            spans = (await until(over_three))[0]
        finally:
            writing.cancel()
        name = next(span.facts["dragoman.event"] for span in spans if span.name == "receive")
        told = await trace(gateway, name)

    process_of = {span.name: span.process for span in spans}
    (call,) = [span for span in spans if span.name == "POST"]
    (delivered,) = [span for span in spans if span.name == "deliver"]
    assert_sane(spans)
    assert f"trace {spans[0].trace}" in told
    assert process_of["receive"] == process_of["parse"] != process_of["respond"] == process_of["route"]
    assert len({process_of[stage] for stage in ("receive", "respond", "deliver")}) == 3
    assert call.parent == delivered.id
    assert call.facts == {
        "http.request.method": "POST",
        "server.address": "127.0.0.1",
        "http.response.status_code": 200,
    }
    secret = [value for name, value in account.items() if "token" in name or "secret" in name]
    assert len(secret) > 1
    assert not any(word.encode() in body for word in ["a word of somebody", *secret] for body in collector.bodies)


async def trace(service: Service, name: str) -> str:
    words = ["trace", name, "--data", str(service.folder), "--config", str(service.folder / "dragoman.toml")]
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dragoman", *words, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await program.communicate()
    return out.decode()


async def test_polls_timers_and_held_requests_are_traces_too(tmp_path: Path) -> None:
    collector, slack, telegram = Collector(), SlackSimulator(), TelegramSimulator(secret="")
    slack.unlimited()
    (tmp_path / "shop.py").write_text(PLUGIN, encoding="utf-8")
    async with serve(collector) as url, serve(slack) as called, serve(telegram) as polled:
        accounts: dict[str, dict[str, Any]] = {
            "webhook": {"platform": "webhook", "token": "t"},
            "tele": {"platform": "telegram", **telegram.settings(polled)},
            "team": {"platform": "slack", **slack.settings(called)},
        }
        text = configuration(accounts, plugins=["shop", "echo"]) + '[plugin.shop]\nuse = "shop.py"\n' + TICK
        async with process(tmp_path, text + f'[traces]\nurl = "{url}"\nheaders = "x-key=abc"\n') as service:
            caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
            assert (await ask(service, "/pay", traceparent=caller))["reply"] == "paid 7"
            telegram.deliver("hello", sender="7", channel="7")
            failing = asyncio.create_task(ask(service, "/fail"))
            await until(lambda: len(collector.with_all({"fire", "respond", "deliver"})) > 1)
            await until(lambda: [span for span in collector.spans if span.facts.get("dragoman.platform") == "telegram"])
            await until(lambda: [span for span in collector.spans if span.facts.get("dragoman.attempt") == 2])
        await asyncio.gather(failing, return_exceptions=True)

    whole = collector.with_all({"route", "respond", "deliver"})
    for spans in whole:
        assert_sane(spans)
    (paid,) = [spans for spans in whole if any(span.name == "once" for span in spans)]
    (poll,) = [spans for spans in whole if spans[0].facts["dragoman.platform"] == "telegram"]
    respond_, once = (next(span for span in paid if span.name == name) for name in ("respond", "once"))
    failed = [span for span in collector.spans if span.fault == "ValueError"]
    assert {span.name for span in paid} == {span.name for span in poll} - {"POST"} | {"once"} == STAGES | {"once"}
    assert [span.links for span in paid if span.name == "receive"] == [("0af7651916cd43dd8448eb211c80319c",)]
    assert (once.parent, once.facts) == (respond_.id, {"dragoman.step": "shop/pay"})
    kinds = [span.kind for spans in (paid, poll) for span in spans if span.name == "receive"]
    assert kinds == [Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CONSUMER]
    assert {span.name for span in failed} == {"respond"}
    assert len({span.id for span in failed}) == len(failed) > 1
    assert collector.headers["x-key"] == "abc"
    assert not any(b"a secret of the buyer" in body or b"the clock ticks" in body for body in collector.bodies)


@pytest.mark.parametrize(
    "sample", ['[traces]\nurl = "{url}"\nsample = 0.0\n', ""], ids=["nothing is sampled", "no collector is named"]
)
async def test_without_a_part_to_tell_nothing_is_told(tmp_path: Path, sample: str) -> None:
    collector = Collector()
    async with serve(collector) as url:
        text = configuration({"webhook": {"platform": "webhook", "token": "t"}}, plugins=["echo"])
        async with process(tmp_path, text + sample.format(url=url)) as service:
            assert (await ask(service, "hello"))["reply"] == "echo: hello"

    assert collector.bodies == []


async def test_a_collector_that_the_environment_names_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collector = Collector()
    async with serve(collector) as url:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=kitchen")
        text = configuration({"webhook": {"platform": "webhook", "token": "t"}}, plugins=["echo"])
        async with process(tmp_path, text) as service:
            await ask(service, "hello")

    (spans,) = collector.with_all(STAGES)
    assert_sane(spans)
    assert {(span.service, span.process) for span in spans} == {("dragoman", "kitchen")}


@pytest.mark.parametrize("trouble", ["away", "refuses", "hangs"])
async def test_a_collector_in_trouble_costs_spans_and_nothing_else(tmp_path: Path, trouble: str) -> None:
    collector = Collector()
    collector.status, collector.hangs = 401, trouble == "hangs"
    async with serve(collector) as served:
        url = f"http://127.0.0.1:{free_port()}" if trouble == "away" else served
        text = configuration({"webhook": {"platform": "webhook", "token": "t"}}, plugins=["echo"])
        async with process(tmp_path, text + f'[traces]\nurl = "{url}"\n') as service:
            for number in range(20):
                assert (await ask(service, f"{number}"))["reply"] == f"echo: {number}"
            if trouble == "refuses":
                await until(lambda: '"traces.away"' in service.log.read_text(encoding="utf-8"))
                lost = await metric(service, 'dragoman_spans_total{outcome="lost"}')
                assert lost > 0
            began = asyncio.get_running_loop().time()
            assert await service.stop() == 0
            assert asyncio.get_running_loop().time() - began < 10

    log = service.log.read_text(encoding="utf-8")
    assert log.count('"traces.away"') <= 1
    assert "Traceback" not in log
    assert "opentelemetry" not in log


async def test_a_collector_that_is_back_is_told_again(tmp_path: Path) -> None:
    collector = Collector()
    collector.status = 401
    async with serve(collector) as url:
        text = configuration({"webhook": {"platform": "webhook", "token": "t"}}, plugins=["echo"])
        async with process(tmp_path, text + f'[traces]\nurl = "{url}"\n') as service:
            await ask(service, "one")
            await until(lambda: '"traces.away"' in service.log.read_text(encoding="utf-8"))
            collector.status = 200
            await ask(service, "two")
            await until(lambda: '"traces.back"' in service.log.read_text(encoding="utf-8"))
            await until(lambda: collector.with_all(STAGES))

    assert "code: 401" in service.log.read_text(encoding="utf-8")


async def test_what_does_not_fit_is_counted_and_nobody_waits() -> None:
    collector, before = Collector(), telemetry.spans.labels("lost")._value.get()
    collector.hangs = True
    async with serve(collector) as url:
        exporter = otlp.Exporter(url, {}, {"service.instance.id": "here"})
        began = asyncio.get_running_loop().time()
        for number in range(3 * otlp.WAITING):
            exporter.emit(TracedSpan(trace="1" * 32, id=f"{number + 1:016x}", name="receive", began=1.0, ended=2.0))
        assert asyncio.get_running_loop().time() - began < 5
        await exporter.close()

    assert telemetry.spans.labels("lost")._value.get() - before >= 3 * otlp.WAITING - otlp.BATCH  # the batch under way


async def metric(service: Service, name: str) -> float:
    async with aiohttp.ClientSession() as session, session.get(f"{service.url}/metrics") as answer:
        text = await answer.text()
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.mark.parametrize(
    ("table", "environ", "on"),
    [
        ({}, {}, False),
        ({"url": "http://x:4318"}, {}, True),
        ({}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318"}, True),
        ({}, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x:4318/v1/traces"}, True),
        ({}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_the_settings_and_the_variables_of_opentelemetry_switch_it_on(
    tmp_path: Path, table: dict[str, str], environ: dict[str, str], on: bool
) -> None:
    assert wanted(loaded(tmp_path, table).settings.traces, environ) is on


def loaded(folder: Path, table: dict[str, str], environ: dict[str, str] | None = None) -> installation.Installation:
    """Load an installation with a table `[traces]`."""
    path = folder / "dragoman.toml"
    path.write_text("[traces]\n" + "".join(f'{name} = "{value}"\n' for name, value in table.items()), encoding="utf-8")
    return installation.load(data=str(folder), configuration=str(path), environ=environ or {}, overrides={})


async def opened(found: installation.Installation) -> Any:
    async with contextlib.AsyncExitStack() as stack:
        return await open_tracer(stack, found, lambda: 0.0, "here", ["engine"])


async def test_what_is_not_wanted_is_not_imported() -> None:
    look = "import sys, dragoman.service.run; print('opentelemetry.sdk' in sys.modules)"
    program = await asyncio.create_subprocess_exec(sys.executable, "-c", look, stdout=asyncio.subprocess.PIPE)

    assert (await program.communicate())[0] == b"False\n"


@pytest.fixture
def without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the libraries of the extra be not installed."""
    monkeypatch.delitem(sys.modules, "dragoman.flow.transport.otlp", raising=False)
    monkeypatch.delattr("dragoman.flow.transport.otlp", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)


@pytest.mark.usefixtures("without_the_extra")
async def test_a_collector_without_the_extra_is_refused_with_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"traces\.url.*opentelemetry.*pip install 'dragoman\[traces\]'"):
        await opened(loaded(tmp_path, {"url": "http://127.0.0.1:4318"}))


@pytest.mark.usefixtures("without_the_extra")
async def test_a_collector_of_the_environment_without_the_extra_keeps_nobody_from_starting(tmp_path: Path) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}

    assert await opened(loaded(tmp_path, {}, environ)) is None


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"url": "collector:4318"}, "should begin with http"),
        ({"url": "http://127.0.0.1:1", "headers": "key"}, "NAME=VALUE"),
    ],
)
async def test_a_setting_that_cannot_work_is_refused(tmp_path: Path, table: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        await opened(loaded(tmp_path, table))


@pytest.mark.parametrize("sample", ["-0.1", "1.1"])
def test_a_part_is_between_nothing_and_all(tmp_path: Path, sample: str) -> None:
    path = tmp_path / "dragoman.toml"
    path.write_text(f"[traces]\nsample = {sample}\n", encoding="utf-8")

    with pytest.raises(ConfigError, match=r"traces\.sample"):
        installation.load(data=str(tmp_path), configuration=str(path), environ={}, overrides={})
