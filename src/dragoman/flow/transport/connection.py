"""One HTTP/1.1 connection: a request goes out, its answer comes in, and only then may the next go.

It is **idle** (nobody waits), **busy** (one request is out, exactly one answer is taken) or **closed** (for good):

- idle: a byte that comes closes it, for it cannot answer what will be asked next. So does the server's end.
- busy: a whole answer makes it idle. It closes it as well if the answer says so, if more bytes came than the answer
  has, if the answer was too large, or if it came before our request had left.
- busy: silence for too long, the server's end, what is no HTTP, or a caller who gives up, closes it. Whoever waits
  still is told that there is no answer, and that the request may have arrived.
"""

import asyncio
from typing import Any, Final

import httptools

from dragoman.errors import NoAnswer
from dragoman.flow.alarm import Alarm
from dragoman.wire import Response

LARGEST_ANSWER: Final = 4 << 20
"""Bytes of an answer that is read into memory; what is longer is cut, and so will not be understood."""
LARGEST_HEAD: Final = 64 << 10
"""Bytes that may come on end which belong to no body: a head has fewer."""


class Dropped(NoAnswer):
    """The connection ended before an answer began."""


class Connection(asyncio.Protocol):
    """A connection, from the moment it is made; `lost` is done when nothing of it is left."""

    def __init__(self, alarm: Alarm) -> None:
        """`alarm` rings for requests that get no answer in their time."""
        self.lost: asyncio.Future[None] = alarm.loop.create_future()
        self.since = 0.0
        """When it became idle, for whoever keeps it."""
        self._alarm = alarm
        self._closed = False
        self._waiter: asyncio.Future[Response] | None = None
        self.due = 0.0
        """When who waits has waited for too long."""
        self._bodiless = False
        self._parser = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self._forget()

    def _forget(self) -> None:
        """Forget the answer before."""
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._room = LARGEST_ANSWER
        self._stray = 0

    def ready(self) -> bool:
        """Tell whether a request can go now: neither side has closed it."""
        return not self._closed and not self._transport.is_closing()

    def ask(self, request: bytes, until: float, *, bodiless: bool = False) -> asyncio.Future[Response]:
        """Send a request on a ready and idle connection; the answer has no body if it is `bodiless` (HEAD).

        `until`: when, by the loop's clock, it counts as unanswered. Waiting raises `NoAnswer`, which says that the
        request may have arrived. Who is cancelled while waiting has to `abort`.
        """
        self._forget()
        self._bodiless = bodiless
        self._waiter, self.due = self._alarm.loop.create_future(), until
        self._alarm.add(self)
        self._transport.write(request)
        return self._waiter

    def abort(self) -> None:
        """Close it at once."""
        self._closed = True
        self._transport.abort()

    def connection_made(self, transport: Any) -> None:
        """Take over the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Read on in the answer."""
        if self._waiter is None:
            self.abort()
            return
        self._stray += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(NoAnswer(f"no answer: {type(error).__name__}", sent=True))
        if self._stray > LARGEST_HEAD and self._waiter is not None:
            self._fail(NoAnswer("no answer: its head is too large", sent=True))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits, unless this very end completes the answer."""
        if exc is None and self._status and self._until_close():
            self._answer(keep=False)
        reason = f"no answer: {type(exc).__name__ if exc else 'the connection was closed'}"
        self._fail(NoAnswer(reason, sent=True) if self._status else Dropped(reason, sent=True))
        self.lost.set_result(None)
        del self._parser  # it knows us: only the collector of cycles, which comes seldom, would free us both

    def on_message_begin(self) -> None:
        """Close the connection if this is one answer too many (the parser calls this and what follows)."""
        if self._waiter is None:
            self.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; of several with one name the last counts, and what follows a body is not one."""
        if not self._status:
            self._headers[name.lower().decode()] = value.decode("utf-8", "surrogateescape").strip(" \t")

    def on_headers_complete(self) -> None:
        """Take the status; one below 200 announces the answer and is none."""
        status = self._parser.get_status_code()
        if status < 200:
            self._headers.clear()
            return
        self._status = status
        if self._bodiless:
            self._answer(keep=False)  # the parser cannot be told, and would wait for a body

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body; what is beyond the largest answer is cut off."""
        self._stray = 0
        self._body.append(body[: self._room])
        self._room -= len(body)
        if self._room < 0:
            self._answer(keep=False)

    def on_message_complete(self) -> None:
        """Give the answer to who waits."""
        if self._status:
            self._answer(keep=self._parser.should_keep_alive())

    def _answer(self, *, keep: bool) -> None:
        waiter, self._waiter = self._waiter, None
        self._alarm.drop(self)
        if not keep or self._transport.get_write_buffer_size():
            self.abort()
        if waiter is not None and not waiter.done():
            waiter.set_result(Response(status=self._status, headers=self._headers, body=b"".join(self._body)))

    def ring(self, now: float) -> None:
        """Give up waiting for the answer: its time is over."""
        self._fail(NoAnswer("no answer: TimeoutError", sent=True))

    def _fail(self, why: NoAnswer) -> None:
        waiter, self._waiter = self._waiter, None
        self._alarm.drop(self)
        self.abort()
        if waiter is not None and not waiter.done():
            waiter.set_exception(why)

    def _until_close(self) -> bool:
        """Tell whether the body has no other end than the connection's."""
        coding = self._headers.get("transfer-encoding", "").lower()
        return not coding.endswith("chunked") and (bool(coding) or "content-length" not in self._headers)
