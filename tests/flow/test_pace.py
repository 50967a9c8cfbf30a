"""Slots at the platforms' rates: bursts up to the count, then one after the other, each with its own slot."""

import itertools

import pytest

from dragoman.adapter import Rate
from dragoman.flow import pace
from dragoman.flow.pace import Pacer
from dragoman.model import Address, Delivery, Typing

NOW = 1_700_000_000.0
numbers = itertools.count(1)


def delivery(channel: str = "c1", account: str = "acme", workspace: str = "") -> Delivery:
    return Delivery(
        id=next(numbers),
        key="turn:0:0",
        action=Typing(),
        address=Address(account=account, workspace=workspace, channel=channel),
        conversation=channel,
    )


def per_chat(count: int, seconds: float) -> Rate:
    return Rate(per="chat", count=count, seconds=seconds)


def per_account(count: int, seconds: float) -> Rate:
    return Rate(per="account", count=count, seconds=seconds)


@pytest.mark.parametrize(
    ("rate", "waits"),
    [
        (per_chat(1, 1), [0, 1, 2, 3]),
        (per_chat(2, 60), [0, 0, 60, 60, 120]),
        (per_account(4, 1), [0, 0, 0, 0, 1, 1]),
    ],
    ids=["one a second", "two a minute", "four a second"],
)
def test_no_window_holds_more_than_the_rate_allows(rate: Rate, waits: list[float]) -> None:
    pacer = Pacer()

    assert [pacer.reserve(delivery(), [rate], NOW) for _ in waits] == pytest.approx(waits)


def test_time_gives_the_slots_back() -> None:
    pacer = Pacer()
    for _ in range(2):
        pacer.reserve(delivery(), [per_chat(2, 60)], NOW)

    assert pacer.reserve(delivery(), [per_chat(2, 60)], NOW + 30) == pytest.approx(30)
    assert pacer.reserve(delivery(), [per_chat(2, 60)], NOW + 61) == 0


def test_two_rates_of_one_chat_are_both_kept() -> None:
    pacer = Pacer()
    rates = [per_chat(1, 1), per_chat(3, 60)]

    assert [pacer.reserve(delivery(), rates, NOW) for _ in range(4)] == pytest.approx([0, 1, 2, 60])


def test_a_long_silence_saves_up_no_more_than_a_burst() -> None:
    pacer = Pacer()
    pacer.reserve(delivery(), [per_chat(2, 60)], NOW)

    waits = [pacer.reserve(delivery(), [per_chat(2, 60)], NOW + 86_400) for _ in range(3)]

    assert waits == pytest.approx([0, 0, 60])


def test_what_was_told_to_wait_leaves_when_it_comes_back() -> None:
    pacer = Pacer()
    pacer.reserve(delivery(), [per_chat(1, 1)], NOW)
    waiting = delivery()
    wait = pacer.reserve(waiting, [per_chat(1, 1)], NOW)

    assert pacer.reserve(waiting, [per_chat(1, 1)], NOW + wait) == 0


def test_an_attempt_after_the_first_takes_a_new_slot() -> None:
    pacer = Pacer()
    again = delivery()
    pacer.reserve(again, [per_chat(1, 1)], NOW)

    assert pacer.reserve(again, [per_chat(1, 1)], NOW) == pytest.approx(1)


@pytest.mark.parametrize(
    "other",
    [{"channel": "c2"}, {"account": "other"}, {"workspace": "w2"}],
    ids=["another channel", "another account", "another workspace"],
)
def test_a_chat_has_its_own_pace(other: dict[str, str]) -> None:
    pacer = Pacer()
    pacer.reserve(delivery(), [per_chat(1, 1)], NOW)

    assert pacer.reserve(delivery(**other), [per_chat(1, 1)], NOW) == 0


def test_the_chats_of_an_account_share_its_rate() -> None:
    pacer = Pacer()
    rates = [per_account(1, 1)]

    assert [pacer.reserve(delivery(name), rates, NOW) for name in ("c1", "c2")] == pytest.approx([0, 1])
    assert pacer.reserve(delivery("c1", account="other"), rates, NOW) == 0


def test_the_longest_wait_counts() -> None:
    pacer = Pacer()
    rates = [per_account(2, 1), per_chat(1, 3)]

    assert [pacer.reserve(delivery(), rates, NOW) for _ in range(2)] == pytest.approx([0, 3])


@pytest.mark.parametrize("rates", [[], [Rate(per="method", count=1, seconds=60)]], ids=["none", "a method's"])
def test_without_a_rate_of_its_own_nothing_waits(rates: list[Rate]) -> None:
    pacer = Pacer()

    assert [pacer.reserve(delivery(), rates, NOW) for _ in range(3)] == [0, 0, 0]


def test_only_so_many_chats_are_remembered() -> None:
    pacer = Pacer()
    for number in range(pace.REMEMBERED + 10):
        pacer.reserve(delivery(f"c{number}"), [per_chat(1, 60)], NOW)

    assert len(pacer._slots) == pace.REMEMBERED
    assert pacer.reserve(delivery(f"c{pace.REMEMBERED}"), [per_chat(1, 60)], NOW) == pytest.approx(60)
