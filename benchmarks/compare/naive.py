"""What many write first: a raw ASGI application under uvicorn that verifies, answers and forgets.

It keeps nothing: what it was told and had not answered is gone when it dies.
"""

import hashlib
import hmac
import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import aiohttp

SECRET = os.environ["SLACK_SIGNING_SECRET"].encode()
METHOD = os.environ["SLACK_API_BASE"] + "/chat.postMessage"
HEADERS = {"authorization": f"Bearer {os.environ['SLACK_BOT_TOKEN']}"}

sessions: list[aiohttp.ClientSession] = []


async def app(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """Answer a signed event by `echo: ...`, and only then the webhook."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        part = await receive()
        body, more = body + part.get("body", b""), part.get("more_body", False)
    headers = dict(scope["headers"])
    status = 401
    if genuine(headers, body):
        status = 200
        event = json.loads(body)["event"]
        await say(event["channel"], f"echo: {event['text']}")
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def genuine(headers: dict[bytes, bytes], body: bytes) -> bool:
    """Tell whether the signature is Slack's."""
    signed = b"v0:%s:%s" % (headers[b"x-slack-request-timestamp"], body)
    expected = "v0=" + hmac.new(SECRET, signed, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), headers[b"x-slack-signature"])


async def say(channel: str, text: str) -> None:
    """Post a message through the one session."""
    if not sessions:
        sessions.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
    async with sessions[0].post(METHOD, json={"channel": channel, "text": text}, headers=HEADERS) as answer:
        await answer.json()
