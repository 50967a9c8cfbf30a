"""What the store keeps of a person: finding it, handing it out, erasing it, and holding it back from being erased.

A person is found by the events that they caused, in the whole inbox: these are questions of an operator, not of the
line. Erasing blanks rows where a number or a key must stay, so that a repeat is recognised and nothing is answered
again; all else is deleted. Every step can be done again, so an erasure that was interrupted is begun anew.
"""

import abc
import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from dragoman.model import Address, Event, Sender, Value, channel_of
from dragoman.store.person import ERASED, Person, sender_of
from dragoman.store.stored import encode, number_of, read_event, turn_id

WINDOW: Final = 20_000
"""Numbers of the inbox that one statement looks through."""
CHUNK: Final = 500
"""Rows that one transaction changes, at most."""
HOLD: Final = "hold:"
AFTER_HOLD: Final = "hold;"
MOST_HOLDS: Final = 100_000
TOMBSTONE: Final = "erased:"
BLANK: Final = encode(
    Event(
        key="",
        account="-",
        platform="",
        conversation=ERASED,
        address=Address(account="-"),
        sender=Sender(id=""),
        wants_turn=False,
    )
)
"""What stands in the place of an erased event."""


class Hold(Value):
    """A person of whom nothing may be deleted, and why."""

    person: str
    reason: str
    at: float


class Match(Value):
    """A person that a search found."""

    person: str
    name: str
    platform: str
    at: float
    """When they were last heard of."""


class Traces(Value):
    """Where a person is in the store: numbers and names of rows."""

    person: Person
    events: tuple[int, ...] = ()
    turns: tuple[str, ...] = ()
    receipts: tuple[int, ...] = ()
    direct: tuple[str, ...] = ()
    """Conversations that are theirs alone."""
    groups: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    remembered: tuple[str, ...] = ()
    """Names under which something is remembered of them."""
    media: tuple[str, ...] = ()
    """Files that were sent, by the name of their bytes."""
    payloads: tuple[int, ...] = ()
    """Parked payloads in which their id stands."""


