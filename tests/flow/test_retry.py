"""What is done about an outcome, and how long is waited."""

import pytest

from dragoman.flow import retry
from dragoman.model import Address, Delivery, Typing
from dragoman.store.base import Decision, Later, Parked, Pause, Settled
from dragoman.wire import Credential, Expired, Moved, Outcome, Refused, Retry, Sent, Unsure

NOW = 1_700_000_000.0
NEW = Address(account="acme", channel="new")


def delivery(attempt: int = 1, *, age: float = 0.0, fresh_for: float = 86_400.0) -> Delivery:
    return Delivery(
        id=1,
        key="turn:0:0",
        action=Typing(),
        address=Address(account="acme", channel="c1"),
        conversation="c1",
        attempt=attempt,
        at=NOW - age,
        not_after=NOW - age + fresh_for,
    )


def longest() -> float:
    return 1.0


def shortest() -> float:
    return 0.0


@pytest.mark.parametrize(
    ("attempt", "least", "most"),
    [(1, 0.5, 1), (2, 1, 2), (3, 2, 4), (9, 128, 256), (10, 150, 300), (11, 150, 300), (10_000, 150, 300)],
)
def test_the_backoff_doubles_up_to_five_minutes(attempt: int, least: float, most: float) -> None:
    assert retry.backoff(attempt, shortest) == least
    assert retry.backoff(attempt, longest) == most


OUTCOMES: list[tuple[str, Outcome, Decision]] = [
    ("sent", Sent(ids=("m1", "m2")), Settled(ids=("m1", "m2"))),
    ("moved", Moved(address=NEW), Later(after=0, reason="the conversation has moved", address=NEW)),
    ("refused", Refused(reason="no such chat"), Parked(reason="refused: no such chat")),
    ("refused by the conversation", Refused(reason="blocked", scope="conversation"), Parked(reason="refused: blocked")),
    ("the account refused", Refused(reason="invalid token", scope="account"), Pause(after=300, reason="invalid token")),
    (
        "the credential refused",
        Expired(credential=Credential(name="bot_token")),
        Pause(after=300, reason="the credential bot_token is refused"),
    ),
    ("asked to wait", Retry(reason="429", after=7), Later(after=7, reason="429")),
    ("asked not to wait", Retry(reason="429", after=0), Later(after=0, reason="429")),
    ("asked to wait a negative time", Retry(reason="429", after=-3), Later(after=0, reason="429")),
    ("not told how long", Retry(reason="503"), Later(after=1, reason="503")),
    ("a method's limit", Retry(reason="429", after=7, scope="method"), Later(after=7, reason="429")),
    ("an account's limit", Retry(reason="429", after=7, scope="account"), Pause(after=7, reason="429")),
    ("unsure, no key", Unsure(reason="timeout"), Parked(reason="unsure: timeout; it may have arrived")),
]


@pytest.mark.parametrize(("outcome", "decision"), [row[1:] for row in OUTCOMES], ids=[row[0] for row in OUTCOMES])
def test_an_outcome_has_its_decision(outcome: Outcome, decision: Decision) -> None:
    assert retry.decide(delivery(), outcome, 0, NOW, longest) == decision


def test_a_conversation_that_moves_for_ever_is_followed_ever_more_slowly() -> None:
    decisions = [retry.decide(delivery(attempt), Moved(address=NEW), 0, NOW, longest) for attempt in (1, 2, 3)]

    assert [decision.after for decision in decisions if isinstance(decision, Later)] == [0, 2, 4]


def test_every_wait_without_a_given_time_grows_with_the_attempts() -> None:
    decisions = [retry.decide(delivery(attempt), Retry(reason="503"), 0, NOW, longest) for attempt in (1, 2, 3)]

    assert decisions == [Later(after=after, reason="503") for after in (1, 2, 4)]


@pytest.mark.parametrize(
    ("age", "window", "again"),
    [(0, 0, False), (0, 30, True), (29.9, 30, True), (30, 30, False), (600, 30, False)],
)
def test_a_send_of_unknown_fate_is_repeated_only_while_its_key_is_known(age: float, window: float, again: bool) -> None:
    decision = retry.decide(delivery(2, age=age), Unsure(reason="timeout"), window, NOW, longest)

    expected = Later(after=2, reason="unsure: timeout")
    assert decision == (expected if again else Parked(reason="unsure: timeout; it may have arrived"))


@pytest.mark.parametrize("scope", ["message", "account"])
def test_what_would_come_too_late_is_given_up(scope: str) -> None:
    outcome = Retry(reason="429", after=61, scope="account" if scope == "account" else "message")

    decision = retry.decide(delivery(4, age=40, fresh_for=100), outcome, 0, NOW, longest)

    assert decision == Parked(reason="gave up after 4 attempts: 429")


def test_what_comes_just_in_time_is_tried() -> None:
    decision = retry.decide(delivery(age=40, fresh_for=100), Retry(reason="429", after=60), 0, NOW, longest)

    assert decision == Later(after=60, reason="429")
