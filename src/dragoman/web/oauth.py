"""Installing an app from a browser: `/oauth/<account>/install` sends people to the platform, `/callback` awaits them.

Nothing that came with a request is shown again. Beyond loopback `install` asks for the chat link's token, unless the
account says that everybody may install; `callback` needs none: it stands on the state and the browser's cookie.
"""

import html
from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from dragoman import telemetry
from dragoman.adapter import Provider
from dragoman.errors import DragomanError
from dragoman.flow.account import Account
from dragoman.flow.context import Context
from dragoman.flow.install import GOOD_FOR, Callback, NotInstalled, Reason
from dragoman.web.guard import KEY_COOKIE, Guard

COOKIE: Final = "dragoman_install"
YEAR: Final = 31_536_000
POLICY: Final = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
ANSWERS: Final[dict[Reason, tuple[int, str, str]]] = {
    "stale": (
        400,
        "This installation cannot be completed",
        "It was begun more than ten minutes ago or in another browser, or it is complete. Open the link again.",
    ),
    "declined": (403, "The app was not installed", "You did not allow it. Open the installation link to try again."),
    "refused": (
        400,
        "The platform refused the installation",
        "Open the installation link again. Should that not help: the service's log tells its operator the reason.",
    ),
    "trouble": (
        503,
        "The installation could not be completed now",
        "The platform, or this service, is in trouble. Open the installation link again in some minutes.",
    ),
}

CLOSED: Final = "Open the installation link with the token that the chat link has: add ?token= and the token to it."
LONGEST: Final = 2000
"""Characters of a state, code or error."""

log = telemetry.logger("web")


def routes(context: Context, guard: Guard, public_url: str) -> Sequence[Route]:
    """Return the two routes."""
    pages = Pages(context, guard, public_url)
    return (
        Route("/oauth/{account}/install", pages.install, methods=["GET"]),
        Route("/oauth/{account}/callback", pages.callback, methods=["GET"]),
    )


class Pages:
    """The two pages of all accounts whose apps can be installed."""

    def __init__(self, context: Context, guard: Guard, public_url: str) -> None:
        self._context = context
        self._guard = guard
        self._public_url = public_url.rstrip("/")

    async def install(self, request: Request) -> Response:
        """Send the person to the platform, with an attempt that only this browser can complete."""
        found = self._found(request)
        if isinstance(found, Response):
            return found
        account, provider = found
        if not (provider.public or self._guard.may_chat(request)):
            return _refused("install", _page(401, "Not for everybody", CLOSED))
        if "token" in request.query_params:
            return self._remembered(account, request.query_params["token"])
        if not self._public_url:
            return _page(503, "Not ready for installations", "The operator has to set public_url first.")
        try:
            begun = await self._context.installer.begin(account, provider, self._address(account, "callback"))
        except DragomanError as error:
            return _failed(account, error)
        response = RedirectResponse(begun.url, 303, headers=POLICY)
        self._set_cookie(response, self._cookie, begun.browser, int(GOOD_FOR))
        return response

    async def callback(self, request: Request) -> Response:
        """Complete the attempt that the platform answers to."""
        found = self._found(request)
        if isinstance(found, Response):
            return found
        account, provider = found
        callback = _read(request, request.cookies.get(self._cookie, ""))
        try:
            if callback is None:
                raise NotInstalled("stale", "not the answer of an authorisation server")
            installed = await self._context.installer.complete(
                account, provider, self._address(account, "callback"), callback
            )
        except DragomanError as error:
            response = _failed(account, error)
        else:
            place = installed.name or "the workspace"
            response = _page(200, "Installed", f"The app is installed in {place}. You can close this page.")
        response.delete_cookie(self._cookie, secure=self._secure, httponly=True, samesite="lax")
        return response

    def _found(self, request: Request) -> tuple[Account, Provider] | Response:
        """Return the account that a path names, when its app can be installed."""
        if not self._guard.host_allowed(request):
            return _refused("host", _page(403, "Unknown host name", "See the setting `hosts`."))
        account = self._context.accounts.get(request.path_params["account"])
        provider = account.adapter.oauth() if account else None
        if account is None or provider is None:
            return _page(404, "Nothing to install here", "No account of that name has an app that can be installed.")
        return account, provider

    def _remembered(self, account: Account, token: str) -> Response:
        """Turn the token of the link into a cookie, so that it leaves the address bar."""
        response = RedirectResponse(self._address(account, "install"), 303, headers=POLICY)
        if self._guard.opens_chat(token):
            self._set_cookie(response, KEY_COOKIE, token, YEAR)
        return response

    def _set_cookie(self, response: Response, name: str, value: str, seconds: int) -> None:
        response.set_cookie(name, value, max_age=seconds, httponly=True, samesite="lax", secure=self._secure)

    def _address(self, account: Account, page: str) -> str:
        return f"{self._public_url}/oauth/{account.name}/{page}"

    @property
    def _secure(self) -> bool:
        return self._public_url.startswith("https://")

    @property
    def _cookie(self) -> str:
        return f"__Host-{COOKIE}" if self._secure else COOKIE


def _read(request: Request, browser: str) -> Callback | None:
    """Read what the platform sent the browser back with; None when it is not one state with one code or error."""
    query = request.query_params
    named = {name: query.getlist(name) for name in ("state", "code", "error") if name in query}
    values = {name: each[0] for name, each in named.items() if len(each) == 1 and 0 < len(each[0]) <= LONGEST}
    if values.keys() != named.keys() or values.keys() not in ({"state", "code"}, {"state", "error"}):
        return None
    return Callback(browser=browser, **values)


def _failed(account: Account, error: DragomanError) -> Response:
    """Tell the person what to do, and the operator what happened."""
    reason: Reason = error.reason if isinstance(error, NotInstalled) else "trouble"
    log.warning("install.failed", account=account.name, reason=reason, detail=str(error))
    telemetry.refusals.labels(account.name, f"install_{reason}").inc()
    return _page(*ANSWERS[reason])


def _refused(kind: str, response: Response) -> Response:
    telemetry.refusals.labels("web", kind).inc()
    return response


def _page(status: int, title: str, text: str) -> Response:
    heading, words = html.escape(title), html.escape(text)
    body = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{heading}</title>'
        f"<h1>{heading}</h1><p>{words}</p></html>\n"
    )
    return HTMLResponse(body, status, headers=POLICY)
