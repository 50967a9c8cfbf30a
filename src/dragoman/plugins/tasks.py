"""What recurring tasks do by themselves: send a text, or call a webhook; what they ask the plugin llm answers.

It is in every installation and in no routing order: only timers of the operator call it.
"""

import functools
from collections.abc import Mapping
from typing import Any, Final

from dragoman import telemetry
from dragoman.engine.plugin import Plugin
from dragoman.engine.turn import Turn
from dragoman.errors import NoAnswer, PluginError
from dragoman.text import templates
from dragoman.when import moment
from dragoman.wire import Http

PATIENCE: Final = 30.0
"""Seconds that a webhook has to answer."""
AGAIN: Final = frozenset({408, 425, 429})
"""Refusals that say: not now."""

log = telemetry.logger("plugin.tasks")

plugin = Plugin("tasks", title="Does what recurring tasks want.")


@plugin.step
async def say(turn: Turn, text: str, zone: str = "UTC") -> None:
    """Send a text."""
    turn.say(filled(turn, text, zone))


@plugin.step
async def call(
    turn: Turn,
    url: str,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    body: str = "",
    zone: str = "UTC",
) -> None:
    """Call a webhook until it answers, with the same key however often; what it refuses is not repeated."""
    request = Http(
        method=method,
        url=url,
        headers={"idempotency-key": turn.id, **_kind(body), **_lower(headers or {})},
        timeout=PATIENCE,
        refers=True,
        **_content(turn, method, body, zone),
    )
    status = await turn.once("call", functools.partial(_call, turn, request))
    turn.remark = f"answered {status}"


def filled(turn: Turn, template: str, zone: str) -> str:
    """Fill in a task's template: its name, and the time for which it came."""
    return templates.fill(template, _values(turn, zone))


def _values(turn: Turn, zone: str) -> dict[str, str]:
    due = float(turn.event.value.get("due", turn.now))
    return {"task": str(turn.event.value.get("title", "")), **moment.values(due, zone)}


def _kind(body: str) -> dict[str, str]:
    """Name the kind of the operator's body, where a header does not."""
    if not body:
        return {}
    json = body.lstrip()[:1] in {"{", "["}
    return {"content-type": "application/json" if json else "text/plain; charset=utf-8"}


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _content(turn: Turn, method: str, body: str, zone: str) -> dict[str, Any]:
    """Return the body of a call: the operator's template, or the task and its time as JSON."""
    if body:
        return {"body": filled(turn, body, zone).encode()}
    values = _values(turn, zone)
    return {} if method == "GET" else {"json": {"task": values["task"], "due": values["due"]}}


async def _call(turn: Turn, request: Http) -> int:
    """Call, and return the status of an answer that stands; raises `PluginError` for what is to be tried again."""
    task = str(turn.event.value.get("title", ""))
    try:
        answer = await turn.call(request)
    except NoAnswer as silence:
        telemetry.task_calls.labels(task, "failed").inc()
        raise PluginError(f"the webhook gave no answer: {silence.reason}") from silence
    if answer.status >= 500 or answer.status in AGAIN:
        telemetry.task_calls.labels(task, "failed").inc()
        raise PluginError(f"the webhook answered {answer.status}")
    refused = answer.status >= 300
    telemetry.task_calls.labels(task, "refused" if refused else "answered").inc()
    if refused:
        log.warning("call.refused", task=task, status=answer.status, turn=turn.id)
    return answer.status
