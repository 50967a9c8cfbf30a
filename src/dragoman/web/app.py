"""The application that listens for people, platforms and machines."""

import dataclasses
import functools
import secrets
from collections.abc import Callable
from importlib import resources
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from dragoman import telemetry
from dragoman.errors import StoreError
from dragoman.flow.context import Context
from dragoman.flow.transport.local import Hub
from dragoman.web import oauth
from dragoman.web.chat import converse
from dragoman.web.guard import KEY_COOKIE, Guard

SESSION_COOKIE: Final = "dragoman_chat"
YEAR: Final = 31_536_000
POLICY: Final = {
    "content-security-policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'self'; object-src 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}
STATIC: Final = {
    "chat.html": "text/html; charset=utf-8",
    "chat.js": "text/javascript; charset=utf-8",
    "chat.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Front:
    """What the pages need: the line, the connected people, the rules, and whether we are ready."""

    context: Context
    hub: Hub
    guard: Guard
    unready: Callable[[], str]
    public_url: str = ""


def build(front: Front) -> ASGIApp:
    """Return the application of the pages; the hooks beside them are the protocol's (`web.protocol`)."""
    return Starlette(
        routes=[
            Route("/", functools.partial(_home, front)),
            Route("/chat", functools.partial(_chat_page, front)),
            *oauth.routes(front.context, front.guard, front.public_url),
            Route("/static/{name}", functools.partial(_static, front)),
            WebSocketRoute("/chat/socket", functools.partial(_chat_socket, front)),
            Route("/health/live", _live),
            Route("/health/ready", functools.partial(_ready, front)),
            Route("/metrics", functools.partial(_metrics, front)),
        ]
    )


def metrics_only() -> ASGIApp:
    """Return an application that serves nothing but the metrics, for a port of their own."""

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(telemetry.REGISTRY), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/metrics", metrics)])


def health_only(front: Front) -> ASGIApp:
    """Return the application of a process without the role `gateway`: its health and its metrics."""
    return Starlette(
        routes=[
            Route("/health/live", _live),
            Route("/health/ready", functools.partial(_ready, front)),
            Route("/metrics", functools.partial(_metrics, front)),
        ]
    )


async def _home(_front: Front, _request: Request) -> Response:
    return RedirectResponse("/chat")


async def _chat_page(front: Front, request: Request) -> Response:
    """Serve the page; a link with a token turns into a cookie, so that the token leaves the address bar."""
    if not front.guard.host_allowed(request):
        return _refused("host", "this service is not known under that host name; see the setting `hosts`")
    if front.context.accounts.get("web") is None:
        return PlainTextResponse("the chat page is switched off", 404)
    if not front.guard.may_chat(request):
        return _refused("chat_token", "open the chat by the link that `dragoman run` printed", 401)
    if "token" in request.query_params:
        response: Response = RedirectResponse("/chat", 303)
        if front.guard.opens_chat(request.query_params["token"]):
            _set_cookie(request, response, KEY_COOKIE, request.query_params["token"])
        return response
    page = _file("chat.html")
    if SESSION_COOKIE not in request.cookies:
        _set_cookie(request, page, SESSION_COOKIE, secrets.token_urlsafe(24))
    return page


def _set_cookie(request: Request, response: Response, name: str, value: str) -> None:
    secure = request.url.scheme == "https"
    response.set_cookie(name, value, max_age=YEAR, httponly=True, samesite="lax", secure=secure)


def _refused(kind: str, detail: str, status: int = 403) -> Response:
    telemetry.refusals.labels("web", kind).inc()
    return PlainTextResponse(detail + "\n", status, headers=POLICY)


async def _static(_front: Front, request: Request) -> Response:
    name = request.path_params["name"]
    return _file(name) if name in STATIC else PlainTextResponse("no such file\n", 404)


def _file(name: str) -> Response:
    return Response(_read(name), headers={**POLICY, "content-type": STATIC[name], "cache-control": "no-cache"})


@functools.cache
def _read(name: str) -> bytes:
    return (resources.files("dragoman.web") / "static" / name).read_bytes()


async def _chat_socket(front: Front, socket: WebSocket) -> None:
    """Open a chat for the person whom the page's cookie names."""
    channel = socket.cookies.get(SESSION_COOKIE, "")
    account = front.context.accounts.get("web")
    guard = front.guard
    allowed = guard.host_allowed(socket) and guard.origin_allowed(socket) and guard.may_chat(socket)
    if not allowed or not channel or len(channel) > 64 or account is None:
        telemetry.refusals.labels("web", "socket").inc()
        await socket.close(1008)
        return
    await converse(front.context, front.hub, account, channel, socket)


async def _live(_request: Request) -> Response:
    return JSONResponse({"status": "live"})


async def _ready(front: Front, _request: Request) -> Response:
    """Tell whether messages can be accepted now, and why not."""
    reason = front.unready() or front.context.store.full() or await _store_trouble(front)
    body: dict[str, Any] = {"status": "unready", "reason": reason} if reason else {"status": "ready"}
    return JSONResponse(body, 503 if reason else 200)


async def _store_trouble(front: Front) -> str:
    try:
        await front.context.store.keep("ready", "")
    except StoreError as error:
        return str(error)
    return ""


async def _metrics(front: Front, request: Request) -> Response:
    if not front.guard.beyond_loopback and not front.guard.host_allowed(request):
        return _refused("host", "this service is not known under that host name; see the setting `hosts`")
    if not front.guard.may_read_metrics(request):
        hint = "set metrics_token and send it as a bearer token, or set metrics_port"
        return PlainTextResponse(hint + "\n", 401, headers={"www-authenticate": "Bearer"})
    return Response(generate_latest(telemetry.REGISTRY), media_type=CONTENT_TYPE_LATEST)
