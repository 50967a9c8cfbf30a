"""What an answer of the Bot API means for a delivery, by tables of status and description.

The texts are the server's (tdlib/telegram-bot-api, Client.cpp): they are all that tells one 400 from
another.
"""

from typing import Final

import msgspec

from dragoman.adapters.telegram import api
from dragoman.adapters.telegram.shapes import Answer
from dragoman.model import Address
from dragoman.wire import Moved, Outcome, Refused, Response, Retry, Scope, Sent, Unsure

ALREADY_SO: Final = ("message is not modified", "message to delete not found")
"""What was asked for is the case already."""

UNREADABLE: Final = "can't parse entities"
"""Worth sending in another form; of plain text, which has none, it is the server's trouble, and passes."""

UNREACHABLE: Final = (
    "chat not found",
    "peer_id_invalid",
    "not enough rights",
    "have no rights",
    "need administrator rights",
    "chat_write_forbidden",
    "topic_closed",
    "topic_deleted",
    "message thread not found",
    "group chat was deactivated",
)
"""Nothing can be said in this place now, whatever the message."""

SCOPES: Final[dict[int, Scope]] = {401: "account", 403: "conversation", 404: "account", 409: "account"}
"""401: the token was revoked; 404: it has not even the form of one; 409: another program uses it.

403: blocked by the user, removed from the group, or the user is gone.
"""


def judge(response: Response, address: Address) -> Outcome:
    """Return what became of a delivery to `address`."""
    answer = api.read(response)
    if answer.ok and response.status < 300:
        return Sent(ids=_ids(answer))
    if response.status < 300 and not answer.error_code:
        return Unsure(reason=f"HTTP {response.status} without the documented answer")
    status = answer.error_code if response.status < 300 else response.status
    if status == 400:
        return _bad_request(answer, address)
    reason = _reason(status, answer)
    if status == 429:
        return Retry(reason=reason, after=_wait(answer, response), scope="conversation")
    return Retry(reason=reason) if status >= 500 else Refused(reason=reason, scope=SCOPES.get(status, "message"))


def _ids(answer: Answer) -> tuple[str, ...]:
    """Keep the message's id; edits and the like may answer with `true`."""
    number = answer.result.get("message_id") if isinstance(answer.result, dict) else None
    return (str(number),) if number else ()


def _reason(status: int, answer: Answer) -> str:
    return f"{status} {answer.description}"[:200].strip()


def _bad_request(answer: Answer, address: Address) -> Outcome:
    if answer.parameters.migrate_to_chat_id is not None:
        channel = str(answer.parameters.migrate_to_chat_id)
        return Moved(address=msgspec.structs.replace(address, channel=channel))
    description = answer.description.casefold()
    if any(text in description for text in ALREADY_SO):
        return Sent()
    if UNREADABLE in description:
        return Retry(reason=_reason(400, answer))
    unreachable = any(text in description for text in UNREACHABLE)
    return Refused(reason=_reason(400, answer), scope="conversation" if unreachable else "message")


def _wait(answer: Answer, response: Response) -> float | None:
    """Return the seconds to wait: a proxy in front of the server knows only the header."""
    header = response.headers.get("retry-after", "")[:6]
    return answer.parameters.retry_after or (float(header) if header.isdecimal() else None)
