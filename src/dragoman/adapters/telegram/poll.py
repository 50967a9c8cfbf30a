"""Long polling: one call of `getUpdates` and what its answer means (Bot API, "getUpdates")."""

from collections.abc import Iterable
from typing import Final

import msgspec

from dragoman import wire
from dragoman.adapter import Polled
from dragoman.adapters.telegram import api, parse
from dragoman.adapters.telegram.shapes import Answer, Updates
from dragoman.errors import Malformed
from dragoman.model import Value
from dragoman.wire import Exchange, Response

LIMIT: Final = 100
MAX_WAIT: Final = 50
"""The server ends a long poll after 50 seconds (tdlib/telegram-bot-api, Client.cpp)."""

PAUSES: Final = {"another_instance": 30.0, "webhook_active": 30.0, "unauthorized": 60.0}
"""Seconds to wait before asking again, by the reason for which the operator is needed."""
PAUSE: Final = 3.0


class Numbered(Value):
    """An update's number alone: the cursor moves on even when the rest is strange."""

    update_id: int


def poll(base: str, cursor: str, wait: int, reader: parse.Reader) -> Exchange[Polled]:
    """Ask once for what is new since `cursor` (the next update's number; empty: all that waits)."""
    body = {"timeout": wait, "limit": LIMIT, "allowed_updates": list(parse.READERS)}
    if cursor:
        body["offset"] = int(cursor)
    response = yield api.call(base, "getUpdates", body, repeatable=True, timeout=wait + 10.0)
    if response.status == 200:
        try:
            updates = wire.decode(response.body, Updates)
        except Malformed:
            return Polled(cursor=cursor, after=PAUSE)
        if updates.ok:
            return _polled(updates.result, cursor, reader)
    return _trouble(response, cursor)


def _polled(updates: tuple[msgspec.Raw, ...], cursor: str, reader: parse.Reader) -> Polled:
    receipt = parse.joined(parse.tolerant(raw, reader) for raw in updates)
    last = max(_numbers(updates), default=None)
    if last is None:  # nothing, or nothing that can be confirmed and would not come again at once
        return Polled(cursor=cursor, after=PAUSE if updates else 0.0)
    return Polled(receipt=receipt, cursor=str(last + 1))


def _numbers(updates: tuple[msgspec.Raw, ...]) -> Iterable[int]:
    for raw in updates:
        try:
            yield wire.decode(bytes(raw), Numbered).update_id
        except Malformed:
            continue


def _trouble(response: Response, cursor: str) -> Polled:
    answer = api.read(response)
    halt = _halt(answer.error_code or response.status, answer)
    return Polled(cursor=cursor, halt=halt, after=PAUSES.get(halt) or answer.parameters.retry_after or PAUSE)


def _halt(status: int, answer: Answer) -> str:
    """Name what only the operator can end: a second poller, a webhook that is set, a token that is dead."""
    if status == 409:
        return "webhook_active" if "webhook" in answer.description else "another_instance"
    return "unauthorized" if status in {401, 404} else ""
