"""The doors: the sockets that the service listens on, and the servers behind them."""

import contextlib
import errno
import functools
import os
import socket
import stat
from pathlib import Path
from typing import Any

import uvicorn

from dragoman.errors import ConfigError
from dragoman.flow.context import Context
from dragoman.web.protocol import BoundedProtocol, HookProtocol


class Server(uvicorn.Server):
    """A uvicorn server that leaves the signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Leave the signals alone."""
        yield


def serving(application: Any, hooks: Context | None = None) -> Server:
    """Make a server for an application, and for the hooks of the accounts in `hooks`."""
    protocol: Any = BoundedProtocol if hooks is None else functools.partial(HookProtocol, hooks)
    return Server(
        uvicorn.Config(
            application,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            http=protocol,
            ws="websockets-sansio",
            ws_max_size=65_536,
            ws_per_message_deflate=False,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=10,
        )
    )


def bind(host: str, port: int, key: str) -> socket.socket:
    """Bind a TCP socket; raises `ConfigError` when that is not possible."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        wrong = "host" if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL else key
        where, remedy = f"{host}:{port}", f"choose another --{wrong}"
        raise ConfigError(where, wrong, f"cannot listen there: {error.strerror}", remedy) from error
    listener.setblocking(False)  # noqa: FBT003 - the standard library has it so
    return listener


def bind_control(path: Path) -> socket.socket | None:
    """Bind the control socket, for its owner only; an old one that nobody listens on is replaced.

    None when another replica with the same data folder has it: the commands ask that one.
    """
    if _is_answered(path):
        return None
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise ConfigError(
            str(path), "data", f"the control socket cannot be made: {error}", "choose a shorter --data"
        ) from error
    finally:
        os.umask(before)
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    listener.listen(64)
    listener.setblocking(False)  # noqa: FBT003 - the standard library has it so
    return listener


def _is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
