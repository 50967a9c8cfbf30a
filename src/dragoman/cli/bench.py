"""`dragoman bench`: prove on this machine what the bot does under load."""

import asyncio
import json
from typing import Annotated

import typer

from dragoman.cli import options


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(bench)


def bench(
    platform: Annotated[str, typer.Option(help="slack, telegram, feishu or webhook.")] = "slack",
    rate: Annotated[float, typer.Option(help="Messages a second, at a constant rate.", min=0.1, max=20_000)] = 200,
    seconds: Annotated[float, typer.Option(help="How long.", min=0.1, max=3600)] = 30,
    store: Annotated[
        str,
        typer.Option(help="postgresql://...: an empty database for this; what is stored stays in it.", metavar="URL"),
    ] = "",
    as_json: options.AsJson = False,
) -> None:
    """Start a simulator of the platform, the bot and an open-loop load, and report what came back.

    Latency is counted from the moment at which a message should have been sent.
    """
    from dragoman.testing import bench as kit  # noqa: PLC0415 - the command's own weight

    report = asyncio.run(kit.run(platform, rate=rate, seconds=seconds, store=store))
    print(json.dumps(report.to_json()) if as_json else report.words())
    if report.lost or report.inversions or report.unsent:
        raise typer.Exit(1)
