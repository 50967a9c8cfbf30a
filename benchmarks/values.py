"""What the frozen values cost: an event as a msgspec Struct, and as a frozen dataclass read in three ways."""

import dataclasses
import json
import timeit
from collections.abc import Callable
from typing import Any, Final

import msgspec
from pydantic import TypeAdapter

from dragoman.model import Address, Event, Sender

REPEATS: Final = 20_000


def as_dataclass(kind: type[msgspec.Struct], **changed: Any) -> Any:
    """Make the frozen, slotted dataclass that has a struct's fields, some of them of other types."""
    columns = []
    for column in msgspec.structs.fields(kind):
        default = dataclasses.field()
        if column.default is not msgspec.NODEFAULT:
            default = dataclasses.field(default=column.default)
        elif column.default_factory is not msgspec.NODEFAULT:
            default = dataclasses.field(default_factory=column.default_factory)
        columns.append((column.name, changed.get(column.name, column.type), default))
    return dataclasses.make_dataclass(kind.__name__, columns, frozen=True, slots=True, kw_only=True)


def microseconds(work: Callable[[], object]) -> float:
    """Return what one call costs, the best of five rounds."""
    return min(timeit.repeat(work, number=REPEATS, repeat=5)) / REPEATS * 1e6


def main() -> None:
    """Print a table."""
    place, person = as_dataclass(Address), as_dataclass(Sender)
    happening = as_dataclass(Event, address=place, sender=person, mentions=tuple, attachments=tuple)
    event = Event(
        key="D1/1",
        account="bench",
        platform="slack",
        conversation="bench/T1/D1",
        address=Address(account="bench", workspace="T1", channel="D1"),
        sender=Sender(id="U1", name="Kim"),
        text="hello",
    )
    body = msgspec.json.encode(event)
    read = msgspec.json.Decoder(Event).decode
    by_pydantic, by_msgspec = TypeAdapter(happening).validate_json, msgspec.json.Decoder(happening).decode

    def by_hand() -> Any:
        fields = json.loads(body)
        return happening(**{**fields, "address": place(**fields["address"]), "sender": person(**fields["sender"])})

    twin = by_hand()
    rows: dict[str, Callable[[], object]] = {
        "struct, decoded": lambda: read(body),
        "struct, encoded": lambda: msgspec.json.encode(event),
        "dataclass, decoded by msgspec": lambda: by_msgspec(body),
        "dataclass, decoded by pydantic": lambda: by_pydantic(body),
        "dataclass, json.loads and by hand (no types checked)": by_hand,
        "dataclass, asdict and json.dumps": lambda: json.dumps(dataclasses.asdict(twin)),
    }
    for name, work in rows.items():
        print(f"  {name:<53} {microseconds(work):6.2f} us")


if __name__ == "__main__":
    main()
