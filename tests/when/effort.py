"""What reading a text costs, in a measure that a slow machine does not change."""

import time
from collections.abc import Callable


def effort(work: Callable[[], object]) -> float:
    """Return how many million steps of an empty loop take as long as a piece of work: the least of five of each.

    It is the processor's time, not the wall's: other work on the machine does not count.
    """
    times = [(_seconds(work), _seconds(_loop)) for _ in range(5)]
    return min(took for took, _ in times) / min(pace for _, pace in times)


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _loop() -> None:
    for _ in range(1_000_000):
        pass
