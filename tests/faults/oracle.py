"""The judge: reads the simulators' logs and the database by SQL, and nothing that the service says of itself."""

import asyncio
import dataclasses
import itertools
import statistics
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import apsw
import asyncpg
import msgspec
from tests.faults.traffic import Heard, Stream

from dragoman.testing.load import Sample

Name = tuple[str, int, int]
"""A message: its account, conversation and number."""

INBOX: Final = "SELECT id, account, event, status, reason FROM inbox ORDER BY id"
OUTBOX: Final = "SELECT inbox, state, reason FROM outbox"
UNDER_WAY: Final = """
SELECT (SELECT count(*) FROM inbox WHERE status NOT IN ('done', 'parked'))
     + (SELECT count(*) FROM outbox WHERE state NOT IN ('sent', 'parked'))
     + (SELECT count(*) FROM conversation WHERE pending <> 0 OR ready_at IS NOT NULL)"""


class Database(Protocol):
    """Where the service keeps its line."""

    async def rows(self, sql: str) -> Sequence[Sequence[Any]]:
        """Ask."""


class SqliteFile:
    """The embedded store's file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def rows(self, sql: str) -> Sequence[Sequence[Any]]:
        """Ask on a connection of our own."""
        connection = apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(5000)
        try:
            return list(connection.execute(sql))
        finally:
            connection.close()


class PostgresServer:
    """The server, asked directly, whatever stands between it and the service."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def rows(self, sql: str) -> Sequence[Sequence[Any]]:
        """Ask; a server that restarts is waited for."""
        while True:
            try:
                connection = await asyncpg.connect(self._url, timeout=5)
            except (OSError, asyncpg.PostgresError, TimeoutError):
                await asyncio.sleep(0.1)
                continue
            try:
                return [tuple(row) for row in await connection.fetch(sql)]
            finally:
                await connection.close()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A message in the inbox, and what became of its replies."""

    id: int
    status: str
    reason: str
    outbox: tuple[tuple[str, str], ...]

    @property
    def parked(self) -> list[str]:
        """Say why it, or replies to it, were set aside."""
        reasons = [reason for state, reason in self.outbox if state == "parked"]
        return [self.reason, *reasons] if self.status == "parked" else reasons


async def inbox(database: Database) -> dict[Name, list[Row]]:
    """Read every message that was stored, in the order of its conversation."""
    replies = defaultdict(list)
    for number, state, reason in await database.rows(OUTBOX):
        replies[number].append((state, reason))
    found: dict[Name, list[Row]] = defaultdict(list)
    for number, account, body, status, reason in await database.rows(INBOX):
        conversation, count, *_ = msgspec.json.decode(body)["text"].split()
        row = Row(id=number, status=status, reason=reason, outbox=tuple(replies[number]))
        found[account, int(conversation[1:]), int(count[1:])].append(row)
    return found


@dataclasses.dataclass(kw_only=True)
class Findings:
    """What the oracle found; lists name the messages concerned."""

    sent: int = 0
    acked: int = 0
    lost: list[Name] = dataclasses.field(default_factory=list)
    unstored: list[Name] = dataclasses.field(default_factory=list)
    """Acknowledged, and not in the database."""
    turned_twice: list[Name] = dataclasses.field(default_factory=list)
    inversions: list[Name] = dataclasses.field(default_factory=list)
    misremembered: list[Name] = dataclasses.field(default_factory=list)
    """Answered from a state that is not what the messages before it make."""
    parked: list[str] = dataclasses.field(default_factory=list)
    duplicates: list[Name] = dataclasses.field(default_factory=list)
    spoilt: int = 0
    under_way: int = 0
    latencies: list[float] = dataclasses.field(default_factory=list)
    answered: list[tuple[float, float]] = dataclasses.field(default_factory=list)
    """When each message was meant to be sent, and when its answer was complete."""

    def again(self, *, keyed: bool) -> list[Name]:
        """Return the duplicates on platforms that know a repeated send by its key, or on the others."""
        return [name for name in self.duplicates if (name[0] == "feishu") is keyed]


async def judge(database: Database, streams: Iterable[Stream]) -> Findings:
    """Compare what was sent and acknowledged with what is stored, and with what the platforms took."""
    findings = Findings(under_way=int((await database.rows(UNDER_WAY))[0][0]))
    rows = await inbox(database)
    findings.parked = [reason for found in rows.values() for row in found for reason in row.parked]
    findings.turned_twice = [name for name, found in rows.items() if len(found) > 1]
    for stream in streams:
        _judge_stream(findings, stream, rows)
    return findings


def _judge_stream(findings: Findings, stream: Stream, rows: Mapping[Name, Sequence[Row]]) -> None:
    first: dict[Name, dict[int, Heard]] = defaultdict(dict)
    order: dict[tuple[int, str], list[tuple[int, int]]] = defaultdict(list)
    for heard in stream.heard():
        parts = first[stream.account, heard.conversation, heard.number]
        if heard.part in parts:
            findings.duplicates.append((stream.account, heard.conversation, heard.number))
            continue
        parts[heard.part] = heard
        order[heard.conversation, heard.way].append((heard.number, heard.part))
    for (conversation, _), places in order.items():
        wrong = [later for earlier, later in itertools.pairwise(places) if later < earlier]
        findings.inversions += [(stream.account, conversation, number) for number, _ in wrong]
    findings.spoilt += stream.spoilt()
    for sample in stream.samples:
        name = (stream.account, sample.conversation, sample.number)
        _judge_sample(findings, stream, sample, rows.get(name, ()), first.get(name, {}))
    findings.misremembered += _misremembered(stream.account, rows, first)


def _judge_sample(
    findings: Findings, stream: Stream, sample: Sample, rows: Sequence[Row], parts: Mapping[int, Heard]
) -> None:
    name = (stream.account, sample.conversation, sample.number)
    findings.sent += 1
    findings.acked += sample.acknowledged > 0
    whole = len(parts) == stream.parts(sample)
    if sample.acknowledged and not rows:
        findings.unstored.append(name)
    if sample.acknowledged and not whole and not any(row.parked for row in rows):
        findings.lost.append(name)
    if whole:
        done = max(heard.at for heard in parts.values())
        findings.latencies.append(done - sample.intended)
        findings.answered.append((sample.intended, done))


def _misremembered(
    account: str, rows: Mapping[Name, Sequence[Row]], first: Mapping[Name, Mapping[int, Heard]]
) -> list[Name]:
    """Every answer tells after which message it came: it must be the handled one before it in the inbox."""
    lines: dict[int, list[tuple[int, Name]]] = defaultdict(list)
    for name, found in rows.items():
        if name[0] == account and found[0].status == "done":
            lines[name[1]].append((found[0].id, name))
    wrong = []
    for line in lines.values():
        before = 0
        for _, name in sorted(line):
            said = first.get(name, {}).get(1)
            if said and said.after is not None and said.after != before:
                wrong.append(name)
            before = name[2]
    return wrong


def quantile(values: Collection[float], share: float) -> float:
    """Return a quantile (0 of nothing)."""
    if len(values) < 2:
        return next(iter(values), 0.0)
    return statistics.quantiles(values, n=100, method="inclusive")[min(98, round(share * 100) - 1)]


def recoveries(findings: Findings, healed: Iterable[float]) -> list[float]:
    """For every blow: the seconds until all that was sent before was answered (0: nothing waited)."""
    return [
        max((done - moment for sent, done in findings.answered if sent <= moment < done), default=0.0)
        for moment in healed
    ]
