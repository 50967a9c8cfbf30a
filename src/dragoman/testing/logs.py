"""What was logged while a test looked, line by line."""

import contextlib
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

from dragoman import telemetry


class _Lines(io.StringIO):
    """A stream that keeps each line as what it says."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []

    def write(self, text: str) -> int:
        self.lines += map(json.loads, text.splitlines())  # those of one turn of the event loop come at once
        return len(text)


@contextlib.contextmanager
def captured() -> Iterator[list[dict[str, Any]]]:
    """Collect every line, of any level, in a list that grows; afterwards lines go where they went before."""
    telemetry.sink.flush()
    before, stream = (telemetry.sink.level, telemetry.sink.stream), _Lines()
    telemetry.sink.level, telemetry.sink.stream = logging.DEBUG, stream
    try:
        yield stream.lines
    finally:
        telemetry.sink.flush()
        telemetry.sink.level, telemetry.sink.stream = before
