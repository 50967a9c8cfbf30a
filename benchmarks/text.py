"""What a message's text costs in CPU time: cut to the platform's limit, and each piece rendered when it is sent.

By length, to see that it grows no faster than the text; each text is new, so that none is remembered.
"""

import itertools
import time
from collections.abc import Iterator
from typing import Final, get_args

from dragoman.text import Dialect, render, split

ROUNDS: Final = 7
LIMIT: Final = 4000
LENGTHS: Final = (100, 1_000, 4_000, 16_000, 64_000)
KINDS: Final = {
    "words": "The {n}th fox jumps over the lazy dog. And some more words here, said {n} times!\n",
    "marked words": "The {n}th **brown fox** jumps over the `lazy` dog. And *some* more\nwords - said {n} times!\n\n",
    "answers": (
        "## Part {n}\n\nSome **bold** words with `code`, a [link](https://x.org/{n}) and *more* words, _and_ so on.\n\n"
        "- one item\n- another item with **bold** words\n\n1. first\n2. second\n\n> a quote of words\n\n"
        "```py\ndef part{n}(x):\n    return x\n```\n\n"
    ),
    "odd marks": "The {n}th *brown **fox* jumps** over ~~the~~ <https://x.org/{n}> [dog][1] &amp; \\*so\\* on.\n\n",
}
_numbers: Final = itertools.count(1000)


def text(kind: str, length: int) -> str:
    """Return a text that was not seen before."""
    parts: Iterator[str] = (KINDS[kind].format(n=number) for number in _numbers)
    whole = ""
    while len(whole) < length:
        whole += next(parts)
    return whole[:length].rstrip()


def message(body: str, dialect: Dialect) -> None:
    """Do what the line does with a message's text, from the turn to the platform."""
    for piece in split(body, LIMIT, lambda part: len(render(part, dialect))):
        render(piece, dialect)


def microseconds(kind: str, length: int, dialect: Dialect) -> float:
    """Return the CPU time of one message, the best of some rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        body = text(kind, length)
        began = time.process_time()
        message(body, dialect)
        best = min(best, time.process_time() - began)
    return best * 1e6


def main() -> None:
    """Print a table by length, and one by dialect."""
    print("us by characters   " + "".join(f"{length:>10,}" for length in LENGTHS))
    for kind in KINDS:
        print(f"  {kind:<17}" + "".join(f"{microseconds(kind, length, 'slack'):10.0f}" for length in LENGTHS))
    dialects: tuple[Dialect, ...] = get_args(Dialect)
    print("us of 1,000        " + "".join(f"{dialect:>10}" for dialect in dialects))
    for kind in KINDS:
        print(f"  {kind:<17}" + "".join(f"{microseconds(kind, 1000, dialect):10.0f}" for dialect in dialects))


if __name__ == "__main__":
    main()
