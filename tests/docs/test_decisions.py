"""What the decisions say of the code is so."""

from pathlib import Path

from dragoman import MessageHandler
from dragoman.adapter import Receipt
from dragoman.model import Address, Event, Sender
from dragoman.store.base import Times
from dragoman.store.sqlite import SqliteStore
from dragoman.testing.clock import FakeClock


def event(key: str) -> Event:
    return Event(
        key=key,
        account="support",
        platform="test",
        conversation=f"support/{key}",
        address=Address(account="support", channel=key),
        sender=Sender(id="u1"),
    )


def empty(tmp_path: Path, name: str) -> Path:
    """Return a new folder, for a database of its own."""
    folder = tmp_path / name
    folder.mkdir()
    return folder


async def turns(folder: Path, *keys: str) -> dict[str, tuple[int, str]]:
    """Accept messages in a new database; returns for each key the row's number and the turn's id."""
    store = await SqliteStore.open(folder / "dragoman.db", FakeClock())
    try:
        for key in keys:
            await store.accept("support", Receipt(events=(event(key),)), Times())
        stored = [claim.events[0] for claim in await store.claim(len(keys))]
    finally:
        await store.close()
    return {each.event.key: (each.id, each.turn) for each in stored}


async def test_a_turn_has_the_same_id_in_a_database_that_was_begun_late(tmp_path: Path) -> None:
    first = await turns(empty(tmp_path, "first"), "a", "b", "c")
    late = await turns(empty(tmp_path, "late"), "c")

    assert late["c"][0] != first["c"][0]
    assert late["c"][1] == first["c"][1]


async def test_rows_that_share_a_number_share_no_turn(tmp_path: Path) -> None:
    first = await turns(empty(tmp_path, "first"), "a")
    late = await turns(empty(tmp_path, "late"), "c")

    assert late["c"][0] == first["a"][0]
    assert late["c"][1] != first["a"][1]


async def test_the_embedded_engine_names_a_turn_as_the_store_does(tmp_path: Path) -> None:
    stored = await turns(empty(tmp_path, "first"), "a")

    assert (await MessageHandler().turn(event("a"))).id == stored["a"][1]
