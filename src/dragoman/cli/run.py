"""`dragoman run`: start the bot."""

import gc
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from dragoman.cli import options
from dragoman.errors import ConfigError

if TYPE_CHECKING:
    from dragoman.service.house import House, Role
    from dragoman.service.installation import Installation


YOUNG: Final = 20_000
"""Objects that came and did not go before the collector of cycles looks at the young ones: a message's go with it."""
HELD = """Dragoman is held: it takes nothing in and sends nothing. Stop it with Ctrl-C.

  Health     http://{address}/health/live
  Look       dragoman parked, dragoman trace ID; dragoman redrive ID puts back what is to be done after all
  Connect    nothing: start without --held for that
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(run)


def run(
    data: options.Data = None,
    config: options.Configuration = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on (default 127.0.0.1).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (default 8080; 0: any free one).")] = None,
    role: Annotated[
        str, typer.Option(help="all, or what this process does: gateway, engine, connector (with commas between).")
    ] = "all",
    held: Annotated[
        bool, typer.Option("--held", help="Open everything, but take nothing in and send nothing: look at a restore.")
    ] = False,
) -> None:
    """Start the bot and run until Ctrl-C or SIGTERM.

    Without a configuration one is written into the data folder, and the bot answers at once.
    """
    from dragoman import telemetry  # noqa: PLC0415 - the command's own weight
    from dragoman.service import run as service  # noqa: PLC0415 - the command's own weight
    from dragoman.service.house import ROLES  # noqa: PLC0415 - the command's own weight

    installation = options.load(data, config, create=True, host=host, port=port)
    roles = _roles(role, ROLES, shared=bool(installation.settings.store))
    telemetry.configure_logs(installation.settings.log_level)
    if spec := os.environ.get("DRAGOMAN_CRASH"):
        _arm(spec)

    def announce(house: "House", address: str) -> None:
        sys.stdout.write(HELD.format(address=address) if held else greeting(installation, house, address))
        sys.stdout.flush()
        gc.freeze()  # what was loaded stays: nobody need look at it again
        gc.set_threshold(YOUNG)

    async def run_to_the_end() -> None:
        await service.run(installation, announce=announce, roles=roles, held=held)
        telemetry.sink.flush()
        sys.stdout.flush()
        os._exit(0)  # everything is stored and closed: a plugin's thread that still runs must not hold the exit back

    service.main(run_to_the_end())


def _roles(role: str, roles: "tuple[Role, ...]", *, shared: bool) -> "tuple[Role, ...]":
    """Read `--role`; one role alone is refused where no other process could have the others."""
    wanted = [name.strip() for name in role.split(",")]
    if wanted == ["all"]:
        return roles
    for name in wanted:
        if name not in roles:
            raise ConfigError("--role", name, "is no role", f"one of all, {', '.join(roles)}")
    if not shared and set(wanted) != set(roles):
        raise ConfigError(
            "--role",
            role,
            "one role alone needs a store that several processes share; this is one SQLite file",
            'leave --role out, or set store = "postgresql://..."',
        )
    return tuple(name for name in roles if name in wanted)


def _arm(spec: str) -> None:
    from dragoman import telemetry  # noqa: PLC0415 - the command's own weight

    try:
        telemetry.crash.arm(spec)
    except ValueError as error:
        raise ConfigError("DRAGOMAN_CRASH", spec, "should be point:count") from error


def greeting(installation: "Installation", house: "House", address: str) -> str:
    """Word what is printed at the start: where to chat, a `curl` line that works, and how to go on."""
    from dragoman import __version__  # noqa: PLC0415 - the command's own weight

    everywhere = installation.settings.host in {"0.0.0.0", "::"}
    address = f"127.0.0.1:{address.rpartition(':')[2]}" if everywhere else address
    link = (installation.settings.public_url.rstrip("/") or f"http://{address}") + "/chat"
    if house.guard.beyond_loopback and not house.guard.public:
        link += f"?token={house.guard.chat_token.reveal()}"
    source = installation.document.source
    lines = [f"Dragoman {__version__} is running. Stop it with Ctrl-C.", ""]
    lines += [f"  Chat       {link}", f"  Terminal   {_command()} chat{_same_place(installation)}"]
    lines += [f"  Try it     {line}" for line in _curl(installation, address)]
    lines += [
        f"  Connect    edit {source} (it explains each line), then start again;",
        "             a platform's hook is /hooks/<account>, see docs/tutorial/telegram.md",
        "",
    ]
    if installation.created:
        lines.insert(1, f"Its first configuration was written to {source}.")
    return "\n".join(lines)


def _command() -> str:
    return shlex.quote(sys.argv[0]) if sys.argv[0].endswith("dragoman") else "dragoman"


def _same_place(installation: "Installation") -> str:
    from dragoman.config import data_folder  # noqa: PLC0415 - the command's own weight

    usual = data_folder(None, {})
    return "" if installation.data == usual else f" --data {shlex.quote(str(installation.data))}"


def _curl(installation: "Installation", address: str) -> list[str]:
    """Return a line that calls the webhook account, reading its token from where it is kept."""
    from dragoman.config import table_at  # noqa: PLC0415 - the command's own weight

    table = table_at(installation.document, "accounts").get("webhook") or {}
    token = table.get("token", "")
    scheme, _, rest = token.partition(":") if isinstance(token, str) else ("", "", "")
    if scheme == "file":
        path = (installation.document.folder / Path(rest).expanduser()).absolute()
        bearer = f"$(cat {shlex.quote(str(path))})"
    elif scheme == "env":
        bearer = f"${rest}"
    else:
        return []
    body = """-H 'Content-Type: application/json' -d '{"content": "help"}'"""
    return [f'curl -sS http://{address}/webhook -H "Authorization: Bearer {bearer}" {body}']
