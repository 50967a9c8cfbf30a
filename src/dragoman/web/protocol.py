"""The HTTP protocol at the door: uvicorn's, with a limit on how long and how large headers may be."""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_BYTES: Final = 65_536
"""Bytes that may come before a request's headers are complete."""
HEADER_SECONDS: Final = 10.0
"""Seconds that the headers of a connection's first request may take."""


class BoundedProtocol(HttpToolsProtocol):
    """Refuses headers without end, and connections that never say what they want."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._before_headers = 0
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start the patience of a new connection."""
        super().connection_made(transport)
        self._patience = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the patience with the connection."""
        self._calm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless headers have grown beyond the limit."""
        self._before_headers += len(data)
        super().data_received(data)
        if self._before_headers > HEADER_BYTES and not self.transport.is_closing():
            self.send_400_response("The headers are too large.")

    def on_headers_complete(self) -> None:
        """Note that a request is known: what follows is its body, which has limits of its own."""
        self._calm()
        self._before_headers = -(1 << 62)
        super().on_headers_complete()

    def on_message_begin(self) -> None:
        """Count anew for the next request of the connection."""
        self._before_headers = 0
        super().on_message_begin()

    def _calm(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
