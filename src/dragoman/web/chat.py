"""A chat over a WebSocket, for the browser page and for the terminal: the same line as every platform."""

import asyncio
import contextlib
from typing import Any, Final

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from dragoman import telemetry, text
from dragoman.adapter import Payload
from dragoman.errors import Malformed, StoreAway
from dragoman.flow.account import Account
from dragoman.flow.context import Context
from dragoman.flow.receive import accept
from dragoman.flow.transport.local import Ear, Hub
from dragoman.model import Line
from dragoman.store.base import Times
from dragoman.wire import Push

LARGEST_FRAME: Final = 32_768
SHOWN: Final = 50
"""Lines of the history that a page gets when it opens."""

log = telemetry.logger("chat")


async def converse(context: Context, hub: Hub, account: Account, channel: str, socket: WebSocket) -> None:
    """Carry one connected person's frames in and out until the connection closes."""
    await socket.accept()
    with hub.listen(account.name, channel) as ear, contextlib.suppress(WebSocketDisconnect):
        await _greet(context, account, channel, socket)
        speaking = asyncio.create_task(_speak(ear, socket))
        try:
            while True:
                said = await _hear(context, account, channel, socket, await _frame_text(socket))
                if said is not None:
                    hub.carry(account.name, Push(channel=channel, frame=said), but=ear)
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)


async def _frame_text(socket: WebSocket) -> str:
    """Wait for a frame; one that is no text is none of ours, and is refused as an empty one."""
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1000))
    return message.get("text") or ""


async def _speak(ear: Ear, socket: WebSocket) -> None:
    while True:
        await _send(socket, await ear.get())


async def _send(socket: WebSocket, frame: dict[str, Any]) -> None:
    await socket.send_text(msgspec.json.encode(frame).decode())


async def _greet(context: Context, account: Account, channel: str, socket: WebSocket) -> None:
    """Send what was said before, so that nothing is missed that came while nobody was connected."""
    conversation = account.adapter.place(channel, sender=channel)
    lines = await context.reader.history(conversation, SHOWN)
    await _send(socket, {"type": "history", "lines": [_shown(line) for line in lines]})


def _shown(line: Line) -> dict[str, Any]:
    html = text.render(line.text, "html") if line.by == "bot" else ""
    return {"type": "message", "by": line.by, "id": line.id, "text": line.text, "html": html, "at": line.at}


async def _hear(
    context: Context, account: Account, channel: str, socket: WebSocket, body: str
) -> dict[str, Any] | None:
    """Accept one frame, and return the line for the person's other pages, if it is new.

    What cannot be taken is answered with an error frame that names it.
    """
    frame: dict[str, Any] = {}
    try:
        frame = _frame(body)
        known = context.accounts.known(account)
        now = context.clock()
        payload = Payload(body=msgspec.json.encode({**frame, "channel": channel}))
        receipt = account.adapter.parse(payload, known)
        raw = msgspec.structs.replace(receipt, raw=payload.body)
        accepted = await accept(context, account, raw, Times(received=now, authenticated=now, parsed=context.clock()))
    except Malformed as error:
        telemetry.refusals.labels(account.name, "malformed").inc()
        await _send(socket, {"type": "error", "about": frame.get("id"), "text": str(error)})
    except StoreAway as away:
        telemetry.refusals.labels(account.name, "store_away").inc()
        await _send(socket, {"type": "error", "about": frame.get("id"), "text": f"try again: {away}"})
    else:
        name, event = f"e{accepted[0].id}", receipt.events[0]
        await _send(socket, {"type": "accepted", "about": frame.get("id"), "id": name})
        if not accepted[0].duplicate:
            return _shown(Line(by="person", text=event.text, at=event.at, id=name))
    return None


def _frame(body: str) -> dict[str, Any]:
    if len(body) > LARGEST_FRAME:
        raise Malformed(f"a message may have {LARGEST_FRAME} characters at most")
    try:
        frame = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise Malformed("a frame must be a JSON object") from error
    return frame
