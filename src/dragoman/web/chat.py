"""A chat over a WebSocket, for the browser page and for the terminal: the same line as every platform."""

import asyncio
import contextlib
import dataclasses
from typing import Any, Final

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from dragoman import telemetry, text
from dragoman.adapter import Payload
from dragoman.errors import Malformed, StoreAway
from dragoman.flow.account import Account
from dragoman.flow.context import Context
from dragoman.flow.receive import accept
from dragoman.flow.transport.local import AGAIN, Ear, Hub
from dragoman.model import Line
from dragoman.store.base import Times
from dragoman.wire import Push

LARGEST_FRAME: Final = 32_768
SHOWN: Final = 50
"""Lines of the history that a page gets when it opens."""

log = telemetry.logger("chat")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chat:
    """One open connection of one person, who may have several."""

    context: Context
    hub: Hub
    account: Account
    channel: str
    socket: WebSocket
    ear: Ear

    async def speak(self) -> None:
        """Send what is said in the channel, until cancelled."""
        while True:
            frame = await self.ear.get()
            await (self.greet() if frame == AGAIN else self.send(frame))

    async def send(self, frame: dict[str, Any]) -> None:
        """Send one frame."""
        await self.socket.send_text(msgspec.json.encode(frame).decode())

    async def greet(self) -> None:
        """Send what was said before, so that nothing is missed that came while nobody was connected."""
        conversation = self.account.adapter.place(self.channel, sender=self.channel)
        lines = await self.context.reader.history(conversation, SHOWN)
        await self.send({"type": "history", "lines": [_shown(line) for line in lines]})

    async def next_text(self) -> str:
        """Wait for a frame; one that is no text is none of ours, and is refused as an empty one."""
        message = await self.socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1000))
        return message.get("text") or ""

    async def hear(self, body: str) -> None:
        """Accept one frame; what cannot be taken is answered with an error frame that names it."""
        frame: dict[str, Any] = {}
        try:
            frame = _frame(body)
            await self._accept(frame)
        except Malformed as error:
            telemetry.refusals.labels(self.account.name, "malformed").inc()
            await self.send({"type": "error", "about": frame.get("id"), "text": str(error)})
        except StoreAway as away:
            telemetry.refusals.labels(self.account.name, "store_away").inc()
            await self.send({"type": "error", "about": frame.get("id"), "text": f"try again: {away}"})

    async def _accept(self, frame: dict[str, Any]) -> None:
        """Store a line, show it on the person's other pages, and only then say that it is taken."""
        now, known = self.context.clock(), self.context.accounts.known(self.account)
        payload = Payload(body=msgspec.json.encode({**frame, "channel": self.channel}))
        receipt = msgspec.structs.replace(self.account.adapter.parse(payload, known), raw=payload.body)
        times = Times(received=now, authenticated=now, parsed=self.context.clock())
        (accepted,) = await accept(self.context, self.account, receipt, times, surplus="refuse")
        name, event = f"e{accepted.id}", receipt.events[0]
        if not accepted.duplicate:
            line = Line(by="person", text=event.text, at=event.at, id=name)
            self.hub.carry(self.account.name, Push(channel=self.channel, frame=_shown(line)), but=self.ear)
        await self.send({"type": "accepted", "about": frame.get("id"), "id": name})


async def converse(context: Context, hub: Hub, account: Account, channel: str, socket: WebSocket) -> None:
    """Carry one connected person's frames in and out until the connection closes."""
    await socket.accept()
    with hub.listen(account.name, channel) as ear, contextlib.suppress(WebSocketDisconnect):
        chat = Chat(context=context, hub=hub, account=account, channel=channel, socket=socket, ear=ear)
        await chat.greet()
        speaking = asyncio.create_task(chat.speak())
        try:
            while True:
                await chat.hear(await chat.next_text())
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)


def _shown(line: Line) -> dict[str, Any]:
    html = text.render(line.text, "html") if line.by == "bot" else ""
    frame = {"type": "message", "by": line.by, "id": line.id, "text": line.text, "html": html, "at": line.at}
    return {**frame, "buttons": msgspec.to_builtins(list(line.buttons))}


def _frame(body: str) -> dict[str, Any]:
    if len(body) > LARGEST_FRAME:
        raise Malformed(f"a message may have {LARGEST_FRAME} characters at most")
    try:
        frame = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise Malformed("a frame must be a JSON object") from error
    return frame
