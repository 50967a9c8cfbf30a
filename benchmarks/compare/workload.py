"""The messages of the load: events as Slack's Events API sends them, signed as it signs, ready for the wire.

Source: docs.slack.dev, "The Events API", "message.im", "Verifying requests from Slack".
"""

import dataclasses
import hashlib
import hmac
import itertools
import time
from typing import Final

SIGNING_SECRET: Final = "8f742231b10e8888abcd99yyyzzz85a5"  # noqa: S105 - invented
BOT_TOKEN: Final = "xoxb-bench"  # noqa: S105 - invented
TEAM: Final = "T0BENCH"
BOT: Final = "U0BENCHBOT"
BOT_ID: Final = "B0BENCH"
APP: Final = "A0BENCH"
REPLY: Final = "echo: "

_BODY: Final = (
    '{"token":"bench","team_id":"' + TEAM + '","context_team_id":"' + TEAM + '","context_enterprise_id":null,'
    '"api_app_id":"' + APP + '","event":{"user":"U%(conversation)08d","type":"message","ts":"%(ts)s",'
    '"client_msg_id":"00000000-0000-4000-8000-%(number)012d","text":"%(text)s","team":"' + TEAM + '",'
    '"blocks":[{"type":"rich_text","block_id":"b1","elements":[{"type":"rich_text_section",'
    '"elements":[{"type":"text","text":"%(text)s"}]}]}],'
    '"channel":"D%(conversation)08d",%(files)s"event_ts":"%(ts)s","channel_type":"im"},'
    '"type":"event_callback","event_id":"Ev%(number)09d","event_time":%(second)d,'
    '"authorizations":[{"enterprise_id":null,"team_id":"' + TEAM + '","user_id":"' + BOT + '","is_bot":true,'
    '"is_enterprise_install":false}],"is_ext_shared_channel":false,"event_context":"4-bench-%(number)d"}'
)
_FILE: Final = (
    '{"id":"F%(conversation)08dN%(number)d","created":%(second)d,"timestamp":%(second)d,"name":"photo%(number)d.jpg",'
    '"title":"photo","mimetype":"image/jpeg","filetype":"jpg","mode":"hosted","size":482113,"file_access":"visible",'
    '"url_private":"https://files.invalid/files-pri/F%(conversation)08dN%(number)d/photo.jpg",'
    '"url_private_download":"https://files.invalid/files-pri/F%(conversation)08dN%(number)d/download/photo.jpg"}'
)
_HEAD: Final = (
    "POST /hooks/%s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Slackbot 1.0 (+https://api.slack.com/robots)\r\n"
    "Accept-Encoding: gzip,deflate\r\nAccept: */*\r\nX-Slack-Signature: v0=%s\r\nX-Slack-Request-Timestamp: %d\r\n"
    "Content-Length: %d\r\nContent-Type: application/json\r\n\r\n"
)

_numbers: Final = itertools.count(1)


@dataclasses.dataclass(slots=True, kw_only=True)
class Message:
    """One message of the load: when it should have left, and what came of it (seconds of the loop's clock; 0: not)."""

    name: str
    """The beginning of its text, by which its reply is known."""
    conversation: int
    number: int
    intended: float
    account: str
    body: bytes
    taken: float = 0.0
    """When the webhook was acknowledged."""
    answered: float = 0.0
    """When the first reply reached the platform."""
    attempts: int = 0
    answers: int = 0


def account(number: int) -> str:
    """Name an account, and its hook."""
    return f"bench{number}" if number else "bench"


def message(
    phase: str, conversation: int, number: int, intended: float, *, accounts: int = 1, padding: str = "", files: int = 0
) -> Message:
    """Write the n-th message of a conversation; `padding` makes it longer, and it shares so many `files`."""
    name = f"{phase} c{conversation} n{number}"
    serial, seconds = next(_numbers), int(time.time())
    facts = {
        "conversation": conversation,
        "number": serial,
        "text": name + padding,
        "second": seconds,
        "ts": f"{seconds}.{serial % 1_000_000:06d}",
        "files": _shared(conversation, seconds, files) if files else "",
    }
    return Message(
        name=name,
        conversation=conversation,
        number=number,
        intended=intended,
        account=account(conversation % accounts),
        body=(_BODY % facts).encode(),
    )


def _shared(conversation: int, second: int, count: int) -> str:
    """Write the fields that a message with files has besides."""
    facts = ({"conversation": conversation, "second": second, "number": number} for number in range(count))
    return '"subtype":"file_share","upload":false,"files":[' + ",".join(_FILE % each for each in facts) + "],"


def padding(length: int) -> str:
    """Return so many characters of text with some markup, to make messages longer."""
    words = " lorem ipsum dolor *sit* amet"
    return (words * (length // len(words) + 1))[:length].rstrip()


def signed(message: Message) -> bytes:
    """Return the request with the present time and the signature over both."""
    now, body = int(time.time()), message.body
    proof = hmac.digest(SIGNING_SECRET.encode(), b"v0:%d:%s" % (now, body), hashlib.sha256).hex()
    return (_HEAD % (message.account, proof, now, len(body))).encode() + body
