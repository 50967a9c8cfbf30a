"""The Web API: how a method is called, and what its answer means.

Source: docs.slack.dev, "Using the Slack Web API", "Web API errors", "Rate limits".
"""

import dataclasses
import functools
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from dragoman import wire
from dragoman.adapters.slack.payloads import File
from dragoman.errors import Malformed
from dragoman.wire import Credential, Http, Outcome, Refused, Response, Retry, Unsure

BOT: Final = "bot_token"
APP: Final = Credential(name="app_token")
JSON: Final = {"content-type": "application/json; charset=utf-8"}

WAIT: Final = 5.0
"""Seconds to wait when a 429 does not say for how long."""
LONGEST_WAIT: Final = 3600.0

AGAIN: Final = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout"})
LIMITED: Final = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
ACCOUNT: Final = frozenset(
    {
        "account_inactive",
        "invalid_auth",
        "missing_scope",
        "not_allowed_token_type",
        "not_authed",
        "token_expired",
        "token_revoked",
    }
)
CONVERSATION: Final = frozenset(
    {
        "channel_not_found",
        "is_archived",
        "not_in_channel",
        "restricted_action",
        "restricted_action_read_only_channel",
        "restricted_action_thread_locked",
    }
)
"""Which error means what; one that is not listed concerns the message alone."""


class Answer(msgspec.Struct, gc=False):
    """What a method answers; each fills in its own fields."""

    ok: bool
    error: str | None = None
    needed: str | None = None
    ts: str | None = None
    upload_url: str | None = None
    file_id: str | None = None
    file: File | None = None
    url: str | None = None
    user_id: str | None = None
    user: str | None = None
    bot_id: str | None = None


@dataclasses.dataclass(frozen=True)
class Api:
    """The address of the Web API, and the requests that are made there.

    `workspace` is empty for an account with a bot token of its own.
    """

    base: str
    workspace: str = ""

    @functools.cached_property
    def bot(self) -> Credential:
        """Name the bot's token."""
        return Credential(name=BOT, workspace=self.workspace)

    def call(self, method: str, arguments: dict[str, Any], *, repeatable: bool = False) -> Http:
        """Return a call with JSON arguments; empty ones are left out."""
        given = _given(arguments)
        return Http(url=self._url(method), auth=self.bot, lane=method, repeatable=repeatable, headers=JSON, json=given)

    def form(self, method: str, arguments: dict[str, Any]) -> Http:
        """Return a call of a method that takes a form only (the reading ones, and the ticket for an upload)."""
        return Http(url=self._url(method), auth=self.bot, lane=method, repeatable=True, form=_given(arguments))

    def open_connection(self) -> Http:
        """Return the call that asks for a socket's address, the only one with the app-level token."""
        method = "apps.connections.open"
        return Http(url=self._url(method), auth=APP, lane=method, repeatable=True, form={})

    def _url(self, method: str) -> str:
        return f"{self.base.rstrip('/')}/{method}"

    def owns(self, url: str, host: str) -> bool:
        """Tell whether an address is Slack's `host` by https, or lies where the API does."""
        try:
            parts, base = urlsplit(url), urlsplit(self.base)
        except ValueError:
            return False
        return (parts.scheme, parts.netloc) in {("https", host), (base.scheme, base.netloc)}


def _given(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None and value != ""}


def judge(response: Response) -> Answer | Outcome:
    """Return what a method answered when it did what was asked, else the outcome.

    Slack answers 200 with `ok: false` for nearly everything; a 429 holds for the method and workspace.
    """
    if failure := failed(response):
        return failure
    try:
        answer = wire.decode(response.body, Answer)
    except Malformed:
        return Unsure(reason="status 200, but not an answer of the Web API")
    return answer if answer.ok else _refusal(answer, response.headers)


def failed(response: Response) -> Outcome | None:
    """Return the outcome that the status alone decides, or None for 200."""
    status = response.status
    if status == 200:
        return None
    if status == 429:
        return Retry(reason="ratelimited", after=_wait(response.headers), scope="method")
    if status in {401, 403}:
        return Refused(reason=f"status {status}", scope="account")
    if status == 408 or status >= 500:
        return Retry(reason=f"status {status}")
    return Refused(reason=f"status {status}")


def _refusal(answer: Answer, headers: Mapping[str, str]) -> Outcome:
    error = (answer.error or "unknown_error")[:80]
    if error in LIMITED:
        return Retry(reason=error, after=_wait(headers), scope="method")
    if error in AGAIN:
        return Retry(reason=error)
    if error in ACCOUNT:
        needed = f" (needs {answer.needed[:80]})" if answer.needed else ""
        return Refused(reason=error + needed, scope="account")
    return Refused(reason=error, scope="conversation" if error in CONVERSATION else "message")


def _wait(headers: Mapping[str, str]) -> float:
    seconds = headers.get("retry-after", "").strip()
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", seconds):
        return WAIT
    return min(max(float(seconds), 1.0), LONGEST_WAIT)
