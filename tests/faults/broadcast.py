"""A broadcast on the real service, killed at random moments: `python -m tests.faults.broadcast --recipients 50000`.

The oracle is the simulated Telegram, which has no idempotency key: who got the message, and how often. Beside the
broadcast, people write to the same bot; their replies are timed.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import json
import random
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp
import apsw
import asyncpg

from dragoman.flow.transport import control
from dragoman.testing.process import Service, configuration
from dragoman.testing.simulator import serve
from dragoman.testing.simulators.telegram import TelegramSimulator

FIRST: Final = 1_000_000
"""The chats of recipients are numbered from here; those of people who write, below."""
BLOCKED: Final = 100
"""One recipient in so many has blocked the bot."""
UNDER_WAY: Final = "SELECT id FROM outbox WHERE state = 'sending' AND class = 'broadcast'"
"""The deliveries that a kill can leave unknown."""
GONE: Final = "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'dragoman %-' || $1::int || '-%'"
"""Whether a process's last statements are over."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What came of a broadcast: the service's word, and the oracle's."""

    total: int
    counts: dict[str, int]
    arrived: int
    duplicates: int
    untrue: int
    """Recipients of whom the service says something that the oracle knows to be false."""
    kills: int
    under_way: int
    """Deliveries that a kill found being sent."""
    seconds: float
    down: float
    """Of these, the seconds in which no service was ready."""
    live: int
    live_p50: float
    live_p99: float
    """Of the replies during which nothing was killed."""
    live_worst: float

    @property
    def problems(self) -> list[str]:
        """Say which promises were broken."""
        broken = {
            "somebody got it twice": self.duplicates > 0,
            "the numbers do not add up": sum(self.counts.values()) != self.total,
            "somebody still waits": bool(self.counts.get("waiting") or self.counts.get("queued")),
            "something untrue is said": self.untrue > 0,
            "more is unknown than was under way": self.counts.get("unknown", 0) > self.under_way,
        }
        return [problem for problem, is_so in broken.items() if is_so]


class Trial:
    """A service, its platform, a broadcast, and people who write meanwhile."""

    def __init__(self, folder: Path, url: str, platform: TelegramSimulator, store: str, rate: float) -> None:
        self.platform = platform
        account = {"platform": "telegram", **platform.settings(url), "sends_per_second": rate, "plugins": ["echo"]}
        settings = {"store": store} if store else {}
        self.service = Service(folder, configuration({"news": account}, log_level="error", **settings))
        self.control = folder / "dragoman.sock"
        self.list = folder / "recipients.txt"
        self.waits: list[tuple[float, float]] = []
        self.kills: list[tuple[float, float]] = []
        self.under_way: set[int] = set()
        self._store = store
        self._up = asyncio.Event()

    async def start(self) -> None:
        """Start the service."""
        await self.service.start()
        self._up.set()

    async def send(self, recipients: int) -> int:
        """Give the command that an operator gives; returns the broadcast's number."""
        self.list.write_text("".join(f"news/{FIRST + n}\n" for n in range(recipients)), encoding="utf-8")
        command = [sys.executable, "-m", "dragoman", "broadcast", "send", "News for {name|you}", "--json"]
        place = ["--data", str(self.service.folder), "--config", str(self.service.folder / "dragoman.toml")]
        process = await asyncio.create_subprocess_exec(
            *command, "--recipients", str(self.list), *place, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        number: int = json.loads(out)["broadcast"]["id"]
        return number

    async def kill_at(self, moments: Sequence[int]) -> None:
        """Kill the service whenever so many messages have arrived, and start it again."""
        for moment in moments:
            while len(self.platform.sent) < moment:
                await asyncio.sleep(0.002)
            began = time.monotonic()
            self._up.clear()
            await self.service.kill()
            self.under_way |= await self._left_under_way()
            await self.start()
            self.kills.append((began, time.monotonic()))

    async def _left_under_way(self) -> set[int]:
        """Read from the store what the killed service was sending."""
        if not self._store:
            database, reading = str(self.service.folder / "dragoman.db"), apsw.SQLITE_OPEN_READONLY
            with contextlib.closing(apsw.Connection(database, flags=reading)) as file:  # the log stays as it was left
                return {number for (number,) in file.execute(UNDER_WAY)}
        connection = await asyncpg.connect(self._store)
        try:
            while not await connection.fetchval(GONE, self.service.pid):
                await asyncio.sleep(0.01)
            return {number for (number,) in await connection.fetch(UNDER_WAY)}
        finally:
            await connection.close()

    async def end(self, number: int) -> dict[str, Any]:
        """Wait for the broadcast's end; returns its report."""
        while True:
            await self._up.wait()
            with contextlib.suppress(Exception):  # killed while it answers
                report: dict[str, Any] = await control.ask(self.control, "broadcast-show", id=str(number))
                if report["broadcast"]["state"] == "done":
                    return report
            await asyncio.sleep(0.2)

    async def recipients(self, number: int) -> list[dict[str, Any]]:
        """Read what the service says of each."""
        rows: list[dict[str, Any]] = []
        while True:
            after = str(rows[-1]["n"] if rows else 0)
            states = "sent,failed,unknown,skipped"
            page = await control.ask(self.control, "broadcast-recipients", id=str(number), states=states, after=after)
            if not page:
                return rows
            rows += page

    async def converse(self, every: float) -> None:
        """Let people write, one after the other, and time the replies, until cancelled."""
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            for number in range(1, FIRST):
                group.create_task(self._ask(session, number))
                await asyncio.sleep(every)

    async def _ask(self, session: aiohttp.ClientSession, chat: int) -> None:
        request = self.platform.webhook(f"question {chat}", channel=str(chat))
        began = time.monotonic()
        await self._post(session, request.body, dict(request.headers))
        while not self._answered(chat):
            await asyncio.sleep(0.005)
        self.waits.append((began, time.monotonic()))

    def _answered(self, chat: int) -> bool:
        wanted = str(chat)
        return any(each.channel == wanted for each in reversed(self.platform.sent[-2000:]))

    async def _post(self, session: aiohttp.ClientSession, body: Any, headers: dict[str, str]) -> None:
        """Bring a message as the platform does: again and again until it is taken."""
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.post(f"{self.service.url}/hooks/news", data=body, headers=headers) as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)


