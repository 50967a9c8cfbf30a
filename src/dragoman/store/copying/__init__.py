"""Move a store from one database to another: everything, in batches, resumable, and compared at the end.

The source is only read. The target counts as unfinished until both sides gave the same counts and checksums; until
then no service starts on it. Killed at any point, the same copy goes on where its last batch was committed.
"""

import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Callable, Mapping
from types import ModuleType
from typing import Final, Literal

from dragoman.errors import ConfigError, StoreDamaged
from dragoman.store.copying.place import SAME, Mark, Outdated, Place, Source, Target
from dragoman.store.copying.tables import LANE, OUTBOX, TABLES, Row, Sum, Table, weight

BATCH: Final = 5_000
"""Rows that are committed together, at most."""
BATCH_BYTES: Final = 16 << 20
"""Bytes that a batch holds in memory before it is committed, about."""

Watch = Callable[[Literal["copy", "compare"], str, int, int], None]
"""Told of the progress: what is done, with which table, rows so far, rows in all."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Copied:
    """What is now the same on both sides: rows and checksum by table; and how many rows were there already."""

    tables: Mapping[str, tuple[int, str]]
    resumed: int

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(rows for rows, _ in self.tables.values())


async def copy(origin: Place, goal: Place, watch: Watch) -> Copied:
    """Copy everything from one place to another that is empty, or go on with that.

    Raises `ConfigError` for a place that cannot be one, `StoreLocked` when a service runs on either,
    `StoreDamaged` when the sides differ in the end, and `StoreAway`.
    """
    if (origin.path, origin.url) == (goal.path, goal.url):
        raise ConfigError("TO", "", SAME)
    async with (
        _driver(origin).source(origin) as source,
        _driver(goal).target(goal, source.identity) as target,
    ):
        for table in TABLES:
            await _copy(source, target, table, watch)
        tables = await _compare(source, target, watch)
        await source.alone()
        await target.alone()
        resumed = sum(mark.rows for mark in target.marks.values())
        await target.finish()
        return Copied(tables=tables, resumed=resumed)


def _driver(place: Place) -> ModuleType:
    """Return the module that opens a place; raises `ConfigError` when its driver is not installed."""
    from dragoman.store.copying import sqlite  # noqa: PLC0415 - beside the one below

    if not place.url:
        return sqlite
    try:
        from dragoman.store.copying import postgres  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise ConfigError(place.name, "", f"needs {error.name}", "pip install 'dragoman[postgres]'") from error
    return postgres


async def _copy(source: Source, target: Target, table: Table, watch: Watch) -> None:
    mark, total = target.marks.get(table.name, Mark()), await source.count(table)
    done = mark.rows
    watch("copy", table.name, done, total)
    async with contextlib.aclosing(_batches(source, table, mark)) as batches:
        async for batch in batches:
            try:
                await target.add(table, batch)
            except Outdated as error:
                raise await _differs(source, target, {table: "other rows than when the copy began"}) from error
            done += len(batch)
            watch("copy", table.name, done, total)


async def _batches(source: Source, table: Table, mark: Mark) -> AsyncGenerator[list[Row], None]:
    """Cut what is left of a table into batches, by rows and by bytes."""
    batch: list[Row] = []
    size = 0
    async for row in source.rows(table, mark.after):
        batch.append(row)
        size += weight(row)
        if len(batch) >= BATCH or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


async def _compare(source: Source, target: Target, watch: Watch) -> dict[str, tuple[int, str]]:
    """Count and sum up every table on both sides; what differs is copied anew the next time."""
    sums: dict[str, tuple[int, str]] = {}
    differing: dict[Table, str] = {}
    for table in TABLES:
        total = await source.count(table)
        ours, theirs = await _sum(source, table, target), await _sum(target, table, target)
        watch("compare", table.name, ours.rows, total)
        sums[table.name] = (ours.rows, ours.checksum)
        if (ours.rows, ours.checksum) != (theirs.rows, theirs.checksum):
            differing[table] = f"{ours.rows} rows, {theirs.rows} copied"
    if differing:
        raise await _differs(source, target, differing)
    return sums


async def _differs(source: Source, target: Target, tables: Mapping[Table, str]) -> StoreDamaged:
    """Have these tables copied anew the next time; returns what to raise."""
    await target.empty([*tables, LANE] if OUTBOX in tables else [*tables])
    words = ", ".join(f"{table.name} ({how})" for table, how in tables.items())
    return StoreDamaged(f"{target.name} differs from {source.name}: {words}; run the same copy again")


async def _sum(place: Source, table: Table, target: Target) -> Sum:
    """Sum a table up as the target can hold it."""
    total = Sum()
    async for row in place.rows(table):
        total.add(target.named(table, row))
    return total
