"""Reading forms: slash commands, and interactions with buttons, menus, shortcuts and modals.

Source: docs.slack.dev, "Slash commands", "Handling user interaction", "Interaction payloads".
"""

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from dragoman import crypto, wire
from dragoman.adapter import Receipt
from dragoman.adapters.slack import mrkdwn
from dragoman.adapters.slack.origin import Origin, Place, brought, ignored, milliseconds, moment
from dragoman.adapters.slack.payloads import Chosen, Command, Content, Interaction
from dragoman.errors import Malformed
from dragoman.model import Event, Sender

LINK: Final = "link-"
"""How the ids of our own link buttons begin: Slack reports their being pressed, but nobody waits for an answer."""


def read(origin: Origin, body: bytes) -> Receipt:
    """Read one form."""
    fields = _fields(body)
    if fields.get("ssl_check") == "1":
        return ignored("ssl_check")
    return interaction(origin, fields["payload"]) if "payload" in fields else command(origin, fields)


def interaction(origin: Origin, payload: bytes | str) -> Receipt:
    """Read the JSON of an interaction."""
    given = wire.decode(payload, Interaction)
    reader = INTERACTIONS.get(given.type)
    if reader is None:
        return ignored(f"kind:{given.type}")
    return reader(origin.entered(_workspace(given), _organisation(given)), given)


def _fields(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=64)
    except ValueError as error:
        raise Malformed(f"not the documented form: {error}") from error
    return dict(pairs)


def command(origin: Origin, fields: Mapping[str, Any]) -> Receipt:
    """Read a slash command; Slack gives it no time, and no id but the trigger's."""
    try:
        given = msgspec.convert(fields, Command)
    except msgspec.ValidationError as error:
        raise Malformed(f"not the documented form: {error}") from error
    return brought(_commanded(origin, given))


def _commanded(origin: Origin, command: Command) -> Event:
    whole = command.enterprise_id if command.is_enterprise_install == "true" else ""
    origin = origin.entered(command.team_id or command.enterprise_id, whole)
    text = mrkdwn.clean(command.text, "")
    invocation = command.trigger_id or crypto.fingerprint(*msgspec.structs.astuple(command))
    place = Place(channel=command.channel_id, kind="direct" if command.channel_id.startswith("D") else "group")
    sender = Sender(id=command.user_id, name=command.user_name)
    return msgspec.structs.replace(
        origin.event(origin.key(invocation), place, sender, _ticket(command.response_url, command.user_id)),
        kind="command",
        text=text,
        text_as_sent=command.text,
        mentions=mrkdwn.mentions(command.text, origin.me.id),
        value={
            "command": command.command,
            "command_args": text,
            "response_url": command.response_url,
            "trigger_id": command.trigger_id,
        },
        at=milliseconds(origin.now),
    )


def _ticket(response_url: str | None, user: str) -> dict[str, Any]:
    """Keep what answers the person even where the bot is no member."""
    return {"response_url": response_url, "user": user} if response_url else {}


def _workspace(interaction: Interaction) -> str:
    """Choose the workspace: `team` is null for an app installed for a whole organisation."""
    team = interaction.team and interaction.team.id
    return team or interaction.user.team_id or (interaction.enterprise.id if interaction.enterprise else "")


def _organisation(interaction: Interaction) -> str:
    """Name the organisation when it is that which installed the app."""
    return interaction.enterprise.id if interaction.is_enterprise_install and interaction.enterprise else ""


def _pressed(origin: Origin, interaction: Interaction) -> Receipt:
    actions = interaction.actions or []
    events = tuple(
        _acted(
            origin,
            interaction,
            key=(str(number), action.action_ts or ""),
            at=moment(action.action_ts) if action.action_ts else milliseconds(origin.now),
            value=_press(action),
        )
        for number, action in enumerate(actions)
        if not (action.action_id or "").startswith(LINK)
    )
    return Receipt(events=events, ignored=("link",) * (len(actions) - len(events)))


def _press(action: Chosen) -> dict[str, Any]:
    return {"action_id": action.action_id or "", "block_id": action.block_id or "", "action_value": action.outcome()}


def _shortcut(origin: Origin, interaction: Interaction) -> Receipt:
    """Read a shortcut: a global one, or one chosen on a message, whose text is then the quotation."""
    quoted = interaction.message or Content()
    value = {
        "action_id": interaction.callback_id or "",
        "action_value": "",
        "quoted_text": mrkdwn.clean(mrkdwn.written(quoted.text, quoted.blocks), origin.me.id),
    }
    at = moment(interaction.action_ts) if interaction.action_ts else milliseconds(origin.now)
    return brought(_acted(origin, interaction, key=("shortcut", interaction.action_ts or ""), at=at, value=value))


def _submitted(origin: Origin, interaction: Interaction) -> Receipt:
    if interaction.view is None:
        raise Malformed("a submission without its view")
    view = interaction.view
    states = view.state.values.values() if view.state else ()
    value = {
        "action_id": view.callback_id or "",
        "action_value": {name: chosen.outcome() for block in states for name, chosen in block.items()},
        "private_metadata": view.private_metadata or "",
        "view_id": view.id,
    }
    now = milliseconds(origin.now)
    return brought(_acted(origin, interaction, key=(view.id,), at=now, value=value, kind="modal_submit"))


def _acted(
    origin: Origin,
    interaction: Interaction,
    *,
    key: tuple[str, ...],
    at: float,
    value: dict[str, Any],
    kind: str = "action",
) -> Event:
    """Make the event of an interaction, where its message stands; without one, in the person's direct chat.

    Slack opens the direct chat itself when the channel of a message is a user's id.
    """
    place, message_id = _stand(origin, interaction)
    chosen = value["action_value"]
    trigger = interaction.trigger_id or ""
    user = interaction.user
    sender = Sender(id=user.id, name=user.name or user.username or "")
    return msgspec.structs.replace(
        origin.event(origin.key(trigger, *key), place, sender, _ticket(interaction.response_url, user.id)),
        kind=kind,
        message_id=message_id,
        text=chosen if isinstance(chosen, str) else "",
        value={
            **value,
            "interaction_id": trigger,
            "trigger_id": trigger,
            "response_url": interaction.response_url or "",
        },
        at=at,
    )


def _stand(origin: Origin, interaction: Interaction) -> tuple[Place, str]:
    container = interaction.container
    message_ts = (container and container.message_ts) or (interaction.message and interaction.message.ts) or ""
    thread = (container and container.thread_ts) or (interaction.message and interaction.message.thread_ts) or ""
    channel = (interaction.channel and interaction.channel.id) or (container and container.channel_id) or ""
    if not channel:
        return Place(channel=interaction.user.id, kind="direct"), message_ts
    # nobody can reply in a thread under a message that only one person sees
    opener = "" if container and container.is_ephemeral else message_ts
    return origin.place(channel, thread=thread, ts=opener), message_ts


INTERACTIONS: Final[dict[str, Callable[[Origin, Interaction], Receipt]]] = {
    "block_actions": _pressed,
    "message_action": _shortcut,
    "shortcut": _shortcut,
    "view_submission": _submitted,
}
