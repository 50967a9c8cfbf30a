"""Reading the callbacks of cards: someone pressed a button, chose, or filled in a form.

Source: open.feishu.cn, "Card callback structure"; "Message card callback" for those of old.
"""

from typing import Any, Final

from dragoman import wire
from dragoman.adapter import Receipt
from dragoman.adapters.feishu.origin import Origin, brought, need
from dragoman.adapters.feishu.payloads import CardEvent, Chosen, OldCard
from dragoman.model import Event

OURS: Final = "dragoman"
"""The key under which our own buttons carry their value, which Feishu wants to be an object."""


def pressed(origin: Origin, inner: bytes) -> Receipt:
    """Read `card.action.trigger`."""
    card = wire.decode(inner, CardEvent)
    place = card.context
    return brought(
        _event(
            origin,
            card.action,
            token=card.token or "",
            sender=need(card.operator.id),
            channel=place.open_chat_id or card.operator.id,
            message_id=place.open_message_id or "",
        )
    )


def pressed_of_old(origin: Origin, body: bytes) -> Receipt:
    """Read a card callback of old; it has no id, and is named by the token that it alone carries."""
    card = wire.decode(body, OldCard)
    person = need(card.open_id)
    return brought(
        _event(
            origin,
            card.action,
            key=need(card.token),
            token=need(card.token),
            sender=person,
            channel=card.open_chat_id or person,
            message_id=card.open_message_id or "",
        )
    )


def _event(origin: Origin, action: Chosen, *, token: str, **place: Any) -> Event:
    chosen = _value(action)
    value = {
        "action_id": action.name or "",
        "action_value": chosen,
        "interaction_id": token,
        "update_token": token,
    }
    if action.form_value is not None:
        value["form_value"] = action.form_value
    return origin.event(kind="action", text=chosen if isinstance(chosen, str) else "", value=value, **place)


def _value(action: Chosen) -> Any:
    """Return what the element carries: of our own buttons their text, else what its tag fills in."""
    if isinstance(action.value, dict) and action.value.keys() == {OURS}:
        return action.value[OURS]
    given = (action.value, action.option, action.options, action.input_value, action.checked, action.form_value)
    return next((each for each in given if each not in (None, {}, "")), "")
