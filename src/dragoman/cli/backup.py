"""`dragoman backup`, `verify`, `drill` and `restore`: the copies of the store."""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dragoman.cli import fail, options
from dragoman.errors import ConfigError

if TYPE_CHECKING:
    from dragoman.service.installation import Installation

Copy = Annotated[str, typer.Option("--copy", help="Read from this copy only: first or second (default: from both).")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(backup)
    app.command()(verify)
    app.command()(drill)
    app.command()(restore)


def backup(
    listed: Annotated[bool, typer.Option("--list", help="Only show what the copies hold.")] = False,
    data: options.Data = None,
    config: options.Configuration = None,
    as_json: options.AsJson = False,
) -> None:
    """Bring the copies of the store up to date and take a snapshot now.

    A running service does so by itself; what has changed is in the first copy within seconds.
    """
    installation = options.load(data, config)
    answer = None if listed else asyncio.run(_ask(installation, "backup"))
    copies = asyncio.run(_held_in(installation))
    if as_json:
        at = answer and answer["at"]
        print(json.dumps({"snapshot_at": at, "copies": copies}, ensure_ascii=False))
        return
    if answer:
        print(f"Took a snapshot of {sum(part['size'] for part in answer['parts']):,} bytes.")
    for copy in copies:
        print(f"{copy['name']}: {copy['snapshots']} snapshots, restorable to {copy['newest']}")


async def _held_in(installation: "Installation") -> list[dict[str, Any]]:
    from dragoman.service import restoring  # noqa: PLC0415 - the command's own weight

    found = []
    for bucket in restoring.places(installation):
        snapshots, newest = await restoring.newest(installation, bucket)
        found.append({"name": bucket.name, "snapshots": snapshots, "newest": newest})
    return found


async def _ask(installation: "Installation", question: str) -> Any:
    """Ask the running service, or open the store; ends with what kept it from answering."""
    from dragoman.cli.asking import asking  # noqa: PLC0415 - the command's own weight
    from dragoman.service import restoring  # noqa: PLC0415 - the command's own weight

    restoring.places(installation)  # refused before anything is opened
    async with asking(installation) as put:
        answer = await put(question)
    if answer is None:
        fail("PostgreSQL's programs are not installed here (psql, pg_basebackup, pg_receivewal): backups are theirs")
    if "error" in answer:
        fail(answer["error"])
    return answer["answer"]


def verify(
    copy: Copy = "",
    data: options.Data = None,
    config: options.Configuration = None,
    as_json: options.AsJson = False,
) -> None:
    """Read every object of the copies and check its sums and its place in the log."""
    from dragoman.archive.backup import postgres_drill  # noqa: PLC0415 - the command's own weight
    from dragoman.archive.backup import verify as verifying  # noqa: PLC0415 - the command's own weight
    from dragoman.service import backup as backups  # noqa: PLC0415 - the command's own weight
    from dragoman.service import restoring  # noqa: PLC0415 - the command's own weight

    installation = options.load(data, config)

    check = postgres_drill.verify if installation.settings.store else verifying.verify

    async def every() -> list[verifying.Verified]:
        places = restoring.places(installation, _named(copy))
        with _watching("verify", quiet=as_json) as watch:
            return [await check(bucket, backups.seal(installation), watch) for bucket in places]

    found = asyncio.run(every())
    if as_json:
        print(json.dumps([restoring.plain(each) for each in found], ensure_ascii=False))
    else:
        for each in found:
            newest = restoring.shown(each.newest_at) if each.newest_at else "nothing"
            print(f"{each.name}: {each.snapshots} snapshots, {each.parts} parts of the log, restorable to {newest}")
    if problems := [problem for each in found for problem in each.problems]:
        fail("; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" if len(problems) > 5 else ""))


def _named(copy: str) -> str:
    if copy not in {"", "first", "second"}:
        raise ConfigError("--copy", copy, "is no copy", "first or second")
    return copy


def drill(
    copy: Copy = "",
    data: options.Data = None,
    config: options.Configuration = None,
    as_json: options.AsJson = False,
) -> None:
    """Restore into an empty place, compare with the running store, start a held bot on it, and throw it away.

    Shows what would have been lost (RPO) and how long it took to be back (RTO).
    """
    import msgspec  # noqa: PLC0415 - the command's own weight

    from dragoman.archive.backup.keep import Proof  # noqa: PLC0415 - the command's own weight
    from dragoman.service import backup as backups  # noqa: PLC0415 - the command's own weight
    from dragoman.service import restoring  # noqa: PLC0415 - the command's own weight

    installation = options.load(data, config)

    async def once() -> restoring.Report:
        places = restoring.places(installation, _named(copy))
        there = bool(installation.settings.store) or installation.database.exists()
        proof: Proof | None = msgspec.convert(await _ask(installation, "prove"), Proof) if there else None
        hold = restoring.drill_postgres if installation.settings.store else restoring.drill
        return await hold(installation, proof, places)

    report = asyncio.run(once())
    if installation.data.is_dir():
        backups.note_drill(installation.data, time.time())
    if as_json:
        print(json.dumps(restoring.plain(report), ensure_ascii=False))
        return
    print(f"Restored {report.rows:,} rows ({report.bytes:,} bytes) of {restoring.shown(report.at)}.")
    print(f"Compared with {report.compared}: the same. A held bot answered on it.")
    print(f"Would have been lost: {report.lost_seconds:.1f} s (RPO). Back after: {report.seconds:.1f} s (RTO).")
    for trouble in report.trouble:
        print(f"But: {trouble}")


