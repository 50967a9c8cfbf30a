"""What is done under pressure, as values: what is let go at the door, whose turn is hurried, who sends too much.

Nothing here may lose what wants an answer. At the door a trifle goes without a trace, and group chatter that certainly
does not mean the bot is kept for the history without a turn; whatever is in doubt is taken as always.
"""

from collections import OrderedDict
from typing import Any, Final

from dragoman.engine.route import Policy, addressed
from dragoman.model import Event, Value

CROWDED: Final = 5
"""Intake sheds from this part of what may wait: a fifth."""
TRIFLES: Final = frozenset({"typing", "reaction", "membership"})
"""Kinds of which neither an answer nor the history has anything. Edits and deletions are none: history shows them."""
LONGEST_DELAY: Final = 60.0
"""Seconds that the longest waiting conversation may have been ready before turns are hurried."""
INTERVAL: Final = 5.0
"""Seconds for which the delay is too long throughout before that counts: a burst is no pressure."""
MINUTE: Final = 60.0
REMEMBERED: Final = 10_000
"""Senders whose messages are counted; who was silent longest is forgotten first."""


def trifling(event: Event) -> bool:
    """Tell whether an event can go without a trace."""
    return not event.wants_turn and event.kind in TRIFLES


def perhaps_chatter(event: Event, policy: Policy) -> bool:
    """Tell whether an event says by itself nothing that means the bot; its conversation's state may still do so."""
    return event.wants_turn and not addressed(event, {}, policy)


def chatter(event: Event, state: dict[str, Any] | None, policy: Policy) -> bool:
    """Tell whether an event gets no answer, whatever happens: no earlier message of its conversation is open."""
    return state is not None and perhaps_chatter(event, policy) and not addressed(event, state, policy)


class Delay(Value):
    """Since when the queue's delay is too long, and since when turns are hurried for it (0: they are not)."""

    since: float = 0.0
    hurried_since: float = 0.0


def observed(delay: Delay, waited: float, now: float) -> Delay:
    """Note how long the longest waiting of the claims at hand was ready (0: nothing waits)."""
    if waited <= LONGEST_DELAY:
        return Delay()
    since = delay.since or now
    return Delay(since=since, hurried_since=delay.hurried_since or (now if now - since >= INTERVAL else 0.0))


class Window(Value):
    """How many messages a sender has sent since the first one of a minute."""

    since: float
    count: int = 1


def counted(window: Window | None, at: float) -> Window:
    """Count one message more, received at `at`."""
    if window is None or abs(at - window.since) >= MINUTE:
        return Window(since=at)
    return Window(since=window.since, count=window.count + 1)


class Senders:
    """Counts each sender's messages, in this process only: with several replicas each allows the whole rate."""

    def __init__(self) -> None:
        self._windows: OrderedDict[str, Window] = OrderedDict()

    def count(self, person: str, at: float) -> int:
        """Count a message received at `at`; returns how many there were in its minute."""
        window = counted(self._windows.pop(person, None), at)
        self._windows[person] = window
        if len(self._windows) > REMEMBERED:
            self._windows.popitem(last=False)
        return window.count
