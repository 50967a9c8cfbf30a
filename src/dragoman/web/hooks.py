"""The hooks as plain ASGI: read a bounded body, hand it to the line, write the answer, settle what it carried."""

import asyncio
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Receive, Scope, Send

from dragoman import telemetry
from dragoman.errors import TooLarge
from dragoman.flow.account import Account
from dragoman.flow.context import Context
from dragoman.flow.receive import Answer, problem, receive, unavailable, written
from dragoman.wire import MAX_BODY, Http, Response

BODY_SECONDS: Final = 15.0
METHODS: Final = ("GET", "HEAD", "POST", "PUT")

log = telemetry.logger("hooks")


class Disconnected(Exception):
    """The caller went away."""


async def hook(context: Context, name: str, scope: Scope, read: Receive, send: Send) -> None:
    """Serve one webhook of the account `name`."""
    account = context.accounts.get(name)
    if account is None or account.adapter.mode() != "webhook":
        telemetry.refusals.labels("", "unknown_account").inc()
        await respond(send, problem(404, "unknown account", "no account of that name takes webhooks"))
        return
    if scope["method"] not in METHODS:
        refused = problem(405, "method not allowed", f"{scope['method']} is not used by webhooks")
        await respond(send, msgspec.structs.replace(refused, headers={**refused.headers, "allow": ", ".join(METHODS)}))
        return
    try:
        async with asyncio.timeout(BODY_SECONDS):
            request = _request(scope, await read_body(read, _headers(scope)))
    except TooLarge as error:
        await respond(send, _refused(account, 413, "too large", str(error)))
    except TimeoutError:
        await respond(send, _refused(account, 408, "too slow", f"the body took more than {BODY_SECONDS:.0f} s"))
    except Disconnected:
        telemetry.refusals.labels(account.name, "disconnected").inc()
    else:
        await _answer(context, account, request, read, send)


async def _answer(context: Context, account: Account, request: Http, read: Receive, send: Send) -> None:
    try:
        answer = await _received(context, account, request, read)
    except Disconnected:
        log.info("caller.left", account=account.name)
        return
    except Exception as error:  # noqa: BLE001 - the outer loop: our bug is a 503, which makes a platform come back
        log.error("hook.failed", account=account.name, error=telemetry.where(error))
        answer = Answer(response=unavailable(account, telemetry.where(error)))
    began = ended = False
    try:
        began = True
        await respond(send, answer.response)
        ended = True
    finally:
        await written(context, account, answer, began=began, ended=ended)


async def _received(context: Context, account: Account, request: Http, read: Receive) -> Answer:
    """Receive; a caller that leaves while its request is held lets the reply take the later path."""
    if not account.adapter.replies_in_response:
        return await receive(context, account, request)
    work = asyncio.create_task(receive(context, account, request))
    leaving = asyncio.create_task(_left(read))
    try:
        await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if leaving.done():
            if work.done():  # the answer came too late to be written: it takes the later path
                await written(context, account, work.result(), began=False, ended=False)
            raise Disconnected
        return work.result()
    finally:
        for task in (work, leaving):
            task.cancel()
        await asyncio.gather(work, leaving, return_exceptions=True)


async def _left(read: Receive) -> None:
    while (await read())["type"] != "http.disconnect":
        pass


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def _request(scope: Scope, body: bytes) -> Http:
    query = scope["query_string"]
    return Http(
        method=scope["method"],
        url=scope["path"],
        query=dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)) if query else {},
        headers=_headers(scope),
        body=body,
    )


async def read_body(read: Receive, headers: Mapping[str, str]) -> bytes:
    """Read a request's body; raises `TooLarge` past the limit, before reading more."""
    declared = headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > MAX_BODY:
        raise TooLarge(f"the body is larger than {MAX_BODY} bytes")
    body: bytes = b""
    while True:
        message = await read()
        if message["type"] == "http.disconnect":
            raise Disconnected
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise TooLarge(f"the body is larger than {MAX_BODY} bytes")
        if not message.get("more_body", False):
            return body


def _refused(account: Account, status: int, title: str, detail: str) -> Response:
    telemetry.refusals.labels(account.name, title.replace(" ", "_")).inc()
    return problem(status, title, detail)


async def respond(send: Send, response: Response) -> None:
    """Write a response."""
    headers = [(name.encode(), value.encode()) for name, value in response.headers.items()]
    headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
