"""Where text may be cut between two characters: never inside of what a reader sees as one."""

import unicodedata
from collections.abc import Callable
from typing import Final

JOINER: Final = "\u200d"


def boundary(text: str, low: int, cut: int) -> int:
    """Return the last position from `low` (exclusive) to `cut` where a cut parts nothing, or `cut` if there is none."""
    position = cut
    while position > low and _joined(text, low, position):
        position -= 1
    return position if position > low else cut


def _joined(text: str, low: int, position: int) -> bool:
    before, after = text[position - 1], text[position]
    if before == "\\":
        return _run(text, low, position, "\\".__eq__) % 2 == 1  # the backslash belongs to what it escapes
    if _is_flag_half(before) and _is_flag_half(after):
        return _run(text, low, position, _is_flag_half) % 2 == 1
    return before == JOINER or _extends(after)


def _run(text: str, low: int, position: int, belongs: Callable[[str], bool]) -> int:
    """Count the characters of one sort that end at a position."""
    start = position
    while start > low and belongs(text[start - 1]):
        start -= 1
    return position - start


def _is_flag_half(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _extends(character: str) -> bool:
    """Tell whether a character changes the one before it: accents, variation selectors, skin tones, tags."""
    if character < "\u0300":
        return False
    return (
        character == JOINER
        or "\U0001f3fb" <= character <= "\U0001f3ff"
        or "\U000e0020" <= character <= "\U000e007f"
        or unicodedata.category(character).startswith("M")
    )
