"""The server API: how it is called, and what its answers mean.

Source: open.feishu.cn, "Calling Process", "Generic error codes", "Frequency control", and the error
tables of "Send message", "Reply message", "Edit message", "Recall message".
"""

import dataclasses
import re
from typing import Any, Final
from urllib.parse import quote

import msgspec

from dragoman import wire
from dragoman.adapter import Token
from dragoman.errors import CredentialRefused, Malformed, NoAnswer
from dragoman.model import Media
from dragoman.wire import Credential, Exchange, Expired, Http, Outcome, Part, Refused, Response, Retry, Scope, Unsure

TENANT: Final = Credential(name="tenant_token")
JSON: Final = {"content-type": "application/json; charset=utf-8"}
PATIENCE: Final = 60.0
"""Seconds that a transfer of bytes may take."""
LONGEST_WAIT: Final = 3600.0


EXPIRED: Final = frozenset({99991663, 99991664, 99991665, 99991668, 99991677})
"""Codes of a token that is dead or of another kind: renewed once."""
LIMITED: Final[dict[int, Scope]] = {99991400: "method", 230020: "conversation"}
"""Codes of too many calls. Of 230020 it is not certain (a target revoked?): waiting loses nothing."""
BUSY: Final = frozenset({230049})
"""The same message is being sent at this moment: its `uuid` came twice."""
GONE: Final = frozenset({230011, 231003})
"""The message concerned was recalled or deleted."""
PARAMETER: Final = 230001

SCOPES: Final[dict[int, Scope]] = {
    **dict.fromkeys(EXPIRED, "account"),
    99991661: "account",  # no token
    99991671: "account",  # no token of ours
    99991672: "account",  # a scope is missing
    99991679: "account",  # a scope is missing, of the person's token
    230006: "account",  # the app has no bot
    230027: "account",  # a permission is missing
    230002: "conversation",  # the bot is not in the chat
    230013: "conversation",  # the person is outside of the app's availability
    230018: "conversation",  # the chat's settings forbid it
    230035: "conversation",  # no right to speak there
    230053: "conversation",  # the person stopped the bot
}
"""What else a code refuses than the message alone."""


class Data(msgspec.Struct):
    """What a call made."""

    message_id: str | None = None
    image_key: str | None = None
    file_key: str | None = None


class Bot(msgspec.Struct):
    """Which bot the app is."""

    open_id: str | None = None
    app_name: str | None = None
    activate_status: int | None = None


class Answer(msgspec.Struct):
    """What a call answers; each fills in its own fields."""

    code: int
    msg: str | None = None
    data: Data | None = None
    bot: Bot | None = None
    tenant_access_token: str | None = None
    expire: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer with its status: `answer` is None when it is not of the API's form."""

    status: int
    answer: Answer | None = None
    wait: float | None = None
    media: Media | None = None

    @property
    def code(self) -> int:
        """The API's own code; 0 when there is none."""
        return self.answer.code if self.answer else 0

    @property
    def data(self) -> Data | None:
        """What the call made; None when it did not do what was asked."""
        if self.status != 200 or self.answer is None or self.answer.code:
            return None
        return self.answer.data or Data()

    def failure(self) -> Outcome:
        """Return the outcome of a call that did not do what was asked."""
        return _by_code(self, self.answer) if self.answer and self.answer.code else _by_status(self)


def read(response: Response) -> Reply:
    """Read an answer of whatever kind."""
    try:
        answer = wire.decode(response.body, Answer)
    except Malformed:
        answer = None
    seconds = response.headers.get("x-ogw-ratelimit-reset", "").strip()
    wait = min(float(seconds), LONGEST_WAIT) if re.fullmatch(r"[0-9]{1,9}", seconds) else None
    return Reply(status=response.status, answer=answer, wait=wait, media=response.media)


