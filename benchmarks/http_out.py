"""What an outgoing call costs in CPU time, 32 in flight, against a stub of the platform's API in a process of its own.

Run it by `.venv/bin/python -m benchmarks.http_out`. Each round runs all ways one after the other, so that a busy
machine hurts them alike; the table shows the medians. CPU time is this process's own, the kernel's part included.
"""

import argparse
import asyncio
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

import aiohttp
import uvloop
from benchmarks.compare import stub

from dragoman.adapters.slack import Slack
from dragoman.engine.route import Policy
from dragoman.flow.account import Account, Accounts
from dragoman.flow.client import Client
from dragoman.flow.media import MediaStore
from dragoman.flow.transport.http import HttpTransport
from dragoman.flow.transport.local import Hub
from dragoman.model import Address, Delivery, Message, Say, Secret
from dragoman.wire import Http, Sent

IN_FLIGHT: Final = 32
TOKEN: Final = "xoxb-of-the-benchmark"  # noqa: S105 - the stub does not look at it
ADDRESS: Final = Address(account="bench", channel="D0123456789")
TEXT: Final = "echo: good morning, all of you"
ARGUMENTS: Final = {"channel": ADDRESS.channel, "text": TEXT, "unfurl_links": False}

Call = Callable[[], Awaitable[object]]


async def microseconds(call: Call, calls: int) -> float:
    """Return the CPU time of one call."""

    async def worker() -> None:
        for _ in range(calls // IN_FLIGHT):
            await call()

    began = time.process_time()
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    return (time.process_time() - began) / calls * 1e6


@contextlib.asynccontextmanager
async def ways(base: str, folder: Path) -> AsyncIterator[dict[str, Call]]:
    """Open what is measured, by what it is called in the table."""
    url, headers = f"{base}/chat.postMessage", {"authorization": f"Bearer {TOKEN}"}
    request = Http(url=url, headers={"content-type": "application/json; charset=utf-8", **headers}, json=ARGUMENTS)
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    transport = HttpTransport(MediaStore(folder))
    adapter = Slack(bot_token=Secret(TOKEN), signing_secret=Secret("none"), api_base=base)
    account = Account(name="bench", adapter=adapter, policy=Policy())
    accounts = Accounts([account], time.time)
    client, known = Client(transport, Hub(), accounts, time.time), accounts.known(account)
    say = Say(message=Message(text=TEXT))
    delivery = Delivery(id=1, key="1:1:1", action=say, address=ADDRESS, conversation="bench/D0123456789")

    async def naive() -> None:
        async with session.post(url, json=ARGUMENTS, headers=headers) as answer:
            await answer.json()

    async def performed() -> None:
        outcome = await client.perform(account, adapter.send(delivery, known))
        assert isinstance(outcome, Sent)  # noqa: S101 - a refusal would be measured otherwise

    try:
        yield {
            "aiohttp, as one writes it first": naive,
            "HttpTransport, by aiohttp": lambda: transport._particular(request),  # noqa: SLF001 - as it was
            "HttpTransport": lambda: transport.carry(request),
            "Client.perform, chat.postMessage": performed,
        }
    finally:
        await session.close()
        await transport.close()


async def measure(base: str, rounds: int, calls: int) -> None:
    """Print the table."""
    costs: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        async with ways(base, Path(folder)) as calling:
            for call in calling.values():
                await microseconds(call, 10 * IN_FLIGHT)
            for _ in range(rounds):
                for name, call in calling.items():
                    costs.setdefault(name, []).append(await microseconds(call, calls))
    for name, found in costs.items():
        print(f"  {name:<34} {statistics.median(found):7.1f} us   ({min(found):.1f} - {max(found):.1f})")


async def serve() -> None:
    """Be the stub, until the end of the input."""
    async with stub.serving(lambda _: None) as base:
        print(base, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def main() -> None:
    """Start the stub beside, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=6400, help="calls of each way in a round")
    parser.add_argument("--stub", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stub:
        uvloop.run(serve())
        return
    command = [sys.executable, "-m", "benchmarks.http_out", "--stub"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as beside:  # noqa: S603 - ourselves
        assert beside.stdout is not None  # noqa: S101 - it is a pipe
        uvloop.run(measure(beside.stdout.readline().strip(), options.rounds, options.calls))
        beside.communicate()


if __name__ == "__main__":
    main()
