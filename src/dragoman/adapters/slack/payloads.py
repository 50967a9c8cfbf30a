"""What Slack sends us, as typed structs: only the fields that are used, each as its page documents it.

An absent field and a `null` mean the same to Slack, so optional texts are `None` and tested for truth.
Source: docs.slack.dev, "Events API", "message event", "Slash commands", "Interaction payloads".
"""

from typing import Any, Final

import msgspec

NULL: Final = b"null"


class Authorization(msgspec.Struct):
    """An installation that the event is visible to; with `is_bot` the user is our bot."""

    team_id: str | None = None
    enterprise_id: str | None = None
    is_enterprise_install: bool | None = None
    user_id: str | None = None
    is_bot: bool | None = None


class Envelope(msgspec.Struct):
    """The outer object of everything that comes as JSON."""

    type: str
    challenge: str = ""
    team_id: str | None = None
    api_app_id: str | None = None
    event_id: str | None = None
    event_time: float | None = None
    minute_rate_limited: int = 0
    authorizations: list[Authorization] | None = None


class AnyEnvelope(Envelope):
    """An envelope with an event of whatever kind, which is not read yet."""

    event: msgspec.Raw = msgspec.Raw(NULL)


class Kind(msgspec.Struct):
    """The one field that every inner event has."""

    type: str


class File(msgspec.Struct):
    """A file object; with `file_access` = `check_file_info` (Slack Connect) all else is left out."""

    id: str
    name: str | None = None
    mimetype: str | None = None
    size: int | None = None
    mode: str | None = None
    file_access: str | None = None
    url_private: str | None = None
    url_private_download: str | None = None


class Edited(msgspec.Struct):
    """Who edited a message, and when."""

    ts: str | None = None


class Content(msgspec.Struct):
    """A message as such: who wrote what."""

    subtype: str | None = None
    user: str | None = None
    bot_id: str | None = None
    app_id: str | None = None
    text: str | None = None
    ts: str | None = None
    thread_ts: str | None = None
    edited: Edited | None = None
    files: list[File] | None = None
    blocks: msgspec.Raw = msgspec.Raw(NULL)


class MessageEvent(Content):
    """An inner event about a message; `message` and `previous_message` come with edits and deletes."""

    type: str = ""
    channel: str = ""
    channel_type: str | None = None
    event_ts: str | None = None
    parent_user_id: str | None = None
    deleted_ts: str | None = None
    message: Content | None = None
    previous_message: Content | None = None


class MessageEnvelope(Envelope, kw_only=True):
    """An envelope with a message, as nearly all are: one reading serves both."""

    event: MessageEvent


class Item(msgspec.Struct):
    """What a reaction is about."""

    type: str
    channel: str | None = None
    ts: str | None = None


class Revoked(msgspec.Struct):
    """Whose tokens are revoked, by kind."""

    bot: list[str] | None = None


class AccountEvent(msgspec.Struct):
    """An inner event about the installation."""

    type: str
    tokens: Revoked | None = None


class ReactionEvent(msgspec.Struct):
    """An emoji put on, or taken from, an item."""

    type: str
    user: str
    reaction: str
    item: Item
    item_user: str | None = None
    event_ts: str | None = None


class Element(msgspec.Struct):
    """A rich text element, of whatever type: each type fills in its own fields."""

    type: str = ""
    text: str | None = None
    name: str | None = None
    url: str | None = None
    user_id: str | None = None
    channel_id: str | None = None
    usergroup_id: str | None = None
    range: str | None = None
    fallback: str | None = None
    elements: list["Element"] | None = None


class Block(msgspec.Struct):
    """A block of any type; its elements are read only when it is rich text."""

    type: str = ""
    elements: msgspec.Raw = msgspec.Raw(b"[]")


class Command(msgspec.Struct):
    """The form of a slash command."""

    command: str
    user_id: str
    channel_id: str
    text: str = ""
    user_name: str = ""
    team_id: str = ""
    enterprise_id: str = ""
    is_enterprise_install: str = ""
    response_url: str = ""
    trigger_id: str = ""


class User(msgspec.Struct):
    """Who interacted."""

    id: str
    name: str | None = None
    username: str | None = None
    team_id: str | None = None


class Named(msgspec.Struct):
    """A team, enterprise or channel of which only the id matters."""

    id: str


class Container(msgspec.Struct):
    """Where the pressed element stands."""

    message_ts: str | None = None
    thread_ts: str | None = None
    channel_id: str | None = None
    is_ephemeral: bool | None = None


class Option(msgspec.Struct):
    """A choice of a menu."""

    value: str


class Chosen(msgspec.Struct):
    """An element's state: which element, and the value that it carries, by its type."""

    action_id: str | None = None
    block_id: str | None = None
    action_ts: str | None = None
    value: str | None = None
    selected_option: Option | None = None
    selected_options: list[Option] | None = None
    selected_user: str | None = None
    selected_conversation: str | None = None
    selected_channel: str | None = None
    selected_date: str | None = None
    selected_time: str | None = None

    def outcome(self) -> Any:
        """Return the value: a text, a list of texts for a multiple choice, empty when it carries none."""
        if self.selected_options is not None:
            return [option.value for option in self.selected_options]
        if self.selected_option is not None:
            return self.selected_option.value
        single = (self.value, self.selected_user, self.selected_conversation, self.selected_channel)
        return next((value for value in (*single, self.selected_date, self.selected_time) if value), "")


class ViewState(msgspec.Struct):
    """What was filled in: by block, then by action."""

    values: dict[str, dict[str, Chosen]] = {}


class View(msgspec.Struct):
    """A modal."""

    id: str
    callback_id: str | None = None
    private_metadata: str | None = None
    state: ViewState | None = None


class Interaction(msgspec.Struct):
    """The `payload` field of the interactivity form."""

    type: str
    user: User
    team: Named | None = None
    enterprise: Named | None = None
    is_enterprise_install: bool | None = None
    channel: Named | None = None
    container: Container | None = None
    message: Content | None = None
    actions: list[Chosen] | None = None
    view: View | None = None
    callback_id: str | None = None
    action_ts: str | None = None
    response_url: str | None = None
    trigger_id: str | None = None
