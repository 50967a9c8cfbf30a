"""The hooks: who is refused before their body is read, and what becomes of a request that is whole.

How the bytes come and go is the protocol's (`web.protocol`): a hook is handed the request, and a caller to answer.
"""

import asyncio
from typing import Final, Protocol

import msgspec

from dragoman import telemetry
from dragoman.flow.account import Account
from dragoman.flow.context import Context
from dragoman.flow.receive import Answer, problem, receive, unavailable, written
from dragoman.wire import MAX_BODY, Http, Response

BODY_SECONDS: Final = 15.0
"""Seconds that a body may take."""
METHODS: Final = ("GET", "HEAD", "POST", "PUT")

log = telemetry.logger("hooks")


class Disconnected(Exception):
    """The caller went away."""


class Caller(Protocol):
    """Who waits for an answer."""

    def leaving(self) -> asyncio.Future[None]:
        """Return what is done when the caller goes away without its answer."""
        ...

    def ready(self) -> bool:
        """Tell whether an answer can be written now: there is no need to wait."""
        ...

    async def writable(self) -> None:
        """Wait until an answer can be written; raises `Disconnected` when nobody would get it."""
        ...

    def write(self, response: Response) -> bool:
        """Write the answer; tells whether the connection was open until then."""
        ...

    def end(self) -> None:
        """Take note that nothing more is done for it: one that has no answer by now gets `unfinished`."""
        ...


def hook_account(path: str) -> str:
    """Return the account that a hook's path names: `/hooks/<account>`, and `/webhook` for the account `webhook`."""
    if path.startswith("/hooks/"):
        return path[7:].strip("/") or "?"
    return "webhook" if path in {"/webhook", "/webhook/"} else ""


def admit(context: Context, name: str, method: str, length: str) -> Account | Response:
    """Return the account whose hook is called; or the refusal, where the body need not be read.

    `length`: the body's, as the request declares it.
    """
    account = context.accounts.get(name)
    if account is None or not account.hooked:
        telemetry.refusals.labels("", "unknown_account").inc()
        return problem(404, "unknown account", "no account of that name takes webhooks")
    if method not in METHODS:
        refused = problem(405, "method not allowed", f"{method} is not used by webhooks")
        return msgspec.structs.replace(refused, headers={**refused.headers, "allow": ", ".join(METHODS)})
    if length.isdecimal() and int(length) > MAX_BODY:
        return too_large(account)
    return account


def too_large(account: Account) -> Response:
    """Refuse a body that is larger than we read."""
    return _refused(account, 413, "too large", f"the body is larger than {MAX_BODY} bytes")


def too_slow(account: Account) -> Response:
    """Refuse a body that does not come."""
    return _refused(account, 408, "too slow", f"the body took more than {BODY_SECONDS:.0f} s")


def left_early(account: Account) -> None:
    """Count a caller that left before its request was whole."""
    telemetry.refusals.labels(account.name, "disconnected").inc()


def unfinished() -> Response:
    """Return the answer to a request that we had to give up: the platform comes back."""
    return problem(503, "unavailable", "the request could not be finished; try again")


def _refused(account: Account, status: int, title: str, detail: str) -> Response:
    telemetry.refusals.labels(account.name, title.replace(" ", "_")).inc()
    return problem(status, title, detail)


async def refuse(caller: Caller, refusal: Response) -> None:
    """Answer a request that is not served."""
    try:
        await caller.writable()
        caller.write(refusal)
    except Disconnected:
        return
    finally:
        caller.end()


async def hook(context: Context, account: Account, request: Http, caller: Caller) -> None:
    """Serve one webhook: hand it to the line, write the answer, settle what it carried."""
    answer = None
    try:
        if account.adapter.replies_in_response:
            answer = await _held(context, account, request, caller)
        else:
            answer = await receive(context, account, request)
        if answer.deliveries or not caller.ready():
            await _give(context, account, answer, caller)
        else:
            caller.write(answer.response)
    except Disconnected:
        log.info("caller.left", account=account.name)
    except Exception as error:  # noqa: BLE001 - the outer loop: our bug is a 503, which makes a platform come back
        log.error("hook.failed", account=account.name, error=telemetry.where(error))
        if answer is None:
            await refuse(caller, unavailable(account, telemetry.where(error)))
    finally:
        caller.end()


async def _held(context: Context, account: Account, request: Http, caller: Caller) -> Answer:
    """Receive; a caller that leaves while its request is held lets the reply take the later path."""
    work = asyncio.create_task(receive(context, account, request))
    try:
        await asyncio.wait((work, caller.leaving()), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise Disconnected
        return work.result()
    finally:
        if not work.done():
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)


async def _give(context: Context, account: Account, answer: Answer, caller: Caller) -> None:
    """Write an answer. What it carries was not begun when the caller had left, and unsure when it left meanwhile."""
    began = ended = False
    try:
        await caller.writable()
        began = True
        ended = caller.write(answer.response)
    finally:
        if answer.deliveries:
            await written(context, account, answer, began=began, ended=ended)