class People(abc.ABC):
    """What every store does for people; `ask` runs a named statement that only reads."""

    @abc.abstractmethod
    async def ask(self, statement: str, **bindings: Any) -> Sequence[Sequence[Any]]:
        """Run a named statement and return its rows."""

    @abc.abstractmethod
    async def blank(self, traces: Traces, events: Sequence[int]) -> None:
        """Blank some of a person's events, with all that answers them, in one transaction."""

    @abc.abstractmethod
    async def clear(self, traces: Traces, kept: Mapping[str, str], gone: Sequence[str]) -> None:
        """Delete what is kept of a person beside their events; keep some values and forget others with it."""

    @abc.abstractmethod
    async def keep(self, name: str, value: str | None) -> None:
        """Keep a value, or forget it."""

    async def found(self, text: str, limit: int) -> list[Match]:
        """Search people by their id, or a part of their name, the last heard of first."""
        wanted, people = text.lower(), dict[str, Match]()
        async for _, event, at in self._events("events_like", encode(text)[1:-1], newest_first=True):
            person = sender_of(event)
            if person is None or (event.sender.id != text and wanted not in event.sender.name.lower()):
                continue
            match = Match(person=str(person), name=event.sender.name, platform=event.platform, at=at)
            people.setdefault(match.person, match)
            if len(people) >= limit:
                break
        return list(people.values())

    async def who(self, text: str) -> Person:
        """Read a person, or find who caused an event (`e12`); raises `ValueError`."""
        number = number_of(text, "e")
        if not number:
            return Person.read(text)
        rows = await self.ask("events_by_number", ids=[number])
        stored = read_event(*rows[0]) if rows else None
        person = sender_of(stored.event) if stored is not None else None
        if person is None:
            raise ValueError(f"{text} is nobody's message")
        return person

    async def everyone(self) -> AsyncIterator[Person]:
        """Go through all of whom the store holds anything, some more than once."""
        async for _, event, _ in self._events("events_with", '"sender":{"id":"'):
            if (person := sender_of(event)) is not None:
                yield person
        for (name,) in await self.ask("named_people"):
            try:
                yield Person.read(name)
            except ValueError:  # a channel, whose memory is kept in the same table
                continue

    async def _events(
        self, statement: str, wanted: str, *, newest_first: bool = False
    ) -> AsyncIterator[tuple[int, Event, float]]:
        """Go through the events in whose JSON a text stands."""
        last = (await self.ask("last_event"))[0][0]
        starts = range(0, last, WINDOW)
        for start in reversed(starts) if newest_first else starts:
            rows = await self.ask(statement, after=start, until=start + WINDOW, wanted=wanted)
            for number, body, at, *_ in sorted(rows, key=_number, reverse=newest_first):
                if (stored := read_event(number, body, at)) is not None:
                    yield number, stored.event, at

    async def traces(self, person: Person) -> Traces:
        """Find all of a person: what they said, and what happened in conversations that are theirs alone."""
        mine: dict[int, tuple[Event, int, str]] = {}
        last = (await self.ask("last_event"))[0][0]
        wanted = '"sender":{"id":' + encode(person.id)
        for start in range(0, last, WINDOW):
            rows = await self.ask("events_with", after=start, until=start + WINDOW, wanted=wanted)
            mine.update(_read(rows, person))
        direct = sorted({name for event, _, name in mine.values() if event.chat_kind == "direct"} - {ERASED})
        if direct:
            there = _read(await self.ask("events_in", conversations=direct))
            shared = {name for event, _, name in there.values() if sender_of(event) not in {None, person}}
            direct = [name for name in direct if name not in shared]  # a caller may give it to several people
            mine.update({number: found for number, found in there.items() if found[2] in direct})
        return _traces(person, mine, direct, await self._payloads(person))

    async def _payloads(self, person: Person) -> list[int]:
        """Find the parked payloads of an account in which an id stands as a word of its own."""
        word = re.compile(rb"(?<![A-Za-z0-9])" + re.escape(person.id.encode()) + rb"(?![A-Za-z0-9])")
        found: list[int] = []
        after = 0
        while rows := await self.ask("payloads_after", after=after, account=person.account, limit=CHUNK):
            found += [number for number, raw in rows if word.search(raw)]
            after = rows[-1][0]
        return found

    async def told(self, traces: Traces) -> dict[str, Any]:
        """Hand out all that is kept of a person, as plain data."""
        person, direct = traces.person, list(traces.direct)
        events = await self._of_events("events_by_number", traces.events)
        replies = await self._of_events("deliveries_to", traces.events)
        replies += await self.ask("broadcasts_to", conversations=direct)
        remembered = await self.ask("remembered_of", people=list(traces.remembered))
        received = await self.ask("recipients_of", person=str(person), conversations=direct)
        journal = [row for chunk in chunks(traces.turns) for row in await self.ask("journal_of", turns=list(chunk))]
        return {
            "messages": [_message(*row) for row in events],
            "replies": [_reply(*row) for row in replies],
            "remembered": [{"of": row[0], "key": row[1], "value": json.loads(row[2])} for row in remembered],
            "timers": [json.loads(row[0]) for row in await self.ask("timers_for", person=str(person))],
            "conversations": [
                {"conversation": row[0], "state": json.loads(row[1])}
                for row in await self.ask("states_of", conversations=direct)
            ],
            "broadcasts": [
                {"broadcast": row[0], "name": row[2], "address": json.loads(row[3]), "state": row[4]}
                for row in received
            ],
            "journal": [{"step": row[0], "result": json.loads(row[1]) if row[1] else None} for row in journal],
            "parked": [_text(row[0]) for row in await self.ask("payloads_by_number", ids=list(traces.payloads))],
            "media": list(traces.media),
        }

    async def _of_events(self, statement: str, events: Sequence[int]) -> list[Sequence[Any]]:
        return [row for chunk in chunks(events) for row in await self.ask(statement, ids=list(chunk))]

    async def erase(self, traces: Traces, kept: Mapping[str, str], gone: Sequence[str]) -> None:
        """Erase a person; `kept` and `gone` are values to keep and to forget when it is done."""
        for chunk in chunks(traces.events):
            await self.blank(traces, chunk)
        await self.clear(traces, kept, gone)

    async def hold(self, person: Person, reason: str, at: float) -> None:
        """Let nothing of a person be deleted."""
        await self.keep(HOLD + person.mark, encode(Hold(person=str(person), reason=reason, at=at)))

    async def release(self, person: Person) -> bool:
        """End a hold; False when there was none."""
        held = await self.held(person)
        await self.keep(HOLD + person.mark, None)
        return held is not None

    async def held(self, person: Person) -> Hold | None:
        """Tell whether a person is held."""
        return next((hold for hold in await self.holds() if hold.person == str(person)), None)

    async def holds(self) -> list[Hold]:
        """List those who are held."""
        return read_holds(await self.ask("kept_from", first=HOLD, end=AFTER_HOLD, limit=MOST_HOLDS))


