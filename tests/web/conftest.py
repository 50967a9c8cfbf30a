"""A real service in the test's own loop: its own data folder, a free port, and a client that speaks HTTP to it."""

import asyncio
import contextlib
import dataclasses
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from http.cookies import Morsel
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import msgspec
import pytest

from dragoman import telemetry
from dragoman.flow.transport import control
from dragoman.service.house import House
from dragoman.service.installation import Installation, load
from dragoman.service.run import run
from dragoman.testing.process import configuration

T = TypeVar("T")

TOKEN = "a-token-of-the-tests"
WEBHOOK = {"platform": "webhook", "token": TOKEN, "reply_within": 20}

COUNTING = """
from pathlib import Path

from dragoman import Plugin, Turn

plugin = Plugin("counting")
TURNS = Path(__file__).with_name("turns")


@plugin.message()
async def count(turn: Turn) -> None:
    with TURNS.open("a") as file:
        file.write(turn.text + "\\n")
    turn.say(f"counted {turn.text}")
"""
"""A plugin that writes down every turn; the file is what the tests judge by."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """What the service answered: header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    cookies: Mapping[str, Morsel[str]] = dataclasses.field(default_factory=dict)

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Site:
    """A running service, and how to speak to it."""

    installation: Installation
    house: House
    port: int
    session: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def folder(self) -> Path:
        return self.installation.data

    def turns(self) -> list[str]:
        """Return the text of every turn that the counting plugin has run."""
        file = self.folder / "turns"
        return file.read_text(encoding="utf-8").splitlines() if file.exists() else []

    def open_gate(self) -> None:
        (self.folder / "gate").touch()

    async def request(self, method: str, path: str, **options: Any) -> Answer:
        async with self.session.request(method, self.url + path, allow_redirects=False, **options) as answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            body = await answer.read()
            return Answer(status=answer.status, headers=headers, body=body, cookies=answer.cookies)

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.request("GET", path, headers=headers)

    async def post(self, form: object, *, path: str = "/hooks/webhook", token: str = TOKEN, **headers: str) -> Answer:
        """Post a form (or bytes as they are) with the bearer token; an empty `token` leaves it out."""
        body = form if isinstance(form, bytes) else msgspec.json.encode(form)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["authorization"] = f"Bearer {token}"
        return await self.request("POST", path, data=body, headers=sent)

    async def raw(self, *pieces: bytes) -> bytes:
        """Send bytes as they are; returns the first line of the answer, empty when the connection was cut."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            async with asyncio.timeout(20):
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                return await reader.readline()
        return b""

    async def ask(self, question: str, **query: str) -> Any:
        """Ask what the commands ask, over the control socket."""
        return await control.ask(self.installation.control, question, **query)

    async def until(self, look: Callable[[], Awaitable[T]], seconds: float = 20.0) -> T:
        """Look again and again until what is seen is true; raises `TimeoutError`."""
        async with asyncio.timeout(seconds):
            while not (seen := await look()):
                await asyncio.sleep(0.01)
            return seen


Start = Callable[..., contextlib.AbstractAsyncContextManager[Site]]


@pytest.fixture
def logs() -> Iterator[io.StringIO]:
    """Everything that the service logs, at the most talkative level."""
    stream = io.StringIO()
    telemetry.configure_logs("debug", stream)
    yield stream
    telemetry.configure_logs()


@pytest.fixture
def start(tmp_path: Path, logs: io.StringIO) -> Start:  # noqa: ARG001 - logs must not go to the screen
    """Start a service: accounts by name, settings by keyword, and one plugin by its source."""

    @contextlib.asynccontextmanager
    async def running(
        accounts: Mapping[str, Mapping[str, Any]] | None = None, *, plugin: str = "", **settings: Any
    ) -> AsyncIterator[Site]:
        installation = installed(tmp_path, accounts or {"webhook": WEBHOOK}, plugin, settings)
        async with client() as session, serving(installation) as (house, port):
            yield Site(installation=installation, house=house, port=port, session=session)

    return running


def installed(
    folder: Path, accounts: Mapping[str, Mapping[str, Any]], plugin: str, settings: Mapping[str, Any]
) -> Installation:
    order = ["own"] if plugin else ["rules", "echo"]
    written = configuration(accounts, **{"plugins": order, **settings})
    if plugin:
        (folder / "own.py").write_text(plugin, encoding="utf-8")
        written += '[plugin.own]\nuse = "own.py"\n'
    file = folder / "dragoman.toml"
    file.write_text(written, encoding="utf-8")
    return load(data=str(folder), configuration=str(file), environ={}, overrides={"port": 0})


def client() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar())


@contextlib.asynccontextmanager
async def serving(installation: Installation) -> AsyncIterator[tuple[House, int]]:
    """Run the service as a task while the context is open, and stop it in order."""
    stop = asyncio.Event()
    announced: asyncio.Future[tuple[House, int]] = asyncio.get_running_loop().create_future()

    def announce(house: House, address: str) -> None:
        announced.set_result((house, int(address.rpartition(":")[2])))

    task = asyncio.create_task(run(installation, announce=announce, stop=stop))
    either: set[asyncio.Future[Any]] = {task, announced}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        yield announced.result()
    finally:
        stop.set()
        await task


@pytest.fixture
async def site(start: Start) -> AsyncIterator[Site]:
    """A service with one webhook account and the plugin that counts its turns."""
    async with start(plugin=COUNTING) as running:
        yield running
