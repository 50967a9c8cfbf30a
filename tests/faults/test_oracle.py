"""The oracle itself: what it must see in a simulator's log and a database, and one short scenario from end to end."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from tests.faults import catalogue, oracle, traffic
from tests.faults.oracle import judge
from tests.faults.scenario import Profile, run

from dragoman.testing.load import Sample


@dataclasses.dataclass
class Tables:
    """A database as the oracle asks it."""

    inbox: list[tuple[Any, ...]]
    outbox: list[tuple[Any, ...]]
    under_way: int = 0

    async def rows(self, sql: str) -> Sequence[Sequence[Any]]:
        return {oracle.INBOX: self.inbox, oracle.OUTBOX: self.outbox}.get(sql, [(self.under_way,)])


def heard(*texts: str) -> traffic.Stream:
    """Three messages of one conversation, all acknowledged, and what the platform took."""
    stream = traffic.stream("slack", traffic.platform("slack"), ["http://bot"], 1)
    for number in (1, 2, 3):
        sample = Sample(text=f"c0 n{number} say", conversation=0, number=number, intended=0.0, acknowledged=1.0)
        stream.samples.append(sample)
    for text in texts:
        stream.simulator.accept("chat.postMessage", "D0", text=text)
    return stream


def stored(*numbers: int) -> Tables:
    body = [msgspec.json.encode({"text": f"c0 n{number} say"}) for number in numbers]
    inbox = [(place, "slack", text, "done", "") for place, text in enumerate(body, 1)]
    return Tables(inbox, [(place, "sent", "") for place, _ in enumerate(body, 1)])


ONE, TWO, THREE = "c0 n1 p1 of 1 after 0", "c0 n2 p1 of 1 after 1", "c0 n3 p1 of 1 after 2"


async def test_what_was_answered_once_and_in_order_is_well() -> None:
    findings = await judge(stored(1, 2, 3), [heard(ONE, TWO, THREE)])

    assert (findings.sent, findings.acked, len(findings.latencies)) == (3, 3, 3)
    assert [*findings.lost, *findings.unstored, *findings.turned_twice, *findings.inversions] == []
    assert [*findings.misremembered, *findings.parked, *findings.duplicates, *[1] * findings.under_way] == []


async def test_an_answer_that_never_came_is_lost() -> None:
    assert (await judge(stored(1, 2, 3), [heard(ONE, THREE)])).lost == [("slack", 0, 2)]


async def test_an_acknowledged_message_that_is_not_stored_is_told_apart() -> None:
    assert (await judge(stored(1, 3), [heard(ONE, THREE)])).unstored == [("slack", 0, 2)]


async def test_a_parked_answer_is_not_lost_but_counted() -> None:
    tables = stored(1, 2, 3)
    tables.outbox[1] = (2, "parked", "unsure")
    findings = await judge(tables, [heard(ONE, THREE)])

    assert (findings.lost, findings.parked) == ([], ["unsure"])


async def test_a_second_answer_is_a_duplicate_and_no_inversion() -> None:
    findings = await judge(stored(1, 2, 3), [heard(ONE, TWO, ONE, THREE)])

    assert (findings.duplicates, findings.inversions) == ([("slack", 0, 1)], [])


async def test_answers_in_the_wrong_order_are_inversions() -> None:
    assert (await judge(stored(1, 2, 3), [heard(TWO, ONE, THREE)])).inversions == [("slack", 0, 1)]


async def test_a_message_with_two_rows_had_two_turns() -> None:
    assert (await judge(stored(1, 2, 2, 3), [heard(ONE, TWO, THREE)])).turned_twice == [("slack", 0, 2)]


async def test_a_state_that_was_overwritten_shows_in_the_next_answer() -> None:
    late = "c0 n3 p1 of 1 after 1"

    assert (await judge(stored(1, 2, 3), [heard(ONE, TWO, late)])).misremembered == [("slack", 0, 3)]


async def test_a_crash_before_the_acknowledgement_loses_nothing() -> None:
    _, _, scenario = catalogue.FOUND_BY["memory-only-deduplication"]
    short = dataclasses.replace(scenario, load=Profile(rates={"slack": 20.0}, kinds=("say",), seconds=2.0))
    line = await run(short, "sqlite", 1, Path("needs no cluster"))

    assert line["red"] == []
    assert line["blows"] == 2
