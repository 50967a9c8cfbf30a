"""What is kept of a person: found, handed out whole, and erased so that nothing of it is left."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dragoman.errors import LostLease
from dragoman.model import Address, Attachment, Button, Event, Media, Message, Sender, Timer
from dragoman.store.base import Fresh, Memory
from dragoman.store.broadcasts import Prepared, Recipient
from dragoman.store.person import Person

if TYPE_CHECKING:
    from tests.store.conftest import Line

KIM = Person(account="acme", workspace="", id="u1")
CANARY = "canary"
DAY = 86_400.0


async def everything(line: "Line") -> str:
    """Return all that the store holds, as one text."""
    tables = ("inbox", "outbox", "receipt", "parked", "memory", "timer", "recipient", "once", "conversation", "kept")
    return "\n".join([str(tuple(row)) for table in tables for row in await line.rows(table)])


def facts(chat: str = "direct", **more: Any) -> dict[str, Any]:
    return {"chat_kind": chat, "sender": Sender(id="u1", name=f"Kim {CANARY}"), "text": f"{CANARY} says", **more}


async def live(line: "Line") -> None:
    """Let a person do everything that leaves a trace."""
    files = (Attachment(kind="image", media=Media(ref="f00d", name=f"{CANARY}.png")),)
    await line.receive(line.event("d1", "k1", **facts(attachments=files)), raw=f'{{"raw": "{CANARY}"}}'.encode())
    memories = (
        Memory(person=str(KIM), key="zone", value=CANARY),
        Memory(person="acme//d1", key="opted_out", value=True),
        Memory(person="acme//u2", key="zone", value="theirs"),
    )
    claim = await line.claim()
    assert isinstance(await line.store.once(claim.events[0].turn, "step", CANARY), Fresh)
    await line.store.done(claim.events[0].turn, "step", CANARY)
    await line.commit(claim, f"hello {CANARY}", state={"v": 1, "memory": {"x": CANARY}}, memories=memories)
    await line.send()
    await line.accept("g1", "k2", **facts("group"))
    mixed = {"memory": {"about": f"u1 {CANARY}", "plain": "stays"}, "ask": {"sender": "u1", "bound": CANARY}}
    await line.commit(await line.claim(), f"in the group {CANARY}", state={"v": 1, **mixed})
    await line.accept("g1", "k3", chat_kind="group", sender=Sender(id="u2", name="Lee"), text="theirs")
    await line.commit(await line.claim(), "to Lee", state={"v": 1, **mixed})
    await line.store.timers.set([timer()])
    await broadcast(line)
    await line.store.park("acme", f'{{"from": "u1", "text": "{CANARY}"}}'.encode(), "strange")
    await line.store.park("acme", b'{"from": "u12", "text": "theirs"}', "strange")
    await line.accept("d1", "k4", **facts())


def timer() -> Timer:
    address = Address(account="acme", channel="d1")
    event = Event(
        key="",
        kind="timer",
        account="acme",
        platform="test",
        conversation="d1",
        address=address,
        sender=Sender(id="u1", name=f"Kim {CANARY}"),
    )
    return Timer(name="t1", at=2_000_000_000.0, event=event, title=f"{CANARY} milk", person=str(KIM))


async def broadcast(line: "Line") -> None:
    message = Message(text="news", buttons=(Button(text="ok"),))
    number = await line.store.broadcasts.create("news", message, 0)
    address = Address(account="acme", channel="d1")
    recipients = [
        Recipient(conversation="d1", address=address, person=str(KIM), name=f"Kim {CANARY}"),
        Recipient(conversation="d2", address=Address(account="acme", channel="d2"), person="acme//u2", name="Lee"),
    ]
    await line.store.broadcasts.add(number, recipients)
    await line.store.broadcasts.ready(number)
    await line.store.broadcasts.start(3600)
    said = line.outgoing(f"news for {CANARY}", "d1", cls="broadcast")
    await line.store.broadcasts.queue(number, [Prepared(n=1, outgoing=(said,))])


async def erase(line: "Line", person: Person = KIM) -> None:
    traces = await line.store.people.traces(person)
    await line.store.people.erase(traces, {"erased:x": "1"}, ["gone"])


async def test_what_is_kept_of_a_person_is_handed_out_whole(line: "Line") -> None:
    await live(line)

    told = await line.store.people.told(await line.store.people.traces(KIM))

    assert [message["content"] for message in told["messages"]] == [f"{CANARY} says"] * 3
    texts = [reply["action"]["message"]["text"] for reply in told["replies"]]
    assert texts == [f"hello {CANARY}", f"in the group {CANARY}", f"news for {CANARY}"]
    assert {row["key"]: row["value"] for row in told["remembered"]} == {"zone": CANARY, "opted_out": True}
    assert [row["title"] for row in told["timers"]] == [f"{CANARY} milk"]
    assert told["conversations"][0]["state"] == {"v": 1, "memory": {"x": CANARY}}
    assert [row["name"] for row in told["broadcasts"]] == [f"Kim {CANARY}"]
    assert told["journal"] == [{"step": "step", "result": CANARY}]
    assert told["parked"] == [f'{{"from": "u1", "text": "{CANARY}"}}']
    assert told["media"] == ["f00d"]


async def test_what_was_erased_leaves_nothing(line: "Line") -> None:
    await live(line)
    assert CANARY in await everything(line)

    await erase(line)

    left = await everything(line)
    assert CANARY not in left
    assert "'u1'" not in left
    assert str(KIM) not in left
    assert await line.store.recall("erased:x") == "1"


async def test_of_a_state_that_cannot_be_read_nothing_is_left(line: "Line") -> None:
    await live(line)
    await line.database.change(f"UPDATE conversation SET state = '{{u1 {CANARY}' WHERE id = 'g1'")  # noqa: S608 - ours

    await erase(line)

    assert CANARY not in await everything(line)


async def test_what_is_others_stays(line: "Line") -> None:
    await live(line)
    await erase(line)

    left = await everything(line)
    for text in ("theirs", "to Lee", "Lee", "stays", "u12"):
        assert text in left
    assert [each.text for each in await line.store.reader.history("g1", 10)] == ["theirs", "to Lee"]


async def test_a_chat_that_others_write_in_is_not_theirs_alone(line: "Line") -> None:
    await line.accept("shared", "k1", **facts())
    await line.commit(await line.claim(), f"to kim {CANARY}", state={"v": 1, "memory": {"plain": "stays"}})
    await line.accept("shared", "k2", sender=Sender(id="u2"), text="theirs")
    await line.commit(await line.claim(), "to lee", state={"v": 1, "memory": {"plain": "stays"}})

    await erase(line)

    left = await everything(line)
    assert CANARY not in left
    assert "stays" in left
    assert [each.text for each in await line.store.reader.history("shared", 10)] == ["theirs", "to lee"]


async def test_a_person_is_named_by_a_message_too(line: "Line") -> None:
    accepted = await line.accept("c1", "k1")
    assert await line.store.people.who(f"e{accepted.id}") == KIM
    assert await line.store.people.who("acme//u1") == KIM
    with pytest.raises(ValueError, match="e999 is nobody's message"):
        await line.store.people.who("e999")


async def test_a_repeat_of_an_erased_message_is_recognised_and_not_answered(line: "Line") -> None:
    await live(line)
    await erase(line)

    again = await line.accept("d1", "k4", **facts())

    assert again.duplicate
    assert await line.claimed() == []
    assert CANARY not in await everything(line)


async def test_who_comes_back_starts_afresh(line: "Line") -> None:
    await live(line)
    await erase(line)
    await line.taken()

    await line.accept("d1", "k9", **facts())
    claim = await line.claim()
    await line.commit(claim, "welcome")

    assert claim.state == {}
    assert await line.taken() == ["welcome"]


async def test_a_turn_that_is_under_way_is_lost_with_its_message(line: "Line") -> None:
    await line.accept("d1", "k1", **facts())
    claim = await line.claim()

    await erase(line)
    with pytest.raises(LostLease):
        await line.commit(claim, CANARY)
    line.clock.advance(1)
    await line.accept("d1", "k2", **facts())
    await line.claim()
    with pytest.raises(LostLease):
        await line.commit(claim, CANARY)

    assert await line.taken() == []


async def test_a_reply_that_is_under_way_holds_nobody_back(line: "Line") -> None:
    await line.accept("g1", "k1", **facts("group"))
    await line.commit(await line.claim(), f"{CANARY} one", f"{CANARY} two")
    await line.accept("g1", "k2", chat_kind="group", sender=Sender(id="u2"))
    await line.commit(await line.claim(), "to u2")
    sending = await line.take()

    await erase(line)
    await line.settle(sending)

    assert await line.taken() == ["to u2"]
    assert CANARY not in await everything(line)


async def test_people_are_found_by_their_id_and_by_a_part_of_their_name(line: "Line") -> None:
    await live(line)

    assert [match.person for match in await line.store.people.found("u1", 10)] == ["acme//u1"]
    assert [match.person for match in await line.store.people.found("LEE", 10)] == ["acme//u2"]
    assert await line.store.people.found("nobody", 10) == []
    assert {str(person) async for person in line.store.people.everyone()} >= {"acme//u1", "acme//u2"}


async def test_who_is_held_outlives_the_time_that_messages_are_kept(line: "Line") -> None:
    await line.answer("c1", "hello")
    await line.send()
    await line.store.people.hold(KIM, "a lawsuit", line.clock())
    line.clock.advance(100 * DAY)
    await line.store.prune(line.clock() - 90 * DAY, line.clock())

    assert [each.text for each in await line.store.reader.history("c1", 10)] == ["", "hello"]
    held = await line.store.people.held(KIM)
    assert held is not None
    assert held.reason == "a lawsuit"

    assert await line.store.people.release(KIM)
    assert not await line.store.people.release(KIM)
    await line.store.prune(line.clock() - 90 * DAY, line.clock())
    assert await line.store.reader.history("c1", 10) == []


@pytest.mark.parametrize("text", ["", "acme", "acme/u1", "/w/u1", "acme//"])
def test_what_names_nobody_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no person"):
        Person.read(text)


def test_a_person_is_read_as_it_is_written() -> None:
    odd = Person(account="acme", workspace="T1", id="a/../b c")
    assert Person.read(str(odd)) == odd


def bytes_of(folder: Path, word: str) -> list[str]:
    """Name the files of a folder in whose bytes a word stands."""
    return [path.name for path in folder.iterdir() if word.encode() in path.read_bytes()]


async def test_the_file_keeps_no_bytes_of_what_was_erased(make_line_on: "Any", tmp_path: Path) -> None:
    line = make_line_on("sqlite")(tmp_path)
    await line.open()
    await live(line)
    for number in range(200):
        await line.accept(f"x{number}", text=f"{CANARY} {number} " * 50, sender=Sender(id="u1"))
    await erase(line)
    await line.store.close()

    assert bytes_of(tmp_path, CANARY) == []
