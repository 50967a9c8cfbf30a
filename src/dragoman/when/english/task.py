"""What is left of a text: the task, in the user's own words."""

from typing import Final

from dragoman.when.english.pieces import Piece
from dragoman.when.english.scan import Scanned

LEADING: Final = {"to", "that", "about", "of", "for", "and", "then", "at"}
TRAILING: Final = {"to", "that", "about", "at", "and", "for", "@"}
BEFORE_TASK: Final = {"to", "that", "about"}
OPENERS: Final = set("⏰•,.;:!?-\u2013\u2014)]}…&")
CLOSERS: Final = set(",;:-\u2013\u2014([{&…")


def head(scanned: Scanned) -> list[Piece]:
    """Return the pieces before the "to" that begins the task; none when the text is not built like that."""
    spans = _spans(scanned, list(scanned.pieces))
    index, words = 0, scanned.words
    while index < len(words):
        if index in spans:
            index = spans[index]
        elif not words.word(index).isalnum():
            index += 1
        else:
            break
    if words.word(index) not in BEFORE_TASK:
        return []
    return [piece for piece in scanned.pieces if piece.end <= index]


def task(scanned: Scanned, pieces: list[Piece]) -> str:
    """Return the text without the given pieces and what people say around them."""
    spans = _spans(scanned, pieces)
    runs: list[list[int]] = []
    index, fresh = 0, True
    while index < len(scanned.words):
        if index in spans:
            index, fresh = spans[index], True
            continue
        if fresh:
            runs.append([])
            fresh = False
        runs[-1].append(index)
        index += 1
    kept: list[str] = []
    for run in runs:
        trimmed = _trim(scanned, run, first=not kept)
        if trimmed:
            tokens = scanned.words.tokens
            kept.append(scanned.words.text[tokens[trimmed[0]].start : tokens[trimmed[-1]].end])
    return " ".join(kept)


def _spans(scanned: Scanned, pieces: list[Piece]) -> dict[int, int]:
    spans = dict(scanned.said)
    spans.update({piece.start: piece.end for piece in pieces if piece.start not in spans and not piece.poison})
    return spans


def _trim(scanned: Scanned, run: list[int], *, first: bool) -> list[int]:
    """Drop the words and signs that only tied a run to what was taken out."""
    words, low, high = scanned.words, 0, len(run)
    while low < high and (words.word(run[low]) in OPENERS or (first and words.word(run[low]) in LEADING)):
        low += 1
    ends = run[-1] == len(words) - 1
    while high > low and _dangles(words.word(run[high - 1]), ends=ends, asked=scanned.asked):
        high -= 1
    return run[low:high]


def _dangles(word: str, *, ends: bool, asked: bool) -> bool:
    if ends:
        return word in CLOSERS or word == "." or (word == "?" and asked)
    return word in CLOSERS or word == "." or word in TRAILING
