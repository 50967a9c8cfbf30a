"""Where a payload comes from, and what an event has from there."""

import math
from typing import Any, Final

from msgspec.structs import replace

from dragoman.adapter import Adapter, Me, Receipt
from dragoman.adapters.slack import mrkdwn
from dragoman.adapters.slack.payloads import Content, File
from dragoman.errors import Malformed
from dragoman.model import Address, Attachment, AttachmentKind, ChatKind, Event, Sender, Value

KINDS: Final[dict[str, AttachmentKind]] = {"image": "image", "audio": "audio", "video": "video"}
WITHOUT_BYTES: Final = frozenset({"tombstone", "hidden_by_limit"})
"""Modes of a file that was deleted, or that the workspace's plan no longer shows."""

SLACKBOT: Final = "USLACKBOT"
INSTALLATION: Final = "installation"
"""Where an address, or a file, says whose token serves it."""


class Place(Value):
    """A spot in a workspace: a channel, and the thread in which our reply will live."""

    channel: str
    thread: str = ""
    kind: ChatKind = "group"


class Origin(Value):
    """What surrounds a payload: the account, who we are in it, the clock, the workspace and the app."""

    adapter: Adapter
    me: Me
    now: float
    bots: dict[str, Me] = {}
    """Which bot we are by installation, where workspaces install the app."""
    workspace: str = ""
    installation: str = ""
    """Whose token serves here: the workspace's, or its organisation's (only where workspaces install the app)."""
    app_id: str = ""
    event_id: str = ""
    event_time: float = 0.0

    def entered(self, workspace: str, installation: str = "") -> "Origin":
        """Stand in a workspace: as the bot that we are by its installation, or by that of its organisation."""
        if self.adapter.oauth() is None:
            return replace(self, workspace=workspace)
        installation = installation or workspace
        me = self.bots.get(installation, self.me)
        return replace(self, workspace=workspace, installation=installation, me=me)

    def outsider(self, content: Content) -> str:
        """Say why its author does not count: `self`, `bot`, or nothing for a person.

        The envelope's `api_app_id` alone proves nothing, it is in every event; only the message's own does.
        """
        me, user, bot, app = self.me, content.user, content.bot_id, content.app_id
        if (user and user == me.id) or (bot and bot == me.bot_id) or (app and app in (me.app_id, self.app_id)):
            return "self"
        return "bot" if bot or user == SLACKBOT or content.subtype == "bot_message" else ""

    def place(self, channel: str, *, channel_type: str | None = None, thread: str | None = "", ts: str = "") -> Place:
        """Find where our reply to the message `ts` will live.

        A top-level message of a channel opens its own thread there, unless the account keeps whole
        channels together; a direct chat has threads only where the person opened one.
        """
        direct = channel_type == "im" or channel.startswith("D")
        opens = not direct and (self.adapter.conversation or self.adapter.unit) == "thread"
        replied = thread if thread and thread != ts else ""
        return Place(channel=channel, thread=replied or (ts if opens else ""), kind="direct" if direct else "group")

    def event(self, key: str, place: Place, sender: Sender, ticket: dict[str, Any] | None = None) -> Event:
        """Begin an event: where and by whom something was done, and its name; `ticket` is the address's."""
        adapter, workspace, channel, thread = self.adapter, self.workspace, place.channel, place.thread
        ticket = ticket or {}
        if self.installation != workspace and self.installation:
            ticket = {**ticket, INSTALLATION: self.installation}
        account = adapter.account
        return Event(
            key=key,
            account=account,
            platform=adapter.platform,
            conversation=adapter.place(channel, workspace=workspace, thread=thread, sender=sender.id),
            address=Address(account=account, workspace=workspace, channel=channel, thread=thread, ticket=ticket),
            sender=sender,
            chat_kind=place.kind,
        )

    def key(self, *parts: str) -> str:
        """Name a happening of this workspace."""
        return "/".join((self.workspace, *parts))

    def worded(self, event: Event, content: Content) -> Event:
        """Add to an event what a message says."""
        bot, text = self.me.id, mrkdwn.written(content.text, content.blocks)
        event = replace(event, text=mrkdwn.clean(text, bot), text_as_sent=text)
        if mentions := mrkdwn.mentions(text, bot):
            event = replace(event, mentions=mentions, mentions_bot=any(mention.is_bot for mention in mentions))
        if content.files:
            kept = [file for file in content.files if file.mode not in WITHOUT_BYTES]
            event = replace(event, attachments=tuple(attachment(file, self.installation) for file in kept))
        return event


def attachment(file: File, installation: str = "") -> Attachment:
    """Return a shared file as an attachment; one of Slack Connect has its address asked for when it is fetched."""
    value = {"file_access": file.file_access} if file.file_access else {}
    return Attachment(
        kind=KINDS.get((file.mimetype or "").partition("/")[0], "file"),
        id=file.id,
        url=file.url_private_download or file.url_private or "",
        name=file.name or "",
        mime=file.mimetype or "",
        size=file.size,
        value={**value, INSTALLATION: installation} if installation else value,
    )


def moment(ts: str) -> float:
    """Return the time of a `ts` ("seconds.micro", never a float) in epoch seconds, truncated to milliseconds."""
    seconds, _, fraction = ts.partition(".")
    digits = seconds + (fraction + "000")[:3]
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 15):
        raise Malformed(f"not a ts: {ts[:40]!r}")
    return int(digits) / 1000


def milliseconds(now: float) -> float:
    """Truncate the clock to milliseconds, for what comes without a time of its own."""
    return math.floor(now * 1000) / 1000


def brought(*events: Event) -> Receipt:
    """Return a receipt that brought events."""
    return Receipt(events=events)


def ignored(reason: str) -> Receipt:
    """Return a receipt that brought nothing, and why."""
    return Receipt(ignored=(reason,))


def need(value: str | None) -> str:
    """Return a field without which the event means nothing; raises `Malformed`."""
    if not value:
        raise Malformed("a documented field is missing")
    return value
