"""Whom a broadcast reaches: recipients that an operator names, or a segment of those who wrote to us."""

import dataclasses
import re
from collections.abc import AsyncIterator, Sequence
from typing import Final, Self, get_args

import msgspec

from dragoman.engine import route
from dragoman.errors import DragomanError, Unreachable
from dragoman.flow.account import Account, Accounts
from dragoman.flow.context import Context
from dragoman.model import Address, ChatKind, Event, Value
from dragoman.store.broadcasts import Recipient

BATCH: Final = 1_000
"""Events that one look into the inbox reads."""
UNITS: Final = {"m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
SPAN: Final = re.compile(r"([0-9]{1,6})([mhdw])")


class Named(Value):
    """A recipient as an operator names it. `person` is the platform's id of who reads there, where it is one person."""

    account: str
    channel: str
    workspace: str = ""
    thread: str = ""
    person: str = ""
    name: str = ""


class Misnamed(DragomanError):
    """A recipient that cannot be one: its place in the list, and why."""

    def __init__(self, place: int, reason: str) -> None:
        super().__init__(reason)
        self.place = place


def recipients(named: Sequence[Named], accounts: Accounts) -> list[Recipient]:
    """Turn names into recipients; raises `Misnamed` for the first that none can be made of."""
    made: list[Recipient] = []
    for place, each in enumerate(named):
        account = accounts.get(each.account)
        if account is None:
            raise Misnamed(place, f"there is no account {each.account!r}")
        address = Address(account=each.account, workspace=each.workspace, channel=each.channel, thread=each.thread)
        try:
            made.append(recipient(account, address, each.person, each.name))
        except Unreachable as error:
            raise Misnamed(place, str(error)) from error
    return made


def recipient(account: Account, address: Address, person: str, name: str) -> Recipient:
    """Make a recipient of an address; `person` is the platform's id of who reads there. Raises `Unreachable`."""
    if not address.channel:
        raise Unreachable("the channel is missing")
    place = account.adapter.unasked(address)
    conversation = account.adapter.place(place.channel, workspace=place.workspace, thread=place.thread, sender=person)
    whole = f"{account.name}/{place.workspace}/{person}" if person else ""
    return Recipient(conversation=conversation, address=place, person=whole, name=name)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Segment:
    """Those who wrote to us and fit: each empty filter fits everybody."""

    account: frozenset[str] = frozenset()
    platform: frozenset[str] = frozenset()
    chat_kind: frozenset[str] = frozenset()
    locale: frozenset[str] = frozenset()
    active_within: float = 0.0
    """Seconds since their last message, at most."""

    @classmethod
    def read(cls, text: str) -> Self:
        """Read `account=team,chat_kind=direct,active_within=30d`; `|` parts alternatives. Raises `ValueError`."""
        filters: dict[str, str] = {}
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            name, _, value = (piece.strip() for piece in part.partition("="))
            if name not in FILTERS or not value:
                raise ValueError(f"{part!r} is no filter (there are {', '.join(FILTERS)}, each as NAME=VALUE)")
            filters[name] = value
        span = _span(filters.pop("active_within", ""))
        choices = {name: frozenset(value.split("|")) for name, value in filters.items()}
        if wrong := choices.get("chat_kind", frozenset()) - set(get_args(ChatKind)):
            raise ValueError(f"chat_kind {min(wrong)!r} is none of {', '.join(get_args(ChatKind))}")
        return cls(**choices, active_within=span)

    def fits(self, event: Event) -> bool:
        """Tell whether who wrote this belongs to the segment."""
        return (
            not event.sender.is_bot
            and (not self.account or event.account in self.account)
            and (not self.platform or event.platform in self.platform)
            and (not self.chat_kind or event.chat_kind in self.chat_kind)
            and (not self.locale or any(_speaks(event.sender.locale, locale) for locale in self.locale))
        )


FILTERS: Final = tuple(field.name for field in dataclasses.fields(Segment))


def _span(text: str) -> float:
    if not text:
        return 0.0
    found = SPAN.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time span: a number and m, h, d or w, as in 30d")
    return int(found[1]) * UNITS[found[2]]


def _speaks(locale: str, wanted: str) -> bool:
    """Tell whether a locale is of a language: `zh-CN` is `zh`."""
    known, language = locale.replace("_", "-").lower(), wanted.replace("_", "-").lower()
    return known == language or known.startswith(language + "-")


async def found(context: Context, segment: Segment) -> AsyncIterator[list[Recipient]]:
    """Search the inbox for a segment, newest first, so that everybody's newest address counts; batch by batch."""
    seen: set[str] = set()
    before, since = 0, context.clock() - segment.active_within if segment.active_within else 0.0
    while written := await context.store.broadcasts.written(before, BATCH):
        batch: list[Recipient] = []
        for each in written:
            if each.at < since or not segment.fits(each.event):
                continue
            one = _writer(each.event, context.accounts.get(each.event.account))
            if one is not None and one.conversation not in seen:
                seen.add(one.conversation)
                batch.append(one)
        if batch:
            yield batch
        before = written[-1].id
        if max(each.at for each in written) < since:
            return


def _writer(event: Event, account: Account | None) -> Recipient | None:
    """Make a recipient of who wrote: the person in a direct chat, else the channel, whichever thread it was in."""
    if account is None or not route.permitted(event, account.policy):
        return None
    direct = event.chat_kind == "direct"
    address = msgspec.structs.replace(event.address, thread="")
    try:
        return recipient(account, address, event.sender.id if direct else "", event.sender.name if direct else "")
    except Unreachable:
        return None
