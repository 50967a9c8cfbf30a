"""How the broadcast commands put their questions, and how they tell the answers."""

import asyncio
import dataclasses
import datetime as dt
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from dragoman.cli import fail
from dragoman.cli.addressees import Addressee
from dragoman.cli.asking import Asker
from dragoman.errors import ConfigError

BATCH: Final = 5_000
"""Recipients that one question brings."""
LOOK: Final = 0.5
"""Seconds between two looks of `watch`."""
ENDED: Final = frozenset({"done", "aborted", "missed"})
SETTLED: Final = ("sent", "failed", "unknown", "skipped")
PAGE: Final = 10_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to be sent to whom; `start_at` 0 is at once."""

    text: str
    name: str
    buttons: Sequence[dict[str, str]]
    start_at: float
    named: Sequence[tuple[str, Addressee]]
    """Each with where it was named."""
    segment: str


async def count(ask: Asker, wish: Wish) -> Counter[str]:
    """Count the recipients by account, each once; raises `ConfigError` for one that cannot be one."""
    if not wish.named and not wish.segment:
        raise ConfigError("--to", "", "nobody is named", "give --to, --recipients or --segment")
    return Counter(account for account, _ in {tuple(each) for each in await _taken(ask, wish, 0, "places", [])})


async def begin(ask: Asker, wish: Wish) -> dict[str, Any]:
    """Look at all recipients, then store them; the broadcast goes when all are there. Returns its report."""
    if not await count(ask, wish):
        fail("nobody is in the segment: nothing is sent")
    asked = {"text": wish.text, "name": wish.name, "buttons": wish.buttons, "start_at": wish.start_at}
    number: int = (await ask("broadcast-create", body=json.dumps(asked)))["id"]
    await _taken(ask, wish, number, "added", 0)
    report: dict[str, Any] = _good(await ask("broadcast-ready", id=str(number)))
    return report


async def _taken(ask: Asker, wish: Wish, number: int, what: str, start: Any) -> Any:
    """Name all recipients, batch by batch; returns the sum of what the answers say."""
    whole = start
    for batch in _batches(wish.named):
        body = json.dumps([addressee for _, addressee in batch])
        answer = await ask("broadcast-named", body=body, id=str(number))
        if "place" in answer:
            raise ConfigError(batch[answer["place"]][0], "", answer["error"])
        whole = whole + _good(answer)[what]
    if wish.segment:
        answer = await ask("broadcast-segment", id=str(number), segment=wish.segment)
        if "error" in answer:
            raise ConfigError("--segment", "", answer["error"])
        whole = whole + answer[what]
    return whole


def _batches(named: Sequence[tuple[str, Addressee]]) -> Iterator[Sequence[tuple[str, Addressee]]]:
    for start in range(0, len(named), BATCH):
        yield named[start : start + BATCH]


def _good(answer: dict[str, Any]) -> dict[str, Any]:
    if "error" in answer:
        fail(answer["error"])
    return answer


async def in_states(ask: Asker, number: int, states: Sequence[str]) -> list[dict[str, Any]]:
    """Read all recipients in these states."""
    rows: list[dict[str, Any]] = []
    while True:
        after = str(rows[-1]["n"] if rows else 0)
        page = await ask("broadcast-recipients", id=str(number), states=",".join(states), after=after)
        rows += page
        if len(page) < PAGE:
            return rows


async def watch(ask: Asker, number: int) -> None:
    """Show a broadcast's progress until its end: a bar on a terminal, else a line whenever it moved."""
    report = await _report(ask, number)
    if ask.alone:
        fail("no service runs: nothing moves; see `dragoman broadcast show`")
    if sys.stdout.isatty():
        report = await _bar(ask, report)
    else:
        report = await _lines(ask, report)
    print(line(report))


async def _report(ask: Asker, number: int) -> dict[str, Any]:
    report: dict[str, Any] | None = await ask("broadcast-show", id=str(number))
    if report is None:
        fail(f"there is no broadcast {number}; see `dragoman broadcast list`")
    return report


async def _bar(ask: Asker, report: dict[str, Any]) -> dict[str, Any]:
    from rich.progress import MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415 - only where there is a terminal

    columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TextColumn("{task.fields[fates]}"))
    with Progress(*columns) as bar:
        task = bar.add_task(_title(report), total=report["broadcast"]["total"], fates="")
        while report["broadcast"]["state"] not in ENDED:
            bar.update(task, description=_title(report), completed=settled(report), fates=fates(report))
            await asyncio.sleep(LOOK)
            report = await _report(ask, report["broadcast"]["id"])
        bar.update(task, description=_title(report), completed=settled(report), fates=fates(report))
    return report


async def _lines(ask: Asker, report: dict[str, Any]) -> dict[str, Any]:
    told = ""
    while report["broadcast"]["state"] not in ENDED:
        if line(report) != told:
            told = line(report)
            print(told, flush=True)
        await asyncio.sleep(2 * LOOK)
        report = await _report(ask, report["broadcast"]["id"])
    return report


def settled(report: dict[str, Any]) -> int:
    """Count the recipients with whom it is over."""
    return sum(report["counts"].get(state, 0) for state in SETTLED)


def fates(report: dict[str, Any]) -> str:
    """Say what became of recipients, in a few words."""
    counts = report["counts"]
    return ", ".join(f"{counts[state]:,} {state}" for state in (*SETTLED, "queued", "waiting") if counts.get(state))


def _title(report: dict[str, Any]) -> str:
    broadcast = report["broadcast"]
    return f"{broadcast['id']} {broadcast['state']}"


def line(report: dict[str, Any]) -> str:
    """Tell of a broadcast on one line."""
    broadcast = report["broadcast"]
    name = f"  {broadcast['name']}" if broadcast["name"] else ""
    return (
        f"{broadcast['id']:<5} {broadcast['state']:<10} {_time(broadcast)}  "
        f"{broadcast.get('total', 0):>7,} recipients: {fates(report) or 'none'}{name}"
    )


def _time(broadcast: dict[str, Any]) -> str:
    at = broadcast["start_at"] or broadcast["created_at"]
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="seconds")


def tell_count(counts: Counter[str], *, as_json: bool) -> None:
    """Tell how many recipients a broadcast would have."""
    total = sum(counts.values())
    if as_json:
        print(json.dumps({"total": total, "accounts": dict(sorted(counts.items()))}))
        return
    words = ", ".join(f"{count:,} of {account}" for account, count in sorted(counts.items()))
    print(f"{total:,} recipients{': ' + words if words else ''}. Nothing was sent.")


def tell_begun(report: dict[str, Any], *, as_json: bool, alone: bool) -> None:
    """Tell that a broadcast is on its way."""
    if as_json:
        print(json.dumps(report, ensure_ascii=False))
        return
    print(line(report), flush=True)
    if alone:
        print("No service runs here: it is sent when one does (`dragoman run`).")


def tell(report: dict[str, Any], rows: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    """Tell of a broadcast, and of some of its recipients."""
    if as_json:
        print(json.dumps({**report, "recipients": rows}, ensure_ascii=False))
        return
    print(line(report))
    for row in rows:
        address = row["address"]
        place = "/".join(part for part in (address["account"], address.get("workspace"), address["channel"]) if part)
        redrive = f"  [{row['parked']}]" if row.get("parked") else ""
        print(f"  {place:<40} {row.get('state', 'waiting'):<8} {row.get('reason', '')}{redrive}")
