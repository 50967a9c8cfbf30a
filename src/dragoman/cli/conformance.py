"""`dragoman conformance`: run a vectors file through an adapter."""

import json
from pathlib import Path
from typing import Annotated

import typer

from dragoman.cli import options


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(conformance)


def conformance(
    platform: Annotated[str, typer.Argument(help="The platform whose adapter is tested.", metavar="PLATFORM")],
    vectors: Annotated[Path, typer.Option(help="A vectors file.", metavar="FILE")],
    as_json: options.AsJson = False,
) -> None:
    """Run a vectors file through an adapter: one line per case, then the sums; non-zero when any failed."""
    from dragoman.testing import conformance as kit  # noqa: PLC0415 - the command's own weight

    results = kit.run_vectors(platform, vectors)
    if as_json:
        print(json.dumps(kit.as_json(results), ensure_ascii=False))
    else:
        for result in results:
            print(result.line)
        print(kit.summary(results))
    if any(result.status == "FAIL" for result in results):
        raise typer.Exit(1)