def read_holds(rows: Iterable[Sequence[Any]]) -> list[Hold]:
    """Read holds (`kept_from`)."""
    return [msgspec.json.decode(value, type=Hold) for _, value in rows]


def chunks(numbers: Sequence[Any]) -> list[Sequence[Any]]:
    """Cut a list into pieces that one transaction takes."""
    return [numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK)]


def free_to_go(rows: Iterable[Sequence[Any]], held: Iterable[Hold]) -> set[int]:
    """Choose of events (number, body) those that are nobody's who is held."""
    names = {hold.person for hold in held}
    read = ((row[0], read_event(row[0], row[1], 0.0)) for row in rows)
    return {number for number, stored in read if stored is None or str(sender_of(stored.event)) not in names}


def scrubbed(state: Mapping[str, Any] | None, traces: Traces) -> dict[str, Any] | None:
    """Take out of a group's state what is a person's: a question to them, and what names them; None: nothing is.

    Of a state that cannot be read (None) nothing is left: nobody can say whom it names.
    """
    if state is None:
        return {}
    words = [traces.person.id, *(name for name in traces.names if len(name) > 2)]

    def theirs(value: Any) -> bool:
        text = json.dumps(value, ensure_ascii=False)
        return any(json.dumps(word, ensure_ascii=False)[1:-1] in text for word in words)

    memory = {key: value for key, value in state.get("memory", {}).items() if not theirs({key: value})}
    left = {key: value for key, value in state.items() if key == "memory" or not theirs(value)}
    left = {**left, "memory": memory} if "memory" in state else left
    return None if left == state else left


def _number(row: Sequence[Any]) -> int:
    return int(row[0])


def _read(rows: Iterable[Sequence[Any]], person: Person | None = None) -> dict[int, tuple[Event, int, str]]:
    """Read events (number, body, time, receipt, conversation), those of a person if one is given."""
    read = [(row, read_event(row[0], row[1], row[2])) for row in rows]
    return {
        row[0]: (stored.event, row[3], row[4])
        for row, stored in read
        if stored is not None and (person is None or sender_of(stored.event) == person)
    }


def _traces(
    person: Person, mine: Mapping[int, tuple[Event, int, str]], direct: Sequence[str], payloads: Sequence[int]
) -> Traces:
    events = [event for event, _, _ in mine.values()]
    places = {channel_of(event.address) for event in events if event.chat_kind == "direct"}
    own = {str(person), channel_of(Address(account=person.account, channel=person.id))}
    return Traces(
        person=person,
        events=tuple(sorted(mine)),
        turns=tuple(turn_id(event) for event in events),
        receipts=tuple(sorted({receipt for _, receipt, _ in mine.values() if receipt})),
        direct=tuple(direct),
        groups=tuple(sorted({name for _, _, name in mine.values()} - {*direct, ERASED})),
        names=tuple(sorted({event.sender.name for event in events if sender_of(event) == person} - {""})),
        remembered=tuple(sorted(own | places)),
        media=tuple(sorted({file.media.ref for event in events for file in event.attachments if file.media})),
        payloads=tuple(payloads),
    )


def _message(number: int, body: str, at: float, *_: Any) -> dict[str, Any]:
    stored = read_event(number, body, at)
    if stored is None:
        return {"row": f"e{number}", "accepted_at": at}
    event = stored.event
    more = {"kind": event.kind, "message_id": event.message_id, "value": msgspec.to_builtins(event.value)}
    return {"row": f"e{number}", "accepted_at": at, **event.to_json(), **more}


def _reply(number: int, at: float, state: str, action: str, address: str) -> dict[str, Any]:
    row = {"row": f"d{number}", "created_at": at, "state": state}
    return {**row, "action": json.loads(action), "address": json.loads(address)}


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")
