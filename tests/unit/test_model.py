"""The words of the house as values: their JSON, their types, and secrets that keep quiet."""

import copy
import pickle
from typing import Any

import msgspec
import pytest
from pydantic import TypeAdapter, ValidationError

from dragoman.model import (
    Action,
    Address,
    Answer,
    Attachment,
    Button,
    Delete,
    Edit,
    Event,
    Media,
    Mention,
    Message,
    React,
    Say,
    Secret,
    Sender,
    Typing,
    Value,
    split_with,
)

TOKEN = "xoxb-of-the-tests"
PICTURE = Attachment(kind="image", id="F1")


def event(**facts: Any) -> Event:
    whole: dict[str, Any] = {
        "key": "k1",
        "account": "acme",
        "platform": "test",
        "conversation": "acme/c1",
        "address": Address(account="acme", workspace="w1", channel="c1", thread="t1"),
        "sender": Sender(id="u1", name="Kim"),
    }
    return Event(**{**whole, **facts})


@pytest.mark.parametrize(
    "show",
    [repr, str, "{}".format, "{!r:>20}".format, lambda secret: f"{secret}", lambda secret: "%s" % (secret,)],  # noqa: UP031 - logs format so
)
def test_a_secret_is_not_printed(show: Any) -> None:
    assert TOKEN not in show(Secret(TOKEN))
    assert TOKEN not in show({"token": [Secret(TOKEN)]})


@pytest.mark.parametrize("write", [pickle.dumps, copy.deepcopy, msgspec.json.encode, msgspec.msgpack.encode])
def test_a_secret_is_not_serialised(write: Any) -> None:
    with pytest.raises(TypeError):
        write(Secret(TOKEN))


def test_during_a_rotation_two_secrets_live() -> None:
    secret = Secret("new", "", "old")

    assert secret.reveal() == "new"
    assert secret.candidates() == ("new", "old")


@pytest.mark.parametrize("secret", [Secret(), Secret(""), Secret("", "")])
def test_an_empty_secret_is_none(secret: Secret) -> None:
    assert not secret
    assert secret.reveal() == ""
    assert secret.candidates() == ()


def test_secrets_compare_by_value() -> None:
    assert Secret("a", "b") == Secret("a", "b")
    assert Secret("a", "b") != Secret("b", "a")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2


@pytest.mark.parametrize(
    ("given", "secret"),
    [("a", Secret("a")), (["new", "old"], Secret("new", "old")), (Secret("a"), Secret("a"))],
    ids=["a text", "a list", "a secret"],
)
def test_a_secret_is_read_from_the_configuration(given: Any, secret: Secret) -> None:
    assert TypeAdapter(Secret).validate_python(given) == secret


@pytest.mark.parametrize("given", [7, None, [], {"a": "b"}, [7]])
def test_what_is_no_text_is_no_secret(given: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Secret).validate_python(given)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"text": "hello"}, "text"),
        ({"text": "hello", "attachments": (PICTURE,)}, "text"),
        ({"attachments": (PICTURE,)}, "image"),
        ({"attachments": (Attachment(kind="audio"),)}, "audio"),
        ({"attachments": (Attachment(kind="location"),)}, "location"),
        ({"attachments": (Attachment(kind="link"),)}, "file"),
        ({"attachments": (Attachment(kind="sticker"), PICTURE)}, "file"),
        ({}, "text"),
        ({"text": "/help", "value": {"command": "/help"}}, "command"),
        ({"kind": "command"}, "command"),
        ({"kind": "action"}, "command"),
        ({"kind": "edit", "text": "hello"}, "event"),
        ({"kind": "membership"}, "event"),
        ({"kind": "reaction", "attachments": (PICTURE,)}, "event"),
    ],
)
def test_an_event_has_a_type_of_the_common_form(facts: dict[str, Any], expected: str) -> None:
    assert event(**facts).message_type == expected


def test_an_event_in_the_common_form_has_all_its_fields() -> None:
    given = event(text="hello", at=1.5, attachments=(PICTURE,), chat_kind="group", mentions_bot=True, reply_to="m0")

    assert given.to_json() == {
        "platform": "test",
        "sender_id": "u1",
        "message_type": "text",
        "content": "hello",
        "timestamp": 1.5,
        "attachments": [{"kind": "image", "id": "F1"}],
        "id": "k1",
        "account": "acme",
        "conversation_id": "acme/c1",
        "workspace_id": "w1",
        "channel_id": "c1",
        "thread_id": "t1",
        "chat_kind": "group",
        "sender_name": "Kim",
        "mentions_bot": True,
        "reply_to": "m0",
    }


def test_an_event_survives_its_json() -> None:
    given = event(
        text="héllo 密",
        mentions=(Mention(id="b1", is_bot=True),),
        attachments=(Attachment(kind="file", media=Media(ref="ab", size=2), value={"message_id": "m1"}),),
        value={"emoji": "eyes", "list": [1, None]},
        wants_turn=False,
        hold=3.0,
    )

    assert msgspec.json.decode(msgspec.json.encode(given), type=Event) == given


ACTIONS: list[Action] = [
    Say(message=Message(text="hello", buttons=(Button(text="Yes", value="y"),), reply_to="m1")),
    Edit(message_id="m1", message=Message(text="hello")),
    Delete(message_id="m1"),
    React(message_id="m1", emoji="eyes"),
    Typing(),
    Answer(interaction_id="i1", text="done"),
]


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: type(action).__name__)
def test_an_action_survives_its_json(action: Action) -> None:
    read: Action = msgspec.json.decode(msgspec.json.encode(action), type=Action)

    assert read == action
    assert type(read) is type(action)


def test_values_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        setattr(Message(text="hello"), "text", "bye")  # noqa: B010 - the type checker would refuse the plain form


def test_what_is_left_out_is_not_shared_between_values() -> None:
    Address(account="a").ticket["token"] = "x"

    assert Address(account="b").ticket == {}


def test_a_message_that_fits_stays_whole() -> None:
    message = Message(text="hello", attachments=(PICTURE,), reply_to="m1")

    assert split_with(message, lambda text: [text]) == (message,)
    assert split_with(message, lambda _text: []) == (message,)


def test_the_pieces_share_out_what_a_message_has() -> None:
    button = Button(text="Yes")
    message = Message(text="one two three", attachments=(PICTURE,), buttons=(button,), reply_to="m1")

    pieces = split_with(message, str.split)

    assert pieces == (
        Message(text="one", attachments=(PICTURE,), reply_to="m1"),
        Message(text="two"),
        Message(text="three", buttons=(button,)),
    )


class Card(Value, rename={"author": "from"}):
    author: str = ""
    words: str


def test_a_value_takes_its_facts_by_name_only() -> None:
    make: Any = Card

    assert Card(words="hello").author == ""
    with pytest.raises(TypeError, match="positional"):
        make("anna", "hello")


def test_a_value_is_frozen_hidden_from_the_collector_and_short_in_json() -> None:
    configured = Card.__struct_config__

    assert (configured.frozen, configured.gc, configured.omit_defaults) == (True, False, True)
    assert msgspec.json.encode(Card(words="hello")) == b'{"words":"hello"}'


def test_values_are_made_as_fast_as_msgspec_makes_them() -> None:
    for kind in (Card, Event, Say):
        assert type(kind) is msgspec.StructMeta
