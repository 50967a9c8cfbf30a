"""What to do about an outcome, as a value: computed here, carried out by the store."""

from collections.abc import Callable
from typing import Final

from dragoman.model import Delivery
from dragoman.store.base import Decision, Later, Parked, Pause, Settled
from dragoman.wire import Expired, Moved, Outcome, Refused, Retry, Sent, Unsure

BASE: Final = 1.0
CAP: Final = 300.0
"""Seconds: the first and the longest backoff."""
ACCOUNT_PAUSE: Final = 300.0
"""Seconds after which an account that its platform refuses is tried again."""


def backoff(attempt: int, random: Callable[[], float]) -> float:
    """Return seconds to wait after the n-th attempt: the upper half of an exponential ceiling, by chance."""
    ceiling: float = min(CAP, BASE * 2.0 ** min(attempt - 1, 20))
    return ceiling * (0.5 + random() / 2)


def decide(delivery: Delivery, outcome: Outcome, window: float, now: float, random: Callable[[], float]) -> Decision:
    """Return what to do. `window`: seconds in which the platform drops a repeated key (0: it has none).

    An unkeyed send that may have arrived is never repeated by itself: it is parked for the operator.
    """
    match outcome:
        case Sent(ids=ids):
            return Settled(ids=ids)
        case Moved(address=address):
            wait = 0.0 if delivery.attempt == 1 else backoff(delivery.attempt, random)  # it may move on for ever
            return Later(after=wait, reason="the conversation has moved", address=address)
        case Refused(reason=reason, scope="account"):
            return Pause(after=ACCOUNT_PAUSE, reason=reason)
        case Refused(reason=reason):
            return Parked(reason=f"refused: {reason}")
        case Expired(credential=credential):
            return Pause(after=ACCOUNT_PAUSE, reason=f"the credential {credential.name} is refused")
        case Retry():
            return _again(delivery, outcome, now, random)
        case Unsure(reason=reason) if now < delivery.at + window:
            return Later(after=backoff(delivery.attempt, random), reason=f"unsure: {reason}")
    return Parked(reason=f"unsure: {outcome.reason}; it may have arrived")


def _again(delivery: Delivery, outcome: Retry, now: float, random: Callable[[], float]) -> Decision:
    wait = backoff(delivery.attempt, random) if outcome.after is None else max(0.0, outcome.after)
    if now + wait > delivery.not_after:
        return Parked(reason=f"gave up after {delivery.attempt} attempts: {outcome.reason}")
    if outcome.scope == "account":
        return Pause(after=wait, reason=outcome.reason)
    return Later(after=wait, reason=outcome.reason)
