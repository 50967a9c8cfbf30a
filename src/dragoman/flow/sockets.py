"""The sockets: dial, feed the session, carry out its steps in order, and dial again.

What a frame brought is stored before the acknowledgement that stands behind it leaves; while nothing can be
stored, nothing more is taken. There is one socket at a time: the old one is proven closed before the next is
opened, unless the session asks for an overlap. Then the old one is served until it is closed.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import msgspec

from dragoman import telemetry
from dragoman.adapter import Call, Dial, Emit, Halt, Keep, Known, Receipt, Redial, Send, Session, Step
from dragoman.errors import DragomanError, StoreAway
from dragoman.flow import retry
from dragoman.flow.account import Account
from dragoman.flow.context import Context
from dragoman.flow.receive import accept
from dragoman.flow.transport import websocket
from dragoman.flow.transport.websocket import Closed, WebSocket, surely
from dragoman.store.base import Times
from dragoman.wire import Frame

STEADY: Final = 10.0
"""Seconds after which a socket counts as one that held: the next is opened without backing off."""
LONGEST_WAIT: Final = 5.0
"""Seconds, at most, between two tries to store the same thing."""

Leave = Redial | Halt

log = telemetry.logger("sockets")


async def hold(context: Context, account: Account) -> None:
    """Hold one account's socket open until cancelled; no socket of it is open when this returns."""
    holder = _Holder(context, account)
    try:
        while True:
            wait = await holder.round()
            await asyncio.sleep(wait)
    finally:
        await holder.end()


class _Holder:
    """The socket of an account, and the one before it while they overlap."""

    def __init__(self, context: Context, account: Account) -> None:
        self._context = context
        self._account = account
        self._lines: list[_Line] = []
        self._failures = 0

    async def round(self) -> float:
        """Open a socket and serve it until it is to be left; returns the seconds to wait before the next round."""
        try:
            return await self._round()
        except DragomanError as error:
            self._failures += 1
            wait = retry.backoff(self._failures, random.random)
            log.warning("socket.failed", account=self._account.name, reason=str(error), again_in=round(wait, 1))
        except Exception as error:  # noqa: BLE001 - the outer loop: an adapter's bug must not end the listening
            self._failures += 1
            wait = retry.backoff(self._failures, random.random)
            log.error("socket.broke", account=self._account.name, error=telemetry.where(error))
        return wait

    async def end(self) -> None:
        """Close what is open."""
        while self._lines:
            await self._lines.pop().end()

    async def _round(self) -> float:
        account, client = self._account, self._context.client
        cursor = await self._context.store.recall(f"cursor:{account.name}")
        known = self._context.accounts.known(account, cursor)
        found: Dial | Halt = await client.perform(account, account.adapter.dial(known))
        if isinstance(found, Halt):
            return await self._halt(found)
        line = await self._open(found, known)
        leave: Leave = Redial()
        try:
            for older in self._lines[:-1]:
                await older.retire()
                self._lines.remove(older)
            leave = await line.left()
        finally:
            if not (isinstance(leave, Redial) and leave.overlap):
                await self.end()
        return await self._halt(leave) if isinstance(leave, Halt) else self._redial(line, leave)

    async def _open(self, dial: Dial, known: Known) -> "_Line":
        account, clock = self._account, self._context.clock
        socket = await websocket.connect(
            dial.url.reveal(),
            dial.headers,
            silence=dial.silence,
            heard=lambda: telemetry.listening.labels(account.name).set(clock()),
        )
        learned = msgspec.structs.replace(known, keys={**known.keys, **dial.keys})
        line = _Line(self._context, account, socket, learned, dial.tick)
        self._lines.append(line)
        telemetry.listening.labels(account.name).set(clock())
        telemetry.paused.labels(account.name).set(0)
        log.info("socket.open", account=account.name)
        return line

    def _redial(self, line: "_Line", redial: Redial) -> float:
        held = self._context.clock() - line.since >= STEADY
        self._failures = 0 if held else self._failures + 1
        wait = max(redial.after, retry.backoff(self._failures, random.random) if self._failures else 0.0)
        log.info("socket.left", account=self._account.name, reason=redial.reason, again_in=round(wait, 1))
        return wait

    async def _halt(self, halt: Halt) -> float:
        await self.end()
        telemetry.paused.labels(self._account.name).set(1)
        log.error("socket.halted", account=self._account.name, reason=halt.reason, again_in=halt.after)
        return halt.after


