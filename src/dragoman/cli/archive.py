"""`dragoman archive`: how far the archive is, and whether it is whole."""

import asyncio
import json
from typing import TYPE_CHECKING, Final

import typer

from dragoman.cli import fail, mend, options
from dragoman.cli.asking import asking

if TYPE_CHECKING:
    from dragoman.archive.file import Head
    from dragoman.service.installation import Installation

commands = typer.Typer(help="Look after the archive of conversations.", no_args_is_help=True)

NONE: Final = "there is no archive: set url in [archive]"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands, name="archive")


@commands.command()
def status(data: options.Data = None, config: options.Configuration = None, as_json: options.AsJson = False) -> None:
    """Show where the archive is, and how far it is behind."""
    found = mend.ask(data, config, "archive-status")
    if found is None:
        fail(NONE)
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    late = f"{found['late']:.0f} s behind" if found["late"] else "nothing waits"
    print(f"{found['archive']}: {found['entries']} entries are archived, {late}")


@commands.command()
def verify(data: options.Data = None, config: options.Configuration = None) -> None:
    """Check every file's checksum, and that none is missing; one line for each trouble, exit code 1 if there is any."""
    files, troubles = asyncio.run(_verify(options.load(data, config)))
    for trouble in troubles:
        print(trouble)
    if troubles:
        fail(f"{len(troubles)} of {files} files are not as they were written, or are missing")
    print(f"{files} files are as they were written.")


async def _verify(installation: "Installation") -> tuple[int, list[str]]:
    from dragoman import crypto  # noqa: PLC0415 - the command's own weight
    from dragoman.service.archive import open_archive  # noqa: PLC0415 - the command's own weight

    storage = open_archive(installation).storage
    if storage is None:
        fail(NONE)
    partly, files, troubles = installation.settings.archive.days > 0, 0, list[str]()
    heads = await _heads(installation)  # before the files are listed: those that come meanwhile are no trouble
    async for user, paths in storage.users():
        files += len(paths)
        head = heads.pop(crypto.fingerprint(user), None)
        troubles += await storage.check(user, paths, head=head, partly=partly)
    gone = [] if partly else [f"{head.name}.json is missing, and all that was before it" for head in heads.values()]
    return files + len(gone), [*troubles, *gone]


async def _heads(installation: "Installation") -> "dict[str, Head]":
    """Ask for the newest file of everybody, by their marks."""
    from dragoman.archive.file import Head  # noqa: PLC0415 - the command's own weight

    heads: dict[str, Head] = {}
    async with asking(installation) as ask:
        while some := await ask("archive-heads", after=max(heads, default="")):
            heads |= {mark: Head(**head) for mark, head in some.items()}
    return heads
