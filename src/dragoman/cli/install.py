"""`dragoman installations` and `uninstall`: the workspaces that installed an account's app."""

import datetime as dt
import json
from typing import Annotated

import typer

from dragoman.cli import fail, mend, options


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(installations)
    app.command()(uninstall)


def installations(
    data: options.Data = None, config: options.Configuration = None, as_json: options.AsJson = False
) -> None:
    """List the workspaces that installed an app, with what hinders an installation."""
    rows = mend.ask(data, config, "installations")
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    if not rows:
        print("No workspace has installed an app.")
    for row in rows:
        since = dt.datetime.fromtimestamp(row["at"], dt.UTC).isoformat(timespec="seconds")
        state = row["trouble"] or "good"
        print(f"{row['account']:<12} {row['workspace']:<16} {since}  {state:<24} {row['name']}")


def uninstall(
    account: Annotated[str, typer.Argument(help="The account's name.", metavar="ACCOUNT")],
    workspace: Annotated[str, typer.Argument(help="An id that `dragoman installations` shows.", metavar="WORKSPACE")],
    data: options.Data = None,
    config: options.Configuration = None,
) -> None:
    """Revoke the tokens of a workspace and forget its installation."""
    answer = mend.ask(data, config, "uninstall", account=account, workspace=workspace)
    if answer is None:
        fail(f"the account {account} is not installed in {workspace}; see `dragoman installations`")
    if not answer["revoked"]:
        print("The platform did not take note: remove the app there too.")
    print(f"{account} is not installed in {workspace} any more.")
