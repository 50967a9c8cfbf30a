"""What the platform saw: how fast replies came, and which were missing, repeated or out of order."""

import itertools
import statistics
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from benchmarks.compare.workload import Message


def quantile(values: Sequence[float], share: float) -> float:
    """Return a quantile (0 of nothing)."""
    if len(values) < 2:
        return values[0] if values else 0.0
    return statistics.quantiles(values, n=1000, method="inclusive")[min(998, max(0, round(share * 1000) - 1))]


def latencies(messages: Iterable[Message]) -> list[float]:
    """Return the seconds from when each message should have left until its reply, of those that were answered."""
    return [message.answered - message.intended for message in messages if message.answered]


def lost(messages: Collection[Message]) -> int:
    """Count what was acknowledged, or never taken, and has no reply."""
    return sum(not message.answered for message in messages)


def duplicates(messages: Iterable[Message]) -> int:
    """Count replies beyond the first of each message."""
    return sum(max(0, message.answers - 1) for message in messages)


def inversions(order: Iterable[Message]) -> int:
    """Count replies that came after that of a later message of their conversation."""
    conversations: dict[int, list[int]] = defaultdict(list)
    for message in order:
        conversations[message.conversation].append(message.number)
    pairs = itertools.chain.from_iterable(itertools.pairwise(numbers) for numbers in conversations.values())
    return sum(later < earlier for earlier, later in pairs)