async def run(
    folder: Path,
    *,
    recipients: int,
    kills: int,
    store: str = "",
    seed: int = 1,
    rate: float = 2000.0,
    every: float = 0.2,
) -> Result:
    """Send a broadcast, kill the service so often at random moments, and judge what came of it."""
    chance = random.Random(seed)  # noqa: S311 - a schedule that can be repeated, not a secret
    platform = TelegramSimulator()
    platform.unlimited()
    platform.blocked = {str(FIRST + n) for n in range(recipients) if n % BLOCKED == BLOCKED - 1}
    async with serve(platform) as url:
        trial = Trial(folder, url, platform, store, rate)
        await trial.start()
        began = time.monotonic()
        number = await trial.send(recipients)
        moments = sorted(chance.randrange(1, int(recipients * 0.95)) for _ in range(kills))
        async with _beside(trial.converse(every)), asyncio.timeout(3600):
            killing = asyncio.create_task(trial.kill_at(moments))
            report = await trial.end(number)
            await killing
        seconds = time.monotonic() - began
        rows = await trial.recipients(number)
        await trial.service.stop()
        return _judged(trial, report, rows, seconds)


@contextlib.asynccontextmanager
async def _beside(work: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _judged(trial: Trial, report: dict[str, Any], rows: list[dict[str, Any]], seconds: float) -> Result:
    arrived = Counter(each.channel for each in trial.platform.sent if int(each.channel) >= FIRST)
    state = {row["address"]["channel"]: row["state"] for row in rows}
    untrue = sum(state.get(chat) not in {"sent", "unknown"} for chat in arrived)
    untrue += sum(is_so == "sent" and not arrived[chat] for chat, is_so in state.items())
    calm = sorted(
        end - begin for begin, end in trial.waits if not any(begin < up and end > down for down, up in trial.kills)
    )
    return Result(
        total=report["broadcast"]["total"],
        counts=report["counts"],
        arrived=len(arrived),
        duplicates=sum(count - 1 for count in arrived.values()),
        untrue=untrue,
        kills=len(trial.kills),
        under_way=len(trial.under_way),
        seconds=seconds,
        down=sum(up - down for down, up in trial.kills),
        live=len(trial.waits),
        live_p50=calm[len(calm) // 2] if calm else 0.0,
        live_p99=calm[int(len(calm) * 0.99)] if calm else 0.0,
        live_worst=max((end - begin for begin, end in trial.waits), default=0.0),
    )


@contextlib.asynccontextmanager
async def schema(url: str) -> AsyncIterator[str]:
    """Make a schema of its own on a PostgreSQL server, and give the store's address."""
    name = f"b{secrets.token_hex(6)}"
    connection = await asyncpg.connect(url)
    await connection.execute(f"CREATE SCHEMA {name}")
    try:
        yield f"{url}?search_path={name}"
    finally:
        await connection.execute(f"DROP SCHEMA {name} CASCADE")
        await connection.close()


async def main() -> int:
    """Run what the command line asks for, and print one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.broadcast", description=__doc__)
    parser.add_argument("--recipients", type=int, default=50_000)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=2000.0, help="the account's sends a second")
    parser.add_argument("--postgres", default="", help="a server's address; without one: SQLite")
    chosen = parser.parse_args()
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = await stack.enter_async_context(schema(chosen.postgres)) if chosen.postgres else ""
        facts = {"recipients": chosen.recipients, "kills": chosen.kills, "seed": chosen.seed, "rate": chosen.rate}
        result = await run(folder, store=store, **facts)
    told = {"store": "postgres" if store else "sqlite", **facts, **dataclasses.asdict(result)}
    told |= {"per_second": round(result.total / (result.seconds - result.down)), "problems": result.problems}
    rounded = {key: round(value, 3) if isinstance(value, float) else value for key, value in told.items()}
    sys.stdout.write(json.dumps(rounded) + "\n")
    return bool(result.problems)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
