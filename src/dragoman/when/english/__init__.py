"""Times in English phrases: tokens, small parsers for their pieces, and one statement out of the pieces.

    split -> words -> scan: pieces (amounts, clocks, dates, repetitions) -> combine -> Found

A text may name one time. Pieces that do not go together are told apart by the grammar: what stands before "to" counts
("remind me tomorrow to book the train on Friday"), and a doubtful piece ("at 5 Main Street") gives way to a sure one.
Otherwise nothing is understood: there is no guess.
"""

from typing import Final

from dragoman.when.english import amounts, combine, scan, task, tokens
from dragoman.when.english.pieces import Piece
from dragoman.when.english.scan import Scanned
from dragoman.when.spec import Found, Spec

MOST: Final = 2_000
"""Characters that are read; a longer text is no reminder."""


def find(text: str) -> Found | None:
    """Return what a text says about time and what is left of it; None when it names no time, or contradicts itself."""
    if len(text) > MOST:
        return None
    scanned = scan.scan(tokens.split(text))
    for pieces in _choices(scanned):
        if (spec := combine.combine(pieces, woken=scanned.woken)) is not None:
            return Found(spec=spec, what=task.task(scanned, pieces))
    return None if scanned.pieces else _mere_amount(scanned)


def mentions_time(text: str) -> bool:
    """Tell whether a text has any words of time that `find` knows, though they may not go together."""
    return len(text) > MOST or bool(scan.scan(tokens.split(text)).pieces)


def without_lead(text: str) -> str:
    """Return a text without "please remind me" and its like."""
    return task.task(scan.scan(tokens.split(text[:MOST])), [])


def _choices(scanned: Scanned) -> list[list[Piece]]:
    """Return what may be meant, the fullest first: all pieces, the sure ones, those before the task."""
    pieces = list(scanned.pieces)
    first = task.head(scanned)
    return [choice for choice in (pieces, _sure(pieces), first, _sure(first)) if choice]


def _sure(pieces: list[Piece]) -> list[Piece]:
    return [piece for piece in pieces if not piece.weak or piece.poison]


def _mere_amount(scanned: Scanned) -> Found | None:
    """Read "remind me: 10 minutes", where nothing else is said."""
    words = tokens.split(task.task(scanned, []))
    found = amounts.amounts(words, 0)
    return Found(spec=Spec(after=found[0]), what="") if found and found[1] == len(words) else None
