"""`dragoman doctor`: look at every prerequisite, and say what mends those that fail."""

import asyncio
import dataclasses
import json
import os
import sys

import typer

from dragoman.cli import options


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(data: options.Data = None, config: options.Configuration = None, as_json: options.AsJson = False) -> None:
    """Look at every prerequisite: what holds, what does not, and what mends it.

    Changes nothing, and may be asked while the service runs. The exit code is 1 when a prerequisite has failed.
    """
    asyncio.run(_examined(data, config, as_json=as_json))


async def _examined(data: str | None, config: str | None, *, as_json: bool) -> None:
    from dragoman import telemetry  # noqa: PLC0415 - the command's own weight
    from dragoman.service.doctor import examine  # noqa: PLC0415 - the command's own weight
    from dragoman.service.doctor.finding import good  # noqa: PLC0415 - the command's own weight

    findings = await examine(data, config, os.environ)
    if as_json:
        checks = [dataclasses.asdict(finding) for finding in findings]
        print(json.dumps({"ok": good(findings), "checks": checks}, indent=2, ensure_ascii=False))
    else:
        print("\n".join(map(str, findings)))
    telemetry.sink.flush()
    sys.stdout.flush()
    os._exit(0 if good(findings) else 1)  # a thread that hangs on a dead disk must not hold the answer back