def restore(
    *,
    at: Annotated[str, typer.Option(help="The moment to restore, ISO 8601 (default: the newest).")] = "",
    until: Annotated[
        str, typer.Option(help="When the lost bot was last up (default: now): what came before is not answered again.")
    ] = "",
    to: Annotated[str, typer.Option(help="The folder to restore into (default: the data folder).")] = "",
    hold: Annotated[
        bool, typer.Option("--hold", help="PostgreSQL: its server is restored and runs; set aside what waits in it.")
    ] = False,
    source: Annotated[str, typer.Option("--from", help="Where the copy is, instead of the configuration's.")] = "",
    copy: Copy = "",
    data: options.Data = None,
    config: options.Configuration = None,
    as_json: options.AsJson = False,
) -> None:
    """Restore the store from its copies into a folder without one, and set aside what waits in it.

    Nothing old is sent or answered again by itself: `dragoman parked` shows it, `dragoman redrive` puts it back.
    """
    from dragoman.service import restoring  # noqa: PLC0415 - the command's own weight

    installation = options.load(data, config, bare=True)
    installation = restoring.bare(installation, source) if source else installation
    moment = restoring.moment(at, "--at") if at else None
    last = restoring.moment(until, "--until") if until else None
    if installation.settings.store:
        _restore_server(installation, to, moment, last, copy, hold=hold)
        return

    folder, places = restoring.in_data(installation, to), restoring.places(installation, _named(copy))
    with _watching("restore", quiet=as_json) as watch:
        outcome = asyncio.run(restoring.into(installation, folder, places, at=moment, until=last, watch=watch))
    if as_json:
        print(json.dumps(restoring.plain(outcome), ensure_ascii=False))
    else:
        _tell(outcome)
    if outcome.broken:
        fail(f"restored, but the log cannot be followed further than {restoring.shown(outcome.at)}: {outcome.broken}")


def _restore_server(
    installation: "Installation", to: str, at: float | None, until: float | None, copy: str, *, hold: bool
) -> None:
    """Restore the folder of a PostgreSQL server, or hold what waits in the one that was restored."""
    from dragoman.service import restoring  # noqa: PLC0415 - the command's own weight

    if hold:
        held = asyncio.run(restoring.hold(installation, until))
        print(f"Set aside: {held.events} messages, {held.deliveries} replies; paused: {held.broadcasts} broadcasts.")
        return
    if not to:
        raise ConfigError(
            "--to", "", "is required: the folder for PostgreSQL's server", "a folder that is not there yet"
        )
    folder = restoring.in_data(installation, to)
    places = restoring.places(installation, _named(copy))
    base, trouble = asyncio.run(restoring.server_into(installation, folder, places, at))
    print(f"Restored the server's folder of {restoring.shown(base.at)}, and the log since, into {folder}.")
    for words in trouble:
        print(f"But: {words}")
    print("Now, in this order: give the folder to PostgreSQL's user and start the server on it; when it has followed")
    print("the log, run `dragoman restore --hold`; then start the bot.")


def _tell(outcome: Any) -> None:
    from dragoman.service import restoring  # noqa: PLC0415 - the command's own weight

    held = outcome.held
    print(f"Restored the store of {restoring.shown(outcome.at)} ({outcome.bytes:,} bytes).")
    if outcome.files:
        print(f"Came along: {', '.join(outcome.files)}.")
    print(f"Set aside: {held.events} messages, {held.deliveries} replies; paused: {held.broadcasts} broadcasts.")
    print(f"What happened before {restoring.shown(outcome.until)} is set aside too, should it come again.")
    print("Look with `dragoman run --held` and `dragoman parked`; then start with `dragoman run`.")


@contextlib.contextmanager
def _watching(what: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Show the progress on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda _done, _all: None
        return
    from rich.console import Console  # noqa: PLC0415 - only where there is a terminal
    from rich.progress import Progress  # noqa: PLC0415 - only where there is a terminal

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(what)
        yield lambda done, all_: bar.update(task, completed=done, total=all_)
