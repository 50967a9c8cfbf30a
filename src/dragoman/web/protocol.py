"""The HTTP protocol at the door: uvicorn's, with a limit on how long and how large headers may be, and hooks.

A hook's request does not become messages of ASGI: its body is collected here, and answered from here. Requests for
pages go on through uvicorn, on the same connection, in any mixture; pipelined ones are answered in their order.
"""

import asyncio
import functools
from typing import Any, Final
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dragoman.flow.context import Context
from dragoman.web import hooks
from dragoman.web.visit import Visit
from dragoman.wire import Response

HEADER_BYTES: Final = 65_536
"""Bytes that may come on end which belong to no body: a request's headers have fewer, and so have its trailers."""
HEADER_SECONDS: Final = 10.0
"""Seconds that a request's headers may take."""
READ_SECONDS: Final = 15.0
"""Seconds in which a caller has to read something, while more is written than it has read."""
INVALID: Final = "Invalid HTTP request received."
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class BoundedProtocol(HttpToolsProtocol):
    """Refuses headers without end, and connections that never say what they want."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._stray = 0
        self._patience: asyncio.TimerHandle | None = None
        self._deaf: asyncio.TimerHandle | None = None
        """Rings when the caller should have read something."""
        self._within = False
        """Whether the parser is between a request's headers and its end."""
        self._until: float | None = None
        """When it closes because nobody asks for anything; None while somebody does."""

    def connection_made(self, transport: Any) -> None:
        """Start the patience of a new connection."""
        super().connection_made(transport)
        self._patience = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the patience with the connection."""
        self._calm()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._let_go()

    def handle_websocket_upgrade(self) -> None:
        """Leave the connection to the socket's protocol."""
        super().handle_websocket_upgrade()
        self._let_go()

    def pause_writing(self) -> None:
        """Wait for a caller who has much to read; one that reads nothing is let go, whatever else waits for it."""
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        """Go on: the caller has read."""
        self._heard()
        super().resume_writing()

    def _await_reader(self, before: int | None = None) -> None:
        left = self.transport.get_write_buffer_size()
        if before is not None and left >= before:
            self.transport.abort()
        else:
            self._deaf = self.loop.call_later(READ_SECONDS, self._await_reader, left)

    def _heard(self) -> None:
        if self._deaf is not None:
            self._deaf.cancel()
            self._deaf = None

    def data_received(self, data: bytes) -> None:
        """Read on, unless headers have grown beyond the limit.

        As uvicorn does it, but for its timer of idle connections: it would end, and what came may be no request yet.
        """
        self._stray += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.logger.warning(INVALID)
            self.send_400_response(INVALID)
        except httptools.HttpParserUpgrade:
            self._upgrade()
        if self._stray > HEADER_BYTES and not self.transport.is_closing():
            self.send_400_response("The headers are too large.")
        if self._within:
            self._await_rest()

    def on_headers_complete(self) -> None:
        """Note that a request is known: what follows is its body, which has limits of its own."""
        self._calm()
        self._stray, self._within, self._until = 0, True, None
        self._serve_next()

    def on_message_begin(self) -> None:
        """Count anew for the next request of the connection, and give its headers their time."""
        self._stray = 0
        if self._until is not None:
            self._until = self.loop.time() + HEADER_SECONDS
        self.url, self.headers, self.expect_100_continue = b"", [], False

    def on_body(self, body: bytes) -> None:
        """Count anew behind a piece of a body: what may follow the last one are trailers."""
        self._stray = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that the whole request has come."""
        self._within = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Let the next request begin, or the time run in which there has to be one.

        What is read already comes first: more is read when nothing of it waits.
        """
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        cycle = self.pipeline.pop() if self.pipeline else None
        if not self.pipeline:
            self.flow.resume_reading()
        if cycle is not None:
            self._start_asgi_task(*cycle)
            return
        self._rest(hooks.BODY_SECONDS if self._within else self.timeout_keep_alive)

    def _rest(self, seconds: float) -> None:
        """Close in so many seconds, unless somebody asks for something."""
        self._until = self.loop.time() + seconds
        timer = self.timeout_keep_alive_task
        if timer is not None and timer.when() > self._until:
            timer.cancel()
            timer = None
        if timer is None:
            self._look_again(seconds)

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that was idle all the time: it has one timer, and not one for each of its requests."""
        self.timeout_keep_alive_task = None
        if self._until is None:
            return
        left = self._until - self.loop.time()
        if left > 0:
            self._look_again(left)
        else:
            super().timeout_keep_alive_handler()

    def _look_again(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _upgrade(self) -> None:
        if self._should_upgrade():
            self.handle_websocket_upgrade()
        else:
            self._unsupported_upgrade_warning()

    def _await_rest(self) -> None:
        """Take note that a request's body did not come with its headers."""

    def _should_upgrade(self) -> bool:
        """Take a request with a body as if no socket were asked for: as a socket it would never be answered."""
        bodies = {b"content-length": b"0", b"transfer-encoding": b""}
        return super()._should_upgrade() and all(bodies.get(name, value) == value for name, value in self.headers)

    def _serve_next(self) -> None:
        """Let uvicorn serve the request whose headers are complete: what it keeps of one is made only now."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += headers
        super().on_headers_complete()

    def _let_go(self) -> None:
        """Forget what knows us, so that we are freed at once: the collector of cycles comes seldom."""
        self._heard()
        self.parser = None  # type: ignore[assignment]  # as uvicorn does
        self.cycle = None  # type: ignore[assignment]  # as uvicorn begins
        self.pipeline.clear()

    def _calm(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


class HookProtocol(BoundedProtocol):
    """Serves hooks by itself. At most one visit of a connection is served at a time; others wait in `pipeline`."""

    def __init__(self, context: Context, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._context = context
        self._reading: Visit | None = None
        """Whose body the parser is at."""
        self._turn: Visit | None = None
        """Whose turn it is, or was last."""
        self._open: Visit | None = None
        """Whose turn it is, while its body has not come."""
        self._slow: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the visit that is served, if one is."""
        if self._open is not None and self._open.account is not None:
            hooks.left_early(self._open.account)
        self._close()
        if self._turn is not None:
            self._turn.leave()
        super().connection_lost(exc)

    def on_body(self, body: bytes) -> None:
        """Collect a hook's body; of a request that is refused the rest is read and thrown away."""
        self._stray, visit = 0, self._reading
        if visit is None:
            super().on_body(body)
        elif visit.refusal is None and not visit.take(body) and visit.account is not None:
            self._refuse(visit, hooks.too_large(visit.account))

    def on_message_complete(self) -> None:
        """Serve a hook's request that is whole."""
        visit, self._reading = self._reading, None
        if visit is None:
            super().on_message_complete()
            return
        self._within = False
        visit.whole = True
        if visit is self._open:
            self._start(visit)
        elif visit.response_complete:  # it was refused, and what was still to come of it has come
            self._rest(self.timeout_keep_alive)

    def _serve_next(self) -> None:
        """Serve a hook by ourselves, and let uvicorn serve all else; either waits for its turn."""
        self._reading = visit = self._visit()
        if visit is None:
            super()._serve_next()
            return
        before = self.cycle
        self.cycle = visit  # type: ignore[assignment]  # it stands where uvicorn keeps its own
        if before is None or before.response_complete:
            self._proceed(visit)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _visit(self) -> Visit | None:
        """Return the visit that the headers begin; None when they are not a hook's."""
        if self.parser.should_upgrade() and self._should_upgrade():
            return None
        path, query, name = _target(self.root_path, self.url)
        if not name:
            return None
        method = self.parser.get_method().decode()
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in self.headers}
        visit = Visit(self, method, (path, query), headers)
        visit.keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        admitted = hooks.admit(self._context, name, method, headers.get("content-length", "0"))
        if isinstance(admitted, Response):
            visit.refusal = admitted
        else:
            visit.account = admitted
        return visit

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """Begin with a request that waited: uvicorn calls this when the one before is answered."""
        if not isinstance(cycle, Visit):
            super()._start_asgi_task(cycle, app)
            return
        self._proceed(cycle)
        self._await_rest()

    def _proceed(self, visit: Visit) -> None:
        """Go on with the visit whose turn it is: serve it, or wait for its body."""
        self._turn = visit
        if not visit.whole and visit.refusal is None:
            self._open = visit
        else:
            self._start(visit)

    def _start(self, visit: Visit) -> None:
        self._close()
        if visit.refusal is not None or visit.account is None:
            served = hooks.refuse(visit, visit.refusal or hooks.unfinished())
        else:
            served = hooks.hook(self._context, visit.account, visit.request(), visit)
        task = self.loop.create_task(served)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _refuse(self, visit: Visit, refusal: Response) -> None:
        visit.refusal = refusal
        if visit is self._open:
            self._proceed(visit)

    def _await_rest(self) -> None:
        """Give a body its time from now on, and tell a caller who waits for that to go on."""
        if self._open is not None and self._slow is None and not self.transport.is_closing():
            self._slow = self.loop.call_later(hooks.BODY_SECONDS, self._lose_patience)
            if self.expect_100_continue:
                self.transport.write(CONTINUE)

    def _lose_patience(self) -> None:
        """Refuse a body that does not come; what of it may still come is not waited for."""
        visit = self._open
        if visit is not None and visit.account is not None:
            visit.keep_alive = False
            self._refuse(visit, hooks.too_slow(visit.account))

    def _let_go(self) -> None:
        super()._let_go()
        self._reading = self._turn = None

    def _close(self) -> None:
        self._open = None
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None


@functools.lru_cache(maxsize=128)
def _target(root: str, url: bytes) -> tuple[str, str, str]:
    """Return the path and the query of a request's target, and the account if it is a hook's: most are asked again."""
    parsed = httptools.parse_url(url)
    path = (parsed.path or b"").decode("ascii")
    path = root + (unquote(path) if "%" in path else path)
    return path, (parsed.query or b"").decode("latin-1"), hooks.hook_account(path)