def _by_code(reply: Reply, answer: Answer) -> Outcome:
    reason = f"{answer.code} {(answer.msg or '')[:160]}".strip()
    if reply.status == 429 or answer.code in LIMITED:
        return Retry(reason=reason, after=reply.wait, scope=LIMITED.get(answer.code, "method"))
    if reply.status >= 500 or answer.code in BUSY:
        return Retry(reason=reason)
    return Refused(reason=reason, scope=SCOPES.get(answer.code, "message"))


def _by_status(reply: Reply) -> Outcome:
    status = reply.status
    reason = f"status {status}, not an answer of the API"
    if status == 429:
        return Retry(reason=reason, after=reply.wait, scope="method")
    if status == 408 or status >= 500:
        return Retry(reason=reason)
    if status < 300:
        return Unsure(reason=reason)
    return Refused(reason=reason, scope="account" if status in {401, 403} else "message")


def call(request: Http) -> Exchange[Reply]:
    """Make a call; when its token turns out to be dead, once more with a new one."""
    reply = read((yield request))
    if reply.code in EXPIRED:
        yield Expired(credential=TENANT)
        reply = read((yield request))
    return reply


@dataclasses.dataclass(frozen=True)
class Api:
    """The address of the API, and the requests that are made there."""

    base: str

    def post(self, lane: str, path: str, body: dict[str, Any], *, repeatable: bool = False, **query: str) -> Http:
        """Return a call that makes something, with a JSON body."""
        return self._json("POST", lane, path, body, query=query, repeatable=repeatable)

    def change(self, method: str, lane: str, path: str, body: dict[str, Any]) -> Http:
        """Return a call that changes something; repeated it changes nothing."""
        return self._json(method, lane, path, body, repeatable=True)

    def get(self, lane: str, path: str, **facts: Any) -> Http:
        """Return a call that reads."""
        return Http(method="GET", url=self._url(path), auth=TENANT, lane=lane, repeatable=True, **facts)

    def delete(self, lane: str, path: str) -> Http:
        """Return a call that deletes."""
        return Http(method="DELETE", url=self._url(path), auth=TENANT, lane=lane, repeatable=True)

    def upload(self, lane: str, path: str, parts: tuple[Part, ...]) -> Http:
        """Return a call that brings a file, which nobody sees yet."""
        url = self._url(path)
        return Http(url=url, parts=parts, auth=TENANT, lane=lane, timeout=PATIENCE, repeatable=True)

    def tenant_token(self, app_id: str) -> Exchange[Token]:
        """Ask for the tenant's access token ("Get tenant_access_token").

        While more than half an hour of it remains the same token is returned. Raises `CredentialRefused`, or
        `NoAnswer` for trouble that may pass.
        """
        body = {"app_id": app_id, "app_secret": Credential(name="app_secret")}
        path = "/open-apis/auth/v3/tenant_access_token/internal"
        lane = "tenant_access_token"
        url = self._url(path)
        reply = read((yield Http(url=url, headers=JSON, json=body, lane=lane, repeatable=True)))
        if reply.data and reply.answer and reply.answer.tenant_access_token:
            return Token(value=reply.answer.tenant_access_token, expires_in=reply.answer.expire or 0.0)
        failure = reply.failure()
        reason = getattr(failure, "reason", "no token in it")
        if isinstance(failure, Refused):
            raise CredentialRefused(f"the platform grants no tenant_access_token: {reason}")
        raise NoAnswer(reason, sent=False)

    def _json(self, method: str, lane: str, path: str, body: dict[str, Any], **facts: Any) -> Http:
        return Http(method=method, url=self._url(path), headers=JSON, json=body, auth=TENANT, lane=lane, **facts)

    def _url(self, path: str) -> str:
        return self.base.rstrip("/") + path


def message_path(message_id: str, *rest: str) -> str:
    """Return the path of a message, or of something below it."""
    return "/".join(("/open-apis/im/v1/messages", quote(message_id, safe=""), *rest))
