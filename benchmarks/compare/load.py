"""The load: messages over kept connections, so many in flight or at a constant rate, without a task for each.

Within a conversation the next message leaves when the one before was acknowledged, and what is not acknowledged is
sent again, as platforms do.
"""

import asyncio
import dataclasses
import time
from collections import defaultdict, deque
from typing import Any, Final

import httptools
from benchmarks.compare import workload
from benchmarks.compare.workload import Message

AGAIN: Final = 0.1
"""Seconds until an unacknowledged message is sent again."""
STRIDE: Final = 7919
"""A prime: conversations take their turns in an order that is not that of their numbers, and none is left out."""
CONNECTIONS: Final = 256
"""The most connections that an open loop opens."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phase:
    """A stretch of load: with a `rate` an open loop, else a closed one of `in_flight` messages."""

    name: str
    seconds: float
    conversations: int
    rate: float = 0.0
    in_flight: int = 64
    settle: float = 15.0
    """Seconds for which the last replies are waited for."""
    accounts: int = 1
    """Accounts that the conversations are spread over."""
    padding: str = ""
    """Text that makes the messages longer."""
    files: int = 0
    """Files that each message shares."""


class _Connection(asyncio.Protocol):
    """One kept connection to the hook, with one request at a time."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._transport: Any = None
        self._parser = httptools.HttpResponseParser(self)
        self.message: Message | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def post(self, message: Message) -> None:
        """Send a message's request."""
        self.message = message
        self._transport.write(workload.signed(message))

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Hand on what the hook answered."""
        message, self.message = self.message, None
        if message is not None:
            self._load.responded(self, message, self._parser.get_status_code())

    def connection_lost(self, _exc: Exception | None) -> None:
        self._load.broken(self, self.message)

    def close(self) -> None:
        """Close it; a request that is under way is given up."""
        self.message = None
        self._transport.close()


class Load:
    """Plays phases against one hook, and keeps what came of each message."""

    def __init__(self, port: int) -> None:
        """Send to a hook on a loopback port."""
        self._port = port
        self._loop = asyncio.get_running_loop()
        self._all: set[_Connection] = set()
        self._free: list[_Connection] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._unsent: deque[Message] = deque()
        self._lanes: dict[int, deque[Message]] = defaultdict(deque)
        self._most = CONNECTIONS
        self._closed = False
        self.wrong: list[str] = []
        """Messages that had no reply, or more than one, in all phases."""
        self._begin(Phase(name="none", seconds=0, conversations=1))

    def _begin(self, phase: Phase) -> None:
        self._phase = phase
        self.messages: dict[str, Message] = {}
        self.order: list[Message] = []
        """Messages as their first replies reached the platform."""
        self._numbers: dict[int, int] = defaultdict(int)
        self._done = 0
        self._made = False
        self._finished = asyncio.Event()
        self._unsent.clear()
        self._lanes.clear()

    async def play(self, phase: Phase) -> float:
        """Play a phase to its end; returns the seconds from its begin to the last reply."""
        self._begin(phase)
        began = time.monotonic()
        await (self._at_rate(began) if phase.rate else self._in_flight())
        self._made = True
        if self._done < len(self.messages):
            try:
                async with asyncio.timeout(phase.settle):
                    await self._finished.wait()
            except TimeoutError:
                pass  # what is missing is counted as lost
        self.wrong += [message.name for message in self.messages.values() if message.answers != 1]
        return max((message.answered for message in self.order), default=began) - began

    async def _in_flight(self) -> None:
        self._most = self._phase.in_flight
        for _ in range(self._phase.in_flight):
            self._new(time.monotonic())
        await asyncio.sleep(self._phase.seconds)

    async def _at_rate(self, began: float) -> None:
        self._most = CONNECTIONS
        for index in range(round(self._phase.rate * self._phase.seconds)):
            intended = began + index / self._phase.rate
            if (ahead := intended - time.monotonic()) > 0:
                await asyncio.sleep(ahead)
            self._new(intended)

    def _new(self, intended: float) -> None:
        phase = self._phase
        conversation = len(self.messages) * STRIDE % phase.conversations
        self._numbers[conversation] += 1
        number = self._numbers[conversation]
        message = workload.message(
            phase.name,
            conversation,
            number,
            intended,
            accounts=phase.accounts,
            padding=phase.padding,
            files=phase.files,
        )
        self.messages[message.name] = message
        lane = self._lanes[conversation]
        lane.append(message)
        if len(lane) == 1:
            self._send(message)

    def _send(self, message: Message) -> None:
        if self._free:
            message.attempts += 1
            self._free.pop().post(message)
            return
        self._unsent.append(message)
        if len(self._all) + len(self._opening) < self._most:
            task = self._loop.create_task(self._open())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self) -> None:
        try:
            _, connection = await self._loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._port)
        except OSError:
            self._loop.call_later(AGAIN, self._retry)
            return
        self._all.add(connection)
        self._idle(connection)

    def _retry(self) -> None:
        if self._unsent and not self._closed:
            self._send(self._unsent.popleft())

    def _idle(self, connection: _Connection) -> None:
        self._free.append(connection)
        if self._unsent:
            self._send(self._unsent.popleft())

    def responded(self, connection: _Connection, message: Message, status: int) -> None:
        """Take note of the hook's answer."""
        self._idle(connection)
        if not 200 <= status < 300:
            self._loop.call_later(AGAIN, self._send, message)
            return
        message.taken = time.monotonic()
        lane = self._lanes[message.conversation]
        if lane and lane[0] is message:
            lane.popleft()
            if lane:
                self._send(lane[0])
        if message.answered:
            self._settled()

    def broken(self, connection: _Connection, message: Message | None) -> None:
        """Take note of a closed connection; what was not acknowledged on it is sent again."""
        self._all.discard(connection)
        if connection in self._free:
            self._free.remove(connection)
        if message is not None and not self._closed:
            self._loop.call_later(AGAIN, self._send, message)

    def said(self, text: str) -> None:
        """Take note of a reply at the platform; later pieces of a long one, and those of an earlier phase, are not."""
        name = text.removeprefix(workload.REPLY)
        if self._phase.padding and name is not text:
            name = " ".join(name.split(" ", 3)[:3])
        message = self.messages.get(name)
        if message is None:
            return
        message.answers += 1
        if message.answers > 1:
            return
        message.answered = time.monotonic()
        self.order.append(message)
        if message.taken:
            self._settled()

    def _settled(self) -> None:
        """Count a message as done; a closed loop sends the next."""
        self._done += 1
        if not self._phase.rate and not self._made:
            self._new(time.monotonic())
        elif self._made and self._done == len(self.messages):
            self._finished.set()

    def close(self) -> None:
        """Close the connections."""
        self._closed = True
        for connection in list(self._all):
            connection.close()
