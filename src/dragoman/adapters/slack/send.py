"""Speaking: each action as the calls of the Web API that carry it out.

Source: docs.slack.dev, "chat.postMessage", "chat.update", "chat.delete", "reactions.add", "Block Kit",
"Handling user interaction" (section "Message responses" for `response_url`).
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from dragoman import text
from dragoman.adapter import linked
from dragoman.adapters.slack import emoji, files
from dragoman.adapters.slack.api import JSON, Answer, Api, failed, judge
from dragoman.adapters.slack.forms import LINK
from dragoman.model import Action, Address, Button, Delete, Edit, Message, React, Say
from dragoman.wire import Exchange, Http, Outcome, Refused, Response, Sent

HOOKS: Final = "hooks.slack.com"
SECTION: Final = 3000
"""The longest text of a section block."""
ROW: Final = 25
"""The most elements of an actions block."""
LABEL: Final = 75
"""The longest text of a button."""

OUTSIDE: Final = frozenset({"not_in_channel", "channel_not_found"})
"""Refusals that mean that the bot is no member; whoever gave a command there can still be answered."""


def perform(api: Api, action: Action, address: Address) -> Exchange[Outcome]:
    """Carry out an action; one that Slack does not have is refused."""
    return ACTS.get(type(action), _unknown)(api, action, address)


def _unknown(_: Api, action: Action, __: Address) -> Exchange[Outcome]:
    return Refused(reason=f"Slack has no action {type(action).__name__.lower()}")
    yield  # makes this a generator, as the contract has it


def render(body: str) -> str:
    """Write portable text in Slack's dialect."""
    return text.render(body, "slack")


def _say(api: Api, action: Say, address: Address) -> Exchange[Outcome]:
    """Say a message: files carry the text as their comment, unless buttons need a message of their own."""
    message = linked(action.message)
    if message.attachments:
        comment = "" if message.buttons else render(message.text)
        outcome = yield from files.share(api, message.attachments, address, comment)
        if not (message.buttons and isinstance(outcome, Sent)):
            return outcome
    outcome = _settled((yield _post(api, message, address)))
    if isinstance(outcome, Refused) and outcome.reason in OUTSIDE and _response_url(api, address):
        return _answered((yield _respond(api, message, address)))
    return outcome


def _post(api: Api, message: Message, address: Address) -> Http:
    arguments = {
        "channel": address.channel,
        "text": render(message.text),
        "thread_ts": address.thread,
        "blocks": _blocks(message) or None,
        "unfurl_links": False,
    }
    return api.call("chat.postMessage", arguments)


def _response_url(api: Api, address: Address) -> str:
    """Return the address of a command's late answers, when it is really Slack's."""
    url = address.ticket.get("response_url", "")
    return url if isinstance(url, str) and api.owns(url, HOOKS) else ""


def _respond(api: Api, message: Message, address: Address) -> Http:
    """Answer only the person who gave the command: the others there do not know the bot."""
    body: dict[str, Any] = {"response_type": "ephemeral", "replace_original": False, "text": render(message.text)}
    if message.buttons:
        body["blocks"] = _blocks(message)
    return Http(method="POST", url=_response_url(api, address), headers=JSON, json=body, lane="response_url")


def _answered(response: Response) -> Outcome:
    """Judge the answer of a response URL: used up or too old it is 404, and 200 has no body of interest."""
    failure = failed(response)
    if isinstance(failure, Refused):
        return Refused(reason=f"response_url: {failure.reason}", scope="conversation")
    return failure or Sent()


def _edit(api: Api, action: Edit, address: Address) -> Exchange[Outcome]:
    """Replace text and buttons: an empty list of blocks removes those that were there."""
    message = linked(action.message)
    arguments = {
        "channel": address.channel,
        "ts": action.message_id,
        "text": render(message.text),
        "blocks": _blocks(message),
    }
    return _settled((yield api.call("chat.update", arguments, repeatable=True)))


def _delete(api: Api, action: Delete, address: Address) -> Exchange[Outcome]:
    arguments = {"channel": address.channel, "ts": action.message_id}
    return _settled((yield api.call("chat.delete", arguments, repeatable=True)), done="message_not_found")


def _react(api: Api, action: React, address: Address) -> Exchange[Outcome]:
    arguments = {"channel": address.channel, "timestamp": action.message_id, "name": emoji.name(action.emoji)}
    return _settled((yield api.call("reactions.add", arguments, repeatable=True)), done="already_reacted")


def _settled(response: Response, *, done: str = "") -> Outcome:
    """Judge the last answer of an exchange; the error `done` says that it was so already."""
    answer = judge(response)
    if isinstance(answer, Answer):
        return Sent(ids=(answer.ts,) if answer.ts else ())
    if done and isinstance(answer, Refused) and answer.reason == done:
        return Sent()
    return answer


def _blocks(message: Message) -> list[dict[str, Any]]:
    """Lay out a message with buttons: the text in sections, the buttons in rows; without buttons nothing."""
    if not message.buttons:
        return []
    pieces = text.split(message.text, SECTION, lambda piece: len(render(piece))) if message.text else ()
    sections = [{"type": "section", "text": {"type": "mrkdwn", "text": render(piece)}} for piece in pieces]
    return [*sections, *_rows(message.buttons)]


def _rows(buttons: Sequence[Button]) -> list[dict[str, Any]]:
    elements = [_button(number, button) for number, button in enumerate(buttons)]
    return [{"type": "actions", "elements": elements[start : start + ROW]} for start in range(0, len(elements), ROW)]


def _button(number: int, button: Button) -> dict[str, Any]:
    label = button.text if len(button.text) <= LABEL else button.text[: LABEL - 1] + "…"
    element = {"type": "button", "text": {"type": "plain_text", "text": label, "emoji": True}}
    if button.url:
        return {**element, "action_id": f"{LINK}{number}", "url": button.url}
    return {**element, "action_id": f"button-{number}", "value": button.value}


ACTS: Final[dict[type, Callable[[Api, Any, Address], Exchange[Outcome]]]] = {
    Say: _say,
    Edit: _edit,
    Delete: _delete,
    React: _react,
}
