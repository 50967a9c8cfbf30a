"""What a webhook costs at the door: CPU of the serving process, in microseconds per request.

Each server is a process of its own; they are loaded one after the other, several rounds, by this process, with the
same signed event of Slack's (see `benchmarks.compare.workload`) over kept connections, one request at a time on each.

`httptools`: the parser alone: a protocol that answers when a request is whole. Nobody can be cheaper.
`asgi`: uvicorn with the smallest application that reads a hook's body and makes the request of it that we hand on.
`hooks`: our protocol, with a line that answers at once: no verifying, parsing, accepting.
`slack`: our protocol and the first three stages, up to a store that says of every event that it has it; no logs.

The last lines are calls in this process: the adapter's `verify` and `parse`.
"""

import argparse
import asyncio
import io
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import httptools
import uvicorn
import uvloop
from benchmarks.compare import workload
from benchmarks.compare.processes import cpu_seconds

from dragoman import telemetry
from dragoman.adapter import Known, Me
from dragoman.adapters.slack import Slack
from dragoman.engine.route import Policy
from dragoman.flow.account import Account, Accounts
from dragoman.flow.context import Context, Limits
from dragoman.flow.receive import Answer
from dragoman.flow.skew import SkewWatch
from dragoman.model import Secret
from dragoman.service.doors import Server, bind, serving
from dragoman.store.base import Accepted
from dragoman.web import hooks
from dragoman.wire import Http, Response

KINDS: Final = ("httptools", "asgi", "hooks", "slack")
END: Final = b"\r\n\r\n"


class Floor(asyncio.Protocol):
    """Answers every request when it is whole."""

    def connection_made(self, transport: Any) -> None:
        """Begin to parse."""
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        """Parse."""
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Answer."""
        self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Read a hook's request as ASGI has it, and answer at once."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    Http(method=scope["method"], url=scope["path"], headers=headers, body=body)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


class KnowsAll:
    """A store that has every event already."""

    def full(self) -> str:
        """Have room."""
        return ""

    def waiting(self) -> int:
        """Have nothing to do."""
        return 0

    async def accept(self, *_: object) -> tuple[Accepted, ...]:
        """Know the event."""
        return (Accepted(id=1, duplicate=True),)


def slack() -> Slack:
    """Return the account's adapter."""
    return Slack(
        account="bench",
        signing_secret=Secret(workload.SIGNING_SECRET),
        bot_token=Secret(workload.BOT_TOKEN),
        bot_user_id=workload.BOT,
        bot_id=workload.BOT_ID,
        app_id=workload.APP,
    )


def context() -> Context:
    """Return as much of a house as the door looks at."""
    account = Account(name="bench", adapter=slack(), policy=Policy())
    house = SimpleNamespace(
        accounts=Accounts([account], time.time),
        clock=time.monotonic,
        limits=Limits(),
        skew=SkewWatch(),
        store=KnowsAll(),
        tracer=None,
    )
    return cast("Context", house)


async def at_once(*_: object) -> Answer:
    """Stand for the line."""
    return Answer(response=Response())


def server(kind: str) -> Server | uvicorn.Server:
    """Make the server of a kind."""
    if kind == "asgi":
        return serving(application)
    if kind == "hooks":
        vars(hooks)["receive"] = at_once
    return serving(application, context())


async def serve(kind: str) -> None:
    """Serve on a free port until killed; the port is printed."""
    telemetry.configure_logs("critical", io.StringIO())
    listener = bind("127.0.0.1", 0, "port")
    print(listener.getsockname()[1], flush=True)
    if kind == "httptools":
        await (await asyncio.get_running_loop().create_server(Floor, sock=listener)).serve_forever()
    else:
        await server(kind).serve(sockets=[listener])


class Caller(asyncio.Protocol):
    """One connection that asks again whenever it is answered."""

    def __init__(self, request: bytes, left: list[int], done: asyncio.Future[None]) -> None:
        self._request, self._left, self._done = request, left, done

    def connection_made(self, transport: Any) -> None:
        """Ask first."""
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Ask again."""
        if not (data.startswith(b"HTTP/1.1 200") and data.endswith(END)):
            self._done.set_exception(RuntimeError(data.decode()))
        self._left[0] -= 1
        if self._left[0] > 0:
            self.transport.write(self._request)
        elif not self._done.done():
            self._done.set_result(None)


async def load(port: int, count: int, connections: int) -> None:
    """Ask so many times over so many connections."""
    loop = asyncio.get_running_loop()
    request, left, done = workload.signed(event()), [count], loop.create_future()
    callers = [
        await loop.create_connection(lambda: Caller(request, left, done), "127.0.0.1", port) for _ in range(connections)
    ]
    await done
    for transport, _ in callers:
        transport.abort()


def event() -> workload.Message:
    """Return the event that is sent."""
    return workload.message("http-in", 7, 1, 0.0)


def calls(run: Callable[[], object], count: int) -> float:
    """Return the microseconds of one call."""
    before = time.process_time()
    for _ in range(count):
        run()
    return (time.process_time() - before) / count * 1e6


def adapter(count: int, rounds: int) -> None:
    """Print what the adapter's two functions cost."""
    head, _, body = workload.signed(event()).partition(END)
    lines = (line.partition(": ") for line in head.decode().split("\r\n")[1:])
    request = Http(headers={name.lower(): value for name, _, value in lines}, body=body)
    account, known = slack(), Known(now=time.time(), me=Me(id=workload.BOT))
    payload = account.verify(request, known)
    for name, run in (
        ("verify", lambda: account.verify(request, known)),
        ("parse", lambda: account.parse(payload, known)),
    ):
        show(name, [calls(run, count) for _ in range(rounds)])


def show(name: str, figures: Sequence[float]) -> None:
    """Print a line: the median and the range."""
    median, least, most = statistics.median(figures), min(figures), max(figures)
    print(f"{name:<12}{median:7.1f} us   ({least:.1f} to {most:.1f})")


def main() -> None:
    """Load every server in turn, and print what each of its requests cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000, help="requests of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--serve", choices=KINDS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        uvloop.run(serve(asked.serve))
        return
    command = [sys.executable, "-m", "benchmarks.http_in", "--serve"]
    running = {kind: subprocess.Popen([*command, kind], stdout=subprocess.PIPE, cwd=HERE) for kind in KINDS}  # noqa: S603
    figures: dict[str, list[float]] = {kind: [] for kind in KINDS}
    try:
        ports = {kind: int(each.stdout.readline()) for kind, each in running.items() if each.stdout}
        for _ in range(asked.rounds):
            for kind, each in running.items():
                before = cpu_seconds([each.pid])
                uvloop.run(load(ports[kind], asked.count, asked.connections))
                figures[kind].append((cpu_seconds([each.pid]) - before) / asked.count * 1e6)
    finally:
        for each in running.values():
            each.kill()
            each.wait()
    for kind in KINDS:
        show(kind, figures[kind])
    adapter(asked.count, asked.rounds)


HERE: Final = Path(__file__).parents[1]

if __name__ == "__main__":
    main()
