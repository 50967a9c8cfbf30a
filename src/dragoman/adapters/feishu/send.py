"""Speaking: each action as the calls of the server API that carry it out.

Source: open.feishu.cn, "Send message", "Reply message", "Edit message", "Update message card", "Recall
message", "Add message reaction".
"""

from collections.abc import Callable
from typing import Any, Final

from dragoman import crypto
from dragoman.adapter import linked
from dragoman.adapters.feishu import api, emoji, files, writing
from dragoman.adapters.feishu.api import GONE, PARAMETER, Api, Reply, message_path
from dragoman.model import Action, Address, Delete, Delivery, Edit, Message, React, Say
from dragoman.wire import Exchange, Outcome, Refused, Sent

MESSAGES: Final = "/open-apis/im/v1/messages"

RECEIVERS: Final = (("ou_", "open_id"), ("on_", "union_id"))
"""The kind of an id, by its beginning; a person's direct chat may be written to by the person's id."""


def perform(calls: Api, delivery: Delivery) -> Exchange[Outcome]:
    """Carry out an action; one that Feishu does not have is refused."""
    action: Action = delivery.action
    act = ACTS.get(type(action))
    if act is None:
        return Refused(reason=f"Feishu has no action {type(action).__name__.lower()}")
    return (yield from act(calls, action, delivery))


def _say(calls: Api, action: Say, delivery: Delivery) -> Exchange[Outcome]:
    """Say a message; one that was not split before goes in several parts, each under a key of its own."""
    ids: tuple[str, ...] = ()
    for number, part in enumerate(writing.apart(linked(action.message))):
        uuid = crypto.fingerprint(delivery.key, str(number)) if number else delivery.key
        outcome = yield from _say_part(calls, part, delivery.address, uuid)
        if not isinstance(outcome, Sent):
            return outcome
        ids += outcome.ids
    return Sent(ids=ids)


def _say_part(calls: Api, message: Message, address: Address, uuid: str) -> Exchange[Outcome]:
    content: files.Content | Outcome = writing.content(message)
    if message.attachments:
        content = yield from files.upload(calls, message.attachments[0])
    if not isinstance(content, tuple):
        return content
    body = {"msg_type": content[0], "content": content[1], "uuid": uuid}
    target = message.reply_to or _anchor(address)
    reply = yield from (_reply(calls, target, body, address) if target else _post(calls, body, address))
    if target and reply.code in GONE:
        reply = yield from _post(calls, body, address)
    return _settled(reply)


def _anchor(address: Address) -> str:
    """Return a message of the thread: only a reply to one stays in it."""
    anchor = address.ticket.get("message_id", "") if address.thread else ""
    return anchor if isinstance(anchor, str) else ""


def _reply(calls: Api, target: str, body: dict[str, Any], address: Address) -> Exchange[Reply]:
    """Reply to a message; `reply_in_thread` on a message outside of any thread would open one."""
    thread = {"reply_in_thread": True} if address.thread else {}
    return api.call(calls.post("messages.reply", message_path(target, "reply"), {**body, **thread}))


def _post(calls: Api, body: dict[str, Any], address: Address) -> Exchange[Reply]:
    channel = address.channel
    kind = next((name for prefix, name in RECEIVERS if channel.startswith(prefix)), "chat_id")
    return api.call(calls.post("messages", MESSAGES, {"receive_id": channel, **body}, receive_id_type=kind))


def _edit(calls: Api, action: Edit, _: Delivery) -> Exchange[Outcome]:
    """Replace a message: texts are edited, cards are updated, and an id does not tell which it is of."""
    message, path = linked(action.message), message_path(action.message_id)
    kind, content = writing.content(message)
    if kind != "interactive":
        reply = yield from api.call(calls.change("PUT", "messages.edit", path, {"msg_type": kind, "content": content}))
        if reply.code != PARAMETER:
            return _settled(reply)
    reply = yield from api.call(calls.change("PATCH", "messages.patch", path, {"content": writing.card(message)}))
    return _settled(reply)


def _delete(calls: Api, action: Delete, _: Delivery) -> Exchange[Outcome]:
    reply = yield from api.call(calls.delete("messages.delete", message_path(action.message_id)))
    return Sent() if reply.code in GONE else _settled(reply)


def _react(calls: Api, action: React, _: Delivery) -> Exchange[Outcome]:
    body = {"reaction_type": {"emoji_type": emoji.emoji_type(action.emoji)}}
    path = message_path(action.message_id, "reactions")
    return _settled((yield from api.call(calls.post("reactions", path, body, repeatable=True))))


def _settled(reply: Reply) -> Outcome:
    if reply.data is None:
        return reply.failure()
    return Sent(ids=(reply.data.message_id,) if reply.data.message_id else ())


ACTS: Final[dict[type, Callable[[Api, Any, Delivery], Exchange[Outcome]]]] = {
    Say: _say,
    Edit: _edit,
    Delete: _delete,
    React: _react,
}
