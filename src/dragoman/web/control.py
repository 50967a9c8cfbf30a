"""The control socket of this machine: what the commands ask of the running service, behind file permissions."""

import functools
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from dragoman import __version__
from dragoman.errors import ArchiveError, ConfigError, Malformed, StoreAway, StoreError, TaskRefused
from dragoman.flow import tasks
from dragoman.flow.context import Context
from dragoman.flow.probe import probe_all
from dragoman.flow.redrive import redrive
from dragoman.flow.transport.local import Hub
from dragoman.web import broadcasts, people
from dragoman.web.chat import converse

Question = Callable[[Context, dict[str, str]], Awaitable[Any]]


async def trace(context: Context, query: dict[str, str]) -> Any:
    """Tell one message's life; None when there is no such message."""
    return await context.reader.trace(query["id"])


async def parked(context: Context, query: dict[str, str]) -> Any:
    """List what is set aside."""
    return await context.reader.parked(int(query.get("limit", "100")))


async def mend(context: Context, query: dict[str, str]) -> Any:
    """Put something parked back to work: its kind, or the error that keeps it parked; None when there is none."""
    try:
        return {"kind": await redrive(context, query["id"])}
    except LookupError:
        return None
    except (Malformed, StoreAway) as error:
        return {"error": f"it stays parked: {error}"}


async def backup(context: Context, _query: dict[str, str]) -> Any:
    """Bring the copies of the store up to date and take a snapshot; None when none are kept from here."""
    if context.keeper is None:
        return None
    try:
        return {"answer": await context.keeper.now()}
    except (ArchiveError, StoreAway) as failure:
        return {"error": str(failure)}


async def prove(context: Context, _query: dict[str, str]) -> Any:
    """Bring the copies up to date and tell what the store was at that moment; None when none are kept from here."""
    if context.keeper is None:
        return None
    try:
        return {"answer": await context.keeper.prove()}
    except (ArchiveError, StoreAway) as failure:
        return {"error": str(failure)}


async def installations(context: Context, _query: dict[str, str]) -> Any:
    """List the workspaces that installed an account's app."""
    return await context.installer.listed()


async def uninstall(context: Context, query: dict[str, str]) -> Any:
    """Revoke a workspace's tokens and drop its installation; None when there is none."""
    account = context.accounts.get(query["account"])
    try:
        return {"revoked": await context.installer.remove(account, query["workspace"])} if account else None
    except LookupError:
        return None


async def tasks_list(context: Context, _query: dict[str, str]) -> Any:
    """List the recurring tasks."""
    return await tasks.listed(context)


async def tasks_show(context: Context, query: dict[str, str]) -> Any:
    """Tell all about one task."""
    return await _unless_refused(tasks.shown(context, query["name"]))


async def tasks_add(context: Context, query: dict[str, str]) -> Any:
    """Add a task, described as the configuration does."""
    table = msgspec.json.decode(query["task"], type=dict[str, Any])
    return await _unless_refused(_added(context, query["name"], table))


async def tasks_run(context: Context, query: dict[str, str]) -> Any:
    """Let a task come now, once for each command."""
    return await _unless_refused(tasks.run(context, query["name"], query["command"]))


async def tasks_pause(context: Context, query: dict[str, str]) -> Any:
    """Let a task rest."""
    return await _unless_refused(tasks.pause(context, query["name"]))


async def tasks_resume(context: Context, query: dict[str, str]) -> Any:
    """Let a task come again."""
    return await _unless_refused(tasks.resume(context, query["name"]))


async def tasks_cancel(context: Context, query: dict[str, str]) -> Any:
    """Take a task away."""
    return await _unless_refused(tasks.cancel(context, query["name"]))


async def _added(context: Context, name: str, table: dict[str, Any]) -> tasks.Row:
    return await tasks.add(context, name, tasks.described(name, table))


async def _unless_refused(asked: Awaitable[Any]) -> Any:
    """Return what was asked for, or the reason why not."""
    try:
        return {"answer": await asked}
    except (ConfigError, TaskRefused) as refusal:
        return {"error": str(refusal)}


QUESTIONS: dict[str, Question] = {
    "trace": trace,
    "parked": parked,
    "redrive": mend,
    "backup": backup,
    "prove": prove,
    "installations": installations,
    "uninstall": uninstall,
    **broadcasts.QUESTIONS,
    **people.QUESTIONS,
    "tasks-list": tasks_list,
    "tasks-show": tasks_show,
    "tasks-add": tasks_add,
    "tasks-run": tasks_run,
    "tasks-pause": tasks_pause,
    "tasks-resume": tasks_resume,
    "tasks-cancel": tasks_cancel,
}
"""What can be asked, by the running service's socket or of the opened file."""


PROBING: Final = 3.0
"""Seconds that each platform has to say who we are."""


async def _about(doors: Sequence[str], context: Context, _query: dict[str, str]) -> Any:
    """Tell what this process alone knows of itself: its doors, what the platforms say now, broken installations."""
    try:
        installed = await context.installer.listed()
    except StoreError:  # who asks looks at the store too
        installed = []
    return {
        "version": __version__,
        "process": os.getpid(),
        "doors": list(doors),
        "accounts": await probe_all(context.client, context.accounts, context.accounts, PROBING),
        "installations": installed,
    }


def build(context: Context, hub: Hub, doors: Sequence[str] = ()) -> ASGIApp:
    """Return the application behind the control socket; `doors` are the addresses that the service listens on."""
    questions: dict[str, Question] = {**QUESTIONS, "about": functools.partial(_about, doors)}
    routes: list[Any] = [
        Route(f"/{name}", functools.partial(_ask, context, question), methods=["POST"])
        for name, question in questions.items()
    ]
    routes.append(WebSocketRoute("/chat/{channel}", functools.partial(_chat, context, hub)))
    return Starlette(routes=routes)


async def _ask(context: Context, question: Question, request: Request) -> Response:
    query = dict(request.query_params)
    if body := await request.body():
        query["body"] = body.decode()
    answer = await question(context, query)
    return JSONResponse(msgspec.to_builtins(answer))


async def _chat(context: Context, hub: Hub, socket: WebSocket) -> None:
    account = context.accounts.get("terminal")
    if account is None:
        await socket.close(1008)
        return
    await converse(context, hub, account, socket.path_params["channel"], socket)