class _Line:
    """One open socket and its session, served by a task of its own."""

    def __init__(self, context: Context, account: Account, socket: WebSocket, known: Known, tick: float) -> None:
        self.since = context.clock()
        self._context = context
        self._account = account
        self._socket = socket
        self._session: Session = account.adapter.session(known)
        self._cursor = known.cursor
        self._tick = tick
        self._calls: dict[asyncio.Task[Any], str] = {}
        self._carrying = asyncio.Lock()
        self._left: asyncio.Future[Leave] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._serve())

    async def left(self) -> Leave:
        """Wait until this socket is to be left, or has closed."""
        await asyncio.wait({self._left})
        return self._left.result()

    async def retire(self) -> None:
        """Close in order: what still comes is stored, and the other side will send it again for its receipt."""
        async with self._carrying:
            await self._socket.finish()
        await asyncio.wait({self._task})

    async def end(self) -> None:
        """Close now; what was not taken is dropped, and was not acknowledged."""
        self._task.cancel()
        await surely(self._task)

    async def _serve(self) -> None:
        """Serve until the socket is closed or to be left, then close it."""
        try:
            await self._talk()
        except asyncio.CancelledError:
            pass  # we were told to end
        except Exception as error:  # noqa: BLE001 - the outer loop: an adapter's bug ends this socket and no more
            log.error("session.broke", account=self._account.name, error=telemetry.where(error))
        finally:
            for call in self._calls:
                call.cancel()
            self._leave(Redial(reason="the session ended"))
            await self._socket.close()

    async def _talk(self) -> None:
        """Give the session what happens, one thing after another."""
        going = await self._carry(self._session.opened(self._known()))
        frame = asyncio.create_task(self._socket.receive())
        due = self._context.clock() + self._tick
        try:
            while going:
                wait = max(0.0, due - self._context.clock())
                done, _ = await asyncio.wait({frame, *self._calls}, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
                for call in done - {frame}:
                    going = going and await self._carry(self._result(call))
                if going and frame in done:
                    going = await self._take(frame.result())
                    frame = asyncio.create_task(self._socket.receive())
                if going and self._context.clock() >= due:
                    going = await self._carry(self._session.tick(self._known()))
                    due = self._context.clock() + self._tick
        finally:
            frame.cancel()

    async def _take(self, item: Frame | Closed) -> bool:
        if isinstance(item, Closed):
            await self._carry(self._session.closed(item.code, item.reason, self._known()))
            self._leave(Redial(reason=f"closed: {item.code} {item.reason}".strip()))
            return False
        return await self._carry(self._session.received(item, self._known()))

    def _result(self, call: asyncio.Task[Any]) -> Iterable[Step]:
        """Give a finished exchange's result, or its error, to the session."""
        id_ = self._calls.pop(call)
        error = call.exception()
        if error is not None and not isinstance(error, DragomanError):
            raise error
        return self._session.called(id_, error or call.result(), self._known())

    async def _carry(self, steps: Iterable[Step]) -> bool:
        """Carry out steps in order; False when the socket is to be left at once."""
        async with self._carrying:
            for step in steps:
                if not await self._do(step):
                    return False
        return True

    async def _do(self, step: Step) -> bool:
        match step:
            case Send(frame=frame):
                await self._socket.send(frame)
            case Emit(receipt=receipt, cursor=cursor):
                await self._store(lambda: self._accept(receipt, cursor))
            case Keep(cursor=cursor):
                await self._store(lambda: self._keep(cursor))
            case Call(id=id_, exchange=exchange):
                call = asyncio.create_task(self._context.client.perform(self._account, exchange))
                self._calls[call] = id_
            case Redial(overlap=overlap):
                self._leave(step)
                return overlap
            case Halt():
                self._leave(step)
                return False
        return True

    def _leave(self, leave: Leave) -> None:
        if not self._left.done():
            self._left.set_result(leave)

    async def _store(self, store: Callable[[], Awaitable[None]]) -> None:
        """Store something, however long that takes: until then nothing more is taken from the socket."""
        attempt = 0
        while True:
            try:
                return await store()
            except StoreAway as away:
                attempt += 1
                wait = min(LONGEST_WAIT, retry.backoff(attempt, random.random))
                log.error("store.away", account=self._account.name, reason=str(away), again_in=round(wait, 1))
                await asyncio.sleep(wait)

    async def _accept(self, receipt: Receipt, cursor: str | None) -> None:
        now = self._context.clock()
        telemetry.crash.passed("s1") if receipt.events else None
        times = Times(received=now, authenticated=now, parsed=now)
        await accept(self._context, self._account, msgspec.structs.replace(receipt, raw=b""), times, cursor)
        self._cursor = self._cursor if cursor is None else cursor
        telemetry.crash.passed("s2") if receipt.events else None

    async def _keep(self, cursor: str) -> None:
        await self._context.store.keep(f"cursor:{self._account.name}", cursor)
        self._cursor = cursor

    def _known(self) -> Known:
        return self._context.accounts.known(self._account, self._cursor)
